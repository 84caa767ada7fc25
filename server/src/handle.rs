//! The handle of the services to the driver: this replica's status, writes, and permission to read. `rpc`
//! changes replicated state only through it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tercet_core::id::{Epoch, Incarnation, Lsn, ReplicaId, StoreId, Time};
use tercet_proto::log::{Command, Outcome};
use tercet_store::roster::Roster;
use tercet_types::fair::Key;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    clock,
    ordered_proposer::OrderedProposer,
    proposals::{Proposal, Proposals},
    reply::{Reply, Unavailability},
};

/// The status of a replica, published by the driver whenever it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaStatus {
    pub id: ReplicaId,
    /// The random number of this run of the process.
    pub incarnation: Incarnation,
    pub role: Role,
    /// The leader that this replica knows, itself included.
    pub leader: Option<ReplicaId>,
    /// The epoch that this replica leads, follows or has promised.
    pub epoch: Epoch,
    /// The newest Config in the log: LSN and members; `Lsn::ZERO` and empty when there is none.
    pub config_lsn: Lsn,
    pub members: Vec<ReplicaId>,
    /// The members of that Config, each with the store that it had then.
    pub member_stores: BTreeMap<ReplicaId, StoreId>,
    /// The stores that the newest Config lists as declared dead.
    pub dead: BTreeSet<(ReplicaId, StoreId)>,
    /// `available` or `majority`.
    pub mode: &'static str,
    /// The least number of members of a view.
    pub view_min: usize,
    pub cluster: Option<u128>,
    pub last: Lsn,
    pub commit: Lsn,
    pub applied: Lsn,
    /// Whether this replica leads, and no replica outside its view is needed any more, even after an outage of
    /// all.
    pub firm: bool,
    /// The other replicas: whether each is connected, and, on the leader, the last LSN on its disk.
    pub peers: Vec<(ReplicaId, bool, Lsn)>,
    /// The connected replicas and this one, each with its store.
    pub stores: BTreeMap<ReplicaId, StoreId>,
    /// The replicas that this one waits for before it may lead; empty unless it waits.
    pub waiting_for: Vec<ReplicaId>,
    /// The replicas that an operator has declared dead, while no leader is known.
    pub declared_dead: Vec<ReplicaId>,
    /// The replicas that this one waits for and the reason, in words. Empty otherwise.
    pub waiting: String,
    /// Whether this replica leads and its view is committed, so that it serves writes and reads.
    pub serving: bool,
    pub disk_full: bool,
    /// Whether the state has rows of ended sessions or deleted accounts that CleanUp commands must remove, as
    /// of the last write of this run.
    pub cleanups_left: bool,
    /// The time for which this replica's disk has not answered, in whole seconds; 0 unless that exceeds the limit of a
    /// member.
    pub disk_stalled_seconds: u64,
    /// The time that a write to this replica's disk takes, milliseconds, if it gave up the lead for that recently;
    /// else 0.
    pub disk_slow_ms: u64,
    /// On the leader: the replicas kept out of the view for a slow disk, and the milliseconds of a write there.
    pub slow_disks: Vec<(ReplicaId, u64)>,
    pub storage: Storage,
    /// The replicas of the cluster, as far as this replica has applied the log.
    pub roster: Roster,
}

impl ReplicaStatus {
    /// Tells whether the view of `members` is committed. A view that is not committed may never be.
    #[must_use]
    pub fn view_is_committed(&self) -> bool {
        self.config_lsn <= self.commit
    }

    /// Gives the reason why this replica serves nothing now, for callers that must ask the leader or ask again.
    #[must_use]
    pub fn unavailable(&self) -> Unavailability {
        match self.leader {
            Some(leader) if leader == self.id => Unavailability::InTransition,
            leader => Unavailability::NotLeader(leader),
        }
    }

    /// Tells whether a replica is connected on the store that the newest Config names for it, if it names one.
    /// False without a Config, because then no replica is known to hold anything.
    #[must_use]
    pub fn is_here(&self, id: ReplicaId) -> bool {
        let named = self.member_stores.get(&id);
        let here = self.stores.get(&id);
        let same = |store| named.is_none_or(|named| named == store);
        here.is_some_and(same) && !self.member_stores.is_empty()
    }

