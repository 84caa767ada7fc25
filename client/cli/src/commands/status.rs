//! `cluster status`: who leads, how each replica stands, and an exit code for monitors.

use std::time::Duration;

use serde_json::{Value, json};
use tercet_client::{Replica, ReplicaView, Role};

use super::clocks;
use super::connect::Connect;
use super::everybody::{Answers, epoch, no_answer, roster_views};
use crate::output::{Failure, line, object};

/// How long one replica may take to say how it stands.
const STATUS_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub struct Status {
    #[command(flatten)]
    pub connect: Connect,
}

pub(super) async fn status(args: Status) -> Result<(), Failure> {
    let limit = args.connect.deadline()?;
    let limit = limit.map_or(STATUS_TIMEOUT, |limit| limit.min(STATUS_TIMEOUT));
    let client = args.connect.client()?;
    let (_, source) = args.connect.list();
    let answers = roster_views(&client, source, limit).await;
    let summary = summary(&answers);
    if args.connect.json {
        object(&summary)?;
    } else {
        print_table(&summary)?;
    }
    match Health::of(&answers) {
        Health::Whole => Ok(()),
        Health::Degraded => Err(Failure::Degraded),
        Health::Unavailable => Err(Failure::Told),
    }
}

/// How the cluster is, in the three steps that a monitor tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    /// A leader serves, and every replica of the cluster answers and is in step.
    Whole,
    /// A leader serves; a replica is missing, not in step, or on a disk that is full or does not answer.
    Degraded,
    /// No leader is found from here.
    Unavailable,
}

impl Health {
    fn of(answers: &Answers<ReplicaView>) -> Health {
        let Some(leader) = leader(answers) else {
            return Health::Unavailable;
        };
        // Who is in a list and not in the cluster does not count.
        let belongs = |id: u32| {
            let mut replicas = leader.status.replicas.iter();
            leader.status.replicas.is_empty() || replicas.any(|replica| replica.replica_id == id)
        };
        let is_well = |(replica, answer): &(Replica, _)| match answer {
            Ok(ReplicaView { status, .. }) => {
                let disk_is_well = !status.disk_full && status.disk_stalled_seconds == 0;
                is_member(leader, replica.id) && disk_is_well && status.waiting.is_empty()
            }
            Err(_) => false,
        };
        let mut concerned = answers.iter().filter(|(replica, _)| belongs(replica.id));
        if concerned.all(is_well) {
            Health::Whole
        } else {
            Health::Degraded
        }
    }

    fn name(self) -> &'static str {
        match self {
            Health::Whole => "whole",
            Health::Degraded => "degraded",
            Health::Unavailable => "unserved",
        }
    }
}

fn reached(answers: &Answers<ReplicaView>) -> impl Iterator<Item = &ReplicaView> {
    answers
        .iter()
        .filter_map(|(_, answer)| answer.as_ref().ok())
}

/// Who leads, of those who answer.
fn leader(answers: &Answers<ReplicaView>) -> Option<&ReplicaView> {
    let leaders = reached(answers).filter(|view| view.is_master);
    leaders.max_by_key(|view| epoch(view))
}

/// The leader that the most advanced of the others name, when it does not say so itself.
fn named_leader(answers: &Answers<ReplicaView>) -> Option<u32> {
    let naming = reached(answers).filter(|view| {
        let named = view.status.leader_id;
        named > 0 && named != view.status.replica_id
    });
    let newest = naming.max_by_key(|view| epoch(view))?;
    Some(newest.status.leader_id)
}

/// A replica in the role of the leader that does not serve: cut off from the others, or amid a takeover.
fn own_leader(summary: &Value) -> Option<u64> {
    let replicas = summary["replicas"].as_array()?;
    let own = replicas.iter().find(|replica| replica["role"] == "leader");
    own?["id"].as_u64()
}

