//! Messages over one stream of real replicas: a leader that dies with many of them under way costs
//! none, doubles none, and changes no order; what is refused is refused alone.

mod cluster;

use std::{collections::BTreeSet, thread};

use cluster::{Cluster, PATIENCE, load::wait_for_lsn};
use tercet_client::{Client, HistoryRequest, OutgoingMessage, Replicas, new_request_id};
use tokio::{runtime::Runtime, task::JoinSet};

const PASSWORD: &str = "correct horse";
const IN_FLIGHT: usize = 64;
const MESSAGES: usize = 12_000;

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("start a runtime")
}

fn client_of(cluster: &Cluster) -> Client {
    let replicas: Replicas = cluster.list().parse().expect("a list");
    Client::new(replicas).with_deadline(PATIENCE)
}

/// An account with a session.
async fn person(client: &Client, name: &str) -> Client {
    client.create_account(name, PASSWORD).await.expect("create");
    let session = client.login(name, PASSWORD).await.expect("log in");
    client.with_token(&session.token).expect("a token")
}

/// The ids of what two people wrote to one another, in order.
async fn history(client: &Client, peer: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = HistoryRequest {
            peer: peer.to_owned(),
            page_size: 500,
            oldest_first: true,
            page_token,
            ..Default::default()
        };
        let page = client.list_messages(request).await.expect("a page");
        ids.extend(page.messages.into_iter().map(|message| message.message_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return ids;
        }
    }
}

/// Sends numbered messages to two people in turn, so many under way at once; gives the ids that were
/// sent to each, in order. All are acknowledged.
async fn send(client: Client, recipients: [&'static str; 2]) -> [Vec<String>; 2] {
    let mut sent = [Vec::new(), Vec::new()];
    let mut under_way = JoinSet::new();
    for number in 0..MESSAGES {
        if under_way.len() >= IN_FLIGHT {
            under_way.join_next().await.expect("one").expect("it ran");
        }
        let to = number % recipients.len();
        let id = new_request_id();
        sent[to].push(id.to_string());
        let client = client.clone();
        under_way.spawn(async move {
            let body = number.to_string();
            let answer = client.send_message_as(id, recipients[to], &body).await;
            assert_eq!(answer.expect("acknowledged").message_id, id.to_string());
        });
    }
    under_way.join_all().await;
    sent
}

#[test]
fn a_leader_dies_with_a_stream_full_of_messages_and_each_is_there_once_and_in_order() {
    let mut cluster = Cluster::start(3);
    let client = client_of(&cluster);
    let story = thread::spawn(move || {
        runtime().block_on(async {
            let ann = person(&client, "ann").await;
            let bob = person(&client, "bob").await;
            let cy = person(&client, "cy").await;
            let sent = send(ann, ["bob", "cy"]).await;
            let found = [history(&bob, "ann").await, history(&cy, "ann").await];
            assert!(found == sent, "once each, in the order of the sender");
            client.counters()
        })
    });
    wait_for_lsn(&cluster, 1_000);
    cluster.kill(1);
    cluster.wait_for_leader(2);
    let counters = story.join().expect("the story ends well");
    assert!(
        counters.failovers >= 1 && counters.retries >= 1,
        "{counters:?}"
    );
    cluster.restart(1);
    cluster.wait_until_whole();
    cluster.assert_equal();
}

#[test]
fn what_is_wrong_with_one_message_of_many_is_its_own() {
    let cluster = Cluster::start(3);
    let client = client_of(&cluster);
    runtime().block_on(async {
        let ann = person(&client, "ann").await;
        let bob = person(&client, "bob").await;
        let mut sending = JoinSet::new();
        for number in 0..200 {
            let ann = ann.clone();
            sending.spawn(async move {
                let to = if number % 10 == 3 { "nobody" } else { "bob" };
                (to, ann.send_message(to, "hello").await)
            });
        }
        for (to, result) in sending.join_all().await {
            match result {
                Ok(_) => assert_eq!(to, "bob"),
                Err(error) => assert!(error.is_refused_for("UNKNOWN_RECIPIENT"), "{error}"),
            }
        }
        assert_eq!(history(&bob, "ann").await.len(), 180);

        let message = |body: &str| OutgoingMessage {
            request_id: new_request_id(),
            recipient: "bob".to_owned(),
            body: body.to_owned(),
        };
        let batch = vec![message("one"), message(""), message("two")];
        let results = ann.send_batch(batch).await.expect("an answer");
        let refused: BTreeSet<usize> = (0..3).filter(|at| results[*at].is_err()).collect();
        assert_eq!(refused, [1].into());
        assert_eq!(history(&bob, "ann").await.len(), 182);

        ann.logout().await.expect("log out");
        let error = ann.send_message("bob", "after").await.expect_err("refused");
        assert!(error.is_refused_for("INVALID_TOKEN"), "{error}");
    });
}
