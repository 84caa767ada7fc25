//! The commands that change the roster.

use tercet_core::id::ReplicaId;
use tercet_proto::log::{
    AddReplica, FoundRoster, MoveReplica, Refusal, RemoveReplica, Replica, RosterChanged, outcome,
};

use super::{Applier, Applying, refused};
use crate::{
    roster::{Member, REPLICAS_MAX, Roster},
    store::{StoreError, roster},
};

impl Applier<'_, '_> {
    pub(super) fn found_roster(&mut self, action: &FoundRoster) -> Applying {
        if roster::read(self.connection)?.is_some() {
            return Ok(refused(Refusal::RosterFounded));
        }
        if action.replicas.is_empty() {
            return Err(self.unknown("it bootstraps a roster of no replicas"));
        }
        for replica in &action.replicas {
            let (id, at) = self.replica(Some(replica))?;
            roster::set(self.connection, id, &at)?;
        }
        Ok(self.changed())
    }

    pub(super) fn add_replica(&mut self, action: &AddReplica) -> Applying {
        let (id, at) = self.replica(action.replica.as_ref())?;
        let roster = match self.roster()? {
            Ok(roster) => roster,
            Err(refusal) => return Ok(refusal),
        };
        if let Some(known) = roster.get(id) {
            return Ok(match *known == at {
                true => outcome::Result::RosterChanged(RosterChanged {}),
                false => refused(Refusal::ReplicaExists),
            });
        }
        if roster.is_taken(id, &at) || at.address == at.peer_address {
            return Ok(refused(Refusal::AddressTaken));
        }
        if roster.iter().count() >= REPLICAS_MAX {
            return Ok(refused(Refusal::TooManyReplicas));
        }
        roster::set(self.connection, id, &at)?;
        Ok(self.changed())
    }

    pub(super) fn move_replica(&mut self, action: &MoveReplica) -> Applying {
        let (id, at) = self.replica(action.replica.as_ref())?;
        let roster = match self.roster()? {
            Ok(roster) => roster,
            Err(refusal) => return Ok(refusal),
        };
        if roster.get(id).is_none() {
            return Ok(refused(Refusal::UnknownReplica));
        }
        if roster.is_taken(id, &at) || at.address == at.peer_address {
            return Ok(refused(Refusal::AddressTaken));
        }
        roster::set(self.connection, id, &at)?;
        Ok(self.changed())
    }

    pub(super) fn remove_replica(&mut self, action: &RemoveReplica) -> Applying {
        let id = ReplicaId(action.replica_id);
        let roster = match self.roster()? {
            Ok(roster) => roster,
            Err(refusal) => return Ok(refusal),
        };
        if roster.get(id).is_none() {
            return Ok(refused(Refusal::UnknownReplica));
        }
        if roster.iter().count() <= action.replicas_min.max(1) as usize {
            return Ok(refused(Refusal::TooFewReplicas));
        }
        roster::remove(self.connection, id, self.lsn)?;
        Ok(self.changed())
    }

    fn changed(&mut self) -> outcome::Result {
        self.roster_changed = true;
        outcome::Result::RosterChanged(RosterChanged {})
    }

    /// Reads the roster; gives the refusal when there is none.
    fn roster(&self) -> Result<Result<Roster, outcome::Result>, StoreError> {
        let found = roster::read(self.connection)?;
        Ok(found.ok_or_else(|| refused(Refusal::RosterNotFounded)))
    }

    fn replica(&self, replica: Option<&Replica>) -> Result<(ReplicaId, Member), StoreError> {
        let known = replica.filter(|replica| replica.replica_id > 0);
        let replica = known.ok_or_else(|| self.unknown("it names no replica"))?;
        let member = Member {
            address: replica.address.clone(),
            peer_address: replica.peer_address.clone(),
        };
        Ok((ReplicaId(replica.replica_id), member))
    }
}
