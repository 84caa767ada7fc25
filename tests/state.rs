//! The state beside conversations through the command line and the library, while leaders are killed.

mod cluster;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use cluster::{
    Cluster, PATIENCE, last_json,
    people::{by, change_leader, refused},
    said, wait_until,
};
use serde_json::json;
use tercet_client::{Client, Replicas};
use tokio::{runtime::Runtime, task::JoinSet};

const COUNT: &str = "value = (value ?? 0) + 1";
const INCREMENTS: usize = 1_000;

#[test]
fn keys_and_programs_go_on_at_every_leader() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    for name in ["bob", "eve", "ann"] {
        cluster.person(name);
    }
    by(&cluster, "ann", &["room", "create", "#tea", "--private"]);
    by(&cluster, "ann", &["room", "invite", "#tea", "bob"]);
    let set = by(
        &cluster,
        "ann",
        &["state", "set", "#tea", "next", "green", "--expect", "0"],
    );
    assert_eq!(set["matched"], true);
    assert_eq!(set["version"], set["cursor"]);
    let version = set["version"].to_string();

    cluster.kill(1);
    let got = by(&cluster, "bob", &["state", "get", "#TEA", "next"]);
    assert_eq!(
        (&got["value"], &got["changed_by"]),
        (&json!("green"), &json!("ann"))
    );
    let newer = by(
        &cluster,
        "bob",
        &["state", "set", "#tea", "next", "-x", "--expect", &version],
    );
    assert_eq!(newer["matched"], true);
    let late = [
        "state", "set", "#tea", "next", "z", "--expect", &version, "--as", "ann", "--json",
    ];
    let late = cluster.run(&late);
    assert_eq!(late.status.code(), Some(1), "{}", said(&late));
    let late = last_json(&late).expect("an object");
    assert_eq!(
        (&late["matched"], &late["version"]),
        (&json!(false), &newer["version"])
    );
    assert_eq!(late["current"]["value"], "-x");
    for words in [
        &["state", "get", "#tea", "next"][..],
        &["state", "set", "#tea", "next", "z"],
        &["state", "list", "#tea"],
        &["submit", "#tea", "next", COUNT],
    ] {
        assert_eq!(refused(&cluster, "eve", words), "UNKNOWN_ROOM");
    }
    assert_eq!(
        refused(&cluster, "ann", &["state", "get", "#tea", "no"]),
        "UNKNOWN_KEY"
    );

    let vote = "if value == () { value = #{} } value[caller] = args[0]; value.len()";
    assert_eq!(
        by(&cluster, "ann", &["submit", "bob", "poll", vote, "tea"])["answer"],
        1
    );
    cluster.restart(1);
    cluster.wait_until_whole();
    cluster.kill(2);
    assert_eq!(
        by(&cluster, "bob", &["submit", "ann", "poll", vote, "milk"])["answer"],
        2
    );
    let poll = by(&cluster, "ann", &["state", "get", "bob", "poll"]);
    assert_eq!(poll["value"], r#"{"ann":"tea","bob":"milk"}"#);
    let reason = |program: &str| refused(&cluster, "ann", &["submit", "#tea", "next", program]);
    assert_eq!(reason("value = = 1"), "PROGRAM_FAILED");
    assert_eq!(reason("loop {}"), "PROGRAM_LIMIT");
    let kept = by(&cluster, "ann", &["state", "get", "#tea", "next"]);
    assert_eq!(kept["value"], "-x");
    by(&cluster, "ann", &["state", "delete", "#tea", "next"]);
    cluster.restart(2);
    cluster.wait_until_whole();
    assert_eq!(
        refused(&cluster, "bob", &["state", "get", "#tea", "next"]),
        "UNKNOWN_KEY"
    );
    cluster.assert_equal();
}

/// Increments that are answered.
static DONE: AtomicU64 = AtomicU64::new(0);

fn one_thread() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("make a runtime")
}

/// Adds 1 to a counter many times at once; gives the answers.
async fn count(client: Client) -> Vec<u64> {
    let session = client.login("ann", "correct horse").await.expect("log in");
    let client = client.with_token(&session.token).expect("a token");
    let mut increments = JoinSet::new();
    for _ in 0..INCREMENTS {
        let client = client.clone();
        increments.spawn(async move {
            let done = client.submit_to_key("#count", "n", COUNT, &[]).await;
            DONE.fetch_add(1, Ordering::SeqCst);
            let answer = done.expect("counted").answer;
            answer.parse::<u64>().expect("a number")
        });
    }
    increments.join_all().await
}

#[test]
fn a_thousand_increments_through_three_killed_leaders_are_a_thousand() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    cluster.person("ann");
    cluster.json(&["room", "create", "#count", "--json"]);
    let replicas: Replicas = cluster.list().parse().expect("a list");
    let client = Client::new(replicas).with_deadline(PATIENCE);
    let counting = thread::spawn(move || one_thread().block_on(count(client)));
    for round in 1..=3 {
        let enough = round * INCREMENTS as u64 / 5;
        wait_until("increments are answered", || {
            DONE.load(Ordering::SeqCst) >= enough
        });
        assert!(DONE.load(Ordering::SeqCst) < INCREMENTS as u64);
        change_leader(&mut cluster);
        cluster.wait_until_whole();
    }
    let mut answers = counting.join().expect("all increments are answered");
    // Each increment got an answer of its own.
    answers.sort_unstable();
    assert!(answers.into_iter().eq(1..=INCREMENTS as u64));
    let value = cluster.json(&["state", "get", "#count", "n", "--json"]);
    assert_eq!(value["value"], INCREMENTS.to_string());
    cluster.assert_equal();
}
