//! The status of a replica, for services and for the operator's log.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use tercet_core::{
    RoleKind, Status,
    config::{LoggedConfig, Mode},
    id::{Lsn, ReplicaId, StoreId},
    message::Hello,
};
use tercet_proto::words::{is_or_are, replicas};
use tercet_store::roster::Roster;

use crate::{
    copies,
    handle::{ReplicaStatus, Role, Storage},
};

/// Makes the status. `hello` is this replica's own; `sessions` lists the connected replicas, each with its
/// store.
pub(crate) fn of(
    status: &Status,
    hello: &Hello,
    sessions: impl Iterator<Item = (ReplicaId, StoreId)>,
    applied: Lsn,
    disk_full: bool,
    roster: &Roster,
) -> ReplicaStatus {
    let config = status.config.as_ref().map(|logged| &logged.config);
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
        config_lsn: status
            .config
            .as_ref()
            .map_or(Lsn::ZERO, |logged| logged.lsn),
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
        waiting: waiting(hello.id, status, &stores),
        stores,
        waiting_for: status.waiting_for.clone(),
        declared_dead: status.declared_dead.clone(),
        serving: status.serving,
        disk_full,
        cleanups_left: false,
        disk_stalled_seconds: status.disk_stalled_for / 1_000_000,
        disk_slow_ms: rounded_ms(status.disk_slow_by),
        slow_disks: {
            let left_out = status.left_out.iter();
            left_out
                .map(|&(id, micros)| (id, rounded_ms(micros)))
                .collect()
        },
        storage: Storage::default(),
        roster: roster.clone(),
    }
}

/// Rounds microseconds to tenths of a second, as milliseconds, and at least one tenth, so that the status does
/// not change with each write.
fn rounded_ms(micros: u64) -> u64 {
    match micros {
        0 => 0,
        _ => (micros / 100_000).max(1) * 100,
    }
}

/// Describes the replicas that replica `own_id` waits for and the reason. `stores` lists the connected replicas,
/// each with its store.
fn waiting(own_id: ReplicaId, status: &Status, stores: &BTreeMap<ReplicaId, StoreId>) -> String {
    if status.unconfirmed && status.role == RoleKind::Waiting {
        return copies::WAITS.to_owned();
    }
    let ids = &status.waiting_for;
    if ids.is_empty() {
        return String::new();
    }
    // A replica waits for itself only under the store that it had before.
    let own = ids.contains(&own_id);
    let others: Vec<ReplicaId> = ids.iter().copied().filter(|id| *id != own_id).collect();
    let whom = match (others.as_slice(), own) {
        ([], _) => "this replica's own old store".to_owned(),
        (others, false) => replicas(others),
        (others, true) => format!("{}, and for this replica's own old store", replicas(others)),
    };
    let whom = format!("waiting for {whom}");
    let Some(LoggedConfig { config, .. }) = &status.config else {
        return format!("{whom}: a new cluster begins when all replicas are there");
    };
    let elsewhere = |id: &ReplicaId| match (config.members.get(id), stores.get(id)) {
        (Some(member), Some(here)) => member != here,
        _ => false,
    };
    let elsewhere: Vec<ReplicaId> = others.iter().copied().filter(elsewhere).collect();
    let what = match (others.len(), elsewhere.len(), own) {
        (0, ..) | (1, 0, false) => "it",
        (1, 1, false) => "its old store",
        (all, old, false) if all == old => "their old stores",
        _ => "they",
    };
    let mut reason = format!("{whom}: {what} may hold newer messages");
    match elsewhere.as_slice() {
        [] => {}
        [one] => reason.push_str(&format!("; replica {one} is here, on another store")),
        several => {
            reason.push_str(&format!(
                "; {} are here, on other stores",
                replicas(several)
            ));
        }
    }
    if own {
        reason.push_str("; this replica is on another store now");
    }
    reason
}

/// The time that a replica waits before the log reports it; in a takeover all wait for a moment.
const WAITS_BEFORE_TOLD: Duration = Duration::from_secs(1);

/// The reports of a wait in the operator's log.
#[derive(Default)]
pub(crate) struct WaitReport {
    waiting: String,
    since: Option<Instant>,
    reported: String,
}

impl WaitReport {
    /// Gives the line to log now: the replicas that this one waits for, once the wait has lasted.
    pub(crate) fn due(&mut self, now: &ReplicaStatus, at: Instant) -> Option<String> {
        let waiting = match now.role {
            Role::Waiting => now.waiting.as_str(),
            _ => "",
        };
        if self.waiting != waiting {
            waiting.clone_into(&mut self.waiting);
            self.since = Some(at);
        }
        let lasts = self
            .since
            .is_some_and(|since| at.saturating_duration_since(since) >= WAITS_BEFORE_TOLD);
        if !lasts || self.reported == waiting {
            return None;
        }
        waiting.clone_into(&mut self.reported);
        (!waiting.is_empty()).then(|| waiting.to_owned())
    }
}

