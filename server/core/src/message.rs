//! The messages between replicas. `tercet.peer.v1` is their wire form, one to one.
//!
//! Messages travel over sessions: in order, without loss while the session lasts, never from one session into the
//! next. The core still treats every message as possibly late and checks its epoch (the simulator drops, repeats and
//! reorders messages).

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use crate::{
    config::{Config, LoggedConfig},
    id::{ClusterId, Epoch, Incarnation, Lsn, ReplicaId, StoreId, Time},
    log::{Entry, LastEntry, can_follow},
};

/// The first message of each side in a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The id of the sender.
    pub id: ReplicaId,
    /// The store of the sender.
    pub store: StoreId,
    /// The run of the sender's process.
    pub incarnation: Incarnation,
    /// The cluster of the sender's log, if the log has a Config.
    pub cluster: Option<ClusterId>,
    /// True if the sender is active (see the glossary).
    pub active: bool,
    /// The stores that were declared dead by a Config that the sender knows to be committed.
    pub dead: BTreeSet<(ReplicaId, StoreId)>,
    /// The epoch of the newest such Config. If each of two replicas declares the other dead, the later Config counts.
    pub dead_by: Epoch,
    /// The last entry that the sender knows to be on the disks of all members of a view.
    pub acknowledged: Acknowledged,
}

/// A committed entry, and the stores that had it, and all entries before it, on disk when it was committed. A store
/// of these that lacks the entry later is an older state of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acknowledged {
    /// The entry; [`LastEntry::default`] if none is known.
    pub entry: LastEntry,
    /// The members of the view that committed it.
    pub stores: BTreeMap<ReplicaId, StoreId>,
}

/// The description of log and disk that a replica sends to a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoteState {
    /// The last entry of the log, durable.
    pub last_entry: LastEntry,
    /// The LSN up to which the replica knows the log to be committed.
    pub commit: Lsn,
    /// The last entry that was trimmed from the log: the replica cannot send it or earlier ones.
    pub trimmed: LastEntry,
    /// The newest Config at or below `commit` and every later one, with their LSNs, ascending. Empty only if the log
    /// is empty.
    pub configs: Vec<LoggedConfig>,
    /// True if the replica is active.
    pub active: bool,
    /// True if the replica is about to stop, and should not be in the next view.
    pub leaving: bool,
    /// True if the replica will not promise anything soon, because its disk has not answered for long, or its store
    /// was copied and is not confirmed.
    pub stalled: bool,
}

impl VoteState {
    /// Gives the newest Config in the log.
    #[must_use]
    pub fn config(&self) -> Option<&Config> {
        self.configs.last().map(|newest| &newest.config)
    }
}

