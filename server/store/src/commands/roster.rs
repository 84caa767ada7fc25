//! FoundRoster, AddReplica, MoveReplica and RemoveReplica: the commands that change the roster. The leader proposes
//! the first and the third, operators the others.

use prost::Message as _;
use tercet_core::id::ReplicaId;
use tercet_proto::{
    log::{
        AddReplica, FoundRoster, MoveReplica, Refusal, Refused, RemoveReplica, Replica,
        RosterChanged, command::Action, outcome,
    },
    v1,
};
use tercet_types::limits::REPLICAS_MAX;

use super::{
    About, Applier, Applying, Command, Fingerprint, Request, StoreError, Subject, What,
    fingerprint, refused,
};
use crate::{
    fields::{self, BadField},
    roster::{self, Member, Roster},
};

/// A checked request.
pub struct Change {
    pub request_id: [u8; 16],
    pub id: ReplicaId,
}

/// Checks a request to add a replica; gives its addresses too.
///
/// # Errors
/// When a field is rejected.
pub fn validate_add(request: &v1::AddReplicaRequest) -> Result<(Change, Member), BadField> {
    let change = Change {
        request_id: fields::request_id(&request.request_id)?,
        id: ReplicaId(fields::replica_id(request.replica_id)?),
    };
    let at = Member {
        address: fields::address("address", &request.address)?,
        peer_address: fields::address("peer_address", &request.peer_address)?,
    };
    Ok((change, at))
}

/// Checks a request to remove a replica.
///
/// # Errors
/// When a field is rejected.
pub fn validate_remove(request: &v1::RemoveReplicaRequest) -> Result<Change, BadField> {
    Ok(Change {
        request_id: fields::request_id(&request.request_id)?,
        id: ReplicaId(fields::replica_id(request.replica_id)?),
    })
}

impl Request for AddReplica {
    type Outcome = RosterChanged;

    fn into_action(self) -> Action {
        Action::AddReplica(self)
    }

    fn subject(&self) -> Subject {
        let id = self.replica.as_ref().map(|replica| replica.replica_id);
        Subject::Replica(ReplicaId(id.unwrap_or_default()))
    }

    fn outcome(result: outcome::Result) -> Option<RosterChanged> {
        roster_changed(result)
    }
}

impl Request for RemoveReplica {
    type Outcome = RosterChanged;

    fn into_action(self) -> Action {
        Action::RemoveReplica(self)
    }

    fn subject(&self) -> Subject {
        Subject::Replica(ReplicaId(self.replica_id))
    }

    fn outcome(result: outcome::Result) -> Option<RosterChanged> {
        roster_changed(result)
    }
}

fn roster_changed(result: outcome::Result) -> Option<RosterChanged> {
    match result {
        outcome::Result::RosterChanged(changed) => Some(changed),
        _ => None,
    }
}

impl Command for FoundRoster {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        if roster::read(state.connection)?.is_some() {
            return Ok(refused(Refusal::RosterFounded));
        }
        if self.replicas.is_empty() {
            return Err(state.unknown("it bootstraps a roster of no replicas"));
        }
        for replica in &self.replicas {
            let (id, at) = member(state, Some(replica))?;
            roster::set(state.connection, id, &at)?;
        }
        Ok(changed(state))
    }

    fn fingerprint(&self) -> Fingerprint {
        fingerprint("found_roster", [])
    }

    fn describe(&self, _: &mut About<'_>) -> Result<What, StoreError> {
        Ok(What::Other("roster"))
    }
}

impl Command for AddReplica {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        let (id, at) = member(state, self.replica.as_ref())?;
        let Some(roster) = roster::read(state.connection)? else {
            return Ok(refused(Refusal::RosterNotFounded));
        };
        if let Some(known) = roster.get(id) {
            return Ok(if *known == at {
                outcome::Result::RosterChanged(RosterChanged {})
            } else {
                refused(Refusal::ReplicaExists)
            });
        }
        if let Some(refused) = address_taken(state, &roster, id, &at) {
            return Ok(refused);
        }
        if roster.iter().count() >= REPLICAS_MAX {
            return Ok(refused(Refusal::TooManyReplicas));
        }
        roster::set(state.connection, id, &at)?;
        Ok(changed(state))
    }

    fn fingerprint(&self) -> Fingerprint {
        let replica = self.replica.clone().unwrap_or_default().encode_to_vec();
        fingerprint("add_replica", [&replica[..]])
    }

    fn describe(&self, _: &mut About<'_>) -> Result<What, StoreError> {
        Ok(What::Other("roster"))
    }
}

impl Command for MoveReplica {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        let (id, at) = member(state, self.replica.as_ref())?;
        let Some(roster) = roster::read(state.connection)? else {
            return Ok(refused(Refusal::RosterNotFounded));
        };
        if roster.get(id).is_none() {
            return Ok(refused(Refusal::UnknownReplica));
        }
        if let Some(refused) = address_taken(state, &roster, id, &at) {
            return Ok(refused);
        }
        roster::set(state.connection, id, &at)?;
        Ok(changed(state))
    }

    fn fingerprint(&self) -> Fingerprint {
        fingerprint("move_replica", [])
    }

    fn describe(&self, _: &mut About<'_>) -> Result<What, StoreError> {
        Ok(What::Other("roster"))
    }
}

impl Command for RemoveReplica {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        let id = ReplicaId(self.replica_id);
        let Some(roster) = roster::read(state.connection)? else {
            return Ok(refused(Refusal::RosterNotFounded));
        };
        if roster.get(id).is_none() {
            return Ok(refused(Refusal::UnknownReplica));
        }
        if roster.iter().count() <= self.replicas_min.max(1) as usize {
            return Ok(refused(Refusal::TooFewReplicas));
        }
        roster::remove(state.connection, id, state.lsn)?;
        Ok(changed(state))
    }

    fn fingerprint(&self) -> Fingerprint {
        fingerprint("remove_replica", [&self.replica_id.to_be_bytes()[..]])
    }

    fn describe(&self, _: &mut About<'_>) -> Result<What, StoreError> {
        Ok(What::Other("roster"))
    }
}

fn changed(state: &mut Applier<'_, '_>) -> outcome::Result {
    state.effects.roster_changed = true;
    outcome::Result::RosterChanged(RosterChanged {})
}

/// Refuses addresses that are the same, or that another replica has.
fn address_taken(
    state: &Applier<'_, '_>,
    roster: &Roster,
    id: ReplicaId,
    at: &Member,
) -> Option<outcome::Result> {
    let owner = roster.owner(id, at);
    if owner.is_none() && at.address != at.peer_address {
        return None;
    }
    let named = owner.filter(|_| state.version >= 2);
    Some(outcome::Result::Refused(Refused {
        reason: Refusal::AddressTaken.into(),
        replica_id: named.map_or(0, |owner| owner.0),
    }))
}

fn member(
    state: &Applier<'_, '_>,
    replica: Option<&Replica>,
) -> Result<(ReplicaId, Member), StoreError> {
    let known = replica.filter(|replica| replica.replica_id > 0);
    let replica = known.ok_or_else(|| state.unknown("it names no replica"))?;
    let member = Member {
        address: replica.address.clone(),
        peer_address: replica.peer_address.clone(),
    };
    Ok((ReplicaId(replica.replica_id), member))
}
