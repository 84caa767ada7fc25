//! The check of logs that may diverge: the rules that hold even outside the fault model, where two sides of a
//! partition continue and the one order of `order` is lost.
//!
//! - LSN and epoch identify an entry: all replicas write the same entry for the same pair, after the same entries,
//!   and the leader of the epoch writes it first. So a log has one past, and a corrupt entry of one disk is on no
//!   other.
//! - Equal logs give equal states.
//! - A read sees all writes that its own leader acknowledged, and those that an earlier leader acknowledged if they
//!   are in the log.
//! - Each loss is reported: an acknowledged write that the final log lacks is in a store whose replica refused to
//!   continue with it ([`Lineage::lost`]).

use tercet_core::id::{Epoch, Lsn, ReplicaId};

use super::{Verdict, broken};

/// The entries of all logs of a run.
#[derive(Clone, Debug, Default)]
pub struct Lineage {
    /// The entries that were ever written at each LSN; hardly ever more than one.
    entries: Vec<Vec<Born>>,
    acknowledged: Vec<Acknowledged>,
}

/// An entry that was written.
#[derive(Clone, Copy, Debug)]
struct Born {
    epoch: Epoch,
    digest: u64,
    /// The hash of the log up to it, once it is on a disk.
    chain: Option<u64>,
    /// The hash of the state after it, once it is applied.
    state: Option<u64>,
}

/// A write that was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// The LSN at which it took effect, in the log with this chain.
    pub lsn: Lsn,
    pub chain: u64,
    /// The epoch of the leader that acknowledged it.
    pub epoch: Epoch,
}

impl Lineage {
    /// Notes that `replica` begins to write an entry with this digest.
    ///
    /// # Errors
    /// If it is not the known entry of that LSN and epoch, or is new and `replica` is not the leader of the epoch.
    pub fn persists(
        &mut self,
        replica: ReplicaId,
        (lsn, epoch): (Lsn, Epoch),
        digest: u64,
    ) -> Verdict {
        match self.find((lsn, epoch)) {
            Some(known) if known.digest == digest => Ok(()),
            Some(_) => broken(format!(
                "lineage: replica {replica} writes another entry {lsn} of epoch {epoch}"
            )),
            None if epoch.proposer == replica => {
                let index = lsn.0 as usize;
                self.entries
                    .resize_with(self.entries.len().max(index + 1), Vec::new);
                self.entries[index].push(Born {
                    epoch,
                    digest,
                    chain: None,
                    state: None,
                });
                Ok(())
            }
            None => broken(format!(
                "lineage: replica {replica} writes an entry {lsn} of epoch {epoch} that its \
                 leader never made"
            )),
        }
    }

    fn find(&mut self, (lsn, epoch): (Lsn, Epoch)) -> Option<&mut Born> {
        let entries = self.entries.get_mut(lsn.0 as usize)?;
        entries.iter_mut().find(|entry| entry.epoch == epoch)
    }

    /// Notes that an entry is on the disk of `replica`, at the end of a log with this chain.
    ///
    /// # Errors
    /// If another log had that entry after other entries.
    pub fn written(
        &mut self,
        replica: ReplicaId,
        (lsn, epoch): (Lsn, Epoch),
        chain: u64,
    ) -> Verdict {
        let known = self.find((lsn, epoch));
        match known.map(|known| *known.chain.get_or_insert(chain)) {
            Some(known) if known == chain => Ok(()),
            _ => broken(format!(
                "lineage: replica {replica} has entry {lsn} of epoch {epoch} after another past"
            )),
        }
    }

    /// Notes that `replica` has this state after it applied the log up to this entry.
    ///
    /// # Errors
    /// If the same log gave another state elsewhere.
    pub fn state(&mut self, replica: ReplicaId, place: (Lsn, Epoch), state: u64) -> Verdict {
        let known = self.find(place);
        match known.map(|known| *known.state.get_or_insert(state)) {
            Some(known) if known == state => Ok(()),
            _ => broken(format!(
                "lineage: replica {replica} made another state of the log up to {}",
                place.0
            )),
        }
    }

    /// Notes that a write is acknowledged.
    pub fn acknowledge(&mut self, write: Acknowledged) {
        self.acknowledged.push(write);
    }

    /// Gives the acknowledged writes, in the order of their acknowledgements.
    #[must_use]
    pub fn acknowledged(&self) -> &[Acknowledged] {
        &self.acknowledged
    }

