//! The check of the one order: all replicas commit the same entry at an LSN, and equal positions mean equal states.

use tercet_core::id::{Lsn, ReplicaId};

use super::{Verdict, broken};

/// The entries that any replica committed.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// The digest of the entry at each LSN, and the replica that committed it first.
    entries: Vec<(u64, ReplicaId)>,
    /// The hash of the state at each LSN.
    states: Vec<Option<u64>>,
    /// The first LSN at which two replicas differed; only set when that is `tolerated`.
    pub diverged: Option<Lsn>,
    /// True if a difference is allowed, as after a partition in mode available. It must then be detected.
    pub tolerated: bool,
}

impl Order {
    /// Makes the check of a cluster that has committed nothing.
    #[must_use]
    pub fn new(tolerated: bool) -> Order {
        Order {
            tolerated,
            ..Order::default()
        }
    }

    /// Notes that `replica` commits the entry with this digest. Returns true if it is the first.
    ///
    /// # Errors
    /// If another entry was committed there, or no entry before it.
    pub fn committed(
        &mut self,
        replica: ReplicaId,
        lsn: Lsn,
        digest: u64,
    ) -> Result<bool, super::Violation> {
        let index = lsn.0 as usize - 1;
        if index > self.entries.len() {
            broken(format!(
                "order: replica {replica} commits {lsn}, and nobody what is before it"
            ))?;
        }
        let Some(&(first, by)) = self.entries.get(index) else {
            self.entries.push((digest, replica));
            self.states.push(None);
            return Ok(true);
        };
        if first != digest {
            if !self.tolerated {
                broken(format!(
                    "order: replicas {by} and {replica} committed different entries at {lsn}"
                ))?;
            }
            self.diverged = Some(self.diverged.unwrap_or(lsn).min(lsn));
        }
        Ok(false)
    }

    /// Gives the digest of the entry that was committed at `lsn`.
    #[must_use]
    pub fn digest(&self, lsn: Lsn) -> Option<u64> {
        let index = (lsn.0 as usize).checked_sub(1)?;
        self.entries.get(index).map(|&(digest, _)| digest)
    }

    /// Gives the highest LSN that any replica committed.
    #[must_use]
    pub fn last(&self) -> Lsn {
        Lsn(self.entries.len() as u64)
    }

    /// Notes that `replica` has this state at `lsn`.
    ///
    /// # Errors
    /// If another replica had another state there.
    pub fn state(&mut self, replica: ReplicaId, lsn: Lsn, hash: u64) -> Verdict {
        if self.diverged.is_some() || lsn == Lsn::ZERO {
            return Ok(());
        }
        let Some(state) = self.states.get_mut(lsn.0 as usize - 1) else {
            return broken(format!(
                "order: replica {replica} applied {lsn} uncommitted"
            ));
        };
        if *state.get_or_insert(hash) != hash {
            return broken(format!(
                "order: replica {replica} has another state at {lsn}"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_entries_at_one_lsn_are_found() {
        let mut order = Order::default();
        assert_eq!(order.committed(ReplicaId(1), Lsn(1), 11), Ok(true));
        assert_eq!(order.committed(ReplicaId(2), Lsn(1), 11), Ok(false));
        assert!(order.committed(ReplicaId(2), Lsn(1), 12).is_err());
        assert!(order.committed(ReplicaId(2), Lsn(3), 13).is_err(), "a hole");
    }

    #[test]
    fn tolerated_difference_is_remembered_with_its_first_place() {
        let mut order = Order {
            tolerated: true,
            ..Order::default()
        };
        for lsn in 1..=3 {
            order.committed(ReplicaId(1), Lsn(lsn), lsn).unwrap();
        }
        order.committed(ReplicaId(2), Lsn(3), 9).unwrap();
        order.committed(ReplicaId(2), Lsn(2), 9).unwrap();
        assert_eq!(order.diverged, Some(Lsn(2)));
    }

    #[test]
    fn different_states_at_one_lsn_are_found() {
        let mut order = Order::default();
        order.committed(ReplicaId(1), Lsn(1), 11).unwrap();
        order.state(ReplicaId(1), Lsn(1), 5).unwrap();
        order.state(ReplicaId(2), Lsn(1), 5).unwrap();
        assert!(order.state(ReplicaId(3), Lsn(1), 6).is_err());
        assert!(order.state(ReplicaId(3), Lsn(2), 6).is_err(), "uncommitted");
    }
}
