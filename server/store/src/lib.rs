//! The store: one SQLite file for each replica, with the log and the state tables. All SQL is in this crate.
//!
//! One [`Writer`] appends to the log and applies committed entries; [`Readers`] read beside it. The store knows
//! nothing of leaders, peers or clients: the core decides what is written and when it is committed.

mod apply;
mod base;
pub mod command;
pub mod commands;
mod directory;
mod error;
pub mod event;
pub mod fields;
mod identity;
mod index;
mod lineage;
mod log;
pub mod place;
pub mod queries;
mod readers;
mod requests;
pub mod roster;
mod schema;
pub mod snapshot;
mod state_hash;
mod step;
#[cfg(test)]
mod tests;
mod trim;
mod unseen;
mod wal;
mod wal_checkpointer;
mod window;
pub mod wire;
mod writer;

use std::{path::PathBuf, sync::Arc};

use sha2::{Digest as _, Sha256};
use tercet_core::{
    effect::Write,
    id::{Lsn, ReplicaId, StoreId, WriteId},
    log::{Entry, Recovered, Snapshot},
};
use tercet_proto::log::Outcome;

pub use self::{
    commands::MADE_LATER_MAX,
    directory::set_aside,
    error::StoreError,
    lineage::Lineage,
    readers::{ReadError, ReadThreads, Readers},
    state_hash::StateSnapshot,
    unseen::{Unseen, What},
    writer::Writer,
};
use self::{
    event::Event, identity::Identity, index::LazyIndex, roster::Roster, trim::SharedSize,
    wal_checkpointer::WalCheckpointer,
};

/// Options for opening a store.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Whether a store that is marked as in use is opened without its WAL, because an operator accepts that the
    /// WAL's transactions are lost.
    pub accept_missing_wal: bool,
    /// The data directory; created if missing.
    pub dir: PathBuf,
    /// The replica that the store must belong to.
    pub replica: ReplicaId,
    /// The identity that a new store gets.
    pub new_store: StoreId,
}

/// The result of opening: the one writer, the readers beside it, and the data on disk.
pub struct Opened {
    pub store: StoreId,
    pub writer: Writer,
    pub readers: Readers,
    pub recovered: Recovered,
    /// The greatest stamp that was applied.
    pub last_stamp_ms: i64,
    /// The roster of the state; `None` while it has none.
    pub roster: Option<Roster>,
    /// Whether a note of the store's place must exist, for [`place::is_copied`].
    pub expects_note: bool,
}

/// One operation for the writer, executed in order.
pub enum WriteOp {
    Persist(Write),
    Apply(Vec<Entry>),
    /// Applies entries whose outcomes no caller waits for, as at a backup.
    Follow(Vec<Entry>),
    /// Notes the LSN through which all members of the newest Config have the log on disk; it is applied by
    /// then.
    Settle(Lsn),
    /// Trims entries from the log's beginning through that LSN, all of them applied, or fewer when they are
    /// many: [`Executed::trimmed`] gives the progress, and the store writer repeats the operation.
    Trim {
        through: Lsn,
    },
    /// Replaces the state and the whole log by a snapshot, in a transaction of its own. The identity and the
    /// promise stay.
    Install {
        /// Identifies the operation, as a [`Write::id`].
        write: WriteId,
        /// The result of [`snapshot::read`] for the file.
        snapshot: Snapshot,
        path: PathBuf,
    },
}

/// The result of one call of [`Writer::execute`]. All of it is durable.
#[derive(Default)]
pub struct Executed {
    /// Applied commands, ascending by LSN. Configs, which change no rows, and entries of `Follow` are left out.
    pub applied: Vec<Applied>,
    /// For each Checkpoint entry applied: its LSN and a snapshot of exactly that state.
    pub snapshots: Vec<(u64, StateSnapshot)>,
    /// The newest roster, if it changed.
    pub roster: Option<Roster>,
    /// The first entry left in the log, if a Trim was among the operations.
    pub trimmed: Option<Lsn>,
    /// Whether the state has rows of ended sessions or deleted accounts that CleanUp commands must remove.
    pub cleanups_left: bool,
    /// The greatest stamp that was ever applied.
    pub last_stamp_ms: i64,
}

/// The result of applying one command.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    pub lsn: u64,
    pub outcome: Outcome,
    /// Empty for a retry, whose events were published the first time.
    pub events: Vec<Event>,
}

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

/// Locks the data directory, migrates its store, and reads its content. Checks every entry of the log, so the
/// time grows with the log. A refused store is left unchanged.
///
/// # Errors
/// When another process has locked the directory; when the store is another replica's, of a newer version, or
/// damaged; when it cannot be written.
pub fn open(options: &OpenOptions) -> Result<Opened, StoreError> {
    let dir = &options.dir;
    let lock = directory::lock(dir)?;
    wal::check(dir)?;
    let (connection, version) = schema::open_writer(options)?;

    let Identity {
        store, promised, ..
    } = identity::read(&connection)?;
    let mark = step::mark(&connection)?;
    command::check_version(mark.command_version, || "the state of the store".into())?;
    let sql = "SELECT applied_lsn FROM position";
    let applied = connection.query_row(sql, [], |row| Ok(Lsn(row.get(0)?)))?;
    let found = log::recover(&connection, promised, applied)?;
    let roster = roster::read(&connection)?;
    let indexed = LazyIndex::read(&connection, applied)?;
    let unindexed_reads = indexed.unindexed_reads.clone();
    let at = writer::Position {
        promised,
        base: Arc::new(found.base),
        end: found.end,
        log_bytes: found.bytes,
        applied,
        settled: found.recovered.settled,
        mark,
        cleanups_left: step::has_cleanups(&connection)?,
        indexed,
    };
    let size = SharedSize::new(at.log_size());
    let readers = Readers::open(dir, size.clone(), unindexed_reads)?;
    // Last, because a refused store is left unchanged.
    schema::accept(&connection)?;
    let checkpointer = WalCheckpointer::start(dir)?;
    Ok(Opened {
        store,
        writer: Writer::new(connection, checkpointer, dir.clone(), at, size, lock),
        readers,
        recovered: found.recovered,
        last_stamp_ms: mark.stamp_ms,
        roster,
        expects_note: version >= schema::PLACE_NOTED,
    })
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
