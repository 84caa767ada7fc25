//! The status: a summary of a replica for its shell, for operators, for `IsMaster`, and for tests.

use alloc::{collections::BTreeSet, vec::Vec};

use crate::{
    config::{LoggedConfig, Mode},
    id::{Epoch, Lsn, ReplicaId},
    role::Role,
    shared::Common,
};

/// The role of a replica, as it sees itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleKind {
    /// The replica leads a view.
    Leader,
    /// The replica follows a leader as a member of its view.
    Backup,
    /// The replica follows a leader and catches up.
    Learner,
    /// The replica collects promises.
    Candidate,
    /// The replica knows no leader.
    Waiting,
}

/// The result of [`crate::Replica::status`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The role of the replica.
    pub role: RoleKind,
    /// True if it leads and its view is committed. `lease_until` tells whether it may answer a read.
    pub serving: bool,
    /// The leader that it knows, itself included.
    pub leader: Option<ReplicaId>,
    /// The highest epoch that it promised.
    pub epoch: Epoch,
    /// The newest Config in its log.
    pub config: Option<LoggedConfig>,
    /// The mode of the cluster, or the one that it would be made with.
    pub mode: Mode,
    /// The LSN of the last entry in its log.
    pub last: Lsn,
    /// The LSN up to which it knows the log to be committed.
    pub commit: Lsn,
    /// True if it leads and its newest Config is firm (see the glossary): replicas that are not in that Config are
    /// not needed any more.
    pub firm: bool,
    /// True if the leader that it follows has said that it does not need this replica, which was removed, any more.
    pub released: bool,
    /// True if it has been up without a break since a leader told it that a Config with it was committed.
    pub active: bool,
    /// True if its store was copied or moved and is not confirmed: then it only follows.
    pub unconfirmed: bool,
    /// The time for which its clock stood still since its start, microseconds, as the peers' clocks showed.
    pub lost_time: u64,
    /// The time for which its disk has not answered, microseconds; 0 unless that is longer than a member may take.
    pub disk_stalled_for: u64,
    /// The latency of a write to its disk, microseconds, if it gave up the lead for its disk a moment ago; else 0.
    pub disk_slow_by: u64,
    /// On the leader: the replicas that are kept out of the view for their slow disks, each with the latency of its
    /// acknowledgements, microseconds.
    pub left_out: Vec<(ReplicaId, u64)>,
    /// The replicas whose answers it needs before it may lead; empty unless it waits.
    pub waiting_for: Vec<ReplicaId>,
    /// The replicas that the operator has declared dead; empty once a leader is known.
    pub declared_dead: Vec<ReplicaId>,
    /// The other replicas: whether each has a session, and, on the leader, the LSN up to which it has the log on
    /// disk.
    pub peers: Vec<(ReplicaId, bool, Lsn)>,
}

impl Status {
    /// Tells whether only positions in logs, and times, differ from those in `before`. A commit position that passes
    /// the newest Config is a greater change: the Config is committed then.
    #[must_use]
    pub fn has_only_advanced(&self, before: &Status) -> bool {
        let committed = |status: &Status| {
            let config = status.config.as_ref();
            config.is_some_and(|logged| logged.lsn <= status.commit)
        };
        let links = |peers: &[(ReplicaId, bool, Lsn)], other: &[(ReplicaId, bool, Lsn)]| {
            let link = |&(id, linked, _): &(ReplicaId, bool, Lsn)| (id, linked);
            peers.iter().map(link).eq(other.iter().map(link))
        };
        // The fields are named one by one, so that a new field is decided on here.
        let Status {
            role,
            serving,
            leader,
            epoch,
            config,
            mode,
            last: _,
            commit: _,
            firm,
            released,
            active,
            unconfirmed,
            lost_time,
            disk_stalled_for: _,
            disk_slow_by: _,
            left_out: _,
            waiting_for,
            declared_dead,
            peers,
        } = self;
        *role == before.role
            && *serving == before.serving
            && *leader == before.leader
            && *epoch == before.epoch
            && *config == before.config
            && *mode == before.mode
            && *firm == before.firm
            && *released == before.released
            && *active == before.active
            && *unconfirmed == before.unconfirmed
            && *lost_time == before.lost_time
            && *waiting_for == before.waiting_for
            && *declared_dead == before.declared_dead
            && committed(self) == committed(before)
            && links(peers, &before.peers)
    }

    /// Tells whether the lead is about to go from this replica, `id`, to another, or to come to it: the shell then
    /// gives ticks every [`crate::config::TICK_INTERVAL_HURRIED`].
    #[must_use]
    pub fn passes_the_lead(&self, id: ReplicaId) -> bool {
        let has_lower = || {
            let mut members = self
                .config
                .iter()
                .flat_map(|logged| logged.config.members.keys());
            members.any(|member| *member < id)
        };
        match self.role {
            RoleKind::Candidate => true,
            RoleKind::Leader => !self.serving || has_lower(),
            RoleKind::Backup | RoleKind::Learner | RoleKind::Waiting => false,
        }
    }

    pub(crate) fn of(c: &Common, role: &Role) -> Status {
        let followed = match role {
            Role::Follower(follower) => follower.followed(c),
            Role::Candidate(_) | Role::Leader(_) => None,
        };
        let (kind, waiting_for) = match role {
            Role::Leader(_) => (RoleKind::Leader, BTreeSet::new()),
            Role::Candidate(candidate) => (RoleKind::Candidate, candidate.missing(c)),
            Role::Follower(follower) => match followed {
                Some(following) if following.member => (RoleKind::Backup, BTreeSet::new()),
                Some(_) => (RoleKind::Learner, BTreeSet::new()),
                None => (RoleKind::Waiting, follower.waiting_for()),
            },
        };
        let matched = |id| match role {
            Role::Leader(leader) => leader.progress.get(&id).map_or(Lsn::ZERO, |p| p.matched),
            Role::Follower(_) | Role::Candidate(_) => Lsn::ZERO,
        };
        let serves = |role: &Role| match role {
            Role::Leader(leader) => leader.installed,
            Role::Follower(_) | Role::Candidate(_) => false,
        };
        let firm = match role {
            Role::Leader(leader) => leader.is_firm(c),
            Role::Follower(_) | Role::Candidate(_) => false,
        };
        let left_out = match role {
            Role::Leader(leader) => leader.left_out(c),
            Role::Follower(_) | Role::Candidate(_) => Vec::new(),
        };
        let gave_up = c.is_excused() && !c.disk_stalls();
        Status {
            role: kind,
            serving: serves(role),
            leader: role.leader(c),
            epoch: c.promised,
            config: c.log.logged_config().cloned(),
            mode: c.mode(),
            last: c.log.last(),
            commit: c.commit,
            firm,
            released: followed.is_some_and(|following| following.released),
            active: c.active,
            unconfirmed: c.is_unconfirmed(),
            lost_time: c.lost_time,
            disk_stalled_for: if c.disk_stalls() { c.disk_silence() } else { 0 },
            disk_slow_by: if gave_up { c.disk.takes(c.now) } else { 0 },
            left_out,
            waiting_for: waiting_for.into_iter().collect(),
            declared_dead: c.declared.iter().copied().collect(),
            peers: c
                .peers
                .ids()
                .map(|id| (id, c.peers.is_linked(id), matched(id)))
                .collect(),
        }
    }
}
