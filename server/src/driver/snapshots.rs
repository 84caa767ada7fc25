//! What the core wants of snapshots, and what keeps the log short.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use tercet_core::{
    id::{Lsn, ReplicaId, Time, WriteId},
    input::Input,
    log::Snapshot,
};
use tokio::{sync::watch, task::AbortHandle, time};

use super::{Driver, Ended, Event};
use crate::{
    clock,
    handle::Storage,
    peers::{self, Received},
    snapshots::remove,
    store::{self, StoreError, WriteOp},
};

/// Before a snapshot that did not come whole is asked for again.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// How often the length of the log is looked at, microseconds.
const MEASURE_INTERVAL: u64 = 1_000_000;

/// For a replica that is away the log is kept up to one part in so many of what it is for one that
/// follows: it may be away for good, and a start takes longer with a long log.
const AWAY_SHARE: u64 = 8;

/// Entries that a replica may have in its log and not applied yet. When it starts again it goes on from
/// what is applied.
const UNAPPLIED_MAX: u64 = 16_384;

/// How long a log gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Payload bytes that stay in any case.
    pub keep_bytes: u64,
    /// Payload bytes beyond which even what a follower still lacks is let go: it gets a snapshot. A
    /// replica that is away gets one beyond an eighth of this.
    pub bytes_max: u64,
}

impl Retention {
    /// Payload bytes up to which the log is kept for replicas that are away.
    fn away_bytes_max(&self) -> u64 {
        self.bytes_max / AWAY_SHARE
    }

    /// The last entry that nobody needs, of a log with so many payload bytes: `followed` is what all who
    /// follow have and what those who get a snapshot go on from, `away` what the others had applied, at least.
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

/// A snapshot that came whole: its file, and where it was taken.
pub(super) type Fetched = Result<(PathBuf, Snapshot), NotFetched>;

/// Why no snapshot came that can be installed.
#[derive(Debug)]
pub(super) enum NotFetched {
    /// It is worth another try.
    Failed(String),
    /// It is of a newer Tercet, and so will be the next.
    Newer(StoreError),
}

/// Up to where the log may go to leave what is to be kept.
pub(super) type TrimPoint = Result<Lsn, StoreError>;

/// What the driver remembers of all this.
#[derive(Default)]
pub(super) struct Snapshots {
    /// From whom one comes, and the task that gets it.
    fetching: Option<(ReplicaId, AbortHandle)>,
    /// The file that the core is asked about.
    offered: Option<PathBuf>,
    /// The file that takes the place of the state with that write.
    installing: Option<(WriteId, PathBuf)>,
    measured_at: Option<Time>,
    /// What each of the others had applied, at least, when its last session ended; nothing of those for whom
    /// the log got too long. It counts while that one is no member.
    away: BTreeMap<ReplicaId, Lsn>,
    /// How much has come of a snapshot.
    received: watch::Sender<Received>,
}

impl Snapshots {
    /// Of a replica that starts: nothing is known of the others, and the log, which begins there, may have
    /// been kept for any of them.
    pub(super) fn new(others: impl Iterator<Item = ReplicaId>, log_start: Lsn) -> Snapshots {
        Snapshots {
            away: others.map(|id| (id, log_start.prev())).collect(),
            ..Snapshots::default()
        }
    }
}

impl Driver {
    /// For whoever asks how the replica stands.
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

    /// Has a snapshot come, unless one comes already from that replica.
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

    /// One came, or did not: then the leader says again that it is needed.
    pub(super) fn on_fetched(&mut self, fetched: Fetched) -> Result<(), Ended> {
        let from = self.snapshots.fetching.take().map(|(from, _)| from);
        let (path, snapshot) = match fetched {
            Ok(fetched) => fetched,
            Err(NotFetched::Newer(error)) => return Err(Ended::Store(error)),
            Err(NotFetched::Failed(error)) => {
                tracing::warn!(?from, error, "fetch a snapshot: it is tried again");
                return Ok(());
            }
        };
        self.snapshots.offered = Some(path);
        self.step(Input::SnapshotFetched { snapshot })?;
        // The core may have no use for it any more.
        if let Some(path) = self.snapshots.offered.take() {
            remove(&path);
        }
        Ok(())
    }

    pub(super) fn install(&mut self, write: WriteId, snapshot: Snapshot) -> Result<(), Ended> {
        let path = self.snapshots.offered.take();
        let path = path.expect("the core installs what it is offered");
        tracing::info!(
            lsn = snapshot.lsn.0,
            "a snapshot takes the place of the state"
        );
        self.snapshots.installing = Some((write, path.clone()));
        self.write(WriteOp::Install {
            write,
            snapshot,
            path,
        })
    }

    /// Everything up to this write is durable.
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

    /// Now and then: whether the log is too long.
    pub(super) fn tend_log(&mut self) {
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
                // The next look is soon enough.
                Err(StoreError::Io(error)) => tracing::warn!(error, "read how far to trim the log"),
                point => _ = events.send(Event::TrimPoint(point)),
            }
        });
    }

    /// A session with that replica is about to end. A member has what is committed; of another its leader
    /// knows what it has, once it has said so.
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

    /// Lets go of the part of the log that nobody needs.
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
        // A little is left to gather.
        match through.0 > size.start.0 + TRIM_MIN {
            true => self.write(WriteOp::Trim { through }),
            false => Ok(()),
        }
    }
}

/// Entries that are worth a trim.
const TRIM_MIN: u64 = 1_000;

/// Where the snapshot in a file that came was taken.
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
