//! The WAL checkpointer: moves the WAL into the database file, on its own thread and connection, because this
//! takes a tenth of a second or more and no write should wait for it.
//!
//! Frames written meanwhile stay. Once these are few, the writer checkpoints them itself, so that the WAL can
//! start over.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use rusqlite::{Connection, wal::CheckpointMode};

use super::{StoreError, schema};

/// The handle to the thread. Dropping it waits for the checkpoint under way.
pub(super) struct WalCheckpointer {
    /// `None` only while it is being dropped.
    wake: Option<SyncSender<()>>,
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// Whether a checkpoint was requested and is not done.
    busy: AtomicBool,
    /// The error that was not reported yet.
    failed: Mutex<Option<StoreError>>,
}

impl WalCheckpointer {
    /// Starts the thread beside the writer of the store in `dir`, which must be open.
    pub fn start(dir: &Path) -> Result<WalCheckpointer, StoreError> {
        let connection = schema::open_wal_checkpointer(dir)?;
        let (wake, woken) = sync_channel(1);
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("wal-checkpoint".into())
            .spawn(move || checkpoint_when_woken(&connection, &woken, &seen))
            .map_err(|error| StoreError::from_io("start a thread", &error))?;
        Ok(WalCheckpointer {
            wake: Some(wake),
            shared,
            thread: Some(thread),
        })
    }

    /// Tells whether a checkpoint is under way, so that no other one can run.
    pub fn is_busy(&self) -> bool {
        self.shared.busy.load(Ordering::Acquire)
    }

    /// Requests a checkpoint of the present WAL.
    pub fn wake(&self) {
        self.shared.busy.store(true, Ordering::Release);
        if let Some(wake) = &self.wake {
            // A waiting request has the same effect.
            let _ = wake.try_send(());
        }
    }

    /// Takes the error since the last call.
    pub fn failure(&self) -> Option<StoreError> {
        let failed = &self.shared.failed;
        failed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for WalCheckpointer {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn checkpoint_when_woken(connection: &Connection, woken: &Receiver<()>, shared: &Shared) {
    while woken.recv().is_ok() {
        let moved = connection.wal_checkpoint_v2(Some("main"), CheckpointMode::PASSIVE);
        let failure = moved.err().map(StoreError::from);
        // If another connection checkpoints, that is enough.
        if let Some(error) = failure.filter(|error| !error.is_busy()) {
            let mut failed = shared.failed.lock().unwrap_or_else(PoisonError::into_inner);
            *failed = Some(error);
        }
        shared.busy.store(false, Ordering::Release);
    }
}
