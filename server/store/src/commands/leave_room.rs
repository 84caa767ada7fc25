//! LeaveRoom: ends the membership of an account in a room.

use tercet_proto::{
    log::{LeaveRoom, Refusal, RoomChanged, command::Action, outcome},
    v1,
};

use super::{
    About, Applier, Applying, Command, Fingerprint, Request, StoreError, Subject, What,
    fingerprint, name_key, refused, rooms,
};
use crate::{
    fields::{self, BadField},
    rooms::Act,
};

/// Checks a request; gives its request id and the name of the room.
///
/// # Errors
/// When a field is rejected.
pub fn validate(request: &v1::LeaveRoomRequest) -> Result<([u8; 16], String), BadField> {
    let request_id = fields::request_id(&request.request_id)?;
    Ok((request_id, fields::room_name("room", &request.room)?))
}

impl Request for LeaveRoom {
    type Outcome = RoomChanged;

    fn into_action(self) -> Action {
        Action::LeaveRoom(self)
    }

    fn subject(&self) -> Subject {
        Subject::Room(self.room.clone())
    }

    fn outcome(result: outcome::Result) -> Option<RoomChanged> {
        rooms::changed(result)
    }
}

impl Command for LeaveRoom {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        let Some(account) = state.living_by_id(self.account_id)? else {
            return Ok(refused(Refusal::AccountGone));
        };
        let room_id = match rooms::permit(state, &self.room, account.id, Act::Leave)? {
            Ok((room_id, _)) => room_id,
            Err(refusal) => {
                let archived = rooms::leave_archived(state, &self.room, account.id)?;
                return Ok(archived.map_or_else(|| refused(refusal), outcome::Result::RoomChanged));
            }
        };
        let seq = rooms::leave(state, room_id, &account, false)?;
        Ok(outcome::Result::RoomChanged(RoomChanged {
            room_id,
            seq,
            lsn: state.lsn,
        }))
    }

    fn fingerprint(&self) -> Fingerprint {
        let room = name_key(&self.room);
        fingerprint(
            "leave_room",
            [&self.account_id.to_be_bytes()[..], room.as_bytes()],
        )
    }

    fn version_needed(&self) -> u32 {
        2
    }

    fn describe(&self, _: &mut About<'_>) -> Result<What, StoreError> {
        Ok(What::Other("room"))
    }
}
