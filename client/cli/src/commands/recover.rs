//! `cluster recover`: the operator's word that replicas are gone for good, told to all who are left.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _};
use std::time::Duration;

use serde_json::{Value, json};
use tercet_client::{Client, Error, RecoveryReport, Replica, ReplicaStore, ReplicaView};
use tercet_proto::words::{is_or_are, replicas};
use tokio::time::{Instant, sleep};

use super::connect::{Connect, ListSource};
use super::everybody::{Answers, no_answer, roster_views};
use super::membership::Admin;
use super::secret::read_line;
use crate::output::{Failure, line, notice, object};

/// Until there is a leader, unless --timeout says otherwise.
const RECOVER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long one replica may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// A replica amid a takeover is asked again for so long.
const SETTLE_LIMIT: Duration = Duration::from_secs(5);
/// When all wait for others for so long, those others are missing.
const STUCK_LIMIT: Duration = Duration::from_secs(3);
const ASK_AGAIN_PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, clap::Args)]
pub struct Recover {
    /// Who will not come back with what it holds; the others go on without it
    #[arg(long, value_name = "ID,…", value_delimiter = ',', required = true,
          value_parser = clap::value_parser!(u32).range(1..))]
    declare_dead: Vec<u32>,
    /// Do it without asking
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    admin: Admin,
    #[command(flatten)]
    pub connect: Connect,
}