    /// Gives the LSN that a read must reach that begins under the leader of `epoch`, whose log has these chains.
    #[must_use]
    pub fn floor(&self, epoch: Epoch, chain: impl Fn(Lsn) -> Option<u64>) -> Lsn {
        let shared =
            |write: &&Acknowledged| write.epoch <= epoch && chain(write.lsn) == Some(write.chain);
        let found = self.acknowledged.iter().rev().find(shared);
        found.map_or(Lsn::ZERO, |write| write.lsn)
    }

    /// Checks a read that began with this floor and is answered with the state at `position`.
    ///
    /// # Errors
    /// If the state is older than the floor.
    pub fn end_read(floor: Lsn, position: Lsn) -> Verdict {
        match position >= floor {
            true => Ok(()),
            false => broken(format!(
                "lineage: a read answered at {position} lacks what was acknowledged at {floor}"
            )),
        }
    }

    /// Gives the first acknowledged write for which `kept` is false at its LSN and chain.
    #[must_use]
    pub fn lost(&self, kept: impl Fn(Lsn, u64) -> bool) -> Option<&Acknowledged> {
        let mut writes = self.acknowledged.iter();
        writes.find(|write| !kept(write.lsn, write.chain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: ReplicaId = ReplicaId(1);
    const TWO: ReplicaId = ReplicaId(2);

    fn at(lsn: u64, number: u64) -> (Lsn, Epoch) {
        let proposer = ONE;
        (Lsn(lsn), Epoch { number, proposer })
    }

    fn acknowledged(lsn: u64, chain: u64, number: u64) -> Acknowledged {
        let (lsn, epoch) = at(lsn, number);
        Acknowledged { lsn, chain, epoch }
    }

    #[test]
    fn another_entry_under_a_known_lsn_and_epoch_is_found() {
        let mut lineage = Lineage::default();
        lineage.persists(ONE, at(1, 1), 11).unwrap();
        lineage.persists(TWO, at(1, 1), 11).unwrap();
        assert!(lineage.persists(TWO, at(1, 1), 12).is_err());
        assert!(lineage.persists(TWO, at(1, 2), 11).is_err(), "never made");
    }

    #[test]
    fn same_entry_after_another_past_is_found() {
        let mut lineage = Lineage::default();
        lineage.persists(ONE, at(2, 1), 11).unwrap();
        lineage.written(ONE, at(2, 1), 5).unwrap();
        lineage.written(TWO, at(2, 1), 5).unwrap();
        assert!(lineage.written(TWO, at(2, 1), 6).is_err());
        assert!(lineage.written(TWO, at(3, 1), 6).is_err(), "from nowhere");
    }

    #[test]
    fn different_states_of_the_same_log_are_found() {
        let mut lineage = Lineage::default();
        lineage.persists(ONE, at(1, 1), 11).unwrap();
        lineage.persists(ONE, at(1, 2), 12).unwrap();
        lineage.state(ONE, at(1, 1), 1).unwrap();
        lineage.state(TWO, at(1, 1), 1).unwrap();
        lineage.state(TWO, at(1, 2), 2).unwrap();
        assert!(lineage.state(TWO, at(1, 1), 2).is_err());
    }

    #[test]
    fn read_must_see_what_its_own_log_acknowledged_and_no_other() {
        let mut lineage = Lineage::default();
        lineage.acknowledge(acknowledged(3, 30, 1));
        lineage.acknowledge(acknowledged(4, 40, 1));
        lineage.acknowledge(acknowledged(5, 50, 2));
        let chain = |lsn: Lsn| Some(lsn.0 * 10);
        assert_eq!(lineage.floor(at(0, 1).1, chain), Lsn(4));
        assert_eq!(lineage.floor(at(0, 2).1, chain), Lsn(5));
        let other = |lsn: Lsn| Some(if lsn > Lsn(3) { 0 } else { lsn.0 * 10 });
        assert_eq!(lineage.floor(at(0, 2).1, other), Lsn(3));
        assert!(Lineage::end_read(Lsn(3), Lsn(3)).is_ok());
        assert!(Lineage::end_read(Lsn(3), Lsn(2)).is_err());
    }

    #[test]
    fn acknowledged_write_that_is_kept_nowhere_is_found() {
        let mut lineage = Lineage::default();
        lineage.acknowledge(acknowledged(3, 30, 1));
        lineage.acknowledge(acknowledged(4, 40, 1));
        assert_eq!(lineage.lost(|lsn, chain| chain == lsn.0 * 10), None);
        let lost = lineage.lost(|lsn, _| lsn <= Lsn(3));
        assert_eq!(lost, Some(&acknowledged(4, 40, 1)));
    }
}
