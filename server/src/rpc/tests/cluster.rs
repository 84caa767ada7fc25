//! The cluster service, health, reflection and gRPC-Web, end to end.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use super::{membership::with_token, *};

#[tokio::test]
async fn leader_says_that_it_is_and_others_say_who() {
    let replica = Replica::start().await;
    let mut cluster = replica.cluster().await;
    let answer = cluster.is_master(v1::IsMasterRequest {}).await.unwrap();
    let answer = answer.into_inner();
    assert!(answer.time_ms > 0);
    let expected = v1::IsMasterResponse {
        is_master: true,
        leader_id: 1,
        leader_address: "localhost:5001".into(),
        view: Some(v1::View {
            epoch: 1,
            config_lsn: 0,
            members: vec![1, 2],
        }),
        replica_id: 1,
        replicas: (1..=3)
            .map(|id| v1::ReplicaAddress {
                replica_id: id,
                address: format!("localhost:500{id}"),
            })
            .collect(),
        cluster_id: "00000000-0000-0000-0000-000000000007".into(),
        time_ms: answer.time_ms,
    };
    assert_eq!(answer, expected);
    for (leader, id, address) in [
        (Some(ReplicaId(2)), 2, "localhost:5002"),
        // Not without a lease, and not while it takes over.
        (Some(ReplicaId(1)), 0, ""),
        (None, 0, ""),
    ] {
        replica.lose_lead(leader);
        let answer = cluster.is_master(v1::IsMasterRequest {}).await.unwrap();
        let answer = answer.into_inner();
        let expected = v1::IsMasterResponse {
            is_master: false,
            leader_id: id,
            leader_address: address.into(),
            time_ms: answer.time_ms,
            ..expected.clone()
        };
        assert_eq!(answer, expected);
    }
}

#[tokio::test]
async fn status_lists_every_configured_replica() {
    let replica = Replica::start().await;
    replica.person("ann").await;
    let mut cluster = replica.cluster().await;
    let status = cluster.get_status(v1::GetStatusRequest {}).await.unwrap();
    let status = status.into_inner();
    assert_eq!(status.role(), v1::Role::Leader);
    assert_eq!((status.leader_id, status.mode.as_str()), (1, "available"));
    assert_eq!(status.applied_lsn, 2);
    assert_eq!(status.cluster_id, "00000000-0000-0000-0000-000000000007");
    assert!(!status.version.is_empty());
    let seen: Vec<_> = status
        .replicas
        .iter()
        .map(|one| (one.replica_id, one.member, one.connected, one.matched_lsn))
        .collect();
    assert_eq!(
        seen,
        [(1, true, true, 2), (2, true, true, 3), (3, false, false, 0)]
    );
    assert_eq!(status.replicas[2].address, "localhost:5003");
    assert_eq!(status.replicas[2].peer_address, "localhost:6003");
}

#[tokio::test]
async fn state_is_hashed_at_a_checkpoint_and_only_there() {
    let replica = Replica::start().await;
    replica.person("ann").await;
    let mut cluster = replica.cluster().await;
    let made = cluster.create_checkpoint(with_token(ADMIN_TOKEN, v1::CreateCheckpointRequest {}));
    let lsn = made.await.unwrap().into_inner().lsn;
    assert_eq!(lsn, 3);
    let at = |lsn| v1::GetStateHashRequest { lsn };
    let hash = cluster.get_state_hash(at(lsn)).await.unwrap().into_inner();
    assert_eq!((hash.lsn, hash.state_hash.len()), (lsn, 64));
    replica.person("bob").await;
    let again = cluster.get_state_hash(at(lsn)).await.unwrap().into_inner();
    assert_eq!(again, hash);
    let unknown = cluster.get_state_hash(at(1)).await;
    refused(unknown, Code::NotFound, "NO_SUCH_CHECKPOINT");
}

#[tokio::test]
async fn hash_of_a_checkpoint_that_is_not_applied_yet_is_waited_for() {
    let replica = Replica::start().await;
    let mut cluster = replica.cluster().await;
    let mut other = replica.cluster().await;
    let waiting = tokio::spawn(async move {
        let at = v1::GetStateHashRequest { lsn: 3 };
        other.get_state_hash(at).await
    });
    replica.person("ann").await;
    assert!(!waiting.is_finished());
    let made = cluster.create_checkpoint(with_token(ADMIN_TOKEN, v1::CreateCheckpointRequest {}));
    assert_eq!(made.await.unwrap().into_inner().lsn, 3);
    assert_eq!(waiting.await.unwrap().unwrap().into_inner().lsn, 3);
}

