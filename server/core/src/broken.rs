//! Mutations that take more than a line at the place that they break.

use alloc::vec::Vec;

use crate::{
    id::{Epoch, ReplicaId, Time},
    leader::Leader,
    log::{LastEntry, Payload},
    message::VoteState,
    mutation::{Mutant, Mutation},
    replica::Replica,
    shared::Common,
    takeover::Takeover,
};

impl Replica {
    /// Breaks this replica, which was just made, in a way that the simulator must catch.
    pub fn mutate(&mut self, mutation: Mutation) {
        let c = &mut self.common;
        c.mutant = Mutant {
            mutation: Some(mutation),
            number: c.promised.number + 1,
        };
        let config = c.log.config();
        let member = config.is_some_and(|config| config.has(c.id, c.store));
        c.active = member && mutation == Mutation::ActiveSurvivesRestart;
        if mutation == Mutation::CopyVotes {
            c.unconfirmed = None;
        }
    }
}

impl Common {
    /// [`Mutation::NumberBesideTheLog`]: whoever takes a leader's entries has its number too.
    pub(crate) fn renumber(&mut self, epoch: Epoch) {
        self.mutant.number = self.mutant.number.max(epoch.number);
    }

    /// [`Mutation::NumberBesideTheLog`]: the number travels in the epoch of the last trimmed entry, which matters
    /// to none but a candidate that lacks this entry.
    pub(crate) fn numbered(&self, trimmed: LastEntry) -> LastEntry {
        let epoch = Epoch {
            number: self.mutant.number,
            ..trimmed.epoch
        };
        LastEntry { epoch, ..trimmed }
    }

    /// [`Mutation::NumberBesideTheLog`]: the log that is adopted may be the shorter one.
    pub(crate) fn cut_to(&mut self, epoch: Epoch, target: LastEntry) {
        if target.lsn < self.log.last() {
            self.change_log(epoch, Some(target.lsn.next()), Vec::new());
        }
    }
}

impl Leader {
    /// [`Mutation::EpochWithoutPromises`].
    pub(crate) fn bump_epoch(&mut self, c: &Common, payloads: &[Payload]) {
        let view = payloads.iter().any(|p| matches!(p, Payload::Config(_)));
        if view && c.log.last_entry().epoch == self.epoch {
            self.epoch = c.seen.max(c.promised).above(c.id, c.store.0 as u64);
            self.installed = false;
        }
    }

    /// [`Mutation::LeaseOutlivesSleep`].
    pub(crate) fn lease_at_last_tick(&self, c: &Common) -> Option<Time> {
        let until = self.lease_until(c)?;
        (c.now < until).then_some(Time(u64::MAX))
    }
}

impl Takeover<'_> {
    /// [`Mutation::NumberBesideTheLog`] and [`Mutation::LongestLogWins`]: the greatest log by such a number.
    pub(crate) fn greatest_by(&self, number: impl Fn(&VoteState) -> u64) -> ReplicaId {
        let rank = |id: ReplicaId| {
            let vote_state = &self.voters[&id].vote_state;
            (number(vote_state), vote_state.last_entry)
        };
        let ids = self.voters.keys().copied();
        let best = ids.max_by_key(|&id| rank(id));
        best.expect("a candidate votes")
    }
}
