//! Replicas that are gone for good are declared dead, and the others go on; what only a dead one had
//! is written down when it returns.

mod cluster;

use std::{fs, path::PathBuf};

use cluster::{Cluster, said, wait_until};
use rustix::process::Signal;
use serde_json::{Value, json};

/// Who is merely slow, on a busy machine, stays in the view: it matters here who is in the last one.
const PATIENT: (&str, &str) = ("TERCET_SILENCE_TIMEOUT_MS", "20000");

/// Nobody takes over, or shrinks its view, between the first and the last.
fn kill_at_once<const N: usize>(cluster: &mut Cluster, ids: [u64; N]) {
    for id in ids {
        cluster.signal(id, Signal::STOP);
    }
    for id in ids {
        cluster.kill(id);
    }
}

fn wait_for_wait(cluster: &Cluster, id: u64, text: &str) {
    wait_until(&format!("replica {id} is {text}"), || {
        let waiting = &cluster.status_of(id)["waiting"];
        waiting
            .as_str()
            .is_some_and(|waiting| waiting.contains(text))
    });
}

/// Sends a message, as whoever logged in last; gives its id.
fn send(cluster: &Cluster, to: &str, text: &str) -> String {
    let sent = cluster.json(&["send", to, text, "--json"]);
    sent["message_id"]
        .as_str()
        .expect("it has an id")
        .to_owned()
}

fn bodies(cluster: &Cluster, with: &str) -> Vec<String> {
    let history = cluster.lines(&["history", with, "--json"]);
    let events = history.as_array().expect("events are listed").iter();
    let messages = events.filter(|event| event["event"] == "message");
    let bodies = messages.map(|message| message["body"].as_str());
    bodies
        .map(|body| body.expect("it has a body").to_owned())
        .collect()
}

/// Lists the files in the data directory of a replica whose names begin and end like this.
fn files(cluster: &Cluster, id: u64, begins: &str, ends: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(&cluster.replicas[&id].data).expect("read the data directory");
    let paths = entries.map(|entry| entry.expect("read the data directory").path());
    let named = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(begins) && name.ends_with(ends))
    };
    paths.filter(named).collect()
}

#[test]
fn the_last_survivor_is_declared_dead_and_comes_back_with_what_only_it_had() {
    let mut cluster = Cluster::start_with(&[PATIENT], 3);
    cluster.wait_until_whole();
    cluster.person("ann");
    cluster.person("bob");
    send(&cluster, "ann", "all three have this");
    kill_at_once(&mut cluster, [2, 3]);
    wait_until("replica 1 serves alone", || {
        cluster.leader() == Some(1)
            && cluster.status_of(2)["member"] == false
            && cluster.status_of(3)["member"] == false
    });
    let texts: Vec<String> = (0..5).map(|n| format!("seen by 1 alone, {n}")).collect();
    let lost: Vec<String> = texts
        .iter()
        .map(|text| send(&cluster, "ann", text))
        .collect();
    cluster.kill(1);
    cluster.restart(2);
    cluster.restart(3);
    for id in [2, 3] {
        wait_for_wait(
            &cluster,
            id,
            "waiting for replica 1: it may hold newer messages",
        );
    }

    let unconfirmed = cluster.run(&["cluster", "recover", "--declare-dead", "1"]);
    let told = said(&unconfirmed);
    assert_eq!(unconfirmed.status.code(), Some(2), "{told}");
    for words in ["that only replica 1 acknowledged may be missing", "--yes"] {
        assert!(told.contains(words), "{told}");
    }
    assert_eq!(cluster.leader(), None);
    let recovered = cluster.recover("1");
    assert_eq!(recovered["leader"], 2, "{recovered}");
    assert_eq!(recovered["members"], json!([2, 3]), "{recovered}");
    assert_eq!(recovered["declared_dead"], json!([1]), "{recovered}");
    send(&cluster, "ann", "they go on");
    assert_eq!(
        bodies(&cluster, "ann"),
        ["all three have this", "they go on"]
    );

    cluster.restart(1);
    cluster.wait_until_whole();
    cluster.assert_equal();
    let log = cluster.log(1);
    assert!(
        log.contains("declared dead with `tercet cluster recover`"),
        "{log}"
    );
    let kept = files(&cluster, 1, "declared-dead-", "Z");
    assert!(
        kept.len() == 1 && kept[0].join("tercet.db").is_file(),
        "{kept:?}"
    );
    let unseen = files(&cluster, 1, "unseen-", ".jsonl");
    assert_eq!(unseen.len(), 1, "{unseen:?}");
    let unseen = fs::read_to_string(&unseen[0]).expect("read what was unseen");
    let entries = unseen.lines().map(serde_json::from_str);
    let entries: Vec<Value> = entries.collect::<Result<_, _>>().expect("lines of JSON");
    let messages: Vec<&Value> = entries
        .iter()
        .filter(|entry| entry["kind"] == "message")
        .collect();
    let expected: Vec<Value> = lost
        .iter()
        .zip(&texts)
        .map(|(id, text)| json!([id, "bob", "ann", text, true]))
        .collect();
    let found = messages.iter().map(|message| {
        let fields = ["message_id", "sender", "recipient", "body", "acknowledged"];
        json!(fields.map(|field| message[field].clone()))
    });
    assert_eq!(found.collect::<Vec<_>>(), expected, "{unseen}");
    send(&cluster, "ann", "and 1 leads again");
}

