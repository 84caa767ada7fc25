//! The commands `cluster stop` and `cluster rolling-restart`. They start no replica: a supervisor or a
//! person does.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use tercet_client::{Client, Error, Replica};
use tokio::time::Instant;

use super::admin::Admin;
use super::connect::{Connect, ListSource};
use super::everybody::roster_views;
use crate::cluster_health::{HealthyCluster, healthy_cluster};
use crate::failure::Failure;
use crate::output::print;
use crate::poll::{self, ASK_AGAIN_PAUSE};

/// The time that `stop` may take in all, without --timeout.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// The time that one replica, or the search for the leader, may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// The time for which a replica that is out of reach or amid a takeover is asked to stop.
const UNREACHABLE_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub struct Stop {
    /// The id of the replica
    id: u32,
    /// Stop the replica even if another one is not in step
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    admin: Admin,
}

#[derive(Debug, clap::Args)]
pub struct RollingRestart {
    /// Restart only these replicas, to continue after an interruption [default: all]
    #[arg(long, value_name = "ID,…", value_delimiter = ',')]
    only: Vec<u32>,
    /// Seconds until a restarted replica must be in step
    #[arg(long, value_name = "SECONDS", default_value_t = 300,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    wait: u64,
    #[command(flatten)]
    admin: Admin,
}

pub async fn stop(args: Stop, connect: &Connect) -> Result<(), Failure> {
    let limit = connect.deadline()?.unwrap_or(STOP_TIMEOUT);
    let client = connect.client()?;
    let operator = args.admin.client(&client, connect)?;
    let replica = find(&client, connect.list().1, args.id).await?;
    stop_one(&operator, &replica, args.force, limit).await?;
    let text = format!("replica {} has stopped", args.id);
    print(connect.json, &json!({"stopped": args.id}), &text)
}

/// Finds the address of a replica: from the leader, or without a leader from the answers of all replicas.
async fn find(client: &Client, list: ListSource, id: u32) -> Result<Replica, Failure> {
    let led = client.with_deadline(ANSWER_TIMEOUT).leader().await.is_ok();
    if led && let Some(roster) = client.roster() {
        let found = roster.iter().find(|replica| replica.id == id);
        return found.cloned().ok_or_else(|| unknown(id));
    }
    // The replica itself refuses or, forced, stops.
    let answers = roster_views(client, list, ANSWER_TIMEOUT).await;
    let mut found = answers.into_iter().map(|(replica, _)| replica);
    found
        .find(|replica| replica.id == id)
        .ok_or_else(|| unknown(id))
}

fn unknown(id: u32) -> Failure {
    let message = format!("no replica {id} belongs to the cluster");
    let advice = "`tercet cluster members` lists those that do.";
    Failure::failed("UNKNOWN_REPLICA", message, advice)
}

/// Asks a replica to stop, and waits until its process has ended; gives the incarnation of that process.
async fn stop_one(
    operator: &Client,
    replica: &Replica,
    force: bool,
    limit: Duration,
) -> Result<u64, Failure> {
    let deadline = Instant::now() + limit;
    let give_up = deadline.min(Instant::now() + UNREACHABLE_LIMIT);
    let stop = || operator.stop_replica(replica, force, ANSWER_TIMEOUT);
    let run = poll::until_reached(give_up, stop).await?;
    let ended = poll::until(deadline, ASK_AGAIN_PAUSE, async || {
        match run_of(operator, replica).await {
            Ok(now) if now == run => Err(()),
            _ => Ok(()),
        }
    });
    ended.await.map_err(|()| {
        let message = format!("replica {} was told to stop and still runs", replica.id);
        Failure::failed("STILL_RUNNING", message, "Its log says what it does.")
    })?;
    Ok(run)
}

/// Gives the incarnation of a replica's process.
async fn run_of(client: &Client, replica: &Replica) -> Result<u64, Error> {
    let view = client.replica_view(replica, ANSWER_TIMEOUT).await?;
    Ok(view.status.incarnation)
}

