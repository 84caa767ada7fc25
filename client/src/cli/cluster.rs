//! `cluster status` and `cluster verify`. What changes the cluster is in `membership.rs`.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::connect::Connect;
use super::membership::{self, AddReplica, Members, RemoveReplica};
use super::recover::{self, Recover};
use super::stop::{self, RollingRestart, Stop};
use crate::api::{Client, Error, RefusedKind, ReplicaView, Role, StateHash};
use crate::output::{Failure, line, object};
use crate::replicas::{Replica, Replicas};

/// How long one replica may take to say how it stands.
const STATUS_TIMEOUT: Duration = Duration::from_secs(1);
/// For `verify`, in all, unless --timeout says otherwise: a replica may lag.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(60);
/// A replica that cannot be reached for so long is not waited for further.
const UNREACHABLE_LIMIT: Duration = Duration::from_secs(5);
const ASK_AGAIN_PAUSE: Duration = Duration::from_millis(100);
const CHECKPOINTS_MAX: u32 = 5;

#[derive(Debug, clap::Subcommand)]
pub enum Cluster {
    /// Who leads, and how each replica stands; exit code 1 when nobody leads
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
pub struct Status {
    #[command(flatten)]
    pub connect: Connect,
}

#[derive(Debug, clap::Args)]
pub struct Verify {
    #[command(flatten)]
    pub connect: Connect,
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
        Cluster::Status(args) => status(args).await,
        Cluster::Verify(args) => verify(args).await,
        Cluster::Members(args) => membership::members(args).await,
        Cluster::AddReplica(args) => membership::add(args).await,
        Cluster::RemoveReplica(args) => membership::remove(args).await,
        Cluster::Stop(args) => stop::stop(args).await,
        Cluster::RollingRestart(args) => stop::rolling_restart(args).await,
        Cluster::Recover(args) => recover::recover(args).await,
    }
}

pub(super) type Answers<T> = Vec<(Replica, Result<T, Error>)>;

async fn status(args: Status) -> Result<(), Failure> {
    let limit = args.connect.deadline()?;
    let limit = limit.map_or(STATUS_TIMEOUT, |limit| limit.min(STATUS_TIMEOUT));
    let client = args.connect.client()?;
    let answers = roster_views(&client, limit).await;
    let summary = summary(&answers);
    if args.connect.json {
        object(&summary)?;
    } else {
        print_table(&summary)?;
    }
    match summary["leader"] {
        Value::Null => Err(Failure::Told),
        _ => Ok(()),
    }
}

/// What every replica of the cluster says of itself: first those of the list are asked, then whom
/// the most advanced of them names besides. Without an answer, who was there in an earlier run.
pub(super) async fn roster_views(client: &Client, limit: Duration) -> Answers<ReplicaView> {
    let mut answers = views(client, client.replicas(), limit).await;
    let reached = answers.iter().filter_map(|(_, view)| view.as_ref().ok());
    let best = reached.max_by_key(|view| (view.is_master, epoch(view), view.status.applied_lsn));
    let named = match best {
        Some(view) => roster(view),
        None => client.roster(),
    };
    let Some(named) = named else {
        return answers;
    };
    let listed = client.replicas().iter();
    let unlisted = named
        .iter()
        .filter(|one| listed.clone().all(|listed| listed != *one));
    if let Ok(unlisted) = Replicas::from_parts(unlisted.cloned().collect()) {
        // A replica of the list that has moved is where the cluster says it is.
        answers.retain(|(replica, _)| unlisted.address(replica.id).is_none());
        answers.extend(views(client, &unlisted, limit).await);
        answers.sort_by_key(|(replica, _)| replica.id);
    }
    answers
}

/// Who belongs to the cluster, as one replica knows it.
fn roster(view: &ReplicaView) -> Option<Replicas> {
    let replicas = view.status.replicas.iter().map(|replica| Replica {
        id: replica.replica_id,
        address: replica.address.clone(),
    });
    Replicas::from_parts(replicas.collect()).ok()
}

/// What each of these replicas says of itself, asked at once.
pub async fn views(client: &Client, replicas: &Replicas, limit: Duration) -> Answers<ReplicaView> {
    let mut questions = Vec::new();
    for replica in replicas.iter().cloned() {
        let client = client.clone();
        questions.push(tokio::spawn(async move {
            let view = client.replica_view(&replica, limit).await;
            (replica, view)
        }));
    }
    let mut answers = Vec::new();
    for question in questions {
        if let Ok(answer) = question.await {
            answers.push(answer);
        }
    }
    answers
}

