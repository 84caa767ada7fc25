//! DeleteMessage: erases the text of a message in a room, and the reactions to it. Its number, sender and time stay.

use tercet_proto::{
    log::{DeleteMessage, MessageChanged, MessageDeleted, change, command::Action, outcome},
    v1,
};

use super::{
    About, Applier, Applying, Command, Fingerprint, Request, StoreError, Subject, What,
    fingerprint, messages, name_key, refused, rooms,
};
use crate::{
    changes::{self, To},
    fields::{self, BadField},
    rooms::Act,
};

/// A checked request.
pub struct Deletion {
    pub request_id: [u8; 16],
    /// Without the `#`.
    pub room: String,
    pub seq: u64,
}

/// Checks a request.
///
/// # Errors
/// When a field is rejected.
pub fn validate(request: &v1::DeleteMessageRequest) -> Result<Deletion, BadField> {
    Ok(Deletion {
        request_id: fields::request_id(&request.request_id)?,
        room: fields::room_name("conversation", &request.conversation)?,
        seq: fields::seq(request.seq)?,
    })
}

impl Request for DeleteMessage {
    type Outcome = MessageChanged;

    fn into_action(self) -> Action {
        Action::DeleteMessage(self)
    }

    fn subject(&self) -> Subject {
        Subject::Room(self.room.clone())
    }

    fn outcome(result: outcome::Result) -> Option<MessageChanged> {
        messages::changed(result)
    }
}

impl Command for DeleteMessage {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        let (account, found) = match messages::find(state, self.account_id, &self.room, self.seq)? {
            Ok(found) => found,
            Err(refusal) => return Ok(refused(refusal)),
        };
        if found.sender_id != account.id
            && let Err(refusal) = rooms::permit(state, &self.room, account.id, Act::DeleteOthers)?
        {
            return Ok(refused(refusal));
        }
        if found.is_deleted {
            return Ok(found.unchanged());
        }
        messages::set_text(state, &found, "", Some(account.id))?;
        state
            .connection
            .prepare_cached("DELETE FROM reactions WHERE message_lsn = ?1")?
            .execute([found.lsn])?;
        let deleted = change::What::MessageDeleted(MessageDeleted {
            conversation_id: found.room_id,
            seq: found.seq,
            username: account.username.to_string(),
            account_id: account.id,
        });
        changes::record(state, To::Room(found.room_id), deleted)?;
        Ok(found.changed(state))
    }

    fn fingerprint(&self) -> Fingerprint {
        let room = name_key(&self.room);
        fingerprint(
            "delete_message",
            [
                &self.account_id.to_be_bytes()[..],
                room.as_bytes(),
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
