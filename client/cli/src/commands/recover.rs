//! `cluster recover`: an operator declares that replicas are gone for good, and every replica that is left gets
//! the declaration.

mod done;
mod plan;

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _};
use std::time::Duration;

use tercet_client::{Client, Error, RecoveryReport, Replica, ReplicaView};
use tercet_proto::words::{is_or_are, replicas};
use tokio::time::Instant;

use super::admin::Admin;
use super::connect::{Connect, ListSource};
use super::everybody::{Answers, leader, no_answer, reached, roster_views};
use super::secret::read_line;
use crate::failure::Failure;
use crate::output::{notice, print};
use crate::poll::{self, ASK_AGAIN_PAUSE};
use done::Done;
use plan::Plan;

/// The time that a recovery may take until a leader serves, without --timeout.
const RECOVER_TIMEOUT: Duration = Duration::from_secs(30);
/// The time that one replica may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// The time for which a replica amid a takeover is asked again.
const SETTLE_LIMIT: Duration = Duration::from_secs(5);
/// The time that every replica may wait for others before the recovery reports the others as missing.
const STUCK_LIMIT: Duration = Duration::from_secs(3);

#[derive(Debug, clap::Args)]
pub struct Recover {
    /// The replicas that will not come back with their data
    #[arg(long, value_name = "ID,…", value_delimiter = ',', required = true,
          value_parser = clap::value_parser!(u32).range(1..))]
    declare_dead: Vec<u32>,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    admin: Admin,
}

pub async fn recover(args: Recover, connect: &Connect) -> Result<(), Failure> {
    let limit = connect.deadline()?.unwrap_or(RECOVER_TIMEOUT);
    let client = connect.client()?;
    let recovery = Recovery {
        operator: args.admin.client(&client, connect)?,
        dead: args.declare_dead.iter().copied().collect(),
        list: connect.list().1,
        client,
    };
    let plan = recovery.plan().await?;
    print(connect.json, &plan.json(), &plan.text())?;
    confirm(args.yes, &recovery.dead)?;
    let done = recovery.carry_out(&plan, Instant::now() + limit).await?;
    print(connect.json, &done, &done.text())
}

fn confirm(yes: bool, dead: &BTreeSet<u32>) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        let message = "nothing was done: this wants a `yes` on a terminal, or --yes";
        return Err(Failure::Usage(message.to_owned()));
    }
    notice(&format!("Type `yes` to declare {} dead:", replicas(dead)));
    match read_line()?.as_deref() {
        Some("yes") => Ok(()),
        _ => Err(Failure::failed("NOT_CONFIRMED", "nothing was done", "")),
    }
}

/// A recovery asks the replicas, and gives them the declaration.
struct Recovery {
    client: Client,
    /// The source of the list of replicas.
    list: ListSource,
    operator: Client,
    dead: BTreeSet<u32>,
}

