//! What services may ask of the running replica: its status, a write, permission to read. The
//! only door from `rpc` to the driver.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tercet_core::id::{Epoch, Incarnation, Lsn, ReplicaId, StoreId, Time};
use tercet_proto::log::{Command, Outcome};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    clock,
    fair::Key,
    ordered_proposer::{OrderedProposer, OrderedReply},
    proposals::Proposals,
    roster::Roster,
};

/// A replica's standing, published by the driver whenever it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaStatus {
    pub id: ReplicaId,
    /// This run of the process.
    pub incarnation: Incarnation,
    pub role: Role,
    /// The leader this replica knows, itself included.
    pub leader: Option<ReplicaId>,
    /// The epoch led, followed or promised.
    pub epoch: Epoch,
    /// Newest Config in the log: LSN and members; `Lsn::ZERO` and empty when there is none.
    pub config_lsn: Lsn,
    pub members: Vec<ReplicaId>,
    /// The same, each with the store that it had when it became one.
    pub member_stores: BTreeMap<ReplicaId, StoreId>,
    /// Stores that were declared dead, as that Config says.
    pub dead: BTreeSet<(ReplicaId, StoreId)>,
    /// `available` or `majority`.
    pub mode: &'static str,
    /// Members that a view has at least.
    pub view_min: usize,
    pub cluster: Option<u128>,
    pub last: Lsn,
    pub commit: Lsn,
    pub applied: Lsn,
    /// Leads, and whoever is not in its view is needed no more, even after an outage of all.
    pub firm: bool,
    /// For each other replica: whether a session stands, and, on the leader, what it has on disk.
    pub peers: Vec<(ReplicaId, bool, Lsn)>,
    /// Who is here, this replica and those with a session, and on which store.
    pub stores: BTreeMap<ReplicaId, StoreId>,
    /// Whom it waits for before it may lead; empty unless it waits.
    pub waiting_for: Vec<ReplicaId>,
    /// Whom an operator has declared dead, as long as no leader is known.
    pub declared_dead: Vec<ReplicaId>,
    /// For a replica that waits: for whom and why. Empty otherwise.
    pub waiting: String,
    /// Leads, and its view is committed: it takes writes and reads.
    pub serving: bool,
    pub disk_full: bool,
    /// Whether the state has rows of ended sessions or deleted accounts that CleanUp commands are to remove, as of
    /// the last write of this run.
    pub cleanups_left: bool,
    /// How long its disk has not answered, in whole seconds; 0 unless that is longer than a member may take.
    pub disk_stalled_seconds: u64,
    /// How long a write to its disk takes, milliseconds, if it gave up the lead for that a moment ago; else 0.
    pub disk_slow_ms: u64,
    /// On the leader: who is kept out of the view for a slow disk, and how many milliseconds a write takes there.
    pub slow_disks: Vec<(ReplicaId, u64)>,
    pub storage: Storage,
    /// Who belongs to the cluster, as far as this replica has applied.
    pub roster: Roster,
}

impl ReplicaStatus {
    /// Whether `members` are a view that holds: one that is not committed may never be.
    #[must_use]
    pub fn view_is_committed(&self) -> bool {
        self.config_lsn <= self.commit
    }

    /// Why this replica takes nothing at this moment: whoever asks is told to ask the leader, or
    /// again.
    #[must_use]
    pub fn unavailable(&self) -> Unavailability {
        match self.leader {
            Some(leader) if leader == self.id => Unavailability::InTransition,
            leader => Unavailability::NotLeader(leader),
        }
    }

    /// Whether a replica is here with what it holds: on the store that the newest Config names as a
    /// member's, if it names one. Never where there is no Config: then nobody holds anything yet that
    /// this replica knows of.
    #[must_use]
    pub fn is_here(&self, id: ReplicaId) -> bool {
        let named = self.member_stores.get(&id);
        let here = self.stores.get(&id);
        let same = |store| named.is_none_or(|named| named == store);
        here.is_some_and(same) && !self.member_stores.is_empty()
    }

    /// The other replicas of the cluster that are not in the view: no write waits for them, so they
    /// do not have everything. Nobody, when this replica is not in it either: then its own end
    /// changes nothing.
    #[must_use]
    pub fn not_in_step(&self) -> Vec<ReplicaId> {
        if !self.members.contains(&self.id) {
            return Vec::new();
        }
        let others = self.roster.iter().map(|(id, _)| id);
        let others = others.filter(|id| *id != self.id && !self.members.contains(id));
        others.collect()
    }
}

