//! The library against pretend replicas: the search for the leader, retries, and subscriptions.

#[allow(dead_code)] // each file of tests uses a part of it
mod fake;

use std::time::{Duration, Instant};

use fake::{Fake, Fault};
use tercet_client::{Client, Error, Event, Replica, Replicas, Start};

const DEADLINE: Duration = Duration::from_secs(10);

/// Returns a client of alice; bob has an account, too.
async fn alice(fake: &Fake, ids: &[u32]) -> Client {
    for name in ["alice", "bob"] {
        let password = format!("password of {name}");
        fake.world().accounts.insert(name.to_owned(), password);
    }
    login(fake, ids, "alice").await
}

async fn login(fake: &Fake, ids: &[u32], name: &str) -> Client {
    let client = Client::new(fake.list(ids)).with_deadline(DEADLINE);
    let session = client.login(name, &format!("password of {name}")).await;
    client.with_token(&session.unwrap().token).unwrap()
}

/// Lists replicas of the fake and one more.
fn list_with(fake: &Fake, ids: &[u32], other: (u32, String)) -> Replicas {
    let mut parts: Vec<Replica> = fake.list(ids).iter().cloned().collect();
    let (id, address) = other;
    parts.push(Replica { id, address });
    Replicas::from_parts(parts).unwrap()
}

#[tokio::test]
async fn the_leader_is_found_wherever_it_stands_in_the_list() {
    let fake = Fake::start(3);
    fake.lead(3);
    let client = Client::new(fake.list(&[1, 2, 3]));
    let leader = client.leader().await.unwrap();
    assert_eq!(leader.id, 3);
    assert_eq!(leader.epoch, 2);
}

#[tokio::test]
async fn a_client_that_is_bound_to_a_cluster_calls_no_other() {
    let mut fake = Fake::start(2);
    fake.world().cluster_id = "x".to_owned();
    let client = alice(&fake, &[1, 2]).await;
    client.bind(&client.leader().await.unwrap().cluster_id);
    client.send_message("bob", "one").await.unwrap();
    // Another cluster takes the place of this one, as at a port that was given to somebody else.
    fake.world().cluster_id = "y".to_owned();
    fake.kill(1, 2);
    let short = client.with_deadline(Duration::from_millis(700));
    let error = short
        .list_accounts("", 10, "")
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("of another cluster"), "{error}");
    fake.world().cluster_id = "x".to_owned();
    client.send_message("bob", "two").await.unwrap();
    assert_eq!(fake.world().messages.len(), 2);
}

#[tokio::test]
async fn a_replica_that_hangs_delays_nobody() {
    let fake = Fake::start(1);
    // Accepts connections by its backlog and never answers, as a paused process does.
    let hung = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = hung.local_addr().unwrap().to_string();
    let client = Client::new(list_with(&fake, &[1], (7, address)));
    let started = Instant::now();
    assert_eq!(client.leader().await.unwrap().id, 1);
    assert!(started.elapsed() < Duration::from_millis(450));
}

#[tokio::test]
async fn a_dead_replica_in_the_list_is_passed_over() {
    let fake = Fake::start(1);
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = dead.local_addr().unwrap().to_string();
    drop(dead);
    let client = Client::new(list_with(&fake, &[1], (7, address)));
    assert_eq!(client.leader().await.unwrap().id, 1);
}

#[tokio::test]
async fn a_list_that_is_all_dead_is_told_with_what_was_tried() {
    let mut fake = Fake::start(2);
    let list = fake.list(&[1, 2]);
    fake.kill(1, 0);
    fake.kill(2, 0);
    let client = Client::new(list.clone()).with_deadline(Duration::from_millis(300));
    let error = client.leader().await.unwrap_err();
    let Error::NoLeader { tried } = &error else {
        panic!("{error}")
    };
    assert_eq!(tried.len(), 2);
    for replica in list.iter() {
        assert!(error.to_string().contains(&replica.address), "{error}");
    }
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_leader_that_is_not_in_the_list_is_found_by_the_hint_of_one_that_is() {
    let fake = Fake::start(2);
    fake.lead(2);
    let client = Client::new(fake.list(&[1]));
    assert_eq!(client.leader().await.unwrap().id, 2);
}

#[tokio::test]
async fn not_leader_is_followed_to_the_new_leader_with_the_same_request_id() {
    let fake = Fake::start(3);
    let client = alice(&fake, &[1, 2, 3]).await;
    fake.world().faults.push_back(Fault::Transfer(3));
    let sent = client.send_message("bob", "hello").await.unwrap();
    let world = fake.world();
    assert_eq!(world.sends_seen.len(), 2);
    assert_eq!(world.sends_seen[0], world.sends_seen[1]);
    assert_eq!(world.messages.len(), 1);
    assert_eq!(sent.message_id, world.sends_seen[0]);
}

#[tokio::test]
async fn unavailable_and_unknown_are_retried_with_the_same_request_id() {
    let fake = Fake::start(1);
    let client = alice(&fake, &[1]).await;
    let faults = [Fault::UnavailableBefore, Fault::UnknownAfter];
    fake.world().faults.extend(faults);
    client.send_message("bob", "once").await.unwrap();
    let world = fake.world();
    assert_eq!(world.sends_seen.len(), 3);
    assert!(world.sends_seen.iter().all(|id| *id == world.sends_seen[0]));
    assert_eq!(world.messages.len(), 1, "applied once");
    assert_eq!(client.counters().retries, 2);
}

#[tokio::test]
async fn a_write_goes_on_when_the_leader_is_killed() {
    let mut fake = Fake::start(3);
    let client = alice(&fake, &[1, 2, 3]).await;
    client.send_message("bob", "before").await.unwrap();
    fake.kill(1, 2);
    let started = Instant::now();
    client.send_message("bob", "after").await.unwrap();
    assert!(started.elapsed() < Duration::from_millis(250));
    assert_eq!(fake.world().messages.len(), 2);
    assert_eq!(client.counters().failovers, 1);
}

#[tokio::test]
async fn the_delay_that_the_leader_asks_for_is_kept() {
    let fake = Fake::start(1);
    let client = alice(&fake, &[1]).await;
    fake.world().faults.push_back(Fault::Busy(120));
    let started = Instant::now();
    client.send_message("bob", "patience").await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(120));
}

