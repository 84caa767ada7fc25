//! The lineage of a log: its epochs, which are enough to find where two logs differ.

use rusqlite::Connection;
use tercet_core::id::{Epoch, Lsn};
use tercet_proto::peer;

use super::{
    Readers, StoreError, base, log,
    wire::{Malformed, epoch_from_wire, epoch_to_wire},
};

/// The epochs of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// The start of each epoch: `(first LSN, epoch)`, ascending in both, from LSN 1 on, trimmed entries
    /// included.
    pub epochs: Vec<(Lsn, Epoch)>,
    /// The last entry, applied or not.
    pub last: Lsn,
}

impl Lineage {
    /// Gives the last entry that both logs have. An entry's LSN and epoch identify it and all entries before
    /// it, so up to here the logs are equal, and after it they have no common entry.
    #[must_use]
    pub fn common(&self, other: &Lineage) -> Lsn {
        let pairs = self.epochs.iter().zip(&other.epochs);
        let same = pairs.take_while(|(own, theirs)| own == theirs).count();
        match same {
            0 => Lsn::ZERO,
            _ => self.end(same - 1).min(other.end(same - 1)),
        }
    }

    /// Gives the last entry of that epoch.
    fn end(&self, index: usize) -> Lsn {
        let next = self.epochs.get(index + 1);
        next.map_or(self.last, |(first, _)| first.prev())
    }

    /// Gives the epoch of an entry.
    #[must_use]
    pub fn epoch_at(&self, lsn: Lsn) -> Epoch {
        let before = self.epochs.iter().take_while(|(first, _)| *first <= lsn);
        before.last().map_or(Epoch::NONE, |&(_, epoch)| epoch)
    }

    /// Encodes the lineage.
    #[must_use]
    pub fn to_wire(&self) -> peer::DescribeLogResponse {
        let epochs = self.epochs.iter().map(|&(first, epoch)| peer::EpochStart {
            first_lsn: first.0,
            epoch: Some(epoch_to_wire(epoch)),
        });
        peer::DescribeLogResponse {
            epochs: epochs.collect(),
            last_lsn: self.last.0,
        }
    }

    /// Decodes the lineage of a log that has an entry.
    ///
    /// # Errors
    /// When the epochs do not begin at LSN 1 and ascend, or the last begins past the log's end.
    pub fn from_wire(log: peer::DescribeLogResponse) -> Result<Lineage, Malformed> {
        let epochs = log.epochs.into_iter();
        let epochs = epochs.map(|start| (Lsn(start.first_lsn), epoch_from_wire(start.epoch)));
        let epochs: Vec<_> = epochs.collect();
        let lineage = Lineage {
            last: Lsn(log.last_lsn),
            epochs,
        };
        let first = lineage.epochs.first().map(|&(lsn, _)| lsn);
        let within = lineage.epochs.iter().all(|&(lsn, _)| lsn <= lineage.last);
        let ascend = lineage.epochs.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1);
        match first == Some(Lsn(1)) && within && ascend {
            true => Ok(lineage),
            false => Err(Malformed("the epochs are of no log")),
        }
    }
}

impl Readers {
    /// Reads the lineage of the log. Reads every entry, which takes long for a long log.
    pub fn lineage(&self) -> Result<Lineage, StoreError> {
        read(&self.connection())
    }
}

fn read(connection: &Connection) -> Result<Lineage, StoreError> {
    // One transaction, so that the log and its base are of one state.
    let transaction = connection.unchecked_transaction()?;
    let base = base::read(&transaction)?;
    let (mut epochs, mut last, mut newest) = (base.epochs, base.end.lsn, base.end.epoch);
    let mut select = transaction
        .prepare_cached("SELECT lsn, epoch_number, epoch_proposer FROM log ORDER BY lsn")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        last = Lsn(row.get(0)?);
        let epoch = log::epoch(row, 1)?;
        if epoch != newest || epochs.is_empty() {
            epochs.push((last, epoch));
            newest = epoch;
        }
    }
    Ok(Lineage { epochs, last })
}

#[cfg(test)]
mod tests {
    use tercet_core::id::ReplicaId;

    use super::*;

    /// Epochs by their terms, and where they begin.
    fn lineage(epochs: &[(u64, u64)], last: u64) -> Lineage {
        let epoch = |&(first, number): &(u64, u64)| {
            let proposer = ReplicaId(1);
            (Lsn(first), Epoch { number, proposer })
        };
        Lineage {
            epochs: epochs.iter().map(epoch).collect(),
            last: Lsn(last),
        }
    }

    #[test]
    fn logs_part_after_the_last_entry_of_the_same_epoch() {
        let one = lineage(&[(1, 1), (5, 2)], 9);
        for (other, common) in [
            (one.clone(), 9),
            // Shorter, longer in the same epoch, and with a later one after it.
            (lineage(&[(1, 1), (5, 2)], 7), 7),
            (lineage(&[(1, 1), (5, 2)], 12), 9),
            (lineage(&[(1, 1), (5, 2), (8, 3)], 20), 7),
            (lineage(&[(1, 1), (5, 2), (12, 3)], 20), 9),
            // Parted before, in the middle of an epoch and at its end.
            (lineage(&[(1, 1), (3, 4)], 20), 2),
            (lineage(&[(1, 1), (5, 4)], 20), 4),
            (lineage(&[(1, 1), (7, 4)], 20), 4),
            (lineage(&[(1, 1)], 4), 4),
            // Never the same, and none.
            (lineage(&[(1, 9)], 20), 0),
            (lineage(&[], 0), 0),
        ] {
            assert_eq!(one.common(&other), Lsn(common), "{other:?}");
            assert_eq!(other.common(&one), Lsn(common), "{other:?}");
        }
    }

    #[test]
    fn an_entry_is_of_the_epoch_that_began_last_before_it() {
        let one = lineage(&[(1, 1), (5, 2)], 9);
        let number = |lsn| one.epoch_at(Lsn(lsn)).number;
        assert_eq!([0, 1, 4, 5, 9].map(number), [0, 1, 1, 2, 2]);
    }

    #[test]
    fn epochs_that_are_of_no_log_are_refused() {
        let good = lineage(&[(1, 1), (5, 2)], 5);
        assert_eq!(Lineage::from_wire(good.to_wire()), Ok(good));
        for bad in [
            lineage(&[], 0),
            lineage(&[(2, 1)], 5),
            lineage(&[(1, 1), (6, 2)], 5),
            lineage(&[(1, 2), (5, 1)], 5),
            lineage(&[(1, 1), (1, 2)], 5),
        ] {
            Lineage::from_wire(bad.to_wire()).expect_err("malformed");
        }
    }
}
