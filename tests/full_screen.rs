//! The full-screen chat on a real pseudo-terminal, against real replicas.

mod cluster;
#[path = "full_screen/cost.rs"]
mod cost;
#[path = "full_screen/markers.rs"]
mod markers;
#[path = "full_screen/pictures.rs"]
mod pictures;
mod pty;
#[path = "full_screen/views.rs"]
mod views;

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use cluster::{Cluster, TERCET, wait_until};
use pty::Terminal;
use rustix::process::{Pid, Signal, kill_process};

/// Starts the chat of a person with a file of sessions of their own.
fn chat(cluster: &Cluster, sessions: &str, more: &[(&str, &str)]) -> Terminal {
    let sessions = sessions_file(cluster, sessions);
    let list = cluster.list();
    let mut variables = vec![
        (
            "TERCET_SESSION_FILE",
            sessions.to_str().expect("it is UTF-8"),
        ),
        ("TERCET_REPLICAS", &list),
    ];
    variables.extend(more);
    Terminal::run_on(80, 24, TERCET, &["chat"], &variables)
}

fn sessions_file(cluster: &Cluster, name: &str) -> PathBuf {
    let directory = cluster.dir.path().join(name);
    fs::create_dir_all(&directory).expect("make a directory");
    directory.join("sessions.json")
}

/// Makes an account in the form of the login.
fn register(terminal: &mut Terminal, name: &str, is_first: bool) {
    if is_first {
        terminal.wait_on_screen("you are the first");
    } else {
        terminal.wait_on_screen("Tercet: log in");
        terminal.keys("\x12"); // Ctrl-R
        terminal.wait_on_screen("make a new account");
    }
    terminal.keys(&format!("{name}\rcorrect horse\rcorrect horse\r"));
    terminal.wait_on_screen("#lobby");
    terminal.wait_on_screen("Ctrl-G goes anywhere");
}

/// Closes the box with this text, and waits until it is gone: a key that follows Esc at once would mean Alt.
fn close_box(terminal: &mut Terminal, text: &str) {
    terminal.keys("\x1b");
    wait_until("the box is closed", || {
        !terminal.screen().iter().any(|line| line.contains(text))
    });
}

/// Returns the texts of a room, in their order.
fn bodies(cluster: &Cluster, sessions: &str, room: &str) -> Vec<String> {
    let file = sessions_file(cluster, sessions);
    let arguments = ["history", room, "--limit", "500", "--json"];
    let output = cluster.on_device(&file, &arguments);
    let lines = cluster::json_lines(&output).into_iter();
    let bodies = lines.filter_map(|line| line["body"].as_str().map(str::to_owned));
    bodies.filter(|body| !body.is_empty()).collect()
}

fn signal(terminal: &Terminal, signal: Signal) {
    let pid = terminal
        .child
        .process_id()
        .and_then(|pid| i32::try_from(pid).ok());
    let pid = pid.and_then(Pid::from_raw).expect("it has a pid");
    kill_process(pid, signal).expect("signal it");
}