/// What lies on a replica's disk, and what is on its way there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Storage {
    /// First entry in the log; what was before it is in the state alone.
    pub log_start: Lsn,
    /// Payload of the entries in the log.
    pub log_bytes: u64,
    /// Of a snapshot that comes: how much has come, and of how much. 0 of 0: none comes.
    pub snapshot_received: u64,
    pub snapshot_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Leader,
    Backup,
    Learner,
    Candidate,
    Waiting,
}

/// Why a write was not answered, or a read not permitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailability {
    #[error("this replica does not lead{}", who_leads(*.0))]
    NotLeader(Option<ReplicaId>),
    #[error("a takeover is under way")]
    InTransition,
    #[error("too many calls are waiting")]
    Busy,
    #[error("too few replicas answer to commit a write")]
    NoQuorum,
    /// The write may or may not happen.
    #[error("the outcome of the write is not known")]
    OutcomeUnknown,
    #[error("the disk is full: this replica only reads")]
    DiskFull,
    #[error("this replica is stopping")]
    Stopping,
}

/// The other leader that a replica knows, in words.
fn who_leads(leader: Option<ReplicaId>) -> String {
    match leader {
        Some(leader) => format!("; replica {leader} does, as far as it knows"),
        None => " and knows no leader".to_owned(),
    }
}

pub(crate) struct Proposal {
    pub command: Command,
    pub reply: Reply,
}

/// What came of a proposal.
pub(crate) type Answer = Result<(Lsn, Outcome), Unavailability>;

/// Where the answer to a proposal goes. A caller that went away is normal.
pub(crate) enum Reply {
    /// To the one call that made it.
    Call(oneshot::Sender<Answer>),
    /// To a proposer, which makes many.
    Ordered(OrderedReply),
}

impl Reply {
    pub(crate) fn send(self, answer: Answer) {
        match self {
            Reply::Call(call) => _ = call.send(answer),
            Reply::Ordered(proposer) => proposer.send(answer),
        }
    }

    /// Has what comes after the proposal on its proposer refused.
    pub(crate) fn bar(&self) {
        if let Reply::Ordered(proposer) = self {
            proposer.bar();
        }
    }

    /// Whether the proposal must be refused, as one before it on its proposer was.
    pub(crate) fn is_barred(&self) -> bool {
        matches!(self, Reply::Ordered(proposer) if proposer.is_barred())
    }
}

/// The operator's word that replicas will not come back with what they hold.
pub(crate) struct Declaration {
    pub replicas: BTreeSet<ReplicaId>,
    /// Whether it was noted.
    pub reply: oneshot::Sender<bool>,
}

/// The leader's lease, as the driver left it after its last step.
#[derive(Debug, Default)]
pub(crate) struct Lease {
    /// On this replica's own clock, microseconds; 0 while it may not read.
    until: AtomicU64,
    /// What was committed when the lease began: an earlier leader may have acknowledged up to there. Or
    /// the last entry that this one acknowledged, which may not be in what can be read yet.
    acknowledged: AtomicU64,
    /// Grows whenever a lease begins: one that was lost in between is not the same.
    term: AtomicU64,
}

impl Lease {
    pub(crate) fn set(&self, until: Option<Time>, commit: Lsn) {
        // Nobody else writes to it.
        let begins = until.is_some() && self.until.load(Ordering::Acquire) == 0;
        if begins {
            self.tell(commit);
            self.term.fetch_add(1, Ordering::AcqRel);
        }
        let until = until.map_or(0, |time| time.0);
        self.until.store(until, Ordering::Release);
    }

    /// What is at `lsn` is about to be acknowledged: whoever reads from now on must see it.
    pub(crate) fn tell(&self, lsn: Lsn) {
        self.acknowledged.fetch_max(lsn.0, Ordering::AcqRel);
    }

