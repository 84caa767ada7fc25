//! The store: one SQLite file per replica, with the log and the state tables. Everything that
//! speaks SQL is in this folder.

use std::path::{Path, PathBuf};

use tercet_core::{
    effect::Write,
    id::{ReplicaId, StoreId},
    input::Recovered,
    log::Entry,
};
use tercet_proto::log::Outcome;

use crate::event::{Event, MessageRow};

/// How to open a store.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// The data directory; made if it is not there.
    pub dir: PathBuf,
    /// The replica that the store must belong to.
    pub replica: ReplicaId,
    /// The identity that a new store gets.
    pub new_store: StoreId,
}

/// What opening gives: the one writer, the readers beside it, and what was on disk.
pub struct Opened {
    pub store: StoreId,
    pub writer: Writer,
    pub readers: Readers,
    pub recovered: Recovered,
}

/// One thing for the writer to do, in order.
pub enum WriteOp {
    Persist(Write),
    Apply(Vec<Entry>),
}

/// What one call of [`Writer::execute`] did. All of it is durable.
#[derive(Default)]
pub struct Executed {
    /// Applied commands, ascending by LSN. Configs change no rows and are not in here.
    pub applied: Vec<Applied>,
    /// For each Checkpoint entry applied: its LSN and a snapshot of exactly that state.
    pub snapshots: Vec<(u64, StateSnapshot)>,
}

/// The result of applying one command.
pub struct Applied {
    pub lsn: u64,
    pub outcome: Outcome,
    pub events: Vec<Event>,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing of the call was done; the same call may be made again when there is room.
    #[error("the disk is full")]
    Full,
    #[error("placeholder: {0}")]
    Other(String),
}

pub struct Writer;
pub struct Readers;
pub struct StateSnapshot;

pub fn open(_options: &OpenOptions) -> Result<Opened, StoreError> {
    unimplemented!()
}

impl Writer {
    /// Does all of it in one transaction (more where a Checkpoint is applied), fsynced.
    pub fn execute(&mut self, _ops: &[WriteOp]) -> Result<Executed, StoreError> {
        unimplemented!()
    }
    /// Moves the WAL into the database file; called between batches.
    pub fn checkpoint(&mut self) -> Result<(), StoreError> {
        unimplemented!()
    }
}

impl StateSnapshot {
    /// SHA-256 over all rows of all replicated tables. Long for a large store: call it on a
    /// thread that may block.
    pub fn hash(self) -> Result<[u8; 32], StoreError> {
        unimplemented!()
    }
}

pub struct Account {
    pub id: u64,
    pub username: String,
    pub password_hash: String,
    pub created_at_ms: i64,
}

pub struct Session {
    pub account_id: u64,
    pub username: String,
    pub expires_at_ms: i64,
}

/// Reads of committed state. Synchronous; each call takes a connection from a small pool and
/// waits for one if all are busy: call it where blocking is allowed.
impl Readers {
    /// The account that has the name now, compared without case.
    pub fn account_by_name(&self, _username: &str) -> Result<Option<Account>, StoreError> {
        unimplemented!()
    }
    /// A live account.
    pub fn account_by_id(&self, _id: u64) -> Result<Option<Account>, StoreError> {
        unimplemented!()
    }
    /// A session, expired or not.
    pub fn session(&self, _token_hash: &[u8; 32]) -> Result<Option<Session>, StoreError> {
        unimplemented!()
    }
    /// Live accounts matching `pattern` (`*`, `?`, without case) whose name, lower-cased, is
    /// greater than `after` ("" for the first page), ascending, at most `limit`.
    pub fn accounts(
        &self,
        _pattern: &str,
        _after: &str,
        _limit: usize,
    ) -> Result<Vec<Account>, StoreError> {
        unimplemented!()
    }
    /// Resolves the other side of a conversation of `account_id`: the live account of that name,
    /// else the latest deleted one of that name with which `account_id` has messages.
    pub fn peer_by_name(&self, _account_id: u64, _name: &str) -> Result<Option<u64>, StoreError> {
        unimplemented!()
    }
    /// Messages between two accounts with LSN < `before`, the newest `limit` of them, ascending.
    pub fn messages_before(
        &self,
        _a: u64,
        _b: u64,
        _before: u64,
        _limit: usize,
    ) -> Result<Vec<MessageRow>, StoreError> {
        unimplemented!()
    }
    /// Messages between two accounts with LSN > `after`, the oldest `limit` of them, ascending.
    pub fn messages_after(
        &self,
        _a: u64,
        _b: u64,
        _after: u64,
        _limit: usize,
    ) -> Result<Vec<MessageRow>, StoreError> {
        unimplemented!()
    }
    /// Messages to `account_id` not delivered, LSN > `after`, ascending.
    pub fn undelivered(
        &self,
        _account_id: u64,
        _after: u64,
        _limit: usize,
    ) -> Result<Vec<MessageRow>, StoreError> {
        unimplemented!()
    }
    /// All messages to `account_id`, LSN > `after`, ascending: what a subscription missed.
    pub fn inbox(
        &self,
        _account_id: u64,
        _after: u64,
        _limit: usize,
    ) -> Result<Vec<MessageRow>, StoreError> {
        unimplemented!()
    }
    /// Consecutive log entries from `from` through at most `through`, stopping after
    /// `bytes_max` payload bytes (at least one entry).
    pub fn log_entries(
        &self,
        _from: u64,
        _through: u64,
        _bytes_max: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        unimplemented!()
    }
    pub fn dir(&self) -> &Path {
        unimplemented!()
    }
}
