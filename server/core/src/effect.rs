//! What the shell must do for the core, and in which order.
//!
//! The core waits for what it needs (`Persisted`) before it says what depends on it, so effects
//! need no order among themselves, with one exception: `Persist`, `Apply` and `Install` are done in
//! the order in which they were given, across steps.

use alloc::vec::Vec;
use core::fmt;

use crate::{
    id::{ClusterId, Epoch, Lsn, ReplicaId, Ticket, WriteId},
    log::{Entry, Snapshot},
    message::Message,
};

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Make durable, then say `Input::Persisted`. After all earlier `Persist` and `Apply`. A
    /// store may take several in one fsync; each is answered.
    Persist(Write),
    /// Apply committed entries to the state, in order. After all earlier `Persist` and `Apply`.
    /// Each entry is given once, without gaps, from the one after `Recovered::applied` on.
    Apply {
        /// Consecutive entries.
        entries: Vec<Entry>,
    },
    /// Note with the state, after all earlier `Apply`, and give it back as `Recovered::settled`. Durable
    /// with them or later; nobody waits for it.
    Settle {
        /// Applied by then. All members of the newest Config up to here have the log up to here on disk.
        lsn: Lsn,
    },
    /// The store, which was copied or moved, is no older state of itself: note durably where it is, so that the
    /// next run is not told [`crate::config::Settings::copied`]. Nobody waits for it.
    Confirmed,
    /// Put on the session with a peer; may be dropped when there is none.
    Send {
        /// The peer.
        to: ReplicaId,
        /// The message.
        message: Message,
    },
    /// End the session with a peer that the core has no use for any more. As if it had ended by
    /// itself, but for `Input::LinkDown`, which is not said.
    Disconnect {
        /// The peer.
        peer: ReplicaId,
    },
    /// Read entries of the log, all of them durable, and say `Input::LogRead`.
    ReadLog {
        /// Comes back in the answer.
        peer: ReplicaId,
        /// First entry wanted.
        from: Lsn,
        /// Last entry wanted, at most: fewer may be given, at least one.
        through: Lsn,
    },
    /// Get a snapshot from a peer, and say `Input::SnapshotFetched`. Said again and again: it changes
    /// nothing while one comes from that peer, and takes the place of one from another.
    FetchSnapshot {
        /// The leader.
        from: ReplicaId,
        /// Taken here or later.
        lsn_min: Lsn,
    },
    /// Put the snapshot that was fetched in the place of the state and of the whole log, all or
    /// nothing, durably; then say `Input::Persisted` and `Input::Applied`. After all earlier `Persist`
    /// and `Apply`. The promise stays.
    Install {
        /// Names it in `Input::Persisted`.
        write: WriteId,
        /// Where it was taken: the log goes on after it.
        snapshot: Snapshot,
    },
    /// A proposal is in the log at this position. Its fate comes with `Apply` of that LSN, or
    /// with `Abandon`.
    Accepted {
        /// The proposal.
        ticket: Ticket,
        /// Its position.
        lsn: Lsn,
    },
    /// A proposal is not in the log and never will be.
    Rejected {
        /// The proposal.
        ticket: Ticket,
        /// Why.
        rejection: Rejection,
    },
    /// This replica no longer leads: the fate of every accepted proposal that was not applied
    /// yet is unknown here. Tell its client so.
    Abandon,
    /// Stop the process.
    Halt(Halt),
}

/// One durable write: first the promise, then the cut, then the entries; all or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Names it in `Input::Persisted`.
    pub id: WriteId,
    /// A new highest promised epoch.
    pub promised: Option<Epoch>,
    /// Remove the entries from here on; none of them is applied.
    pub truncate_from: Option<Lsn>,
    /// Append these.
    pub entries: Vec<Entry>,
}

/// Why a proposal was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// Another replica leads, if known.
    NotLeader(Option<ReplicaId>),
    /// This replica is becoming the leader, or handing over: soon.
    InTransition,
    /// Too much is waiting to be committed: later.
    Busy,
    /// Mode majority, and too few members answer to commit anything.
    NoQuorum,
}

/// Why a replica must stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// As asked by `Input::Stop`: it left the view, or nobody leads who could take it out.
    Left,
    /// The leader's log differs from this one where this one is committed: after a partition in
    /// mode available both sides went on. Nothing here may be thrown away without an operator.
    Diverged {
        /// First position seen to differ.
        lsn: Lsn,
        /// The leader of the other side.
        leader: ReplicaId,
    },
    /// This store once acknowledged an entry that it does not hold: it is an older state of itself, such as
    /// a copy that was put back. What it lacks may be on no other disk, and what it has more may not be
    /// either.
    WentBack {
        /// The peer that has the entry.
        peer: ReplicaId,
        /// Its position.
        lsn: Lsn,
    },
    /// An operator declared this replica, on this store, dead, and the others went on without it. What
    /// they do not have is only here.
    DeclaredDead {
        /// The peer that said so.
        peer: ReplicaId,
    },
    /// Active replicas at the configured addresses belong to another cluster.
    ForeignCluster {
        /// The peer that said so.
        peer: ReplicaId,
        /// Its cluster.
        theirs: ClusterId,
        /// This store's cluster.
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
