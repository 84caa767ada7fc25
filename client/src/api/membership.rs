//! The operator's calls of ClusterService that change the roster or the retention, or stop replicas. They need a client with the admin
//! token ([`Client::with_token`]).

use std::collections::BTreeSet;
use std::time::Duration;

use tercet_proto::v1::{
    AddReplicaRequest, RecoverRequest, RemoveReplicaRequest, SetRetentionRequest,
    StopReplicaRequest,
};
use uuid::Uuid;

use super::types::FromWire;
use super::{Client, Error, RecoveryReport};
use crate::replicas::Replica;

impl Client {
    /// Adds a replica to the cluster. It joins the view by itself once it runs and has caught up. `peer_address` is
    /// its address for replicas, `HOST:PORT`.
    ///
    /// # Errors
    /// `REPLICA_EXISTS`; `ADDRESS_TAKEN`; `TOO_MANY_REPLICAS`; a wrong admin token; [`Error::OutcomeUnknown`]; no
    /// leader until the deadline.
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
        self.call(Some(request_id), request).await?;
        Ok(())
    }

    /// Removes a replica from the cluster. Returns false if the view still has the replica for now.
    ///
    /// # Errors
    /// `UNKNOWN_REPLICA`; `TOO_FEW_REPLICAS`; a wrong admin token; [`Error::OutcomeUnknown`]; no leader until the
    /// deadline.
    pub async fn remove_replica(&self, request_id: Uuid, id: u32) -> Result<bool, Error> {
        let request = RemoveReplicaRequest {
            request_id: request_id.to_string(),
            replica_id: id,
        };
        let answer = self.call(Some(request_id), request).await?;
        Ok(answer.left_view)
    }

    /// Sets how long messages are kept in the cluster, milliseconds, from an hour to 10 years; 0: for ever. Older ones are
    /// removed for good.
    ///
    /// # Errors
    /// `INVALID_RETENTION`; a wrong admin token; [`Error::OutcomeUnknown`]; no leader until the deadline.
    pub async fn set_retention(&self, retention_ms: i64) -> Result<(), Error> {
        let make = |request_id| SetRetentionRequest {
            request_id,
            retention_ms,
        };
        self.call_with_new_id(make).await?;
        Ok(())
    }

    /// Stops a replica, as SIGTERM does, with one attempt. Returns the run that ends, as in
    /// [`Status::incarnation`](crate::Status::incarnation). `force` stops it whatever is left of the view.
    ///
    /// # Errors
    /// `NOT_IN_STEP`; `TOO_FEW_REPLICAS`; a wrong admin token; [`Error::Unreachable`] when the replica does not
    /// answer within `limit`, or does not know at the moment whether the others are in step.
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
        let answer = self.ask(replica, limit, request).await?;
        Ok(answer.incarnation)
    }

    /// Declares replicas dead at one replica, with one attempt; `dead` has their ids. With `validate_only` the
    /// replica answers as if it were done, and notes nothing. Every remaining replica must get the declaration.
    ///
    /// # Errors
    /// `LEADER_KNOWN`; `REPLICA_ANSWERS`; `UNKNOWN_REPLICA`; a wrong admin token; [`Error::Unreachable`] when the
    /// replica does not answer within `limit`, or a takeover is under way there.
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
        let answer = self.ask(replica, limit, request).await?;
        Ok(RecoveryReport::from_wire(answer))
    }
}
