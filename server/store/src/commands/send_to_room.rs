//! SendToRoom: sends one message to a room, whose id is the request id. `send_message` checks the request and
//! has what services propose and get.

use tercet_proto::log::{Refusal, RoomMessageSent, SendToRoom, outcome};

use super::{
    About, Applier, Applying, Command, Fingerprint, StoreError, What, fingerprint, name_key,
    refused,
    rooms::{self, Post},
};
use crate::{event::MessageKind, rooms::Act};

impl Command for SendToRoom {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        let id = state.message_id()?;
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
