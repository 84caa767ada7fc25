//! The thread that owns the store's writer: takes what the core wants durable or applied, in
//! order, as much as is waiting in one transaction, and reports back.

use std::{
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};

use tercet_core::id::{Lsn, WriteId};
use tokio::sync::mpsc::UnboundedSender;

use crate::{
    roster::Roster,
    store::{Applied, Executed, StateSnapshot, StoreError, WriteOp, Writer},
};

/// Operations of one transaction at most: bounds how long the first of them waits.
const OPS_MAX: usize = 256;

/// How often a write is tried again on a full disk.
const FULL_RETRY: Duration = Duration::from_millis(500);

/// What the thread reports. All of it is durable when it is said.
pub(crate) enum Done {
    Executed {
        /// The last write of the batch that was persisted, if any.
        persisted: Option<WriteId>,
        /// The last entry that was applied, if any.
        applied_through: Option<Lsn>,
        applied: Vec<Applied>,
        snapshots: Vec<(u64, StateSnapshot)>,
        /// The newest roster, if it was changed.
        roster: Option<Roster>,
    },
    /// Nothing could be written, and it is tried again; or, false, that is over.
    DiskFull(bool),
    /// The store failed: nothing after this can be trusted.
    Failed(StoreError),
}

/// Starts the thread. It ends when the sender of operations is dropped, or the store fails.
pub(crate) fn spawn(
    mut writer: Writer,
    done: UnboundedSender<Done>,
) -> std::io::Result<(Sender<WriteOp>, thread::JoinHandle<()>)> {
    let (ops, incoming) = channel();
    let thread = thread::Builder::new()
        .name("store-writer".into())
        .spawn(move || write_all(&mut writer, &incoming, &done))?;
    Ok((ops, thread))
}

fn write_all(writer: &mut Writer, incoming: &Receiver<WriteOp>, done: &UnboundedSender<Done>) {
    while let Ok(first) = incoming.recv() {
        let mut batch = vec![first];
        batch.extend(incoming.try_iter().take(OPS_MAX - 1));
        let executed = match execute(writer, &mut batch, incoming, done) {
            Ok(executed) => executed,
            Err(error) => {
                let _ = done.send(Done::Failed(error));
                return;
            }
        };
        let report = Done::Executed {
            persisted: last_write(&batch),
            applied_through: last_applied(&batch),
            applied: executed.applied,
            snapshots: executed.snapshots,
            roster: executed.roster,
        };
        if done.send(report).is_err() {
            return;
        }
        // After the report, so that nobody waits for it: does nothing until there is much to move.
        match writer.checkpoint() {
            Ok(()) | Err(StoreError::Full) => {}
            Err(error) => {
                let _ = done.send(Done::Failed(error));
                return;
            }
        }
    }
}

/// Writes the batch, on a full disk again and again until there is room. What arrives meanwhile
/// joins it, in order.
fn execute(
    writer: &mut Writer,
    batch: &mut Vec<WriteOp>,
    incoming: &Receiver<WriteOp>,
    done: &UnboundedSender<Done>,
) -> Result<Executed, StoreError> {
    let mut full = false;
    loop {
        match writer.execute(batch) {
            Err(StoreError::Full) if !done.is_closed() => {
                if !full {
                    full = true;
                    let _ = done.send(Done::DiskFull(true));
                }
                if let Ok(op) = incoming.recv_timeout(FULL_RETRY) {
                    batch.push(op);
                }
            }
            result => {
                if full && result.is_ok() {
                    let _ = done.send(Done::DiskFull(false));
                }
                return result;
            }
        }
    }
}

fn last_write(batch: &[WriteOp]) -> Option<WriteId> {
    batch.iter().rev().find_map(|op| match op {
        WriteOp::Persist(write) => Some(write.id),
        WriteOp::Apply(_) => None,
    })
}

fn last_applied(batch: &[WriteOp]) -> Option<Lsn> {
    batch.iter().rev().find_map(|op| match op {
        WriteOp::Apply(entries) => entries.last().map(|entry| entry.lsn),
        WriteOp::Persist(_) => None,
    })
}