/// A message from one replica to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A sign of life, sent when there was no other message for a heartbeat interval.
    Ping {
        /// The highest epoch that the sender promised: a leader of an older one steps down.
        promised: Epoch,
        /// The sender's clock. 0 from a version that did not send it.
        clock: Time,
    },
    /// From the leader to all: entries, and the commit position. Without entries it is a heartbeat.
    Append(Append),
    /// To the leader: the LSN up to which the sender's log is on disk and equal to the leader's.
    Appended {
        /// The epoch of the Append.
        epoch: Epoch,
        /// The LSN up to which the log is durable and equal to the leader's.
        matched: Lsn,
        /// The LSN up to which the entries are applied, durably: the sender knows after a restart that they are
        /// committed.
        applied: Lsn,
        /// The `sent_at` of the latest Append.
        sent_at: Time,
        /// The number that must come back in an Append before the sender becomes active.
        nonce: u64,
        /// True if the sender is active.
        active: bool,
        /// True if the sender's store was copied and is not confirmed: then its acknowledgement commits nothing.
        unconfirmed: bool,
        /// The sender's clock. 0 from a version that did not send it.
        clock: Time,
    },
    /// To the leader: the entry before the sent ones is not in the sender's log.
    AppendMismatch {
        /// The epoch of the Append.
        epoch: Epoch,
        /// The LSN to send from: the position after the last entry that can be equal.
        retry_from: Lsn,
        /// The `sent_at` of the Append: it renews the lease, whether the logs match or not.
        sent_at: Time,
        /// The number that must come back in an Append before the sender becomes active.
        nonce: u64,
    },
    /// From the leader to a follower that lacks entries which the leader has trimmed.
    SnapshotNeeded {
        /// The leader's epoch.
        epoch: Epoch,
        /// The lowest LSN of a snapshot that is of use.
        lsn_min: Lsn,
    },
    /// To a leader or candidate: a later epoch was promised.
    Fenced {
        /// The highest epoch that the sender promised.
        promised: Epoch,
    },
    /// A question of a replica that knows no leader: whether the receiver knows one, and its vote state. Changes
    /// nothing at the receiver.
    PreVote {
        /// The number of the question, which comes back in the answer.
        round: u64,
    },
    /// The answer to PreVote.
    PreVoteReply {
        /// The number of the question.
        round: u64,
        /// The highest epoch that the sender promised.
        promised: Epoch,
        /// The leader that the sender is or follows: a veto.
        hears: Option<ReplicaId>,
        /// The vote state of the sender.
        vote_state: VoteState,
    },
    /// From a candidate to all: promise this epoch.
    Prepare {
        /// The candidate's epoch.
        epoch: Epoch,
        /// The epoch whose leader transferred the lead to the candidate: its followers do not veto.
        transferred_from: Option<Epoch>,
    },
    /// To the candidate: the epoch is promised, durably, with the log as it stays under that promise.
    Promised {
        /// The candidate's epoch.
        epoch: Epoch,
        /// The vote state of the sender.
        vote_state: VoteState,
    },
    /// To a candidate that asks again: the promise is being written to the sender's disk, which still answers. The
    /// candidate waits for it.
    Promising {
        /// The candidate's epoch.
        epoch: Epoch,
    },
    /// To the candidate, in place of Promised, from a replica whose disk has not answered for `ack_timeout`, or whose
    /// store was copied and is not confirmed. This run of the sender refuses all older epochs and is not active, so
    /// rule (i) counts it as one that died. Unlike a promise it is not durable and counts for nothing else.
    Excused {
        /// The candidate's epoch.
        epoch: Epoch,
    },
    /// From a leader whose disk stalls, or slows all writes, to all: it leads no more. It gives up its lease, and is
    /// not active.
    Resigned {
        /// The epoch of the leader.
        epoch: Epoch,
    },
    /// To the candidate: the epoch is not promised, because there is a leader.
    Vetoed {
        /// The candidate's epoch.
        epoch: Epoch,
    },
    /// From a candidate to the replica with the best log: send entries.
    Pull {
        /// The candidate's epoch.
        epoch: Epoch,
        /// The first entry that the candidate asks for.
        from: Lsn,
    },
    /// The answer to Pull; the candidate asks again until it has the whole log.
    Pulled {
        /// The candidate's epoch.
        epoch: Epoch,
        /// The first entry that the candidate asked for.
        from: Lsn,
        /// The consecutive entries from `from` on.
        entries: Vec<Entry>,
    },
    /// From the leader to the transferee, which has every entry: become a candidate.
    LeadershipTransfer {
        /// The epoch of the leader.
        epoch: Epoch,
    },
    /// From a candidate that is not in the adopted Config to a member of it: become a candidate.
    Nominate {
        /// The candidate's epoch, which the receiver promised.
        epoch: Epoch,
    },
    /// To the leader, from a replica that is stopping: remove it from the view.
    Leave,
}

impl Message {
    /// Gives the sender's clock, if the message is one of those that are sent at least once in a heartbeat interval,
    /// or as answers to them.
    #[must_use]
    pub fn clock(&self) -> Option<Time> {
        match self {
            Message::Ping { clock, .. } | Message::Appended { clock, .. } => {
                Some(*clock).filter(|clock| clock.0 > 0)
            }
            Message::Append(append) => Some(append.sent_at),
            _ => None,
        }
    }
}

/// The body of [`Message::Append`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The leader's epoch.
    pub epoch: Epoch,
    /// The LSN of the entry before the first of `entries`.
    pub prev_lsn: Lsn,
    /// The epoch of that entry; the receiver's entry must have the same.
    pub prev_epoch: Epoch,
    /// The consecutive entries from `prev_lsn` + 1 on.
    pub entries: Vec<Entry>,
    /// The LSN up to which the leader knows the log to be committed.
    pub commit: Lsn,
    /// The LSN of the leader's last entry; zero from a version that did not send it.
    pub last: Lsn,
    /// The LSN of the leader's newest Config.
    pub config_lsn: Lsn,
    /// True if the receiver is a member of the leader's view.
    pub member: bool,
    /// True if the receiver, which was removed from the cluster, may stop for good: the leader will not add it to its
    /// view any more, and even after an outage of all replicas none will wait for it.
    pub released: bool,
    /// The leader's clock; it comes back in the answer, and the leader's lease begins at it.
    pub sent_at: Time,
    /// The latest nonce of the receiver that the leader confirms.
    pub nonce: u64,
}

impl Append {
    /// Tells whether a leader could send this; the receiver ignores any other Append.
    pub(crate) fn is_well_formed(&self) -> bool {
        let Append {
            epoch,
            prev_lsn,
            prev_epoch,
            ..
        } = *self;
        let ordered = can_follow(prev_lsn, prev_epoch, &self.entries, epoch);
        let plausible = epoch.is_plausible() && prev_lsn.0 < 1 << 62;
        plausible && ordered && prev_epoch <= epoch && epoch > Epoch::NONE
    }
}
