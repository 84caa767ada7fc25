//! The snapshot cache: the newest snapshot that this replica took for others is kept for a minute, so that a
//! broken transfer can be resumed and several replicas can fetch the same one.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    time::{Duration, Instant},
};

use tercet_core::{id::Lsn, log::Snapshot};
use tercet_store::{
    StoreError,
    snapshot::{self, Pace},
};
use tokio::{sync::Mutex as AsyncMutex, time};
use uuid::Uuid;

use crate::peers;

/// The time for which one step of taking a snapshot works before it pauses, so that writes get most of the machine's
/// time.
const WORK: Duration = Duration::from_millis(5);
const PAUSE: Duration = Duration::from_millis(5);

/// The time for which a snapshot is kept after its last use.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// A snapshot in the cache. Dropping it deletes its file.
pub(crate) struct Taken {
    pub(crate) id: [u8; 16],
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) sha256: [u8; 32],
    lsn: Lsn,
    used_at: Mutex<Instant>,
}

impl Taken {
    /// Notes a use.
    pub(crate) fn used(&self) {
        *self.used_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn is_idle(&self) -> bool {
        let used_at = self.used_at.lock().unwrap_or_else(PoisonError::into_inner);
        used_at.elapsed() > KEPT_FOR
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Deletes the file of a snapshot that is no longer needed; a failure is only logged.
pub(crate) fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::warn!(path = %path.display(), %error, "remove a snapshot");
    }
}

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TakeError {
    /// The requested position is not applied here yet.
    #[error("not applied yet")]
    NotYet,
    #[error("{0}")]
    Failed(String),
}

/// The cache. Cheap to clone.
#[derive(Clone)]
pub(crate) struct SnapshotCache {
    /// The data directory.
    data: PathBuf,
    newest: Arc<Mutex<Option<Arc<Taken>>>>,
    /// Held while a snapshot is taken: one at a time.
    taking: Arc<AsyncMutex<()>>,
}

impl SnapshotCache {
    /// Makes an empty cache in that data directory.
    pub(crate) fn new(data: PathBuf) -> SnapshotCache {
        SnapshotCache {
            data,
            newest: Arc::default(),
            taking: Arc::default(),
        }
    }

    /// Prepares the directory for snapshots. Deletes snapshots that an earlier run took; keeps partly fetched
    /// ones.
    ///
    /// # Errors
    /// When the directory cannot be read or made.
    pub(crate) fn clear(&self) -> io::Result<()> {
        fs::create_dir_all(self.dir())?;
        for file in fs::read_dir(self.dir())? {
            let path = file?.path();
            let incoming = path.extension().is_some_and(|is| is == peers::INCOMING);
            if !incoming {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Gives the directory of snapshots, taken and fetched.
    pub(crate) fn dir(&self) -> PathBuf {
        self.data.join("snapshots")
    }

    /// Gives the position of the newest snapshot: a replica that fetches it needs the log after it.
    pub(crate) fn held(&self) -> Option<Lsn> {
        self.get().map(|taken| taken.lsn)
    }

    /// Gives the snapshot with that id if it is still cached; otherwise one of `lsn_min` or later.
    pub(crate) async fn snapshot(
        &self,
        id: Option<[u8; 16]>,
        lsn_min: Lsn,
    ) -> Result<Arc<Taken>, TakeError> {
        let _one = self.taking.lock().await;
        let will_do = |taken: &Arc<Taken>| Some(taken.id) == id || taken.lsn >= lsn_min;
        if let Some(taken) = self.get().filter(will_do) {
            taken.used();
            return Ok(taken);
        }
        let taken = Arc::new(self.take().await?);
        *self.lock() = Some(taken.clone());
        tokio::spawn(self.clone().expire(taken.id));
        match taken.lsn >= lsn_min {
            true => Ok(taken),
            false => Err(TakeError::NotYet),
        }
    }

    async fn take(&self) -> Result<Taken, TakeError> {
        let id = Uuid::new_v4();
        let path = self.dir().join(format!("{}.taken", id.simple()));
        let data = self.data.clone();
        let began = Instant::now();
        let work = move || -> Result<_, StoreError> {
            let pace = Pace {
                work: WORK,
                pause: PAUSE,
                cancelled: &AtomicBool::new(false),
            };
            let Snapshot { lsn, .. } = snapshot::take(&data, &path, &pace)?;
            Ok((path, lsn))
        };
        let taken = tokio::task::spawn_blocking(work).await;
        let taken = taken.map_err(|error| TakeError::Failed(error.to_string()))?;
        let (path, lsn) = taken.map_err(|error| TakeError::Failed(error.to_string()))?;
        let (bytes, sha256) = peers::measure(&path).await.map_err(TakeError::Failed)?;
        let seconds = began.elapsed().as_secs_f64();
        tracing::info!(lsn = lsn.0, bytes, seconds, "snapshot taken");
        Ok(Taken {
            id: *id.as_bytes(),
            path,
            bytes,
            sha256,
            lsn,
            used_at: Mutex::new(Instant::now()),
        })
    }

    /// Drops that snapshot after [`KEPT_FOR`] without use.
    async fn expire(self, id: [u8; 16]) {
        while let Some(taken) = self.get().filter(|taken| taken.id == id) {
            if taken.is_idle() {
                *self.lock() = None;
                return;
            }
            drop(taken);
            time::sleep(KEPT_FOR / 4).await;
        }
    }

    fn get(&self) -> Option<Arc<Taken>> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<Taken>>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