#[tokio::test]
async fn only_an_operator_has_every_replica_hash_its_state() {
    let replica = Replica::start().await;
    let mut cluster = replica.cluster().await;
    let made = cluster.create_checkpoint(v1::CreateCheckpointRequest {});
    refused(made.await, Code::Unauthenticated, "WRONG_ADMIN_TOKEN");
}

#[tokio::test]
async fn calls_that_wait_for_a_hash_are_bounded() {
    let replica = Replica::start().await;
    let mut waiting = tokio::task::JoinSet::new();
    let far_away = v1::GetStateHashRequest { lsn: 1 << 40 };
    let cluster = replica.cluster().await;
    for _ in 0..100 {
        let mut cluster = cluster.clone();
        waiting.spawn(async move { cluster.get_state_hash(far_away).await });
    }
    let first = waiting.join_next().await.unwrap().unwrap();
    refused(first, Code::ResourceExhausted, "BUSY");
}

#[tokio::test]
async fn checkpoints_asked_for_at_once_are_one() {
    let (proposals, mut proposed) = proposals::queue(8);
    let (_sender, status) = watch::channel(Arc::new(leading()));
    let handle = Handle::leading(proposals, status);
    let checkpoints = Checkpoints::new().unwrap();
    let dir = TempDir::new().unwrap();
    let opened = store::open(&OpenOptions {
        accept_missing_wal: false,
        dir: dir.path().to_owned(),
        replica: ReplicaId(1),
        new_store: StoreId(1),
    });
    let cluster = super::super::cluster::Cluster::new(
        handle,
        opened.unwrap().readers,
        checkpoints,
        AdminToken::new(None),
        stopper().0,
        ClusterClock::new(),
    );
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let cluster = cluster.clone();
        callers.spawn(async move { cluster.create_checkpoint().await.unwrap() });
    }
    assert!(proposed.ready().await);
    let first = proposed.take(8).pop().unwrap();
    tokio::task::yield_now().await;
    assert!(proposed.take(8).is_empty());
    first.reply.send(Ok((Lsn(7), Default::default())));
    assert_eq!(callers.join_all().await, [7; 5]);
    // One that is done is not given again.
    let later = tokio::spawn(async move { cluster.create_checkpoint().await.unwrap() });
    assert!(proposed.ready().await);
    let second = proposed.take(8).pop().unwrap();
    second.reply.send(Ok((Lsn(8), Default::default())));
    assert_eq!(later.await.unwrap(), 8);
}

#[tokio::test]
async fn health_follows_the_lead() {
    let replica = Replica::start().await;
    let mut health = HealthClient::new(replica.channel().await);
    let request = |service: &str| HealthCheckRequest {
        service: service.into(),
    };
    let overall = health.check(request("")).await.unwrap().into_inner();
    assert_eq!(overall.status(), ServingStatus::Serving);
    let chat = health.watch(request("tercet.v1.ChatService")).await;
    let mut chat = chat.unwrap().into_inner();
    let leads = chat.message().await.unwrap().unwrap();
    assert_eq!(leads.status(), ServingStatus::Serving);
    replica.lose_lead(Some(ReplicaId(2)));
    let lost = chat.message().await.unwrap().unwrap();
    assert_eq!(lost.status(), ServingStatus::NotServing);
    let cluster = health.check(request("tercet.v1.ClusterService")).await;
    assert_eq!(
        cluster.unwrap().into_inner().status(),
        ServingStatus::Serving
    );
}

#[tokio::test]
async fn reflection_lists_the_public_services_only() {
    let replica = Replica::start().await;
    let mut reflection = ServerReflectionClient::new(replica.channel().await);
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answers = reflection.server_reflection_info(tokio_stream::once(request));
    let answer = answers.await.unwrap().into_inner().message().await.unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.unwrap().message_response else {
        panic!("no list");
    };
    let mut names: Vec<_> = list.service.into_iter().map(|one| one.name).collect();
    names.sort();
    let expected = [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "tercet.v1.ChatService",
        "tercet.v1.ClusterService",
    ];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn browser_may_call_over_http_1_as_grpc_web() {
    let replica = Replica::start().await;
    let mut connection = tokio::net::TcpStream::connect(replica.address)
        .await
        .unwrap();
    let request = "POST /tercet.v1.ClusterService/IsMaster HTTP/1.1\r\nhost: tercet\r\n\
                   content-type: application/grpc-web+proto\r\ncontent-length: 5\r\n\
                   connection: close\r\n\r\n\0\0\0\0\0";
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("localhost:5001"), "{answer}");
    assert!(answer.contains("grpc-status:0"), "{answer}");
}
