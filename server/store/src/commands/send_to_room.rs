//! SendToRoom: sends one message to a room, whose id is the request id. `send_message` checks the request and
//! has what services propose and get.

use tercet_proto::log::{Refusal, RoomMessageSent, SendToRoom, outcome};

use super::{
    About, Applier, Applying, Command, Fingerprint, StoreError, What, fingerprint,
    mentions::{Here, Mentions},
    name_key, refused,
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
        let reply_to = (self.reply_to > 0).then_some(self.reply_to);
        if self.reply_to > 0 && !rooms::has_message(state, room_id, self.reply_to) {
            return Ok(refused(Refusal::UnknownMessage));
        }
        let here = Here {
            ids: &self.here_ids,
            are_many: self.here_are_many,
        };
        let mentions = Mentions::of(state, room_id, sender.id, &self.body, here)?;
        let message = Post {
            id: Some(id),
            kind: MessageKind::Text,
            sender: &sender,
            sender_deleted: false,
            subject: None,
            reply_to,
            mentioned: mentions.audience(state, room_id, sender.id)?,
            body: &self.body,
        };
        let seq = rooms::post(state, room_id, &message)?;
        mentions.insert(state, room_id, seq, state.lsn, sender.id)?;
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
        let (sender, reply_to) = (self.sender_id.to_be_bytes(), self.reply_to.to_be_bytes());
        let parts = [
            &sender[..],
            room.as_bytes(),
            self.body.as_bytes(),
            &reply_to,
        ];
        // As in version 2, which knows no replies.
        let count = if self.reply_to > 0 { 4 } else { 3 };
        fingerprint("send_to_room", parts.into_iter().take(count))
    }

    fn version_needed(&self) -> u32 {
        if self.reply_to > 0 { 3 } else { 2 }
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