#[test]
fn two_people_talk_through_the_death_of_the_leader() {
    let mut cluster = Cluster::start(3);
    let mut ann = chat(&cluster, "ann", &[]);
    register(&mut ann, "ann", true);
    ann.wait_on_screen("connected · leader 1 · 3 of 3 replicas");
    let mut bob = chat(&cluster, "bob", &[]);
    register(&mut bob, "bob", false);
    ann.wait_on_screen("bob joined");

    ann.keys("good");
    bob.wait_on_screen("ann is writing");
    ann.keys(" morning\r");
    bob.wait_on_screen("good morning");
    ann.wait_on_screen("good morning ✓");

    // Ann writes on while the leader dies.
    for number in 0..30 {
        if number == 10 {
            let leader = cluster.leader().expect("one leads");
            cluster.kill(leader);
        }
        ann.keys(&format!("number {number:02}\r"));
    }
    ann.keys("half a line");
    // With a dead leader the others need no second: the word may be gone before anybody sees it.
    ann.wait_for_line("caught up");
    ann.wait_on_screen("number 29 ✓");
    ann.wait_on_screen("only 2 of 3 replicas");
    ann.wait_on_screen("half a line");
    bob.wait_on_screen("number 29");
    let mut expected = vec!["good morning".to_owned()];
    expected.extend((0..30).map(|number| format!("number {number:02}")));
    assert_eq!(
        bodies(&cluster, "ann", "#lobby"),
        expected,
        "nothing is lost, doubled or out of order"
    );

    // A leader that does not answer takes longer to replace.
    let leader = cluster.leader().expect("one leads");
    cluster.signal(leader, Signal::STOP);
    ann.wait_for_line("reconnecting");
    let other = 5 - leader;
    ann.wait_on_screen(&format!("connected · leader {other}"));
    ann.wait_on_screen("redundancy lost: 1 of 3");
    cluster.signal(leader, Signal::CONT);
    ann.wait_on_screen("only 2 of 3 replicas");

    // The line that was being written is still there, and goes out with the next key.
    ann.keys(", and the rest\r");
    bob.wait_on_screen("half a line, and the rest");
    bob.keys("\x07ann\r"); // Ctrl-G
    bob.wait_on_screen("ann>");
    bob.keys("just between us\r");
    ann.wait_on_screen("1!");
    ann.keys("\x1ba"); // Alt-A
    ann.wait_on_screen("just between us");
    ann.wait_on_screen("bob ●");
    ann.keys("\x03");
    assert_eq!(ann.exit_code(), 0);
    assert!(ann.echoes());
}

#[test]
fn messages_and_rooms_are_changed_from_the_chat_while_the_leader_dies() {
    let mut cluster = Cluster::start(3);
    let mut ann = chat(&cluster, "ann", &[]);
    register(&mut ann, "ann", true);
    let mut bob = chat(&cluster, "bob", &[]);
    register(&mut bob, "bob", false);
    ann.keys("good mroning\r");
    bob.wait_on_screen("good mroning");
    ann.wait_on_screen("good mroning ✓");

    bob.keys("/react :tea:\r");
    ann.wait_on_screen("🍵 1");
    bob.wait_on_screen("🍵 1 (yours)");
    bob.keys("\x1br"); // Alt-R
    bob.wait_on_screen("a reply to ann");
    bob.keys("and to you\r");
    ann.wait_on_screen("↳ ann: good mroning");
    // The leader dies between the change and its answer, or just before.
    let leader = cluster.leader().expect("one leads");
    ann.keys("\x1be\x15good morning"); // Alt-E, Ctrl-U
    ann.wait_on_screen("Enter changes your message");
    cluster.kill(leader);
    ann.keys("\r");
    for terminal in [&ann, &bob] {
        terminal.wait_on_screen("good morning (edited)");
        terminal.wait_on_screen("↳ ann: good morning");
    }
    bob.keys("/delete\r");
    bob.wait_on_screen("erase your message: and to you");
    bob.keys("yes\r");
    ann.wait_on_screen("(deleted)");
    assert_eq!(bodies(&cluster, "ann", "#lobby"), ["good morning"]);

    ann.keys("/topic Everything else\r");
    bob.wait_on_screen("#lobby — Everything else");
    ann.keys("/rename #hall\r");
    ann.wait_on_screen("#hall>");
    bob.wait_on_screen("#hall>");
    ann.keys("/profile bob\r");
    ann.wait_on_screen("account since");
    close_box(&mut ann, "account since");
    let file = cluster.dir.path().join("hall.jsonl");
    ann.keys(&format!("/export #hall {}\r", file.display()));
    ann.wait_on_screen("messages");
    assert!(
        fs::read_to_string(&file)
            .expect("read it")
            .contains("good morning")
    );
    // A direct message is changed in the same way.
    ann.keys("/open bob\r");
    ann.wait_on_screen("bob>");
    ann.keys("psst\r");
    ann.wait_on_screen("psst ✓");
    ann.keys("/edit hush\r");
    bob.wait_on_screen("ann");
    bob.keys("/open ann\r");
    bob.wait_on_screen("hush (edited)");
    bob.keys("/react 🤫\r");
    ann.wait_on_screen("🤫 1");
    bob.keys("/open #hall\r");
    ann.keys("/open #hall\r");
    ann.wait_on_screen("#hall>");
    ann.keys("/ban bob\r");
    ann.wait_on_screen("Keep bob out?");
    ann.keys("yes\r");
    bob.wait_on_screen("ann banned you from #hall");
    ann.keys("/bans\r");
    ann.wait_on_screen("bob, by ann");
    close_box(&mut ann, "bob, by ann");
    for terminal in [&mut ann, &mut bob] {
        terminal.keys("/quit\r");
        assert_eq!(terminal.exit_code(), 0);
    }
}

