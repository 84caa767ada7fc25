//! SetLevel: sets what an account wants to be notified of in a conversation.

use rusqlite::{OptionalExtension as _, params};
use tercet_proto::{
    log::{LevelChanged, LevelSet, Refusal, SetLevel, change, command::Action, outcome},
    v1,
};

use super::{
    About, Applier, Applying, Command, Fingerprint, Request, StoreError, Subject, What,
    fingerprint,
    mark_read::{Place, find},
    name_key, refused,
};
use crate::{
    changes::{self, To},
    fields::{self, BadField, bad},
    levels::Level,
    queries::conversation_of,
};

/// Checks a request; gives its id, the conversation and the level.
///
/// # Errors
/// When a field is rejected.
pub fn validate(
    request: &v1::SetNotificationLevelRequest,
) -> Result<([u8; 16], String, u32), BadField> {
    let level = match request.level() {
        v1::NotificationLevel::All => Level::All,
        v1::NotificationLevel::Mentions => Level::Mentions,
        v1::NotificationLevel::None => Level::None,
        v1::NotificationLevel::Unspecified => {
            return Err(bad(
                "level",
                "INVALID_LEVEL",
                "is none of all, mentions and none",
            ));
        }
    };
    Ok((
        fields::request_id(&request.request_id)?,
        fields::conversation("conversation", &request.conversation)?,
        level as u32,
    ))
}

impl Request for SetLevel {
    type Outcome = LevelSet;

    fn into_action(self) -> Action {
        Action::SetLevel(self)
    }

    fn subject(&self) -> Subject {
        Subject::of_conversation(&self.conversation)
    }

    fn outcome(result: outcome::Result) -> Option<LevelSet> {
        match result {
            outcome::Result::LevelSet(set) => Some(set),
            _ => None,
        }
    }
}

impl Command for SetLevel {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        let Some(level) = Level::of_number(self.level) else {
            return Err(state.unknown("its notification level is unknown to this version"));
        };
        let Some(account) = state.living_by_id(self.account_id)? else {
            return Ok(refused(Refusal::AccountGone));
        };
        let mut changed = LevelChanged {
            level: self.level,
            ..LevelChanged::default()
        };
        match find(state, &account, &self.conversation, 0)? {
            Ok(Place::Room { id, name }) => (changed.conversation_id, changed.room) = (id, name),
            Ok(Place::Direct { peer_id }) => {
                let id = conversation_of(state.connection, account.id, peer_id)?;
                let Some(id) = id else {
                    return Ok(refused(Refusal::UnknownConversation));
                };
                (changed.conversation_id, changed.peer_account_id) = (id, peer_id);
                changed.peer = state
                    .connection
                    .prepare_cached("SELECT username FROM users WHERE id = ?1")?
                    .query_row([peer_id], |row| row.get(0))?;
            }
            Err(refusal) => return Ok(refused(refusal)),
        }
        let conversation_id = changed.conversation_id;
        if get(state, account.id, conversation_id)? == level {
            return Ok(outcome::Result::LevelSet(LevelSet {
                conversation_id,
                lsn: 0,
            }));
        }
        match level {
            Level::All => remove(state, account.id, conversation_id)?,
            Level::Mentions | Level::None => {
                state
                    .connection
                    .prepare_cached(
                        "INSERT OR REPLACE INTO levels (account_id, conversation_id, level)
                         VALUES (?1, ?2, ?3)",
                    )?
                    .execute(params![account.id, conversation_id, self.level])?;
            }
        }
        let what = change::What::LevelChanged(changed);
        changes::record(state, To::Account(account.id), what)?;
        Ok(outcome::Result::LevelSet(LevelSet {
            conversation_id,
            lsn: state.lsn,
        }))
    }

    fn fingerprint(&self) -> Fingerprint {
        let conversation = name_key(&self.conversation);
        fingerprint(
            "set_level",
            [
                &self.account_id.to_be_bytes()[..],
                conversation.as_bytes(),
                &self.level.to_be_bytes(),
            ],
        )
    }

    fn version_needed(&self) -> u32 {
        3
    }

    fn describe(&self, _: &mut About<'_>) -> Result<What, StoreError> {
        Ok(What::Other("level"))
    }
}

fn get(
    state: &Applier<'_, '_>,
    account_id: u64,
    conversation_id: u64,
) -> Result<Level, StoreError> {
    let level: Option<u32> = state
        .connection
        .prepare_cached("SELECT level FROM levels WHERE account_id = ?1 AND conversation_id = ?2")?
        .query_row([account_id, conversation_id], |row| row.get(0))
        .optional()?;
    Ok(level.and_then(Level::of_number).unwrap_or_default())
}

/// Removes the level of a conversation, which is the default then.
pub(super) fn remove(
    state: &Applier<'_, '_>,
    account_id: u64,
    conversation_id: u64,
) -> Result<(), StoreError> {
    state
        .connection
        .prepare_cached("DELETE FROM levels WHERE account_id = ?1 AND conversation_id = ?2")?
        .execute([account_id, conversation_id])?;
    Ok(())
}

/// Removes levels of a deleted account, see [`remove_of_deleted`](super::clean_up::remove_of_deleted).
pub(super) const OF_DELETED: &str =
    "DELETE FROM levels WHERE account_id = ?1 AND conversation_id IN (
         SELECT conversation_id FROM levels
         WHERE account_id = ?1 ORDER BY conversation_id LIMIT ?2)";