pub async fn recover(args: Recover) -> Result<(), Failure> {
    let limit = args.connect.deadline()?.unwrap_or(RECOVER_TIMEOUT);
    let client = args.connect.client()?;
    let recovery = Recovery {
        operator: args.admin.client(&client, &args.connect)?,
        dead: args.declare_dead.iter().copied().collect(),
        list: args.connect.list().1,
        client,
    };
    let plan = recovery.plan().await?;
    if args.connect.json {
        object(&plan.json())?
    } else {
        plan.text().iter().try_for_each(|text| line(text))?
    }
    confirm(args.yes, &recovery.dead)?;
    let done = recovery.carry_out(&plan, Instant::now() + limit).await?;
    if args.connect.json {
        object(&done.json())
    } else {
        line(&done.text())
    }
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

/// One recovery.
struct Recovery {
    client: Client,
    /// Where the list of replicas came from.
    list: ListSource,
    operator: Client,
    dead: BTreeSet<u32>,
}

/// What is there before it, and what would be lost.
struct Plan {
    dead: BTreeSet<u32>,
    reports: Vec<(Replica, RecoveryReport)>,
    silent: Vec<(Replica, Error)>,
}

/// What there is after it.
struct Done {
    dead: BTreeSet<u32>,
    view: ReplicaView,
}

impl Recovery {
    /// Asks every replica that answers what it has.
    ///
    /// # Errors
    /// What one of them has against it.
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

    /// What one replica says before anything is done.
    async fn report(&self, replica: &Replica) -> Result<RecoveryReport, Error> {
        let give_up = Instant::now() + SETTLE_LIMIT;
        loop {
            match self.ask(replica, true).await {
                Err(Error::Unreachable { .. }) if Instant::now() < give_up => {
                    sleep(ASK_AGAIN_PAUSE).await;
                }
                answer => return answer,
            }
        }
    }

    async fn ask(&self, replica: &Replica, validate_only: bool) -> Result<RecoveryReport, Error> {
        let operator = &self.operator;
        operator
            .recover(replica, &self.dead, validate_only, ANSWER_TIMEOUT)
            .await
    }

    /// Tells everybody, also who answers only later, until there is a leader that calls them dead.
    async fn carry_out(&self, plan: &Plan, deadline: Instant) -> Result<Done, Failure> {
        let mut stuck_since = None;
        let mut told = false;
        loop {
            let answers = roster_views(&self.client, self.list, ANSWER_TIMEOUT).await;
            if let Some(view) = leader(&answers) {
                return self.done(view, plan);
            }
            for (replica, view) in &answers {
                let noted = view.as_ref().map(|view| &view.status.declared_dead);
                if noted.is_ok_and(|noted| self.dead.iter().all(|id| noted.contains(id))) {
                    continue;
                }
                match self.ask(replica, false).await {
                    Ok(_) => told = true,
                    // By the next round there is a leader, or it takes the word.
                    Err(Error::Unreachable { .. }) => {}
                    Err(error) if error.is_refused_for(LEADER_KNOWN) => {}
                    // A replica that got the declaration may lead by now, with the dead replica's id on a new disk.
                    Err(_) if told => {}
                    Err(error) => return Err(error.into()),
                }
            }
            let missing = missing(&answers, &self.dead);
            stuck_since = (!missing.is_empty()).then(|| stuck_since.unwrap_or(Instant::now()));
            let stuck = stuck_since.is_some_and(|since: Instant| since.elapsed() >= STUCK_LIMIT);
            if stuck || Instant::now() >= deadline {
                return Err(self.not_done(&missing));
            }
            sleep(ASK_AGAIN_PAUSE).await;
        }
    }

    fn done(&self, view: &ReplicaView, plan: &Plan) -> Result<Done, Failure> {
        let wanted = plan.stores();
        if wanted
            .iter()
            .all(|store| view.status.dead_stores.contains(store))
        {
            return Ok(Done {
                dead: self.dead.clone(),
                view: view.clone(),
            });
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
            "That {} dead is noted, until the replicas that were told are restarted. Start {}, or, if \
             what is missing will not come back either: tercet cluster recover --declare-dead {}",
            are(&self.dead),
            replicas(missing),
            all.join(",")
        );
        Failure::failed("STILL_WAITING", message, advice)
    }
}

/// The server's refusal where there is a leader.
const LEADER_KNOWN: &str = "LEADER_KNOWN";

/// Who leads and serves.
fn leader(answers: &Answers<ReplicaView>) -> Option<&ReplicaView> {
    let reached = answers.iter().filter_map(|(_, view)| view.as_ref().ok());
    let leaders = reached.filter(|view| view.is_master);
    leaders.max_by_key(|view| view.status.view.as_ref().map(|view| view.epoch))
}

/// For whom those wait who answer, besides the dead; nobody, when one of them waits for nobody.
fn missing(answers: &Answers<ReplicaView>, dead: &BTreeSet<u32>) -> BTreeSet<u32> {
    let reached = answers.iter().filter_map(|(_, view)| view.as_ref().ok());
    let waits: Vec<BTreeSet<u32>> = reached
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

impl Plan {
    /// Whose log is the best: the epoch of its last entry counts first, then its length. The lowest-numbered
    /// of those that have the same.
    fn best(&self) -> &RecoveryReport {
        let reports = self.reports.iter().map(|(_, report)| report);
        let rank = |report: &&RecoveryReport| {
            let id = Reverse(report.replica_id);
            (report.last_epoch, report.last_lsn, id)
        };
        let best = reports.max_by_key(rank);
        best.expect("a plan has a report")
    }

    /// What the next leader is to call dead.
    fn stores(&self) -> &[ReplicaStore] {
        &self.best().stores
    }

    /// For whom the cluster waits besides.
    fn others(&self) -> BTreeSet<u32> {
        let waiting_for: BTreeSet<u32> = self.best().waiting_for.iter().copied().collect();
        waiting_for.difference(&self.dead).copied().collect()
    }

    fn json(&self) -> Value {
        let best = self.best();
        let reports = self.reports.iter().map(|(replica, report)| {
            json!({
                "id": report.replica_id,
                "address": replica.address,
                "last_lsn": report.last_lsn,
                "committed_lsn": report.committed_lsn,
                "members": report.members,
                "waiting_for": report.waiting_for,
                "waiting": report.waiting,
            })
        });
        json!({
            "declare_dead": self.dead,
            "replicas": reports.collect::<Vec<_>>(),
            "silent": self.silent.iter().map(|(replica, _)| replica.id).collect::<Vec<_>>(),
            "best": best.replica_id,
            "may_be_missing_from_lsn": best.may_be_missing_from_lsn,
            "still_waits_for": self.others(),
        })
    }

    fn text(&self) -> Vec<String> {
        let best = self.best();
        let mut text = Vec::new();
        for (replica, report) in &self.reports {
            let id = report.replica_id;
            let last = grouped(report.last_lsn);
            let waiting = match report.waiting.as_str() {
                "" => "it waits for nobody",
                waiting => waiting,
            };
            text.push(format!(
                "replica {id} at {}: last LSN {last}; {waiting}",
                replica.address
            ));
        }
        let silent = self.silent.iter();
        text.extend(
            silent.map(|(replica, error)| format!("replica {}: {}", replica.id, no_answer(error))),
        );
        text.push(format!(
            "The cluster goes on from the log of replica {}: messages from LSN {} on that only {} \
             acknowledged may be missing.",
            best.replica_id,
            grouped(best.may_be_missing_from_lsn),
            replicas(&self.dead)
        ));
        let others = self.others();
        if !others.is_empty() {
            text.push(format!("It still waits for {} then.", replicas(&others)));
        }
        text.push(
            "A store that was declared dead never comes back. If its replica does, the store is set \
             aside, and what only it has is put beside it in a file that can be read."
                .to_owned(),
        );
        text
    }
}

impl Done {
    fn members(&self) -> (u64, u64, &[u32]) {
        let view = self.view.status.view.as_ref();
        view.map_or_else(Default::default, |view| {
            (view.epoch, view.config_lsn, view.members.as_slice())
        })
    }

    fn json(&self) -> Value {
        let (epoch, config_lsn, members) = self.members();
        json!({
            "declared_dead": self.dead,
            "leader": self.view.status.replica_id,
            "epoch": epoch,
            "config_lsn": config_lsn,
            "members": members,
        })
    }

    fn text(&self) -> String {
        let (_, config_lsn, members) = self.members();
        view_text(
            self.view.status.replica_id,
            config_lsn,
            &members.iter().copied().collect(),
            &self.dead,
        )
    }
}

/// Who leads which view, without whom. A replica that was declared dead may be a member again by now.
fn view_text(leader: u32, lsn: u64, members: &BTreeSet<u32>, dead: &BTreeSet<u32>) -> String {
    let (back, gone): (BTreeSet<u32>, BTreeSet<u32>) =
        dead.iter().partition(|id| members.contains(id));
    let mut text = format!(
        "replica {leader} leads; the view since LSN {} is {}",
        grouped(lsn),
        replicas(members)
    );
    if !gone.is_empty() {
        text.push_str(&format!(", without {}", replicas(&gone)));
    }
    if !back.is_empty() {
        let store = match back.len() {
            1 => "a new store",
            _ => "new stores",
        };
        text.push_str(&format!(
            "; the old store of each replica that was declared dead is out, and {} in the view on {store}",
            are(&back)
        ));
    }
    text
}

/// `replicas 1 and 2 are`.
fn are(ids: &BTreeSet<u32>) -> String {
    format!("{} {}", replicas(ids), is_or_are(ids.len()))
}

/// A number as people write it: `4,712`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use tercet_client::Status;

    use super::*;

    fn report(id: u32, last_epoch: u64, last_lsn: u64) -> (Replica, RecoveryReport) {
        let replica = Replica {
            id,
            address: format!("host:{id}"),
        };
        let report = RecoveryReport {
            replica_id: id,
            last_lsn,
            last_epoch,
            may_be_missing_from_lsn: last_lsn + 1,
            waiting_for: vec![1],
            waiting: "waiting for replica 1: it may hold newer messages".to_owned(),
            ..RecoveryReport::default()
        };
        (replica, report)
    }

    fn waits(waiting_for: &[u32]) -> (Replica, Result<ReplicaView, Error>) {
        let status = Status {
            waiting_for: waiting_for.to_vec(),
            ..Status::default()
        };
        let (replica, _) = report(2, 0, 0);
        let is_master = false;
        (replica, Ok(ReplicaView { is_master, status }))
    }

    #[test]
    fn the_newer_epoch_ranks_before_the_longer_log() {
        let mut plan = Plan {
            dead: [1].into(),
            reports: vec![report(2, 7, 4_711), report(3, 6, 9_999)],
            silent: Vec::new(),
        };
        let text = plan.text().join("\n");
        let missing = "messages from LSN 4,712 on that only replica 1 acknowledged may be missing";
        assert!(text.contains(missing), "{text}");
        assert!(
            text.contains("host:3: last LSN 9,999; waiting for replica 1"),
            "{text}"
        );
        assert!(!text.contains("still waits"), "{text}");
        assert_eq!(plan.json()["best"], 2);
        plan.reports.push(report(4, 7, 4_711));
        assert_eq!(plan.json()["best"], 2, "the lowest of equals");
        plan.reports[0].1.waiting_for = vec![1, 4, 5];
        let text = plan.text().join("\n");
        assert!(
            text.contains("It still waits for replicas 4 and 5 then."),
            "{text}"
        );
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

    #[test]
    fn a_view_is_never_without_its_own_members() {
        let told = |members: &[u32], dead: &[u32]| {
            let set = |ids: &[u32]| ids.iter().copied().collect();
            view_text(3, 4_711, &set(members), &set(dead))
        };
        for (members, dead, text) in [
            (
                &[2, 3][..],
                &[1][..],
                "replica 3 leads; the view since LSN 4,711 is replicas 2 and 3, without replica 1",
            ),
            (
                &[1, 2, 3],
                &[1, 2],
                "replica 3 leads; the view since LSN 4,711 is replicas 1, 2 and 3; the old store of \
                 each replica that was declared dead is out, and replicas 1 and 2 are in the view on new \
                 stores",
            ),
            (
                &[2, 3],
                &[1, 2],
                "replica 3 leads; the view since LSN 4,711 is replicas 2 and 3, without replica 1; the \
                 old store of each replica that was declared dead is out, and replica 2 is in the view on \
                 a new store",
            ),
        ] {
            assert_eq!(told(members, dead), text);
        }
    }

    #[test]
    fn numbers_are_grouped() {
        let texts = [0, 999, 1_000, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "999", "1,000", "1,234,567"]);
    }
}
