//! The store writer: the thread that owns the store's writer. It takes the driver's operations in order,
//! executes all that wait in one transaction, and reports the results.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel},
    thread,
    time::Duration,
};

use tercet_core::id::{Lsn, WriteId};
use tercet_proto::log::Outcome;
use tercet_store::{Applied, Executed, StateSnapshot, StoreError, WriteOp, Writer, roster::Roster};
use tokio::sync::mpsc::UnboundedSender;

use crate::reserve::Reserve;

/// Operations of one transaction at most; this bounds how long the first of them waits.
const OPS_MAX: usize = 256;

/// The interval between attempts on a full disk.
const FULL_RETRY: Duration = Duration::from_millis(500);

/// The time without operations after which the lazy index catches up.
const INDEX_WAIT: Duration = Duration::from_secs(1);

/// A report of the thread. Except for early outcomes, everything in it is durable.
pub(crate) enum Done {
    Executed {
        /// The last write of the batch that was persisted, if any.
        persisted: Option<WriteId>,
        /// The last entry that was applied, if any.
        applied_through: Option<Lsn>,
        applied: Vec<Applied>,
        snapshots: Vec<(u64, StateSnapshot)>,
        /// The newest roster, if it changed.
        roster: Option<Roster>,
        /// The first entry that is left in the log, if it was trimmed.
        trimmed: Option<Lsn>,
        /// Whether CleanUp commands have rows to remove.
        cleanups_left: bool,
        /// The greatest stamp that was ever applied.
        last_stamp_ms: i64,
    },
    /// Early outcomes of messages; `Executed` repeats them once they are durable.
    EarlyOutcomes(Vec<(Lsn, Outcome)>),
    /// True: the disk is full, writes use the space of the reserve, and no new work should begin. False: there
    /// is room again.
    DiskFull(bool),
    /// The disk is full and nothing can be written at all. The thread keeps trying.
    Stuck,
    /// The store failed; later data cannot be trusted.
    Failed(StoreError),
}

/// Starts the thread. It ends when the sender of operations is dropped, or the store fails.
pub(crate) fn spawn(
    writer: Writer,
    reserve: Reserve,
    done: UnboundedSender<Done>,
) -> std::io::Result<(Sender<WriteOp>, thread::JoinHandle<()>)> {
    let (ops, incoming) = channel();
    let outcomes_sender = done.clone();
    let mut writer = writer;
    // A driver that has ended needs no report.
    writer.report_outcomes_to(Box::new(move |outcomes| {
        _ = outcomes_sender.send(Done::EarlyOutcomes(outcomes))
    }));
    let mut writer = StoreWriter {
        writer,
        reserve,
        incoming,
        done,
        full: false,
        trim: None,
        settling: None,
    };
    let thread = thread::Builder::new()
        .name("store-writer".into())
        .spawn(move || match writer.write_all() {
            Ok(()) => {
                if let Err(error) = writer.writer.close() {
                    tracing::warn!(%error, "close the store");
                }
            }
            Err(error) => {
                let _ = writer.done.send(Done::Failed(error));
            }
        })?;
    Ok((ops, thread))
}

struct StoreWriter {
    writer: Writer,
    reserve: Reserve,
    incoming: Receiver<WriteOp>,
    done: UnboundedSender<Done>,
    /// Whether the disk was full and the reserve could not be made again since.
    full: bool,
    /// The LSN of a `WriteOp::Settle`: no caller waits for it, so it joins the next batch, or is written after
    /// a pause.
    settling: Option<Lsn>,
    /// The rest of a trim: no caller waits for it, so it is done in parts between writes.
    trim: Option<WriteOp>,
}

