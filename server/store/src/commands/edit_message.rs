//! EditMessage: replaces the text of one of the caller's own messages. The text before is kept only in rooms that keep edits.

use tercet_proto::{
    log::{EditMessage, MessageChanged, MessageEdited, Refusal, change, command::Action, outcome},
    v1,
};

use super::{
    About, Applier, Applying, Command, Fingerprint, Request, StoreError, Subject, What,
    earlier_texts, fingerprint, mentions,
    messages::{self, Conversation},
    name_key, refused,
};
use crate::fields::{self, BadField};

/// A checked request.
pub struct Edit {
    pub request_id: [u8; 16],
    /// The name of a room with its `#`, or of an account.
    pub conversation: String,
    pub seq: u64,
    pub body: String,
}

/// Checks a request.
///
/// # Errors
/// When a field is rejected.
pub fn validate(request: v1::EditMessageRequest) -> Result<Edit, BadField> {
    Ok(Edit {
        request_id: fields::request_id(&request.request_id)?,
        conversation: fields::conversation("conversation", &request.conversation)?,
        seq: fields::seq(request.seq)?,
        body: fields::body(request.body)?,
    })
}

impl Request for EditMessage {
    type Outcome = MessageChanged;

    fn into_action(self) -> Action {
        Action::EditMessage(self)
    }

    fn subject(&self) -> Subject {
        Subject::of_conversation(&self.conversation)
    }

    fn outcome(result: outcome::Result) -> Option<MessageChanged> {
        messages::changed(result)
    }
}

impl Command for EditMessage {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        let (account, found) =
            match messages::find(state, self.account_id, &self.conversation, self.seq)? {
                Ok(found) => found,
                Err(refusal) => return Ok(refused(refusal)),
            };
        if found.is_deleted {
            return Ok(refused(Refusal::MessageDeleted));
        }
        if found.sender_id != account.id {
            return Ok(refused(Refusal::NotYourMessage));
        }
        if found.conversation == Conversation::Room {
            earlier_texts::keep(state, found.conversation_id, found.lsn)?;
        }
        messages::set_text(state, &found, &self.body, None)?;
        mentions::decide_again(state, &found, &self.body)?;
        let edited = change::What::MessageEdited(MessageEdited {
            conversation_id: found.conversation_id,
            seq: found.seq,
        });
        found.record(state, &account, edited)?;
        Ok(found.changed(state))
    }

    fn fingerprint(&self) -> Fingerprint {
        let conversation = name_key(&self.conversation);
        fingerprint(
            "edit_message",
            [
                &self.account_id.to_be_bytes()[..],
                conversation.as_bytes(),
                &self.seq.to_be_bytes(),
                self.body.as_bytes(),
            ],
        )
    }

    fn version_needed(&self) -> u32 {
        3
    }

    fn describe(&self, _: &mut About<'_>) -> Result<What, StoreError> {
        Ok(What::Other("edit"))
    }
}
