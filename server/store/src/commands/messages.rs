//! The parts that the commands about single messages share: finding the message in its conversation, and telling of the
//! change.

use rusqlite::{OptionalExtension as _, params};
use tercet_proto::log::{MessageChanged, Refusal, outcome};

use super::{Applier, Living, StoreError, rooms};
use crate::{event::MessageKind, rooms::Act};

/// A text in a room whose member the caller is.
pub(super) struct Found {
    pub room_id: u64,
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
            conversation_id: self.room_id,
            seq: self.seq,
            lsn,
        })
    }
}

/// Finds the caller, and a text by its room and seq that the caller may read, or the refusal.
pub(super) fn find(
    state: &mut Applier<'_, '_>,
    account_id: u64,
    room: &str,
    seq: u64,
) -> Result<Result<(Living, Found), Refusal>, StoreError> {
    let Some(account) = state.living_by_id(account_id)? else {
        return Ok(Err(Refusal::AccountGone));
    };
    let (room_id, _) = match rooms::permit(state, room, account.id, Act::Read)? {
        Ok(permitted) => permitted,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if seq == 0 || seq > rooms::last_seq(state, room_id) {
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
    let found = Found {
        room_id,
        seq,
        lsn,
        sender_id,
        is_deleted,
    };
    Ok(Ok((account, found)))
}

/// Sets the text of a message, "" when it is deleted, and notes the time.
pub(super) fn set_text(
    state: &Applier<'_, '_>,
    found: &Found,
    body: &str,
    deleted_by: Option<u64>,
) -> Result<(), StoreError> {
    state
        .connection
        .prepare_cached("UPDATE room_messages SET body = ?2 WHERE lsn = ?1")?
        .execute(params![found.lsn, body])?;
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

/// Takes the outcome of the commands about single messages.
pub(super) fn changed(result: outcome::Result) -> Option<MessageChanged> {
    match result {
        outcome::Result::MessageChanged(changed) => Some(changed),
        _ => None,
    }
}
