//! PinMessage: pins a message in its conversation, or takes the pin back.

use rusqlite::params;
use tercet_proto::{
    log::{MessageChanged, PinChanged, PinMessage, Refusal, change, command::Action, outcome},
    v1,
};
use tercet_types::{limits::CONVERSATION_PINS_MAX, name::ROOM_MARK};

use super::{
    About, Applier, Applying, Command, Fingerprint, Living, Request, StoreError, Subject, What,
    fingerprint,
    messages::{self, Conversation, Found},
    name_key, refused,
    rooms::{self, Post},
};
use crate::{
    event::MessageKind,
    fields::{self, BadField},
    rooms::Act,
};

/// A checked request.
pub struct Pin {
    pub request_id: [u8; 16],
    /// The name of a room with its `#`, or of an account.
    pub conversation: String,
    pub seq: u64,
}

/// Checks a request.
///
/// # Errors
/// When a field is rejected.
pub fn validate(request: &v1::PinMessageRequest) -> Result<Pin, BadField> {
    Ok(Pin {
        request_id: fields::request_id(&request.request_id)?,
        conversation: fields::conversation("conversation", &request.conversation)?,
        seq: fields::seq(request.seq)?,
    })
}

impl Request for PinMessage {
    type Outcome = MessageChanged;

    fn into_action(self) -> Action {
        Action::PinMessage(self)
    }

    fn subject(&self) -> Subject {
        Subject::of_conversation(&self.conversation)
    }

    fn outcome(result: outcome::Result) -> Option<MessageChanged> {
        messages::changed(result)
    }
}

impl Command for PinMessage {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        let (account, found) =
            match messages::find(state, self.account_id, &self.conversation, self.seq)? {
                Ok(found) => found,
                Err(refusal) => return Ok(refused(refusal)),
            };
        if let Some(room) = self.conversation.strip_prefix(ROOM_MARK)
            && let Err(refusal) = rooms::permit(state, room, account.id, Act::Pin)?
        {
            return Ok(refused(refusal));
        }
        if found.is_deleted && !self.remove {
            return Ok(refused(Refusal::MessageDeleted));
        }
        let changed = match self.remove {
            true => remove(state, &found)?,
            false if is_pinned(state, &found)? => false,
            false if is_full(state, found.conversation_id)? => {
                return Ok(refused(Refusal::TooManyPins));
            }
            false => {
                insert(state, &found, &account)?;
                true
            }
        };
        if !changed {
            return Ok(found.unchanged());
        }
        tell(state, &account, &found, self.remove)?;
        Ok(found.changed(state))
    }

    fn fingerprint(&self) -> Fingerprint {
        let conversation = name_key(&self.conversation);
        fingerprint(
            "pin_message",
            [
                &self.account_id.to_be_bytes()[..],
                conversation.as_bytes(),
                &self.seq.to_be_bytes(),
                &[u8::from(self.remove)],
            ],
        )
    }

    fn version_needed(&self) -> u32 {
        3
    }

    fn describe(&self, _: &mut About<'_>) -> Result<What, StoreError> {
        Ok(What::Other("pin"))
    }
}

/// Tells of a change: by a message of the system in a room, else by an event.
fn tell(
    state: &mut Applier<'_, '_>,
    account: &Living,
    found: &Found,
    remove: bool,
) -> Result<(), StoreError> {
    if found.conversation == Conversation::Room {
        let kind = if remove {
            MessageKind::Unpinned
        } else {
            MessageKind::Pinned
        };
        let message = Post {
            body: &found.seq.to_string(),
            ..Post::system(kind, account)
        };
        rooms::post(state, found.conversation_id, &message)?;
        return Ok(());
    }
    let changed = change::What::PinChanged(PinChanged {
        conversation_id: found.conversation_id,
        seq: found.seq,
        username: account.username.to_string(),
        account_id: account.id,
        removed: remove,
    });
    found.record(state, account, changed)
}

fn is_pinned(state: &Applier<'_, '_>, found: &Found) -> Result<bool, StoreError> {
    Ok(state
        .connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM pins WHERE conversation_id = ?1 AND seq = ?2)",
        )?
        .query_row([found.conversation_id, found.seq], |row| row.get(0))?)
}

fn is_full(state: &Applier<'_, '_>, conversation_id: u64) -> Result<bool, StoreError> {
    let pins: usize = state
        .connection
        .prepare_cached("SELECT count(*) FROM pins WHERE conversation_id = ?1")?
        .query_row([conversation_id], |row| row.get(0))?;
    Ok(pins >= CONVERSATION_PINS_MAX)
}

fn insert(state: &Applier<'_, '_>, found: &Found, account: &Living) -> Result<(), StoreError> {
    state
        .connection
        .prepare_cached(
            "INSERT INTO pins
                 (conversation_id, seq, message_lsn, pinned_lsn, pinned_by, pinned_at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            found.conversation_id,
            found.seq,
            found.lsn,
            state.lsn,
            account.id,
            state.stamp_ms
        ])?;
    Ok(())
}

/// Takes the pin of a message back; tells whether it was pinned.
pub(super) fn remove(state: &Applier<'_, '_>, found: &Found) -> Result<bool, StoreError> {
    let rows = state
        .connection
        .prepare_cached("DELETE FROM pins WHERE conversation_id = ?1 AND seq = ?2")?
        .execute([found.conversation_id, found.seq])?;
    Ok(rows > 0)
}