    /// Whether the lease holds at this moment, by the clock and not by the driver's last step:
    /// the process may have slept since.
    pub(crate) fn holds(&self) -> bool {
        clock::now().0 < self.until.load(Ordering::Acquire)
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    pub(crate) proposals: Proposals,
    pub(crate) declarations: mpsc::Sender<Declaration>,
    pub(crate) status: watch::Receiver<Arc<ReplicaStatus>>,
    pub(crate) applied: watch::Receiver<u64>,
    pub(crate) lease: Arc<Lease>,
}

#[cfg(test)]
impl Handle {
    /// A handle to a pretended driver, whose lease lasts until the test ends it.
    pub(crate) fn leading(
        proposals: Proposals,
        status: watch::Receiver<Arc<ReplicaStatus>>,
    ) -> Handle {
        let lease = Arc::new(Lease::default());
        lease.set(Some(Time(u64::MAX)), Lsn::ZERO);
        Handle {
            proposals,
            declarations: mpsc::channel(1).0,
            status,
            applied: watch::channel(0).1,
            lease,
        }
    }
}

impl Handle {
    /// The latest standing.
    pub fn status(&self) -> Arc<ReplicaStatus> {
        self.status.borrow().clone()
    }

    /// Resolves when the standing changes after this call; for streams that end with the lead.
    pub fn watch_status(&self) -> watch::Receiver<Arc<ReplicaStatus>> {
        self.status.clone()
    }

    /// Whether this replica leads, serves and holds its lease at this moment. Does not wait.
    pub fn leads(&self) -> bool {
        self.lease.holds()
    }

    /// Puts a command through the log, in turn with what others propose. The outcome is of an entry that
    /// every member of the view has on disk.
    ///
    /// # Errors
    /// [`Unavailability::OutcomeUnknown`] when the write may or may not happen; all others mean that
    /// it did not.
    pub(crate) async fn propose(
        &self,
        key: Key,
        command: Command,
    ) -> Result<(Lsn, Outcome), Unavailability> {
        let (reply, answer) = oneshot::channel();
        let reply = Reply::Call(reply);
        self.proposals.send_now(key, Proposal { command, reply });
        answer.await.unwrap_or(Err(Unavailability::OutcomeUnknown))
    }

    /// A proposer for commands that must enter the log in order.
    pub(crate) fn ordered_proposer(&self, key: Key) -> OrderedProposer {
        OrderedProposer::new(self.proposals.clone(), key)
    }

    /// Tells this replica whom an operator declares dead. It forgets that when it is restarted, and when
    /// there is a leader.
    ///
    /// # Errors
    /// [`Unavailability::InTransition`] when it was not noted: a leader was found, or is about to be.
    pub async fn declare_dead(&self, replicas: BTreeSet<ReplicaId>) -> Result<(), Unavailability> {
        let (reply, noted) = oneshot::channel();
        let declaration = Declaration { replicas, reply };
        let sent = self.declarations.send(declaration).await;
        sent.map_err(|_| Unavailability::Stopping)?;
        match noted.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Unavailability::InTransition),
            Err(_) => Err(Unavailability::Stopping),
        }
    }

    /// Permission to read linearizably: this replica leads, holds its lease, and everything
    /// acknowledged before this call is in the state tables. Call [`ReadPermit::confirm`] after
    /// the data was read and before it is answered.
    ///
    /// # Errors
    /// Why this replica may not answer now.
    pub async fn read(&self) -> Result<ReadPermit, Unavailability> {
        let permit = ReadPermit {
            term: self.lease.term.load(Ordering::Acquire),
            handle: self.clone(),
        };
        permit.confirm()?;
        let acknowledged = self.lease.acknowledged.load(Ordering::Acquire);
        if *self.applied.borrow() < acknowledged {
            let mut applied = self.applied.clone();
            let caught_up = applied.wait_for(|&applied| applied >= acknowledged).await;
            caught_up.map_err(|_| Unavailability::Stopping)?;
        }
        Ok(permit)
    }

    /// Why a replica without a lease does not serve.
    pub fn unavailable(&self) -> Unavailability {
        self.status.borrow().unavailable()
    }
}

/// See [`Handle::read`].
pub struct ReadPermit {
    term: u64,
    handle: Handle,
}

impl ReadPermit {
    /// Whether the lease that the permit was given under still holds: then no other replica can
    /// have led meanwhile, and what was read is current.
    ///
    /// # Errors
    /// Why what was read may not be answered.
    pub fn confirm(&self) -> Result<(), Unavailability> {
        let lease = &self.handle.lease;
        match lease.holds() && lease.term.load(Ordering::Acquire) == self.term {
            true => Ok(()),
            false => Err(self.handle.unavailable()),
        }
    }
}
