//! The parts that the commands about single messages share: finding the message in its conversation, and telling of the
//! change.

use rusqlite::{OptionalExtension as _, params};
use tercet_proto::log::{MessageChanged, Refusal, change, outcome};
use tercet_types::name::ROOM_MARK;

use super::{Applier, Living, StoreError, direct_messages, rooms};
use crate::{
    changes::{self, To},
    event::MessageKind,
    rooms::Act,
};

/// The conversation of a message that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conversation {
    Room,
    /// With this account, which may be the caller itself or a deleted one.
    Direct {
        peer_id: u64,
        /// Whether the message is hidden from its recipient.
        is_hidden: bool,
    },
}

/// A text in a conversation of the caller, which the caller sees.
pub(super) struct Found {
    pub conversation: Conversation,
    pub conversation_id: u64,
    pub seq: u64,
    /// The key of the row.
    pub lsn: u64,
    pub sender_id: u64,
    pub is_deleted: bool,
}

impl Found {
    /// Makes the outcome of a command that changed the message.
    pub fn changed(&self, state: &Applier<'_, '_>) -> outcome::Result {
        self.outcome(state.lsn)
    }

    /// Makes the outcome of a command that found everything as it asks.
    pub fn unchanged(&self) -> outcome::Result {
        self.outcome(0)
    }

    fn outcome(&self, lsn: u64) -> outcome::Result {
        outcome::Result::MessageChanged(MessageChanged {
            conversation_id: self.conversation_id,
            seq: self.seq,
            lsn,
        })
    }

    /// Records a change of the message by `account`, for the accounts of the conversation that may learn of it.
    pub fn record(
        &self,
        state: &mut Applier<'_, '_>,
        account: &Living,
        what: change::What,
    ) -> Result<(), StoreError> {
        match self.conversation {
            Conversation::Room => changes::record(state, To::Room(self.conversation_id), what),
            Conversation::Direct { peer_id, is_hidden } => {
                let ids = direct_messages::audience(state, account.id, peer_id, is_hidden)?;
                changes::record(state, To::Accounts(&ids), what)
            }
        }
    }

    /// Notes that the message has parts, before one is stored.
    pub fn note_parts(&self, state: &Applier<'_, '_>) -> Result<(), StoreError> {
        match self.conversation {
            Conversation::Room => Ok(()),
            Conversation::Direct { .. } => direct_messages::note_parts(state, self.conversation_id),
        }
    }
}

/// Finds the caller, and a text by its conversation and seq that the caller may read, or the refusal.
pub(super) fn find(
    state: &mut Applier<'_, '_>,
    account_id: u64,
    conversation: &str,
    seq: u64,
) -> Result<Result<(Living, Found), Refusal>, StoreError> {
    let Some(account) = state.living_by_id(account_id)? else {
        return Ok(Err(Refusal::AccountGone));
    };
    let found = match conversation.strip_prefix(ROOM_MARK) {
        Some(room) => find_in_room(state, &account, room, seq)?,
        None => direct_messages::find(state, &account, conversation, seq)?,
    };
    Ok(found.map(|found| (account, found)))
}

fn find_in_room(
    state: &mut Applier<'_, '_>,
    account: &Living,
    room: &str,
    seq: u64,
) -> Result<Result<Found, Refusal>, StoreError> {
    let (room_id, _) = match rooms::permit(state, room, account.id, Act::Read)? {
        Ok(permitted) => permitted,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if !rooms::has_message(state, room_id, seq) {
        return Ok(Err(Refusal::UnknownMessage));
    }
    let indexed: Option<u64> = state
        .connection
        .prepare_cached("SELECT lsn FROM room_index WHERE room_id = ?1 AND seq = ?2")?
        .query_row([room_id, seq], |row| row.get(0))
        .optional()?;
    let lsn: u64 = match indexed {
        Some(lsn) => lsn,
        None => state
            .connection
            .prepare_cached(
                "SELECT lsn FROM room_messages NOT INDEXED
                 WHERE lsn > (SELECT through_lsn FROM indexed) AND room_id = ?1 AND seq = ?2",
            )?
            .query_row([room_id, seq], |row| row.get(0))?,
    };
    let (sender_id, kind, is_deleted): (u64, MessageKind, bool) = state
        .connection
        .prepare_cached(
            "SELECT m.sender_id, m.kind, coalesce(e.deleted_at_ms IS NOT NULL, 0)
             FROM room_messages AS m LEFT JOIN edits AS e ON e.message_lsn = m.lsn
             WHERE m.lsn = ?1",
        )?
        .query_row([lsn], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    if kind != MessageKind::Text {
        return Ok(Err(Refusal::NotAText));
    }
    Ok(Ok(Found {
        conversation: Conversation::Room,
        conversation_id: room_id,
        seq,
        lsn,
        sender_id,
        is_deleted,
    }))
}

/// Sets the text of a message, "" when it is deleted, and notes the time.
pub(super) fn set_text(
    state: &Applier<'_, '_>,
    found: &Found,
    body: &str,
    deleted_by: Option<u64>,
) -> Result<(), StoreError> {
    found.note_parts(state)?;
    let set = match found.conversation {
        Conversation::Room => "UPDATE room_messages SET body = ?2 WHERE lsn = ?1",
        Conversation::Direct { .. } => "UPDATE messages SET body = ?2 WHERE lsn = ?1",
    };
    state
        .connection
        .prepare_cached(set)?
        .execute(params![found.lsn, body])?;
    // A hidden message is not counted for its recipient, and is nothing to subtract.
    let is_counted = !matches!(
        found.conversation,
        Conversation::Direct {
            is_hidden: true,
            ..
        }
    );
    if deleted_by.is_some() && is_counted {
        state
            .connection
            .prepare_cached(
                "INSERT OR IGNORE INTO deleted_messages (conversation_id, seq, sender_id)
                 VALUES (?1, ?2, ?3)",
            )?
            .execute([found.conversation_id, found.seq, found.sender_id])?;
    }
    let deleted_at = deleted_by.map(|_| state.stamp_ms);
    let edited_at = deleted_by.is_none().then_some(state.stamp_ms);
    state
        .connection
        .prepare_cached(
            "INSERT INTO edits (message_lsn, changed_lsn, edited_at_ms, deleted_at_ms, deleted_by_id)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (message_lsn) DO UPDATE SET changed_lsn = ?2,
                 edited_at_ms = coalesce(?3, edited_at_ms), deleted_at_ms = ?4, deleted_by_id = ?5",
        )?
        .execute(params![
            found.lsn, state.lsn, edited_at, deleted_at, deleted_by
        ])?;
    Ok(())
}

/// Stores that a message replies to another one of its conversation.
pub(super) fn insert_reply(
    state: &Applier<'_, '_>,
    conversation_id: u64,
    seq: u64,
    reply_to: u64,
) -> Result<(), StoreError> {
    state
        .connection
        .prepare_cached("INSERT INTO replies (conversation_id, seq, reply_to) VALUES (?1, ?2, ?3)")?
        .execute([conversation_id, seq, reply_to])?;
    Ok(())
}

/// Takes the outcome of the commands about single messages.
pub(super) fn changed(result: outcome::Result) -> Option<MessageChanged> {
    match result {
        outcome::Result::MessageChanged(changed) => Some(changed),
        _ => None,
    }
}
