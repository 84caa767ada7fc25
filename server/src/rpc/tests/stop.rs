//! The operator's call that stops a replica.

use super::{membership::with_token, *};

impl Replica {
    async fn told(&self, force: bool) -> Result<u64, Status> {
        let request = v1::StopReplicaRequest {
            replica_id: 1,
            force,
        };
        let mut cluster = self.cluster().await;
        let answer = cluster.stop_replica(with_token(ADMIN_TOKEN, request)).await;
        answer.map(|answer| answer.into_inner().incarnation)
    }

    fn stops(&mut self) -> bool {
        self.stop_requested.try_recv().is_ok()
    }
}

fn all(status: &mut ReplicaStatus) {
    status.members = (1..=3).map(ReplicaId).collect();
}

#[tokio::test]
async fn a_replica_stops_when_all_others_are_in_step() {
    let mut replica = Replica::start().await;
    replica.set_status(all);
    assert_eq!(replica.told(false).await.unwrap(), 11);
    // Told again, it stops once.
    replica.told(false).await.unwrap();
    assert!(replica.stops() && !replica.stops());
}

#[tokio::test]
async fn a_second_stop_is_refused_until_the_first_is_in_step_or_forced() {
    let mut replica = Replica::start().await;
    let answer = replica.told(false).await;
    let status = answer.clone().unwrap_err();
    refused(answer, Code::FailedPrecondition, "NOT_IN_STEP");
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.metadata["replica_ids"], "3");
    assert!(status.message().contains("replica 3 is not in step"));
    assert!(!replica.stops());
    replica.told(true).await.unwrap();
    assert!(replica.stops());
}

#[tokio::test]
async fn a_view_that_is_not_committed_says_nothing_of_who_is_in_step() {
    let mut replica = Replica::start().await;
    replica.set_status(|status| {
        all(status);
        status.config_lsn = Lsn(1);
    });
    refused(
        replica.told(false).await,
        Code::Unavailable,
        "IN_TRANSITION",
    );
    replica.set_status(|status| {
        status.commit = Lsn(1);
        status.role = Role::Waiting;
    });
    refused(
        replica.told(false).await,
        Code::Unavailable,
        "IN_TRANSITION",
    );
    assert!(!replica.stops());
}

#[tokio::test]
async fn a_replica_that_is_not_in_the_view_stops_whoever_else_is_missing() {
    let mut replica = Replica::start().await;
    replica.set_status(|status| {
        status.role = Role::Learner;
        status.members = vec![ReplicaId(2)];
    });
    replica.told(false).await.unwrap();
    assert!(replica.stops());
}

#[tokio::test]
async fn a_view_that_cannot_do_without_a_replica_keeps_it() {
    let replica = Replica::start().await;
    replica.set_status(|status| {
        all(status);
        status.view_min = 3;
    });
    let answer = replica.told(false).await;
    refused(answer, Code::FailedPrecondition, "TOO_FEW_REPLICAS");
}

#[tokio::test]
async fn a_stop_wants_the_admin_token_and_the_replica_that_is_meant() {
    let mut replica = Replica::start().await;
    let mut cluster = replica.cluster().await;
    let request = |replica_id| v1::StopReplicaRequest {
        replica_id,
        force: true,
    };
    let answer = cluster.stop_replica(with_token("of somebody", request(1)));
    refused(answer.await, Code::Unauthenticated, "WRONG_ADMIN_TOKEN");
    let answer = cluster.stop_replica(with_token(ADMIN_TOKEN, request(2)));
    refused(answer.await, Code::InvalidArgument, "INVALID_REPLICA_ID");
    assert!(!replica.stops());
}
