//! Accounts and login sessions as they are read from the state, and the keys by which names and password hashes are
//! compared.

use sha2::{Digest as _, Sha256};

/// An account that is not deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub id: u64,
    /// The name as it was registered.
    pub username: String,
    /// The password's argon2id hash in PHC form.
    pub password_hash: String,
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: i64,
}

/// An open session of an account that is not deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub account_id: u64,
    pub username: String,
    /// Milliseconds since the Unix epoch; to be refused from then on.
    pub expires_at_ms: i64,
}

/// Gives the key of a name for comparison without case: names with the same key are the same name.
#[must_use]
pub fn name_key(username: &str) -> String {
    username.to_ascii_lowercase()
}

/// Gives the digest of a password hash that a command carries, so that the command is refused once the account
/// has another hash.
#[must_use]
pub fn password_digest(password_hash: &str) -> [u8; 32] {
    Sha256::digest(password_hash.as_bytes()).into()
}
