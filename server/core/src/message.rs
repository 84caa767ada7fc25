//! What replicas say to one another. `tercet.peer.v1` is the wire form of these, one to one.
//!
//! Messages travel over sessions: in order, without loss while the session lasts, never from one
//! session into the next. The core still takes every message as possibly late and checks its
//! epoch (the simulator drops, repeats and reorders them).

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use crate::{
    config::{Config, LoggedConfig},
    id::{ClusterId, Epoch, Incarnation, Lsn, ReplicaId, StoreId, Time},
    log::{Entry, LastEntry, can_follow},
};

/// First word on a session, each way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Who speaks.
    pub id: ReplicaId,
    /// On which store.
    pub store: StoreId,
    /// In which run.
    pub incarnation: Incarnation,
    /// The cluster its log belongs to, if it holds a Config.
    pub cluster: Option<ClusterId>,
    /// Whether it is active (see the glossary).
    pub active: bool,
    /// The stores that were declared dead, by a Config that the speaker knows to be committed.
    pub dead: BTreeSet<(ReplicaId, StoreId)>,
    /// The epoch of that Config, or of the newest: of two that call each other dead the later is right.
    pub dead_by: Epoch,
    /// What the speaker knows that others had on disk.
    pub acknowledged: Acknowledged,
}

/// A committed entry, and the stores that had it, and all before it, on disk when it was committed. A store
/// that lacks the entry later went back in time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acknowledged {
    /// The entry; [`LastEntry::default`] where nothing is known.
    pub entry: LastEntry,
    /// The members of the view that committed it.
    pub stores: BTreeMap<ReplicaId, StoreId>,
}

/// What a replica tells of itself to one who may lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoteState {
    /// Its log's end, durable.
    pub last_entry: LastEntry,
    /// What it knows to be committed.
    pub commit: Lsn,
    /// The last entry that its log has no more, being trimmed: it cannot be asked for what is before.
    pub trimmed: LastEntry,
    /// The newest Config at or below `commit` and every later one, with their LSNs, ascending.
    /// Empty while the log is.
    pub configs: Vec<LoggedConfig>,
    /// Whether it is active.
    pub active: bool,
    /// Whether it is about to stop, and wants to be left out of the next view.
    pub leaving: bool,
    /// Whether it will not promise anything soon: its disk has not answered for long, or its store was copied
    /// and is not confirmed.
    pub stalled: bool,
}

impl VoteState {
    /// The newest Config in the log.
    #[must_use]
    pub fn config(&self) -> Option<&Config> {
        self.configs.last().map(|newest| &newest.config)
    }
}

