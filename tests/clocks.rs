//! Real processes whose wall clocks are wrong.

mod cluster;

use std::time::{SystemTime, UNIX_EPOCH};

use cluster::{
    Cluster, wait_until,
    wrong_clock::{set, start},
};
use rustix::process::Signal;
use serde_json::Value;

const DAY: i64 = 86_400;
/// A message may take so long on a busy machine, milliseconds; every clock that is wrong here is wrong by more.
const SOON: i64 = 100_000;

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("after 1970").as_millis() as i64
}

/// Sends a message, and gives its stamp.
fn send(cluster: &Cluster, body: &str) -> i64 {
    let sent = cluster.json(&["send", "ann", body, "--json", "--timeout", "60"]);
    sent["sent_at_ms"].as_i64().expect("it has a stamp")
}

/// Sends some messages, whose stamps are right and ascend.
fn stamps_are_right(cluster: &Cluster) {
    let mut before = 0;
    for body in ["one", "two", "three"] {
        let sent = send(cluster, body);
        assert!((sent - now_ms()).abs() < SOON, "{sent}");
        assert!(sent > before, "{sent} after {before}");
        before = sent;
    }
}

fn log_in(cluster: &Cluster) -> Value {
    cluster.json(&["login", "ann", "--password", "correct horse", "--json"])
}

/// Whether a session is good, by its token.
fn is_good(cluster: &Cluster, login: &Value) -> bool {
    let token = login["token"].as_str().expect("a token");
    let mut command = cluster.command(&["inbox", "--json"]);
    let output = command.env("TERCET_TOKEN", token).output();
    output.expect("run tercet").status.success()
}

fn offset(cluster: &Cluster, id: u64) -> Option<i64> {
    cluster.status_of(id)["clock_offset_ms"].as_i64()
}

fn wait_for_offset(cluster: &Cluster, id: u64, seconds: i64) {
    wait_until(&format!("the clock of replica {id} is seen"), || {
        offset(cluster, id).is_some_and(|ms| (ms - seconds * 1_000).abs() < 1_000)
    });
}

#[test]
fn leader_whose_clock_is_ahead_from_the_start_stamps_with_the_others_time() {
    let mut cluster = start(3, &[(1, 40 * DAY)]);
    cluster.wait_for_leader(1);
    cluster.person("ann");
    stamps_are_right(&cluster);
    // Sessions end when they should, and a login leaves the others alone.
    let first = log_in(&cluster);
    let ends = first["expires_at_ms"].as_i64().expect("it ends");
    assert!((ends - now_ms() - 30 * DAY * 1_000).abs() < SOON, "{first}");
    let second = log_in(&cluster);
    assert!(is_good(&cluster, &first) && is_good(&cluster, &second));
    // It is shown and told.
    wait_for_offset(&cluster, 1, 40 * DAY);
    wait_for_offset(&cluster, 2, 0);
    let status = cluster.status();
    assert_eq!(status["time_agreed"], true, "{status}");
    let words = cluster.run(&["cluster", "status"]);
    let words = String::from_utf8_lossy(&words.stdout).into_owned();
    let remark = "replica 1: its clock is 40 days ahead of what most replicas' clocks say";
    assert!(words.contains(remark), "{words}");
    for id in [1, 2] {
        let told = "the clock of replica 1 is 40 days ahead of";
        wait_until("the log tells of it", || cluster.log(id).contains(told));
    }
    // A restart of all changes nothing.
    for id in [1, 2, 3] {
        cluster.kill(id);
    }
    for id in [1, 2, 3] {
        cluster.restart(id);
    }
    cluster.wait_until_whole();
    stamps_are_right(&cluster);
    assert!(is_good(&cluster, &first) && is_good(&cluster, &second));
    cluster.assert_equal();
}

#[test]
fn clock_that_is_set_ahead_and_back_while_the_leader_runs_leaves_no_trace() {
    let cluster = start(3, &[]);
    cluster.person("ann");
    let session = log_in(&cluster);
    stamps_are_right(&cluster);
    set(&cluster, 1, 40 * DAY);
    wait_for_offset(&cluster, 1, 40 * DAY);
    stamps_are_right(&cluster);
    let meanwhile = log_in(&cluster);
    set(&cluster, 1, -40 * DAY);
    wait_for_offset(&cluster, 1, -40 * DAY);
    stamps_are_right(&cluster);
    set(&cluster, 1, 0);
    wait_for_offset(&cluster, 1, 0);
    stamps_are_right(&cluster);
    assert!(is_good(&cluster, &session) && is_good(&cluster, &meanwhile));
    let well = "the clock of replica 1 agrees with cluster time again";
    wait_until("the log tells of it", || cluster.log(1).contains(well));
    cluster.assert_equal();
}

