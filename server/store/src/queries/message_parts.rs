//! The parts of messages that few messages have, in tables of their own: what they reply to, when they were edited or
//! deleted, and the reactions to them.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::integer;
use crate::{
    StoreError,
    event::{Reaction, RoomMessageRow},
};

/// Adds the parts to rows, as an account sees them.
pub(super) fn add(
    state: &Connection,
    account_id: u64,
    rows: &mut [RoomMessageRow],
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let lsns: Vec<u64> = rows.iter().map(|row| row.lsn).collect();
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
    for row in rows {
        row.reply_to = reply
            .query_row([row.room_id, row.seq], |found| found.get(0))
            .optional()?;
        if let Some((edited, deleted)) = edits.get(&row.lsn) {
            (row.edited_at_ms, row.deleted_at_ms) = (*edited, *deleted);
        }
        row.reactions = of_messages.remove(&row.lsn).unwrap_or_default();
    }
    Ok(())
}
