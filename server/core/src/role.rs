//! The role of a replica: it gets each input, and the transition that it returns is carried out here.

use alloc::{collections::BTreeSet, vec::Vec};

use bytes::Bytes;

use crate::{
    candidate::Candidate,
    effect::{Effect, Rejection},
    follower::Follower,
    id::{Lsn, ReplicaId, Ticket},
    leader::Leader,
    log::{Entry, Snapshot},
    message::Message,
    shared::Common,
    transition::Transition,
};

#[derive(Debug)]
pub(crate) enum Role {
    Follower(Follower),
    Candidate(Candidate),
    Leader(Leader),
}

impl Role {
    /// Gives the leader that this replica knows, itself included.
    pub(crate) fn leader(&self, c: &Common) -> Option<ReplicaId> {
        match self {
            Role::Follower(follower) => follower.followed(c).map(|f| f.leader),
            Role::Candidate(_) => None,
            Role::Leader(_) => Some(c.id),
        }
    }

    pub(crate) fn on_message(&mut self, c: &mut Common, from: ReplicaId, message: Message) {
        let transition = match self {
            Role::Follower(follower) => follower.on_message(c, from, message),
            Role::Candidate(candidate) => candidate.on_message(c, from, message),
            Role::Leader(leader) => leader.on_message(c, from, message),
        };
        self.turn(c, transition);
    }

    pub(crate) fn on_tick(&mut self, c: &mut Common) {
        let transition = match self {
            Role::Follower(follower) => follower.on_tick(c),
            Role::Candidate(candidate) => candidate.on_tick(c),
            Role::Leader(leader) => leader.on_tick(c),
        };
        self.turn(c, transition);
    }

    /// Sends the messages of a heartbeat; called once every heartbeat interval.
    pub(crate) fn on_heartbeat(&mut self, c: &mut Common) {
        match self {
            Role::Follower(follower) => follower.on_heartbeat(c),
            Role::Candidate(candidate) => candidate.on_heartbeat(c),
            Role::Leader(leader) => leader.heartbeat(c),
        }
    }

    pub(crate) fn on_slept(&mut self, c: &mut Common) {
        match self {
            Role::Follower(follower) => follower.on_slept(c),
            Role::Candidate(_) => {}
            Role::Leader(leader) => leader.on_slept(c),
        }
    }

    /// Drops the lease until it is granted again, because a leader's clock may have stood still.
    pub(crate) fn doubt_lease(&mut self, c: &Common) {
        if let Role::Leader(leader) = self {
            leader.doubt_lease(c.now);
        }
    }

    pub(crate) fn on_link_up(&mut self, c: &mut Common, peer: ReplicaId) {
        match self {
            Role::Follower(follower) => follower.on_link_up(c, peer),
            Role::Candidate(candidate) => candidate.on_link_up(c, peer),
            Role::Leader(leader) => leader.on_link_up(c, peer),
        }
    }

    pub(crate) fn on_link_down(&mut self, c: &mut Common, peer: ReplicaId) {
        let transition = match self {
            Role::Follower(_) => None,
            Role::Candidate(candidate) => candidate.on_link_down(peer),
            Role::Leader(leader) => {
                leader.on_link_down(c, peer);
                None
            }
        };
        self.turn(c, transition);
    }

    pub(crate) fn on_persisted(&mut self, c: &mut Common) {
        match self {
            Role::Follower(follower) => follower.on_persisted(c),
            Role::Candidate(candidate) => candidate.on_persisted(c),
            Role::Leader(leader) => leader.advance(c),
        }
    }

    pub(crate) fn on_log_read(
        &mut self,
        c: &mut Common,
        peer: ReplicaId,
        from: Lsn,
        entries: Vec<Entry>,
    ) {
        match self {
            Role::Follower(follower) => follower.on_log_read(c, peer, from, entries),
            Role::Candidate(_) => {}
            Role::Leader(leader) => leader.on_log_read(c, peer, from, entries),
        }
    }

    pub(crate) fn on_propose(&mut self, c: &mut Common, proposals: Vec<(Ticket, Bytes)>) {
        let rejection = match self {
            Role::Leader(leader) => return leader.on_propose(c, proposals),
            Role::Candidate(_) => Rejection::InTransition,
            Role::Follower(_) => Rejection::NotLeader(self.leader(c)),
        };
        c.reject(proposals.into_iter().map(|(ticket, _)| ticket), rejection);
    }

    pub(crate) fn on_snapshot(&mut self, c: &mut Common, snapshot: Snapshot) {
        if let Role::Follower(follower) = self {
            follower.on_snapshot(c, snapshot);
        }
    }

    pub(crate) fn on_declare_dead(&mut self, c: &mut Common, replicas: BTreeSet<ReplicaId>) {
        if let Role::Leader(leader) = self {
            let transition = leader.on_declare_dead(c, replicas);
            self.turn(c, transition);
        } else if self.leader(c).is_none() {
            c.declared.extend(replicas);
        }
    }

    pub(crate) fn invariants(&self, c: &Common) {
        match self {
            Role::Follower(follower) => follower.invariants(c),
            Role::Candidate(candidate) => candidate.invariants(c),
            Role::Leader(leader) => leader.invariants(c),
        }
    }

    /// Carries out a transition. A leader that ends abandons the proposals whose outcomes are missing.
    fn turn(&mut self, c: &mut Common, transition: Option<Transition>) {
        let Some(transition) = transition else {
            return;
        };
        if let Role::Leader(_) = self {
            c.effects.push(Effect::Abandon);
        }
        *self = match transition {
            Transition::Search => Role::Follower(Follower::started()),
            Transition::SearchAfterVeto => Role::Follower(Follower::vetoed()),
            Transition::Await(candidate) => Role::Follower(Follower::having_promised(c, candidate)),
            Transition::Follow { leader, append } => {
                let mut follower = Follower::started();
                follower.on_append(c, leader, append);
                Role::Follower(follower)
            }
            Transition::Stand { transferred_from } => {
                Role::Candidate(Candidate::campaign(c, transferred_from))
            }
            Transition::StandAgain { voter, vote_state } => {
                let mut candidate = Candidate::campaign(c, None);
                candidate.on_promised(c, voter, vote_state);
                Role::Candidate(candidate)
            }
            Transition::Lead { epoch, config } => Role::Leader(Leader::install(c, epoch, config)),
        };
    }
}