#[test]
fn the_screen_is_drawn_at_once_from_the_cache_and_wiped_at_the_logout() {
    let mut cluster = Cluster::start(1);
    let mut ann = chat(&cluster, "ann", &[]);
    register(&mut ann, "ann", true);
    ann.keys("a note\r");
    ann.wait_on_screen("a note ✓");
    ann.keys("a draft\x03\x03");
    assert_eq!(ann.exit_code(), 0);

    // Nobody answers: the conversation is there all the same, and what is written waits.
    cluster.signal(1, Signal::STOP);
    let mut ann = chat(&cluster, "ann", &[]);
    ann.wait_on_screen("a note ✓");
    ann.wait_on_screen("a draft");
    ann.wait_on_screen("connecting");
    // An edit waits, too, and is not forgotten when the program ends.
    ann.keys("\x1be"); // Alt-E
    ann.wait_on_screen("Enter changes your message");
    ann.keys(" indeed\r");
    ann.wait_on_screen("a note …");
    ann.keys("\x03\x03");
    assert_eq!(ann.exit_code(), 0);
    let mut ann = chat(&cluster, "ann", &[]);
    ann.wait_on_screen("a note …");
    ann.keys(" that is sent\r");
    ann.wait_on_screen("a draft that is sent …");
    cluster.signal(1, Signal::CONT);
    ann.wait_on_screen("a draft that is sent ✓");
    ann.wait_on_screen("a note indeed (edited) ✓");
    assert_eq!(
        bodies(&cluster, "ann", "#lobby"),
        ["a note indeed", "a draft that is sent"]
    );

    let cache = cluster.dir.path().join("ann/chat-cache");
    assert!(cache.exists());
    ann.keys("/logout\r");
    assert_eq!(ann.exit_code(), 0);
    assert_eq!(fs::read_dir(&cache).expect("read it").count(), 0);
    let mut ann = chat(&cluster, "ann", &[]);
    ann.wait_on_screen("Tercet: log in");
    ann.keys("\x03");
    assert_eq!(ann.exit_code(), 0);
    cluster.stop();
}

#[test]
fn hostile_text_pasted_lines_and_small_screens_do_no_harm() {
    let cluster = Cluster::start(1);
    let mut ann = chat(&cluster, "ann", &[]);
    register(&mut ann, "ann", true);
    let file = sessions_file(&cluster, "bob");
    for arguments in [
        &["register", "bob", "--password", "correct horse", "--login"][..],
        &["room", "join", "#lobby"],
        &[
            "send",
            "#lobby",
            "\u{202e}evil\u{200b} 日本語 👨‍👩‍👧 \u{2066}end",
        ],
    ] {
        let output = cluster.on_device(&file, arguments);
        assert!(output.status.success(), "{}", cluster::said(&output));
    }
    ann.wait_on_screen("\\u{202e}evil\\u{200b} 日本語");
    assert!(!ann.has("\u{202e}"));

    ann.keys("\x1b[200~/quit\r  second\rthird\x1b[201~");
    ann.wait_on_screen("pasted 3 lines");
    ann.keys("\r");
    ann.wait_on_screen("third ✓");
    assert_eq!(
        bodies(&cluster, "ann", "#lobby")[1],
        "/quit\n  second\nthird"
    );

    ann.keys("/qiut\r");
    ann.wait_on_screen("did you mean /quit?");
    ann.keys("\x15"); // Ctrl-U
    ann.resize(40, 12);
    ann.wait_on_screen("third ✓");
    wait_until("it fits", || {
        ann.screen().len() <= 12 && ann.screen().iter().any(|line| line.contains("#lobby>"))
    });
    ann.resize(100, 30);
    ann.wait_on_screen("@ann");
    ann.wait_on_screen("日本語");
}

