//! The operator's call that goes on without replicas which are gone for good.

use super::{membership::with_token, *};
use crate::handle::Declaration;

impl Replica {
    /// Nobody leads: replica 1 waits for 2, of whose store nothing is heard, and 3 is here.
    fn waits(&self) {
        self.lose_lead(None);
        self.set_status(|status| {
            status.role = Role::Waiting;
            status.stores = [(ReplicaId(1), StoreId(1)), (ReplicaId(3), StoreId(3))].into();
            status.waiting_for = vec![ReplicaId(2)];
            status.waiting = "waiting for replica 2: it may hold newer messages".into();
        });
    }

    async fn asked(
        &self,
        dead: &[u32],
        validate_only: bool,
    ) -> Result<v1::RecoverResponse, Status> {
        let request = v1::RecoverRequest {
            replica_ids: dead.to_vec(),
            validate_only,
        };
        let mut cluster = self.cluster().await;
        let answer = cluster.recover(with_token(ADMIN_TOKEN, request)).await;
        answer.map(tonic::Response::into_inner)
    }

    /// Answers the next declaration as the driver does; gives whom it names.
    async fn hears(&mut self, noted: bool) -> Vec<u32> {
        let Declaration { replicas, reply } = self.declarations.recv().await.unwrap();
        reply.send(noted).unwrap();
        replicas.into_iter().map(|id| id.0).collect()
    }
}

#[tokio::test]
async fn what_would_be_lost_is_told_before_anything_is_done() {
    let mut replica = Replica::start().await;
    replica.person("ann").await;
    replica.waits();
    let told = replica.asked(&[2], true).await.unwrap();
    let expected = v1::RecoverResponse {
        replica_id: 1,
        last_lsn: 2,
        last_epoch: EPOCH.number,
        committed_lsn: 2,
        members: vec![1, 2],
        waiting_for: vec![2],
        waiting: "waiting for replica 2: it may hold newer messages".into(),
        may_be_missing_from_lsn: 3,
        stores: vec![v1::ReplicaStore {
            replica_id: 2,
            store_id: "00000000-0000-0000-0000-000000000002".into(),
        }],
        others: vec![3],
        declared_dead: vec![],
    };
    assert_eq!(told, expected);
    assert!(replica.declarations.try_recv().is_err(), "nothing was done");
}

#[tokio::test]
async fn the_word_reaches_the_driver_and_is_answered_when_it_was_noted() {
    let mut replica = Replica::start().await;
    replica.waits();
    let mut cluster = replica.cluster().await;
    let request = v1::RecoverRequest {
        replica_ids: vec![2, 2],
        validate_only: false,
    };
    let ask = cluster.recover(with_token(ADMIN_TOKEN, request));
    let (answer, heard) = tokio::join!(ask, replica.hears(true));
    assert_eq!(heard, [2]);
    assert_eq!(answer.unwrap().into_inner().declared_dead, [2]);
}

#[tokio::test]
async fn a_leader_that_is_found_meanwhile_makes_it_a_retry() {
    let mut replica = Replica::start().await;
    replica.waits();
    let mut cluster = replica.cluster().await;
    let request = v1::RecoverRequest {
        replica_ids: vec![2],
        validate_only: false,
    };
    let ask = cluster.recover(with_token(ADMIN_TOKEN, request));
    let (answer, _) = tokio::join!(ask, replica.hears(false));
    refused(answer, Code::Unavailable, "IN_TRANSITION");
}

#[tokio::test]
async fn nothing_is_recovered_where_there_is_a_leader() {
    let replica = Replica::start().await;
    let own = replica.asked(&[2], false).await;
    let status = own.clone().unwrap_err();
    refused(own, Code::FailedPrecondition, "LEADER_KNOWN");
    assert!(status.message().contains("remove-replica"), "{status}");
    replica.lose_lead(Some(ReplicaId(2)));
    let followed = replica.asked(&[3], true).await;
    refused(followed, Code::FailedPrecondition, "LEADER_KNOWN");
}

#[tokio::test]
async fn a_takeover_under_way_is_waited_for() {
    let replica = Replica::start().await;
    replica.waits();
    replica.set_status(|status| status.waiting_for.clear());
    let answer = replica.asked(&[2], true).await;
    refused(answer, Code::Unavailable, "IN_TRANSITION");
    // Told again while it does what it was told, it answers as before.
    replica.set_status(|status| status.declared_dead = vec![ReplicaId(2)]);
    let again = replica.asked(&[2], true).await.unwrap();
    assert_eq!(again.declared_dead, [2]);
}

#[tokio::test]
async fn who_is_here_is_not_dead_unless_another_store_is_meant() {
    let replica = Replica::start().await;
    replica.waits();
    for here in [1, 3] {
        let answer = replica.asked(&[2, here], true).await;
        let status = answer.clone().unwrap_err();
        refused(answer, Code::FailedPrecondition, "REPLICA_ANSWERS");
        let text = format!("replica {here} answers: it is not dead");
        assert_eq!(status.message(), text);
    }
    replica.set_status(|status| {
        status.stores.insert(ReplicaId(2), StoreId(22));
    });
    let told = replica.asked(&[2], true).await.unwrap();
    assert_eq!(told.others, [2, 3], "it must know too");
    // On its own empty disk a replica does not know who holds what.
    replica.set_status(|status| {
        status.members.clear();
        status.member_stores.clear();
    });
    replica.asked(&[1, 3], true).await.unwrap();
}

#[tokio::test]
async fn a_recovery_wants_the_admin_token_and_replicas_that_there_are() {
    let replica = Replica::start().await;
    replica.waits();
    let request = v1::RecoverRequest {
        replica_ids: vec![2],
        validate_only: true,
    };
    let mut cluster = replica.cluster().await;
    let answer = cluster.recover(with_token("of somebody", request)).await;
    refused(answer, Code::Unauthenticated, "WRONG_ADMIN_TOKEN");
    let nobody = replica.asked(&[], true).await;
    refused(nobody, Code::InvalidArgument, "INVALID_REPLICA_IDS");
    let zero = replica.asked(&[2, 0], true).await;
    refused(zero, Code::InvalidArgument, "INVALID_REPLICA_IDS");
    let unknown = replica.asked(&[2, 7], true).await;
    refused(unknown, Code::NotFound, "UNKNOWN_REPLICA");
}
