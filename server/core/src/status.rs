//! A summary of a replica for its shell: for operators, for `IsMaster`, and for tests.

use alloc::{collections::BTreeSet, vec::Vec};

use crate::{
    config::{LoggedConfig, Mode},
    id::{Epoch, Lsn, ReplicaId},
    role::Role,
    shared::Common,
};

/// What a replica is, as it sees itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleKind {
    /// Leads a view.
    Leader,
    /// Follows a leader as a member of its view.
    Backup,
    /// Follows a leader and catches up.
    Learner,
    /// Collects promises.
    Candidate,
    /// Knows no leader.
    Waiting,
}

/// See [`crate::Replica::status`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its role.
    pub role: RoleKind,
    /// Leads, and its view is committed. Whether it may answer a read is for `lease_until`.
    pub serving: bool,
    /// The leader it knows, itself included.
    pub leader: Option<ReplicaId>,
    /// Highest epoch promised.
    pub epoch: Epoch,
    /// Newest Config in its log.
    pub config: Option<LoggedConfig>,
    /// The cluster's mode, or the one it would be made with.
    pub mode: Mode,
    /// Last entry in its log.
    pub last: Lsn,
    /// What it knows to be committed.
    pub commit: Lsn,
    /// Whether it leads, and its newest Config is firm (see the glossary): whoever is not in it is
    /// needed no more.
    pub firm: bool,
    /// Whether the leader that it follows has said that this replica, which was removed, is needed no
    /// more.
    pub released: bool,
    /// Up without a break since it learnt that a Config with it was committed.
    pub active: bool,
    /// Whether its store was copied or moved and is not confirmed: it follows, and does nothing else.
    pub unconfirmed: bool,
    /// How long its clock stood still since its start, microseconds, as the peers' clocks showed.
    pub lost_time: u64,
    /// How long its disk has not answered, microseconds; 0 unless that is longer than a member may take.
    pub disk_stalled_for: u64,
    /// How long a write to its disk takes, microseconds, if it gave up the lead for that a moment ago; else 0.
    pub disk_slow_by: u64,
    /// On the leader: the replicas that are kept out of the view for their slow disks, and how long an
    /// acknowledgement takes, microseconds.
    pub left_out: Vec<(ReplicaId, u64)>,
    /// Whom it must hear before it may lead; empty unless it waits.
    pub waiting_for: Vec<ReplicaId>,
    /// Whom the operator has declared dead; empty once a leader is known.
    pub declared_dead: Vec<ReplicaId>,
    /// The other replicas: whether a session stands, and, on the leader, what they have on disk.
    pub peers: Vec<(ReplicaId, bool, Lsn)>,
}

impl Status {
    /// Whether nothing but positions in logs, and times, differs from what they were in `before`. A position
    /// that passes the newest Config is more than that: the Config is committed then.
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
        // Named one by one, so that a new field is decided on here.
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

    /// Whether the lead is about to go from this replica, `id`, to another, or to come to it: the shell then
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
