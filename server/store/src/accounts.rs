//! Accounts and login sessions as they are read from the state, and the keys by which names and password hashes are
//! compared.

use sha2::{Digest as _, Sha256};
use tercet_proto::v1::ApiScope;

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
    /// The scopes of an API token; `None` for a login session, which may do everything.
    pub scopes: Option<Scopes>,
}

/// A kind of calls that an API token may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Read,
    Send,
    Account,
}

impl Scope {
    pub const ALL: [Scope; 3] = [Scope::Read, Scope::Send, Scope::Account];

    /// Gives the name that people use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Send => "send",
            Scope::Account => "account",
        }
    }

    fn bit(self) -> u32 {
        match self {
            Scope::Read => 1,
            Scope::Send => 2,
            Scope::Account => 4,
        }
    }

    fn wire(self) -> ApiScope {
        match self {
            Scope::Read => ApiScope::Read,
            Scope::Send => ApiScope::Send,
            Scope::Account => ApiScope::Account,
        }
    }
}

/// A set of scopes, as the state has it: a bit for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scopes(pub u32);

impl Scopes {
    /// Makes the set of a request; `None` when it is empty or has an unknown scope.
    #[must_use]
    pub fn of_wire(scopes: &[i32]) -> Option<Scopes> {
        let mut bits = 0;
        for &number in scopes {
            let known = Scope::ALL
                .into_iter()
                .find(|one| one.wire() as i32 == number);
            bits |= known?.bit();
        }
        (bits != 0).then_some(Scopes(bits))
    }

    #[must_use]
    pub fn to_wire(self) -> Vec<i32> {
        let all = Scope::ALL.into_iter().filter(|&one| self.includes(one));
        all.map(|one| one.wire().into()).collect()
    }

    #[must_use]
    pub fn includes(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }
}

/// An API token of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    pub name: String,
    pub scopes: Scopes,
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: i64,
    /// 0: without end.
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