/// Logs the changes between two statuses.
pub(crate) fn report(before: &ReplicaStatus, now: &ReplicaStatus) {
    if before.role != now.role || before.leader != now.leader || before.epoch != now.epoch {
        tracing::info!(
            role = ?now.role,
            leader = now.leader.map_or(0, |id| id.0),
            epoch = %now.epoch,
            last = now.last.0,
            commit = now.commit.0,
            "status"
        );
    }
    if before.members != now.members {
        let members: Vec<u32> = now.members.iter().map(|id| id.0).collect();
        tracing::info!(?members, config_lsn = now.config_lsn.0, "view");
    }
    report_disk(before, now);
    report_slow_disks(before, now);
    if !before.serving && now.serving {
        tracing::info!(epoch = %now.epoch, "this replica leads and serves");
    }
}

/// Logs that this replica's clock stood still. Both numbers are microseconds since the start; `reported` is the
/// number that was logged last.
pub(crate) fn report_lost_time(reported: &mut u64, lost: u64) {
    let news = lost.saturating_sub(std::mem::replace(reported, lost));
    if news > 0 {
        tracing::warn!(
            "the clock of this replica stood still for {} ms, as another replica's clock shows: this host was \
             paused. The replica continues as after any sleep",
            news / 1_000
        );
    }
}

/// Logs that the disk of this replica does not answer, and that it does again.
fn report_disk(before: &ReplicaStatus, now: &ReplicaStatus) {
    let (was, is) = (before.disk_stalled_seconds, now.disk_stalled_seconds);
    match (was, is) {
        (0, 1..) => {
            let what = match now.role {
                Role::Leader => "it leads on, as no other member can take over, and no write ends",
                _ => {
                    "it does not lead and is left out of the view; it comes back when the disk answers"
                }
            };
            tracing::error!(
                "this replica's disk has not answered for {is} s: {what}. Check the disk, or stop this replica"
            );
        }
        (1.., 0) => tracing::info!("this replica's disk answers again, after {was} s or more"),
        _ => {}
    }
}

/// Logs slow disks: this replica's own, for which it gave up the lead, and, on the leader, that of each replica
/// kept out of the view.
fn report_slow_disks(before: &ReplicaStatus, now: &ReplicaStatus) {
    if before.disk_slow_ms == 0 && now.disk_slow_ms > 0 {
        tracing::warn!(
            "this replica's disk is slow: a write takes {} s, and the other disks are much faster. It gave up \
             the lead, and comes back when its disk is fast. Check the disk",
            in_seconds(now.disk_slow_ms)
        );
    }
    let slow = |status: &ReplicaStatus, id| status.slow_disks.iter().any(|(slow, _)| *slow == id);
    for &(id, ms) in now.slow_disks.iter().filter(|(id, _)| !slow(before, *id)) {
        tracing::warn!(
            "the disk of replica {id} is slow: a write takes {} s. Replica {id} is kept out of the view, so that \
             no write waits for it, and returns when its disk is fast. Check its disk",
            in_seconds(ms)
        );
    }
    let returned = before.slow_disks.iter().filter(|(id, _)| !slow(now, *id));
    for (id, _) in returned.filter(|(id, _)| now.members.contains(id)) {
        tracing::info!("replica {id}, whose disk was slow, is in the view again");
    }
}

/// Writes 4,100 milliseconds as `4.1`.
fn in_seconds(ms: u64) -> String {
    format!("{}.{}", ms / 1_000, ms % 1_000 / 100)
}

/// Logs that this replica leaves, and whether other replicas are not in step.
pub(crate) fn report_stop(status: &ReplicaStatus) {
    tracing::info!("stopping: leaving the view first");
    let missing = status.not_in_step();
    if !missing.is_empty() {
        tracing::warn!(
            "stopping while {}: the view keeps {} of {} replicas. Unless the whole cluster is to stop, wait \
             until the first is a member again before the second is stopped: `tercet cluster stop` and \
             `tercet cluster rolling-restart` do",
            are_not_in_step(&missing),
            status.members.len() - 1,
            status.roster.iter().count(),
        );
    }
}

