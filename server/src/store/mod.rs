//! The store: one SQLite file per replica, with the log and the state tables. Everything that
//! speaks SQL is in this folder.
//!
//! One [`Writer`] appends to the log and applies committed entries; [`Readers`] stand beside it.
//! It knows nothing of leaders, peers or clients: what to write, and when it is committed, is
//! decided by the core.

mod apply;
mod base;
mod directory;
mod error;
mod identity;
mod index;
mod lineage;
mod log;
pub mod place;
mod readers;
mod requests;
mod roster;
mod schema;
mod sessions;
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
mod writer;

use std::{path::PathBuf, sync::Arc};

use sha2::{Digest as _, Sha256};
use tercet_core::{
    effect::Write,
    id::{Lsn, ReplicaId, StoreId, WriteId},
    input::Recovered,
    log::{Entry, Snapshot},
};
use tercet_proto::log::Outcome;

pub(crate) use self::apply::MADE_LATER_MAX;
pub use self::directory::set_aside;
pub use self::{
    error::StoreError,
    lineage::Lineage,
    readers::{Busy, ReadThreads, Readers},
    state_hash::StateSnapshot,
    unseen::{Unseen, What},
    writer::Writer,
};
use self::{
    identity::Identity, index::LazyIndex, trim::SharedSize, wal_checkpointer::WalCheckpointer,
};
use crate::{command, event::Event, roster::Roster};

/// How to open a store.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// A store that is marked as in use is opened without its WAL too: an operator's word that nothing was in
    /// that.
    pub accept_missing_wal: bool,
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
    /// The greatest stamp that was applied.
    pub last_stamp_ms: i64,
    /// Who belongs to the cluster; `None` while the state does not say.
    pub roster: Option<Roster>,
    /// Whether a note of where the store is must be there, for [`place::is_copied`].
    pub expects_note: bool,
}

/// One thing for the writer to do, in order.
pub enum WriteOp {
    Persist(Write),
    Apply(Vec<Entry>),
    /// The same where nobody waits to hear what came of it, as at a backup.
    Follow(Vec<Entry>),
    /// Notes how far all members of the newest Config have the log on disk: applied by then.
    Settle(Lsn),
    /// Lets go of entries from the log's beginning up to there, all of them applied, or of fewer when
    /// they are many: [`Executed::trimmed`] says how far it came, and the store writer gives it again.
    Trim {
        through: Lsn,
    },
    /// Puts a snapshot in the place of the state and of the whole log, in a transaction of its own.
    /// The identity and the promise stay.
    Install {
        /// Names it, as a [`Write::id`].
        write: WriteId,
        /// What [`snapshot::read`] said of the file.
        snapshot: Snapshot,
        path: PathBuf,
    },
}

/// What one call of [`Writer::execute`] did. All of it is durable.
#[derive(Default)]
pub struct Executed {
    /// Applied commands, ascending by LSN. Configs change no rows and are not in here, nor is what was
    /// merely followed.
    pub applied: Vec<Applied>,
    /// For each Checkpoint entry applied: its LSN and a snapshot of exactly that state.
    pub snapshots: Vec<(u64, StateSnapshot)>,
    /// The newest roster, if it was changed.
    pub roster: Option<Roster>,
    /// First entry that the log still has, if a Trim was among the operations.
    pub trimmed: Option<Lsn>,
    /// Whether the state has rows of ended sessions or deleted accounts that CleanUp commands are to remove.
    pub cleanups_left: bool,
    /// The greatest stamp that was ever applied.
    pub last_stamp_ms: i64,
}

/// The result of applying one command.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    pub lsn: u64,
    pub outcome: Outcome,
    /// Empty for a retry: what it did was made known the first time.
    pub events: Vec<Event>,
}

/// A living account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub id: u64,
    /// As registered.
    pub username: String,
    /// argon2id, PHC form.
    pub password_hash: String,
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: i64,
}

/// An open session of a living account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub account_id: u64,
    pub username: String,
    /// Milliseconds since the Unix epoch; to be refused from then on.
    pub expires_at_ms: i64,
}

/// Takes the data directory, brings its store up to date, and reads what it holds. Checks every
/// entry of the log, so it takes longer the longer the log is. A store that is refused is left as
/// it was.
///
/// # Errors
/// When another process has the directory; when the store is another replica's, of a newer
/// version, or damaged; when it cannot be written.
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
    // Last: a store that is refused is left as it was.
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

/// Names are compared without case: two that give the same key are the same name.
#[must_use]
pub fn name_key(username: &str) -> String {
    username.to_ascii_lowercase()
}

/// What a command carries of the password hash that a leader checked, so that it is refused once the account has
/// another.
#[must_use]
pub fn password_digest(password_hash: &str) -> [u8; 32] {
    Sha256::digest(password_hash.as_bytes()).into()
}