/// The messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// "I am here", where nothing else was to say for a heartbeat interval.
    Ping {
        /// Highest epoch promised: a leader of an older one steps down.
        promised: Epoch,
        /// The sender's clock. 0 from a version that did not say it.
        clock: Time,
    },
    /// Leader to all: entries, the commit position, and, empty, a heartbeat.
    Append(Append),
    /// To the leader: what is on disk here and equal to the leader's log.
    Appended {
        /// The epoch of the Append.
        epoch: Epoch,
        /// Everything up to here is durable and matches.
        matched: Lsn,
        /// Everything up to here is applied, durably: the sender will know after a restart that it
        /// is committed.
        applied: Lsn,
        /// From the latest Append.
        sent_at: Time,
        /// Must come back in an Append before the sender calls itself active.
        nonce: u64,
        /// Whether the sender is active.
        active: bool,
        /// Whether the sender's store was copied and is not confirmed: what it has commits nothing.
        unconfirmed: bool,
        /// The sender's clock. 0 from a version that did not say it.
        clock: Time,
    },
    /// To the leader: the entry before the sent ones is not in this log.
    AppendMismatch {
        /// The epoch of the Append.
        epoch: Epoch,
        /// Send from here: the position after the last that can match.
        retry_from: Lsn,
        /// From the Append: hearing the leader is worth a lease, matching or not.
        sent_at: Time,
        /// As in Appended.
        nonce: u64,
    },
    /// Leader to a follower that lacks entries which the leader has no more.
    SnapshotNeeded {
        /// The leader's epoch.
        epoch: Epoch,
        /// A snapshot must be of this LSN or later.
        lsn_min: Lsn,
    },
    /// "Your epoch is over."
    Fenced {
        /// Highest epoch promised.
        promised: Epoch,
    },
    /// "I hear no leader. Do you? Where do you stand?" Changes nothing at the receiver.
    PreVote {
        /// Comes back in the answer.
        round: u64,
    },
    /// Answer to PreVote.
    PreVoteReply {
        /// From the question.
        round: u64,
        /// Highest epoch promised.
        promised: Epoch,
        /// The leader that the answerer is or hears: a veto.
        hears: Option<ReplicaId>,
        /// Where the answerer stands.
        vote_state: VoteState,
    },
    /// Candidate to all: promise this epoch.
    Prepare {
        /// The candidate's epoch.
        epoch: Epoch,
        /// The epoch whose leader handed over to the candidate: no veto from its followers.
        transferred_from: Option<Epoch>,
    },
    /// To the candidate: promised, durably, with the log as it will stay under that promise.
    Promised {
        /// The candidate's epoch.
        epoch: Epoch,
        /// Where the promiser stands.
        vote_state: VoteState,
    },
    /// To a candidate that asks again: the promise is on its way to the sender's disk, which still answers. The
    /// candidate waits for it.
    Promising {
        /// The candidate's epoch.
        epoch: Epoch,
    },
    /// To the candidate, in place of Promised, from a replica whose disk has not answered for the
    /// acknowledgement limit, or whose store was copied and is not confirmed: this run of the sender refuses all older epochs and is not active, so
    /// rule (i) may count it as one that died. Unlike a promise it is not durable and counts for
    /// nothing else.
    Excused {
        /// The candidate's epoch.
        epoch: Epoch,
    },
    /// Leader to all: its disk does not answer, so it leads no more. It gives up its lease, and is not
    /// active.
    Resigned {
        /// The epoch that ends.
        epoch: Epoch,
    },
    /// To the candidate: not promised, there is a leader.
    Vetoed {
        /// The candidate's epoch.
        epoch: Epoch,
    },
    /// Candidate to the replica with the best log: send it to me from here on.
    Pull {
        /// The candidate's epoch.
        epoch: Epoch,
        /// First entry wanted.
        from: Lsn,
    },
    /// Answer to Pull; asked again for what follows until the tail is reached.
    Pulled {
        /// The candidate's epoch.
        epoch: Epoch,
        /// From the question.
        from: Lsn,
        /// Consecutive entries beginning there.
        entries: Vec<Entry>,
    },
    /// Leader to the member that is to lead next, which has every entry.
    LeadershipTransfer {
        /// The epoch that ends.
        epoch: Epoch,
    },
    /// Candidate that is not in the adopted Config to one who is: stand yourself.
    Nominate {
        /// The candidate's epoch, promised by the receiver.
        epoch: Epoch,
    },
    /// To the leader: take me out of the view, I am stopping.
    Leave,
}

impl Message {
    /// The sender's own clock, in those messages that are sent at least once in a heartbeat interval, or in
    /// answer to one.
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

/// Body of [`Message::Append`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The leader's epoch.
    pub epoch: Epoch,
    /// The entry before the first of `entries`.
    pub prev_lsn: Lsn,
    /// Its epoch; the receiver must have the same.
    pub prev_epoch: Epoch,
    /// Consecutive entries from `prev_lsn` + 1 on.
    pub entries: Vec<Entry>,
    /// What the leader knows to be committed.
    pub commit: Lsn,
    /// The end of the leader's log; zero from a version that did not say it.
    pub last: Lsn,
    /// The leader's newest Config.
    pub config_lsn: Lsn,
    /// Whether the receiver is a member in it.
    pub member: bool,
    /// Whether the receiver, which was removed from the cluster, may go for good: the leader will not
    /// take it into its view any more, and even after an outage of all nobody will ask for it.
    pub released: bool,
    /// The leader's clock; comes back in the answer, and its lease runs from it.
    pub sent_at: Time,
    /// The latest nonce that the leader had from the receiver.
    pub nonce: u64,
}

impl Append {
    /// Whether it is one that a leader could send: anything else is ignored.
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
