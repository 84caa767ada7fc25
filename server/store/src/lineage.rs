//! The lineage of a log: its epochs, which are enough to find where two logs differ.

use rusqlite::Connection;
use tercet_core::{epochs::EpochHistory, id::Lsn};
use tercet_proto::peer;

use super::{
    Readers, StoreError, base, log,
    wire::{Malformed, epoch_from_wire, epoch_to_wire},
};

/// The epochs of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// Those epochs, trimmed entries included.
    pub epochs: EpochHistory,
    /// The last entry, applied or not.
    pub last: Lsn,
}

impl Lineage {
    /// Gives the last entry that both logs have. An entry's LSN and epoch identify it and all entries before
    /// it, so up to here the logs are equal, and after it they have no common entry.
    #[must_use]
    pub fn common(&self, other: &Lineage) -> Lsn {
        let pairs = self.epochs.starts().iter().zip(other.epochs.starts());
        let same = pairs.take_while(|(own, theirs)| own == theirs).count();
        match same {
            0 => Lsn::ZERO,
            _ => self.end(same - 1).min(other.end(same - 1)),
        }
    }

    /// Gives the last entry of that epoch.
    fn end(&self, index: usize) -> Lsn {
        let next = self.epochs.starts().get(index + 1);
        next.map_or(self.last, |(first, _)| first.prev())
    }

    /// Encodes the lineage.
    #[must_use]
    pub fn to_wire(&self) -> peer::DescribeLogResponse {
        let epochs = self
            .epochs
            .starts()
            .iter()
            .map(|&(first, epoch)| peer::EpochStart {
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
        let lineage = Lineage {
            last: Lsn(log.last_lsn),
            epochs: epochs.collect(),
        };
        match lineage.epochs.is_sound(lineage.last) {
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
    let (mut epochs, mut last) = (base.epochs, base.end.lsn);
    let mut select = transaction
        .prepare_cached("SELECT lsn, epoch_number, epoch_proposer FROM log ORDER BY lsn")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        last = Lsn(row.get(0)?);
        epochs.append(last, log::epoch(row, 1)?);
    }
    Ok(Lineage { epochs, last })
}

#[cfg(test)]
mod tests {
    use tercet_core::id::{Epoch, ReplicaId};

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
