//! A machine whose clock is behind the cluster's. The test has a process of its own, because a process knows the time
//! of one cluster.

#[allow(dead_code)] // each file of tests uses a part of it
mod fake;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fake::Fake;
use tercet_client::{Client, Options, Sends, new_request_id};

#[tokio::test]
async fn ids_are_made_by_the_time_of_the_cluster_from_the_first_request_on() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let fake = Fake::start(3);
    fake.world().time_ms = now.as_millis() as i64 + 3_600_000;
    for name in ["alice", "bob"] {
        let password = format!("password of {name}");
        fake.world().accounts.insert(name.to_owned(), password);
    }
    fake.world()
        .tokens
        .insert("token".to_owned(), "alice".to_owned());
    for sends in [Sends::Unary, Sends::Stream] {
        let options = Options {
            sends,
            ..Options::default()
        };
        let client = Client::with_options(fake.list(&[1, 2, 3]), options);
        let client = client
            .with_token("token")
            .unwrap()
            .with_deadline(Duration::from_secs(10));
        client.send_message("bob", "hello").await.unwrap();
    }
    let world = fake.world();
    // The first id was made before the time of the cluster was known, and refused.
    assert_eq!(world.sends_seen.len(), 3, "{:?}", world.sends_seen);
    assert_eq!(world.messages.len(), 2);
    drop(world);
    let made_ms = (new_request_id().as_u128() >> 80) as i64;
    assert!(made_ms >= fake.world().time_ms);
}
