//! The operator's calls that change who belongs to the cluster, or who runs. They want a client with the admin
//! token ([`Client::with_token`]).

use std::collections::BTreeSet;
use std::time::Duration;

use tercet_proto::v1::cluster_service_client::ClusterServiceClient;
use tercet_proto::v1::{
    AddReplicaRequest, RecoverRequest, RemoveReplicaRequest, StopReplicaRequest,
};
use tokio::time::Instant;
use uuid::Uuid;

use super::types::FromWire;
use super::{Client, Error, RecoveryReport, ReplicaView};
use crate::replicas::Replica;

impl Client {
    /// Adds a replica to the cluster; it joins the view by itself once it runs and has caught up.
    ///
    /// # Errors
    /// Refused with the reason; no leader until the deadline.
    pub async fn add_replica(
        &self,
        request_id: Uuid,
        replica: &Replica,
        peer_address: &str,
    ) -> Result<(), Error> {
        let request = AddReplicaRequest {
            request_id: request_id.to_string(),
            replica_id: replica.id,
            address: replica.address.clone(),
            peer_address: peer_address.to_owned(),
        };
        let send = |channel, request| async move {
            ClusterServiceClient::new(channel)
                .add_replica(request)
                .await
        };
        self.call(Some(request_id), request, send).await?;
        Ok(())
    }

    /// Removes a replica from the cluster. False when the view still has it for now.
    ///
    /// # Errors
    /// Refused with the reason; no leader until the deadline.
    pub async fn remove_replica(&self, request_id: Uuid, id: u32) -> Result<bool, Error> {
        let request = RemoveReplicaRequest {
            request_id: request_id.to_string(),
            replica_id: id,
        };
        let send = |channel, request| async move {
            ClusterServiceClient::new(channel)
                .remove_replica(request)
                .await
        };
        let answer = self.call(Some(request_id), request, send).await?;
        Ok(answer.left_view)
    }

    /// Has a replica stop, as SIGTERM does; gives the run that ends, as
    /// [`ReplicaView`] has it. Asked once.
    ///
    /// # Errors
    /// Refused with the reason; `Unreachable` when it does not answer within `limit`, or does not
    /// know at the moment whether the others are in step.
    pub async fn stop_replica(
        &self,
        replica: &Replica,
        force: bool,
        limit: Duration,
    ) -> Result<u64, Error> {
        let request = StopReplicaRequest {
            replica_id: replica.id,
            force,
        };
        let send = |channel, request| async move {
            ClusterServiceClient::new(channel)
                .stop_replica(request)
                .await
        };
        let answer = self.ask(replica, limit, request, send).await?;
        Ok(answer.incarnation)
    }

    /// Tells one replica whom the operator declares dead, or, with `validate_only`, asks what that
    /// would mean there. Asked once; each replica that is left must be told.
    ///
    /// # Errors
    /// Refused with the reason; `Unreachable` when it does not answer within `limit`, or a takeover is
    /// under way there.
    pub async fn recover(
        &self,
        replica: &Replica,
        dead: &BTreeSet<u32>,
        validate_only: bool,
        limit: Duration,
    ) -> Result<RecoveryReport, Error> {
        let request = RecoverRequest {
            replica_ids: dead.iter().copied().collect(),
            validate_only,
        };
        let send = |channel, request| async move {
            ClusterServiceClient::new(channel).recover(request).await
        };
        let answer = self.ask(replica, limit, request, send).await?;
        Ok(RecoveryReport::from_wire(answer))
    }

    /// What the leader says of itself and the others; asked once.
    ///
    /// # Errors
    /// No leader until the deadline; `Unreachable` when it does not answer within `limit`.
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
}
