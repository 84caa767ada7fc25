//! Streams and batches of messages against pretend replicas: packed, in order, once, and sent again to the next
//! leader.

#[allow(dead_code)] // each file of tests uses a part of it
mod fake;

use std::collections::HashSet;
use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use fake::{Fake, Fault};
use tercet_client::{Client, Error, Options, OutgoingMessage, Sends, new_request_id};

const DEADLINE: Duration = Duration::from_secs(10);

/// Returns a client of alice; bob and carol have accounts, too.
async fn alice(fake: &Fake, ids: &[u32], options: Options) -> Client {
    for name in ["alice", "bob", "carol"] {
        let password = format!("password of {name}");
        fake.world().accounts.insert(name.to_owned(), password);
    }
    let client = Client::with_options(fake.list(ids), options).with_deadline(DEADLINE);
    let session = client.login("alice", "password of alice").await;
    client.with_token(&session.unwrap().token).unwrap()
}

/// Sends numbered messages to bob, all at once, in order.
async fn send_all(client: Client, count: usize) {
    let mut sending = tokio::task::JoinSet::new();
    for number in 0..count {
        let client = client.clone();
        sending.spawn(async move { client.send_message("bob", &number.to_string()).await });
    }
    for sent in sending.join_all().await {
        sent.unwrap();
    }
}

