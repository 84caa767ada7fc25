//! Exports of an account's data and of a room, with a leader that dies while they run.

mod cluster;

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::PermissionsExt as _,
    process::Stdio,
};

use cluster::Cluster;
use serde_json::Value;

/// Direct messages of the test.
const COUNT: usize = 1_200;

fn events<'a>(lines: &'a [Value], event: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["event"] == event).collect()
}

fn file_lines(path: &std::path::Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("the file is there");
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().expect("lines of JSON")
}

#[test]
fn an_export_has_each_line_once_though_its_leader_dies() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    cluster.person("bob");
    cluster.person("ann");
    cluster.json(&["profile", "set", "--display-name", "Ann Lee", "--json"]);
    cluster.json(&["block", "bob", "--json"]);
    cluster.json(&["room", "create", "#tea", "--topic", "leaves", "--json"]);
    cluster.json(&["room", "invite", "#tea", "bob", "--json"]);
    cluster.json(&["send", "#tea", "in the room", "--json"]);
    // More than one page, and more than a pipe holds.
    let mut chat = cluster.command(&["chat"]);
    let mut chat = chat.stdin(Stdio::piped()).spawn().expect("start a chat");
    let mut typed = chat.stdin.take().expect("stdin is piped");
    writeln!(typed, "/to bob").expect("type");
    for n in 0..COUNT {
        writeln!(typed, "number {n}").expect("type");
    }
    drop(typed);
    let said = chat.wait_with_output().expect("the chat ends");
    assert!(said.status.success());

    // The leader dies after the first line was read.
    let mut running = cluster
        .command(&["export"])
        .spawn()
        .expect("start an export");
    let mut reader = BufReader::new(running.stdout.take().expect("stdout is piped"));
    let mut first = String::new();
    reader.read_line(&mut first).expect("read a line");
    cluster.kill(1);
    let mut lines: Vec<Value> = vec![serde_json::from_str(&first).expect("JSON")];
    for line in reader.lines() {
        let line = line.expect("read a line");
        lines.push(serde_json::from_str(&line).expect("JSON"));
    }
    assert!(running.wait().expect("it ends").success());
    assert_eq!(lines[0]["event"], "export");
    assert_eq!(lines[0]["of"], "account");
    let end = lines.last().expect("an end");
    assert_eq!(end["event"], "end");
    assert_eq!(end["through"], lines[0]["through"]);
    assert_eq!(events(&lines, "account")[0]["display_name"], "Ann Lee");
    assert_eq!(events(&lines, "session").len(), 1);
    assert_eq!(events(&lines, "block")[0]["username"], "bob");
    assert_eq!(events(&lines, "room")[0]["topic"], "leaves");
    let messages = events(&lines, "message");
    assert_eq!(end["messages"], messages.len());
    let direct = messages.iter().filter(|m| m["recipient"] == "bob");
    let bodies: Vec<&Value> = direct.map(|m| &m["body"]).collect();
    let expected: Vec<Value> = (0..COUNT).map(|n| format!("number {n}").into()).collect();
    assert_eq!(bodies, expected.iter().collect::<Vec<_>>());

    // The next leaders write the same, into a file that nobody else reads.
    let path = cluster.dir.path().join("tea.jsonl");
    let out = path.to_str().expect("a path");
    let done = cluster.json(&["export", "#tea", "--out", out, "--json"]);
    assert_eq!(done["messages"], 3, "made, invited, and a text");
    let mode = fs::metadata(&path).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    cluster.kill(2);
    let again = cluster.dir.path().join("again.jsonl");
    let out = again.to_str().expect("a path");
    cluster.json(&["export", "#tea", "--out", out, "--json"]);
    let (one, other) = (file_lines(&path), file_lines(&again));
    assert_eq!(events(&one, "message"), events(&other, "message"));
    assert_eq!(events(&one, "member").len(), 2);
    let (code, _) = cluster.fails(&["export", "#tea", "--out", out, "--json"]);
    assert_eq!(code, 2, "no file is overwritten");
    let as_bob = ["export", "#tea", "--as", "bob", "--json"];
    let (code, error) = cluster.fails(&as_bob);
    assert_eq!(code, 1);
    assert!(error.contains("ROLE_MAY_NOT"), "{error}");
    cluster.restart(1);
    cluster.restart(2);
    cluster.wait_until_whole();
    cluster.assert_equal();
}

#[test]
fn a_replay_puts_each_conversation_into_a_room_of_its_people() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    let uuid = |n: usize| format!("00000000-0000-4000-8000-{n:012x}");
    // Two conversations of two people each; one person is in both.
    let lines: String = (0..60)
        .map(|n| {
            let (from, to) = [(1, 2), (2, 1), (1, 3), (3, 1)][n % 4];
            let record = serde_json::json!({
                "conversation": uuid(100 + n % 4 / 2),
                "time": "2026-11-28T10:00:00Z",
                "from": uuid(from),
                "to": uuid(to),
                "text": format!("text {n}"),
            });
            format!("{record}\n")
        })
        .collect();
    let path = cluster.dir.path().join("conversations.jsonl");
    fs::write(&path, lines).expect("write a file");
    let file = path.to_str().expect("a path");
    let replay = ["replay", file, "--rooms", "--json"];
    let first = cluster.json(&replay);
    assert_eq!(first["rooms"], 2);
    assert_eq!(first["acknowledged"], 60);
    assert_eq!(first["missing"], 0);

    // The next leader has all of it; nothing is sent again.
    cluster.kill(1);
    let second = cluster.json(&replay);
    assert_eq!(second["already_there"], 60);
    assert_eq!(second["out_of_order"], 0);
    // The same file as direct messages is another replay.
    let direct = cluster.json(&["replay", file, "--json"]);
    assert_eq!(direct["already_there"], 0);
    assert_eq!(direct["missing"], 0);
    cluster.restart(1);
    cluster.wait_until_whole();
    cluster.assert_equal();
}
