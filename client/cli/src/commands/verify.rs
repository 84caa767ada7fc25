//! `cluster verify` compares the states of all replicas at one LSN.

use std::time::Duration;

use serde_json::{Value, json};
use tercet_client::{Client, Error, RefusedKind, Replica, StateHash};
use tokio::time::{Instant, sleep};

use super::admin::Admin;
use super::connect::Connect;
use super::everybody::{Answers, ask_all};
use crate::failure::Failure;
use crate::output::print;
use crate::poll::{self, ASK_AGAIN_PAUSE};

/// The time that `verify` may take in all, without --timeout: a replica may lag.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(60);
/// The time for which `verify` asks a replica that is out of reach.
const UNREACHABLE_LIMIT: Duration = Duration::from_secs(5);
/// The number of marks that `verify` makes while a replica has passed the mark before it was asked.
const MARKS_MAX: u32 = 5;

#[derive(Debug, clap::Args)]
pub struct Verify {
    #[command(flatten)]
    admin: Admin,
}

pub(super) async fn verify(args: Verify, connect: &Connect) -> Result<(), Failure> {
    let limit = connect.deadline()?.unwrap_or(VERIFY_TIMEOUT);
    let client = connect.client()?.with_deadline(limit);
    let operator = args.admin.client(&client, connect)?;
    let deadline = Instant::now() + limit;
    let mut marks = 0;
    let (lsn, answers) = loop {
        let lsn = operator.create_checkpoint().await?;
        marks += 1;
        let answers = hashes(&client, lsn, deadline).await;
        let too_late = answers.iter().any(|(_, answer)| is_not_found(answer));
        if !too_late || marks >= MARKS_MAX || Instant::now() >= deadline {
            break (lsn, answers);
        }
        sleep(ASK_AGAIN_PAUSE).await;
    };
    let equal = all_equal(lsn, &answers);
    let replicas: Vec<Value> = answers.iter().map(hash_json).collect();
    let object = json!({"equal": equal, "lsn": lsn, "replicas": replicas});
    print(connect.json, &object, &text(equal, lsn, &answers))?;
    if equal {
        Ok(())
    } else {
        Err(Failure::Reported)
    }
}

fn is_not_found(answer: &Result<StateHash, Error>) -> bool {
    let not_found = RefusedKind::NotFound;
    matches!(answer, Err(Error::Refused { kind, .. }) if *kind == not_found)
}

async fn hashes(client: &Client, lsn: u64, deadline: Instant) -> Answers<StateHash> {
    // The leader that made the mark has named the replicas of the cluster.
    let replicas = client.roster().unwrap_or_else(|| client.replicas().clone());
    let hash = |client: Client, replica: Replica| async move {
        hash_of(&client, &replica, lsn, deadline).await
    };
    ask_all(client, &replicas, hash).await
}

/// Asks a replica for its state hash until it answers, refuses, or is out of reach for too long.
async fn hash_of(
    client: &Client,
    replica: &Replica,
    lsn: u64,
    deadline: Instant,
) -> Result<StateHash, Error> {
    let give_up = deadline.min(Instant::now() + UNREACHABLE_LIMIT);
    let ask = || {
        let left = deadline.saturating_duration_since(Instant::now());
        client.state_hash(replica, lsn, left)
    };
    poll::until_reached(give_up, ask).await
}

/// True if every replica answered with the same hash for this LSN.
fn all_equal(lsn: u64, answers: &Answers<StateHash>) -> bool {
    let mut hashes = answers.iter().map(|(_, answer)| answer.as_ref().ok());
    let Some(Some(first)) = hashes.next() else {
        return false;
    };
    first.lsn == lsn && !first.state_hash.is_empty() && hashes.all(|hash| hash == Some(first))
}

fn hash_json((replica, answer): &(Replica, Result<StateHash, Error>)) -> Value {
    match answer {
        Ok(hash) => json!({"id": replica.id, "lsn": hash.lsn, "state_hash": hash.state_hash}),
        Err(error) => json!({
            "id": replica.id, "lsn": null, "state_hash": null, "error": error.to_string(),
        }),
    }
}

fn text(equal: bool, lsn: u64, answers: &Answers<StateHash>) -> String {
    let hash = |(replica, answer): &(Replica, Result<StateHash, Error>)| match answer {
        Ok(hash) => format!("replica {}: {}", replica.id, hash.state_hash),
        Err(error) => format!("replica {}: no hash: {error}", replica.id),
    };
    let mut lines: Vec<String> = answers.iter().map(hash).collect();
    lines.push(if equal {
        format!("equal: the same state at LSN {lsn}")
    } else {
        format!("NOT equal at LSN {lsn}")
    });
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(id: u32) -> Replica {
        Replica {
            id,
            address: format!("host:{id}"),
        }
    }

    fn hash(id: u32, state_hash: &str) -> (Replica, Result<StateHash, Error>) {
        let state_hash = state_hash.to_owned();
        (replica(id), Ok(StateHash { lsn: 9, state_hash }))
    }

    fn silent<T>(id: u32) -> (Replica, Result<T, Error>) {
        let last = "gone".to_owned();
        (replica(id), Err(Error::Unanswered { last }))
    }

    #[test]
    fn states_are_equal_only_when_every_replica_answered_the_same() {
        assert!(all_equal(9, &vec![hash(1, "aa"), hash(2, "aa")]));
        assert!(!all_equal(9, &vec![hash(1, "aa"), hash(2, "bb")]));
        assert!(!all_equal(9, &vec![hash(1, "aa"), silent(2)]));
        assert!(!all_equal(9, &vec![silent(1), silent(2)]));
        assert!(!all_equal(8, &vec![hash(1, "aa"), hash(2, "aa")]));
        assert!(!all_equal(9, &vec![]));
    }
}
