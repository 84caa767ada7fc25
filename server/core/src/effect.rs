//! The effects: the tasks of the shell for the core, and their order.
//!
//! The core waits for the inputs that it needs (`Persisted`) before it sends a message that depends on them, so
//! effects need no order among themselves, with one exception: `Persist`, `Apply` and `Install` are carried out in
//! the order in which they were given, across steps.

use alloc::vec::Vec;
use core::fmt;

use crate::{
    id::{ClusterId, Epoch, Lsn, ReplicaId, Ticket, WriteId},
    log::{Entry, Snapshot},
    message::Message,
};

/// A task of the shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Make this durable, then give `Input::Persisted`. After all earlier `Persist` and `Apply`. A store may make
    /// several durable in one fsync; it answers each.
    Persist(Write),
    /// Apply committed entries to the state, in order. After all earlier `Persist` and `Apply`. Each entry is given
    /// once, without gaps, beginning after `Recovered::applied`.
    Apply {
        /// Consecutive entries.
        entries: Vec<Entry>,
    },
    /// Store this LSN with the state, after all earlier `Apply`, and give it back as `Recovered::settled`. It becomes
    /// durable with them or later; the core does not wait for it.
    Settle {
        /// The LSN, which is applied by then. All members of the newest Config up to it have the log up to it on
        /// disk.
        lsn: Lsn,
    },
    /// The store, which was copied or moved, is not an older state of itself: store its present place durably, so
    /// that the next run does not get [`crate::config::Settings::copied`]. The core does not wait for it.
    Confirmed,
    /// Send a message in the session with a peer; it may be dropped when there is none.
    Send {
        /// The peer.
        to: ReplicaId,
        /// The message.
        message: Message,
    },
    /// End the session with a peer, which the core does not need any more. As if it had ended by itself, but without
    /// `Input::LinkDown`.
    Disconnect {
        /// The peer.
        peer: ReplicaId,
    },
    /// Read entries of the log, all of them durable, and answer with `Input::LogRead`.
    ReadLog {
        /// The peer that needs the entries; repeated in the answer.
        peer: ReplicaId,
        /// The first entry to read.
        from: Lsn,
        /// The last entry to read. The shell may give fewer, but at least one.
        through: Lsn,
    },
    /// Get a snapshot from a peer, and answer with `Input::SnapshotFetched`. The core repeats this effect: it changes
    /// nothing while a snapshot is on its way from that peer, and replaces a transfer from another peer.
    FetchSnapshot {
        /// The leader.
        from: ReplicaId,
        /// The lowest LSN at which the snapshot may have been taken.
        lsn_min: Lsn,
    },
    /// Replace the state and the whole log by the snapshot that was fetched, all or nothing, durably; then give
    /// `Input::Persisted` and `Input::Applied`. After all earlier `Persist` and `Apply`. The promise is kept.
    Install {
        /// The id of this write in `Input::Persisted`.
        write: WriteId,
        /// The LSN, epochs and Config of the snapshot. The log continues after its LSN.
        snapshot: Snapshot,
    },
    /// A proposal is in the log at this position. Its outcome comes with `Apply` of that LSN, or is unknown after
    /// `Abandon`.
    Accepted {
        /// The proposal.
        ticket: Ticket,
        /// The position of the proposal.
        lsn: Lsn,
    },
    /// A proposal is not in the log and never will be.
    Rejected {
        /// The proposal.
        ticket: Ticket,
        /// The reason.
        rejection: Rejection,
    },
    /// This replica no longer leads: it does not know the outcome of accepted proposals that are not applied yet.
    /// Report that to their clients.
    Abandon,
    /// Stop the process.
    Halt(Halt),
}

/// A durable write: first the promise, then the truncation, then the entries; all or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The id of this write in `Input::Persisted`.
    pub id: WriteId,
    /// The new highest promised epoch, if it changes.
    pub promised: Option<Epoch>,
    /// The first entry to remove, with all after it; none of them is applied.
    pub truncate_from: Option<Lsn>,
    /// The entries to append.
    pub entries: Vec<Entry>,
}

/// The reason why a proposal was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// Another replica leads: this one, if it is known.
    NotLeader(Option<ReplicaId>),
    /// This replica is becoming the leader, or is transferring the leadership: retry soon.
    InTransition,
    /// Too many entries wait to be committed: retry later.
    Busy,
    /// In mode majority: too few members answer to commit anything.
    NoQuorum,
}

/// The reason why a replica stops for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// The replica left the view as `Input::Stop` asked, or no leader could remove it from the view.
    Left,
    /// The leader's log differs from this one at an entry that is committed here: after a partition in mode available
    /// both sides continued. Only an operator may discard this store.
    Diverged {
        /// The first position that is known to differ.
        lsn: Lsn,
        /// The leader of the other side.
        leader: ReplicaId,
    },
    /// The store lacks an entry that it once acknowledged: it is an older state of itself, such as a copy that was
    /// put back. The missing entries, and those that only this store has, may be on no other disk.
    WentBack {
        /// The peer that has the entry.
        peer: ReplicaId,
        /// The position of the entry.
        lsn: Lsn,
    },
    /// An operator declared this replica with this store dead, and the other replicas continued without it. Entries
    /// that they lack are only here.
    DeclaredDead {
        /// The peer that reported it.
        peer: ReplicaId,
    },
    /// Active replicas at the configured addresses belong to another cluster.
    ForeignCluster {
        /// The peer that reported it.
        peer: ReplicaId,
        /// The cluster of that peer.
        theirs: ClusterId,
        /// The cluster of this store.
        ours: ClusterId,
    },
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Halt::Left => write!(f, "left the view"),
            Halt::Diverged { lsn, leader } => write!(
                f,
                "this store and the log of leader {leader} differ at LSN {lsn}, which was \
                 committed here: both sides of a partition went on. Nothing was changed; keep \
                 this data directory, and start the replica on an empty one, with --join, to rejoin"
            ),
            Halt::WentBack { peer, lsn } => write!(
                f,
                "this store is an older state of itself: it acknowledged the entry at LSN {lsn}, which \
                 replica {peer} has, and does not hold it. The store of replica {peer} is the newer one. \
                 Nothing was changed; keep this data directory, and start the replica on an empty one to \
                 rejoin"
            ),
            Halt::DeclaredDead { peer } => write!(
                f,
                "replica {peer} says that this replica was declared dead with `tercet cluster \
                 recover`, and the others went on without what only this store has. Nothing was \
                 changed; keep this data directory, and start the replica on an empty one to rejoin"
            ),
            Halt::ForeignCluster { peer, theirs, ours } => write!(
                f,
                "replica {peer} belongs to cluster {:032x}, this store to cluster {:032x}: check \
                 the data directory and the addresses of the replicas",
                theirs.0, ours.0
            ),
        }
    }
}
