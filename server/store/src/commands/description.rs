//! The description of a command for people, who decide what becomes of an entry that no other store has.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _};
use tercet_core::id::Lsn;

use super::StoreError;

/// The content of an entry that means something to people. No password and no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Message {
        id: [u8; 16],
        sender: String,
        sender_id: u64,
        recipient: String,
        body: String,
        /// `None` where the message is not in the state.
        delivered: Option<bool>,
    },
    AccountCreated {
        username: String,
    },
    AccountDeleted {
        username: String,
    },
    MessagesAcknowledged {
        username: String,
        ids: Vec<[u8; 16]>,
    },
    /// Any other entry, by its name: `session`, `password`, `block`, `cleanup`, `checkpoint`, `roster`, `view`,
    /// `unknown`, or `without_effect` for a refused request or a retry.
    Other(&'static str),
}

/// The facts about an entry that its command is described with.
pub(crate) struct About<'a> {
    pub lsn: Lsn,
    pub request_id: &'a [u8],
    /// Whether the entry is in the state.
    pub applied: bool,
    pub connection: &'a Connection,
    /// Accounts that unapplied entries would create.
    pub accounts: &'a mut BTreeMap<u64, String>,
}

impl About<'_> {
    /// Notes that the entry creates an account.
    pub fn create_account(&mut self, username: &str) {
        self.accounts.insert(self.lsn.0, username.to_owned());
    }

    /// Finds the name of an account, deleted or not; empty for an account that never existed.
    pub fn username(&self, id: u64) -> Result<String, StoreError> {
        let known = self
            .connection
            .prepare_cached("SELECT username FROM users WHERE id = ?1")?
            .query_row([i64::try_from(id).unwrap_or(i64::MAX)], |row| row.get(0))
            .optional()?;
        Ok(known
            .or_else(|| self.accounts.get(&id).cloned())
            .unwrap_or_default())
    }
}