fn bodies(fake: &Fake) -> Vec<String> {
    let world = fake.world();
    world.messages.iter().map(|one| one.body.clone()).collect()
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

fn batch(count: usize) -> Vec<OutgoingMessage> {
    let bodies = numbers(count).into_iter();
    let messages = bodies.map(|body| OutgoingMessage {
        request_id: new_request_id(),
        recipient: "bob".to_owned(),
        body,
    });
    messages.collect()
}

#[tokio::test]
async fn messages_share_one_stream_and_keep_their_order() {
    let fake = Fake::start(1);
    let client = alice(&fake, &[1], Options::default()).await;
    send_all(client.clone(), 2_500).await;
    assert_eq!(bodies(&fake), numbers(2_500));
    assert_eq!(fake.world().streams_seen, 1);
}

#[tokio::test]
async fn each_connection_has_a_stream_and_a_conversation_stays_on_one() {
    let fake = Fake::start(1);
    let options = Options {
        connections: 4,
        ..Options::default()
    };
    let client = alice(&fake, &[1], options).await;
    send_all(client.clone(), 300).await;
    assert_eq!(bodies(&fake), numbers(300));
    assert_eq!(fake.world().streams_seen, 1);
    for name in 0..50 {
        let name = format!("nobody-{name}");
        let error = client.send_message(&name, "hello").await.unwrap_err();
        assert!(error.is_refused_for("UNKNOWN_RECIPIENT"), "{error}");
    }
    assert_eq!(fake.world().streams_seen, 4);
}

#[tokio::test]
async fn a_leader_that_dies_costs_no_message_and_no_order() {
    let mut fake = Fake::start(2);
    let client = alice(&fake, &[1, 2], Options::default()).await;
    let sends = tokio::spawn(send_all(client.clone(), 2_000));
    while fake.world().messages.len() < 500 {
        tokio::task::yield_now().await;
    }
    fake.kill(1, 2);
    sends.await.unwrap();
    assert_eq!(bodies(&fake), numbers(2_000));
    assert_eq!(client.counters().failovers, 1);
}

#[tokio::test]
async fn lost_answers_and_a_moving_lead_keep_the_order_too() {
    let fake = Fake::start(3);
    let client = alice(&fake, &[1, 2, 3], Options::default()).await;
    let faults = [
        Fault::UnknownAfter,
        Fault::Transfer(3),
        Fault::Busy(1),
        Fault::UnavailableBefore,
        Fault::Transfer(2),
    ];
    // Only at the beginning of what waits: a real leader takes nothing behind such a message.
    for fault in faults {
        let before = bodies(&fake).len();
        fake.world().faults.push_back(fault);
        send_all(client.clone(), 1).await;
        send_all(client.clone(), 64).await;
        let new = bodies(&fake).split_off(before);
        assert_eq!(new[1..], numbers(64));
    }
    let world = fake.world();
    let ids: HashSet<_> = world.messages.iter().map(|one| &one.message_id).collect();
    assert_eq!(ids.len(), world.messages.len(), "each once");
}

#[tokio::test]
async fn a_refused_message_does_not_disturb_its_neighbours() {
    let fake = Fake::start(1);
    let client = alice(&fake, &[1], Options::default()).await;
    let neighbours = tokio::spawn(send_all(client.clone(), 100));
    for _ in 0..20 {
        let error = client.send_message("nobody", "hello").await.unwrap_err();
        assert!(error.is_refused_for("UNKNOWN_RECIPIENT"), "{error}");
    }
    neighbours.await.unwrap();
    assert_eq!(bodies(&fake), numbers(100));
    assert_eq!(fake.world().streams_seen, 1);
    assert_eq!(client.counters().retries, 0);
}

#[tokio::test]
async fn a_sender_that_goes_away_does_not_disturb_the_others() {
    let fake = Fake::start(1);
    let client = alice(&fake, &[1], Options::default()).await;
    client.send_message("bob", "0").await.unwrap();
    {
        // Handed over to the stream, and then dropped.
        let mut dropped = pin!(client.send_message("bob", "perhaps"));
        let polled = std::future::poll_fn(|context| Poll::Ready(dropped.as_mut().poll(context)));
        assert!(polled.await.is_pending());
    }
    for number in 1..10 {
        client
            .send_message("bob", &number.to_string())
            .await
            .unwrap();
    }
    let mut sent = bodies(&fake);
    sent.retain(|body| body != "perhaps");
    assert_eq!(sent, numbers(10));
    assert_eq!(fake.world().streams_seen, 1);
}

#[tokio::test]
async fn a_replica_without_streams_gets_calls() {
    let fake = Fake::start(1);
    fake.world().without_streams = true;
    let client = alice(&fake, &[1], Options::default()).await;
    send_all(client.clone(), 100).await;
    let mut sent = bodies(&fake);
    sent.sort_by_key(|body| body.parse::<u32>().unwrap());
    assert_eq!(sent, numbers(100));
    assert_eq!(client.counters().retries, 0);
}

#[tokio::test]
async fn unary_is_unary() {
    let fake = Fake::start(1);
    let options = Options {
        sends: Sends::Unary,
        ..Options::default()
    };
    let client = alice(&fake, &[1], options).await;
    send_all(client.clone(), 10).await;
    assert_eq!(bodies(&fake).len(), 10);
    assert_eq!(fake.world().streams_seen, 0);
}

#[tokio::test]
async fn a_token_that_is_good_no_more_is_refused_and_not_asked_for_again() {
    let fake = Fake::start(1);
    let client = alice(&fake, &[1], Options::default()).await;
    let stranger = client.with_token("forged").unwrap();
    for _ in 0..2 {
        let error = stranger.send_message("bob", "hello").await.unwrap_err();
        assert!(error.is_refused_for("UNAUTHENTICATED"), "{error}");
    }
    assert_eq!(stranger.counters().retries, 0);
    client.send_message("bob", "hello").await.unwrap();
    assert_eq!(fake.world().messages.len(), 1);
}

#[tokio::test]
async fn a_message_for_which_there_is_no_leader_in_time_is_not_sent_later() {
    let mut fake = Fake::start(2);
    let client = alice(&fake, &[1, 2], Options::default()).await;
    fake.kill(1, 0);
    drop(client); // it knows a leader, to which it would send
    let client = Client::new(fake.list(&[1, 2])).with_deadline(DEADLINE);
    let client = client.with_token("token-of-alice").unwrap();
    let hasty = client.with_deadline(Duration::from_millis(200));
    let error = hasty.send_message("bob", "too late").await.unwrap_err();
    assert!(matches!(error, Error::NoLeader { .. }), "{error}");
    fake.lead(2);
    client.send_message("bob", "0").await.unwrap();
    assert_eq!(bodies(&fake), numbers(1));
}

#[tokio::test]
async fn each_message_of_a_batch_has_its_own_result() {
    let fake = Fake::start(1);
    let client = alice(&fake, &[1], Options::default()).await;
    let mut messages = batch(100);
    messages[7].recipient = "nobody".to_owned();
    let results = client.send_batch(messages.clone()).await.unwrap();
    assert_eq!(results.len(), 100);
    for (at, (result, message)) in results.iter().zip(&messages).enumerate() {
        match result {
            Ok(sent) => assert_eq!(sent.message_id, message.request_id.to_string()),
            Err(error) => assert!(at == 7 && error.is_refused_for("UNKNOWN_RECIPIENT")),
        }
    }
    assert_eq!(fake.world().batches_seen, [100]);
    assert!(client.send_batch(Vec::new()).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_a_batch_has_no_answer_for_is_sent_again_and_nothing_else() {
    let fake = Fake::start(2);
    let client = alice(&fake, &[1, 2], Options::default()).await;
    let faults = [Fault::UnknownAfter, Fault::UnavailableBefore];
    fake.world().faults.extend(faults);
    let results = client.send_batch(batch(10)).await.unwrap();
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(fake.world().batches_seen, [10, 2]);
    assert_eq!(fake.world().messages.len(), 10);
    fake.world().faults.push_back(Fault::Transfer(2));
    let results = client.send_batch(batch(10)).await.unwrap();
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(fake.world().messages.len(), 20);
}

#[tokio::test]
async fn a_batch_that_nobody_takes_fails_as_a_whole() {
    let mut fake = Fake::start(1);
    let client = alice(&fake, &[1], Options::default()).await;
    let stranger = client.with_token("forged").unwrap();
    let error = stranger.send_batch(batch(2)).await.unwrap_err();
    assert!(error.is_refused_for("UNAUTHENTICATED"), "{error}");
    // Perhaps carried out: then each has a fate of its own.
    let hasty = client.with_deadline(Duration::from_millis(300));
    fake.world().faults.push_back(Fault::UnknownAfter);
    for _ in 0..10_000 {
        fake.world().faults.push_back(Fault::UnavailableBefore);
    }
    let results = hasty.send_batch(batch(2)).await.unwrap();
    for result in results {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error}");
    }
    fake.kill(1, 0);
    let fresh = Client::new(fake.list(&[1])).with_deadline(Duration::from_millis(300));
    let error = fresh.send_batch(batch(2)).await.unwrap_err();
    assert!(matches!(error, Error::NoLeader { .. }), "{error}");
}

#[tokio::test]
async fn a_batch_whose_answer_was_lost_may_have_been_carried_out_when_the_retry_is_refused() {
    let fake = Fake::start(1);
    let client = alice(&fake, &[1], Options::default()).await;
    fake.world().batch_answers_lost = 1;
    let refusals = [Fault::Full, Fault::Full, Fault::Full, Fault::Expired];
    fake.world().faults.extend(refusals);
    for result in client.send_batch(batch(2)).await.unwrap() {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error}");
    }
    assert_eq!(fake.world().batches_seen, [2, 2]);
}
