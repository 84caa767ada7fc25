//! The numbers of direct messages: one more than the last one of the conversation. The account cache keeps the last
//! number with the conversation, so that a message looks nothing up for it.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension as _, params};
use tercet_core::id::Lsn;

use super::{StoreError, apply::Applier, counts, index::LazyIndex};

/// The command version from which on the numbers are part of the state hash, and of recorded answers.
pub(super) const VERSION: u32 = 3;

/// A place in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbered {
    pub conversation_id: u64,
    pub seq: u64,
}

/// Finds the conversation of two accounts and the highest indexed number in it, or that of the last removed message. A
/// hidden message is in an index of its own.
const FIND: &str = "SELECT c.id, max(
         coalesce((SELECT max(seq) FROM conversation_messages WHERE conversation_id = c.id), 0),
         coalesce((SELECT max(seq) FROM hidden_index
                   WHERE conversation_id = c.id AND sender_id = ?1), 0),
         coalesce((SELECT max(seq) FROM hidden_index
                   WHERE conversation_id = c.id AND sender_id = ?2), 0),
         coalesce((SELECT first_seq - 1 FROM history_starts WHERE conversation_id = c.id), 0))
     FROM conversations AS c WHERE c.low_account = ?1 AND c.high_account = ?2";

/// Gives the place of the next message between two accounts, and counts it; makes their conversation with this entry if
/// there is none.
pub(super) fn next(
    state: &mut Applier<'_, '_>,
    one: u64,
    other: u64,
) -> Result<Numbered, StoreError> {
    let pair = (one.min(other), one.max(other));
    if let Some(last) = state.known.conversation(pair) {
        last.seq += 1;
        return Ok(*last);
    }
    let mut place = find_or_make(state, pair)?;
    place.seq += 1;
    state.known.learn_conversation(pair, place);
    Ok(place)
}

/// Finds the conversation of two accounts, or makes it with this entry.
pub(super) fn conversation(
    state: &mut Applier<'_, '_>,
    one: u64,
    other: u64,
) -> Result<u64, StoreError> {
    let pair = (one.min(other), one.max(other));
    if let Some(last) = state.known.conversation(pair) {
        return Ok(last.conversation_id);
    }
    let place = find_or_make(state, pair)?;
    state.known.learn_conversation(pair, place);
    Ok(place.conversation_id)
}

/// Finds the place of the last message of a conversation that is not in the account cache, or makes the conversation.
fn find_or_make(state: &mut Applier<'_, '_>, pair: (u64, u64)) -> Result<Numbered, StoreError> {
    if let Some(last) = look_up(state, pair)? {
        return Ok(last);
    }
    state
        .connection
        .prepare_cached(
            "INSERT INTO conversations (id, low_account, high_account) VALUES (?1, ?2, ?3)",
        )?
        .execute([state.lsn, pair.0, pair.1])?;
    Ok(Numbered {
        conversation_id: state.lsn,
        seq: 0,
    })
}

/// Gives the place of the last message between two accounts, hidden ones included; `None` before the first.
pub(super) fn last(
    state: &mut Applier<'_, '_>,
    one: u64,
    other: u64,
) -> Result<Option<Numbered>, StoreError> {
    let pair = (one.min(other), one.max(other));
    if let Some(last) = state.known.conversation(pair) {
        return Ok(Some(*last));
    }
    let found = look_up(state, pair)?;
    if let Some(last) = found {
        state.known.learn_conversation(pair, last);
    }
    Ok(found)
}

fn look_up(state: &mut Applier<'_, '_>, pair: (u64, u64)) -> Result<Option<Numbered>, StoreError> {
    let found = state
        .connection
        .prepare_cached(FIND)?
        .query_row([pair.0, pair.1], |row| {
            Ok(Numbered {
                conversation_id: row.get(0)?,
                seq: row.get(1)?,
            })
        })
        .optional()?;
    let Some(indexed) = found else {
        return Ok(None);
    };
    let newest = newest_not_indexed(state, indexed.conversation_id)?;
    Ok(Some(Numbered {
        seq: indexed.seq.max(newest),
        ..indexed
    }))
}

/// Gives the highest number among the messages of a conversation that are not indexed, 0 for none. All of them are read
/// at once when the first is needed; each later message is in the account cache with its conversation.
fn newest_not_indexed(
    state: &mut Applier<'_, '_>,
    conversation_id: u64,
) -> Result<u64, StoreError> {
    if state.known.not_indexed.is_none() {
        let newest: HashMap<u64, u64> = state
            .connection
            .prepare_cached(
                "SELECT conversation_id, max(seq) FROM messages NOT INDEXED
                 WHERE lsn > (SELECT through_lsn FROM indexed) GROUP BY conversation_id",
            )?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        state.known.not_indexed = Some(newest);
    }
    let newest = state.known.not_indexed.as_ref();
    Ok(newest
        .and_then(|newest| newest.get(&conversation_id).copied())
        .unwrap_or(0))
}

/// Numbers the messages of all conversations with a deleted account again, from 1 on, before the first command of
/// [`VERSION`] at `lsn`. They get no new messages. Replicas that migrated before and after the same messages were
/// dropped have different numbers until then.
pub(super) fn number_again(
    connection: &Connection,
    indexed: &mut LazyIndex,
    lsn: u64,
) -> Result<(), StoreError> {
    let conversations: Vec<u64> = connection
        .prepare_cached(
            "SELECT c.id FROM users AS u CROSS JOIN conversations AS c ON c.low_account = u.id
             WHERE u.deleted_at_lsn IS NOT NULL
             UNION
             SELECT c.id FROM users AS u
                 CROSS JOIN conversations AS c INDEXED BY conversations_by_high
                     ON c.high_account = u.id
             WHERE u.deleted_at_lsn IS NOT NULL
             ORDER BY 1",
        )?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    if conversations.is_empty() {
        return Ok(());
    }
    indexed.catch_up(connection, Lsn(lsn).prev())?;
    for id in conversations {
        number_conversation(connection, id)?;
    }
    Ok(())
}

fn number_conversation(connection: &Connection, id: u64) -> Result<(), StoreError> {
    // 0 in place of the sender of a message that is not hidden.
    let found: Vec<(u64, u64, u64)> = connection
        .prepare_cached(
            "SELECT lsn, seq, 0 FROM conversation_messages WHERE conversation_id = ?1
             UNION ALL
             SELECT lsn, seq, sender_id FROM hidden_index WHERE conversation_id = ?1
             ORDER BY 1",
        )?
        .query_map([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    let mut number =
        connection.prepare_cached("UPDATE messages SET seq = ?2 WHERE lsn = ?1 AND seq <> ?2")?;
    let mut index = connection.prepare_cached(
        "UPDATE conversation_messages SET seq = ?3 WHERE conversation_id = ?1 AND seq = ?2",
    )?;
    let mut index_hidden = connection.prepare_cached(
        "UPDATE hidden_index SET seq = ?3
         WHERE conversation_id = ?1 AND seq = ?2 AND sender_id = ?4",
    )?;
    // Numbers only fall, and in their order: none meets one that is still in use.
    for (seq, (lsn, before, hidden_from)) in (1u64..).zip(found) {
        number.execute([lsn, seq])?;
        match hidden_from {
            _ if seq == before => 0,
            0 => index.execute([id, before, seq])?,
            sender => index_hidden.execute(params![id, before, seq, sender])?,
        };
    }
    counts::count_again(connection, id)
}
