//! Password hashing: computes and verifies argon2id hashes off the async threads, two at once.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher as _, PasswordVerifier as _, Version,
};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use tercet_types::fair::Key;
use tokio::task::spawn_blocking;
use unicode_normalization::UnicodeNormalization as _;
use uuid::Uuid;

use crate::turns::Turns;

/// Hashes computed at once. Each uses one core and `Cost::memory_kib` for about 25 ms.
const AT_ONCE: usize = 2;
/// Callers that may wait. When the queue is full, the caller with the most waiting requests is refused as busy.
const QUEUE_MAX: usize = 128;

/// The cost of one hash.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub memory_kib: u32,
    pub passes: u32,
}

impl Default for Cost {
    /// The recommendation of OWASP for argon2id (Password Storage Cheat Sheet): 19 MiB, two passes.
    fn default() -> Self {
        Cost {
            memory_kib: 19_456,
            passes: 2,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    #[error("too many passwords are being checked; try again in a moment")]
    Busy,
    #[error("argon2: {0}")]
    Argon2(String),
}

/// The hasher. Cheap to clone; all clones share the bounds.
#[derive(Clone)]
pub struct Passwords {
    argon2: Argon2<'static>,
    /// A hash of random bytes, verified where there is no account, so that the time of the answer does not show
    /// whether a name exists.
    dummy: Arc<str>,
    turns: Turns,
}

impl Passwords {
    /// Makes a hasher. It computes no hash, because its memory would stay with an idle replica.
    ///
    /// # Errors
    /// When argon2 refuses the cost.
    pub fn new(cost: Cost) -> Result<Self, PasswordError> {
        let params =
            Params::new(cost.memory_kib, cost.passes, 1, None).map_err(|e| argon2_error(&e))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let dummy = no_hash(&cost);
        Ok(Passwords {
            argon2,
            dummy: dummy.into(),
            turns: Turns::new(AT_ONCE, QUEUE_MAX),
        })
    }

    /// Hashes a new password with a new salt, in PHC form.
    ///
    /// # Errors
    /// [`PasswordError::Busy`] when too many callers wait.
    pub(crate) async fn hash(&self, key: Key, password: String) -> Result<String, PasswordError> {
        let argon2 = self.argon2.clone();
        self.run(key, move || hash(&argon2, prepare(&password).as_bytes()))
            .await
    }

    /// Checks a password against a stored hash. Without a stored hash the check takes as long and fails.
    ///
    /// A second hash is computed, in the same turn, only for a password that [`prepare`] changes, because
    /// version 0.1.0 hashed the bytes as they were typed.
    ///
    /// # Errors
    /// [`PasswordError::Busy`] when too many callers wait; an error when the stored hash is malformed.
    pub(crate) async fn verify(
        &self,
        key: Key,
        password: String,
        stored: Option<String>,
    ) -> Result<bool, PasswordError> {
        let argon2 = self.argon2.clone();
        let dummy = Arc::clone(&self.dummy);
        self.run(key, move || {
            let known = stored.is_some();
            let stored = stored.as_deref().unwrap_or(&dummy);
            let stored = PasswordHash::new(stored).map_err(|e| argon2_error(&e))?;
            let prepared = prepare(&password);
            let mut matches = matches(&argon2, &prepared, &stored)?;
            if !matches && prepared != password {
                matches = self::matches(&argon2, &password, &stored)?;
            }
            Ok(known && matches)
        })
        .await
    }

    /// Runs the work on a blocking thread. The turn moves with the work, so a caller that goes away frees no
    /// turn early.
    async fn run<T: Send + 'static>(
        &self,
        key: Key,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let turn = self.turns.take(key).await.ok_or(PasswordError::Busy)?;
        spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        })
        .await
        .map_err(|error| PasswordError::Argon2(error.to_string()))?
    }
}

/// Gives the form of a password that is hashed: RFC 8265, OpaqueString. Spaces of other scripts become U+0020,
/// and the text becomes NFC, because systems differ in how they compose typed characters. Case stays.
fn prepare(password: &str) -> String {
    password
        .chars()
        .map(|c| if is_space_separator(c) { ' ' } else { c })
        .nfc()
        .collect()
}

/// Tests for the general category Zs of Unicode.
fn is_space_separator(c: char) -> bool {
    matches!(
        c,
        ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'
            ..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    )
}

fn matches(
    argon2: &Argon2<'_>,
    password: &str,
    stored: &PasswordHash,
) -> Result<bool, PasswordError> {
    match argon2.verify_password(password.as_bytes(), stored) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(argon2_error(&error)),
    }
}

fn hash(argon2: &Argon2<'_>, password: &[u8]) -> Result<String, PasswordError> {
    argon2
        .hash_password(password)
        .map(|hash| hash.to_string())
        .map_err(|e| argon2_error(&e))
}

/// Makes a hash of random bytes at the given cost.
fn no_hash(cost: &Cost) -> String {
    let random = || *Uuid::new_v4().as_bytes();
    let salt = STANDARD_NO_PAD.encode(random());
    let hash = STANDARD_NO_PAD.encode([random(), random()].concat());
    let Cost { memory_kib, passes } = cost;
    format!("$argon2id$v=19$m={memory_kib},t={passes},p=1${salt}${hash}")
}

