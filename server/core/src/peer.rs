//! What a replica believes of each other replica: whether a session stands, when it was last
//! heard, and whether it is dead.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::{
    clocks::{Lost, PeerClock},
    config::Timing,
    id::{ReplicaId, StoreId, Time},
    message::Hello,
};

/// So many refused connections after the end of a session say that a process is dead. One alone may come from a
/// proxy that is restarted, or from a listener that is closed before its process moves.
const REFUSALS_MIN: u8 = 2;

#[derive(Debug)]
pub(crate) struct Peer {
    /// What it said of itself, while a session stands.
    pub(crate) hello: Option<Hello>,
    /// The store that its last session was with.
    last_store: Option<StoreId>,
    /// The last sign of life; at first the start of this replica.
    heard_at: Time,
    /// A connection was refused since the last session: nobody is there, at least not yet.
    absent: bool,
    /// A session with it stood in this run of this replica.
    stood: bool,
    /// How many connections were refused since the last session, at the address that the peer told in it.
    refusals: u8,
    /// It asked to leave the view in this session.
    pub(crate) leaving: bool,
    /// Its clock, beside this replica's own.
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

    /// From now on these are known besides those with whom a session stands, and no others.
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

    /// Those with whom a session stands.
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

    /// The store that the replica's last session was with, over or not.
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

    /// A connection was refused; `told`: at the address that the peer told in its last session.
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

    /// Any refusal is taken for a proof.
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

    /// This replica slept: how long the others were silent meanwhile is not known.
    pub(crate) fn slept(&mut self, now: Time) {
        for peer in self.all.values_mut() {
            peer.heard_at = now;
        }
    }

    /// What a peer's clock in a message of its session says about this replica's own.
    pub(crate) fn compare_clocks(&mut self, id: ReplicaId, theirs: Time, now: Time) -> Lost {
        let peer = self.all.get_mut(&id);
        let session = peer.and_then(|peer| Some((peer.hello.as_ref()?, &mut peer.clock)));
        session.map_or(Lost::Unknown, |(hello, clock)| {
            PeerClock::note(clock, hello.incarnation, theirs, now)
        })
    }

    /// This replica's clock stood still. The clocks of peers without a session, compared before, would show
    /// the same time as lost once more when they are back.
    pub(crate) fn forget_absent_clocks(&mut self) {
        let absent = self.all.values_mut().filter(|peer| peer.hello.is_none());
        for peer in absent {
            peer.clock = None;
        }
    }

    /// Whether a replica other than that one is there whose clock was compared before: it will show whether
    /// this replica's clock stood still.
    pub(crate) fn has_witness(&self, besides: ReplicaId) -> bool {
        let mut others = self.all.iter().filter(|&(&id, _)| id != besides);
        others.any(|(_, peer)| peer.hello.is_some() && peer.clock.is_some())
    }

    /// Evidence that the process is dead: a session with it ended, and where it was reached it refuses.
    pub(crate) fn is_refused(&self, id: ReplicaId) -> bool {
        let peer = self.all.get(&id);
        peer.is_some_and(|peer| peer.refusals >= REFUSALS_MIN)
    }

    /// Whether the replica with this very store is gone for good: its disk was replaced.
    pub(crate) fn is_replaced(&self, id: ReplicaId, store: StoreId) -> bool {
        self.hello(id).is_some_and(|hello| hello.store != store)
    }

    /// Whether nothing was heard for so long that it is taken for dead; longer for a replica that
    /// would go on alone.
    pub(crate) fn is_silent(&self, id: ReplicaId, alone: bool, timing: &Timing, now: Time) -> bool {
        let limit = match alone {
            true => timing.lone_timeout,
            false => Some(timing.silence_timeout),
        };
        let silence = self.all.get(&id).map(|peer| now.since(peer.heard_at));
        matches!((silence, limit), (Some(silence), Some(limit)) if silence > limit)
    }

    /// Whether it is known of every peer that it is there or that it is not.
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
