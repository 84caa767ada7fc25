//! `tercet bench` against pretend replicas: what fails is told, and stops nothing.

#[allow(dead_code)] // each file of tests uses a part of it
#[path = "../../tests/fake/mod.rs"]
mod fake;

use clap::Parser;
use fake::{Fake, Fault};
use tercet_cli::Command;

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

async fn send(fake: &Fake, more: &[&str]) -> u8 {
    let list = fake.list(&[1]).to_string();
    let mut args = vec!["tercet", "bench", "send", "--json", "--replicas", &list];
    args.extend(["--accounts", "3", "--duration", "0.3", "--warm-up", "0"]);
    args.extend(more);
    tercet_cli::run(Cli::parse_from(args).command).await
}

#[tokio::test]
async fn accounts_of_an_earlier_run_are_used_again() {
    let fake = Fake::start(1);
    assert_eq!(send(&fake, &[]).await, 0);
    let names: Vec<String> = fake.world().accounts.keys().cloned().collect();
    assert_eq!(names, ["bench-1", "bench-2", "bench-3"]);
    let sent = fake.world().messages.len();
    assert!(sent > 0);
    assert_eq!(send(&fake, &[]).await, 0);
    assert_eq!(fake.world().accounts.len(), 3);
    // The same seed, and new messages all the same.
    assert!(fake.world().messages.len() > sent);
}

#[tokio::test]
async fn an_operation_that_fails_is_a_failure_and_the_others_go_on() {
    let fake = Fake::start(1);
    fake.world().faults.push_back(Fault::Full);
    assert_eq!(send(&fake, &["--in-flight", "1"]).await, 1);
    assert!(!fake.world().messages.is_empty());
}

#[tokio::test]
async fn what_is_retried_and_answered_is_no_failure() {
    let fake = Fake::start(1);
    let faults = [Fault::UnavailableBefore, Fault::UnknownAfter];
    fake.world().faults.extend(faults);
    assert_eq!(send(&fake, &[]).await, 0);
}

#[tokio::test]
async fn somebody_elses_account_is_an_error() {
    let fake = Fake::start(1);
    let (name, password) = ("bench-2".to_owned(), "their own".to_owned());
    fake.world().accounts.insert(name, password);
    assert_eq!(send(&fake, &[]).await, 1);
    assert!(fake.world().sends_seen.is_empty());
}
