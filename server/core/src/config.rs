//! The membership of the cluster, which is stored only in the log, and the settings of a replica.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::id::{ClusterId, Incarnation, Lsn, ReplicaId, StoreId, Time};

/// The rule by which a replica may take over, and the smallest view. Everything else is the same in both modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// The last replica alive serves alone. Partitions are outside the fault model.
    Available,
    /// A view has at least `min_in_sync` members, and a takeover needs a majority. Safe under
    /// partitions; a lone replica stops.
    Majority {
        /// The smallest number of members of a view, 2 or more.
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

/// The members of a view: the payload of a Config entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The cluster that the log belongs to; the same in all Configs of a log.
    pub cluster: ClusterId,
    /// The mode that the cluster was made with.
    pub mode: Mode,
    /// The members, each with the store that it had when it became one: a replica with a wiped disk is no member.
    pub members: BTreeMap<ReplicaId, StoreId>,
    /// The stores that an operator declared dead. They are never admitted to the cluster again; the set only grows.
    pub dead: BTreeSet<(ReplicaId, StoreId)>,
}

impl Config {
    /// Tells whether this replica, with this store, is a member.
    #[must_use]
    pub fn has(&self, id: ReplicaId, store: StoreId) -> bool {
        self.members.get(&id) == Some(&store)
    }
}

/// A Config and its position in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedConfig {
    /// The LSN of its entry.
    pub lsn: Lsn,
    /// The Config in the entry.
    pub config: Config,
}

/// The usual time between two ticks from the shell, microseconds.
pub const TICK_INTERVAL: u64 = 10_000;

/// The time between two ticks from the shell while the lead changes, or may be about to, microseconds: the core takes
/// each step of a takeover in a tick.
pub const TICK_INTERVAL_HURRIED: u64 = 1_000;

/// The time for which ticks come at [`TICK_INTERVAL_HURRIED`] after a session ended, microseconds.
pub const HURRY: u64 = 200_000;

/// Durations of the protocol, in microseconds of the replica's own clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The longest time without a message from a replica to a peer.
    pub heartbeat_interval: u64,
    /// The time for which an acknowledged heartbeat, counted from its sending, lets a leader serve reads.
    pub lease: u64,
    /// The time, after the lease, for which a replica that heard a leader still vetoes other candidates and does not
    /// become one itself. It covers three errors. A replica notes the time of the last message from its leader by its
    /// last tick, which may be [`TICK_INTERVAL`] old, and a little older where ticks are late. Two clocks, each wrong
    /// by at most one part in a thousand, differ by 1.2 ms over a lease. And the leader's clock may have stood still
    /// for a time too short to show in the others' clocks (`clocks.rs`). `lease` and `lease_margin` together are
    /// below `silence_timeout`.
    pub lease_margin: u64,
    /// A peer that was silent for this long is treated as dead, if other replicas remain.
    pub silence_timeout: u64,
    /// The same limit for a replica that would then be the only member; `None` for no limit. Unused in mode majority,
    /// where no replica serves alone.
    pub lone_timeout: Option<u64>,
    /// A member that sends messages but acknowledges nothing new for this long leaves the view.
    pub ack_timeout: u64,
    /// An acknowledgement is late if it takes longer than this, and longer than four of the leader's own writes. A
    /// member with only late acknowledgements leaves the view if the other members' disks are much faster; a leader
    /// with such a disk resigns.
    pub late_ack: u64,
    /// A longer gap between two ticks means that this replica slept. Below `silence_timeout`, so that a replica that
    /// may have been replaced notices it.
    pub tick_gap_max: u64,
    /// The time between two pre-votes of a replica that looks for a leader.
    pub pre_vote_interval: u64,
    /// The time that a candidate has to collect promises and a log. It starts again while a promise is being written
    /// to the candidate's own disk, or to another one that does not stall. A replica that promised waits as long for
    /// the candidate to lead.
    pub candidacy_timeout: u64,
    /// The time after which a leader gives up a leadership transfer and continues to lead; longer where a disk is
    /// slow.
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

/// The bounds on memory and messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The payload bytes of one Append or Pulled message (a single entry may exceed it).
    pub batch_bytes_max: usize,
    /// The entries of one Append or Pulled message.
    pub batch_entries_max: usize,
    /// The unacknowledged Append messages with entries to one peer.
    pub batches_in_flight_max: usize,
    /// The entries that a leader has appended and not committed; further proposals are rejected as busy.
    pub uncommitted_entries_max: usize,
    /// The payload bytes of those uncommitted entries.
    pub uncommitted_bytes_max: usize,
    /// The payload bytes of committed entries that are kept in memory for backups that are a little behind.
    pub window_bytes_max: usize,
    /// A learner that lacks at most this many entries has caught up.
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

/// The settings that a replica gets at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The id of this replica.
    pub id: ReplicaId,
    /// The identity of its store.
    pub store: StoreId,
    /// The run of the replica's process.
    pub incarnation: Incarnation,
    /// The ids of all configured replicas, this one included.
    pub roster: BTreeSet<ReplicaId>,
    /// The mode of a cluster that is still to be made. Later the log has the mode.
    pub mode: Mode,
    /// True if the store was copied or moved since the replica last ran on it, and no leader has confirmed since that
    /// it is not an older state of itself.
    pub copied: bool,
    /// The identity of a cluster that this replica may make. `None` on a replica that joins an existing cluster: with
    /// an empty store it only follows.
    pub new_cluster: Option<ClusterId>,
    /// The durations.
    pub timing: Timing,
    /// The bounds.
    pub limits: Limits,
    /// The replica's clock at the start.
    pub now: Time,
}
