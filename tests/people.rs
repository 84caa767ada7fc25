//! Sessions, API tokens and profiles of accounts, with a leader that dies in between.

mod cluster;

use std::process::Output;

use cluster::{Cluster, all_json, said};
use serde_json::Value;

const PASSWORD: &str = "correct horse";

/// The objects of one kind that a command prints.
fn listed(cluster: &Cluster, arguments: &[&str], event: &str) -> Vec<Value> {
    let output = cluster.run(arguments);
    assert!(output.status.success(), "{}", said(&output));
    let all = all_json(&output);
    let all = all.as_array().expect("a list").clone();
    all.into_iter()
        .filter(|one| one["event"] == event)
        .collect()
}

fn is_refused(output: &Output, reason: &str) {
    assert_eq!(output.status.code(), Some(1), "{}", said(output));
    assert!(said(output).contains(reason), "{}", said(output));
}

#[test]
fn an_account_sees_its_sessions_at_every_leader_and_ends_one_of_them() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    cluster.person("ann");
    let device = cluster.other_device("ann", PASSWORD);
    let sessions = || listed(&cluster, &["sessions", "list", "--json"], "session");
    let before = sessions();
    assert_eq!(before.len(), 2, "{before:?}");
    for session in &before {
        let label = session["label"].as_str().expect("a text");
        assert!(label.starts_with("tercet "), "{session}");
    }
    let other = before.iter().find(|session| session["current"] == false);
    let other = other.expect("the other device")["session_id"].clone();

    cluster.kill(1);
    let sessions = |cluster: &Cluster| listed(cluster, &["sessions", "list", "--json"], "session");
    assert_eq!(sessions(&cluster), before, "the next leader has the same");
    let id = other.as_str().expect("an id");
    cluster.json(&["sessions", "end", id, "--json"]);
    let send = ["send", "ann", "hello", "--json"];
    is_refused(&cluster.on_device(&device, &send), "INVALID_TOKEN");
    cluster.json(&send);
    is_refused(
        &cluster.run(&["sessions", "end", id, "--json"]),
        "UNKNOWN_SESSION",
    );

    cluster.restart(1);
    cluster.wait_until_whole();
    let after = sessions(&cluster);
    assert_eq!(after.len(), 1, "{after:?}");
    assert_eq!(after[0]["current"], true);
    is_refused(&cluster.on_device(&device, &send), "INVALID_TOKEN");
    cluster.assert_equal();
}

/// Runs a command with an API token in place of a session.
fn by_token(cluster: &Cluster, token: &str, arguments: &[&str]) -> Output {
    let mut command = cluster.command(arguments);
    command
        .env("TERCET_TOKEN", token)
        .output()
        .expect("run tercet")
}

#[test]
fn a_bot_works_by_its_token_at_every_leader_until_it_is_revoked() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    cluster.person("ann");
    let made = cluster.json(&[
        "token",
        "create",
        "my bot",
        "--scope",
        "send,read",
        "--expires",
        "30",
        "--json",
    ]);
    let token = made["token"].as_str().expect("a token").to_owned();
    assert_eq!(made["scopes"], serde_json::json!(["read", "send"]));
    assert!(made["expires_at"].is_string(), "{made}");

    cluster.kill(1);
    let send = ["send", "ann", "hello", "--json"];
    let sent = by_token(&cluster, &token, &send);
    assert!(sent.status.success(), "{}", said(&sent));
    let history = by_token(&cluster, &token, &["history", "ann", "--json"]);
    assert!(said(&history).contains("hello"), "{}", said(&history));
    is_refused(
        &by_token(&cluster, &token, &["sessions", "list", "--json"]),
        "SCOPE_MISSING",
    );
    let more = ["token", "create", "more", "--scope", "read", "--json"];
    is_refused(&by_token(&cluster, &token, &more), "SESSION_NEEDED");
    let tokens = listed(&cluster, &["token", "list", "--json"], "token");
    assert_eq!(tokens.len(), 1, "{tokens:?}");
    assert_eq!(tokens[0]["name"], "my bot");
    assert!(tokens[0].get("token").is_none());

    // The last replica alone revokes it; the others learn of it.
    cluster.kill(2);
    cluster.json(&["token", "revoke", "my bot", "--json"]);
    is_refused(&by_token(&cluster, &token, &send), "INVALID_TOKEN");
    cluster.restart(1);
    cluster.restart(2);
    cluster.wait_until_whole();
    is_refused(&by_token(&cluster, &token, &send), "INVALID_TOKEN");
    cluster.json(&send);
    cluster.assert_equal();
    for id in [1, 2, 3] {
        assert!(!cluster.log(id).contains(&token), "a log has the token");
    }
}

#[test]
fn a_profile_is_the_same_at_every_leader() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    cluster.person("bob");
    cluster.person("ann");
    // Composed as the server keeps it, and taken apart as some keyboards type it.
    let name = ["profile", "set", "--display-name", "Rene\u{301}e", "--json"];
    assert_eq!(cluster.json(&name)["display_name"], "Ren\u{e9}e");
    cluster.kill(1);
    let changed = cluster.json(&["profile", "set", "--status", "-- away --", "--json"]);
    assert_eq!(changed["username"], "ann");
    assert_eq!(changed["display_name"], "Ren\u{e9}e");
    assert_eq!(changed["status_text"], "-- away --");
    let deceptive = ["profile", "set", "--status", "a\u{202e}b", "--json"];
    is_refused(&cluster.run(&deceptive), "INVALID_STATUS_TEXT");
    is_refused(
        &cluster.run(&["profile", "nobody", "--json"]),
        "UNKNOWN_ACCOUNT",
    );

    cluster.kill(2);
    let seen = cluster.json(&["profile", "ANN", "--as", "bob", "--json"]);
    assert_eq!(seen, changed);
    // Another device of ann, which was away: it learns that there were changes, also those of replicas that are gone.
    cluster.json(&["send", "ann", "hello", "--as", "bob", "--json"]);
    let tail = ["tail", "--cursor", "0", "--count", "1", "--json"];
    assert_eq!(listed(&cluster, &tail, "profile_changed").len(), 2);
    let accounts = listed(&cluster, &["accounts", "--as", "bob", "--json"], "account");
    assert_eq!(accounts[0]["display_name"], "Ren\u{e9}e");
    assert_eq!(accounts[1]["display_name"], "");
    cluster.json(&["profile", "set", "--display-name", "", "--json"]);
    cluster.restart(1);
    cluster.restart(2);
    cluster.wait_until_whole();
    let seen = cluster.json(&["profile", "ann", "--as", "bob", "--json"]);
    assert_eq!(seen["display_name"], "");
    assert_eq!(seen["status_text"], "-- away --");
    cluster.assert_equal();
}
