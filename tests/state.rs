//! The state beside conversations through the command line and the library, while leaders are killed.

mod cluster;

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use cluster::{
    Cluster, PATIENCE, last_json,
    people::{by, change_leader, refused},
    said, wait_until,
};
use serde_json::{Value, json};
use tercet_client::{Client, Expected, Replicas, StateEntry};
use tercet_linear::{
    Operation, check,
    versioned::{Versioned, VersionedOp},
};
use tercet_sim::rng::Rng;
use tokio::{
    runtime::Runtime,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

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
fn a_watcher_sees_each_change_through_a_killed_leader() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    cluster.person("bob");
    cluster.person("ann");
    by(&cluster, "ann", &["room", "create", "#cup"]);
    by(&cluster, "bob", &["room", "join", "#cup"]);
    let set = |cluster: &Cluster, key: &str, value: &str| {
        by(cluster, "ann", &["state", "set", "#cup", key, value])["version"].clone()
    };
    let first = set(&cluster, "score", "0:0");
    set(&cluster, "other", "not watched");
    let mut watch = cluster.command(&[
        "state", "watch", "#cup", "score", "--as", "bob", "--json", "--count", "4",
    ]);
    let mut watch = watch
        .stdout(Stdio::piped())
        .spawn()
        .expect("start the command");
    let lines = BufReader::new(watch.stdout.take().expect("its output")).lines();
    let mut lines =
        lines.map(|line| -> Value { serde_json::from_str(&line.expect("a line")).expect("JSON") });
    let mut next = || {
        let state = lines.next().expect("another change");
        assert_eq!(
            (&state["event"], &state["key"]),
            (&json!("state"), &json!("score"))
        );
        (state["version"].clone(), state["value"].clone())
    };
    assert_eq!(next(), (first, json!("0:0")));
    let one = set(&cluster, "score", "1:0");
    assert_eq!(next(), (one, json!("1:0")));
    change_leader(&mut cluster);
    set(&cluster, "other", "still not");
    let two = set(&cluster, "score", "2:0");
    assert_eq!(next(), (two, json!("2:0")));
    by(&cluster, "ann", &["state", "delete", "#cup", "score"]);
    assert_eq!(next(), (json!(0), Value::Null));
    let again = set(&cluster, "score", "0:0");
    assert_eq!(next(), (again, json!("0:0")));
    assert!(watch.wait().expect("it ends after four changes").success());
}

/// Asks and answers of one client after the other, as the checker wants them.
type History = Vec<Operation<VersionedOp>>;

/// Reads, sets and counts up one key until told to stop; gives what was asked and answered.
async fn ask(client: Client, began: Instant, seed: u64) -> History {
    let mut rng = Rng::new(seed);
    let mut history = History::new();
    let now = || u64::try_from(began.elapsed().as_nanos()).expect("not for centuries");
    let entry = |entry: StateEntry| {
        let value = entry.value.parse().expect("a number");
        (entry.version, value)
    };
    let mut seen = 0;
    let mut pace = interval(Duration::from_millis(10));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !STOP.load(Ordering::SeqCst) {
        pace.tick().await;
        let invoked = now();
        let op = match rng.below(3) {
            0 => {
                let read = client.get("#keys", "k").await.expect("read");
                VersionedOp::Read(read.map(entry))
            }
            1 => {
                let value = seed * 1_000_000 + history.len() as u64 * 1_000;
                let expected = match seen {
                    0 => Expected::Absent,
                    version => Expected::Version(version),
                };
                let text = value.to_string();
                let set = client.compare_and_set("#keys", "k", expected, Some(&text));
                let set = set.await.expect("set");
                match set.matched {
                    true => VersionedOp::Set {
                        expected: seen,
                        value,
                        version: set.version,
                    },
                    false => VersionedOp::Missed {
                        expected: seen,
                        current: set.current.map(entry),
                    },
                }
            }
            _ => {
                let counted = client.submit_to_key("#keys", "k", COUNT, &[]);
                let counted = counted.await.expect("count");
                VersionedOp::Counted {
                    value: counted.answer.parse().expect("a number"),
                    version: counted.version,
                }
            }
        };
        seen = match &op {
            VersionedOp::Read(current) | VersionedOp::Missed { current, .. } => {
                current.map_or(0, |(version, _)| version)
            }
            VersionedOp::Set { version, .. } | VersionedOp::Counted { version, .. } => *version,
        };
        history.push(Operation {
            op,
            invoked,
            responded: Some(now()),
        });
        DONE_BY_CLIENTS.fetch_add(1, Ordering::SeqCst);
    }
    history
}

/// Tells the clients of a history to stop.
static STOP: AtomicBool = AtomicBool::new(false);
/// Their operations that are answered.
static DONE_BY_CLIENTS: AtomicU64 = AtomicU64::new(0);

#[test]
fn what_clients_see_of_a_key_through_killed_leaders_is_linearizable() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    cluster.person("ann");
    cluster.json(&["room", "create", "#keys", "--json"]);
    let replicas: Replicas = cluster.list().parse().expect("a list");
    let client = Client::new(replicas).with_deadline(PATIENCE);
    let clients = thread::spawn(move || {
        one_thread().block_on(async {
            let session = client.login("ann", "correct horse").await.expect("log in");
            let client = client.with_token(&session.token).expect("a token");
            let mut asking = JoinSet::new();
            let began = Instant::now();
            for seed in 1..=5 {
                asking.spawn(ask(client.clone(), began, seed));
            }
            asking.join_all().await.concat()
        })
    });
    for _ in 0..3 {
        let enough = DONE_BY_CLIENTS.load(Ordering::SeqCst) + 100;
        wait_until("operations are answered", || {
            DONE_BY_CLIENTS.load(Ordering::SeqCst) >= enough
        });
        change_leader(&mut cluster);
    }
    cluster.wait_until_whole();
    STOP.store(true, Ordering::SeqCst);
    let history = clients.join().expect("all operations are answered");
    let count = |is: fn(&VersionedOp) -> bool| history.iter().filter(|it| is(&it.op)).count();
    let kinds = [
        count(|op| matches!(op, VersionedOp::Read(_))),
        count(|op| matches!(op, VersionedOp::Set { .. })),
        count(|op| matches!(op, VersionedOp::Missed { .. })),
        count(|op| matches!(op, VersionedOp::Counted { .. })),
    ];
    println!("read, set, missed, counted: {kinds:?}");
    assert!(kinds.iter().all(|kind| *kind >= 5), "{kinds:?}");
    let verdict = check(&Versioned, &history, 5_000_000);
    assert!(verdict.is_linearizable(), "{verdict}: {history:?}");
    cluster.assert_equal();
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
