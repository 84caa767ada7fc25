//! What a leader may believe of itself: until when nobody can have replaced it, and what it no longer
//! knows when it slept.

use alloc::vec::Vec;

use crate::{
    id::Time,
    leader::{Leader, LeadershipTransfer},
    mutation::mutated,
    progress::Progress,
    shared::Common,
};

impl Leader {
    /// Until when this leader may serve reads: every other member acknowledged a heartbeat that
    /// was sent less than a lease before, and so will veto any candidate until then.
    pub(crate) fn lease_until(&self, c: &Common) -> Option<Time> {
        let given = self
            .transfer
            .as_ref()
            .is_some_and(LeadershipTransfer::is_given);
        if !self.installed || given && !mutated!(c, LeaseOutlivesHandOver) {
            return None;
        }
        // A shrink that is not committed frees nobody: its members may be replaced already.
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
        // Alone in its view a leader needs nobody's leave: nobody else can take over.
        granted.min().unwrap_or(Some(Time(u64::MAX)))
    }

    /// A leader with a lease is active: every member of its view still follows it.
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

    /// This leader's clock may have stood still: what was granted before its next tick does not count.
    pub(crate) fn doubt_lease(&mut self, now: Time) {
        self.lease_from = now.after(1);
    }

    /// Whether the peer was heard, as a follower, since this leader last slept.
    pub(crate) fn has_echoed(&self, progress: &Progress) -> bool {
        progress.echoed.is_some_and(|sent| sent >= self.lease_from)
    }

    /// After a hand-over that came to nothing: only what is granted from now on counts.
    pub(crate) fn resume_leading(&mut self, c: &Common) {
        self.transfer = None;
        self.lease_from = c.now;
    }

    /// Lets those be active who heard from this leader since their last break. Only a leader that
    /// knows that it did not sleep may: another may lead by now, and commit without them.
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