pub async fn rolling_restart(args: RollingRestart, connect: &Connect) -> Result<(), Failure> {
    let client = connect.client()?;
    let round = Round {
        operator: args.admin.client(&client, connect)?,
        limit: Duration::from_secs(args.wait),
        json: connect.json,
        client,
    };
    let cluster = round.wait_until_healthy(None).await.map_err(|why| {
        let message = format!("{why}, after {} s; nothing was stopped", args.wait);
        let advice = "Start what is missing; `tercet cluster status` says how each replica stands.";
        Failure::failed("NOT_IN_STEP", message, advice)
    })?;
    let ids: BTreeSet<u32> = cluster.replicas.iter().map(|replica| replica.id).collect();
    let mut left: BTreeSet<u32> = args.only.iter().copied().collect();
    if let Some(stranger) = left.difference(&ids).next() {
        return Err(unknown(*stranger));
    }
    if left.is_empty() {
        left = ids;
    }
    round.restart(left, cluster).await
}

/// A rolling restart.
struct Round {
    client: Client,
    operator: Client,
    limit: Duration,
    json: bool,
}

impl Round {
    async fn restart(
        &self,
        mut left: BTreeSet<u32>,
        mut cluster: HealthyCluster,
    ) -> Result<(), Failure> {
        let (mut done, of) = (Vec::new(), left.len());
        while let Some(id) = next(&left, cluster.leader) {
            let replica = cluster.replicas.iter().find(|replica| replica.id == id);
            let replica = replica.ok_or_else(|| unknown(id))?;
            self.say(id, "stopping", &format!("replica {id}: stopping"))?;
            let run = stop_one(&self.operator, replica, false, STOP_TIMEOUT).await?;
            left.remove(&id);
            let text = format!(
                "replica {id}: stopped; start it again as it was started, if your supervisor does not \
                 (tercet serve --id {id} …)"
            );
            self.say(id, "stopped", &text)?;
            let back = self.wait_until_healthy(Some((replica, run))).await;
            cluster = back.map_err(|why| self.not_back(id, &why, &left))?;
            done.push(id);
            let text = format!("replica {id}: in step again, {} of {of}", done.len());
            self.say(id, "in_step", &text)?;
        }
        let text = "every replica was restarted and is in step";
        print(self.json, &json!({ "restarted": done }), text)
    }

    fn say(&self, id: u32, state: &str, text: &str) -> Result<(), Failure> {
        print(self.json, &json!({"id": id, "state": state}), text)
    }

    fn not_back(&self, id: u32, why: &str, left: &BTreeSet<u32>) -> Failure {
        let seconds = self.limit.as_secs();
        let message = format!(
            "replica {id} was stopped, and the cluster is not whole after {seconds} s: {why}"
        );
        let ids: Vec<String> = left.iter().rev().map(ToString::to_string).collect();
        let next = if ids.is_empty() {
            "It was the last to be restarted.".to_owned()
        } else {
            format!(
                "Then go on: tercet cluster rolling-restart --only {}",
                ids.join(",")
            )
        };
        let advice = format!("Start replica {id} if it does not run; its log says more. {next}");
        Failure::failed("NOT_IN_STEP", message, advice)
    }

    /// Waits until every replica is in step, and the restarted one, if given, has another incarnation.
    ///
    /// # Errors
    /// If a condition is missing after the limit; the text names it.
    async fn wait_until_healthy(
        &self,
        restarted: Option<(&Replica, u64)>,
    ) -> Result<HealthyCluster, String> {
        let deadline = Instant::now() + self.limit;
        let healthy = poll::until(deadline, ASK_AGAIN_PAUSE, async || {
            if let Some((replica, run)) = restarted {
                self.runs_again(replica, run).await?;
            }
            healthy_cluster(&self.client).await
        });
        healthy.await
    }

    async fn runs_again(&self, replica: &Replica, run: u64) -> Result<(), String> {
        match run_of(&self.client, replica).await {
            Ok(now) if now == run => Err(format!("replica {} still runs", replica.id)),
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Chooses the next replica: the highest one that does not lead; then the leader. So the lead moves to
/// another replica once, and back once.
fn next(left: &BTreeSet<u32>, leader: u32) -> Option<u32> {
    let backup = left.iter().rev().find(|id| **id != leader);
    backup.or(left.first()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leader_is_restarted_last() {
        let mut left = BTreeSet::from([1, 2, 3]);
        let mut order = Vec::new();
        while let Some(id) = next(&left, 2) {
            left.remove(&id);
            order.push(id);
        }
        assert_eq!(order, [3, 1, 2]);
    }
}
