//! The parts of messages that few messages have, in tables of their own: what they reply to, when they were edited or
//! deleted, and the reactions to them.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{integer, mentions::Mentioning};
use crate::{
    StoreError,
    event::{MessageParts, MessageRow, Reaction, RoomMessageRow},
};

/// The place of a message, and its parts, which are to be read.
struct Wanted<'r> {
    lsn: u64,
    conversation_id: i64,
    seq: u64,
    parts: &'r mut MessageParts,
}

/// Adds the parts to messages of rooms, as an account sees them.
pub(super) fn add(
    state: &Connection,
    account_id: u64,
    rows: &mut [RoomMessageRow],
) -> Result<(), StoreError> {
    let mut mentioning = Mentioning::of(state, account_id)?;
    for row in &mut *rows {
        row.parts.mentions_me = mentioning.has(row.room_id, row.seq)?;
    }
    let wanted = rows.iter_mut().map(|row| Wanted {
        lsn: row.lsn,
        conversation_id: integer(row.room_id),
        seq: row.seq,
        parts: &mut row.parts,
    });
    read(state, account_id, wanted.collect())
}

/// Adds the parts to messages of a direct conversation, as an account sees them.
pub(super) fn add_direct(
    state: &Connection,
    account_id: u64,
    conversation_id: i64,
    rows: &mut [MessageRow],
) -> Result<(), StoreError> {
    let wanted = rows.iter_mut().map(|row| Wanted {
        lsn: row.lsn,
        conversation_id,
        seq: row.seq,
        parts: &mut row.parts,
    });
    read(state, account_id, wanted.collect())
}

/// Adds the parts to direct messages of any conversations, as an account sees them.
pub(super) fn add_any(
    state: &Connection,
    account_id: u64,
    rows: &mut [MessageRow],
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let are_there: bool = state
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM direct_parts)")?
        .query_row([], |row| row.get(0))?;
    if !are_there {
        return Ok(());
    }
    let lsns: Vec<u64> = rows.iter().map(|row| row.lsn).collect();
    let mut select = state.prepare_cached(
        "SELECT m.lsn, m.conversation_id
         FROM json_each(?1) AS j CROSS JOIN messages AS m NOT INDEXED ON m.lsn = j.value
             CROSS JOIN direct_parts AS p ON p.conversation_id = m.conversation_id",
    )?;
    let conversations: BTreeMap<u64, i64> = select
        .query_map([format!("{lsns:?}")], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let wanted = rows.iter_mut().filter_map(|row| {
        Some(Wanted {
            lsn: row.lsn,
            conversation_id: *conversations.get(&row.lsn)?,
            seq: row.seq,
            parts: &mut row.parts,
        })
    });
    read(state, account_id, wanted.collect())
}

fn read(state: &Connection, account_id: u64, messages: Vec<Wanted<'_>>) -> Result<(), StoreError> {
    if messages.is_empty() {
        return Ok(());
    }
    let lsns: Vec<u64> = messages.iter().map(|message| message.lsn).collect();
    let lsns = format!("{lsns:?}");
    let mut edits = state.prepare_cached(
        "SELECT message_lsn, edited_at_ms, deleted_at_ms FROM edits
         WHERE message_lsn IN (SELECT value FROM json_each(?1))",
    )?;
    let edits: BTreeMap<u64, (Option<i64>, Option<i64>)> = edits
        .query_map([&lsns], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?
        .collect::<Result<_, _>>()?;
    let mut reactions = state.prepare_cached(
        "SELECT message_lsn, reaction, count(*), max(account_id = ?2) FROM reactions
         WHERE message_lsn IN (SELECT value FROM json_each(?1))
         GROUP BY message_lsn, reaction ORDER BY message_lsn, reaction",
    )?;
    let mut of_messages: BTreeMap<u64, Vec<Reaction>> = BTreeMap::new();
    let mut found = reactions.query(params![lsns, integer(account_id)])?;
    while let Some(row) = found.next()? {
        let reaction = Reaction {
            reaction: row.get(1)?,
            count: row.get(2)?,
            own: row.get(3)?,
        };
        of_messages.entry(row.get(0)?).or_default().push(reaction);
    }
    let mut reply = state
        .prepare_cached("SELECT reply_to FROM replies WHERE conversation_id = ?1 AND seq = ?2")?;
    for message in messages {
        let parts = message.parts;
        parts.reply_to = reply
            .query_row(params![message.conversation_id, message.seq], |found| {
                found.get(0)
            })
            .optional()?;
        if let Some((edited, deleted)) = edits.get(&message.lsn) {
            (parts.edited_at_ms, parts.deleted_at_ms) = (*edited, *deleted);
        }
        parts.reactions = of_messages.remove(&message.lsn).unwrap_or_default();
    }
    Ok(())
}
