//! Snapshots for the core, and the trimming of the log.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use tercet_core::{
    id::{Lsn, ReplicaId, Time, WriteId},
    input::Input,
    log::Snapshot,
};
use tercet_store::{self as store, StoreError, WriteOp};
use tokio::{sync::watch, task::AbortHandle, time};

use super::{Driver, Ended, Event};
use crate::{
    clock,
    handle::Storage,
    peers::{self, Received},
    snapshots::remove,
};

/// The pause before an incomplete snapshot is requested again.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// The interval between measurements of the log, microseconds.
const MEASURE_INTERVAL: u64 = 1_000_000;

/// The share of `bytes_max` that is kept for disconnected replicas: 1/8. Such a replica may be gone for good,
/// and a long log makes a start slower.
const AWAY_SHARE: u64 = 8;

/// Entries that a replica may have in its log without having applied them. When it restarts it continues from
/// the last applied entry.
const UNAPPLIED_MAX: u64 = 16_384;

/// The limits of the log's length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Payload bytes that are always kept.
    pub keep_bytes: u64,
    /// Payload bytes beyond which entries are trimmed even if a connected replica lacks them; that replica gets
    /// a snapshot. The limit for disconnected replicas is an eighth of this.
    pub bytes_max: u64,
}

impl Retention {
    /// Gives the payload bytes up to which the log is kept for disconnected replicas.
    fn away_bytes_max(&self) -> u64 {
        self.bytes_max / AWAY_SHARE
    }

    /// Gives the last entry that may be trimmed from a log of `bytes` payload bytes. `followed` is the last
    /// entry that all connected replicas have and that snapshots continue from; `away` is the least entry that
    /// disconnected replicas had applied.
    fn spare(&self, bytes: u64, followed: Lsn, away: Option<Lsn>, applied: Lsn) -> Lsn {
        match away {
            _ if bytes > self.bytes_max => applied,
            Some(had) if bytes <= self.away_bytes_max() => had.min(followed),
            _ => followed,
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Retention {
            keep_bytes: 16 << 20,
            bytes_max: 1 << 30,
        }
    }
}

/// A complete snapshot: its file and its position.
pub(super) type Fetched = Result<(PathBuf, Snapshot), NotFetched>;

/// Why no snapshot that can be installed was received.
#[derive(Debug)]
pub(super) enum NotFetched {
    /// Another attempt may succeed.
    Failed(String),
    /// A newer version of Tercet made the snapshot, and will make the next one.
    Newer(StoreError),
}

/// The entry through which the log may be trimmed.
pub(super) type TrimPoint = Result<Lsn, StoreError>;

/// The driver's state about snapshots and trimming.
#[derive(Default)]
pub(super) struct Snapshots {
    /// The replica that a snapshot is fetched from, and the task that fetches it.
    fetching: Option<(ReplicaId, AbortHandle)>,
    /// The file that was offered to the core.
    offered: Option<PathBuf>,
    /// The file that replaces the state with that write.
    installing: Option<(WriteId, PathBuf)>,
    measured_at: Option<Time>,
    /// The least entry that each disconnected replica had applied when its last session ended; none for
    /// replicas that the log got too long for. An entry counts while its replica is no member.
    away: BTreeMap<ReplicaId, Lsn>,
    /// The progress of a snapshot that is being fetched.
    received: watch::Sender<Received>,
}

impl Snapshots {
    /// Starts the state of a new process. It has no information on the others, and the log, which begins at
    /// `log_start`, may have been kept for any of them.
    pub(super) fn new(others: impl Iterator<Item = ReplicaId>, log_start: Lsn) -> Snapshots {
        Snapshots {
            away: others.map(|id| (id, log_start.prev())).collect(),
            ..Snapshots::default()
        }
    }
}

impl Driver {
    /// Gives the storage part of the status.
    pub(super) fn storage(&self) -> Storage {
        let size = self.deps.readers.log_size();
        let (snapshot_received, snapshot_bytes) = *self.snapshots.received.borrow();
        Storage {
            log_start: size.start,
            log_bytes: size.bytes,
            snapshot_received,
            snapshot_bytes,
        }
    }

    /// Fetches a snapshot, unless one is being fetched from that replica.
    pub(super) fn fetch_snapshot(&mut self, from: ReplicaId, lsn_min: Lsn) {
        if let Some((source, task)) = &self.snapshots.fetching {
            if *source == from || self.snapshots.installing.is_some() {
                return;
            }
            task.abort();
        }
        tracing::info!(peer = %from, lsn_min = lsn_min.0, "a snapshot is needed");
        let context = self.deps.link_context.clone();
        let dir = self.deps.snapshot_cache.dir();
        let received = self.snapshots.received.clone();
        let events = self.events.0.clone();
        let task = tokio::spawn(async move {
            let fetched = match peers::fetch(&context, from, lsn_min, &dir, &received).await {
                Ok(path) => read(path).await,
                Err(why) => Err(NotFetched::Failed(why)),
            };
            if fetched.is_err() {
                time::sleep(RETRY_PAUSE).await;
            }
            let _ = events.send(Event::Fetched(fetched));
        });
        self.snapshots.fetching = Some((from, task.abort_handle()));
    }

