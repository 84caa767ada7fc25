//! Session tokens: how a token is computed, and which part of it is stored.
//!
//! A retried login must get the first answer, which holds the token, although only a hash of the token is
//! stored. So a token is not random. It is computed anew from two values that only the right caller and the
//! store have together:
//!
//! ```text
//! token = base64url(HMAC-SHA256(key     = the account's password hash, in PHC form,
//!                               message = "tercet session" || account id || request id))
//! ```
//!
//! The request id of a login is therefore secret and is not logged: the command carries `SHA-256("login" ||
//! request id)`, cut to a UUID of version 8, which is as unique and stays the same in retries. A reader of a
//! store has password hashes and token hashes but no request id, so it cannot compute a token. A caller that
//! guesses a request id has no password hash.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// Characters of a token: 32 bytes in base64url.
const TOKEN_CHARS: usize = 43;
/// The beginning of an API token.
const API_PREFIX: &str = "tercet_";

/// Computes the token of the session that a login opens.
#[must_use]
pub fn issue(password_hash: &str, account_id: u64, request_id: &[u8; 16]) -> String {
    // HMAC takes keys of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(password_hash.as_bytes())
        .expect("HMAC takes a key of any length");
    mac.update(b"tercet session");
    mac.update(&account_id.to_be_bytes());
    mac.update(request_id);
    URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}

/// Computes an API token, in the same way as the token of a session. Its beginning tells programs that search texts
/// for secrets what it is.
#[must_use]
pub fn issue_api_token(password_hash: &str, account_id: u64, request_id: &[u8; 16]) -> String {
    let secret = derived_request_id(b"tercet api token", request_id);
    format!("{API_PREFIX}{}", issue(password_hash, account_id, &secret))
}

/// Gives the request id under which the making of an API token is logged: its own is secret.
#[must_use]
pub fn logged_token_request_id(request_id: &[u8; 16]) -> [u8; 16] {
    derived_request_id(b"api token", request_id)
}

/// Gives the stored hash of a token; `None` when the text cannot be a token.
#[must_use]
pub fn hash(token: &str) -> Option<[u8; 32]> {
    let of_api = token.strip_prefix(API_PREFIX);
    let secret = of_api
        .filter(|rest| rest.len() == TOKEN_CHARS)
        .unwrap_or(token);
    let shaped = secret.len() == TOKEN_CHARS
        && secret
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    shaped.then(|| Sha256::digest(token.as_bytes()).into())
}

/// Gives the id by which its account sees a session: 16 hexadecimal digits. Nothing of the token follows from it.
#[must_use]
pub fn session_id(token_hash: &[u8; 32]) -> String {
    let digest = Sha256::new()
        .chain_update(b"tercet session id")
        .chain_update(token_hash)
        .finalize();
    let digits = digest[..8].iter().map(|byte| format!("{byte:02x}"));
    digits.collect()
}

/// Gives the request id under which a login is logged.
#[must_use]
pub fn logged_request_id(request_id: &[u8; 16]) -> [u8; 16] {
    derived_request_id(b"login", request_id)
}

/// Derives the id of a second command from a client's request id; a retry derives the same id. A UUID of
/// version 8, so that it is not taken for an id that carries a time.
#[must_use]
pub fn derived_request_id(what: &[u8], request_id: &[u8; 16]) -> [u8; 16] {
    let digest = Sha256::new()
        .chain_update(what)
        .chain_update(request_id)
        .finalize();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    id[6] = id[6] & 0x0f | 0x80;
    id[8] = id[8] & 0x3f | 0x80;
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_the_same_for_a_retry_and_differs_otherwise() {
        let token = issue("$argon2id$a", 7, &[1; 16]);
        assert_eq!(token, issue("$argon2id$a", 7, &[1; 16]));
        assert_ne!(token, issue("$argon2id$b", 7, &[1; 16]));
        assert_ne!(token, issue("$argon2id$a", 8, &[1; 16]));
        assert_ne!(token, issue("$argon2id$a", 7, &[2; 16]));
        assert!(hash(&token).is_some());
    }

    #[test]
    fn what_does_not_look_like_a_token_is_refused_without_a_look_up() {
        let token = issue("$argon2id$a", 7, &[1; 16]);
        for forged in ["", "x", &token[1..], &format!("{token}="), &"é".repeat(21)] {
            assert_eq!(hash(forged), None, "{forged}");
        }
    }

    #[test]
    fn an_api_token_is_told_by_its_beginning_and_differs_from_that_of_a_login() {
        let token = issue_api_token("$argon2id$a", 7, &[1; 16]);
        assert!(token.starts_with("tercet_"), "{token}");
        assert!(hash(&token).is_some());
        assert_eq!(token, issue_api_token("$argon2id$a", 7, &[1; 16]));
        assert_ne!(&token[7..], issue("$argon2id$a", 7, &[1; 16]));
        assert_ne!(logged_token_request_id(&[1; 16]), [1; 16]);
    }

    #[test]
    fn the_id_of_a_session_is_short_and_no_token() {
        let id = session_id(&[7; 32]);
        assert_eq!(id, session_id(&[7; 32]));
        assert_ne!(id, session_id(&[8; 32]));
        assert_eq!((id.len(), hash(&id)), (16, None));
        assert_ne!(id, "0707070707070707");
    }

    #[test]
    fn request_id_of_a_login_is_not_logged() {
        let logged = logged_request_id(&[1; 16]);
        assert_ne!(logged, [1; 16]);
        assert_eq!(logged, logged_request_id(&[1; 16]));
        assert_ne!(logged, logged_request_id(&[2; 16]));
        assert_ne!(logged, derived_request_id(b"acknowledge", &[1; 16]));
        // RFC 9562: version 8, and the common variant.
        assert_eq!((logged[6] >> 4, logged[8] >> 6), (8, 0b10));
    }
}
