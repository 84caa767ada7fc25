//! The facts about each other replica: whether it has a session, when it was last heard, and whether it is dead.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::{
    clocks::{Lost, PeerClock},
    config::Timing,
    id::{ReplicaId, StoreId, Time},
    message::Hello,
};

/// The number of refused connections after the end of a session that shows that a process is dead. One alone may come
/// from a proxy that restarts, or from a listener that is closed before its process moves.
const REFUSALS_MIN: u8 = 2;

#[derive(Debug)]
pub(crate) struct Peer {
    /// The hello of the peer, while there is a session.
    pub(crate) hello: Option<Hello>,
    /// The store of the last session.
    last_store: Option<StoreId>,
    /// The time of the last message or session; at first the start of this replica.
    heard_at: Time,
    /// True if a connection was refused since the last session: the peer is not there, at least not yet.
    absent: bool,
    /// True if there was a session with the peer in this run of this replica.
    stood: bool,
    /// The number of connections that were refused since the last session, at the address that the peer gave in it.
    refusals: u8,
    /// True if the peer asked to leave the view in this session.
    pub(crate) leaving: bool,
    /// The peer's clock, compared with this replica's own.
    clock: Option<PeerClock>,
}

#[derive(Debug)]
pub(crate) struct Peers {
    all: BTreeMap<ReplicaId, Peer>,
}

impl Peers {
    pub(crate) fn new(roster: &BTreeSet<ReplicaId>, me: ReplicaId, now: Time) -> Peers {
        let others = roster.iter().filter(|&&id| id != me);
        Peers {
            all: others.map(|&id| (id, Peer::unheard(now))).collect(),
        }
    }

    /// Sets the known peers: those in `known`, besides those with a session.
    pub(crate) fn know(&mut self, known: &BTreeSet<ReplicaId>, me: ReplicaId, now: Time) {
        for &id in known.iter().filter(|&&id| id != me) {
            self.all.entry(id).or_insert_with(|| Peer::unheard(now));
        }
        self.all
            .retain(|id, peer| known.contains(id) || peer.hello.is_some());
    }

    pub(crate) fn knows(&self, id: ReplicaId) -> bool {
        self.all.contains_key(&id)
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = ReplicaId> + '_ {
        self.all.keys().copied()
    }

