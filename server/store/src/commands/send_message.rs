//! SendMessage: sends one direct message, whose id is the request id. The check of the request, and the parts that
//! services propose and get, are those of messages to rooms, too.

use crate::fields::{self, BadField};
use rusqlite::params;
use tercet_proto::{
    log::{
        MessageSent, Refusal, RoomMessageSent, SendMessage, SendToRoom, command::Action, outcome,
    },
    v1,
};
use tercet_types::name::is_of_room;

use super::{
    About, Applier, Applying, Command, Fingerprint, Request, StoreError, Subject, What,
    blocks::{self, Block},
    direct_messages, fingerprint, messages, name_key, refused,
};
use crate::{
    event::{Event, MessageParts, MessageRow},
    hidden, seqs,
};

pub(crate) const INSERT: &str =
    "INSERT INTO messages (lsn, id, conversation_id, sender_id, recipient_id, body, sent_at_ms,
                           instant, delivered, seq)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, ?9)";

/// The destination of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// The name of an account.
    Account(String),
    /// The name of a room, without the `#`.
    Room(String),
}

/// The command of a message.
pub enum Sending {
    Direct(SendMessage),
    ToRoom(SendToRoom),
}

/// The outcome of a message.
pub enum Sent {
    Direct(MessageSent),
    ToRoom(RoomMessageSent),
}

impl Request for Sending {
    type Outcome = Sent;

    fn into_action(self) -> Action {
        match self {
            Sending::Direct(command) => Action::SendMessage(command),
            Sending::ToRoom(command) => Action::SendToRoom(command),
        }
    }

    fn subject(&self) -> Subject {
        match self {
            Sending::Direct(command) => Subject::Account(command.recipient.clone()),
            Sending::ToRoom(command) => Subject::Room(command.room.clone()),
        }
    }

    fn outcome(result: outcome::Result) -> Option<Sent> {
        match result {
            outcome::Result::MessageSent(sent) => Some(Sent::Direct(sent)),
            outcome::Result::RoomMessageSent(sent) => Some(Sent::ToRoom(sent)),
            _ => None,
        }
    }
}

/// A checked request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    pub request_id: [u8; 16],
    pub recipient: Recipient,
    pub body: String,
    /// The seq of the message that this one replies to; 0: none.
    pub reply_to: u64,
}

/// Checks a request.
///
/// # Errors
/// When a field is rejected.
pub fn validate(request: v1::SendMessageRequest) -> Result<Send, BadField> {
    Ok(Send {
        reply_to: request.reply_to,
        request_id: fields::request_id(&request.request_id)?,
        recipient: match is_of_room(&request.recipient) {
            true => Recipient::Room(fields::room_name("recipient", &request.recipient)?),
            false => Recipient::Account(fields::username("recipient", &request.recipient)?),
        },
        body: fields::body(request.body)?,
    })
}

impl Command for SendMessage {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        let id = state.message_id()?;
        let Some(sender) = state.living_by_id(self.sender_id)? else {
            return Ok(refused(Refusal::AccountGone));
        };
        let Some(recipient) = state.living_by_name(&self.recipient)? else {
            return Ok(refused(Refusal::UnknownRecipient));
        };
        let block = blocks::find(state, recipient.id, sender.id)?;
        if block == Some(Block::Refuse) {
            // A name of no account is looked up in the database. A refusal of both does the same work.
            state.look_up_name(&self.recipient)?;
            return Ok(refused(Refusal::UnknownRecipient));
        }
        if self.reply_to > 0
            && direct_messages::find_with(state, sender.id, recipient.id, self.reply_to)?.is_none()
        {
            return Ok(refused(Refusal::UnknownMessage));
        }
        let numbered = seqs::next(state, sender.id, recipient.id)?;
        state.insert_message.execute(params![
            state.lsn,
            id,
            numbered.conversation_id,
            sender.id,
            recipient.id,
            self.body,
            state.stamp_ms,
            self.instant,
            numbered.seq
        ])?;
        if self.reply_to > 0 {
            let (conversation_id, seq) = (numbered.conversation_id, numbered.seq);
            direct_messages::note_parts(state, conversation_id)?;
            messages::insert_reply(state, conversation_id, seq, self.reply_to)?;
        }
        state.effects.answers_retries = true;
        let is_hidden = block == Some(Block::Hide);
        if is_hidden {
            let (to, from) = (recipient.id, sender.id);
            hidden::hide(state.connection, to, from, state.lsn, numbered)?;
        }
        if state.is_heard {
            let row = MessageRow {
                lsn: state.lsn,
                id,
                seq: numbered.seq,
                sender_id: sender.id,
                sender: sender.username.to_string(),
                sender_deleted: false,
                recipient_id: recipient.id,
                recipient: recipient.username.to_string(),
                recipient_deleted: false,
                body: self.body.clone(),
                sent_at_ms: state.stamp_ms,
                instant: self.instant,
                delivered: false,
                parts: MessageParts {
                    reply_to: (self.reply_to > 0).then_some(self.reply_to),
                    ..MessageParts::default()
                },
            };
            state.effects.events.push(match is_hidden {
                true => Event::HiddenMessage(row),
                false => Event::Message(row),
            });
        }
        Ok(outcome::Result::MessageSent(MessageSent {
            lsn: state.lsn,
            stamp_ms: state.stamp_ms,
            instant: self.instant,
            seq: numbered.seq,
        }))
    }

    fn fingerprint(&self) -> Fingerprint {
        let recipient = name_key(&self.recipient);
        let (sender, reply_to) = (self.sender_id.to_be_bytes(), self.reply_to.to_be_bytes());
        let parts = [
            &sender[..],
            recipient.as_bytes(),
            self.body.as_bytes(),
            &reply_to,
        ];
        // As below version 3, which knows no replies.
        let count = if self.reply_to > 0 { 4 } else { 3 };
        fingerprint("send_message", parts.into_iter().take(count))
    }

    fn version_needed(&self) -> u32 {
        if self.reply_to > 0 { 3 } else { 0 }
    }

    fn describe(&self, about: &mut About<'_>) -> Result<What, StoreError> {
        let Ok(id) = about.request_id.try_into() else {
            return Ok(What::Other("unknown"));
        };
        Ok(What::Message {
            id,
            sender: about.username(self.sender_id)?,
            sender_id: self.sender_id,
            recipient: self.recipient.clone(),
            body: self.body.clone(),
            // A SendMessage that was applied but has no row was dropped when its recipient's account was deleted.
            delivered: about.applied.then_some(false),
        })
    }
}