fn epoch(view: &ReplicaView) -> u64 {
    view.status.view.as_ref().map_or(0, |view| view.epoch)
}

/// The object that `status --json` prints.
fn summary(answers: &Answers<ReplicaView>) -> Value {
    let reached = || {
        answers
            .iter()
            .filter_map(|(_, answer)| answer.as_ref().ok())
    };
    let leader = reached()
        .filter(|view| view.is_master)
        .max_by_key(|view| epoch(view));
    let best = leader.or_else(|| reached().max_by_key(|view| epoch(view)));
    let replicas = answers.iter().map(|(replica, answer)| match answer {
        Ok(view) => reached_json(replica, view, leader),
        Err(error) => json!({
            "id": replica.id, "address": replica.address, "reachable": false,
            "role": null, "member": leader.map(|leader| is_member(leader, replica.id)),
            "last_lsn": null, "committed_lsn": null, "applied_lsn": null,
            "error": error.to_string(),
        }),
    });
    json!({
        "leader": leader.map(|leader| leader.status.replica_id),
        "epoch": best.map_or(0, epoch),
        "mode": best.map(|view| view.status.mode.clone()),
        "replicas": replicas.collect::<Vec<_>>(),
    })
}

/// Whether the view of the replica that was asked has this one.
fn is_member(asked: &ReplicaView, id: u32) -> bool {
    let view = asked.status.view.as_ref();
    view.is_some_and(|view| view.members.contains(&id))
}

fn reached_json(replica: &Replica, view: &ReplicaView, leader: Option<&ReplicaView>) -> Value {
    let status = &view.status;
    // The leader's membership counts; without one, what the replica itself believes.
    let member = is_member(leader.unwrap_or(view), status.replica_id);
    let mut object = json!({
        "id": replica.id,
        "address": replica.address,
        "reachable": true,
        "role": role_name(status.role),
        "member": member,
        "last_lsn": status.last_lsn,
        "committed_lsn": status.committed_lsn,
        "applied_lsn": status.applied_lsn,
        "log_start_lsn": status.log_start_lsn,
        "log_bytes": status.log_bytes,
    });
    if status.snapshot_total_bytes > 0 {
        object["snapshot"] = json!({
            "received_bytes": status.snapshot_received_bytes,
            "total_bytes": status.snapshot_total_bytes,
        });
    }
    if !status.waiting.is_empty() {
        object["waiting"] = json!(status.waiting);
    }
    if status.disk_full {
        object["disk_full"] = json!(true);
    }
    if status.replica_id != replica.id {
        object["error"] = json!(format!("replica {} answers here", status.replica_id));
    }
    object
}

fn role_name(role: i32) -> &'static str {
    match Role::try_from(role) {
        Ok(Role::Leader) => "leader",
        Ok(Role::Backup) => "backup",
        Ok(Role::Learner) => "learner",
        Ok(Role::Candidate) => "candidate",
        Ok(Role::Waiting) => "waiting",
        Ok(Role::Unspecified) | Err(_) => "unknown",
    }
}

fn megabytes(bytes: &Value) -> Option<String> {
    let bytes = bytes.as_f64()?;
    Some(format!("{:.1} MB", bytes / 1e6))
}