    /// Gives the peers with a session.
    pub(crate) fn linked(&self) -> impl Iterator<Item = ReplicaId> + '_ {
        let linked = self.all.iter().filter(|(_, peer)| peer.hello.is_some());
        linked.map(|(&id, _)| id)
    }

    pub(crate) fn is_linked(&self, id: ReplicaId) -> bool {
        self.hello(id).is_some()
    }

    pub(crate) fn hello(&self, id: ReplicaId) -> Option<&Hello> {
        self.all.get(&id)?.hello.as_ref()
    }

    /// Gives the store of the replica's last session, whether it is over or not.
    pub(crate) fn last_store(&self, id: ReplicaId) -> Option<StoreId> {
        self.all.get(&id)?.last_store
    }

    pub(crate) fn is_leaving(&self, id: ReplicaId) -> bool {
        self.all.get(&id).is_some_and(|peer| peer.leaving)
    }

    pub(crate) fn link_up(&mut self, hello: Hello, now: Time) {
        let id = hello.id;
        let known = self.all.remove(&id);
        let peer = Peer {
            last_store: Some(hello.store),
            hello: Some(hello),
            clock: known.and_then(|peer| peer.clock),
            stood: true,
            ..Peer::unheard(now)
        };
        self.all.insert(id, peer);
    }

    pub(crate) fn link_down(&mut self, id: ReplicaId) {
        if let Some(peer) = self.all.get_mut(&id) {
            peer.hello = None;
        }
    }

    /// Notes a refused connection. `told` is true if it was refused at the address that the peer gave in its last
    /// session.
    pub(crate) fn refused(&mut self, id: ReplicaId, told: bool) {
        if let Some(peer) = self.all.get_mut(&id)
            && peer.hello.is_none()
        {
            peer.absent = true;
            if told && peer.stood {
                peer.refusals = peer.refusals.saturating_add(1);
            }
        }
    }

    /// Treats any refusal as a proof of death.
    #[cfg(feature = "mutations")]
    pub(crate) fn presume_dead(&mut self, id: ReplicaId) {
        if let Some(peer) = self.all.get_mut(&id)
            && peer.hello.is_none()
        {
            peer.absent = true;
            peer.refusals = REFUSALS_MIN;
        }
    }

    pub(crate) fn heard(&mut self, id: ReplicaId, now: Time) {
        if let Some(peer) = self.all.get_mut(&id) {
            peer.heard_at = now;
        }
    }

    pub(crate) fn leaving(&mut self, id: ReplicaId) {
        if let Some(peer) = self.all.get_mut(&id) {
            peer.leaving = true;
        }
    }

    /// Begins the silence of all peers anew, because this replica slept and may have missed messages.
    pub(crate) fn slept(&mut self, now: Time) {
        for peer in self.all.values_mut() {
            peer.heard_at = now;
        }
    }

    /// Compares a peer's clock in a message of its session with this replica's own.
    pub(crate) fn compare_clocks(&mut self, id: ReplicaId, theirs: Time, now: Time) -> Lost {
        let peer = self.all.get_mut(&id);
        let session = peer.and_then(|peer| Some((peer.hello.as_ref()?, &mut peer.clock)));
        session.map_or(Lost::Unknown, |(hello, clock)| {
            PeerClock::note(clock, hello.incarnation, theirs, now)
        })
    }

    /// Forgets the clocks of peers without a session, because this replica's clock stood still: they would show the
    /// same lost time once more when the peers return.
    pub(crate) fn forget_absent_clocks(&mut self) {
        let absent = self.all.values_mut().filter(|peer| peer.hello.is_none());
        for peer in absent {
            peer.clock = None;
        }
    }

    /// Tells whether there is a session with another replica whose clock was compared before: that clock will show
    /// whether this replica's clock stood still.
    pub(crate) fn has_witness(&self, besides: ReplicaId) -> bool {
        let mut others = self.all.iter().filter(|&(&id, _)| id != besides);
        others.any(|(_, peer)| peer.hello.is_some() && peer.clock.is_some())
    }

    /// Tells whether there is evidence that the process is dead: its session ended, and then connections to its
    /// address were refused.
    pub(crate) fn is_refused(&self, id: ReplicaId) -> bool {
        let peer = self.all.get(&id);
        peer.is_some_and(|peer| peer.refusals >= REFUSALS_MIN)
    }

    /// Tells whether the replica with this store is gone for good, because its disk was replaced.
    pub(crate) fn is_replaced(&self, id: ReplicaId, store: StoreId) -> bool {
        self.hello(id).is_some_and(|hello| hello.store != store)
    }

    /// Tells whether a peer has been silent for so long that it is treated as dead; the limit is longer where this
    /// replica would then be `alone` in its view.
    pub(crate) fn is_silent(&self, id: ReplicaId, alone: bool, timing: &Timing, now: Time) -> bool {
        let limit = match alone {
            true => timing.lone_timeout,
            false => Some(timing.silence_timeout),
        };
        let silence = self.all.get(&id).map(|peer| now.since(peer.heard_at));
        matches!((silence, limit), (Some(silence), Some(limit)) if silence > limit)
    }

    /// Tells whether each peer is known either to have a session or to be absent.
    pub(crate) fn are_known(&self, timing: &Timing, now: Time) -> bool {
        self.all.iter().all(|(&id, peer)| {
            peer.hello.is_some() || peer.absent || self.is_silent(id, false, timing, now)
        })
    }
}

impl Peer {
    fn unheard(now: Time) -> Peer {
        Peer {
            hello: None,
            last_store: None,
            heard_at: now,
            absent: false,
            stood: false,
            refusals: 0,
            leaving: false,
            clock: None,
        }
    }
}
