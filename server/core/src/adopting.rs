//! The transfer of the log that a candidate adopts, from the replica that has it, part by part.

use alloc::vec::Vec;

use crate::{
    effect::Halt,
    id::{Epoch, Lsn, ReplicaId},
    log::{Entry, LastEntry, can_follow},
    message::Message,
    shared::Common,
};

/// A fetch in progress: the promises suffice and are final, and the candidate is fetching the best log.
#[derive(Debug)]
pub(crate) struct Adopting {
    /// The candidate's epoch.
    epoch: Epoch,
    donor: ReplicaId,
    target: LastEntry,
    /// The next entry to ask for.
    next: Lsn,
}

/// The result of taking a part of the donor's log.
pub(crate) enum Adopted {
    /// The message was not the part that was asked for.
    Nothing,
    Part,
    Everything,
    /// The donor's log is not the promised one, or belongs to another history.
    Failure,
}

impl Adopting {
    /// Begins to fetch the log of `donor` up to `target`, from `next` on.
    pub(crate) fn begin(
        c: &mut Common,
        epoch: Epoch,
        donor: ReplicaId,
        target: LastEntry,
        next: Lsn,
    ) -> Adopting {
        let adopting = Adopting {
            epoch,
            donor,
            target,
            next,
        };
        adopting.pull(c);
        adopting
    }

    pub(crate) fn is_from(&self, donor: ReplicaId) -> bool {
        self.donor == donor
    }

    /// Asks for the next part of the donor's log.
    pub(crate) fn pull(&self, c: &mut Common) {
        let (epoch, from) = (self.epoch, self.next);
        c.send(self.donor, Message::Pull { epoch, from });
    }

    /// Takes the entries that `from` sent, from `lsn` on, into the log.
    pub(crate) fn take(
        &mut self,
        c: &mut Common,
        from: ReplicaId,
        lsn: Lsn,
        entries: Vec<Entry>,
    ) -> Adopted {
        let expected = self.donor == from && self.next == lsn && !entries.is_empty();
        let target = self.target;
        let other = |first: &Entry| first.lsn == lsn && c.log.epoch_at(lsn) != Some(first.epoch);
        if expected && lsn <= c.commit && entries.first().is_some_and(other) {
            c.halt(Halt::Diverged { lsn, leader: from });
            return Adopted::Failure;
        }
        let fits = c.log.epoch_at(lsn.prev()).is_some_and(|prev_epoch| {
            can_follow(lsn.prev(), prev_epoch, &entries, target.epoch)
                && entries.last().is_none_or(|last| last.lsn <= target.lsn)
        });
        if !expected || !fits {
            return Adopted::Nothing;
        }
        self.next = Lsn(lsn.0 + entries.len() as u64);
        let (cut, fresh) = c.log.news(entries);
        if let Some(lsn) = cut
            && lsn <= c.commit
        {
            c.halt(Halt::Diverged { lsn, leader: from });
            return Adopted::Failure;
        }
        c.change_log(self.epoch, cut, fresh);
        if self.next <= target.lsn {
            self.pull(c);
            return Adopted::Part;
        }
        match c.log.last_entry() == target {
            true => Adopted::Everything,
            false => Adopted::Failure,
        }
    }
}
