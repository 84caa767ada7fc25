//! The operator's calls that change the roster, or a setting of the cluster. Invalid changes are refused where the command is applied, so
//! that a retry gets the first answer and two operators cannot interfere.

use std::time::Duration;

use tercet_core::id::ReplicaId;
use tercet_proto::{log, v1};
use tercet_store::commands::{
    Request,
    roster::{self, Change},
    set_retention::{self, Retention},
};
use tercet_types::fair::Key;
use tokio::time::timeout;

use super::{
    caller::Caller,
    chat::{command, done},
    cluster::Cluster,
    status::Failure,
};
use crate::reply::Unavailability;

/// The time that a removal may wait until the view is without the replica.
const LEAVE_WAIT_MAX: Duration = Duration::from_secs(3);

impl Cluster {
    pub(super) async fn do_add_replica(
        &self,
        _: &Caller,
        request: v1::AddReplicaRequest,
    ) -> Result<v1::AddReplicaResponse, Failure> {
        let (Change { request_id, id }, at) = roster::validate_add(&request)?;
        let command = log::AddReplica {
            replica: Some(log::Replica {
                replica_id: id.0,
                address: at.address,
                peer_address: at.peer_address,
            }),
        };
        self.change(request_id, command).await?;
        Ok(v1::AddReplicaResponse {})
    }

    pub(super) async fn do_remove_replica(
        &self,
        _: &Caller,
        request: v1::RemoveReplicaRequest,
    ) -> Result<v1::RemoveReplicaResponse, Failure> {
        let Change { request_id, id } = roster::validate_remove(&request)?;
        let command = log::RemoveReplica {
            replica_id: id.0,
            replicas_min: u32::try_from(self.handle.status().view_min).unwrap_or(u32::MAX),
        };
        self.change(request_id, command).await?;
        let left_view = timeout(LEAVE_WAIT_MAX, self.left_view(id)).await;
        Ok(v1::RemoveReplicaResponse {
            left_view: left_view.unwrap_or(Ok(false))?,
        })
    }

    pub(super) async fn do_set_retention(
        &self,
        _: &Caller,
        request: v1::SetRetentionRequest,
    ) -> Result<v1::SetRetentionResponse, Failure> {
        let Retention {
            request_id,
            retention_ms,
        } = set_retention::validate(&request)?;
        self.change(request_id, log::SetRetention { retention_ms })
            .await?;
        Ok(v1::SetRetentionResponse {})
    }

    /// Proposes a change of the roster, or of a setting of the cluster.
    async fn change<R: Request>(
        &self,
        request_id: [u8; 16],
        request: R,
    ) -> Result<R::Outcome, Failure> {
        // A refusal for lack of a roster would be repeated at each retry, so the call waits for the lead first.
        self.handle.read().await?;
        if !self.handle.status().roster.is_from_state() {
            return Err(Unavailability::InTransition.into());
        }
        let subject = request.subject();
        let command = command(request_id, request);
        let answer = self.handle.propose(Key::REPLICA, command).await;
        done::<R>(answer, subject)
    }

    /// Waits until the replica is needed no more: every member has durably applied a view without it. After a
    /// removed leader its successor confirms that.
    async fn left_view(&self, id: ReplicaId) -> Result<bool, Failure> {
        let mut status = self.handle.watch_status();
        let known = status.wait_for(|status| {
            let without = !status.members.contains(&id);
            !status.serving || (status.firm && without)
        });
        let serving = known.await.map_err(|_| Unavailability::Stopping)?.serving;
        if !serving {
            self.handle.read().await?;
        }
        Ok(serving)
    }
}
