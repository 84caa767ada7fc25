//! The calls of ClusterService: some to the leader, some to one replica by name.

use std::future::Future;
use std::time::Duration;

use tercet_proto::v1::cluster_service_client::ClusterServiceClient;
use tercet_proto::v1::{
    CreateCheckpointRequest, GetStateHashRequest, GetStatusRequest, IsMasterRequest,
    IsMasterResponse,
};
use tokio::time::{Instant, timeout};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use super::error::{Verdict, describe, judge};
use super::types::FromWire;
use super::{Client, Error, Status as ReplicaStatus};
use crate::replicas::Replica;

/// Who leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderInfo {
    pub id: u32,
    pub address: String,
    pub epoch: u64,
    /// UUID in text form.
    pub cluster_id: String,
}

/// One replica as it sees itself.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplicaView {
    /// Whether it leads, serves and holds its lease.
    pub is_master: bool,
    pub status: ReplicaStatus,
}

/// The hash of one replica's state at a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateHash {
    pub lsn: u64,
    pub state_hash: String,
}

impl Client {
    /// The leader in use, or the one that is found before the deadline.
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

    /// Whether the leader says that no account was ever made at this cluster. False when it does not
    /// say so, as one of an earlier version.
    ///
    /// # Errors
    /// No leader until the deadline; `Unreachable`.
    pub async fn has_no_accounts(&self) -> Result<bool, Error> {
        let LeaderInfo { id, address, .. } = self.leader().await?;
        let limit = self.shared.options.attempt_timeout;
        let view = self.replica_view(&Replica { id, address }, limit).await?;
        Ok(view.status.no_accounts)
    }

    /// What one replica says of itself; asked once.
    ///
    /// # Errors
    /// `Unreachable` when it does not answer within `limit`.
    pub async fn replica_view(
        &self,
        replica: &Replica,
        limit: Duration,
    ) -> Result<ReplicaView, Error> {
        let is_master = self.ask(
            replica,
            limit,
            IsMasterRequest {},
            |channel, request| async move { service(channel).is_master(request).await },
        );
        let status = self.ask(
            replica,
            limit,
            GetStatusRequest {},
            |channel, request| async move { service(channel).get_status(request).await },
        );
        let (is_master, status) = tokio::join!(is_master, status);
        let is_master: IsMasterResponse = is_master?;
        Ok(ReplicaView {
            is_master: is_master.is_master,
            status: ReplicaStatus::from_wire(status?),
        })
    }

    /// Has every replica hash its state at one place of the log; gives its LSN.
    ///
    /// # Errors
    /// No leader until the deadline.
    pub async fn create_checkpoint(&self) -> Result<u64, Error> {
        let send =
            |channel, request| async move { service(channel).create_checkpoint(request).await };
        let answer = self.call(None, CreateCheckpointRequest {}, send).await?;
        Ok(answer.lsn)
    }

    /// One replica's hash at a checkpoint; asked once, waits until the replica has it.
    ///
    /// # Errors
    /// `Unreachable` when it does not answer within `limit`; refused with `NotFound` when it
    /// did not hash there.
    pub async fn state_hash(
        &self,
        replica: &Replica,
        lsn: u64,
        limit: Duration,
    ) -> Result<StateHash, Error> {
        let request = GetStateHashRequest { lsn };
        let send = |channel, request| async move { service(channel).get_state_hash(request).await };
        let answer = self.ask(replica, limit, request, send).await?;
        Ok(StateHash {
            lsn: answer.lsn,
            state_hash: answer.state_hash,
        })
    }

    /// One question to one replica, whoever leads.
    pub(super) async fn ask<M, R, F, Fut>(
        &self,
        replica: &Replica,
        limit: Duration,
        message: M,
        send: F,
    ) -> Result<R, Error>
    where
        F: FnOnce(Channel, Request<M>) -> Fut,
        Fut: Future<Output = Result<Response<R>, Status>>,
    {
        let unreachable = |what| Error::Unreachable {
            replica: replica.id,
            address: replica.address.clone(),
            what,
        };
        let link = self.shared.links.to(&replica.address)?;
        let request = self.request(message, limit);
        match timeout(limit, send(link.first_channel(), request)).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
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

fn service(channel: Channel) -> ClusterServiceClient<Channel> {
    ClusterServiceClient::new(channel)
}