#[test]
fn who_answers_is_not_declared_dead_and_all_who_are_missing_must_be() {
    let mut cluster = Cluster::start_with(&[PATIENT], 3);
    cluster.wait_until_whole();
    cluster.person("ann");
    let refused = |cluster: &Cluster, dead: &str, words: &[&str]| {
        let (code, why) = cluster.fails(&["cluster", "recover", "--declare-dead", dead, "--yes"]);
        assert_eq!(code, 1, "{why}");
        for word in words {
            assert!(why.contains(word), "{word:?} is not in: {why}");
        }
    };
    refused(&cluster, "3", &["replica 1 leads", "remove-replica"]);
    kill_at_once(&mut cluster, [1, 2, 3]);
    cluster.restart(2);
    wait_for_wait(&cluster, 2, "waiting for");
    refused(&cluster, "2", &["replica 2 answers: it is not dead"]);
    refused(&cluster, "1,7", &["no replica 7"]);
    let again = ["--declare-dead 1,3", "Start replica 3"];
    refused(
        &cluster,
        "1",
        &[&["still waits for replica 3"], &again[..]].concat(),
    );
    let recovered = cluster.recover("3");
    assert_eq!(recovered["leader"], 2, "{recovered}");
    assert_eq!(recovered["members"], json!([2]), "{recovered}");
    send(&cluster, "ann", "a note to myself");
    for id in [1, 3] {
        cluster.restart(id);
    }
    cluster.wait_until_whole();
    cluster.assert_equal();
    for id in [1, 3] {
        let log = cluster.log(id);
        assert!(log.contains("its store was set aside in"), "{log}");
    }
    assert_eq!(bodies(&cluster, "ann"), ["a note to myself"]);
}

#[test]
fn two_stores_of_three_are_gone_and_a_majority_is_made_anew() {
    let mut cluster = Cluster::start_with(&[PATIENT, ("TERCET_MODE", "majority")], 3);
    cluster.wait_until_whole();
    cluster.person("ann");
    send(&cluster, "ann", "before");
    kill_at_once(&mut cluster, [1, 2, 3]);
    for id in [2, 3] {
        cluster.wipe(id);
    }
    cluster.restart(1);
    wait_for_wait(
        &cluster,
        1,
        "waiting for replicas 2 and 3: they may hold newer messages",
    );
    cluster.restart(2);
    wait_for_wait(&cluster, 1, "replica 2 is here, on another store");
    let recovered = cluster.recover("2,3");
    assert_eq!(recovered["leader"], 1, "{recovered}");
    cluster.restart(3);
    cluster.wait_until_whole();
    send(&cluster, "ann", "after");
    assert_eq!(bodies(&cluster, "ann"), ["before", "after"]);
    cluster.assert_equal();
}
