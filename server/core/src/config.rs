//! The membership of the cluster, which lives only in the log, and the settings of a replica.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::id::{ClusterId, Incarnation, Lsn, ReplicaId, StoreId, Time};

/// How a replica may take over, and how small a view may be. Everything else is the same in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// The last replica alive serves alone. Partitions are outside the fault model.
    Available,
    /// A view has at least `min_in_sync` members, and a takeover needs a majority. Safe under
    /// partitions; a lone replica stops.
    Majority {
        /// Smallest view, 2 or more.
        min_in_sync: u32,
    },
}

impl Mode {
    /// The smallest number of members that a view may have.
    #[must_use]
    pub fn view_min(self) -> usize {
        match self {
            Mode::Available => 1,
            Mode::Majority { min_in_sync } => (min_in_sync as usize).max(2),
        }
    }
}

/// A view's membership: the payload of a Config entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The cluster that the log belongs to; the same in all Configs of a log.
    pub cluster: ClusterId,
    /// The mode the cluster was made with.
    pub mode: Mode,
    /// Each member with the store it had when it became one: a wiped disk is no member.
    pub members: BTreeMap<ReplicaId, StoreId>,
    /// Stores that an operator declared dead: they never come back into the cluster. Only grows.
    pub dead: BTreeSet<(ReplicaId, StoreId)>,
}

impl Config {
    /// Whether this replica, with this very store, is a member.
    #[must_use]
    pub fn has(&self, id: ReplicaId, store: StoreId) -> bool {
        self.members.get(&id) == Some(&store)
    }
}

/// A Config with its place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedConfig {
    /// The LSN of its entry.
    pub lsn: Lsn,
    /// What the entry holds.
    pub config: Config,
}

/// The shell gives a tick this often, microseconds.
pub const TICK_INTERVAL: u64 = 10_000;

/// The shell gives a tick this often while the lead changes hands, or may be about to: the core takes the
/// steps of that with its ticks. Microseconds.
pub const TICK_INTERVAL_HURRIED: u64 = 1_000;

/// How long ticks stay hurried after a session ended, microseconds.
pub const HURRY: u64 = 200_000;

/// Durations of the protocol, in microseconds of the replica's own clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A leader sends to every peer, and every replica to every other, at least this often.
    pub heartbeat_interval: u64,
    /// How long an acknowledged heartbeat, counted from its sending, lets a leader serve reads.
    pub lease: u64,
    /// How much longer than the lease a replica that heard a leader vetoes candidates, and stands for
    /// none itself. A replica notes when it heard its leader by its last tick, which may lie
    /// [`TICK_INTERVAL`] back, and a little more where ticks are late; and two clocks, each wrong by a
    /// thousandth at most, differ by 1.2 ms over a lease. And the leader's clock may have stood still
    /// for a little that the others' clocks do not show (`clocks.rs`). `lease` and `lease_margin` together are
    /// below `silence_timeout`.
    pub lease_margin: u64,
    /// A peer that was not heard for this long is taken for dead, if others remain.
    pub silence_timeout: u64,
    /// The same where the replica would go on alone; `None` is never. Mode majority has no use
    /// for it: there nobody goes on alone.
    pub lone_timeout: Option<u64>,
    /// A member that is heard but acknowledges nothing new for this long leaves the view.
    pub ack_timeout: u64,
    /// An acknowledgement that takes longer than this, and longer than four of the leader's own writes, is late: a member with nothing but late ones leaves the
    /// view, if the other members' disks are much faster, and a leader resigns for the same reason.
    pub late_ack: u64,
    /// A longer gap between two ticks means that this replica itself slept. Below
    /// `silence_timeout`, so that whoever could have been replaced knows it.
    pub tick_gap_max: u64,
    /// Between two pre-votes of a replica that looks for a leader.
    pub pre_vote_interval: u64,
    /// How long a candidate may collect promises and logs. The time is counted anew while a promise is on
    /// its way to its own disk, or to another's that does not stall. And how long a replica that promised
    /// waits for the candidate to lead.
    pub candidacy_timeout: u64,
    /// How long a leader that handed over waits before it leads on; longer where a disk is slow.
    pub transfer_timeout: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            heartbeat_interval: 50_000,
            lease: 600_000,
            lease_margin: 50_000,
            silence_timeout: 1_000_000,
            lone_timeout: Some(5_000_000),
            ack_timeout: 5_000_000,
            late_ack: 1_000_000,
            tick_gap_max: 700_000,
            pre_vote_interval: 20_000,
            candidacy_timeout: 500_000,
            transfer_timeout: 500_000,
        }
    }
}

/// Bounds on memory and messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Payload bytes of one Append or Pulled message (one entry may exceed it alone).
    pub batch_bytes_max: usize,
    /// Entries of one Append or Pulled message.
    pub batch_entries_max: usize,
    /// Append messages on the way to one peer.
    pub batches_in_flight_max: usize,
    /// Entries that a leader has appended and not committed; more are refused as busy.
    pub uncommitted_entries_max: usize,
    /// Payload bytes of the same.
    pub uncommitted_bytes_max: usize,
    /// Payload bytes of committed entries kept in memory for backups that are a little behind.
    pub window_bytes_max: usize,
    /// A learner this many entries behind or nearer has caught up.
    pub learner_lag_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            batch_bytes_max: 1 << 20,
            batch_entries_max: 1024,
            batches_in_flight_max: 32,
            uncommitted_entries_max: 16_384,
            uncommitted_bytes_max: 32 << 20,
            window_bytes_max: 8 << 20,
            learner_lag_max: 512,
        }
    }
}

/// What a replica is told at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// This replica.
    pub id: ReplicaId,
    /// Identity of the store it runs on.
    pub store: StoreId,
    /// This run of it.
    pub incarnation: Incarnation,
    /// All configured replicas, this one included.
    pub roster: BTreeSet<ReplicaId>,
    /// For a cluster that is still to be made: its mode. Later the log says it.
    pub mode: Mode,
    /// The store was copied or moved since the replica last ran on it, and nobody has confirmed since that it is
    /// not an older state of itself.
    pub copied: bool,
    /// For a cluster that is still to be made: the identity it gets if this replica makes it.
    /// `None` on a replica that joins one that there is: with an empty store it only follows.
    pub new_cluster: Option<ClusterId>,
    /// Durations.
    pub timing: Timing,
    /// Bounds.
    pub limits: Limits,
    /// The clock at the start.
    pub now: Time,
}
