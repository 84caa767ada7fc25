//! InviteToRoom: makes another account a member of a room at once.

use tercet_proto::{
    log::{InviteToRoom, Refusal, RoomChanged, command::Action, outcome},
    v1,
};

use super::{
    About, Applier, Applying, Command, Fingerprint, Request, StoreError, Subject, What, bans,
    blocks::{self, Block},
    fingerprint, name_key, refused,
    rooms::{self, Post},
};
use crate::{
    event::MessageKind,
    fields::{self, BadField},
    rooms::{Act, Role},
};

/// A checked request.
pub struct Invitation {
    pub request_id: [u8; 16],
    /// Without the `#`.
    pub room: String,
    /// The name of the account that is invited.
    pub invited: String,
}

/// Checks a request.
///
/// # Errors
/// When a field is rejected.
pub fn validate(request: &v1::InviteToRoomRequest) -> Result<Invitation, BadField> {
    Ok(Invitation {
        request_id: fields::request_id(&request.request_id)?,
        room: fields::room_name("room", &request.room)?,
        invited: fields::username("username", &request.username)?,
    })
}

impl Request for InviteToRoom {
    type Outcome = RoomChanged;

    fn into_action(self) -> Action {
        Action::InviteToRoom(self)
    }

    fn subject(&self) -> Subject {
        Subject::InRoom {
            room: self.room.clone(),
            account: self.invited.clone(),
        }
    }

    fn outcome(result: outcome::Result) -> Option<RoomChanged> {
        rooms::changed(result)
    }
}

impl Command for InviteToRoom {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        let Some(account) = state.living_by_id(self.account_id)? else {
            return Ok(refused(Refusal::AccountGone));
        };
        let room_id = match rooms::permit(state, &self.room, account.id, Act::Invite)? {
            Ok((room_id, _)) => room_id,
            Err(refusal) => return Ok(refused(refusal)),
        };
        let Some(invited) = state.living_by_name(&self.invited)? else {
            return Ok(refused(Refusal::UnknownAccount));
        };
        if rooms::is_member(state, room_id, invited.id) {
            return Ok(outcome::Result::RoomChanged(RoomChanged {
                room_id,
                ..RoomChanged::default()
            }));
        }
        // To a blocked account, one that refuses its messages does not exist.
        let block = match state.version {
            ..3 => None,
            _ => blocks::find(state, invited.id, account.id)?,
        };
        if block == Some(Block::Refuse) {
            return Ok(refused(Refusal::UnknownAccount));
        }
        if bans::is_banned(state, room_id, invited.id)? {
            return Ok(refused(Refusal::Banned));
        }
        let message = Post {
            subject: Some(&invited),
            ..Post::system(MessageKind::Invited, &account)
        };
        let admitted = rooms::admit(state, room_id, &invited, Role::Member, &message)?;
        Ok(admitted.map_or_else(refused, outcome::Result::RoomChanged))
    }

    fn fingerprint(&self) -> Fingerprint {
        let (room, invited) = (name_key(&self.room), name_key(&self.invited));
        fingerprint(
            "invite_to_room",
            [
                &self.account_id.to_be_bytes()[..],
                room.as_bytes(),
                invited.as_bytes(),
            ],
        )
    }

    fn version_needed(&self) -> u32 {
        2
    }

    fn describe(&self, _: &mut About<'_>) -> Result<What, StoreError> {
        Ok(What::Other("room"))
    }
}
