//! The roster in the driver: passes the roster of the state to the core and to the peer sessions, proposes what
//! the state lacks while this replica leads, and ends a removed replica.

use bytes::Bytes;
use tercet_core::{
    Status,
    id::{ReplicaId, Ticket, Time},
    input::Input,
};
use tercet_proto::log::{self, command::Action};
use tercet_store::{
    command,
    roster::{Member, Roster},
};

use super::{Driver, Ended, proposals::encode};
use crate::{
    clock,
    peers::{self, Places, Source},
};

/// The interval between proposals of this replica's own, microseconds. A proposal that was refused, or lost
/// with the lead, is made again after it.
const PROPOSAL_INTERVAL: u64 = 1_000_000;

/// The driver's state about the replicas, beside the core's.
pub(super) struct Membership {
    /// This replica's own addresses.
    own_addresses: Member,
    pub(super) roster: Roster,
    proposed_at: Option<Time>,
}

impl Membership {
    pub(super) fn new(own_addresses: Member, roster: Roster) -> Membership {
        Membership {
            own_addresses,
            roster,
            proposed_at: None,
        }
    }

    /// Gives the changes that the state lacks; `announced` has the addresses that connected replicas gave for
    /// themselves.
    fn missing_change<'a>(
        &'a self,
        my_id: ReplicaId,
        announced: impl Iterator<Item = (ReplicaId, &'a Member)>,
    ) -> Option<Action> {
        if !self.roster.is_from_state() {
            let replicas = self.roster.iter().map(|(id, at)| replica(id, at));
            return Some(Action::FoundRoster(log::FoundRoster {
                replicas: replicas.collect(),
            }));
        }
        let moved = |&(id, at): &(ReplicaId, &Member)| {
            let known = self.roster.get(id);
            known.is_some_and(|known| known != at) && self.roster.owner(id, at).is_none()
        };
        let (id, at) = announced
            .chain([(my_id, &self.own_addresses)])
            .find(moved)?;
        Some(Action::MoveReplica(log::MoveReplica {
            replica: Some(replica(id, at)),
        }))
    }
}

fn replica(id: ReplicaId, at: &Member) -> log::Replica {
    log::Replica {
        replica_id: id.0,
        address: at.address.clone(),
        peer_address: at.peer_address.clone(),
    }
}

impl Driver {
    /// Passes a new roster of the state to the core and to the peer sessions.
    pub(super) fn on_roster(&mut self, roster: Roster) -> Result<(), Ended> {
        let members: Vec<u32> = roster.iter().map(|(id, _)| id.0).collect();
        tracing::info!(replicas = ?members, "roster");
        let own_id = self.deps.link_context.id;
        let ids = roster.ids(own_id);
        let links = &self.links;
        self.deps.places.send_modify(|places| {
            // A connected replica's own word about its address is newer than a state that catches up.
            for (id, member) in roster.everybody() {
                let moved = places.stored(id) != Some(&member.peer_address);
                if moved && !links.contains_key(&id) {
                    places.forget_announced(id);
                }
            }
            places.learn(&roster, Source::Stored);
        });
        self.membership.roster = roster;
        self.step(Input::Roster { roster: ids })
    }

    /// Notes the address that a replica gave for itself.
    pub(super) fn note_addresses(&mut self, peer: ReplicaId, addresses: &Member) {
        if !addresses.peer_address.is_empty() {
            let told = &addresses.peer_address;
            let places = &self.deps.places;
            places.send_if_modified(|places| places.set(peer, Source::Announced, told));
        }
    }

    /// Does the membership work of one tick: dials all replicas that the core lists and no others, and proposes
    /// what the state lacks.
    pub(super) fn tick_membership(&mut self) -> Result<(), Ended> {
        let status = self.deps.replica.status();
        self.dialers.retain(|&id, dialer| {
            let known = self.deps.replica.knows(id);
            if !known {
                dialer.abort();
            }
            known
        });
        for &(peer, ..) in &status.peers {
            if !self.links.contains_key(&peer) {
                self.dial(peer);
            }
        }
        if self.is_released(&status) {
            return Err(Ended::Removed(self.deps.link_context.id));
        }
        self.propose_missing(&status)
    }

    fn propose_missing(&mut self, status: &Status) -> Result<(), Ended> {
        let now = clock::now();
        let recently = |at: Time| now.since(at) < PROPOSAL_INTERVAL;
        let busy = self.disk_full || self.membership.proposed_at.is_some_and(recently);
        if !status.serving || self.stopping || busy {
            return Ok(());
        }
        let announced = self.links.iter().map(|(&id, link)| (id, &link.addresses));
        let announced =
            announced.filter(|(_, at)| !at.address.is_empty() && !at.peer_address.is_empty());
        let own_id = self.deps.link_context.id;
        let Some(action) = self.membership.missing_change(own_id, announced) else {
            return Ok(());
        };
        self.membership.proposed_at = Some(now);
        self.propose_own(action)
    }

