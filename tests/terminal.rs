//! `tercet` as a person meets it on a terminal: a real pseudo-terminal, typed at and looked at.

mod cluster;
mod pty;

use std::fs;

use cluster::{Cluster, free_ports, said, wait_until};
use pty::Terminal;
use tempfile::TempDir;

fn local(dir: &TempDir) -> Terminal {
    let data = dir.path().join("data");
    let sessions = dir.path().join("sessions.json");
    let port = free_ports(6).to_string();
    let data = data.to_str().expect("it is UTF-8");
    let arguments = ["local", "--plain", "--data", data, "--base-port", &port];
    let sessions = sessions.to_str().expect("it is UTF-8");
    Terminal::run(&arguments, &[("TERCET_SESSION_FILE", sessions)])
}

fn replicas_of(dir: &TempDir) -> usize {
    let data = dir.path().join("data").display().to_string();
    let processes = fs::read_dir("/proc").expect("list processes").flatten();
    let command_lines =
        processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    let is_replica = |line: &Vec<u8>| {
        let line = String::from_utf8_lossy(line);
        line.contains("\0serve\0") && line.contains(&data)
    };
    command_lines.filter(is_replica).count()
}

fn chat(cluster: &Cluster, name: &str) -> Terminal {
    let sessions = cluster.dir.path().join("sessions.json");
    let sessions = sessions.to_str().expect("it is UTF-8");
    let variables = [
        ("TERCET_SESSION_FILE", sessions),
        ("TERCET_REPLICAS", &cluster.list()),
    ];
    Terminal::run(&["chat", "--plain", "--as", name], &variables)
}

fn bodies_for(cluster: &Cluster, name: &str) -> Vec<String> {
    let inbox = cluster.lines(&["inbox", "--as", name, "--json"]);
    let bodies = inbox.as_array().expect("an array").iter();
    bodies
        .filter_map(|event| event["body"].as_str().map(str::to_owned))
        .collect()
}

#[test]
fn no_slip_in_the_first_minute_of_local_stops_anything() {
    let dir = tempfile::tempdir().expect("make a directory");
    let mut terminal = local(&dir);
    terminal.wait_for("Name: ", 1);
    let said_before = terminal.shown();
    for told in [
        "Ctrl-C",
        "Ctrl-D",
        "/quit",
        "stops the replicas",
        "you are the first",
    ] {
        assert!(said_before.contains(told), "{told} in {said_before}");
    }
    terminal.keys("two words\r");
    terminal.wait_for("A name has", 1);
    terminal.keys("ann\r");
    terminal.wait_for("New password for ann: ", 1);
    assert!(!terminal.echoes());
    assert!(terminal.has("8 to 256 bytes"));
    terminal.keys("seven77\r");
    terminal.wait_for("That has 7 bytes", 1);
    terminal.keys("correct horse\r");
    terminal.wait_for("The same again: ", 1);
    terminal.keys("correct house\r");
    terminal.wait_for("The two differ", 1);
    terminal.keys("correct horse\r");
    terminal.wait_for("The same again: ", 2);
    terminal.keys("correct horse\r");
    terminal.wait_for("you are ann", 1);
    assert!(
        !terminal.has("[y/N]") && !terminal.has("horse"),
        "{}",
        terminal.shown()
    );
    assert_eq!(replicas_of(&dir), 3);
    terminal.wait_for("> ", 1);
    terminal.keys("/quit\r");
    assert_eq!(terminal.exit_code(), 0);
    assert!(terminal.echoes());
    assert_eq!(replicas_of(&dir), 0);
}

#[test]
fn a_wrong_password_asks_again_and_another_name_can_be_registered() {
    let cluster = Cluster::start(1);
    cluster.person("ann");
    let mut terminal = chat(&cluster, "bob");
    terminal.wait_for("Password for bob: ", 1);
    terminal.keys("wrong words\r");
    terminal.wait_for("Unknown name or wrong password", 1);
    terminal.wait_for("Name: ", 1);
    terminal.keys("/register ann\r");
    terminal.wait_for("New password for ann: ", 1);
    terminal.keys("correct horse\r");
    terminal.wait_for("The same again: ", 1);
    terminal.keys("correct horse\r");
    terminal.wait_for("has an account already", 1);
    terminal.wait_for("Name: ", 2);
    terminal.keys("/register bob\r");
    terminal.wait_for("New password for bob: ", 1);
    terminal.keys("battery staple\r");
    terminal.wait_for("The same again: ", 2);
    terminal.keys("battery staple\r");
    terminal.wait_for("you are bob", 1);
}