    /// Lists the other replicas of the cluster outside the view: no write waits for them, so they lack entries.
    /// Empty when this replica is itself outside the view, because then its end changes nothing.
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

/// The data on a replica's disk, and a snapshot on its way there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Storage {
    /// The first entry in the log; earlier entries are in the state alone.
    pub log_start: Lsn,
    /// Payload bytes of the entries in the log.
    pub log_bytes: u64,
    /// Bytes received of a snapshot and its size; 0 of 0 when none is fetched.
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

/// An operator's declaration that replicas will not come back with the entries that they hold.
pub(crate) struct Declaration {
    pub replicas: BTreeSet<ReplicaId>,
    /// Answers whether the core noted the declaration.
    pub reply: oneshot::Sender<bool>,
}

/// The leader's lease, as of the driver's last step.
#[derive(Debug, Default)]
pub(crate) struct Lease {
    /// The end of the lease on this replica's steady clock, microseconds; 0 while it may not read.
    until: AtomicU64,
    /// Reads must reflect at least this LSN: the last entry committed when the lease began, which an earlier
    /// leader may have acknowledged, or the last entry that this leader acknowledged early.
    acknowledged: AtomicU64,
    /// Grows whenever a lease begins, so that a lease lost in between is noticed.
    term: AtomicU64,
}

impl Lease {
    pub(crate) fn set(&self, until: Option<Time>, commit: Lsn) {
        // Only the driver writes to it.
        let begins = until.is_some() && self.until.load(Ordering::Acquire) == 0;
        if begins {
            self.acknowledge(commit);
            self.term.fetch_add(1, Ordering::AcqRel);
        }
        let until = until.map_or(0, |time| time.0);
        self.until.store(until, Ordering::Release);
    }

    /// Notes that the entry at `lsn` is about to be acknowledged, so that all later reads reflect it.
    pub(crate) fn acknowledge(&self, lsn: Lsn) {
        self.acknowledged.fetch_max(lsn.0, Ordering::AcqRel);
    }

    /// Tells whether the lease holds at this instant, by the clock and not by the driver's last step, because
    /// the process may have slept since.
    pub(crate) fn holds(&self) -> bool {
        clock::now().0 < self.until.load(Ordering::Acquire)
    }
}

/// The services' handle to the driver. Cheap to clone.
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
    /// Makes a handle to a pretended driver, whose lease lasts until the test ends it.
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
    /// Gives the latest status.
    pub fn status(&self) -> Arc<ReplicaStatus> {
        self.status.borrow().clone()
    }

    /// Gives a receiver of status changes; for streams that end with the lead.
    pub fn watch_status(&self) -> watch::Receiver<Arc<ReplicaStatus>> {
        self.status.clone()
    }

    /// Tells whether this replica leads, serves and holds its lease at this instant. Does not wait.
    pub fn leads(&self) -> bool {
        self.lease.holds()
    }

    /// Proposes a command, in turn with other callers. The outcome is of an entry that every member of the view
    /// has on disk.
    ///
    /// # Errors
    /// [`Unavailability::OutcomeUnknown`] when the write may or may not happen; with all other errors it did
    /// not.
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

    /// Makes an ordered proposer, for commands that must enter the log in order.
    pub(crate) fn ordered_proposer(&self, key: Key) -> OrderedProposer {
        OrderedProposer::new(self.proposals.clone(), key)
    }

    /// Declares replicas dead at this replica. The declaration is dropped at a restart, and when a leader is
    /// known.
    ///
    /// # Errors
    /// [`Unavailability::InTransition`] when it was not noted, because a leader is known or about to be.
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

    /// Gives permission to read linearizably: this replica leads, holds its lease, and its state tables reflect
    /// everything acknowledged before this call. Call [`ReadPermit::confirm`] after the read and before the
    /// answer.
    ///
    /// # Errors
    /// The reason why this replica may not answer now.
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

    /// Gives the reason why a replica without a lease does not serve.
    pub fn unavailable(&self) -> Unavailability {
        self.status.borrow().unavailable()
    }
}

/// A permission to read; see [`Handle::read`].
pub struct ReadPermit {
    term: u64,
    handle: Handle,
}

impl ReadPermit {
    /// Checks that the lease of this permit still holds, so that no other replica can have led meanwhile and
    /// the data is current.
    ///
    /// # Errors
    /// The reason why the data may not be answered.
    pub fn confirm(&self) -> Result<(), Unavailability> {
        let lease = &self.handle.lease;
        match lease.holds() && lease.term.load(Ordering::Acquire) == self.term {
            true => Ok(()),
            false => Err(self.handle.unavailable()),
        }
    }
}
