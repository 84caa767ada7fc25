//! The calls of ClusterService that change nothing: some go to the leader, some to one given replica.

use std::time::Duration;

use tercet_proto::method::Method;
use tercet_proto::v1::{
    CreateCheckpointRequest, GetStateHashRequest, GetStatusRequest, IsMasterRequest,
};
use tokio::time::{Instant, timeout};

use super::call::{decode, send};
use super::types::FromWire;
use super::verdict::{Verdict, describe, judge};
use super::{Client, Error, Status as ReplicaStatus};
use crate::replicas::Replica;

/// The leader of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderInfo {
    /// The id of the replica.
    pub id: u32,
    /// The address for clients, `HOST:PORT`.
    pub address: String,
    /// The term of its epoch: grows with each takeover.
    pub epoch: u64,
    /// The UUID of the cluster in text form.
    pub cluster_id: String,
}

/// The state of a replica, as it reports it.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplicaView {
    /// Whether the replica leads, serves and holds its lease.
    pub is_master: bool,
    /// The rest of the report.
    pub status: ReplicaStatus,
}

/// The hash of one replica's state at a mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateHash {
    /// The LSN of the mark.
    pub lsn: u64,
    /// The SHA-256 over all rows of all replicated tables, 64 hexadecimal digits.
    pub state_hash: String,
}

impl Client {
    /// Returns the leader in use, or finds one.
    ///
    /// # Errors
    /// No leader until the deadline.
    pub async fn leader(&self) -> Result<LeaderInfo, Error> {
        let leader = self.shared.leader(Instant::now() + self.deadline).await?;
        Ok(LeaderInfo {
            id: leader.id,
            address: leader.address.clone(),
            epoch: leader.epoch,
            cluster_id: leader.cluster_id.clone(),
        })
    }

    /// Asks the leader whether no account was ever made at the cluster. Returns false for a leader of an earlier
    /// version.
    ///
    /// # Errors
    /// No leader until the deadline; [`Error::Unreachable`].
    pub async fn has_no_accounts(&self) -> Result<bool, Error> {
        let LeaderInfo { id, address, .. } = self.leader().await?;
        let limit = self.shared.options.attempt_timeout;
        let view = self.replica_view(&Replica { id, address }, limit).await?;
        Ok(view.status.no_accounts)
    }

    /// Asks one replica for its state, once.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when it does not answer within `limit`.
    pub async fn replica_view(
        &self,
        replica: &Replica,
        limit: Duration,
    ) -> Result<ReplicaView, Error> {
        let is_master = self.ask(replica, limit, IsMasterRequest {});
        let status = self.ask(replica, limit, GetStatusRequest {});
        let (is_master, status) = tokio::join!(is_master, status);
        Ok(ReplicaView {
            is_master: is_master?.is_master,
            status: ReplicaStatus::from_wire(status?),
        })
    }

    /// Asks the leader for its state, once, and stops using it if it does not lead any more.
    ///
    /// # Errors
    /// No leader until the deadline; [`Error::Unreachable`] when it does not answer within `limit`.
    pub async fn leader_view(&self, limit: Duration) -> Result<ReplicaView, Error> {
        let leader = self.shared.leader(Instant::now() + self.deadline).await?;
        let replica = Replica {
            id: leader.id,
            address: leader.address.clone(),
        };
        let view = self.replica_view(&replica, limit).await;
        if !view.as_ref().is_ok_and(|view| view.is_master) {
            self.shared.forget(&leader);
        }
        view
    }

    /// Puts a mark in the log at which every replica hashes its state. Returns the LSN of the mark. Needs a client
    /// with the admin token ([`Client::with_token`]).
    ///
    /// # Errors
    /// `WRONG_ADMIN_TOKEN`; `NO_ADMIN_TOKEN`; no leader until the deadline.
    pub async fn create_checkpoint(&self) -> Result<u64, Error> {
        let answer = self.call(None, CreateCheckpointRequest {}).await?;
        Ok(answer.lsn)
    }

    /// Asks one replica for its hash at a mark, once. The replica answers when it has applied and hashed the mark.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when it does not answer within `limit`; `NO_SUCH_CHECKPOINT` when it did not hash at
    /// `lsn`.
    pub async fn state_hash(
        &self,
        replica: &Replica,
        lsn: u64,
        limit: Duration,
    ) -> Result<StateHash, Error> {
        let request = GetStateHashRequest { lsn };
        let answer = self.ask(replica, limit, request).await?;
        Ok(StateHash {
            lsn: answer.lsn,
            state_hash: answer.state_hash,
        })
    }

    /// Makes one attempt of a call to one replica.
    pub(super) async fn ask<M: Method>(
        &self,
        replica: &Replica,
        limit: Duration,
        message: M,
    ) -> Result<M::Response, Error> {
        let unreachable = |what| Error::Unreachable {
            replica: replica.id,
            address: replica.address.clone(),
            what,
        };
        let link = self.shared.links.to(&replica.address)?;
        let request = self.request(message.encode_to_vec().into(), limit);
        let answer = send(link.first_channel(), M::PATH, request);
        match timeout(limit, answer).await {
            Ok(Ok(answer)) => decode::<M>(answer),
            Ok(Err(status)) => match judge(&status) {
                Verdict::Refused(error) => Err(error),
                Verdict::NotLeader { .. } | Verdict::Again { .. } => {
                    Err(unreachable(describe(&status)))
                }
            },
            Err(_) => Err(unreachable(format!("no answer within {limit:.1?}"))),
        }
    }
}
