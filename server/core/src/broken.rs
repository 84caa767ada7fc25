//! The mutations that take more than one line at the place that they break.

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
    /// Breaks this replica, which was just made, in the way that `mutation` names. The simulator must catch it.
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
    /// Raises the number of [`Mutation::NumberBesideTheLog`] to that of the leader whose entries this replica takes.
    pub(crate) fn renumber(&mut self, epoch: Epoch) {
        self.mutant.number = self.mutant.number.max(epoch.number);
    }

    /// Puts the number of [`Mutation::NumberBesideTheLog`] into the epoch of the last trimmed entry, which only a
    /// candidate that lacks this entry looks at.
    pub(crate) fn numbered(&self, trimmed: LastEntry) -> LastEntry {
        let epoch = Epoch {
            number: self.mutant.number,
            ..trimmed.epoch
        };
        LastEntry { epoch, ..trimmed }
    }

    /// Cuts the log to the end of the adopted log, which may be shorter with [`Mutation::NumberBesideTheLog`].
    pub(crate) fn cut_to(&mut self, epoch: Epoch, target: LastEntry) {
        if target.lsn < self.log.last() {
            self.change_log(epoch, Some(target.lsn.next()), Vec::new());
        }
    }
}

impl Leader {
    /// Changes the epoch without promises for a new Config: [`Mutation::EpochWithoutPromises`].
    pub(crate) fn bump_epoch(&mut self, c: &Common, payloads: &[Payload]) {
        let view = payloads.iter().any(|p| matches!(p, Payload::Config(_)));
        if view && c.log.last_entry().epoch == self.epoch {
            self.epoch = c.seen.max(c.promised).above(c.id, c.store.0 as u64);
            self.installed = false;
        }
    }

    /// Gives the lease as of the last tick: [`Mutation::LeaseOutlivesSleep`].
    pub(crate) fn lease_at_last_tick(&self, c: &Common) -> Option<Time> {
        let until = self.lease_until(c)?;
        (c.now < until).then_some(Time(u64::MAX))
    }
}

impl Takeover<'_> {
    /// Finds the voter with the greatest log, ranked by `number` first: [`Mutation::NumberBesideTheLog`] and
    /// [`Mutation::LongestLogWins`].
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
