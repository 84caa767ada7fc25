//! The one writer: executes the core's writes and committed entries in transactions, in order.
//!
//! Its copy of the position in memory changes only with a commit.

mod checkpoint;

use std::path::PathBuf;

use rusqlite::{Connection, TransactionBehavior};
use tercet_core::id::Lsn;

use self::checkpoint::{WAL_PAGES_MAX, WalState};
use super::{
    StateSnapshot, StoreError,
    apply::AccountCache,
    directory::DirectoryLock,
    ops::{Executed, OutcomeCallback, WriteOp},
    position::Position,
    schema,
    snapshot::Source,
    step::Step,
    trim::SharedSize,
    wal_checkpointer::WalCheckpointer,
    window,
};

/// The progress of a call of `execute`: everything before is committed.
#[derive(Default)]
struct Progress {
    /// Operations that are done.
    ops: usize,
    /// Entries that are done of the next operation, an Apply.
    entries: usize,
    /// The Checkpoint at which the state must be pinned, if it is not pinned yet.
    unpinned: Option<u64>,
    executed: Executed,
}

/// The only connection that writes. `Send`: it belongs on a thread of its own.
pub struct Writer {
    /// Dropped first: it must not work on a store that another process may have opened.
    checkpointer: WalCheckpointer,
    pub(super) connection: Connection,
    pub(super) dir: PathBuf,
    pub(super) at: Position,
    size: SharedSize,
    known: AccountCache,
    /// Receives outcomes before they are durable.
    outcome_callback: Option<OutcomeCallback>,
    pub(super) request_limits: window::Limits,
    /// Pages from which the WAL must start over.
    pub(super) wal_pages_max: i32,
    wal: WalState,
    /// The committed part of a call that met a full disk.
    unfinished: Option<Progress>,
    /// Whether the file is marked as in use.
    marked: bool,
    /// Whether an error has ended all writing.
    failed: bool,
    /// Dropped last: until then the directory is locked.
    _lock: DirectoryLock,
}

impl Writer {
    pub(super) fn new(
        connection: Connection,
        checkpointer: WalCheckpointer,
        dir: PathBuf,
        at: Position,
        size: SharedSize,
        lock: DirectoryLock,
    ) -> Writer {
        Writer {
            checkpointer,
            connection,
            dir,
            at,
            size,
            known: AccountCache::default(),
            outcome_callback: None,
            request_limits: window::Limits::ALL,
            wal_pages_max: WAL_PAGES_MAX,
            wal: WalState::default(),
            unfinished: None,
            marked: false,
            failed: false,
            _lock: lock,
        }
    }

    /// Sets the callback that receives outcomes of messages before the transaction that applies them is
    /// durable: their entries are durable on every member of the view, and an outcome follows from the log. The
    /// outcomes are in the result of [`Writer::execute`] too.
    pub fn report_outcomes_to(&mut self, outcome_callback: OutcomeCallback) {
        self.outcome_callback = Some(outcome_callback);
    }

    /// Executes all operations in one fsynced transaction (in several where a Checkpoint is applied or a
    /// snapshot installed).
    ///
    /// # Errors
    /// After `Full` the next call must begin with the same operations: it continues with the remaining ones,
    /// and its result covers both calls. After any other error the store accepts no further operation.
    /// `TrimNotApplied`, for a Trim past the applied entries, is returned before anything is done.
    ///
    /// # Panics
    /// When the operations break the log's rules: entries that leave a gap, a cut of applied entries, an epoch
    /// that falls, an Apply of entries that are not next or not in the log, a snapshot of entries that are
    /// applied already.
    pub fn execute(&mut self, ops: &[WriteOp]) -> Result<Executed, StoreError> {
        if self.failed {
            return Err(StoreError::Stopped);
        }
        self.check_trims(ops)?;
        if !ops.is_empty() {
            self.mark()?;
        }
        let mut progress = self.unfinished.take().unwrap_or_default();
        while progress.unpinned.is_some() || progress.ops < ops.len() {
            match self.advance(ops, &mut progress) {
                Ok(()) => {}
                Err(StoreError::Full) => {
                    self.known.clear();
                    self.unfinished = Some(progress);
                    return Err(StoreError::Full);
                }
                Err(error) => {
                    self.failed = true;
                    return Err(error);
                }
            }
        }
        Ok(progress.executed)
    }

    /// Marks the store as in use. On a full disk, and while another program reads or checkpoints the WAL, the
    /// next call tries again.
    fn mark(&mut self) -> Result<(), StoreError> {
        if self.marked {
            return Ok(());
        }
        match schema::begin_use(&self.connection) {
            Ok(marked) => self.marked = marked,
            Err(error) if error.is_busy() => {}
            Err(error) => {
                self.failed = !matches!(error, StoreError::Full);
                return Err(error);
            }
        }
        Ok(())
    }

    fn check_trims(&self, ops: &[WriteOp]) -> Result<(), StoreError> {
        let mut applied = self.at.applied;
        for op in ops {
            match op {
                WriteOp::Persist(_) | WriteOp::Settle(_) => {}
                WriteOp::Apply(entries) | WriteOp::Follow(entries) => {
                    applied = entries.last().map_or(applied, |last| applied.max(last.lsn));
                }
                WriteOp::Trim { through } if *through > applied => {
                    let through = *through;
                    return Err(StoreError::TrimNotApplied { through, applied });
                }
                WriteOp::Trim { .. } => {}
                WriteOp::Install { snapshot, .. } => applied = applied.max(snapshot.lsn),
            }
        }
        Ok(())
    }

