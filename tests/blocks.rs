//! Blocks through the public API: what either side sees of hidden and of refused messages, while the leader is killed
//! between every two steps.

mod cluster;

use cluster::{Cluster, PATIENCE, last_json, said, with_input};
use serde_json::{Value, json};
use tercet_client::{Client, Error, Event, Replicas, Start};

/// Kills the leader, and starts it again; the next step runs at another leader, or at the old one that came back.
fn kill_the_leader(cluster: &mut Cluster) {
    let leader = cluster.leader().expect("a leader");
    cluster.kill(leader);
    // The killed one must not be the leader that the next step finds.
    cluster.json(&["accounts", "--as", "ann", "--json"]);
    cluster.restart(leader);
    cluster.wait_until_whole();
}

fn send(cluster: &Cluster, from: &str, to: &str, text: &str) -> Value {
    cluster.json(&["send", to, text, "--as", from, "--json"])
}

fn bodies(lines: &Value) -> Vec<&str> {
    let lines = lines.as_array().expect("an array").iter();
    lines.filter_map(|line| line["body"].as_str()).collect()
}

fn history(cluster: &Cluster, of: &str, with: &str) -> Vec<String> {
    let lines = cluster.lines(&["history", with, "--as", of, "--json"]);
    bodies(&lines).into_iter().map(String::from).collect()
}

fn inbox(cluster: &Cluster, of: &str) -> Vec<String> {
    let lines = cluster.lines(&["inbox", "--keep", "--as", of, "--json"]);
    bodies(&lines).into_iter().map(String::from).collect()
}

fn blocks(cluster: &Cluster, of: &str) -> Vec<(String, bool)> {
    let lines = cluster.lines(&["blocks", "--as", of, "--json"]);
    let mut lines = lines.as_array().expect("an array").clone();
    assert_eq!(lines.pop().expect("an end"), json!({"event": "end"}));
    let block = |line: &Value| {
        assert_eq!(line["event"], "block");
        let since = line["blocked_at"].as_str().expect("a time");
        assert!(since.ends_with('Z') && line["account_id"].as_u64() > Some(0));
        let name = line["username"].as_str().expect("a name").to_owned();
        (name, line["refuse"].as_bool().expect("a choice"))
    };
    lines.iter().map(block).collect()
}

#[test]
fn blocks_hold_whichever_replica_leads() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    for name in ["ann", "bob", "eve"] {
        cluster.person(name);
    }
    send(&cluster, "ann", "bob", "before");
    kill_the_leader(&mut cluster);

    let blocked = cluster.json(&["block", "Ann", "--as", "bob", "--json"]);
    assert_eq!(
        (&blocked["username"], &blocked["refuse"]),
        (&json!("Ann"), &json!(false))
    );
    kill_the_leader(&mut cluster);

    let sent = send(&cluster, "ann", "bob", "hidden");
    assert!(sent["cursor"].as_u64() > Some(0), "{sent}");
    kill_the_leader(&mut cluster);
    assert_eq!(history(&cluster, "ann", "bob"), ["before", "hidden"]);
    assert_eq!(history(&cluster, "bob", "ann"), ["before"]);
    assert_eq!(inbox(&cluster, "bob"), ["before"]);
    // A stream from the beginning has what the inbox has, and then the message of another person.
    send(&cluster, "eve", "bob", "of another");
    let tail = [
        "tail", "--cursor", "0", "--count", "2", "--as", "bob", "--json",
    ];
    assert_eq!(bodies(&cluster.lines(&tail)), ["before", "of another"]);

    let refused = cluster.json(&["block", "ann", "--refuse", "--as", "bob", "--json"]);
    assert_eq!(refused["refuse"], true);
    cluster.json(&["block", "eve", "--as", "bob", "--json"]);
    kill_the_leader(&mut cluster);
    let both = [("ann".to_owned(), true), ("eve".to_owned(), false)];
    assert_eq!(blocks(&cluster, "bob"), both);
    let (code, of_blocked) = cluster.fails(&["send", "bob", "no", "--as", "ann", "--json"]);
    let (_, of_unknown) = cluster.fails(&["send", "nob", "no", "--as", "ann", "--json"]);
    assert_eq!(of_blocked.replace("bob", "nob"), of_unknown);
    assert!(code == 1 && of_blocked.contains("UNKNOWN_RECIPIENT"));

    let unblocked = cluster.json(&["unblock", "ann", "--as", "bob", "--json"]);
    assert_eq!(unblocked, json!({"username": "ann", "was_blocked": true}));
    kill_the_leader(&mut cluster);
    let again = cluster.json(&["unblock", "ann", "--as", "bob", "--json"]);
    assert_eq!(again["was_blocked"], false);
    send(&cluster, "ann", "bob", "after");
    assert_eq!(inbox(&cluster, "bob"), ["before", "of another", "after"]);
    assert_eq!(
        history(&cluster, "ann", "bob"),
        ["before", "hidden", "after"]
    );
    assert_eq!(history(&cluster, "bob", "ann"), ["before", "after"]);

    for (name, reason) in [("bob", "OWN_NAME"), ("nobody", "UNKNOWN_ACCOUNT")] {
        let (_, why) = cluster.fails(&["block", name, "--as", "bob", "--json"]);
        assert!(why.contains(reason), "{why}");
    }
    cluster.assert_equal();

    // A block ends with the account: the next owner of the name is somebody else.
    cluster.json(&[
        "delete-account",
        "--password",
        "correct horse",
        "--as",
        "eve",
        "--json",
    ]);
    kill_the_leader(&mut cluster);
    assert_eq!(blocks(&cluster, "bob"), []);
    cluster.person("eve");
    send(&cluster, "eve", "bob", "of the next one");
    assert_eq!(
        inbox(&cluster, "bob").last().map(String::as_str),
        Some("of the next one")
    );
    cluster.assert_equal();
}