impl Recovery {
    /// Asks every replica for its log and for the effect of the declaration.
    ///
    /// # Errors
    /// If a replica refuses, or no replica answers.
    async fn plan(&self) -> Result<Plan, Failure> {
        let (mut reports, mut silent, mut refused) = (Vec::new(), Vec::new(), None);
        for (replica, view) in roster_views(&self.client, self.list, ANSWER_TIMEOUT).await {
            let report = match view {
                Ok(_) => self.report(&replica).await,
                Err(error) => Err(error),
            };
            match report {
                Ok(report) => reports.push((replica, report)),
                Err(error @ Error::Unreachable { .. }) => silent.push((replica, error)),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        match (refused, reports.is_empty()) {
            // A leader that waits itself answers; its followers name it.
            (Some(error), false) if error.is_refused_for(LEADER_KNOWN) => {}
            (Some(error), _) => return Err(error.into()),
            (None, true) => {
                let tried = silent.iter().map(|(replica, error)| {
                    format!("replica {}: {}", replica.id, no_answer(error))
                });
                let tried: Vec<String> = tried.collect();
                let message = format!("no replica answers: {}", tried.join("; "));
                let advice = "Start those that are left: the best log among them is what the cluster \
                              goes on from.";
                return Err(Failure::failed("NO_ANSWER", message, advice));
            }
            (None, false) => {}
        }
        Ok(Plan {
            dead: self.dead.clone(),
            reports,
            silent,
        })
    }

    /// Asks one replica, again while it is out of reach.
    async fn report(&self, replica: &Replica) -> Result<RecoveryReport, Error> {
        let deadline = Instant::now() + SETTLE_LIMIT;
        poll::until_reached(deadline, || self.ask(replica, true)).await
    }

    async fn ask(&self, replica: &Replica, validate_only: bool) -> Result<RecoveryReport, Error> {
        let operator = &self.operator;
        operator
            .recover(replica, &self.dead, validate_only, ANSWER_TIMEOUT)
            .await
    }

    /// Gives every replica the declaration, also those that answer later, until a leader has declared the dead.
    async fn carry_out(&self, plan: &Plan, deadline: Instant) -> Result<Done, Failure> {
        let mut stuck_since = None;
        let mut declared = false;
        let ended = poll::until(deadline, ASK_AGAIN_PAUSE, async || {
            let answers = roster_views(&self.client, self.list, ANSWER_TIMEOUT).await;
            if let Some(view) = leader(&answers) {
                return Ok(self.done(view, plan));
            }
            for (replica, view) in &answers {
                let known = view.as_ref().map(|view| &view.status.declared_dead);
                if known.is_ok_and(|known| self.dead.iter().all(|id| known.contains(id))) {
                    continue;
                }
                match self.ask(replica, false).await {
                    Ok(_) => declared = true,
                    // By the next round there is a leader, or the replica takes the declaration.
                    Err(Error::Unreachable { .. }) => {}
                    Err(error) if error.is_refused_for(LEADER_KNOWN) => {}
                    // A replica that got the declaration may lead by now, with the dead replica's id on a new disk.
                    Err(_) if declared => {}
                    Err(error) => return Ok(Err(error.into())),
                }
            }
            let missing = missing(&answers, &self.dead);
            stuck_since = (!missing.is_empty()).then(|| stuck_since.unwrap_or(Instant::now()));
            let is_stuck = stuck_since.is_some_and(|since: Instant| since.elapsed() >= STUCK_LIMIT);
            let failure = self.not_done(&missing);
            if is_stuck {
                Ok(Err(failure))
            } else {
                Err(failure)
            }
        });
        ended.await.flatten()
    }

    fn done(&self, view: &ReplicaView, plan: &Plan) -> Result<Done, Failure> {
        let wanted = plan.stores();
        if wanted
            .iter()
            .all(|store| view.status.dead_stores.contains(store))
        {
            return Ok(Done::new(&self.dead, view));
        }
        let message = format!(
            "replica {} leads, and nobody was declared dead: {} answered meanwhile",
            view.status.replica_id,
            replicas(&self.dead)
        );
        Err(Failure::failed("REPLICA_ANSWERS", message, ""))
    }

    fn not_done(&self, missing: &BTreeSet<u32>) -> Failure {
        if missing.is_empty() {
            let message = "the replicas were told, and none of them leads yet";
            let advice = "`tercet cluster status` says how each stands.";
            return Failure::failed("NO_LEADER", message, advice);
        }
        let message = format!("the cluster still waits for {}", replicas(missing));
        let all: Vec<String> = self.dead.union(missing).map(ToString::to_string).collect();
        let advice = format!(
            "That {} {} dead is noted, until the replicas that were told are restarted. Start {}, or, if \
             what is missing will not come back either: tercet cluster recover --declare-dead {}",
            replicas(&self.dead),
            is_or_are(self.dead.len()),
            replicas(missing),
            all.join(",")
        );
        Failure::failed("STILL_WAITING", message, advice)
    }
}

/// The server refuses a declaration with this reason while it knows a leader.
const LEADER_KNOWN: &str = "LEADER_KNOWN";

/// Gives the replicas that every answering replica waits for besides the dead; none if one replica waits for none.
fn missing(answers: &Answers<ReplicaView>, dead: &BTreeSet<u32>) -> BTreeSet<u32> {
    let waits: Vec<BTreeSet<u32>> = reached(answers)
        .map(|view| view.status.waiting_for.iter().copied().collect())
        .collect();
    if waits.iter().any(BTreeSet::is_empty) {
        BTreeSet::new()
    } else {
        waits
            .iter()
            .flatten()
            .copied()
            .filter(|id| !dead.contains(id))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use tercet_client::Status;

    use super::*;

    fn waits(waiting_for: &[u32]) -> (Replica, Result<ReplicaView, Error>) {
        let status = Status {
            waiting_for: waiting_for.to_vec(),
            ..Status::default()
        };
        let replica = Replica {
            id: 2,
            address: "host:2".to_owned(),
        };
        let is_master = false;
        (replica, Ok(ReplicaView { is_master, status }))
    }

    #[test]
    fn who_is_missing_is_known_when_everybody_waits() {
        let dead = [1].into();
        let missing = |answers: &[&[u32]]| {
            let answers = answers
                .iter()
                .map(|waiting_for| waits(waiting_for))
                .collect();
            missing(&answers, &dead)
        };
        assert_eq!(missing(&[&[1, 3], &[3]]), [3].into());
        assert_eq!(missing(&[&[1, 3], &[]]), [].into(), "one is about to lead");
        assert_eq!(missing(&[&[1]]), [].into(), "it was not told yet");
        assert_eq!(missing(&[]), [].into());
    }
}
