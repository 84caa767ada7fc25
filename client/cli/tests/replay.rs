//! `tercet replay` against pretend replicas, on the real conversations of `tests/data`.

#[allow(dead_code)] // each file of tests uses a part of it
#[path = "../../tests/fake/mod.rs"]
mod fake;

use clap::Parser;
use fake::{Fake, Fault};
use tercet_cli::Command;

const FILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/data/conversations.jsonl"
);

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

async fn run(fake: &Fake, ids: &[u32], more: &[&str]) -> u8 {
    let list = fake.list(ids).to_string();
    let mut args = vec!["tercet", "replay", FILE, "--json", "--replicas", &list];
    args.extend(more);
    tercet_cli::run(Cli::parse_from(args).command).await
}

fn lines() -> usize {
    std::fs::read_to_string(FILE).unwrap().lines().count()
}

#[tokio::test]
async fn every_message_of_the_file_arrives_and_a_second_run_sends_nothing() {
    let fake = Fake::start(1);
    assert_eq!(run(&fake, &[1], &[]).await, 0);
    assert_eq!(fake.world().messages.len(), lines());
    assert_eq!(fake.world().sends_seen.len(), lines());
    assert_eq!(run(&fake, &[1], &[]).await, 0);
    assert_eq!(fake.world().sends_seen.len(), lines());
}

#[tokio::test]
async fn a_file_that_was_replayed_in_part_is_gone_on_with() {
    let fake = Fake::start(1);
    assert_eq!(run(&fake, &[1], &["--limit", "100"]).await, 0);
    assert_eq!(fake.world().sends_seen.len(), 100);
    assert_eq!(run(&fake, &[1], &[]).await, 0);
    assert_eq!(fake.world().sends_seen.len(), lines());
    assert_eq!(fake.world().messages.len(), lines());
    // A part of what is there is good as well: the rest is no stranger.
    assert_eq!(run(&fake, &[1], &["--limit", "50"]).await, 0);
}

#[tokio::test]
async fn it_goes_on_through_failovers_and_answers_that_are_lost() {
    let fake = Fake::start(3);
    let faults = [
        Fault::UnknownAfter,
        Fault::Transfer(2),
        Fault::UnavailableBefore,
        Fault::UnknownAfter,
        Fault::Transfer(3),
    ];
    fake.world().faults.extend(faults);
    assert_eq!(run(&fake, &[1, 2, 3], &["--in-flight", "4"]).await, 0);
    assert_eq!(fake.world().messages.len(), lines());
}

#[tokio::test]
async fn a_message_that_was_acknowledged_and_lost_is_found_out() {
    let fake = Fake::start(1);
    fake.world().faults.push_back(Fault::Lost);
    assert_eq!(run(&fake, &[1], &["--limit", "40"]).await, 1);
}

#[tokio::test]
async fn a_message_that_was_carried_out_twice_is_found_out() {
    let fake = Fake::start(1);
    fake.world().faults.push_back(Fault::AppliedTwice);
    assert_eq!(run(&fake, &[1], &["--limit", "40"]).await, 1);
}

#[tokio::test]
async fn an_account_with_another_password_is_an_error() {
    let fake = Fake::start(1);
    let text = std::fs::read_to_string(FILE).unwrap();
    let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let name = first["from"].as_str().unwrap().replace('-', "");
    let password = "somebody's own".to_owned();
    fake.world().accounts.insert(name, password);
    assert_eq!(run(&fake, &[1], &["--limit", "5"]).await, 1);
    assert!(fake.world().sends_seen.is_empty());
}

#[tokio::test]
async fn without_a_leader_it_gives_up_and_says_so() {
    let mut fake = Fake::start(1);
    let list = fake.list(&[1]).to_string();
    fake.kill(1, 0);
    let args = [
        "tercet",
        "replay",
        FILE,
        "--json",
        "--replicas",
        &list,
        "--timeout",
        "0.3",
    ];
    assert_eq!(tercet_cli::run(Cli::parse_from(args).command).await, 1);
}
