//! The operator's call that stops a replica. Each replica answers for itself, from its own status: the view in
//! its log is at most a heartbeat old.

use tercet_proto::v1;
use tonic::metadata::MetadataMap;

use super::{
    caller::bearer,
    cluster::Cluster,
    convert::{self, BadField},
    status::Failure,
};
use crate::handle::{ReplicaStatus, Role, Unavailability};

impl Cluster {
    pub(super) fn do_stop_replica(
        &self,
        metadata: &MetadataMap,
        request: &v1::StopReplicaRequest,
    ) -> Result<v1::StopReplicaResponse, Failure> {
        self.admin.check(bearer(metadata))?;
        let id = convert::replica_id(request.replica_id)?;
        let standing = self.handle.status();
        if id != standing.id {
            return Err(Failure::Bad(BadField {
                field: "replica_id",
                reason: "INVALID_REPLICA_ID",
                description: format!("replica {} answers here", standing.id),
            }));
        }
        if !request.force {
            may_stop(&standing)?;
        }
        tracing::info!(force = request.force, "an operator stops this replica");
        self.stopper.stop();
        Ok(v1::StopReplicaResponse {
            incarnation: standing.incarnation.0,
        })
    }
}

/// Checks that all other replicas continue in step without this one.
fn may_stop(standing: &ReplicaStatus) -> Result<(), Failure> {
    if !standing.members.contains(&standing.id) {
        return Ok(());
    }
    let missing = standing.not_in_step();
    if !missing.is_empty() {
        return Err(Failure::NotInStep(missing));
    }
    if standing.members.len() <= standing.view_min {
        return Err(Failure::TooFewLeft);
    }
    let known = match standing.role {
        Role::Leader => standing.serving && standing.view_is_committed(),
        Role::Backup => standing.view_is_committed(),
        Role::Learner | Role::Candidate | Role::Waiting => false,
    };
    match known {
        true => Ok(()),
        false => Err(Unavailability::InTransition.into()),
    }
}