#[test]
fn replica_with_a_wrong_clock_takes_over_and_is_the_last_one_left() {
    let mut cluster = start(3, &[(3, 40 * DAY)]);
    cluster.person("ann");
    stamps_are_right(&cluster);
    cluster.kill(1);
    cluster.wait_for_leader(2);
    stamps_are_right(&cluster);
    // It remembers the clocks of the others.
    cluster.kill(2);
    cluster.wait_for_leader(3);
    stamps_are_right(&cluster);
    wait_for_offset(&cluster, 3, 40 * DAY);
    for id in [1, 2] {
        cluster.restart(id);
    }
    cluster.wait_until_whole();
    stamps_are_right(&cluster);
    cluster.assert_equal();
}

#[test]
fn two_replicas_that_differ_follow_the_clock_that_is_behind_and_say_so() {
    let cluster = start(2, &[(1, 40 * DAY)]);
    cluster.person("ann");
    stamps_are_right(&cluster);
    wait_for_offset(&cluster, 1, 40 * DAY);
    assert_eq!(cluster.status()["time_agreed"], false);
    let words = cluster.run(&["cluster", "status"]);
    let words = String::from_utf8_lossy(&words.stdout).into_owned();
    assert!(words.contains("too few clocks are known"), "{words}");
    set(&cluster, 1, 0);
    wait_until("the clocks agree", || {
        cluster.status()["time_agreed"] == true
    });
    stamps_are_right(&cluster);
}

#[test]
fn lone_replica_does_not_follow_a_clock_that_is_set_ahead_and_back() {
    let cluster = start(1, &[]);
    cluster.person("ann");
    let session = log_in(&cluster);
    set(&cluster, 1, 40 * DAY);
    wait_for_offset(&cluster, 1, 40 * DAY);
    stamps_are_right(&cluster);
    let meanwhile = log_in(&cluster);
    set(&cluster, 1, 0);
    wait_for_offset(&cluster, 1, 0);
    stamps_are_right(&cluster);
    assert!(is_good(&cluster, &session) && is_good(&cluster, &meanwhile));
}

/// As an earlier build left it: the last stamp is far ahead, and a session was made then.
#[test]
fn stamps_that_a_wrong_clock_left_ahead_go_on_and_no_session_outlives_them() {
    let mut cluster = start(3, &[]);
    cluster.person("ann");
    let session = log_in(&cluster);
    let wrong = log_in(&cluster);
    for id in [3, 2, 1] {
        cluster.signal(id, Signal::TERM);
        cluster.wait_until_gone(id);
    }
    let ahead = now_ms() + 40 * DAY * 1_000;
    for id in [1, 2, 3] {
        let file = cluster.replicas[&id].data.join("tercet.db");
        let store = rusqlite::Connection::open(&file).expect("open the store");
        let stamp = "UPDATE position SET last_stamp_ms = ?1";
        store.execute(stamp, [ahead]).expect("pretend");
        let made = "UPDATE sessions SET created_at_ms = ?1, expires_at_ms = ?1 + ?2
             WHERE expires_at_ms = ?3";
        let expires = wrong["expires_at_ms"].as_i64();
        let changed = store
            .execute(made, [Some(ahead), Some(30 * DAY * 1_000), expires])
            .expect("pretend");
        assert_eq!(changed, 1);
    }
    for id in [1, 2, 3] {
        cluster.restart(id);
    }
    cluster.wait_until_whole();
    let sent = ["one", "two", "three"].map(|body| send(&cluster, body));
    assert!(
        sent[0] >= ahead && sent.is_sorted_by(|a, b| a < b),
        "{sent:?}"
    );
    assert!(sent[2] < ahead + SOON, "{sent:?}");
    let status = cluster.status();
    let shown = status["stamps_ahead_ms"].as_i64().expect("it is shown");
    assert!(shown > 39 * DAY * 1_000, "{status}");
    // A login deletes no session that is good.
    let third = log_in(&cluster);
    for login in [&session, &wrong, &third] {
        assert!(is_good(&cluster, login), "{login}");
    }
    // And none is good for 70 days.
    wait_until("the session ends as others do", || {
        let log = [1, 2, 3].map(|id| cluster.log(id)).concat();
        log.contains("sessions were made while a clock was wrong")
    });
    cluster.assert_equal();
    for id in [3, 2, 1] {
        cluster.signal(id, Signal::TERM);
        cluster.wait_until_gone(id);
    }
    let file = cluster.replicas[&2].data.join("tercet.db");
    let store = rusqlite::Connection::open(&file).expect("open the store");
    let sql = "SELECT max(expires_at_ms) FROM sessions";
    let last: i64 = store.query_row(sql, [], |row| row.get(0)).expect("read");
    assert!(last < now_ms() + 30 * DAY * 1_000 + SOON, "{last}");
}
