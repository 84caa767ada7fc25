//! The inputs: everything that can happen to a replica.

use alloc::{collections::BTreeSet, vec::Vec};

use bytes::Bytes;

use crate::{
    id::{Lsn, ReplicaId, Ticket, Time, WriteId},
    log::{Entry, Snapshot},
    message::{Hello, Message},
};

/// An event for a replica; the argument of `Replica::step`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Time passed. Expected about every 10 ms; a long gap means that this replica slept.
    ///
    /// The shell reads the clock after it has taken any other input from its queues, and gives a tick before that
    /// input when 10 ms have passed since the last tick. So a replica that slept notices it before it takes the
    /// messages that waited in its queues.
    Tick {
        /// The replica's own clock.
        now: Time,
    },
    /// A session with a peer began: hellos were exchanged both ways, and both replicas admit each other
    /// (`Replica::admits`). It ends any older session with the peer: nothing of that one is received any more.
    LinkUp {
        /// The hello of the peer.
        hello: Hello,
    },
    /// The session with a peer ended. This alone is no evidence of death.
    LinkDown {
        /// The peer.
        peer: ReplicaId,
    },
    /// There is no session with the peer, and a new connection was refused. A proxy, a firewall or another process
    /// with the same address refuses as well, so one refusal proves little. The peer's process is treated as dead
    /// when a session with it ended in this run, and after that, without a session in between, two connections were
    /// refused, a millisecond or more apart, at the address that the peer gave in that session.
    Refused {
        /// The peer.
        peer: ReplicaId,
        /// True if the refusal came from the address that the peer itself gave in its last session of this run.
        told: bool,
    },
    /// A message arrived on the session with a peer.
    Received {
        /// The peer.
        from: ReplicaId,
        /// The message.
        message: Message,
    },
    /// Clients propose commands for the log. Answered by `Accepted` or `Rejected` effects in this same step.
    Propose {
        /// The commands, in the order that they shall have in the log.
        proposals: Vec<(Ticket, Bytes)>,
    },
    /// The write of a `Persist` effect, and all before it, are on disk: fsynced.
    Persisted {
        /// The write.
        write: WriteId,
    },
    /// The entries of `Apply` effects up to this LSN are in the state, and the state is on disk: a restart begins
    /// with it, as `Recovered::applied`.
    Applied {
        /// The LSN. Not past the commit position; never falls.
        lsn: Lsn,
    },
    /// The answer to a `ReadLog` effect.
    LogRead {
        /// The peer of the effect.
        peer: ReplicaId,
        /// The first entry that the effect asked for.
        from: Lsn,
        /// The consecutive entries from `from` on, within the limits of the effect: at least one, unless the log was
        /// trimmed past `from` meanwhile.
        entries: Vec<Entry>,
    },
    /// The store removed the entries before `start`.
    Trimmed {
        /// The first entry that the log still has. Not past `Replica::trim_max` + 1.
        start: Lsn,
    },
    /// The answer to a `FetchSnapshot` effect: the complete snapshot, as the peer sent it, is here. The core answers
    /// with an `Install` effect in this same step, or does not need it any more.
    SnapshotFetched {
        /// The LSN, epochs and Config of the snapshot.
        snapshot: Snapshot,
    },
    /// The roster as of the state that is applied here; replaces `Settings::roster`. Only replicas of the roster join
    /// a view. A member that is not in it any more leaves the view; a leader does so after a leadership transfer.
    Roster {
        /// The ids of all replicas of the roster.
        roster: BTreeSet<ReplicaId>,
    },
    /// The operator declares that these replicas will not return with their stores. It counts until this replica
    /// knows a leader, and only against replicas that do not answer. While there is a leader it has no effect, except
    /// on a leader that itself waits for these replicas: that one steps down.
    DeclareDead {
        /// The ids of the replicas that are declared dead.
        replicas: BTreeSet<ReplicaId>,
    },
    /// The operator wants this replica to stop: it leaves the view first.
    Stop,
}
