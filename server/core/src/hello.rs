//! What a replica says first on a session, and what it makes of the hello of another: whom it admits, and
//! what a hello tells it about its own store.

use alloc::{collections::BTreeSet, vec::Vec};

use crate::{
    effect::Halt,
    id::{Epoch, Lsn, ReplicaId, StoreId},
    log::LastEntry,
    message::{Acknowledged, Hello},
    mutation::mutated,
    shared::Common,
};

impl Common {
    /// Those with a session whom a committed Config calls dead.
    pub(crate) fn linked_dead(&self) -> Vec<ReplicaId> {
        let linked = self.peers.linked();
        let dead = linked.filter(|&id| {
            let hello = self.peers.hello(id);
            hello.is_some_and(|hello| self.is_fenced(id, hello.store))
        });
        dead.collect()
    }

    /// The epoch of that Config: of two words about who is dead the later counts.
    fn dead_by(&self) -> Epoch {
        self.committed_config().map_or(Epoch::NONE, |logged| {
            self.log
                .epoch_at(logged.lsn)
                .expect("a Config is in the log")
        })
    }

    /// Whether a Config calls this store dead which is known to be committed.
    fn is_fenced(&self, id: ReplicaId, store: StoreId) -> bool {
        let config = self.committed_config();
        config.is_some_and(|logged| logged.config.dead.contains(&(id, store)))
    }

    /// Whether a hello tells this replica that its store was declared dead. If each says so of the other,
    /// the later word counts.
    fn is_told_dead(&self, hello: &Hello) -> bool {
        let later = !self.is_fenced(hello.id, hello.store) || hello.dead_by > self.dead_by();
        hello.dead.contains(&(self.id, self.store)) && later
    }

    /// Where this store lacks an entry that it acknowledged. However late the word comes: a store keeps what
    /// it had when an entry was committed.
    fn lacks(&self, acknowledged: &Acknowledged) -> Option<Lsn> {
        let Acknowledged { entry, stores } = acknowledged;
        let named = stores.get(&self.id) == Some(&self.store);
        let lacks = named && !self.log.holds(*entry) && !mutated!(self, OldStoreWelcome);
        lacks.then_some(entry.lsn)
    }

    /// What this replica knows that members had on disk: nothing where a later Config is committed that is
    /// not known to be on all of its members' disks.
    fn acknowledged(&self) -> Acknowledged {
        let config = self.committed_config();
        let settled = config.filter(|logged| logged.lsn <= self.settled);
        settled.map_or_else(Acknowledged::default, |logged| Acknowledged {
            entry: LastEntry {
                epoch: self.log.epoch_at(self.settled).expect("it is committed"),
                lsn: self.settled,
            },
            stores: logged.config.members.clone(),
        })
    }

    pub(crate) fn admits(&self, hello: &Hello) -> bool {
        let same = match (hello.cluster, self.cluster()) {
            (Some(theirs), Some(ours)) => theirs == ours,
            (theirs, None) => theirs.is_some(),
            (None, Some(_)) => false,
        };
        let welcome = same || self.peers.knows(hello.id);
        let dead = self.is_fenced(hello.id, hello.store) && !self.is_told_dead(hello);
        hello.id != self.id && welcome && !dead && !self.is_taken(hello)
    }

    /// Whether another process has this id and is there: the one that a session stands with, or the
    /// member's store, as long as it would not be taken for dead. Whoever came first stays, but for the member:
    /// its own store has the id before any other. A store that was admitted is so again after its session ended.
    pub(crate) fn is_taken(&self, hello: &Hello) -> bool {
        let Hello { id, store, .. } = *hello;
        let silent = |alone| self.peers.is_silent(id, alone, &self.timing, self.now);
        let config = self.log.config();
        let member = config.and_then(|config| config.members.get(&id));
        let current = self.peers.hello(id);
        let comes_home = current.is_some_and(|current| current.store != store);
        let comes_home = comes_home && member == Some(&store);
        let other = current.filter(|current| current.incarnation != hello.incarnation);
        if other.is_some() && !silent(false) && !comes_home {
            return true;
        }
        let (Some(config), Some(&member)) = (config, member) else {
            return false;
        };
        let stood = self.peers.last_store(id) == Some(store);
        if member == store || stood || current.is_some_and(|current| current.store != member) {
            return false;
        }
        let others = config.members.keys();
        let mut others = others.filter(|&&other| other != id && other != self.id);
        let alone = !others.any(|&other| self.peers.is_linked(other));
        let alone = alone && self.timing.lone_timeout.is_some();
        !self.peers.is_refused(id) && !silent(alone)
    }

    /// A session begins with this hello of the peer. False if it is of no use: then this replica halts, or
    /// behaves as if there were none.
    pub(crate) fn on_hello(&mut self, hello: Hello) -> bool {
        let peer = hello.id;
        if peer == self.id {
            return false;
        }
        if let (Some(theirs), Some(ours)) = (hello.cluster, self.cluster())
            && theirs != ours
        {
            self.peers.link_down(peer);
            if hello.active && !self.active && self.peers.knows(peer) {
                self.halt(Halt::ForeignCluster { peer, theirs, ours });
            }
            return false;
        }
        if self.is_told_dead(&hello) {
            self.halt(Halt::DeclaredDead { peer });
            return false;
        }
        if let Some(lsn) = self.lacks(&hello.acknowledged) {
            self.halt(Halt::WentBack { peer, lsn });
            return false;
        }
        if !self.admits(&hello) {
            return false;
        }
        self.peers.link_up(hello, self.now);
        true
    }

    pub(crate) fn hello(&self) -> Hello {
        let config = self.committed_config();
        Hello {
            id: self.id,
            store: self.store,
            incarnation: self.incarnation,
            cluster: self.cluster(),
            active: self.active,
            dead: config.map_or_else(BTreeSet::new, |logged| logged.config.dead.clone()),
            dead_by: self.dead_by(),
            acknowledged: self.acknowledged(),
        }
    }
}