    /// Proposes a command of the driver's own. Its outcome shows in the state, and no caller waits for it.
    /// Does nothing while a connected replica does not know the command.
    pub(super) fn propose_own(&mut self, action: Action) -> Result<(), Ended> {
        let command = command::proposal(Bytes::new(), action);
        let encoded = match encode(command, self.command_version(), self.stamp()) {
            Ok(encoded) => encoded,
            // It is proposed again when the older replica is gone or updated.
            Err(newer) => {
                tracing::debug!(%newer, "not proposed: a connected replica has an older build");
                return Ok(());
            }
        };
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        let proposals = vec![(ticket, encoded)];
        self.step(Input::Propose { proposals })
    }

    /// Tells whether this replica was removed and its leader needs it no more. A leader that does not have the
    /// removal yet may be adding this replica to the view again.
    fn is_released(&self, status: &Status) -> bool {
        let own_id = self.deps.link_context.id;
        self.membership.roster.was_removed(own_id) && status.released
    }

    /// Tells whether the newest Config has that replica.
    pub(super) fn is_member(&self, id: ReplicaId) -> bool {
        let config = self.deps.replica.status().config;
        config.is_some_and(|logged| logged.config.members.contains_key(&id))
    }

    /// Starts the task that dials a replica, or looks for evidence that it is dead, unless the task runs.
    pub(super) fn dial(&mut self, peer: ReplicaId) {
        let context = self.deps.link_context.clone();
        if peer != context.id && !self.dialers.contains_key(&peer) {
            let dialer = tokio::spawn(peers::dial(context, peer));
            self.dialers.insert(peer, dialer.abort_handle());
        }
    }
}

/// Lists the addresses of the replicas, from the state and from the operator's lists.
pub(crate) fn places(roster: &Roster, source: Source, listed: Option<&Roster>) -> Places {
    let mut places = Places::default();
    places.learn(roster, source);
    if let Some(listed) = listed {
        places.learn(listed, Source::Given);
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> Member {
        Member {
            address: format!("host:{port}"),
            peer_address: format!("host:{}", port + 1_000),
        }
    }

    fn members(ids: &[u32]) -> std::collections::BTreeMap<ReplicaId, Member> {
        let member = |&id: &u32| (ReplicaId(id), at(id as u16));
        ids.iter().map(member).collect()
    }

    fn missing_change(
        roster: Roster,
        own_addresses: Member,
        announced: &[(ReplicaId, Member)],
    ) -> Option<Action> {
        let announced = announced.iter().map(|(id, at)| (*id, at));
        Membership::new(own_addresses, roster).missing_change(ReplicaId(1), announced)
    }

    #[test]
    fn a_leader_bootstraps_the_roster_with_its_lists() {
        let action = missing_change(Roster::configured(members(&[1, 2])), at(1), &[]);
        let Some(Action::FoundRoster(found)) = action else {
            panic!("{action:?}");
        };
        let ids: Vec<u32> = found.replicas.iter().map(|r| r.replica_id).collect();
        assert_eq!(ids, [1, 2]);
    }

    #[test]
    fn a_replica_that_says_another_address_is_moved_there_and_so_is_the_leader() {
        let roster = || Roster::from_state(members(&[1, 2]), Default::default());
        assert_eq!(
            missing_change(roster(), at(1), &[(ReplicaId(2), at(2))]),
            None
        );
        let moved = |action| match action {
            Some(Action::MoveReplica(moved)) => moved.replica.expect("it names a replica"),
            other => panic!("{other:?}"),
        };
        let other = moved(missing_change(roster(), at(1), &[(ReplicaId(2), at(7))]));
        assert_eq!((other.replica_id, other.address.as_str()), (2, "host:7"));
        let own = moved(missing_change(roster(), at(8), &[(ReplicaId(2), at(2))]));
        assert_eq!((own.replica_id, own.address.as_str()), (1, "host:8"));
    }

    #[test]
    fn nothing_is_proposed_that_would_be_refused_again_and_again() {
        let roster = || Roster::from_state(members(&[1, 2]), members(&[3]));
        let taken = [(ReplicaId(2), at(1))];
        assert_eq!(missing_change(roster(), at(1), &taken), None);
        let removed_or_unknown = [(ReplicaId(3), at(9)), (ReplicaId(4), at(4))];
        assert_eq!(missing_change(roster(), at(1), &removed_or_unknown), None);
    }
}
