//! SetReaction: adds a reaction of the caller to a message, or removes it.

use rusqlite::{OptionalExtension as _, params};
use tercet_proto::{
    log::{
        MessageChanged, ReactionChanged, Refusal, SetReaction, change, command::Action, outcome,
    },
    v1,
};
use tercet_types::limits::MESSAGE_REACTIONS_MAX;

use super::{
    About, Applier, Applying, Command, Fingerprint, Request, StoreError, Subject, What,
    fingerprint, messages, name_key, refused,
};
use crate::fields::{self, BadField};

/// A checked request.
pub struct Reaction {
    pub request_id: [u8; 16],
    /// The name of a room with its `#`, or of an account.
    pub conversation: String,
    pub seq: u64,
    pub reaction: String,
}

/// Checks a request.
///
/// # Errors
/// When a field is rejected.
pub fn validate(request: &v1::SetReactionRequest) -> Result<Reaction, BadField> {
    Ok(Reaction {
        request_id: fields::request_id(&request.request_id)?,
        conversation: fields::conversation("conversation", &request.conversation)?,
        seq: fields::seq(request.seq)?,
        reaction: fields::reaction(&request.reaction)?,
    })
}

impl Request for SetReaction {
    type Outcome = MessageChanged;

    fn into_action(self) -> Action {
        Action::SetReaction(self)
    }

    fn subject(&self) -> Subject {
        Subject::of_conversation(&self.conversation)
    }

    fn outcome(result: outcome::Result) -> Option<MessageChanged> {
        messages::changed(result)
    }
}

impl Command for SetReaction {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        let (account, found) =
            match messages::find(state, self.account_id, &self.conversation, self.seq)? {
                Ok(found) => found,
                Err(refusal) => return Ok(refused(refusal)),
            };
        if found.is_deleted {
            return Ok(refused(Refusal::MessageDeleted));
        }
        let (connection, of_row) = (
            state.connection,
            params![found.lsn, self.reaction, account.id],
        );
        let changed = if self.remove {
            connection
                .prepare_cached(
                    "DELETE FROM reactions
                     WHERE message_lsn = ?1 AND reaction = ?2 AND account_id = ?3",
                )?
                .execute(of_row)?
        } else {
            if !has_place(state, found.lsn, &self.reaction)? {
                return Ok(refused(Refusal::TooManyReactions));
            }
            found.note_parts(state)?;
            connection
                .prepare_cached(
                    "INSERT OR IGNORE INTO reactions (message_lsn, reaction, account_id)
                     VALUES (?1, ?2, ?3)",
                )?
                .execute(of_row)?
        };
        if changed == 0 {
            return Ok(found.unchanged());
        }
        let changed = change::What::ReactionChanged(ReactionChanged {
            conversation_id: found.conversation_id,
            seq: found.seq,
            username: account.username.to_string(),
            account_id: account.id,
            reaction: self.reaction.clone(),
            removed: self.remove,
        });
        found.record(state, &account, changed)?;
        Ok(found.changed(state))
    }

    fn fingerprint(&self) -> Fingerprint {
        let conversation = name_key(&self.conversation);
        fingerprint(
            "set_reaction",
            [
                &self.account_id.to_be_bytes()[..],
                conversation.as_bytes(),
                &self.seq.to_be_bytes(),
                self.reaction.as_bytes(),
                &[u8::from(self.remove)],
            ],
        )
    }

    fn version_needed(&self) -> u32 {
        3
    }

    fn describe(&self, _: &mut About<'_>) -> Result<What, StoreError> {
        Ok(What::Other("reaction"))
    }
}

/// Tells whether a message may have the reaction: it has it already, or it has fewer different ones than the limit.
fn has_place(state: &Applier<'_, '_>, lsn: u64, reaction: &str) -> Result<bool, StoreError> {
    let is_there: Option<i64> = state
        .connection
        .prepare_cached("SELECT 1 FROM reactions WHERE message_lsn = ?1 AND reaction = ?2 LIMIT 1")?
        .query_row(params![lsn, reaction], |row| row.get(0))
        .optional()?;
    let different: usize = state
        .connection
        .prepare_cached("SELECT count(DISTINCT reaction) FROM reactions WHERE message_lsn = ?1")?
        .query_row([lsn], |row| row.get(0))?;
    Ok(is_there.is_some() || different < MESSAGE_REACTIONS_MAX)
}
