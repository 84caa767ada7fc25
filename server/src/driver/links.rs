//! Sessions with the other replicas, as the driver keeps them: which session counts, and what arrives on it.

use tercet_core::{
    id::{ReplicaId, StoreId, Time},
    input::Input,
};
use tercet_store::{
    command::{self, NeedsNewer},
    roster::Member,
};
use tokio::time;

use super::{Driver, Ended, HURRY, LINKS_MAX};
use crate::peers::{Introduction, LinkEvent, Outgoing};

pub(super) struct Link {
    pub session: u64,
    /// The peer's store.
    pub store: StoreId,
    pub outgoing: Outgoing,
    /// The addresses that the peer gave.
    pub addresses: Member,
    /// The highest command version that the peer supports.
    pub command_version: u32,
    /// The time of the question for the peer's clock that is not answered yet.
    pub clock_asked_at: Option<Time>,
}

impl Driver {
    pub(super) fn on_link(&mut self, event: LinkEvent) -> Result<(), Ended> {
        match event {
            LinkEvent::Up {
                session,
                peer: introduction,
                outgoing,
                dialled,
            } => {
                let Introduction {
                    hello,
                    addresses,
                    command_version,
                    wall_us,
                } = introduction;
                let peer = hello.id;
                // The dialer was aborted after it had sent this event, and its session ended with it.
                if dialled && !self.dialers.contains_key(&peer) {
                    return Ok(());
                }
                let knows = self.deps.replica.knows(peer);
                if !self.deps.replica.admits(&hello) || (!knows && self.links.len() >= LINKS_MAX) {
                    self.refuse(&hello, &addresses, outgoing);
                    return Ok(());
                }
                if self.links.remove(&peer).is_some() {
                    self.step(Input::LinkDown { peer })?;
                }
                if !dialled && let Some(dialer) = self.dialers.remove(&peer) {
                    dialer.abort();
                }
                tracing::info!(%peer, incarnation = hello.incarnation.0, "session with replica");
                self.unwanted.remove(&peer);
                self.note_addresses(peer, &addresses);
                let link = Link {
                    session,
                    store: hello.store,
                    outgoing,
                    addresses,
                    command_version,
                    clock_asked_at: None,
                };
                self.links.insert(peer, link);
                self.step(Input::LinkUp { hello })?;
                if !self.is_linked(peer) {
                    self.links.remove(&peer);
                }
                self.on_hello_clock(peer, wall_us);
                Ok(())
            }
            LinkEvent::Received {
                peer,
                session,
                message,
            } => match self.links.get(&peer) {
                Some(link) if link.session == session => self.step(Input::Received {
                    from: peer,
                    message,
                }),
                _ => Ok(()),
            },
            LinkEvent::Clock {
                peer,
                session,
                word,
            } => {
                if self
                    .links
                    .get(&peer)
                    .is_some_and(|link| link.session == session)
                {
                    self.on_clock(peer, word);
                }
                Ok(())
            }
            LinkEvent::Down { peer, session } => {
                if self
                    .links
                    .get(&peer)
                    .is_some_and(|link| link.session == session)
                {
                    tracing::info!(%peer, "session with replica ended");
                    self.hurries_until = time::Instant::now() + HURRY;
                    self.links.remove(&peer);
                    self.goes_away(peer);
                    self.step(Input::LinkDown { peer })?;
                    self.dial(peer);
                }
                Ok(())
            }
            LinkEvent::Unwanted { peer, reason } => {
                self.say_once(peer, format!("replica {peer} refuses a session: {reason}"));
                Ok(())
            }
            LinkEvent::Refused { peer, told } => match self.links.contains_key(&peer) {
                true => Ok(()),
                false => self.step(Input::Refused { peer, told }),
            },
        }
    }

    /// Tells whether the core admitted the session.
    fn is_linked(&self, peer: ReplicaId) -> bool {
        let peers = self.deps.replica.status().peers;
        peers.iter().any(|&(id, linked, _)| id == peer && linked)
    }

    /// Gives the version that new commands carry.
    pub(super) fn command_version(&self) -> u32 {
        let others = self.links.values().map(|link| link.command_version);
        command::version_written(self.deps.link_context.command_version, others)
    }

    /// Lists the replicas that keep the leader from writing a command: those connected whose build does not know
    /// it.
    pub(super) fn older_replicas(&self, newer: NeedsNewer) -> Vec<ReplicaId> {
        let links = self.links.iter();
        let older = links.filter(|(_, link)| link.command_version < newer.needed);
        older.map(|(&id, _)| id).collect()
    }
}
