//! DeleteMessage: erases the text of a message, its earlier texts, the reactions to it, and its pin. Its number, sender and time stay.

use tercet_proto::{
    log::{
        DeleteMessage, MessageChanged, MessageDeleted, Refusal, change, command::Action, outcome,
    },
    v1,
};
use tercet_types::name::ROOM_MARK;

use super::{
    About, Applier, Applying, Command, Fingerprint, Request, StoreError, Subject, What,
    earlier_texts, fingerprint, mentions,
    messages::{self, Conversation},
    name_key, pin_message, refused, rooms,
};
use crate::{
    fields::{self, BadField},
    rooms::Act,
};

/// A checked request.
pub struct Deletion {
    pub request_id: [u8; 16],
    /// The name of a room with its `#`, or of an account.
    pub conversation: String,
    pub seq: u64,
}

/// Checks a request.
///
/// # Errors
/// When a field is rejected.
pub fn validate(request: &v1::DeleteMessageRequest) -> Result<Deletion, BadField> {
    Ok(Deletion {
        request_id: fields::request_id(&request.request_id)?,
        conversation: fields::conversation("conversation", &request.conversation)?,
        seq: fields::seq(request.seq)?,
    })
}

impl Request for DeleteMessage {
    type Outcome = MessageChanged;

    fn into_action(self) -> Action {
        Action::DeleteMessage(self)
    }

    fn subject(&self) -> Subject {
        Subject::of_conversation(&self.conversation)
    }

    fn outcome(result: outcome::Result) -> Option<MessageChanged> {
        messages::changed(result)
    }
}

impl Command for DeleteMessage {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        let (account, found) =
            match messages::find(state, self.account_id, &self.conversation, self.seq)? {
                Ok(found) => found,
                Err(refusal) => return Ok(refused(refusal)),
            };
        if found.sender_id != account.id {
            let Some(room) = self.conversation.strip_prefix(ROOM_MARK) else {
                return Ok(refused(Refusal::NotYourMessage));
            };
            if let Err(refusal) = rooms::permit(state, room, account.id, Act::DeleteOthers)? {
                return Ok(refused(refusal));
            }
        }
        if found.is_deleted {
            return Ok(found.unchanged());
        }
        messages::set_text(state, &found, "", Some(account.id))?;
        mentions::remove(state, found.conversation_id, found.seq)?;
        state
            .connection
            .prepare_cached("DELETE FROM reactions WHERE message_lsn = ?1")?
            .execute([found.lsn])?;
        pin_message::remove(state, &found)?;
        if found.conversation == Conversation::Room {
            earlier_texts::erase(state, found.lsn)?;
        }
        let deleted = change::What::MessageDeleted(MessageDeleted {
            conversation_id: found.conversation_id,
            seq: found.seq,
            username: account.username.to_string(),
            account_id: account.id,
        });
        found.record(state, &account, deleted)?;
        Ok(found.changed(state))
    }

    fn fingerprint(&self) -> Fingerprint {
        let conversation = name_key(&self.conversation);
        fingerprint(
            "delete_message",
            [
                &self.account_id.to_be_bytes()[..],
                conversation.as_bytes(),
                &self.seq.to_be_bytes(),
            ],
        )
    }

    fn version_needed(&self) -> u32 {
        3
    }

    fn describe(&self, _: &mut About<'_>) -> Result<What, StoreError> {
        Ok(What::Other("delete"))
    }
}