/// Writes `replicas 2 and 3 are not in step`.
pub(crate) fn are_not_in_step(missing: &[ReplicaId]) -> String {
    let verb = is_or_are(missing.len());
    format!("{} {verb} not in step", replicas(missing))
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
            config: Some(LoggedConfig {
                lsn: Lsn(1),
                config,
            }),
            mode: Mode::Available,
            last: Lsn(1),
            commit: Lsn(1),
            firm: false,
            released: false,
            active: false,
            unconfirmed: false,
            lost_time: 0,
            disk_stalled_for: 0,
            disk_slow_by: 0,
            left_out: Vec::new(),
            waiting_for: for_whom.iter().copied().map(ReplicaId).collect(),
            declared_dead: Vec::new(),
            peers: Vec::new(),
        }
    }

    #[test]
    fn a_replica_on_a_copied_directory_says_so_while_nobody_leads() {
        let mut status = waits(&[], &[]);
        status.unconfirmed = true;
        let words = waiting(ReplicaId(3), &status, &BTreeMap::new());
        assert!(words.contains("--accept-copied-store"), "{words}");
        status.role = RoleKind::Learner;
        assert_eq!(waiting(ReplicaId(3), &status, &BTreeMap::new()), "");
    }

    #[test]
    fn a_replica_that_is_here_on_another_store_is_waited_for_under_its_old_one() {
        let reported = |status: &Status, here: &[(u32, u128)]| {
            let here = here
                .iter()
                .map(|&(id, store)| (ReplicaId(id), StoreId(store)));
            waiting(ReplicaId(3), status, &here.collect())
        };
        let two = waits(&[2], &[(1, 1), (2, 2)]);
        let may_hold = "waiting for replica 2: it may hold newer messages";
        assert_eq!(reported(&two, &[(1, 1)]), may_hold);
        // A session that has just begun: its replica answers soon.
        assert_eq!(reported(&two, &[(1, 1), (2, 2)]), may_hold);
        assert_eq!(
            reported(&two, &[(1, 1), (2, 9)]),
            "waiting for replica 2: its old store may hold newer messages; replica 2 is here, on \
             another store"
        );
        let both = waits(&[1, 2], &[(1, 1), (2, 2), (3, 3)]);
        assert_eq!(
            reported(&both, &[(2, 9)]),
            "waiting for replicas 1 and 2: they may hold newer messages; replica 2 is here, on \
             another store"
        );
        assert_eq!(
            reported(&both, &[(1, 8), (2, 9)]),
            "waiting for replicas 1 and 2: their old stores may hold newer messages; replicas 1 \
             and 2 are here, on other stores"
        );
    }

    #[test]
    fn a_replica_never_names_itself_among_those_it_waits_for() {
        let own_id = ReplicaId(1);
        let reported = |for_whom: &[u32], here: &[(u32, u128)]| {
            let status = waits(for_whom, &[(1, 1), (2, 2), (3, 3)]);
            let here = here
                .iter()
                .map(|&(id, store)| (ReplicaId(id), StoreId(store)));
            waiting(own_id, &status, &here.collect())
        };
        for (for_whom, here, text) in [
            (&[][..], &[(1, 1)][..], ""),
            (
                &[2],
                &[(1, 1)],
                "waiting for replica 2: it may hold newer messages",
            ),
            (
                &[2, 3],
                &[(1, 1)],
                "waiting for replicas 2 and 3: they may hold newer messages",
            ),
            (
                &[1],
                &[(1, 9)],
                "waiting for this replica's own old store: it may hold newer messages; this replica is \
                 on another store now",
            ),
            (
                &[1, 2],
                &[(1, 9)],
                "waiting for replica 2, and for this replica's own old store: they may hold newer \
                 messages; this replica is on another store now",
            ),
            (
                &[1, 2, 3],
                &[(1, 9), (3, 8)],
                "waiting for replicas 2 and 3, and for this replica's own old store: they may hold \
                 newer messages; replica 3 is here, on another store; this replica is on another store \
                 now",
            ),
        ] {
            assert_eq!(reported(for_whom, here), text);
        }
        let mut new = waits(&[2, 3], &[]);
        new.config = None;
        assert_eq!(
            waiting(own_id, &new, &BTreeMap::new()),
            "waiting for replicas 2 and 3: a new cluster begins when all replicas are there"
        );
    }

    #[test]
    fn a_wait_is_told_once_when_it_lasts_and_not_in_a_takeover() {
        let status = |role: RoleKind| {
            let core = Status {
                role,
                ..waits(&[2], &[(1, 1), (2, 2)])
            };
            let hello = Hello {
                id: ReplicaId(1),
                store: StoreId(1),
                incarnation: tercet_core::id::Incarnation(1),
                cluster: None,
                active: false,
                dead: Default::default(),
                dead_by: Epoch::NONE,
                acknowledged: Default::default(),
            };
            of(
                &core,
                &hello,
                [].into_iter(),
                Lsn::ZERO,
                false,
                &Roster::default(),
            )
        };
        let mut report = WaitReport::default();
        let start = Instant::now();
        let later = |seconds: u64| start + Duration::from_secs(seconds);
        assert_eq!(report.due(&status(RoleKind::Waiting), start), None);
        // A candidate waits for promises; an operator cannot end that wait.
        assert_eq!(report.due(&status(RoleKind::Candidate), later(1)), None);
        assert_eq!(report.due(&status(RoleKind::Waiting), later(2)), None);
        let reported = report.due(&status(RoleKind::Waiting), later(3));
        assert!(reported.is_some_and(|reported| reported.contains("replica 2")));
        assert_eq!(report.due(&status(RoleKind::Waiting), later(9)), None);
    }
}
