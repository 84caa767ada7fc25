//! A replica's standing as services and the operator's log see it.

use std::collections::BTreeMap;

use tercet_core::{
    RoleKind, Status,
    config::Mode,
    id::{Lsn, ReplicaId, StoreId},
    message::Hello,
};

use crate::{
    handle::{ReplicaStatus, Role, Storage},
    roster::Roster,
};

/// `hello` is what this replica says of itself, `sessions` with whom it has one, and on which store the
/// other is.
pub(crate) fn of(
    status: &Status,
    hello: &Hello,
    sessions: impl Iterator<Item = (ReplicaId, StoreId)>,
    applied: Lsn,
    disk_full: bool,
    roster: &Roster,
) -> ReplicaStatus {
    let config = status.config.as_ref().map(|(_, config)| config);
    let stores = sessions.chain([(hello.id, hello.store)]).collect();
    ReplicaStatus {
        id: hello.id,
        incarnation: hello.incarnation,
        role: match status.role {
            RoleKind::Leader => Role::Leader,
            RoleKind::Backup => Role::Backup,
            RoleKind::Learner => Role::Learner,
            RoleKind::Candidate => Role::Candidate,
            RoleKind::Waiting => Role::Waiting,
        },
        leader: status.leader,
        epoch: status.epoch,
        config_lsn: status.config.as_ref().map_or(Lsn::ZERO, |(lsn, _)| *lsn),
        members: config.map_or_else(Vec::new, |config| config.members.keys().copied().collect()),
        member_stores: config.map_or_else(BTreeMap::new, |config| config.members.clone()),
        dead: config.map_or_else(Default::default, |config| config.dead.clone()),
        mode: match status.mode {
            Mode::Available => "available",
            Mode::Majority { .. } => "majority",
        },
        view_min: status.mode.view_min(),
        cluster: config.map(|config| config.cluster.0),
        last: status.last,
        commit: status.commit,
        applied,
        firm: status.firm,
        peers: status.peers.clone(),
        waiting: waiting(status, &stores),
        stores,
        waiting_for: status.waiting_for.clone(),
        declared_dead: status.declared_dead.clone(),
        serving: status.serving,
        disk_full,
        storage: Storage::default(),
        roster: roster.clone(),
    }
}

/// For whom a replica waits, and why, in words. `stores` says who is here, and on which store.
fn waiting(status: &Status, stores: &BTreeMap<ReplicaId, StoreId>) -> String {
    let ids = &status.waiting_for;
    if ids.is_empty() {
        return String::new();
    }
    let whom = format!("waiting for {}", replicas(ids));
    let Some((_, config)) = &status.config else {
        return format!("{whom}: a new cluster begins when all replicas are there");
    };
    let elsewhere = |id: &ReplicaId| match (config.members.get(id), stores.get(id)) {
        (Some(member), Some(here)) => member != here,
        _ => false,
    };
    let elsewhere: Vec<ReplicaId> = ids.iter().copied().filter(elsewhere).collect();
    let what = match (ids.len(), elsewhere.len()) {
        (1, 0) => "it",
        (1, _) => "its old store",
        (all, old) if all == old => "their old stores",
        _ => "they",
    };
    let reason = format!("{whom}: {what} may hold newer messages");
    match elsewhere.as_slice() {
        [] => reason,
        [one] => format!("{reason}; replica {one} is here, on another store"),
        several => format!("{reason}; {} are here, on other stores", replicas(several)),
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

#[cfg(test)]
mod tests {
    use tercet_core::{
        config::Config,
        id::{ClusterId, Epoch},
    };

    use super::*;

    fn waits(for_whom: &[u32], members: &[(u32, u128)]) -> Status {
        let members = members
            .iter()
            .map(|&(id, store)| (ReplicaId(id), StoreId(store)));
        let config = Config {
            cluster: ClusterId(1),
            mode: Mode::Available,
            members: members.collect(),
            dead: Default::default(),
        };
        Status {
            role: RoleKind::Waiting,
            serving: false,
            leader: None,
            epoch: Epoch::NONE,
            config: Some((Lsn(1), config)),
            mode: Mode::Available,
            last: Lsn(1),
            commit: Lsn(1),
            firm: false,
            released: false,
            active: false,
            waiting_for: for_whom.iter().copied().map(ReplicaId).collect(),
            declared_dead: Vec::new(),
            peers: Vec::new(),
        }
    }

    #[test]
    fn a_replica_that_is_here_on_another_store_is_waited_for_under_its_old_one() {
        let told = |status: &Status, here: &[(u32, u128)]| {
            let here = here
                .iter()
                .map(|&(id, store)| (ReplicaId(id), StoreId(store)));
            waiting(status, &here.collect())
        };
        let two = waits(&[2], &[(1, 1), (2, 2)]);
        let may_hold = "waiting for replica 2: it may hold newer messages";
        assert_eq!(told(&two, &[(1, 1)]), may_hold);
        // A session that has just begun: it answers soon.
        assert_eq!(told(&two, &[(1, 1), (2, 2)]), may_hold);
        assert_eq!(
            told(&two, &[(1, 1), (2, 9)]),
            "waiting for replica 2: its old store may hold newer messages; replica 2 is here, on \
             another store"
        );
        let both = waits(&[1, 2], &[(1, 1), (2, 2), (3, 3)]);
        assert_eq!(
            told(&both, &[(2, 9)]),
            "waiting for replicas 1 and 2: they may hold newer messages; replica 2 is here, on \
             another store"
        );
        assert_eq!(
            told(&both, &[(1, 8), (2, 9)]),
            "waiting for replicas 1 and 2: their old stores may hold newer messages; replicas 1 \
             and 2 are here, on other stores"
        );
    }
}
