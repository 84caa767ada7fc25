//! State hashes of this replica at the marks in the log, for `cluster verify`. One thread hashes one snapshot
//! after the other, because a snapshot holds a read transaction open and hashing a large store takes long.

use std::{
    collections::BTreeMap,
    sync::{Arc, mpsc},
    thread,
};

use tercet_store::{StateSnapshot, StoreError};
use tokio::sync::watch;

/// Results that are kept.
const RESULTS_MAX: usize = 16;
/// Snapshots that may wait to be hashed.
const WAITING_MAX: usize = 3;

/// The state of one state-hash mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checkpoint {
    /// The hash is being computed.
    Pending,
    /// SHA-256 of the state.
    Hashed([u8; 32]),
    /// The store failed; the log has the reason.
    Failed,
}

type Job = Box<dyn FnOnce() -> Result<[u8; 32], StoreError> + Send>;
type Hashes = BTreeMap<u64, Checkpoint>;

/// The registry of marks. Cheap to clone; all clones are the same registry.
#[derive(Clone)]
pub struct Checkpoints {
    known: Arc<watch::Sender<Hashes>>,
    jobs: mpsc::SyncSender<(u64, Job)>,
}

impl Checkpoints {
    /// Makes a registry with its thread, which ends with the last clone.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn new() -> std::io::Result<Self> {
        let known = Arc::new(watch::Sender::new(Hashes::new()));
        let (jobs, queue) = mpsc::sync_channel::<(u64, Job)>(WAITING_MAX);
        let results = Arc::clone(&known);
        thread::Builder::new()
            .name("state-hash".into())
            .spawn(move || {
                for (lsn, job) in queue {
                    let result = job().map_or_else(
                        |error| {
                            tracing::error!(lsn, %error, "hash the state at a mark");
                            Checkpoint::Failed
                        },
                        Checkpoint::Hashed,
                    );
                    results.send_modify(|known| note(known, lsn, result));
                }
            })?;
        Ok(Checkpoints { known, jobs })
    }

    /// Hashes a snapshot in the background. The driver calls it as soon as the mark is applied, before it
    /// publishes a status with a later `applied`. With too many snapshots waiting, this one is skipped.
    pub fn snapshot(&self, lsn: u64, snapshot: StateSnapshot) {
        self.submit(lsn, Box::new(move || snapshot.hash()));
    }

    fn submit(&self, lsn: u64, job: Job) {
        self.known
            .send_modify(|known| note(known, lsn, Checkpoint::Pending));
        if self.jobs.try_send((lsn, job)).is_err() {
            tracing::warn!(
                lsn,
                "too many state-hash marks at once: this one is not hashed"
            );
            self.known.send_modify(|known| {
                known.remove(&lsn);
            });
        }
    }

    /// Gives the state of the mark at this LSN.
    #[cfg(test)]
    fn get(&self, lsn: u64) -> Option<Checkpoint> {
        self.known.borrow().get(&lsn).copied()
    }

    /// Counts the marks that are not hashed yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        let known = self.known.borrow();
        let pending = known.values().filter(|one| **one == Checkpoint::Pending);
        pending.count()
    }

    /// Tells whether another snapshot would be hashed now.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.pending() < WAITING_MAX
    }

    /// A receiver that changes with every result.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<BTreeMap<u64, Checkpoint>> {
        self.known.subscribe()
    }
}

fn note(known: &mut Hashes, lsn: u64, what: Checkpoint) {
    known.insert(lsn, what);
    while known.len() > RESULTS_MAX {
        known.pop_first();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hash_is_known_after_it_was_pending() {
        let checkpoints = Checkpoints::new().unwrap();
        let (go, wait) = mpsc::channel::<()>();
        checkpoints.submit(
            7,
            Box::new(move || {
                wait.recv().unwrap();
                Ok([9; 32])
            }),
        );
        assert_eq!(checkpoints.get(7), Some(Checkpoint::Pending));
        go.send(()).unwrap();
        let mut changes = checkpoints.watch();
        let hashed = Some(Checkpoint::Hashed([9; 32]));
        changes
            .wait_for(|known| known.get(&7).copied() == hashed)
            .await
            .unwrap();
        assert_eq!(checkpoints.get(8), None);
    }

    #[tokio::test]
    async fn store_that_fails_is_told_from_one_that_is_slow() {
        let checkpoints = Checkpoints::new().unwrap();
        let mut changes = checkpoints.watch();
        checkpoints.submit(7, Box::new(|| Err(StoreError::Full)));
        changes
            .wait_for(|known| known.get(&7) == Some(&Checkpoint::Failed))
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn too_many_at_once_are_passed_over_and_old_results_are_forgotten() {
        let checkpoints = Checkpoints::new().unwrap();
        let (go, wait) = mpsc::channel::<()>();
        checkpoints.submit(
            1,
            Box::new(move || {
                wait.recv().unwrap();
                Ok([1; 32])
            }),
        );
        for lsn in 2..=20 {
            checkpoints.submit(lsn, Box::new(|| Ok([2; 32])));
        }
        assert!(!checkpoints.has_room());
        assert_eq!(checkpoints.get(20), None);
        go.send(()).unwrap();
        let mut changes = checkpoints.watch();
        changes
            .wait_for(|known| !known.values().any(|one| *one == Checkpoint::Pending))
            .await
            .unwrap();
        for lsn in 30..60 {
            checkpoints.submit(lsn, Box::new(|| Ok([3; 32])));
            changes
                .wait_for(|known| !matches!(known.get(&lsn), Some(Checkpoint::Pending)))
                .await
                .unwrap();
        }
        assert_eq!(checkpoints.get(1), None);
        assert_eq!(checkpoints.get(59), Some(Checkpoint::Hashed([3; 32])));
    }
}
