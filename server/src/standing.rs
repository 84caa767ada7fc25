//! A replica's standing as services and the operator's log see it.

use tercet_core::{
    RoleKind, Status,
    config::Mode,
    id::{Incarnation, Lsn, ReplicaId},
};

use crate::{
    handle::{ReplicaStatus, Role, Storage},
    roster::Roster,
};

pub(crate) fn of(
    status: &Status,
    id: ReplicaId,
    incarnation: Incarnation,
    applied: Lsn,
    disk_full: bool,
    roster: &Roster,
) -> ReplicaStatus {
    let config = status.config.as_ref();
    ReplicaStatus {
        id,
        incarnation,
        role: match status.role {
            RoleKind::Leader => Role::Leader,
            RoleKind::Backup => Role::Backup,
            RoleKind::Learner => Role::Learner,
            RoleKind::Candidate => Role::Candidate,
            RoleKind::Waiting => Role::Waiting,
        },
        leader: status.leader,
        epoch: status.epoch,
        config_lsn: config.map_or(Lsn::ZERO, |(lsn, _)| *lsn),
        members: config.map_or_else(Vec::new, |(_, config)| {
            config.members.keys().copied().collect()
        }),
        mode: match status.mode {
            Mode::Available => "available",
            Mode::Majority { .. } => "majority",
        },
        view_min: status.mode.view_min(),
        cluster: config.map(|(_, config)| config.cluster.0),
        last: status.last,
        commit: status.commit,
        applied,
        firm: status.firm,
        peers: status.peers.clone(),
        waiting: waiting(status),
        serving: status.serving,
        disk_full,
        storage: Storage::default(),
        roster: roster.clone(),
    }
}

/// Whether the lead is to go to another soon, or comes here. Of a stop the driver knows.
pub(crate) fn passes_the_lead(status: &Status, id: ReplicaId) -> bool {
    let has_lower = || {
        let config = status.config.as_ref();
        config.is_some_and(|(_, config)| config.members.keys().any(|member| *member < id))
    };
    match status.role {
        RoleKind::Candidate => true,
        RoleKind::Leader => !status.serving || has_lower(),
        RoleKind::Backup | RoleKind::Learner | RoleKind::Waiting => false,
    }
}

/// For whom a replica waits, and why, in words.
fn waiting(status: &Status) -> String {
    let ids = &status.waiting_for;
    if ids.is_empty() {
        return String::new();
    }
    let whom = format!("waiting for {}", replicas(ids));
    match &status.config {
        None => format!("{whom}: a new cluster begins when all replicas are there"),
        Some(_) if ids.len() > 1 => format!("{whom}: they may hold newer messages"),
        Some(_) => format!("{whom}: it may hold newer messages"),
    }
}

/// Tells the operator's log what changed.
pub(crate) fn report(before: &ReplicaStatus, now: &ReplicaStatus) {
    if before.role != now.role || before.leader != now.leader || before.epoch != now.epoch {
        tracing::info!(
            role = ?now.role,
            leader = now.leader.map_or(0, |id| id.0),
            epoch = %now.epoch,
            last = now.last.0,
            commit = now.commit.0,
            "standing"
        );
    }
    if before.members != now.members {
        let members: Vec<u32> = now.members.iter().map(|id| id.0).collect();
        tracing::info!(?members, config_lsn = now.config_lsn.0, "view");
    }
    if !before.serving && now.serving {
        tracing::info!(epoch = %now.epoch, "this replica leads and serves");
    }
    if before.waiting != now.waiting && !now.waiting.is_empty() {
        tracing::warn!("{}", now.waiting);
    }
}

/// Tells the operator's log that this replica leaves, and whether it should have waited.
pub(crate) fn report_stop(standing: &ReplicaStatus) {
    tracing::info!("stopping: leaving the view first");
    let missing = standing.not_in_step();
    if !missing.is_empty() {
        tracing::warn!(
            "stopping while {}: the view keeps {} of {} replicas. Unless the whole cluster is to stop, wait \
             until the first is a member again before the second is stopped: `tercet cluster stop` and \
             `tercet cluster rolling-restart` do",
            are_not_in_step(&missing),
            standing.members.len() - 1,
            standing.roster.iter().count(),
        );
    }
}

/// `replicas 2 and 3 are not in step`.
pub(crate) fn are_not_in_step(missing: &[ReplicaId]) -> String {
    match missing {
        [one] => format!("replica {one} is not in step"),
        several => format!("{} are not in step", replicas(several)),
    }
}

/// `replica 2`, `replicas 1, 2 and 3`.
fn replicas(ids: &[ReplicaId]) -> String {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    match ids.as_slice() {
        [one] => format!("replica {one}"),
        [others @ .., last] => format!("replicas {} and {last}", others.join(", ")),
        [] => "no replica".to_owned(),
    }
}
