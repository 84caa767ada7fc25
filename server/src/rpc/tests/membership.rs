//! The operator's calls that change who belongs to the cluster.

use tercet_proto::log::{Command, FoundRoster, command::Action};

use super::*;

impl Replica {
    /// Bootstraps the roster, as the leader's driver does by itself.
    pub(super) async fn found_roster(&self) {
        let known = roster();
        let replicas = known.iter().map(|(id, at)| tercet_proto::log::Replica {
            replica_id: id.0,
            address: at.address.clone(),
            peer_address: at.peer_address.clone(),
        });
        let command = Command {
            request_id: Default::default(),
            stamp_ms: 0,
            version: 0,
            stamp_ahead_ms: 0,
            action: Some(Action::FoundRoster(FoundRoster {
                replicas: replicas.collect(),
            })),
        };
        let (reply, answer) = oneshot::channel();
        let reply = Reply::Call(reply);
        let proposal = Proposal { command, reply };
        self.proposals.send(Key::REPLICA, proposal).await;
        answer.await.unwrap().unwrap();
    }
}

pub(super) fn with_token<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let value = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

fn add(replica_id: u32) -> v1::AddReplicaRequest {
    v1::AddReplicaRequest {
        request_id: id(),
        replica_id,
        address: format!("localhost:500{replica_id}"),
        peer_address: format!("localhost:600{replica_id}"),
    }
}

fn remove(replica_id: u32) -> v1::RemoveReplicaRequest {
    v1::RemoveReplicaRequest {
        request_id: id(),
        replica_id,
    }
}

#[tokio::test]
async fn an_operator_adds_a_replica_that_the_status_then_lists() {
    let replica = Replica::start().await;
    replica.found_roster().await;
    let mut cluster = replica.cluster().await;
    let request = add(4);
    for _ in 0..2 {
        let request = with_token(ADMIN_TOKEN, request.clone());
        cluster.add_replica(request).await.unwrap();
    }
    let status = cluster.get_status(v1::GetStatusRequest {}).await.unwrap();
    let listed: Vec<_> = status.into_inner().replicas;
    let ids: Vec<u32> = listed.iter().map(|replica| replica.replica_id).collect();
    assert_eq!(ids, [1, 2, 3, 4]);
    assert_eq!(listed[3].peer_address, "localhost:6004");
}

#[tokio::test]
async fn a_removal_is_answered_when_the_view_is_without_the_replica() {
    let replica = Replica::start().await;
    replica.found_roster().await;
    let mut cluster = replica.cluster().await;
    // Not in the view.
    let gone = cluster.remove_replica(with_token(ADMIN_TOKEN, remove(3)));
    assert!(gone.await.unwrap().into_inner().left_view);
    let removing = tokio::spawn({
        let mut cluster = cluster.clone();
        async move {
            cluster
                .remove_replica(with_token(ADMIN_TOKEN, remove(2)))
                .await
        }
    });
    let mut status = replica.status.subscribe();
    let only_one = |status: &Arc<ReplicaStatus>| status.roster.iter().count() == 1;
    status.wait_for(only_one).await.unwrap();
    assert!(!removing.is_finished());
    replica.status.send_modify(|status| {
        let status = Arc::make_mut(status);
        status.members.retain(|id| id.0 != 2);
        status.firm = false;
    });
    tokio::task::yield_now().await;
    assert!(!removing.is_finished(), "an outage would ask for it again");
    replica
        .status
        .send_modify(|status| Arc::make_mut(status).firm = true);
    assert!(removing.await.unwrap().unwrap().into_inner().left_view);
}

#[tokio::test]
async fn a_removed_leader_sends_the_operator_to_the_next() {
    let replica = Replica::start().await;
    replica.found_roster().await;
    let mut cluster = replica.cluster().await;
    let removing = tokio::spawn(async move {
        let request = with_token(ADMIN_TOKEN, remove(1));
        cluster.remove_replica(request).await
    });
    let mut status = replica.status.subscribe();
    let removed = |status: &Arc<ReplicaStatus>| status.roster.was_removed(ReplicaId(1));
    status.wait_for(removed).await.unwrap();
    replica.lose_lead(Some(ReplicaId(2)));
    refused(
        removing.await.unwrap(),
        Code::FailedPrecondition,
        "NOT_LEADER",
    );
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_its_reason() {
    let replica = Replica::start().await;
    let mut cluster = replica.cluster().await;
    let early = cluster.add_replica(with_token(ADMIN_TOKEN, add(4))).await;
    refused(early, Code::Unavailable, "IN_TRANSITION");
    replica.found_roster().await;
    let elsewhere = v1::AddReplicaRequest {
        address: "localhost:7000".into(),
        ..add(3)
    };
    let taken = v1::AddReplicaRequest {
        peer_address: "localhost:5001".into(),
        ..add(4)
    };
    let no_port = v1::AddReplicaRequest {
        address: "localhost".into(),
        ..add(4)
    };
    for (request, code, reason) in [
        (elsewhere, Code::AlreadyExists, "REPLICA_EXISTS"),
        (taken, Code::AlreadyExists, "ADDRESS_TAKEN"),
        (no_port, Code::InvalidArgument, "INVALID_ADDRESS"),
        (add(0), Code::InvalidArgument, "INVALID_REPLICA_ID"),
    ] {
        let answer = cluster.add_replica(with_token(ADMIN_TOKEN, request)).await;
        refused(answer, code, reason);
    }
    let unknown = cluster.remove_replica(with_token(ADMIN_TOKEN, remove(7)));
    refused(unknown.await, Code::NotFound, "UNKNOWN_REPLICA");
}

#[tokio::test]
async fn mode_majority_keeps_the_replicas_that_a_view_needs() {
    let replica = Replica::start().await;
    replica.found_roster().await;
    replica
        .status
        .send_modify(|status| Arc::make_mut(status).view_min = 3);
    let mut cluster = replica.cluster().await;
    let answer = cluster.remove_replica(with_token(ADMIN_TOKEN, remove(3)));
    refused(answer.await, Code::FailedPrecondition, "TOO_FEW_REPLICAS");
}

#[tokio::test]
async fn only_the_admin_token_opens_these_calls() {
    let replica = Replica::start().await;
    let person = replica.person("ann").await;
    let mut cluster = replica.cluster().await;
    for request in [
        Request::new(add(4)),
        with_token("of somebody", add(4)),
        person.by(add(4)),
    ] {
        let answer = cluster.add_replica(request).await;
        refused(answer, Code::Unauthenticated, "WRONG_ADMIN_TOKEN");
    }
}
