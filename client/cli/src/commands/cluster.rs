//! The `cluster` commands, and `cluster verify`. The others are in files of their own.

use std::time::Duration;

use serde_json::{Value, json};
use tercet_client::{Client, Error, RefusedKind, Replica, StateHash};
use tokio::time::{Instant, sleep};

use super::admin::Admin;
use super::connect::Connect;
use super::everybody::{Answers, ask_all};
use super::membership::{self, AddReplica, Members, RemoveReplica};
use super::recover::{self, Recover};
use super::status::{self, Status};
use super::stop::{self, RollingRestart, Stop};
use crate::failure::Failure;
use crate::output::{line, object};
use crate::poll::{self, ASK_AGAIN_PAUSE};

/// For `verify`, in all, unless --timeout says otherwise: a replica may lag.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(60);
/// A replica that cannot be reached for so long is not waited for further.
const UNREACHABLE_LIMIT: Duration = Duration::from_secs(5);
const CHECKPOINTS_MAX: u32 = 5;

#[derive(Debug, clap::Subcommand)]
pub enum Cluster {
    /// Who leads, and how each replica stands
    ///
    /// Exit codes: 0 all replicas are in step; 3 the cluster serves, and a replica is missing, not in
    /// step, or has a disk that is full or does not answer; 1 no leader is found from here, so nobody may be serving; 2 wrong usage.
    #[command(verbatim_doc_comment)]
    Status(Status),
    /// Compare the replicas' state at one place of the log; exit code 1 when unequal
    Verify(Verify),
    /// Who belongs to the cluster, and how far each is, as the leader sees it
    Members(Members),
    /// Add a replica; then start it with `tercet serve --join`
    AddReplica(AddReplica),
    /// Remove a replica, dead or alive
    RemoveReplica(RemoveReplica),
    /// Stop a replica; refused while another is not in step
    Stop(Stop),
    /// Stop one replica after the other, and wait each time until it was started again
    RollingRestart(RollingRestart),
    /// Go on without replicas that are gone for good, where the others wait for them
    Recover(Recover),
}

#[derive(Debug, clap::Args)]
pub struct Verify {
    #[command(flatten)]
    pub connect: Connect,
    #[command(flatten)]
    admin: Admin,
}

impl Cluster {
    pub fn connect(&self) -> &Connect {
        match self {
            Cluster::Status(args) => &args.connect,
            Cluster::Verify(args) => &args.connect,
            Cluster::Members(args) => &args.connect,
            Cluster::AddReplica(args) => &args.connect,
            Cluster::RemoveReplica(args) => &args.connect,
            Cluster::Stop(args) => &args.connect,
            Cluster::RollingRestart(args) => &args.connect,
            Cluster::Recover(args) => &args.connect,
        }
    }
}

pub async fn run(command: Cluster) -> Result<(), Failure> {
    match command {
        Cluster::Status(args) => status::status(args).await,
        Cluster::Verify(args) => verify(args).await,
        Cluster::Members(args) => membership::members(args).await,
        Cluster::AddReplica(args) => membership::add(args).await,
        Cluster::RemoveReplica(args) => membership::remove(args).await,
        Cluster::Stop(args) => stop::stop(args).await,
        Cluster::RollingRestart(args) => stop::rolling_restart(args).await,
        Cluster::Recover(args) => recover::recover(args).await,
    }
}

async fn verify(args: Verify) -> Result<(), Failure> {
    let limit = args.connect.deadline()?.unwrap_or(VERIFY_TIMEOUT);
    let client = args.connect.client()?.with_deadline(limit);
    let operator = args.admin.client(&client, &args.connect)?;
    let deadline = Instant::now() + limit;
    let mut checkpoints = 0;
    let (lsn, answers) = loop {
        let lsn = operator.create_checkpoint().await?;
        checkpoints += 1;
        let answers = hashes(&client, lsn, deadline).await;
        let too_late = answers.iter().any(|(_, answer)| is_not_found(answer));
        if !too_late || checkpoints >= CHECKPOINTS_MAX || Instant::now() >= deadline {
            break (lsn, answers);
        }
        sleep(ASK_AGAIN_PAUSE).await;
    };
    let equal = all_equal(lsn, &answers);
    if args.connect.json {
        let replicas: Vec<Value> = answers.iter().map(hash_json).collect();
        object(&json!({"equal": equal, "lsn": lsn, "replicas": replicas}))?;
    } else {
        print_hashes(equal, lsn, &answers)?;
    }
    if equal { Ok(()) } else { Err(Failure::Told) }
}

fn is_not_found(answer: &Result<StateHash, Error>) -> bool {
    let not_found = RefusedKind::NotFound;
    matches!(answer, Err(Error::Refused { kind, .. }) if *kind == not_found)
}

async fn hashes(client: &Client, lsn: u64, deadline: Instant) -> Answers<StateHash> {
    // The checkpoint's leader has said who belongs to the cluster.
    let replicas = client.roster().unwrap_or_else(|| client.replicas().clone());
    let hash = |client: Client, replica: Replica| async move {
        hash_of(&client, &replica, lsn, deadline).await
    };
    ask_all(client, &replicas, hash).await
}

/// Asks until the replica answers, refuses, or is out of reach for too long.
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

/// True only when every replica answered, for this LSN, the same.
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

fn print_hashes(equal: bool, lsn: u64, answers: &Answers<StateHash>) -> Result<(), Failure> {
    for (replica, answer) in answers {
        let text = match answer {
            Ok(hash) => hash.state_hash.clone(),
            Err(error) => format!("no hash: {error}"),
        };
        line(&format!("replica {}: {text}", replica.id))?;
    }
    line(&if equal {
        format!("equal: the same state at LSN {lsn}")
    } else {
        format!("NOT equal at LSN {lsn}")
    })
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
