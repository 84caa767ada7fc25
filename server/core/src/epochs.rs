//! The history of the epochs of a log: enough to tell the epoch of each entry, and to compare two logs.

use alloc::vec::Vec;

use crate::id::{Epoch, Lsn};

/// The first LSN of each epoch in a log, from LSN 1 on, including the part that was trimmed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochHistory {
    /// The pairs `(first LSN, epoch)`, ascending.
    starts: Vec<(Lsn, Epoch)>,
}

impl EpochHistory {
    /// The history of a log without entries.
    pub const EMPTY: EpochHistory = EpochHistory { starts: Vec::new() };

    /// Tells whether it is the history of a log without entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Gives the first LSN and the epoch of each run of entries of one epoch.
    #[must_use]
    pub fn starts(&self) -> &[(Lsn, Epoch)] {
        &self.starts
    }

    /// Gives the epoch of the entry at `lsn`, or of the last entry before it; `Epoch::NONE` before the first.
    #[must_use]
    pub fn at(&self, lsn: Lsn) -> Epoch {
        match self.starts.partition_point(|&(first, _)| first <= lsn) {
            0 => Epoch::NONE,
            n => self.starts[n - 1].1,
        }
    }

    /// Gives the epoch of the last entry; `Epoch::NONE` if there is none.
    #[must_use]
    pub fn newest(&self) -> Epoch {
        self.starts.last().map_or(Epoch::NONE, |&(_, epoch)| epoch)
    }

    /// Notes the epoch of the next entry of the log.
    pub fn append(&mut self, lsn: Lsn, epoch: Epoch) {
        if self.is_empty() || epoch != self.newest() {
            self.starts.push((lsn, epoch));
        }
    }

    /// Removes the epochs that begin at `from` or later.
    pub fn truncate(&mut self, from: Lsn) {
        self.starts.retain(|&(first, _)| first < from);
    }

    /// Tells whether this can be the history of a log that has entries and ends at `last`.
    #[must_use]
    pub fn is_sound(&self, last: Lsn) -> bool {
        let from_the_first = self
            .starts
            .first()
            .is_some_and(|&(first, _)| first == Lsn(1));
        from_the_first && self.starts.iter().all(|&(first, _)| first <= last) && self.ascends()
    }

    /// Tells whether both the positions and the epochs ascend.
    pub(crate) fn ascends(&self) -> bool {
        self.starts.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1)
    }
}

impl FromIterator<(Lsn, Epoch)> for EpochHistory {
    fn from_iter<I: IntoIterator<Item = (Lsn, Epoch)>>(starts: I) -> Self {
        EpochHistory {
            starts: starts.into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ReplicaId;

    #[test]
    fn an_entry_is_of_the_epoch_that_began_last_before_it() {
        let epoch = |number| Epoch {
            number,
            proposer: ReplicaId(1),
        };
        let one = EpochHistory::from_iter([(Lsn(1), epoch(1)), (Lsn(5), epoch(2))]);
        let number = |lsn| one.at(Lsn(lsn)).number;
        assert_eq!([0, 1, 4, 5, 9].map(number), [0, 1, 1, 2, 2]);
    }
}
