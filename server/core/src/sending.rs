//! The messages from a leader to each follower: entries, within the limits of its progress, and heartbeats.

use alloc::vec::Vec;

use crate::{
    config::LoggedConfig,
    id::{Lsn, ReplicaId},
    leader::Leader,
    log::Entry,
    message::{Append, Message},
    mutation::mutated,
    shared::Common,
};

impl Leader {
    /// Sends the entries that the peer lacks, within the limits of its progress.
    pub(crate) fn replicate(&mut self, c: &mut Common, to: ReplicaId) {
        loop {
            let dead = self.is_fenced(c, to);
            let Some(progress) = self.progress.get_mut(&to).filter(|_| !dead) else {
                return;
            };
            let next = progress.next;
            if next < c.log.start() {
                let (epoch, lsn_min) = (self.epoch, c.log.start().prev());
                return c.send(to, Message::SnapshotNeeded { epoch, lsn_min });
            }
            // A peer whose disk stalls keeps the sent entries in memory, and each session begins again.
            let in_flight_max = match progress.is_stalled(c.ack_limit(), c.now) {
                true => 1,
                false => c.limits.batches_in_flight_max,
            };
            if next > c.log.last() || !progress.may_send(in_flight_max) {
                return;
            }
            let Some(entries) = c.log.batch(next, &c.limits) else {
                progress.reading = true;
                return c.read_log(to, next);
            };
            self.send_append(c, to, entries);
        }
    }

    /// Sends an Append from `next` on; without entries it is a heartbeat or a probe.
    pub(crate) fn send_append(&mut self, c: &mut Common, to: ReplicaId, entries: Vec<Entry>) {
        let (released, dead) = (self.releases(c, to), self.is_fenced(c, to));
        let Some(progress) = self.progress.get_mut(&to).filter(|_| !dead) else {
            return;
        };
        let LoggedConfig { lsn, config } = Leader::config(c);
        let store = c.peers.hello(to).map(|hello| hello.store);
        let prev_lsn = progress.next.prev();
        let append = Append {
            epoch: self.epoch,
            prev_lsn,
            prev_epoch: c
                .log
                .epoch_at(prev_lsn)
                .expect("next is at most one past the end"),
            commit: c.commit,
            last: c.log.last(),
            config_lsn: *lsn,
            member: store.is_some_and(|store| config.has(to, store)) && !progress.is_dismissed(),
            released,
            sent_at: c.now,
            nonce: mutated!(c, SleeperVouches => progress.nonce, else progress.vouched),
            entries,
        };
        if let Some(last) = append.entries.last() {
            progress.sent(last.lsn, c.now);
        }
        c.send(to, Message::Append(append));
    }

    /// Tells whether that replica has a session with a store that was declared dead. Its log must not be changed
    /// before it knows that.
    fn is_fenced(&self, c: &Common, id: ReplicaId) -> bool {
        let config = &Leader::config(c).config;
        let hello = c.peers.hello(id);
        hello.is_some_and(|hello| config.dead.contains(&(id, hello.store)))
    }

    /// Gives the LSN up to which every replica with a session has the log on disk.
    pub(crate) fn needed(&self) -> Option<Lsn> {
        self.progress
            .values()
            .map(|progress| progress.matched)
            .min()
    }

    /// Sends an Append to every replica with a session, with entries or without.
    pub(crate) fn heartbeat(&mut self, c: &mut Common) {
        let peers: Vec<_> = self.progress.keys().copied().collect();
        for id in peers {
            self.send_append(c, id, Vec::new());
            self.replicate(c, id);
        }
    }

    pub(crate) fn on_log_read(
        &mut self,
        c: &mut Common,
        peer: ReplicaId,
        from: Lsn,
        entries: Vec<Entry>,
    ) {
        if let Some(progress) = self.progress.get_mut(&peer) {
            let wanted = progress.reading && progress.next == from;
            progress.reading = false;
            if wanted && !progress.probing && !entries.is_empty() {
                self.send_append(c, peer, entries);
            }
        }
        self.replicate(c, peer);
    }

    /// Tells whether a replica that was removed may stop for good.
    fn releases(&self, c: &Common, id: ReplicaId) -> bool {
        let config = &Leader::config(c).config;
        let firm = self.is_firm(c) || mutated!(c, ReleasedEarly);
        c.is_removed(id) && !config.members.contains_key(&id) && firm
    }
}