    /// Handles the end of a fetch. After a failure the leader reports again that a snapshot is needed.
    pub(super) fn on_fetched(&mut self, fetched: Fetched) -> Result<(), Ended> {
        let from = self.snapshots.fetching.take().map(|(from, _)| from);
        let (path, snapshot) = match fetched {
            Ok(fetched) => fetched,
            Err(NotFetched::Newer(error)) => return Err(Ended::Store(error)),
            Err(NotFetched::Failed(error)) => {
                tracing::warn!(
                    ?from,
                    error,
                    "fetching a snapshot failed and is tried again"
                );
                return Ok(());
            }
        };
        self.snapshots.offered = Some(path);
        self.step(Input::SnapshotFetched { snapshot })?;
        // The core may no longer need it.
        if let Some(path) = self.snapshots.offered.take() {
            remove(&path);
        }
        Ok(())
    }

    pub(super) fn install(&mut self, write: WriteId, snapshot: Snapshot) -> Result<(), Ended> {
        let path = self.snapshots.offered.take();
        let path = path.expect("the core installs what it is offered");
        tracing::info!(lsn = snapshot.lsn.0, "a snapshot replaces the state");
        self.snapshots.installing = Some((write, path.clone()));
        self.write(WriteOp::Install {
            write,
            snapshot,
            path,
        })
    }

    /// Handles the durability of everything up to this write.
    pub(super) fn written(&mut self, write: WriteId) {
        if let Some((_, path)) = self
            .snapshots
            .installing
            .take_if(|(last, _)| *last <= write)
        {
            self.snapshots.received.send_replace((0, 0));
            remove(&path);
        }
    }

    /// Starts a measurement of the log at a tick, if it is due.
    pub(super) fn tick_log(&mut self) {
        let now = clock::now();
        let recently = |at: Time| now.since(at) < MEASURE_INTERVAL;
        if self.snapshots.measured_at.is_some_and(recently) || self.disk_full {
            return;
        }
        self.snapshots.measured_at = Some(now);
        let readers = self.deps.readers.clone();
        let keep_bytes = self.deps.retention.keep_bytes;
        if readers.log_size().bytes <= keep_bytes {
            return;
        }
        let events = self.events.0.clone();
        tokio::task::spawn_blocking(move || {
            let point = readers.trim_point(keep_bytes);
            match point {
                // The next measurement is soon enough.
                Err(StoreError::Io(error)) => tracing::warn!(error, "read how far to trim the log"),
                point => _ = events.send(Event::TrimPoint(point)),
            }
        });
    }

    /// Notes, before a session ends, what its replica has. A member has what is committed; for another replica
    /// its leader has the last report.
    pub(super) fn goes_away(&mut self, peer: ReplicaId) {
        let status = self.deps.replica.status();
        let mut matched = status.peers.iter().map(|&(id, _, has)| (id, has));
        let matched = matched.find(|&(id, has)| id == peer && has > Lsn::ZERO);
        let has = match self.is_member(peer) {
            true => Some(status.commit),
            false => matched.map(|(_, has)| has),
        };
        if let Some(has) = has {
            let applied = Lsn(has.0.saturating_sub(UNAPPLIED_MAX));
            self.snapshots.away.insert(peer, applied);
        }
    }

    /// Trims the part of the log that no replica needs.
    pub(super) fn trim(&mut self, point: TrimPoint) -> Result<(), Ended> {
        let point = point?;
        let size = self.deps.readers.log_size();
        let followed = self.deps.replica.trim_max();
        let held = self.deps.snapshot_cache.held().unwrap_or(followed);
        let followed = followed.min(held);
        let retention = &self.deps.retention;
        if size.bytes > retention.away_bytes_max() {
            self.snapshots.away.clear();
        }
        let roster = &self.membership.roster;
        let away = self.snapshots.away.iter();
        let away = away.filter(|&(&id, _)| roster.get(id).is_some() && !self.is_member(id));
        let away = away.map(|(_, &had)| had).min();
        let spare = retention.spare(size.bytes, followed, away, self.applied);
        let through = point.min(spare).min(self.applied);
        // Few entries are not worth a trim.
        match through.0 > size.start.0 + TRIM_MIN {
            true => self.write(WriteOp::Trim { through }),
            false => Ok(()),
        }
    }
}

/// Entries that are worth a trim.
const TRIM_MIN: u64 = 1_000;

/// Reads the position of a fetched snapshot.
async fn read(path: PathBuf) -> Fetched {
    let work = move || match store::snapshot::read(&path) {
        Ok(snapshot) => Ok((path, snapshot)),
        Err(error) if error.is_of_newer() => Err(NotFetched::Newer(error)),
        Err(error) => Err(NotFetched::Failed(error.to_string())),
    };
    let read = tokio::task::spawn_blocking(work).await;
    read.unwrap_or_else(|error| Err(NotFetched::Failed(error.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_kept_for_who_follows_and_in_part_for_who_is_away() {
        let retention = Retention {
            keep_bytes: 10,
            bytes_max: 800,
        };
        let spare = |bytes, away: Option<u64>| {
            let spare = retention.spare(bytes, Lsn(80), away.map(Lsn), Lsn(89));
            spare.0
        };
        assert_eq!(spare(100, None), 80);
        assert_eq!(spare(100, Some(30)), 30);
        assert_eq!(spare(100, Some(85)), 80);
        assert_eq!(spare(101, Some(30)), 80, "too long for who is away");
        assert_eq!(spare(800, Some(30)), 80);
        assert_eq!(spare(801, Some(30)), 89, "too long for anybody");
    }
}
