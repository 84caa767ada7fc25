//! Hands each input to the role that a replica has.

use crate::{
    id::{Lsn, ReplicaId},
    log::Entry,
    message::Message,
    replica::Role,
    shared::Common,
};

impl Role {
    /// The leader this replica knows, itself included.
    pub(crate) fn leader(&self, c: &Common) -> Option<ReplicaId> {
        match self {
            Role::Follower(follower) => follower.followed(c).map(|f| f.leader),
            Role::Candidate(_) => None,
            Role::Leader(_) => Some(c.id),
        }
    }

    pub(crate) fn on_message(self, c: &mut Common, from: ReplicaId, message: Message) -> Role {
        match self {
            Role::Follower(follower) => follower.on_message(c, from, message),
            Role::Candidate(candidate) => candidate.on_message(c, from, message),
            Role::Leader(leader) => leader.on_message(c, from, message),
        }
    }

    pub(crate) fn on_tick(self, c: &mut Common) -> Role {
        match self {
            Role::Follower(follower) => follower.on_tick(c),
            Role::Candidate(candidate) => candidate.on_tick(c),
            Role::Leader(leader) => leader.on_tick(c),
        }
    }

    /// Once every heartbeat interval.
    pub(crate) fn on_heartbeat(self, c: &mut Common) -> Role {
        match self {
            Role::Follower(follower) => follower.on_heartbeat(c),
            Role::Candidate(candidate) => candidate.on_heartbeat(c),
            Role::Leader(leader) => leader.on_heartbeat(c),
        }
    }

    pub(crate) fn on_slept(&mut self, c: &mut Common) {
        match self {
            Role::Follower(follower) => follower.on_slept(c),
            Role::Candidate(_) => {}
            Role::Leader(leader) => leader.on_slept(c),
        }
    }

    pub(crate) fn on_link_up(self, c: &mut Common, peer: ReplicaId) -> Role {
        match self {
            Role::Follower(follower) => follower.on_link_up(c, peer),
            Role::Candidate(candidate) => candidate.on_link_up(c, peer),
            Role::Leader(leader) => leader.on_link_up(c, peer),
        }
    }

    pub(crate) fn on_link_down(self, c: &mut Common, peer: ReplicaId) -> Role {
        match self {
            Role::Follower(follower) => Role::Follower(follower),
            Role::Candidate(candidate) => candidate.on_link_down(peer),
            Role::Leader(leader) => leader.on_link_down(c, peer),
        }
    }

    pub(crate) fn on_persisted(self, c: &mut Common) -> Role {
        match self {
            Role::Follower(follower) => follower.on_persisted(c),
            Role::Candidate(candidate) => candidate.on_persisted(c),
            Role::Leader(leader) => leader.on_persisted(c),
        }
    }

    pub(crate) fn on_log_read(
        self,
        c: &mut Common,
        peer: ReplicaId,
        from: Lsn,
        entries: Vec<Entry>,
    ) -> Role {
        match self {
            Role::Follower(follower) => follower.on_log_read(c, peer, from, entries),
            Role::Candidate(candidate) => Role::Candidate(candidate),
            Role::Leader(leader) => leader.on_log_read(c, peer, from, entries),
        }
    }
}