impl StoreWriter {
    /// Executes batches until the driver has dropped a channel.
    fn write_all(&mut self) -> Result<(), StoreError> {
        loop {
            let mut batch = match self.next_batch() {
                Ok(batch) => batch,
                Err(RecvTimeoutError::Timeout) if self.full => {
                    self.look_for_room();
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.writer.catch_up_index()?;
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            let executed = self.execute(&mut batch)?;
            self.trim = unfinished_trim(&batch, &executed);
            let report = Done::Executed {
                persisted: last_write(&batch),
                applied_through: last_applied(&batch),
                applied: executed.applied,
                snapshots: executed.snapshots,
                roster: executed.roster,
                trimmed: executed.trimmed,
                cleanups_left: executed.cleanups_left,
                last_stamp_ms: executed.last_stamp_ms,
            };
            if self.done.send(report).is_err() {
                return Ok(());
            }
            // After the report, so that the driver does not wait for it.
            match self.writer.checkpoint_wal() {
                Ok(()) | Err(StoreError::Full) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for operations and takes all that wait, followed by the rest of a trim. With such a rest it does
    /// not wait.
    fn next_batch(&mut self) -> Result<Vec<WriteOp>, RecvTimeoutError> {
        loop {
            let mut batch = match self.take_batch() {
                // On a full disk a settle would use space that a waiting write needs.
                Err(RecvTimeoutError::Timeout) if self.settling.is_some() && !self.full => {
                    Vec::new()
                }
                Ok(mut batch) => {
                    batch.retain(|op| match op {
                        WriteOp::Settle(lsn) => {
                            self.settling = self.settling.max(Some(*lsn));
                            false
                        }
                        _ => true,
                    });
                    if batch.is_empty() {
                        continue;
                    }
                    batch
                }
                nothing => return nothing,
            };
            batch.extend(self.settling.take().map(WriteOp::Settle));
            return Ok(batch);
        }
    }

    fn take_batch(&mut self) -> Result<Vec<WriteOp>, RecvTimeoutError> {
        let first = match (&self.trim, self.full) {
            (Some(_), _) => match self.incoming.try_recv() {
                Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
                first => first.ok(),
            },
            (None, true) => Some(self.incoming.recv_timeout(FULL_RETRY)?),
            (None, false) if self.settling.is_some() || self.writer.is_index_behind() => {
                Some(self.incoming.recv_timeout(INDEX_WAIT)?)
            }
            (None, false) => {
                let next = self.incoming.recv();
                Some(next.map_err(|_| RecvTimeoutError::Disconnected)?)
            }
        };
        let mut batch: Vec<WriteOp> = first.into_iter().collect();
        batch.extend(self.incoming.try_iter().take(OPS_MAX - 1));
        batch.extend(self.trim.take());
        put_applying_first(&mut batch, self.writer.log_end());
        Ok(batch)
    }

    /// Makes the reserve again if there is room.
    fn look_for_room(&mut self) {
        match self.reserve.make() {
            Ok(false) => {}
            made => {
                if let Err(error) = made {
                    tracing::warn!(%error, "make the reserve on the disk");
                }
                self.full = false;
                let _ = self.done.send(Done::DiskFull(false));
            }
        }
    }

    /// Executes the batch. On a full disk it frees the reserve; without a reserve it tries again until there is
    /// room, and adds operations that arrive meanwhile, in order.
    fn execute(&mut self, batch: &mut Vec<WriteOp>) -> Result<Executed, StoreError> {
        let mut stuck = false;
        loop {
            match self.writer.execute(batch) {
                Err(StoreError::Full) if !self.done.is_closed() => {
                    if !self.full {
                        self.full = true;
                        let _ = self.done.send(Done::DiskFull(true));
                    }
                    if self.reserve.free() {
                        continue;
                    }
                    if !stuck {
                        stuck = true;
                        let _ = self.done.send(Done::Stuck);
                    }
                    if let Ok(op) = self.incoming.recv_timeout(FULL_RETRY) {
                        batch.push(op);
                    }
                }
                result => return result,
            }
        }
    }
}

/// Moves the applying of entries to the front, because callers wait for its outcomes and get them before the
/// commit. Entries that are not in the log yet, which ends at `end`, stay behind the write that appends them: a
/// replica that catches up receives committed entries.
fn put_applying_first(batch: &mut [WriteOp], end: Lsn) {
    let replaces = |op: &WriteOp| match op {
        WriteOp::Install { .. } => true,
        WriteOp::Persist(write) => write.truncate_from.is_some(),
        WriteOp::Apply(_) | WriteOp::Follow(_) | WriteOp::Settle(_) | WriteOp::Trim { .. } => false,
    };
    if batch.iter().any(replaces) {
        return;
    }
    let is_in_log = |op: &WriteOp| match op {
        WriteOp::Apply(entries) | WriteOp::Follow(entries) => {
            entries.last().is_some_and(|last| last.lsn <= end)
        }
        WriteOp::Persist(_)
        | WriteOp::Settle(_)
        | WriteOp::Trim { .. }
        | WriteOp::Install { .. } => false,
    };
    batch.sort_by_key(|op| !is_in_log(op));
}

/// Gives the rest of a trim that was in the batch.
fn unfinished_trim(batch: &[WriteOp], executed: &Executed) -> Option<WriteOp> {
    let start = executed.trimmed?;
    batch.iter().rev().find_map(|op| match *op {
        WriteOp::Trim { through } if through >= start => Some(WriteOp::Trim { through }),
        _ => None,
    })
}

fn last_write(batch: &[WriteOp]) -> Option<WriteId> {
    batch.iter().rev().find_map(|op| match op {
        WriteOp::Persist(write) => Some(write.id),
        WriteOp::Install { write, .. } => Some(*write),
        WriteOp::Apply(_) | WriteOp::Follow(_) | WriteOp::Settle(_) | WriteOp::Trim { .. } => None,
    })
}

fn last_applied(batch: &[WriteOp]) -> Option<Lsn> {
    batch.iter().rev().find_map(|op| match op {
        WriteOp::Apply(entries) | WriteOp::Follow(entries) => entries.last().map(|entry| entry.lsn),
        WriteOp::Install { snapshot, .. } => Some(snapshot.lsn),
        WriteOp::Persist(_) | WriteOp::Settle(_) | WriteOp::Trim { .. } => None,
    })
}

#[cfg(test)]
mod tests {
    use tercet_core::{
        effect::Write,
        id::{Epoch, ReplicaId, StoreId},
        log::{Entry, Payload},
    };

    use super::*;
    use tercet_store::{self as store, OpenOptions};

    fn entries(lsns: std::ops::RangeInclusive<u64>) -> Vec<Entry> {
        let epoch = Epoch {
            number: 1,
            proposer: ReplicaId(1),
        };
        let config = tercet_core::config::Config {
            cluster: tercet_core::id::ClusterId(1),
            mode: tercet_core::config::Mode::Available,
            members: Default::default(),
            dead: Default::default(),
        };
        let entry = |lsn| Entry {
            lsn: Lsn(lsn),
            epoch,
            payload: Payload::Config(config.clone()),
        };
        lsns.map(entry).collect()
    }

    fn persist(lsns: std::ops::RangeInclusive<u64>, truncate_from: Option<u64>) -> WriteOp {
        WriteOp::Persist(Write {
            id: WriteId(*lsns.end()),
            promised: None,
            truncate_from: truncate_from.map(Lsn),
            entries: entries(lsns),
        })
    }

    /// Describes the operations of a batch, with the last LSN of each.
    fn order(batch: &[WriteOp]) -> Vec<(&'static str, u64)> {
        let last = |entries: &[Entry]| entries.last().map_or(0, |last| last.lsn.0);
        let name = |op: &WriteOp| match op {
            WriteOp::Persist(write) => ("persist", last(&write.entries)),
            WriteOp::Apply(entries) => ("apply", last(entries)),
            WriteOp::Follow(entries) => ("follow", last(entries)),
            WriteOp::Settle(lsn) => ("settle", lsn.0),
            WriteOp::Trim { through } => ("trim", through.0),
            WriteOp::Install { .. } => ("install", 0),
        };
        batch.iter().map(name).collect()
    }

    #[test]
    fn what_is_in_the_log_is_applied_first_and_in_order() {
        let through = Lsn(2);
        let mut batch = [
            persist(5..=6, None),
            WriteOp::Follow(entries(1..=2)),
            WriteOp::Trim { through },
            persist(7..=7, None),
            WriteOp::Apply(entries(3..=4)),
            WriteOp::Apply(entries(5..=6)),
        ];
        put_applying_first(&mut batch, Lsn(4));
        let expected = [
            ("follow", 2),
            ("apply", 4),
            ("persist", 6),
            ("trim", 2),
            ("persist", 7),
            ("apply", 6),
        ];
        assert_eq!(order(&batch), expected);
    }

    #[test]
    fn nothing_overtakes_what_replaces_entries() {
        let mut batch = [
            persist(3..=4, Some(3)),
            WriteOp::Follow(entries(2..=3)),
            WriteOp::Follow(entries(4..=4)),
        ];
        let before = order(&batch);
        put_applying_first(&mut batch, Lsn(9));
        assert_eq!(order(&batch), before);
    }

    #[test]
    fn what_nobody_waits_for_is_not_written_to_a_full_disk() {
        let dir = tempfile::tempdir().unwrap();
        let opened = store::open(&OpenOptions {
            accept_missing_wal: false,
            dir: dir.path().to_owned(),
            replica: ReplicaId(1),
            new_store: StoreId(1),
        });
        let (ops, incoming) = channel();
        let (done, _reports) = tokio::sync::mpsc::unbounded_channel();
        let mut writer = StoreWriter {
            writer: opened.unwrap().writer,
            reserve: Reserve::new(dir.path(), 0),
            incoming,
            done,
            full: true,
            trim: None,
            settling: None,
        };
        ops.send(WriteOp::Settle(Lsn(1))).unwrap();
        let batch = writer.next_batch();
        assert!(matches!(batch, Err(RecvTimeoutError::Timeout)));
        // It goes with what comes next, or when there is room.
        ops.send(persist(1..=1, None)).unwrap();
        let batch = writer.next_batch().expect("there is a write");
        assert_eq!(order(&batch), [("persist", 1), ("settle", 1)]);
        ops.send(WriteOp::Settle(Lsn(1))).unwrap();
        writer.full = false;
        let batch = writer.next_batch().expect("there is room");
        assert_eq!(order(&batch), [("settle", 1)]);
    }

    #[test]
    fn what_comes_committed_is_applied_with_the_batch_that_appends_it() {
        let dir = tempfile::tempdir().unwrap();
        let opened = store::open(&OpenOptions {
            accept_missing_wal: false,
            dir: dir.path().to_owned(),
            replica: ReplicaId(1),
            new_store: StoreId(1),
        });
        let reserve = Reserve::new(dir.path(), 0);
        let (report, mut done) = tokio::sync::mpsc::unbounded_channel();
        let (ops, thread) = spawn(opened.unwrap().writer, reserve, report).unwrap();
        for lsns in [1..=3, 4..=4] {
            ops.send(persist(lsns.clone(), None)).unwrap();
            ops.send(WriteOp::Follow(entries(lsns))).unwrap();
        }
        drop(ops);
        thread.join().unwrap();
        let mut applied = None;
        while let Ok(report) = done.try_recv() {
            match report {
                Done::Executed {
                    applied_through, ..
                } => applied = applied_through.or(applied),
                _ => panic!("not executed"),
            }
        }
        assert_eq!(applied, Some(Lsn(4)));
    }
}
