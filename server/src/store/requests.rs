//! Finished requests: what makes a retry get the first answer, on whichever replica it is
//! applied.
//!
//! A request is remembered while its LSN is among the last `window`. Whether a row counts
//! depends on the LSN of the entry that asks, not on when rows are removed, so the size of the
//! batches does not matter.

use bytes::Bytes;
use prost::Message as _;
use rusqlite::{Connection, OptionalExtension as _, params};
use sha2::{Digest as _, Sha256};
use tercet_proto::log::{Outcome, command::Action};

use super::{StoreError, name_key};

/// Requests are remembered for this many entries of the log. Part of the replicated state's
/// definition: all replicas must have the same.
pub const REQUEST_WINDOW: u64 = 1_000_000;

pub(super) type Fingerprint = [u8; 16];

/// What was asked, as far as the client said it: a retry has the same. Left out is what the
/// leader adds and may add differently the next time: the stamp, the hash of a password (its
/// salt), a session's expiry, whether the recipient was connected, the fewest replicas to be left.
pub(super) fn fingerprint(action: &Action) -> Fingerprint {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    match action {
        Action::CreateAccount(create) => {
            part(b"create_account");
            part(name_key(&create.username).as_bytes());
        }
        Action::CreateSession(create) => {
            part(b"create_session");
            part(&create.account_id.to_be_bytes());
            part(&create.token_hash);
        }
        Action::EndSession(end) => {
            part(b"end_session");
            part(&end.account_id.to_be_bytes());
            part(&end.token_hash);
        }
        Action::DeleteAccount(delete) => {
            part(b"delete_account");
            part(&delete.account_id.to_be_bytes());
        }
        Action::SendMessage(send) => {
            part(b"send_message");
            part(&send.sender_id.to_be_bytes());
            part(name_key(&send.recipient).as_bytes());
            part(send.body.as_bytes());
        }
        Action::AcknowledgeMessages(acknowledge) => {
            part(b"acknowledge_messages");
            part(&acknowledge.account_id.to_be_bytes());
            for id in &acknowledge.message_ids {
                part(id);
            }
        }
        Action::Checkpoint(_) => part(b"checkpoint"),
        Action::FoundRoster(_) => part(b"found_roster"),
        Action::AddReplica(add) => {
            part(b"add_replica");
            part(&add.replica.clone().unwrap_or_default().encode_to_vec());
        }
        Action::MoveReplica(_) => part(b"move_replica"),
        Action::RemoveReplica(remove) => {
            part(b"remove_replica");
            part(&remove.replica_id.to_be_bytes());
        }
    }
    let hash: [u8; 32] = hash.finalize().into();
    hash[..16].try_into().expect("16 of 32 bytes")
}

/// The table, as it is for the entry at `lsn`.
pub(super) struct Requests<'a> {
    pub connection: &'a Connection,
    pub lsn: u64,
    pub window: u64,
}

impl Requests<'_> {
    /// Requests at or below this LSN are forgotten.
    pub fn floor(&self) -> u64 {
        self.lsn.saturating_sub(self.window)
    }

    /// How a request ended, and what was asked.
    pub fn find(&self, id: &[u8]) -> Result<Option<(Fingerprint, Outcome)>, StoreError> {
        let found: Option<(Fingerprint, Vec<u8>)> = self
            .connection
            .prepare_cached(
                "SELECT fingerprint, outcome FROM requests WHERE request_id = ?1 AND lsn > ?2",
            )?
            .query_row(params![id, self.floor()], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        let Some((fingerprint, outcome)) = found else {
            return Ok(None);
        };
        let outcome = Outcome::decode(Bytes::from(outcome))
            .map_err(|error| StoreError::Corrupt(format!("a recorded outcome: {error}")))?;
        Ok(Some((fingerprint, outcome)))
    }

    /// The entry that a request became.
    pub fn find_lsn(&self, id: &[u8]) -> Result<Option<u64>, StoreError> {
        Ok(self
            .connection
            .prepare_cached("SELECT lsn FROM requests WHERE request_id = ?1 AND lsn > ?2")?
            .query_row(params![id, self.floor()], |row| row.get(0))
            .optional()?)
    }

    /// Replaces a forgotten request with the same id, if its row is still there.
    pub fn record(
        &self,
        id: &[u8],
        fingerprint: &Fingerprint,
        outcome: &Outcome,
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO requests (lsn, request_id, fingerprint, outcome)
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![self.lsn, id, fingerprint, outcome.encode_to_vec()])?;
        Ok(())
    }

    /// Removes what is forgotten. Before each commit, so that committed states are equal.
    pub fn trim(&self) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("DELETE FROM requests WHERE lsn <= ?1")?
            .execute([self.floor()])?;
        Ok(())
    }
}
