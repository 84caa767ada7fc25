//! One account that has more calls under way than a replica takes at once harms no other account.

mod cluster;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use cluster::{Cluster, PATIENCE};
use tercet_client::{Client, Replicas, new_request_id};
use tercet_proto::v1::{SendMessageRequest, chat_service_client::ChatServiceClient};
use tokio::{runtime::Runtime, task::JoinSet};
use tonic::{
    Code, Request, Status,
    transport::{Channel, Endpoint},
};

const PASSWORD: &str = "correct horse";
const CONNECTIONS: usize = 4;
/// Calls of the flood at once: several times what a replica takes into its log at once.
const UNDER_WAY: usize = 14_000;
/// Sends of the other account that are looked at.
const SENDS: usize = 9;
/// The number of times that a call of the flood is made again.
const ROUNDS_MAX: usize = 50;

async fn connect(address: &str) -> ChatServiceClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    let channel = endpoint.tcp_nodelay(true).connect().await;
    ChatServiceClient::new(channel.expect("connect"))
}

async fn send(client: &mut ChatServiceClient<Channel>, token: &str) -> Result<(), Status> {
    let mut request = Request::new(SendMessageRequest {
        request_id: new_request_id().to_string(),
        recipient: "bob".into(),
        body: "hello".into(),
        reply_to: 0,
    });
    let bearer = format!("Bearer {token}").parse().expect("a token");
    request.metadata_mut().insert("authorization", bearer);
    client.send_message(request).await.map(drop)
}

#[test]
fn a_send_does_not_wait_for_the_flood_of_another_account() {
    let cluster = Cluster::start(1);
    let replicas: Replicas = cluster.list().parse().expect("a list");
    let replica = replicas.iter().next().expect("a replica");
    let address = replica.address.clone();
    let client = Client::new(replicas.clone()).with_deadline(PATIENCE);
    let tokens = runtime().block_on(async {
        let mut tokens = Vec::new();
        for name in ["ann", "bob"] {
            client.create_account(name, PASSWORD).await.expect("create");
            let session = client.login(name, PASSWORD).await.expect("log in");
            tokens.push(session.token);
        }
        tokens
    });
    let flood = Flood::default();
    thread::scope(|scope| {
        scope.spawn(|| runtime().block_on(flood.run(&address, &tokens[0])));
        let overtaken = runtime().block_on(flood.overtakes(&address, &tokens[1]));
        flood.over.store(true, Ordering::Relaxed);
        let median = overtaken[SENDS / 2];
        assert!(
            median < UNDER_WAY / 2,
            "a send of the other account waits for {median} of a flood of {UNDER_WAY}: {overtaken:?}"
        );
    });
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("start a runtime")
}

/// Calls of one account, more and more of them until it is over.
#[derive(Default)]
struct Flood {
    answered: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
}

impl Flood {
    async fn run(&self, address: &str, token: &str) {
        let mut calls = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let connection = connect(address).await;
            for _ in 0..UNDER_WAY / CONNECTIONS {
                let (mut connection, token) = (connection.clone(), token.to_owned());
                let (answered, over) = (Arc::clone(&self.answered), Arc::clone(&self.over));
                calls.spawn(async move {
                    let mut rounds = 0..ROUNDS_MAX;
                    while !over.load(Ordering::Relaxed) && rounds.next().is_some() {
                        match send(&mut connection, &token).await {
                            Err(status) if status.code() == Code::ResourceExhausted => {}
                            answer => answer.expect("sent or refused as busy"),
                        }
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        }
        calls.join_all().await;
    }

    /// For each of some sends of another account, how many calls of the flood were answered meanwhile;
    /// ascending.
    async fn overtakes(&self, address: &str, token: &str) -> Vec<usize> {
        let mut other = connect(address).await;
        let mut overtaken = Vec::new();
        while overtaken.len() < SENDS {
            let before = self.answered.load(Ordering::Relaxed);
            let answer = send(&mut other, token).await;
            answer.expect("the other account is not refused");
            // The first answers come before all of the flood is under way.
            if before > UNDER_WAY {
                overtaken.push(self.answered.load(Ordering::Relaxed) - before);
            }
            assert!(before < UNDER_WAY * ROUNDS_MAX / 2, "the flood lasts");
        }
        overtaken.sort_unstable();
        overtaken
    }
}
