//! What services may ask of the running replica: its status, a write, permission to read. The
//! only door from `rpc` to the driver.

use std::sync::Arc;

use tercet_core::id::{Epoch, Lsn, ReplicaId};
use tercet_proto::log::{Command, Outcome};
use tokio::sync::{mpsc, oneshot, watch};

/// A replica's standing, published by the driver whenever it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaStatus {
    pub id: ReplicaId,
    pub role: Role,
    /// The leader this replica knows, itself included.
    pub leader: Option<ReplicaId>,
    /// The epoch led, followed or promised.
    pub epoch: Epoch,
    /// Newest Config in the log: LSN and members; `Lsn::ZERO` and empty when there is none.
    pub config_lsn: Lsn,
    pub members: Vec<ReplicaId>,
    /// `available` or `majority`.
    pub mode: &'static str,
    pub cluster: Option<u128>,
    pub last: Lsn,
    pub commit: Lsn,
    pub applied: Lsn,
    /// For each other replica: whether a session stands, and, on the leader, what it has on disk.
    pub peers: Vec<(ReplicaId, bool, Lsn)>,
    /// For a replica that waits: for whom and why. Empty otherwise.
    pub waiting: String,
    /// Leads, and its view is committed: it takes writes and reads.
    pub serving: bool,
    pub disk_full: bool,
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
pub enum Unserved {
    #[error("this replica does not lead")]
    NotLeader(Option<ReplicaId>),
    #[error("a takeover is under way")]
    InTransition,
    #[error("too many writes are waiting")]
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

/// A command on its way to the driver.
#[cfg_attr(not(test), expect(dead_code, reason = "read by the driver"))]
pub(crate) struct Proposal {
    pub command: Command,
    pub reply: oneshot::Sender<Result<(Lsn, Outcome), Unserved>>,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    pub(crate) proposals: mpsc::Sender<Proposal>,
    pub(crate) status: watch::Receiver<Arc<ReplicaStatus>>,
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

    /// Whether this replica leads and serves at this moment. Does not wait.
    pub fn leads(&self) -> bool {
        // The driver's part: also whether the lease holds.
        self.status.borrow().serving
    }

    /// Puts a command through the log. The outcome is of an entry that every member of the view
    /// has on disk.
    ///
    /// # Errors
    /// [`Unserved::OutcomeUnknown`] when the write may or may not happen; all others mean that
    /// it did not.
    pub async fn propose(&self, command: Command) -> Result<(Lsn, Outcome), Unserved> {
        let (reply, answer) = oneshot::channel();
        let proposal = Proposal { command, reply };
        self.proposals
            .try_send(proposal)
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => Unserved::Busy,
                mpsc::error::TrySendError::Closed(_) => Unserved::Stopping,
            })?;
        answer.await.unwrap_or(Err(Unserved::OutcomeUnknown))
    }

    /// Permission to read linearizably: this replica leads, holds its lease, and everything
    /// acknowledged before this call is in the state tables. Call [`ReadPermit::confirm`] after
    /// the data was read and before it is answered.
    ///
    /// # Errors
    /// Why this replica may not answer now.
    pub async fn read(&self) -> Result<ReadPermit, Unserved> {
        // The driver's part: the lease, and waiting until what is acknowledged is applied.
        let status = self.status();
        match status.leader {
            _ if status.serving => Ok(ReadPermit {
                _epoch: status.epoch,
            }),
            Some(leader) if leader == status.id => Err(Unserved::InTransition),
            leader => Err(Unserved::NotLeader(leader)),
        }
    }
}

/// See [`Handle::read`].
pub struct ReadPermit {
    pub(crate) _epoch: Epoch,
}

impl ReadPermit {
    /// Whether the lease held until now, in the same epoch: then what was read was current.
    ///
    /// # Errors
    /// Why what was read may not be answered.
    pub fn confirm(&self) -> Result<(), Unserved> {
        // The driver's part: the lease.
        Ok(())
    }
}
