//! Commands against pretend replicas, by their exit codes and what they leave behind.

#[allow(dead_code)] // each file of tests uses a part of it
#[path = "../../tests/fake/mod.rs"]
mod fake;

use std::path::Path;

use clap::Parser;
use fake::Fake;
use tercet_cli::Command;

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

async fn run(args: &[&str]) -> u8 {
    let args = std::iter::once("tercet").chain(args.iter().copied());
    tercet_cli::run(Cli::parse_from(args).command).await
}

async fn with_session(words: &[&str], list: &str, file: &Path) -> u8 {
    let file = file.to_str().unwrap();
    let options = ["--replicas", list, "--session-file", file, "--json"];
    run(&[words, &options].concat()).await
}

#[tokio::test]
async fn a_message_goes_from_one_session_to_the_other_and_waits_until_it_is_shown() {
    let fake = Fake::start(1);
    let list = fake.list(&[1]).to_string();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sessions.json");
    for name in ["alice", "bob"] {
        let words = ["register", name, "--password", "secret words", "--login"];
        assert_eq!(with_session(&words, &list, &file).await, 0);
    }
    let send = ["send", "bob", "hello", "there", "--as", "alice"];
    assert_eq!(with_session(&send, &list, &file).await, 0);
    assert_eq!(fake.world().messages[0].body, "hello there");
    assert_eq!(fake.world().messages[0].sender, "alice");

    assert_eq!(with_session(&["inbox", "--keep"], &list, &file).await, 0);
    assert!(!fake.world().messages[0].delivered);
    assert_eq!(with_session(&["inbox"], &list, &file).await, 0);
    assert!(fake.world().messages[0].delivered);

    let tail = ["tail", "--cursor", "0", "--count", "1"];
    assert_eq!(with_session(&tail, &list, &file).await, 0);
    assert_eq!(with_session(&["history", "alice"], &list, &file).await, 0);
    assert_eq!(with_session(&["logout"], &list, &file).await, 0);
    assert_eq!(with_session(&["inbox"], &list, &file).await, 1);
}

#[tokio::test]
async fn the_same_request_id_sends_a_message_once() {
    let fake = Fake::start(1);
    let list = fake.list(&[1]).to_string();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sessions.json");
    let register = ["register", "alice", "--password", "secret words", "--login"];
    assert_eq!(with_session(&register, &list, &file).await, 0);
    let id = "0192f000-0000-7000-8000-000000000001";
    let send = ["send", "alice", "note", "--request-id", id];
    assert_eq!(with_session(&send, &list, &file).await, 0);
    assert_eq!(with_session(&send, &list, &file).await, 0);
    assert_eq!(fake.world().messages.len(), 1);
}

#[tokio::test]
async fn status_fails_when_nobody_leads() {
    let fake = Fake::start(2);
    let list = fake.list(&[1, 2]).to_string();
    let status = ["cluster", "status", "--json", "--replicas", &list];
    assert_eq!(run(&status).await, 0);
    fake.lead(0);
    assert_eq!(run(&status).await, 1);
}

#[tokio::test]
async fn a_recovery_goes_on_where_the_first_that_was_told_leads_before_the_others_are_told() {
    let fake = Fake::start(3);
    let list = fake.list(&[1, 2, 3]).to_string();
    fake.lead(0);
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("admin-token");
    std::fs::write(&token, "of the operator\n").unwrap();
    let token = token.to_str().unwrap();
    let recover = [
        "cluster",
        "recover",
        "--declare-dead",
        "1",
        "--yes",
        "--json",
    ];
    let options = ["--replicas", &list, "--admin-token-file", token];
    assert_eq!(run(&[&recover[..], &options[..]].concat()).await, 0);
    assert_eq!(fake.world().declared_dead, [(1, vec![1])].into());
}

#[tokio::test]
async fn verify_fails_when_one_replica_differs() {
    let fake = Fake::start(2);
    let list = fake.list(&[1, 2]).to_string();
    let verify = [
        "cluster",
        "verify",
        "--json",
        "--replicas",
        &list,
        "--admin-token",
        "a long admin token",
    ];
    let hash = |id: u32, hash: &str| fake.world().hashes.insert(id, hash.to_owned());
    hash(1, "aa");
    hash(2, "aa");
    assert_eq!(run(&verify).await, 0);
    hash(2, "bb");
    assert_eq!(run(&verify).await, 1);
}

#[tokio::test]
async fn a_bad_list_is_wrong_usage() {
    for list in ["", "1", "1=a:1,1=b:1"] {
        assert_eq!(run(&["cluster", "status", "--replicas", list]).await, 2);
    }
}

#[tokio::test]
async fn a_history_of_many_pages_is_told_whole() {
    let fake = Fake::start(1);
    let list = fake.list(&[1]).to_string();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sessions.json");
    let register = ["register", "alice", "--password", "secret words", "--login"];
    assert_eq!(with_session(&register, &list, &file).await, 0);
    for number in 0..3_000 {
        fake.world()
            .store(&number.to_string(), "alice", "alice", "x");
    }
    let history = ["history", "alice", "--limit", "2800"];
    assert_eq!(with_session(&history, &list, &file).await, 0);
}
