//! The operations of the writer, and their results.

use std::path::PathBuf;

use tercet_core::{
    effect::Write,
    id::{Lsn, WriteId},
    log::{Entry, Snapshot},
};
use tercet_proto::log::Outcome;

use super::{StateSnapshot, event::Event, roster::Roster};

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
        /// The result of [`super::snapshot::read`] for the file.
        snapshot: Snapshot,
        path: PathBuf,
    },
}

/// The result of one call of [`super::Writer::execute`]. All of it is durable.
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

/// The outcome callback: receives the LSN and the outcome of each message that is being applied, ascending.
pub type OutcomeCallback = Box<dyn FnMut(Vec<(Lsn, Outcome)>) + Send>;