#[test]
fn a_chat_can_block_and_other_devices_hear_of_it() {
    let cluster = Cluster::start(1);
    cluster.wait_until_whole();
    cluster.person("ann");
    cluster.person("bob");
    let replicas: Replicas = cluster.list().parse().expect("a list");
    let client = Client::new(replicas).with_deadline(PATIENCE);
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().expect("start a runtime");
    let (bob, mut device) = runtime.block_on(async {
        let session = client.login("bob", "correct horse").await.expect("log in");
        let bob = client.with_token(&session.token).expect("a token");
        let mut device = bob.subscribe(Start::Now);
        let first = device.next().await.expect("a stream");
        assert!(matches!(first, Event::Subscribed { .. }), "{first:?}");
        (bob, device)
    });

    let chat = cluster.command(&["chat", "--as", "bob", "--json"]);
    let output = with_input(
        chat,
        "/block ann\n/unblock ann\n/unblock ann\n/block nobody\n",
    );
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for part in [
        "ann is blocked",
        "no longer blocked",
        "was not blocked",
        "nobody is not blocked",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(last_json(&output).is_none(), "{text}");

    let (changes, refusals) = runtime.block_on(async {
        let mut changes = Vec::new();
        while changes.len() < 2 {
            match device.next().await.expect("an event") {
                Event::BlockChanged {
                    username,
                    blocked,
                    refuse,
                    ..
                } => changes.push((username, blocked, refuse)),
                other => panic!("{other:?}"),
            }
        }
        // Refused like a name that nobody has: the same in every part that a client gets.
        bob.block_account("ann", true).await.expect("block");
        let session = client.login("ann", "correct horse").await.expect("log in");
        let ann = client.with_token(&session.token).expect("a token");
        let mut refusals = Vec::new();
        for name in ["bob", "nob"] {
            match ann.send_message(name, "hello").await {
                Err(Error::Refused {
                    kind,
                    reason,
                    message,
                    field,
                }) => {
                    refusals.push((kind, reason, message.replace("bob", "nob"), field));
                }
                other => panic!("{other:?}"),
            }
        }
        (changes, refusals)
    });
    let ann = || "ann".to_owned();
    assert_eq!(changes, [(ann(), true, false), (ann(), false, false)]);
    assert_eq!(refusals[0], refusals[1]);
}
