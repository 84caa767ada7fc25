//! JoinRoom: makes an account a member of a public room.

use tercet_proto::{
    log::{JoinRoom, Refusal, RoomChanged, command::Action, outcome},
    v1,
};

use super::{
    About, Applier, Applying, Command, Fingerprint, Request, StoreError, Subject, What, bans,
    fingerprint, name_key, refused,
    rooms::{self, Post},
};
use crate::{
    event::MessageKind,
    fields::{self, BadField},
    rooms::{Act, Role},
};

/// Checks a request; gives its request id and the name of the room.
///
/// # Errors
/// When a field is rejected.
pub fn validate(request: &v1::JoinRoomRequest) -> Result<([u8; 16], String), BadField> {
    let request_id = fields::request_id(&request.request_id)?;
    Ok((request_id, fields::room_name("room", &request.room)?))
}

impl Request for JoinRoom {
    type Outcome = RoomChanged;

    fn into_action(self) -> Action {
        Action::JoinRoom(self)
    }

    fn subject(&self) -> Subject {
        Subject::Room(self.room.clone())
    }

    fn outcome(result: outcome::Result) -> Option<RoomChanged> {
        rooms::changed(result)
    }
}

impl Command for JoinRoom {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        let Some(account) = state.living_by_id(self.account_id)? else {
            return Ok(refused(Refusal::AccountGone));
        };
        let (room_id, role) = match rooms::permit(state, &self.room, account.id, Act::Join)? {
            Ok(permitted) => permitted,
            Err(refusal) => return Ok(refused(refusal)),
        };
        if role.is_some() {
            return Ok(outcome::Result::RoomChanged(RoomChanged {
                room_id,
                ..RoomChanged::default()
            }));
        }
        if bans::is_banned(state, room_id, account.id)? {
            return Ok(refused(Refusal::Banned));
        }
        let message = Post::system(MessageKind::Joined, &account);
        let admitted = rooms::admit(state, room_id, &account, Role::Member, &message)?;
        Ok(admitted.map_or_else(refused, outcome::Result::RoomChanged))
    }

    fn fingerprint(&self) -> Fingerprint {
        let room = name_key(&self.room);
        fingerprint(
            "join_room",
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
