//! Where each epoch begins in a log: enough to tell the epoch of each entry, and to compare two logs.

use alloc::vec::Vec;

use crate::id::{Epoch, Lsn};

/// Where each epoch begins in a log, from LSN 1 on, whatever was trimmed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochHistory {
    /// `(first LSN, epoch)`.
    starts: Vec<(Lsn, Epoch)>,
}

impl EpochHistory {
    /// The history of a log without entries.
    pub const EMPTY: EpochHistory = EpochHistory { starts: Vec::new() };

    /// Whether it is that of a log without entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// The first LSN and the epoch of each run of entries of one epoch.
    #[must_use]
    pub fn starts(&self) -> &[(Lsn, Epoch)] {
        &self.starts
    }

    /// The epoch of the entry at `lsn`, or of the last before it; `Epoch::NONE` before the first.
    #[must_use]
    pub fn at(&self, lsn: Lsn) -> Epoch {
        match self.starts.partition_point(|&(first, _)| first <= lsn) {
            0 => Epoch::NONE,
            n => self.starts[n - 1].1,
        }
    }

    /// The epoch of the last entry; `Epoch::NONE` where there is none.
    #[must_use]
    pub fn newest(&self) -> Epoch {
        self.starts.last().map_or(Epoch::NONE, |&(_, epoch)| epoch)
    }

    /// Takes note of the next entry of the log.
    pub fn append(&mut self, lsn: Lsn, epoch: Epoch) {
        if self.is_empty() || epoch != self.newest() {
            self.starts.push((lsn, epoch));
        }
    }

    /// Removes everything from `from` on.
    pub fn truncate(&mut self, from: Lsn) {
        self.starts.retain(|&(first, _)| first < from);
    }

    /// Whether a log that ends at `last`, and has an entry, can have this history.
    #[must_use]
    pub fn is_sound(&self, last: Lsn) -> bool {
        let from_the_first = self
            .starts
            .first()
            .is_some_and(|&(first, _)| first == Lsn(1));
        from_the_first && self.starts.iter().all(|&(first, _)| first <= last) && self.ascends()
    }

    /// Whether it ascends in both positions and epochs.
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