/// Who leads, in words.
fn leading(summary: &Value) -> String {
    let known = summary["known_leader"].as_u64();
    match (summary["leader"].as_u64(), known) {
        (Some(id), _) => format!("replica {id} leads"),
        (None, Some(id)) => match summary["replicas"].as_array().and_then(|replicas| {
            let mut replicas = replicas.iter();
            replicas.find(|replica| replica["id"] == id && replica["reachable"] == true)
        }) {
            Some(_) => format!("replica {id} is named as the leader, and does not serve now"),
            None => format!("replica {id} leads, as the others say, and is out of reach from here"),
        },
        (None, None) if own_leader(summary).is_some() => format!(
            "nobody serves: replica {} leads by its own account, and hears too few of the others or is \
             taking over",
            own_leader(summary).unwrap_or_default()
        ),
        (None, None) if summary["mode"].is_null() => {
            "no replica answers, so it is not known who leads".to_owned()
        }
        (None, None) => "no replica that answers knows a leader".to_owned(),
    }
}

/// The object that `status --json` prints.
fn summary(answers: &Answers<ReplicaView>) -> Value {
    let leader = leader(answers);
    let best = leader.or_else(|| reached(answers).max_by_key(|view| epoch(view)));
    let replicas = answers.iter().map(|(replica, answer)| match answer {
        Ok(view) => with_clock(best, replica, reached_json(replica, view, leader)),
        Err(error) => with_clock(
            best,
            replica,
            json!({
                "id": replica.id, "address": replica.address, "reachable": false,
                "role": null, "member": leader.map(|leader| is_member(leader, replica.id)),
                "last_lsn": null, "committed_lsn": null, "applied_lsn": null,
                "error": no_answer(error),
            }),
        ),
    });
    json!({
        "health": Health::of(answers).name(),
        "leader": leader.map(|leader| leader.status.replica_id),
        "known_leader": leader.map_or_else(|| named_leader(answers), |leader| Some(leader.status.replica_id)),
        "epoch": best.map_or(0, epoch),
        "mode": best.map(|view| view.status.mode.clone()),
        "time_ms": best.map(|view| view.status.time_ms),
        "time_agreed": best.map(|view| view.status.time_agreed),
        "stamps_ahead_ms": best.map(|view| view.status.stamps_ahead_ms),
        "replicas": replicas.collect::<Vec<_>>(),
    })
}

/// Adds how far the clock of a replica is out, as `asked` sees it.
fn with_clock(asked: Option<&ReplicaView>, replica: &Replica, mut object: Value) -> Value {
    let seen = asked.and_then(|view| {
        let mut seen = view.status.replicas.iter();
        seen.find(|seen| seen.replica_id == replica.id)
    });
    object["clock_offset_ms"] = json!(seen.and_then(|seen| seen.clock_offset_ms));
    object["clock_error_ms"] = json!(seen.and_then(|seen| seen.clock_error_ms));
    object
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
        "serves": view.is_master,
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
    if status.disk_stalled_seconds > 0 {
        object["disk_stalled_seconds"] = json!(status.disk_stalled_seconds);
    }
    let as_led = leader.map_or(&[][..], |leader| &leader.status.replicas);
    let as_led = as_led
        .iter()
        .find(|other| other.replica_id == status.replica_id);
    if let Some(ms) = as_led.map(|other| other.slow_disk_ms).filter(|ms| *ms > 0) {
        object["slow_disk_ms"] = json!(ms);
    }
    if status.disk_full {
        object["disk_full"] = json!(true);
    }
    object
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Leader => "leader",
        Role::Backup => "backup",
        Role::Learner => "learner",
        Role::Candidate => "candidate",
        Role::Waiting => "waiting",
        Role::Unknown => "unknown",
    }
}

fn megabytes(bytes: &Value) -> Option<String> {
    let bytes = bytes.as_f64()?;
    Some(format!("{:.1} MB", bytes / 1e6))
}

fn print_table(summary: &Value) -> Result<(), Failure> {
    let leader = leading(summary);
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
        "clock",
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
            Some(true) if replica["role"] == "leader" && replica["serves"] == false => {
                "leader, not serving".to_owned()
            }
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
            clocks::cell(replica),
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
        if let Some(seconds) = replica["disk_stalled_seconds"].as_u64() {
            remarks.push(format!(
                "replica {}: its disk has not answered for {seconds} s",
                replica["id"]
            ));
        }
        if let Some(ms) = replica["slow_disk_ms"].as_u64() {
            remarks.push(format!(
                "replica {}: its disk is slow, a write took {}.{} s: it is kept out of the view until the disk is fast",
                replica["id"],
                ms / 1_000,
                ms % 1_000 / 100
            ));
        }
        if replica["disk_full"] == true {
            remarks.push(format!("replica {}: its disk is full", replica["id"]));
        }
        remarks.extend(clocks::remark(summary, replica));
    }
    remarks.extend(clocks::stamps_ahead(summary));
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