#[tokio::test]
async fn a_refusal_is_not_retried() {
    let fake = Fake::start(1);
    let client = alice(&fake, &[1]).await;
    let error = client.send_message("nobody", "hello").await.unwrap_err();
    assert!(error.is_refused_for("UNKNOWN_RECIPIENT"), "{error}");
    assert_eq!(fake.world().sends_seen.len(), 1);
}

#[tokio::test]
async fn a_write_whose_fate_is_unknown_is_told_as_unknown() {
    let mut fake = Fake::start(1);
    let client = alice(&fake, &[1]).await;
    let client = client.with_deadline(Duration::from_millis(300));
    fake.world().faults.push_back(Fault::UnknownAfter);
    for _ in 0..10_000 {
        fake.world().faults.push_back(Fault::UnavailableBefore);
    }
    let error = client.send_message("bob", "perhaps").await.unwrap_err();
    let Error::OutcomeUnknown { request_id, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(fake.world().sends_seen[0], request_id.to_string());
    fake.kill(1, 0);
    let error = client.send_message("bob", "not sent").await.unwrap_err();
    assert!(error.may_pass(), "{error}");
}

#[tokio::test]
async fn a_refusal_that_settles_nothing_leaves_the_fate_of_an_earlier_attempt_unknown() {
    let fake = Fake::start(1);
    let client = alice(&fake, &[1]).await;
    for no in [Fault::Full, Fault::Expired] {
        fake.world().faults.push_back(no.clone());
        let error = client.send_message("bob", "not sent").await.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error}");
        fake.world().faults.extend([Fault::UnknownAfter, no]);
        let error = client.send_message("bob", "sent").await.unwrap_err();
        assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error}");
    }
    fake.world().faults.push_back(Fault::UnavailableBefore);
    let error = client.send_message("nobody", "hello").await.unwrap_err();
    assert!(error.is_refused_for("UNKNOWN_RECIPIENT"), "{error}");
}

async fn next(subscription: &mut tercet_client::Subscription) -> Event {
    let event = tokio::time::timeout(DEADLINE, subscription.next()).await;
    event.expect("an event in time").unwrap()
}

async fn next_body(subscription: &mut tercet_client::Subscription) -> String {
    loop {
        if let Event::Message(message) = next(subscription).await {
            return message.body;
        }
    }
}

#[tokio::test]
async fn a_subscription_resumes_after_a_failover_without_gap_or_duplicate() {
    let mut fake = Fake::start(2);
    let alice = alice(&fake, &[1, 2]).await;
    let bob = login(&fake, &[1, 2], "bob").await;
    let mut subscription = bob.subscribe(Start::Now);
    let first = next(&mut subscription).await;
    assert!(matches!(
        first,
        Event::Subscribed {
            resumed: false,
            replica: 1,
            ..
        }
    ));
    for body in ["one", "two"] {
        alice.send_message("bob", body).await.unwrap();
        assert_eq!(next_body(&mut subscription).await, body);
    }
    fake.world().overlap = 2;
    fake.kill(1, 2);
    alice.send_message("bob", "while away").await.unwrap();

    assert!(matches!(next(&mut subscription).await, Event::Lost { .. }));
    let resumed = next(&mut subscription).await;
    assert!(matches!(
        resumed,
        Event::Subscribed {
            resumed: true,
            replica: 2,
            ..
        }
    ));
    assert_eq!(next_body(&mut subscription).await, "while away");
    alice.send_message("bob", "live again").await.unwrap();
    assert_eq!(next_body(&mut subscription).await, "live again");
    assert_eq!(fake.world().subscribed_from, [None, Some(2)]);
    assert_eq!(subscription.cursor(), Some(4));
}

#[tokio::test]
async fn a_subscription_from_a_cursor_gets_what_is_stored_after_it() {
    let fake = Fake::start(1);
    let alice = alice(&fake, &[1]).await;
    for body in ["one", "two", "three"] {
        alice.send_message("bob", body).await.unwrap();
    }
    let bob = login(&fake, &[1], "bob").await;
    let mut subscription = bob.subscribe(Start::After(1));
    assert_eq!(next_body(&mut subscription).await, "two");
    assert_eq!(next_body(&mut subscription).await, "three");
}

#[tokio::test]
async fn a_subscription_with_a_bad_token_is_an_error() {
    let fake = Fake::start(1);
    let client = Client::new(fake.list(&[1])).with_token("forged").unwrap();
    let error = client.subscribe(Start::Now).next().await.unwrap_err();
    assert!(error.is_refused_for("UNAUTHENTICATED"), "{error}");
}