#[test]
fn a_signal_at_a_prompt_ends_it_at_once_with_the_terminal_as_it_was() {
    let dir = tempfile::tempdir().expect("make a directory");
    let mut terminal = local(&dir);
    terminal.wait_for("Name: ", 1);
    terminal.keys("ann\r");
    terminal.wait_for("New password for ann: ", 1);
    wait_until("nothing is echoed", || !terminal.echoes());
    terminal.keys("\x03"); // Ctrl-C
    assert_eq!(terminal.exit_code(), 0);
    assert!(terminal.echoes());
    assert_eq!(replicas_of(&dir), 0);

    let cluster = Cluster::start(1);
    let list = cluster.list();
    let mut terminal = Terminal::run(&["login", "ann"], &[("TERCET_REPLICAS", &list)]);
    terminal.wait_for("Password for ann: ", 1);
    wait_until("nothing is echoed", || !terminal.echoes());
    let pid = terminal
        .child
        .process_id()
        .and_then(|pid| i32::try_from(pid).ok());
    let pid = pid
        .and_then(rustix::process::Pid::from_raw)
        .expect("it has a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("signal it");
    assert_eq!(terminal.exit_code(), 1);
    assert!(terminal.echoes());
}

#[test]
fn the_end_of_input_at_a_prompt_ends_it_cleanly() {
    let dir = tempfile::tempdir().expect("make a directory");
    let mut terminal = local(&dir);
    terminal.wait_for("Name: ", 1);
    terminal.keys("\x04"); // Ctrl-D
    assert_eq!(terminal.exit_code(), 0);
    assert!(!terminal.has("Password for"), "{}", terminal.shown());
    assert_eq!(replicas_of(&dir), 0);
}

#[test]
fn what_comes_in_leaves_the_line_that_is_typed_whole() {
    let cluster = Cluster::start(1);
    cluster.person("bob");
    cluster.person("ann");
    let mut terminal = chat(&cluster, "ann");
    terminal.wait_for("you are ann", 1);
    terminal.wait_for("> ", 1);
    terminal.keys("/to bob\r");
    terminal.wait_for("bob> ", 1);
    terminal.keys("half a line");
    terminal.wait_for("half a line", 1);
    let hostile =
        "first\u{202e}evil 日本語 and a text that is longer than the terminal is wide, in all";
    cluster.json(&["send", "ann", hostile, "--as", "bob", "--json"]);
    wait_until("the message stands above the line", || {
        let screen = terminal.screen();
        let text = screen.concat();
        screen.last().is_some_and(|last| last == "bob> half a line")
            && text.contains("bob → you: first\\u{202e}evil 日本語")
    });
    terminal.keys(", and the rest\r");
    terminal.wait_for("you → bob: half a line, and the rest", 1);
    assert_eq!(bodies_for(&cluster, "bob"), ["half a line, and the rest"]);

    // Up recalls it, and sends no escape sequence.
    terminal.keys("\x1b[A again\r");
    terminal.wait_for("you → bob: half a line, and the rest again", 1);
    // Whatever it looks like, it goes to bob.
    terminal.keys("carol: is impossible\r");
    terminal.wait_for("you → bob: carol: is impossible", 1);
    // Longer than a terminal takes when it edits a line itself.
    let long = "x".repeat(6_000);
    terminal.keys(&format!("{long}\r"));
    wait_until("all arrived", || {
        let history = cluster.lines(&["history", "bob", "--as", "ann", "--json"]);
        history.to_string().contains(&long)
    });
    terminal.keys("/qiut\r");
    terminal.wait_for("did you mean /quit?", 1);
    terminal.keys("\x04");
    assert_eq!(terminal.exit_code(), 0);
    assert!(terminal.echoes());
    assert!(!terminal.has("\u{202e}"));
    let bodies = bodies_for(&cluster, "bob");
    assert_eq!(
        bodies[..2],
        ["half a line, and the rest again", "carol: is impossible"]
    );
}

#[test]
fn pasted_lines_are_one_message_and_no_commands() {
    let cluster = Cluster::start(1);
    cluster.person("bob");
    cluster.person("ann");
    let mut terminal = chat(&cluster, "ann");
    terminal.wait_for("> ", 1);
    terminal.keys("/to bob\r");
    terminal.wait_for("bob> ", 1);
    terminal.keys("\x1b[200~/quit\r/to carol\recho harm\r\x1b[201~");
    terminal.wait_for("harm", 1);
    terminal.keys("\r");
    terminal.wait_for("you → bob: /quit", 1);
    assert_eq!(bodies_for(&cluster, "bob"), ["/quit\n/to carol\necho harm"]);
    terminal.keys("/quit\r");
    assert_eq!(terminal.exit_code(), 0);
}

#[test]
fn what_is_typed_ahead_is_taken_line_by_line_and_never_reaches_the_shell() {
    let cluster = Cluster::start(1);
    cluster.person("bob");
    cluster.person("ann");
    let mut terminal = chat(&cluster, "ann");
    terminal.wait_for("> ", 1);
    // As a terminal pastes that does not say so.
    terminal.keys("/to bob\rone\rtwo\r/tow carol\rthree\r/quit\recho harm\r");
    assert_eq!(terminal.exit_code(), 0);
    assert!(terminal.echoes());
    let left = rustix::io::ioctl_fionread(&terminal.tty).expect("ask the terminal");
    assert_eq!(left, 0, "bytes are left for the shell");
    assert_eq!(bodies_for(&cluster, "bob"), ["one", "two", "three"]);
}

#[test]
fn a_terminal_without_an_editor_says_which_line_it_may_have_cut() {
    let cluster = Cluster::start(1);
    cluster.person("bob");
    cluster.person("ann");
    let sessions = cluster.dir.path().join("sessions.json");
    let sessions = sessions.to_str().expect("it is UTF-8");
    let variables = [
        ("TERCET_SESSION_FILE", sessions),
        ("TERCET_REPLICAS", &cluster.list()),
        ("TERM", "dumb"),
    ];
    let mut terminal = Terminal::run(&["chat", "--as", "ann"], &variables);
    terminal.wait_for("you are ann", 1);
    terminal.keys("/to bob\rshort\r");
    terminal.wait_for("you → bob: short", 1);
    terminal.keys(&format!("{}\r", "x".repeat(6_000)));
    terminal.wait_for("line 3 is longer", 1);
    terminal.keys("\x04");
    assert_eq!(terminal.exit_code(), 0);
    assert_eq!(bodies_for(&cluster, "bob"), ["short"]);
}

#[test]
fn a_signal_ends_a_chat_with_the_terminal_as_it_was() {
    let cluster = Cluster::start(1);
    cluster.person("ann");
    let mut terminal = chat(&cluster, "ann");
    terminal.wait_for("> ", 1);
    wait_until("the editor has the terminal", || !terminal.echoes());
    let pid = terminal
        .child
        .process_id()
        .and_then(|pid| i32::try_from(pid).ok());
    let pid = pid
        .and_then(rustix::process::Pid::from_raw)
        .expect("it has a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("signal it");
    terminal.exit_code();
    assert!(terminal.echoes());
}

#[test]
fn sessions_of_two_clusters_live_side_by_side() {
    let (one, other) = (Cluster::start(1), Cluster::start(1));
    let at = |cluster: &Cluster, arguments: &[&str]| {
        let output = one
            .command_at(&cluster.list(), arguments)
            .output()
            .expect("run tercet");
        assert!(output.status.success(), "{}", said(&output));
    };
    for cluster in [&one, &other] {
        at(
            cluster,
            &["register", "ann", "--password", "correct horse", "--login"],
        );
    }
    for cluster in [&one, &other] {
        at(cluster, &["send", "ann", "a note", "--as", "ann"]);
        at(cluster, &["send", "ann", "a note"]);
    }
    // Of two at one cluster the newest is used, and that is said.
    at(
        &one,
        &["register", "bob", "--password", "correct horse", "--login"],
    );
    let output = one.command_at(&one.list(), &["send", "ann", "hi"]).output();
    let text = said(&output.expect("run tercet"));
    assert!(text.contains("as bob, the newest login here"), "{text}");
    // A session of one cluster is of no use at the other.
    let file = one.dir.path().join("sessions.json");
    let third = Cluster::start(1);
    let output = one
        .command_at(&third.list(), &["inbox", "--as", "ann"])
        .output();
    let text = said(&output.expect("run tercet"));
    assert!(text.contains("not logged in at this cluster"), "{text}");
    assert!(
        fs::read_to_string(file)
            .expect("read it")
            .matches("\"token\"")
            .count()
            == 3
    );
}