fn print_table(summary: &Value) -> Result<(), Failure> {
    let leader = match summary["leader"].as_u64() {
        Some(id) => format!("replica {id} leads"),
        None => "nobody leads".to_owned(),
    };
    let mode = summary["mode"].as_str().unwrap_or("unknown");
    line(&format!(
        "{leader}, epoch {}, mode {mode}",
        summary["epoch"]
    ))?;
    let head = [
        "id",
        "address",
        "role",
        "member",
        "last",
        "committed",
        "applied",
        "log",
    ];
    let mut rows: Vec<Vec<String>> = vec![head.iter().map(|cell| (*cell).to_owned()).collect()];
    let mut remarks = Vec::new();
    for replica in summary["replicas"].as_array().into_iter().flatten() {
        let cell = |key: &str| match &replica[key] {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            Value::Bool(true) => "yes".to_owned(),
            Value::Bool(false) => "no".to_owned(),
            other => other.to_string(),
        };
        let role = match replica["reachable"].as_bool() {
            Some(true) => cell("role"),
            _ => "unreachable".to_owned(),
        };
        rows.push(vec![
            cell("id"),
            cell("address"),
            role,
            cell("member"),
            cell("last_lsn"),
            cell("committed_lsn"),
            cell("applied_lsn"),
            megabytes(&replica["log_bytes"]).unwrap_or_else(|| "-".to_owned()),
        ]);
        let snapshot = &replica["snapshot"];
        let parts = [&snapshot["received_bytes"], &snapshot["total_bytes"]];
        if let [Some(received), Some(total)] = parts.map(megabytes) {
            let id = &replica["id"];
            remarks.push(format!(
                "replica {id}: gets a snapshot, {received} of {total}"
            ));
        }
        for key in ["waiting", "error"] {
            if let Some(text) = replica[key].as_str() {
                remarks.push(format!("replica {}: {text}", replica["id"]));
            }
        }
        if replica["disk_full"] == true {
            remarks.push(format!("replica {}: its disk is full", replica["id"]));
        }
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        line(cells.join("  ").trim_end())?;
    }
    remarks.iter().try_for_each(|remark| line(remark))
}

async fn verify(args: Verify) -> Result<(), Failure> {
    let limit = args.connect.deadline()?.unwrap_or(VERIFY_TIMEOUT);
    let client = args.connect.client()?.with_deadline(limit);
    let deadline = Instant::now() + limit;
    let mut checkpoints = 0;
    let (lsn, answers) = loop {
        let lsn = client.create_checkpoint().await?;
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
    let mut questions = Vec::new();
    for replica in replicas.iter().cloned() {
        let client = client.clone();
        questions.push(tokio::spawn(async move {
            let hash = hash_of(&client, &replica, lsn, deadline).await;
            (replica, hash)
        }));
    }
    let mut answers = Vec::new();
    for question in questions {
        if let Ok(answer) = question.await {
            answers.push(answer);
        }
    }
    answers
}

/// Asks until the replica answers, refuses, or is out of reach for too long.
async fn hash_of(
    client: &Client,
    replica: &Replica,
    lsn: u64,
    deadline: Instant,
) -> Result<StateHash, Error> {
    let give_up = deadline.min(Instant::now() + UNREACHABLE_LIMIT);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let answer = client.state_hash(replica, lsn, left).await;
        match answer {
            Err(Error::Unreachable { .. }) if Instant::now() < give_up => {
                sleep(ASK_AGAIN_PAUSE).await;
            }
            other => return other,
        }
    }
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
    line(&match equal {
        true => format!("equal: the same state at LSN {lsn}"),
        false => format!("NOT equal at LSN {lsn}"),
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

    fn view(id: u32, is_master: bool, epoch: u64) -> (Replica, Result<ReplicaView, Error>) {
        let status = tercet_proto::v1::GetStatusResponse {
            replica_id: id,
            role: if is_master {
                Role::Leader
            } else {
                Role::Backup
            }
            .into(),
            mode: "available".to_owned(),
            view: Some(tercet_proto::v1::View {
                epoch,
                config_lsn: 1,
                members: vec![1, 2],
            }),
            last_lsn: 5,
            ..Default::default()
        };
        (replica(id), Ok(ReplicaView { is_master, status }))
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

    #[test]
    fn the_leader_of_the_highest_epoch_counts() {
        let summary = summary(&vec![view(1, true, 3), view(2, true, 4), silent(3)]);
        assert_eq!(summary["leader"], 2);
        assert_eq!(summary["epoch"], 4);
        assert_eq!(summary["mode"], "available");
        assert_eq!(summary["replicas"][0]["member"], true);
        assert_eq!(summary["replicas"][2]["reachable"], false);
        assert_eq!(summary["replicas"][2]["last_lsn"], Value::Null);
    }

    #[test]
    fn without_a_leader_the_rest_is_told_all_the_same() {
        let summary = summary(&vec![view(1, false, 3), silent(2)]);
        assert_eq!(summary["leader"], Value::Null);
        assert_eq!(summary["epoch"], 3);
        assert_eq!(summary["replicas"][0]["role"], "backup");
    }
}
