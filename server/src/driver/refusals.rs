//! Refused sessions: which sessions this replica refuses, and the reasons for the peer and for its own log.

use tercet_core::{id::ReplicaId, message::Hello};
use tercet_store::roster::Member;

use super::Driver;
use crate::peers::Outgoing;

impl Driver {
    /// Ends a session that the core does not admit. Both logs give the reason if an operator should act.
    pub(super) fn refuse(&mut self, hello: &Hello, addresses: &Member, outgoing: Outgoing) {
        let peer = hello.id;
        if !self.deps.replica.is_taken(hello) {
            // Dropping `outgoing` ends the session.
            return tracing::debug!(%peer, "session refused: a stranger");
        }
        let member = self.deps.status.borrow().member_stores.get(&peer).copied();
        let here = self.links.get(&peer);
        let known = self.membership.roster.get(peer);
        let place = here.map(|link| &link.addresses).or(known);
        let place = place.map_or("an address that is not known", |at| &at.peer_address);
        let twin = here.map(|link| link.store).or(member) == Some(hello.store);
        let newcomer = &addresses.peer_address;
        let reason = if twin {
            format!(
                "replica {peer} is here already, at {place}, and the one at {newcomer} runs on a copy of its \
                 store. A store has one process: stop one of the two, and start it on an empty directory \
                 with another id, or not at all"
            )
        } else {
            format!(
                "replica {peer} was heard a moment ago, at {place}, and the one at {newcomer} has another \
                 store. If the first is gone for good, the second is taken when the first was silent for \
                 long enough; else give the second another id, or check its lists"
            )
        };
        self.say_once(peer, format!("a session is refused: {reason}"));
        outgoing.refuse(reason);
    }

    /// Logs a warning unless the same warning was logged last for that replica.
    pub(super) fn say_once(&mut self, peer: ReplicaId, words: String) {
        if self.unwanted.get(&peer) != Some(&words) {
            tracing::warn!("{words}");
            self.unwanted.insert(peer, words);
        }
    }
}
