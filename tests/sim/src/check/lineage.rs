//! Logs that may part: what holds even outside the fault model, where two sides go on and the one
//! order of `order` is lost.
//!
//! - An entry is its LSN and epoch: whoever writes one under a known pair writes the same, after
//!   the same entries; and the first to write it is the leader of that epoch. So a log has one
//!   past, and an entry that rotted on a disk is on no other disk.
//! - Equal logs give equal states.
//! - A read sees what its own leadership acknowledged, and whatever an earlier one did whose log
//!   it has.
//! - No loss is silent: an acknowledged write that the final log lacks is in a store that its
//!   replica refused to go on with ([`Lineage::lost`]).

use tercet_core::id::{Epoch, Lsn, ReplicaId};

use super::{Verdict, broken};

/// Every log that there ever was.
#[derive(Clone, Debug, Default)]
pub struct Lineage {
    /// By LSN all entries that were ever written there; hardly ever more than one.
    entries: Vec<Vec<Born>>,
    acknowledged: Vec<Acknowledged>,
}

/// An entry that was written.
#[derive(Clone, Copy, Debug)]
struct Born {
    epoch: Epoch,
    digest: u64,
    /// Once it is on a disk: identifies the log up to it.
    chain: Option<u64>,
    /// Once it is applied: the state then.
    state: Option<u64>,
}

/// A write that was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// Where it took effect, in the log with this chain.
    pub lsn: Lsn,
    pub chain: u64,
    /// Of the leader that acknowledged it.
    pub epoch: Epoch,
}

impl Lineage {
    /// `replica` begins to write an entry with this digest.
    ///
    /// # Errors
    /// When it is not the entry of that LSN and epoch, or nobody entitled to has made it.
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

    /// An entry is on the disk of `replica`, at the end of a log with this chain.
    ///
    /// # Errors
    /// When another log had that entry after other ones.
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

    /// `replica` has this state, made by the log up to this entry.
    ///
    /// # Errors
    /// When the same log made another one elsewhere.
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

    /// A write is acknowledged.
    pub fn acknowledge(&mut self, write: Acknowledged) {
        self.acknowledged.push(write);
    }

    /// All of them, in their order.
    #[must_use]
    pub fn acknowledged(&self) -> &[Acknowledged] {
        &self.acknowledged
    }

    /// What a read must see that begins under the leader of `epoch`, whose log has these chains.
    #[must_use]
    pub fn floor(&self, epoch: Epoch, chain: impl Fn(Lsn) -> Option<u64>) -> Lsn {
        let shared =
            |write: &&Acknowledged| write.epoch <= epoch && chain(write.lsn) == Some(write.chain);
        let found = self.acknowledged.iter().rev().find(shared);
        found.map_or(Lsn::ZERO, |write| write.lsn)
    }

    /// A read that began with this floor is answered with the state at `position`.
    ///
    /// # Errors
    /// When it lacks something.
    pub fn end_read(floor: Lsn, position: Lsn) -> Verdict {
        match position >= floor {
            true => Ok(()),
            false => broken(format!(
                "lineage: a read answered at {position} lacks what was acknowledged at {floor}"
            )),
        }
    }

    /// The first acknowledged write that is not `kept`, at its LSN in a log with its chain.
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
