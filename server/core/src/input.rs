//! Everything that can happen to a replica.

use alloc::{collections::BTreeSet, vec::Vec};

use bytes::Bytes;

use crate::{
    id::{Lsn, ReplicaId, Ticket, Time, WriteId},
    log::{Entry, Snapshot},
    message::{Hello, Message},
};

/// One thing that happened; the argument of `Replica::step`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Time passed. Expected every 10 ms or so; a long gap means that this replica slept.
    ///
    /// The shell reads the clock after it has taken any other input from its queues and gives a
    /// tick before that input when 10 ms have passed since the last one. So whoever slept knows
    /// it before it believes what lay in its queues meanwhile.
    Tick {
        /// The replica's own clock.
        now: Time,
    },
    /// A session with a peer stands: hellos were exchanged both ways, and both replicas admit
    /// each other (`Replica::admits`). Ends any older session with it: nothing of that one is
    /// received any more.
    LinkUp {
        /// What the peer said of itself.
        hello: Hello,
    },
    /// The session with a peer ended. No evidence of death yet.
    LinkDown {
        /// The peer.
        peer: ReplicaId,
    },
    /// No session stands with the peer, and a new connection was refused. A proxy, a firewall or whoever has
    /// the address now refuses as well, so this proves little by itself. The peer's process is taken for dead
    /// when a session with it stood in this run and ended, and after that, without any session in
    /// between, two connections were refused, a millisecond or more apart, at the address that the peer
    /// told in that session.
    Refused {
        /// The peer.
        peer: ReplicaId,
        /// At the address that the peer itself told in its last session of this run.
        told: bool,
    },
    /// A message arrived on the session with a peer.
    Received {
        /// The peer.
        from: ReplicaId,
        /// The message.
        message: Message,
    },
    /// Clients want commands in the log. Answered by `Accepted` or `Rejected` effects in this
    /// same step.
    Propose {
        /// In the order they are to have.
        proposals: Vec<(Ticket, Bytes)>,
    },
    /// A `Persist` effect, and with it all before it, is on disk: fsynced.
    Persisted {
        /// The write.
        write: WriteId,
    },
    /// What `Apply` effects gave up to here is in the state tables, and that is on disk: a restart
    /// begins with it, as `Recovered::applied`.
    Applied {
        /// Not past what is committed; never falls.
        lsn: Lsn,
    },
    /// Answer to a `ReadLog` effect.
    LogRead {
        /// For whom it was.
        peer: ReplicaId,
        /// As asked.
        from: Lsn,
        /// Consecutive entries from `from` on, bounded by the limits asked: at least one, unless the
        /// log was trimmed past `from` meanwhile.
        entries: Vec<Entry>,
    },
    /// The store let go of the entries before `start`.
    Trimmed {
        /// First entry that the log still has. Not past `Replica::trim_max` + 1.
        start: Lsn,
    },
    /// Answer to a `FetchSnapshot` effect: a snapshot is here, whole and as it was sent. Answered by
    /// an `Install` effect in this same step, or of no use any more.
    SnapshotFetched {
        /// Where it was taken.
        snapshot: Snapshot,
    },
    /// Who belongs to the cluster, as the state says that is applied here; takes the place of
    /// `Settings::roster`. Only such replicas join a view. A member that is not among them any
    /// more leaves it, the leader after it has handed over.
    Roster {
        /// All of them.
        roster: BTreeSet<ReplicaId>,
    },
    /// The operator's word that these replicas will not come back with what they hold. Counts until this
    /// replica knows a leader, and only against those who do not answer. It is of no use while there is a
    /// leader, except for one that waits for them itself: that one steps down.
    DeclareDead {
        /// Which.
        replicas: BTreeSet<ReplicaId>,
    },
    /// The operator wants this replica to stop: leave the view first.
    Stop,
}
