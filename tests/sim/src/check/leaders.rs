//! The check of leaders: one replica serves in an epoch, and no replica reads while a newer leader acknowledges.

use std::collections::BTreeMap;

use tercet_core::id::{Epoch, Incarnation, ReplicaId};

use super::{Verdict, broken};

/// The replicas that ever served, by epoch.
#[derive(Clone, Debug, Default)]
pub struct Leaders {
    by_epoch: BTreeMap<Epoch, (ReplicaId, Incarnation)>,
}

impl Leaders {
    /// Notes that a run of a replica serves in `epoch`. Returns true if it did not before.
    ///
    /// # Errors
    /// If another run serves or served in it, or the epoch belongs to another replica.
    pub fn serves(
        &mut self,
        epoch: Epoch,
        replica: ReplicaId,
        run: Incarnation,
    ) -> Result<bool, super::Violation> {
        if epoch.proposer != replica {
            broken(format!("leaders: {replica} serves in epoch {epoch}"))?;
        }
        let known = self.by_epoch.insert(epoch, (replica, run));
        if let Some(other) = known
            && other != (replica, run)
        {
            broken(format!(
                "leaders: replica {replica} serves in epoch {epoch} in two runs"
            ))?;
        }
        Ok(known.is_none())
    }

    /// Checks the leases when the leader of `epoch` acknowledges a write, or may do so from now on, while each of
    /// `readers` has a lease in an epoch. A read under the lease of an older epoch would lack that write.
    ///
    /// # Errors
    /// If a reader has a lease in an older epoch.
    pub fn acknowledges(&self, epoch: Epoch, readers: &[(ReplicaId, Epoch)]) -> Verdict {
        match readers.iter().find(|(_, older)| *older < epoch) {
            Some((reader, older)) => broken(format!(
                "leaders: {epoch} acknowledges while {reader} holds a lease in {older}"
            )),
            None => Ok(()),
        }
    }

    /// Gives the number of epochs with a leader that served.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.by_epoch.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(number: u64, proposer: u32) -> Epoch {
        Epoch {
            number,
            proposer: ReplicaId(proposer),
        }
    }

    #[test]
    fn second_leader_of_an_epoch_is_found() {
        let mut leaders = Leaders::default();
        let (one, two) = (ReplicaId(1), ReplicaId(2));
        leaders.serves(epoch(1, 1), one, Incarnation(1)).unwrap();
        leaders.serves(epoch(1, 1), one, Incarnation(1)).unwrap();
        leaders.serves(epoch(2, 1), one, Incarnation(2)).unwrap();
        assert!(leaders.serves(epoch(1, 1), two, Incarnation(3)).is_err());
        assert!(leaders.serves(epoch(2, 1), one, Incarnation(4)).is_err());
    }

    #[test]
    fn lease_beside_a_newer_leader_is_found() {
        let leaders = Leaders::default();
        let stale = [(ReplicaId(1), epoch(1, 1))];
        assert!(leaders.acknowledges(epoch(2, 2), &stale).is_err());
        assert!(leaders.acknowledges(epoch(1, 1), &stale).is_ok());
    }
}
