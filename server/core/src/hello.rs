//! The hello of a replica, and its handling of the hellos of others: which replicas it admits, and what a hello shows
//! about its own store.

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
    /// Gives the replicas with a session whose stores a committed Config declares dead.
    pub(crate) fn linked_dead(&self) -> Vec<ReplicaId> {
        let linked = self.peers.linked();
        let dead = linked.filter(|&id| {
            let hello = self.peers.hello(id);
            hello.is_some_and(|hello| self.is_fenced(id, hello.store))
        });
        dead.collect()
    }

    /// Gives the epoch of the newest committed Config: of two statements about dead stores the later one counts.
    fn dead_by(&self) -> Epoch {
        self.committed_config().map_or(Epoch::NONE, |logged| {
            self.log
                .epoch_at(logged.lsn)
                .expect("a Config is in the log")
        })
    }

    /// Tells whether a Config that is known to be committed declares this store dead.
    fn is_fenced(&self, id: ReplicaId, store: StoreId) -> bool {
        let config = self.committed_config();
        config.is_some_and(|logged| logged.config.dead.contains(&(id, store)))
    }

    /// Tells whether a hello says that this replica's store was declared dead. If each of two replicas says so of the
    /// other, the later Config counts.
    fn is_told_dead(&self, hello: &Hello) -> bool {
        let later = !self.is_fenced(hello.id, hello.store) || hello.dead_by > self.dead_by();
        hello.dead.contains(&(self.id, self.store)) && later
    }

    /// Gives the LSN of an entry that this store acknowledged and lacks. The age of the statement does not matter: a
    /// store keeps every entry that it had when the entry was committed.
    fn lacks(&self, acknowledged: &Acknowledged) -> Option<Lsn> {
        let Acknowledged { entry, stores } = acknowledged;
        let named = stores.get(&self.id) == Some(&self.store);
        let lacks = named && !self.log.holds(*entry) && !mutated!(self, OldStoreWelcome);
        lacks.then_some(entry.lsn)
    }

    /// Gives the last entry that this replica knows to be on the disks of all members of the newest committed Config.
    /// Empty if none is known to be on the disks of all of them.
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

    /// Tells whether another process uses this id: the one with which there is a session, or the member with another
    /// store, unless it would be treated as dead. The process that came first keeps the id, with one exception: the
    /// store of the member has the id before any other. The store of the last session is admitted again after the
    /// session ended.
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

    /// Begins a session with the peer that sent this hello. Returns false if the session is of no use: then this
    /// replica halts, or behaves as if there were no session.
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