#[test]
fn an_editor_and_the_shell_get_the_terminal_and_give_it_back() {
    let cluster = Cluster::start(1);
    let editor = cluster.dir.path().join("editor");
    fs::write(
        &editor,
        "#!/bin/sh\nstty -a | grep -q ' icanon' && printf ' and more' >> \"$1\"\n",
    )
    .expect("write it");
    fs::set_permissions(&editor, fs::Permissions::from_mode(0o755)).expect("make it a program");
    let sessions = sessions_file(&cluster, "ann");
    let list = cluster.list();
    let variables = [
        (
            "TERCET_SESSION_FILE",
            sessions.to_str().expect("it is UTF-8"),
        ),
        ("TERCET_REPLICAS", &list),
        ("VISUAL", editor.to_str().expect("it is UTF-8")),
    ];
    // A shell with job control, in which the chat is a job.
    let script = "set -m; \"$@\"; echo it-was-stopped; fg >/dev/null";
    let arguments = ["-c", script, "sh", TERCET, "chat"];
    let mut ann = Terminal::run_on(80, 24, "sh", &arguments, &variables);
    register(&mut ann, "ann", true);
    ann.keys("written here\x18\x05"); // Ctrl-X Ctrl-E
    ann.wait_on_screen("written here and more");
    ann.keys("\r");
    ann.wait_on_screen("written here and more ✓");
    ann.keys("a half\x1a"); // Ctrl-Z
    ann.wait_for("it-was-stopped", 1);
    ann.wait_on_screen("#lobby> a half");
    ann.keys(" and a half\r");
    ann.wait_on_screen("a half and a half ✓");
    ann.keys("/quit\r");
    ann.exit_code();
    assert!(ann.echoes());
}

#[test]
fn a_signal_gives_the_terminal_back() {
    let cluster = Cluster::start(1);
    let mut ann = chat(&cluster, "ann", &[]);
    register(&mut ann, "ann", true);
    assert!(!ann.echoes());
    signal(&ann, Signal::TERM);
    assert_eq!(ann.exit_code(), 0);
    assert!(ann.echoes());
    let shown = ann.shown();
    for off in ["\x1b[?1049l", "\x1b[?2004l", "\x1b[?1004l"] {
        assert!(shown.contains(off), "{off:?}");
    }
}

#[test]
fn local_ends_in_the_chat_and_stops_the_replicas_with_it() {
    let directory = tempfile::tempdir().expect("make a directory");
    let path = |name| directory.path().join(name).display().to_string();
    let (data, sessions) = (path("data"), path("sessions.json"));
    let port = cluster::free_ports(6).to_string();
    let arguments = ["local", "--data", &data, "--base-port", &port];
    let variables = [("TERCET_SESSION_FILE", &*sessions)];
    let mut ann = Terminal::run_on(80, 24, TERCET, &arguments, &variables);
    register(&mut ann, "ann", true);
    ann.wait_on_screen("3 of 3 replicas");
    ann.keys("to myself\r");
    ann.wait_on_screen("to myself ✓");
    ann.keys("/quit\r");
    assert_eq!(ann.exit_code(), 0);
    assert!(ann.echoes());
}

#[test]
fn a_terminal_without_a_screen_gets_the_line_mode() {
    let cluster = Cluster::start(1);
    cluster.person("ann");
    let sessions = cluster.dir.path().join("sessions.json");
    let list = cluster.list();
    let variables = [
        (
            "TERCET_SESSION_FILE",
            sessions.to_str().expect("it is UTF-8"),
        ),
        ("TERCET_REPLICAS", &*list),
        ("TERM", "dumb"),
    ];
    let terminal = Terminal::run_on(80, 24, TERCET, &["chat"], &variables);
    terminal.wait_for("you are ann", 1);
    let terminal = Terminal::run_on(80, 24, TERCET, &["chat", "--plain"], &variables[..2]);
    terminal.wait_for("you are ann", 1);
    assert!(!terminal.has("\x1b[?1049h"));
}
