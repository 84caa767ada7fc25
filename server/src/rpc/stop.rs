//! The operator's call that stops a replica. Each replica answers for itself, from its own status: the view in
//! its log is at most a heartbeat old.

use tercet_core::id::ReplicaId;
use tercet_proto::v1;
use tercet_store::fields::{self, BadField};

use super::{caller::Caller, cluster::Cluster, status::Failure};
use crate::{
    handle::{ReplicaStatus, Role},
    reply::Unavailability,
};

impl Cluster {
    pub(super) async fn do_stop_replica(
        &self,
        _: &Caller,
        request: v1::StopReplicaRequest,
    ) -> Result<v1::StopReplicaResponse, Failure> {
        let id = ReplicaId(fields::replica_id(request.replica_id)?);
        let status = self.handle.status();
        if id != status.id {
            return Err(Failure::Bad(BadField {
                field: "replica_id",
                reason: "INVALID_REPLICA_ID",
                description: format!("replica {} answers here", status.id),
            }));
        }
        if !request.force {
            may_stop(&status)?;
        }
        tracing::info!(force = request.force, "an operator stops this replica");
        self.stopper.stop();
        Ok(v1::StopReplicaResponse {
            incarnation: status.incarnation.0,
        })
    }
}

/// Checks that all other replicas continue in step without this one.
fn may_stop(status: &ReplicaStatus) -> Result<(), Failure> {
    if !status.members.contains(&status.id) {
        return Ok(());
    }
    let missing = status.not_in_step();
    if !missing.is_empty() {
        return Err(Failure::NotInStep(missing));
    }
    if status.members.len() <= status.view_min {
        return Err(Failure::TooFewLeft);
    }
    let known = match status.role {
        Role::Leader => status.serving && status.view_is_committed(),
        Role::Backup => status.view_is_committed(),
        Role::Learner | Role::Candidate | Role::Waiting => false,
    };
    match known {
        true => Ok(()),
        false => Err(Unavailability::InTransition.into()),
    }
}
