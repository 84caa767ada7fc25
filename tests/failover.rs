//! Real conversations run through three replicas while replicas die: what was acknowledged is
//! there, once and in order, and the three are one again afterwards.

mod cluster;

use cluster::{
    Cluster,
    load::{assert_complete, conversations, replay, wait_for_lsn},
    wait_until,
};
use rustix::process::Signal;

#[test]
fn two_leaders_die_under_load_and_the_survivor_has_everything() {
    let mut cluster = Cluster::start(3);
    let replay = replay(&cluster);
    wait_for_lsn(&cluster, 1_500);
    cluster.kill(1);
    cluster.wait_for_leader(2);
    wait_for_lsn(&cluster, 2_500);
    cluster.kill(2);
    cluster.wait_for_leader(3);
    let output = replay.wait_with_output().expect("wait for the replay");
    let result = assert_complete(&output);
    assert!(result["longest_gap_ms"].as_f64() > Some(0.0));
    assert_eq!(
        cluster.status_of(3)["role"],
        "leader",
        "the survivor serves alone"
    );
    assert_eq!(cluster.status_of(1)["reachable"], false);

    cluster.restart(1);
    cluster.restart(2);
    cluster.wait_until_whole();
    cluster.assert_equal();
    // The same file again: everything is there already.
    let again = cluster.run(&["replay", &conversations(), "--json"]);
    let again = assert_complete(&again);
    assert_eq!(again["sent"], result["sent"]);
    assert_eq!(again["already_there"], result["sent"]);
}

#[test]
fn all_three_die_under_load_and_nothing_acknowledged_is_missing() {
    let mut cluster = Cluster::start(3);
    let replay = replay(&cluster);
    wait_for_lsn(&cluster, 1_500);
    for id in [2, 1, 3] {
        cluster.signal(id, Signal::KILL);
    }
    for id in [1, 2, 3] {
        cluster.wait_until_gone(id);
    }
    // Alone, a replica cannot know whether the others served on without it.
    cluster.restart(2);
    wait_until("replica 2 says for whom it waits", || {
        let status = cluster.status_of(2);
        let waiting = status["waiting"].as_str().unwrap_or_default();
        status["role"] == "waiting" && waiting.contains('1') && waiting.contains('3')
    });
    assert_eq!(cluster.leader(), None);
    let (code, _) = cluster.fails(&["send", "nobody", "hello", "--token", "x", "--timeout", "1"]);
    assert_eq!(code, 1);
    cluster.restart(3);
    cluster.restart(1);
    cluster.wait_until_whole();
    // The replay asked on all the time, with the same request ids.
    let output = replay.wait_with_output().expect("wait for the replay");
    assert_complete(&output);
    cluster.assert_equal();
}

#[test]
fn replicas_that_stop_one_after_the_other_start_from_the_last() {
    let mut cluster = Cluster::start(3);
    cluster.person("ann");
    cluster.json(&["send", "ann", "a note to myself", "--json"]);
    for id in [1, 2] {
        cluster.signal(id, Signal::TERM);
        cluster.wait_until_gone(id);
        cluster.wait_for_leader(id + 1);
    }
    cluster.signal(3, Signal::TERM);
    cluster.wait_until_gone(3);
    cluster.restart(3);
    cluster.wait_for_leader(3);
    let inbox = cluster.lines(&["inbox", "--json", "--keep"]);
    assert!(inbox.to_string().contains("a note to myself"), "{inbox}");
    cluster.restart(1);
    cluster.restart(2);
    cluster.wait_until_whole();
    cluster.assert_equal();
}

#[test]
fn local_stops_its_replicas_and_they_start_again_with_everything() {
    let mut cluster = Cluster::start(3);
    cluster.person("ann");
    assert_eq!(cluster.stop(), Some(0));
    for id in [1, 2, 3] {
        cluster.wait_until_gone(id);
    }
    for id in [3, 2, 1] {
        cluster.restart(id);
    }
    cluster.wait_until_whole();
    let accounts = cluster.lines(&["accounts", "--json"]);
    assert!(accounts.to_string().contains("ann"), "{accounts}");
}
