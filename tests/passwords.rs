//! A change of password and the end of one's other sessions, through the death of a leader.

mod cluster;

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Output},
};

use cluster::{Cluster, last_json, said, with_input};

const OLD: &str = "correct horse";
const NEW: &str = "battery staple";

/// A device that shows messages as they come; gives it once its subscription stands.
fn subscribed(cluster: &Cluster, device: &Path) -> Child {
    let mut command = cluster.command(&["tail", "--json"]);
    let command = command.env("TERCET_SESSION_FILE", device);
    let mut tail = command.spawn().expect("run tercet tail");
    let mut line = String::new();
    let stdout = tail.stdout.take().expect("it is piped");
    let mut stdout = BufReader::new(stdout);
    stdout.read_line(&mut line).expect("read a line");
    assert!(line.contains("subscribed"), "{line}");
    // Nobody reads on; what it prints fits into the pipe.
    std::thread::spawn(move || stdout.lines().count());
    tail
}

fn is_refused(output: &Output, reason: &str) {
    assert_eq!(output.status.code(), Some(1), "{}", said(output));
    assert!(said(output).contains(reason), "{}", said(output));
}

#[test]
fn a_password_that_is_changed_while_the_leader_dies_is_the_only_one_from_then_on() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    cluster.person("ann");
    let device = cluster.other_device("ann", OLD);
    let tail = subscribed(&cluster, &device);

    cluster.kill(1);
    let change = cluster.command(&["password", "--json"]);
    let changed = with_input(change, &format!("{OLD}\n{NEW}\n"));
    let answer = last_json(&changed).unwrap_or_else(|| panic!("{}", said(&changed)));
    assert_eq!(answer["username"], "ann", "{}", said(&changed));
    assert_eq!(answer["sessions_ended"], 1, "{}", said(&changed));

    // The other device's stream ends, whether it had come back by then or not.
    is_refused(
        &tail.wait_with_output().expect("wait for tail"),
        "INVALID_TOKEN",
    );
    let send = ["send", "ann", "hello", "--json"];
    is_refused(&cluster.on_device(&device, &send), "INVALID_TOKEN");
    cluster.json(&send);
    let old = cluster.run(&["login", "ann", "--password", OLD, "--json"]);
    is_refused(&old, "WRONG_CREDENTIALS");
    cluster.json(&["login", "ann", "--password", NEW, "--json"]);

    // It holds at the next leader too, which was not there.
    cluster.restart(1);
    cluster.wait_until_whole();
    cluster.json(&["login", "ann", "--password", NEW, "--json"]);
    let old = cluster.run(&["login", "ann", "--password", OLD, "--json"]);
    is_refused(&old, "WRONG_CREDENTIALS");
    is_refused(&cluster.on_device(&device, &send), "INVALID_TOKEN");
    cluster.assert_equal();
}

#[test]
fn logging_out_the_others_ends_them_and_no_more() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    cluster.person("ann");
    cluster.person("bob");
    let device = cluster.other_device("ann", OLD);
    let tail = subscribed(&cluster, &device);
    let ended = cluster.json(&["logout", "--others", "--as", "ann", "--json"]);
    assert_eq!(ended["sessions_ended"], 1);
    is_refused(
        &tail.wait_with_output().expect("wait for tail"),
        "INVALID_TOKEN",
    );
    for name in ["ann", "bob"] {
        cluster.json(&["send", "ann", "hello", "--as", name, "--json"]);
    }
    cluster.kill(1);
    let send = ["send", "ann", "hello", "--json"];
    is_refused(&cluster.on_device(&device, &send), "INVALID_TOKEN");
    let again = cluster.run(&["logout", "--others", "--as", "ann"]);
    assert!(again.status.success(), "{}", said(&again));
    assert!(said(&again).contains("0 other sessions were ended; this one stays"));
}

#[test]
fn guesses_by_a_stolen_session_are_limited() {
    let cluster = Cluster::start(1);
    cluster.wait_until_whole();
    cluster.person("ann");
    let mut answers = Vec::new();
    for guess in 0..10 {
        let change = cluster.command(&["password", "--timeout", "1", "--json"]);
        let output = with_input(change, &format!("guess number {guess}\n{NEW}\n"));
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        answers.push(said(&output));
    }
    let limited = |answer: &String| answer.contains("too many wrong passwords");
    assert!(
        !limited(&answers[0]) && answers.iter().any(limited),
        "{answers:?}"
    );
    let log = cluster.log(1);
    assert!(log.contains("too many wrong passwords"), "{log}");
    assert!(!log.contains("guess number") && !log.contains(NEW), "{log}");
    // The session itself is as good as before.
    cluster.json(&["send", "ann", "hello", "--json"]);
}