#[cfg(test)]
mod tests {
    use super::*;
    use tercet_client::Error;

    fn replica(id: u32) -> Replica {
        Replica {
            id,
            address: format!("host:{id}"),
        }
    }

    fn silent<T>(id: u32) -> (Replica, Result<T, Error>) {
        let last = "gone".to_owned();
        (replica(id), Err(Error::Unanswered { last }))
    }

    fn view(id: u32, is_master: bool, epoch: u64) -> (Replica, Result<ReplicaView, Error>) {
        let status = tercet_client::Status {
            replica_id: id,
            role: if is_master {
                Role::Leader
            } else {
                Role::Backup
            },
            mode: "available".to_owned(),
            view: Some(tercet_client::View {
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

    /// A view whose members are 1 and 2, of a cluster of as many as are named.
    fn of_cluster(id: u32, leads: u32, belong: &[u32]) -> (Replica, Result<ReplicaView, Error>) {
        let (replica, view) = view(id, id == leads, 3);
        let view = view.map(|mut view| {
            view.status.leader_id = leads;
            let member = |&id: &u32| tercet_client::RosterEntry {
                replica_id: id,
                ..Default::default()
            };
            view.status.replicas = belong.iter().map(member).collect();
            view
        });
        (replica, view)
    }

    #[test]
    fn a_monitor_tells_a_whole_cluster_from_a_degraded_one_and_one_without_a_leader() {
        let health = |answers: Vec<_>| Health::of(&answers);
        let two = [1, 2];
        let whole = || vec![of_cluster(1, 1, &two), of_cluster(2, 1, &two)];
        assert_eq!(health(whole()), Health::Whole);
        let mut listed_and_removed = whole();
        listed_and_removed.push(silent(3));
        assert_eq!(health(listed_and_removed), Health::Whole);
        let three = [1, 2, 3];
        let not_a_member = vec![
            of_cluster(1, 1, &three),
            of_cluster(2, 1, &three),
            of_cluster(3, 1, &three),
        ];
        assert_eq!(health(not_a_member), Health::Degraded);
        assert_eq!(
            health(vec![of_cluster(1, 1, &two), silent(2)]),
            Health::Degraded
        );
        let mut full = whole();
        full[1].1.as_mut().expect("it answers").status.disk_full = true;
        assert_eq!(health(full), Health::Degraded);
        let mut stalled = whole();
        stalled[1]
            .1
            .as_mut()
            .expect("it answers")
            .status
            .disk_stalled_seconds = 6;
        assert_eq!(health(stalled), Health::Degraded);
        assert_eq!(
            health(vec![of_cluster(2, 0, &two), silent(1)]),
            Health::Unavailable
        );
        assert_eq!(health(vec![silent(1), silent(2)]), Health::Unavailable);
    }

    /// The same replica without a lease.
    fn cut_off(
        (replica, view): (Replica, Result<ReplicaView, Error>),
    ) -> (Replica, Result<ReplicaView, Error>) {
        let view = view.map(|view| ReplicaView {
            is_master: false,
            ..view
        });
        (replica, view)
    }

    #[test]
    fn a_leader_out_of_reach_is_told_from_none() {
        let told = |answers: Vec<_>| leading(&summary(&answers));
        let two = [1, 2];
        for (answers, text) in [
            (
                vec![of_cluster(1, 1, &two), of_cluster(2, 1, &two)],
                "replica 1 leads",
            ),
            (
                vec![silent(1), of_cluster(2, 1, &two)],
                "replica 1 leads, as the others say, and is out of reach from here",
            ),
            (
                vec![view(1, false, 3), of_cluster(2, 1, &two)],
                "replica 1 is named as the leader, and does not serve now",
            ),
            (
                vec![silent(1), of_cluster(2, 0, &two)],
                "no replica that answers knows a leader",
            ),
            (
                vec![cut_off(of_cluster(1, 1, &two)), silent(2)],
                "nobody serves: replica 1 leads by its own account, and hears too few of the others or \
                 is taking over",
            ),
            (
                vec![silent(1), silent(2)],
                "no replica answers, so it is not known who leads",
            ),
        ] {
            assert_eq!(told(answers), text);
        }
    }
}
