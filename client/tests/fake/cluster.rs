//! The ClusterService of the pretend replicas.

use tercet_proto::v1::cluster_service_server::ClusterService;
use tercet_proto::v1::*;
use tonic::{Code, Request, Response, Status};

use super::replica::{Answer, FakeReplica, refusal};

#[tonic::async_trait]
impl ClusterService for FakeReplica {
    async fn is_master(&self, _: Request<IsMasterRequest>) -> Answer<IsMasterResponse> {
        let world = self.world.lock().unwrap();
        let address = world.addresses.get(&world.leader);
        Ok(Response::new(IsMasterResponse {
            is_master: world.leader == self.id,
            leader_id: world.leader,
            leader_address: address.cloned().unwrap_or_default(),
            view: Some(View {
                epoch: world.epoch,
                ..View::default()
            }),
            replica_id: self.id,
            cluster_id: world.cluster_id.clone(),
            time_ms: world.time_ms,
            replicas: world
                .roster
                .iter()
                .map(|(id, address)| ReplicaAddress {
                    replica_id: *id,
                    address: address.clone(),
                })
                .collect(),
        }))
    }

    async fn get_status(&self, _: Request<GetStatusRequest>) -> Answer<GetStatusResponse> {
        let world = self.world.lock().unwrap();
        let leads = world.leader == self.id;
        let role = if leads { Role::Leader } else { Role::Backup };
        Ok(Response::new(GetStatusResponse {
            replica_id: self.id,
            role: role.into(),
            leader_id: world.leader,
            view: Some(View {
                epoch: world.epoch,
                config_lsn: 1,
                members: world.addresses.keys().copied().collect(),
            }),
            mode: "available".to_owned(),
            last_lsn: world.cursor,
            declared_dead: world
                .declared_dead
                .get(&self.id)
                .cloned()
                .unwrap_or_default(),
            ..GetStatusResponse::default()
        }))
    }

    async fn create_checkpoint(
        &self,
        _: Request<CreateCheckpointRequest>,
    ) -> Answer<CreateCheckpointResponse> {
        let lsn = self.leading()?.cursor;
        Ok(Response::new(CreateCheckpointResponse { lsn }))
    }

    async fn get_state_hash(
        &self,
        request: Request<GetStateHashRequest>,
    ) -> Answer<GetStateHashResponse> {
        let world = self.world.lock().unwrap();
        let state_hash = world.hashes.get(&self.id).cloned().unwrap_or_default();
        let lsn = request.into_inner().lsn;
        Ok(Response::new(GetStateHashResponse { lsn, state_hash }))
    }

    async fn add_replica(&self, _: Request<AddReplicaRequest>) -> Answer<AddReplicaResponse> {
        Err(Status::unimplemented("the fake's replicas are fixed"))
    }

    async fn remove_replica(
        &self,
        _: Request<RemoveReplicaRequest>,
    ) -> Answer<RemoveReplicaResponse> {
        Err(Status::unimplemented("the fake's replicas are fixed"))
    }

    async fn set_retention(&self, _: Request<SetRetentionRequest>) -> Answer<SetRetentionResponse> {
        Err(Status::unimplemented("the fake removes nothing"))
    }

    async fn stop_replica(&self, _: Request<StopReplicaRequest>) -> Answer<StopReplicaResponse> {
        Err(Status::unimplemented("the fake's replicas are fixed"))
    }

    /// The first replica that is told leads at once; the second lets the dead one in on a new disk before
    /// it is told.
    async fn recover(&self, request: Request<RecoverRequest>) -> Answer<RecoverResponse> {
        let request = request.into_inner();
        let mut world = self.world.lock().unwrap();
        if world.leader != 0 {
            return Err(refusal(Code::FailedPrecondition, "LEADER_KNOWN"));
        }
        let first = world.declared_dead.keys().next().copied();
        match (request.validate_only, first) {
            (true, _) => {}
            (false, None) => {
                world.declared_dead.insert(self.id, request.replica_ids);
            }
            (false, Some(first)) => {
                world.leader = first;
                return Err(refusal(Code::FailedPrecondition, "REPLICA_ANSWERS"));
            }
        }
        Ok(Response::new(RecoverResponse {
            replica_id: self.id,
            ..RecoverResponse::default()
        }))
    }
}