    fn advance(&mut self, ops: &[WriteOp], progress: &mut Progress) -> Result<(), StoreError> {
        let Some(lsn) = progress.unpinned else {
            return self.transact(ops, progress);
        };
        // Pinning opens the file once more. A failure, perhaps for lack of descriptors, affects only this hash:
        // a caller that asks for it gets the answer that there is none.
        match StateSnapshot::pin(&self.dir) {
            Ok(snapshot) => progress.executed.snapshots.push((lsn, snapshot)),
            Err(StoreError::Io(error)) => {
                tracing::warn!(lsn, error, "the state is not hashed: open the store for it");
            }
            Err(error) => return Err(error),
        }
        progress.unpinned = None;
        Ok(())
    }

    /// Runs one transaction: from `progress` through the next Checkpoint, or to the end. On failure nothing
    /// changes, in memory or on disk.
    fn transact(&mut self, ops: &[WriteOp], progress: &mut Progress) -> Result<(), StoreError> {
        if let Some(WriteOp::Install { snapshot, path, .. }) = ops.get(progress.ops) {
            let source = Source::open(path)?;
            if source.snapshot != *snapshot {
                let what = "it is not the one that was fetched";
                return Err(StoreError::Snapshot(what.into()));
            }
            let mut step = self.begin(false)?;
            step.install(&source)?;
            let committed = step.commit()?;
            self.note(committed, progress);
            progress.ops += 1;
            return Ok(());
        }
        let mut step = self.begin(progress.executed.applied.is_empty())?;
        let (mut done_ops, mut done_entries) = (progress.ops, progress.entries);
        let mut checkpoint = None;
        for op in &ops[done_ops..] {
            match op {
                WriteOp::Persist(write) => step.persist(write)?,
                WriteOp::Settle(lsn) => step.settle(*lsn),
                WriteOp::Trim { through } => step.trim(*through)?,
                // A snapshot begins the next transaction.
                WriteOp::Install { .. } => break,
                WriteOp::Apply(entries) | WriteOp::Follow(entries) => {
                    let is_heard = matches!(op, WriteOp::Apply(_));
                    let (count, stopped_at) = step.apply(&entries[done_entries..], is_heard)?;
                    step.report_outcomes();
                    checkpoint = stopped_at;
                    if done_entries + count < entries.len() {
                        done_entries += count;
                        break;
                    }
                }
            }
            done_ops += 1;
            done_entries = 0;
            if checkpoint.is_some() {
                break;
            }
        }
        let committed = step.commit()?;
        self.note(committed, progress);
        progress.ops = done_ops;
        progress.entries = done_entries;
        progress.unpinned = checkpoint;
        Ok(())
    }

    /// Begins a transaction. `tells`: report outcomes before the transaction is durable. False while earlier
    /// outcomes of this call are unreported.
    fn begin(&mut self, tells: bool) -> Result<Step<'_>, StoreError> {
        Ok(Step {
            transaction: self
                .connection
                .transaction_with_behavior(TransactionBehavior::Immediate)?,
            known: &mut self.known,
            outcome_callback: self.outcome_callback.as_mut().filter(|_| tells),
            at: self.at.clone(),
            applied_before: self.at.applied,
            request_limits: self.request_limits,
            forgotten_before: self
                .at
                .mark
                .window
                .removed(self.request_limits, self.at.applied.0),
            executed: Executed::default(),
            told: 0,
            roster_changed: false,
            cleanups_changed: false,
            settled_changed: false,
        })
    }

    /// Notes the result of a transaction.
    fn note(&mut self, (at, executed): (Position, Executed), progress: &mut Progress) {
        self.at = at;
        self.size.set(self.at.log_size());
        progress.executed.applied.extend(executed.applied);
        progress.executed.cleanups_left = executed.cleanups_left;
        progress.executed.roster = executed.roster.or(progress.executed.roster.take());
        progress.executed.last_stamp_ms = self.at.mark.stamp_ms;
        progress.executed.trimmed = executed.trimmed.or(progress.executed.trimmed);
    }

    /// Ends the use of a store that did not fail: all of it is then in the file alone.
    ///
    /// # Errors
    /// When it cannot be written; the store is then as after a crash.
    pub fn close(self) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Stopped);
        }
        schema::close(&self.connection)
    }

    /// Gives the last entry of the log.
    pub fn log_end(&self) -> Lsn {
        self.at.end.lsn
    }

    /// Tells whether applied messages are not indexed yet.
    pub fn is_index_behind(&self) -> bool {
        self.at.indexed.through < self.at.applied
    }

    /// Brings the indexes up to date, when there is no other work: later reads have less to scan.
    pub fn catch_up_index(&mut self) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Stopped);
        }
        match self.mark() {
            Err(StoreError::Full) => return Ok(()),
            marked => marked?,
        }
        let mut step = self.begin(false)?;
        let caught_up = step.catch_up_index().and_then(|()| step.commit());
        match caught_up {
            Ok((at, _)) => self.at = at,
            Err(StoreError::Full) => {}
            Err(error) => {
                self.failed = true;
                return Err(error);
            }
        }
        Ok(())
    }
}
