//! The operator's call that continues without replicas that are gone for good. Each replica answers for itself,
//! from its own status, while no leader is known.

use std::collections::BTreeSet;

use tercet_core::id::{Epoch, Lsn, ReplicaId};
use tercet_proto::v1;
use tokio::task::spawn_blocking;

use super::{
    caller::Caller,
    cluster::{Cluster, replica_store},
    convert,
    status::Failure,
};
use crate::{handle::ReplicaStatus, reply::Unavailability};

impl Cluster {
    pub(super) async fn do_recover(
        &self,
        _: &Caller,
        request: v1::RecoverRequest,
    ) -> Result<v1::RecoverResponse, Failure> {
        let dead = convert::replica_ids(&request.replica_ids)?;
        let status = self.handle.status();
        may_declare(&status, self.handle.leads(), &dead)?;
        let readers = self.readers.clone();
        let tail = spawn_blocking(move || readers.log_tail()).await;
        let tail = tail.map_err(|_| Unavailability::Stopping)??;
        let mut answer = report(&status, tail, &dead);
        if !request.validate_only {
            self.handle.declare_dead(dead).await?;
            let noted = answer.declared_dead.iter().chain(&request.replica_ids);
            let noted: BTreeSet<u32> = noted.copied().collect();
            answer.declared_dead = noted.into_iter().collect();
        }
        Ok(answer)
    }
}

/// Checks that a declaration is useful: no replica leads, and none of the named ones is connected.
fn may_declare(
    status: &ReplicaStatus,
    leads: bool,
    dead: &BTreeSet<ReplicaId>,
) -> Result<(), Failure> {
    // A leader without a lease may itself wait for some of the named replicas.
    if let Some(leader) = status.leader
        && (leader != status.id || leads)
    {
        return Err(Failure::LeaderKnown(leader));
    }
    let known =
        |id: &ReplicaId| status.roster.get(*id).is_some() || status.member_stores.contains_key(id);
    if let Some(unknown) = dead.iter().find(|id| !known(id)) {
        return Err(Failure::UnknownReplica(*unknown));
    }
    if let Some(here) = dead.iter().find(|id| status.is_here(**id)) {
        return Err(Failure::ReplicaAnswers(*here));
    }
    let noted = dead.iter().all(|id| status.declared_dead.contains(id));
    let waits = status.leader.is_some() || !status.waiting_for.is_empty();
    match noted || waits {
        true => Ok(()),
        false => Err(Unavailability::InTransition.into()),
    }
}

/// Describes what would be missing, and which replicas must be told, if the cluster continued from this log.
fn report(
    status: &ReplicaStatus,
    (last, epoch): (Lsn, Epoch),
    dead: &BTreeSet<ReplicaId>,
) -> v1::RecoverResponse {
    let numbers = |ids: &[ReplicaId]| ids.iter().map(|id| id.0).collect();
    let stores = status.member_stores.iter();
    let stores = stores.filter(|(id, _)| dead.contains(id));
    let roster = status.roster.iter().map(|(id, _)| id);
    let all: BTreeSet<ReplicaId> = roster.chain(status.members.iter().copied()).collect();
    // A replica that is connected on another store is left, whatever happens to its old store.
    let left = |id: &&ReplicaId| !dead.contains(id) || status.stores.contains_key(id);
    let others = all.iter().filter(|id| **id != status.id).filter(left);
    v1::RecoverResponse {
        replica_id: status.id.0,
        last_lsn: last.0,
        last_epoch: epoch.number,
        committed_lsn: status.commit.0,
        members: numbers(&status.members),
        waiting_for: numbers(&status.waiting_for),
        waiting: status.waiting.clone(),
        may_be_missing_from_lsn: last.next().0,
        stores: stores
            .map(|(&id, &store)| replica_store(&(id, store)))
            .collect(),
        others: others.map(|id| id.0).collect(),
        declared_dead: numbers(&status.declared_dead),
    }
}