fn argon2_error(error: &impl ToString) -> PasswordError {
    PasswordError::Argon2(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key::REPLICA;
    const CHEAP: Cost = Cost {
        memory_kib: 8,
        passes: 1,
    };

    #[tokio::test]
    async fn password_verifies_against_its_own_hash_only() {
        let passwords = Passwords::new(CHEAP).unwrap();
        let stored = passwords.hash(KEY, "correct horse".into()).await.unwrap();
        assert!(
            stored.starts_with("$argon2id$v=19$m=8,t=1,p=1$"),
            "{stored}"
        );
        let verify = |word: &str, stored| passwords.verify(KEY, word.into(), stored);
        assert!(verify("correct horse", Some(stored.clone())).await.unwrap());
        assert!(!verify("battery staple", Some(stored)).await.unwrap());
        assert!(!verify("correct horse", None).await.unwrap());
    }

    #[tokio::test]
    async fn password_is_the_same_however_a_system_composes_it() {
        let passwords = Passwords::new(CHEAP).unwrap();
        // e with an acute, a Hangul syllable, and a no-break space: composed, then decomposed.
        let composed = "caf\u{e9} \u{ac01}\u{a0}horse";
        let decomposed = "cafe\u{301} \u{1100}\u{1161}\u{11a8} horse";
        for (set, typed) in [(composed, decomposed), (decomposed, composed)] {
            let stored = passwords.hash(KEY, set.into()).await.unwrap();
            let verify = |word: &str| passwords.verify(KEY, word.into(), Some(stored.clone()));
            assert!(verify(typed).await.unwrap(), "{set:?} {typed:?}");
            assert!(verify(set).await.unwrap(), "{set:?}");
            // Neither case nor what merely looks alike.
            assert!(!verify("CAF\u{c9} \u{ac01} HORSE").await.unwrap());
            assert!(!verify("cafe \u{ac01} horse").await.unwrap());
        }
        // There is no account: nothing matches, also by the second hash.
        assert!(
            !passwords
                .verify(KEY, decomposed.into(), None)
                .await
                .unwrap()
        );
    }

    #[tokio::test]
    async fn hash_of_an_earlier_version_verifies_the_bytes_it_was_made_of() {
        let passwords = Passwords::new(CHEAP).unwrap();
        let typed = "cafe\u{301} horse";
        let stored = hash(&passwords.argon2, typed.as_bytes()).unwrap();
        let verify = |word: &str| passwords.verify(KEY, word.into(), Some(stored.clone()));
        assert!(verify(typed).await.unwrap());
        assert!(!verify("cafe horse").await.unwrap());
    }

    #[tokio::test]
    async fn hash_of_no_password_has_the_form_of_one() {
        let passwords = Passwords::new(CHEAP).unwrap();
        let stored = passwords.hash(KEY, "correct horse".into()).await.unwrap();
        let lengths = |hash: &str| hash.split('$').map(str::len).collect::<Vec<_>>();
        assert_eq!(lengths(&passwords.dummy), lengths(&stored));
    }

    #[tokio::test]
    async fn stored_text_that_is_no_hash_is_an_error_and_no_panic() {
        let passwords = Passwords::new(CHEAP).unwrap();
        let broken = passwords
            .verify(KEY, "x".into(), Some("garbage".into()))
            .await;
        assert!(matches!(broken, Err(PasswordError::Argon2(_))));
    }

    #[tokio::test]
    async fn more_callers_than_may_wait_are_told_that_it_is_busy() {
        let passwords = Passwords::new(CHEAP).unwrap();
        let mut held = Vec::new();
        for _ in 0..AT_ONCE {
            held.push(passwords.turns.take(KEY).await.unwrap());
        }
        let hash = |key: Key| {
            let passwords = passwords.clone();
            tokio::spawn(async move { passwords.hash(key, "correct horse".into()).await })
        };
        let flood: Vec<_> = (0..QUEUE_MAX).map(|_| hash(KEY)).collect();
        while passwords.turns.waiting() < QUEUE_MAX {
            tokio::task::yield_now().await;
        }
        let refused = passwords.hash(KEY, "correct horse".into()).await;
        assert!(matches!(refused, Err(PasswordError::Busy)));
        // Another caller takes the place of one of these, and gets the second turn.
        let other = hash(Key::account(1));
        while !flood[QUEUE_MAX - 1].is_finished() {
            tokio::task::yield_now().await;
        }
        drop(held);
        other.await.unwrap().unwrap();
        assert!(!flood[QUEUE_MAX - 2].is_finished());
    }

    #[test]
    fn default_cost_is_the_recommended_one() {
        let passwords = Passwords::new(Cost::default()).unwrap();
        let prefix = "$argon2id$v=19$m=19456,t=2,p=1$";
        assert!(passwords.dummy.starts_with(prefix), "{}", passwords.dummy);
    }
}
