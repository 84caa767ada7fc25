//! SendToRoom: sends one message to a room, whose id is the request id. `send_message` checks the request, which is
//! the same as for a direct message.

use tercet_proto::log::{Refusal, RoomMessageSent, SendToRoom, command::Action, outcome};

use super::{
    About, Applier, Applying, Command, Fingerprint, Request, StoreError, Subject, What,
    fingerprint, name_key, refused,
    rooms::{self, Post},
};
use crate::{event::MessageKind, rooms::Act};

impl Request for SendToRoom {
    type Outcome = RoomMessageSent;

    fn into_action(self) -> Action {
        Action::SendToRoom(self)
    }

    fn subject(&self) -> Subject {
        Subject::Room(self.room.clone())
    }

    fn outcome(result: outcome::Result) -> Option<RoomMessageSent> {
        match result {
            outcome::Result::RoomMessageSent(sent) => Some(sent),
            _ => None,
        }
    }
}

impl Command for SendToRoom {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        let id: [u8; 16] = state
            .request_id
            .try_into()
            .map_err(|_| state.unknown("a message has no request id to be named by"))?;
        let Some(sender) = state.living_by_id(self.sender_id)? else {
            return Ok(refused(Refusal::AccountGone));
        };
        let room_id = match rooms::permit(state, &self.room, sender.id, Act::Send)? {
            Ok((room_id, _)) => room_id,
            Err(refusal) => return Ok(refused(refusal)),
        };
        let message = Post {
            id: Some(id),
            kind: MessageKind::Text,
            sender: &sender,
            sender_deleted: false,
            subject: None,
            body: &self.body,
        };
        let seq = rooms::post(state, room_id, &message)?;
        state.effects.answers_retries = true;
        Ok(outcome::Result::RoomMessageSent(RoomMessageSent {
            lsn: state.lsn,
            stamp_ms: state.stamp_ms,
            room_id,
            seq,
        }))
    }

    fn fingerprint(&self) -> Fingerprint {
        let room = name_key(&self.room);
        fingerprint(
            "send_to_room",
            [
                &self.sender_id.to_be_bytes()[..],
                room.as_bytes(),
                self.body.as_bytes(),
            ],
        )
    }

    fn version_needed(&self) -> u32 {
        2
    }

    fn describe(&self, about: &mut About<'_>) -> Result<What, StoreError> {
        let Ok(id) = about.request_id.try_into() else {
            return Ok(What::Other("unknown"));
        };
        Ok(What::Message {
            id,
            sender: about.username(self.sender_id)?,
            sender_id: self.sender_id,
            recipient: format!("#{}", self.room),
            body: self.body.clone(),
            delivered: about.applied.then_some(false),
        })
    }
}
