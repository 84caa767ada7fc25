//! The lease: the time until which no other replica can have replaced this leader, and the loss of it by sleep.

use alloc::vec::Vec;

use crate::{
    id::Time,
    leader::{Leader, LeadershipTransfer},
    mutation::mutated,
    progress::Progress,
    shared::Common,
};

impl Leader {
    /// Gives the time until which this leader may serve reads: every other member acknowledged a heartbeat that was
    /// sent less than a lease before that time, and so vetoes any candidate until then.
    pub(crate) fn lease_until(&self, c: &Common) -> Option<Time> {
        let given = self
            .transfer
            .as_ref()
            .is_some_and(LeadershipTransfer::is_given);
        if !self.installed || given && !mutated!(c, LeaseOutlivesHandOver) {
            return None;
        }
        // A shrink that is not committed does not count: its members may already have been replaced.
        let configs = c
            .log
            .configs()
            .iter()
            .flat_map(|logged| &logged.config.members);
        let others = configs.filter(|&(&id, _)| id != c.id);
        let granted = others.map(|(&id, &store)| {
            let progress = self.progress.get(&id)?;
            let echoed = progress.echoed.filter(|&sent| sent >= self.lease_from)?;
            (!c.peers.is_replaced(id, store)).then_some(echoed.after(c.timing.lease))
        });
        // A leader alone in its view needs no grant: no other replica can take over.
        granted.min().unwrap_or(Some(Time(u64::MAX)))
    }

    /// Makes a leader with a lease active: every member of its view still follows it.
    pub(crate) fn renew_activity(&mut self, c: &mut Common) {
        if (!c.active || self.slept) && self.lease_until(c).is_some_and(|until| c.now < until) {
            c.active = true;
            self.slept = false;
        }
    }

    pub(crate) fn on_slept(&mut self, c: &Common) {
        self.lease_from = c.now;
        self.slept = true;
        for progress in self.progress.values_mut().chain(self.parted.values_mut()) {
            progress.leader_slept(c.now);
        }
    }

    /// Drops the grants of heartbeats up to now, because this leader's clock may have stood still.
    pub(crate) fn doubt_lease(&mut self, now: Time) {
        self.lease_from = now.after(1);
    }

    /// Tells whether the peer answered, as a follower, since this leader last slept.
    pub(crate) fn has_echoed(&self, progress: &Progress) -> bool {
        progress.echoed.is_some_and(|sent| sent >= self.lease_from)
    }

    /// Continues to lead after a failed leadership transfer: only later grants count for the lease.
    pub(crate) fn resume_leading(&mut self, c: &Common) {
        self.transfer = None;
        self.lease_from = c.now;
    }

    /// Allows replicas to be active that answered this leader since their last break. Only a leader that knows that
    /// it did not sleep may do so: else another may already lead, and commit without them.
    pub(crate) fn vouch(&mut self, c: &mut Common) {
        let peers: Vec<_> = self.progress.keys().copied().collect();
        for id in peers {
            let progress = self.progress.get_mut(&id).expect("its key was just read");
            if progress.vouched != progress.nonce {
                progress.vouched = progress.nonce;
                self.send_append(c, id, Vec::new());
            }
        }
    }
}
