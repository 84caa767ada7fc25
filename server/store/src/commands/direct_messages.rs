//! The parts of the commands about single messages that only direct conversations have.

use rusqlite::{OptionalExtension as _, params};
use tercet_proto::log::Refusal;

use super::{
    Applier, Living, StoreError, blocks,
    messages::{Conversation, Found},
};
use crate::{
    hidden::is_shown,
    queries::{is_kept, peer_by_name},
    seqs,
};

/// Finds the account of that name: the live one, else the latest deleted one with which `account_id` has messages.
pub(super) fn peer(
    state: &mut Applier<'_, '_>,
    account_id: u64,
    name: &str,
) -> Result<Option<u64>, StoreError> {
    match state.living_by_name(name)? {
        Some(living) => Ok(Some(living.id)),
        None => peer_by_name(state.connection, account_id, name),
    }
}

/// Finds a message that an account sees, by its seq, in its conversation with the [`peer`] of a name.
pub(super) fn find(
    state: &mut Applier<'_, '_>,
    account: &Living,
    peer: &str,
    seq: u64,
) -> Result<Result<Found, Refusal>, StoreError> {
    let Some(peer_id) = self::peer(state, account.id, peer)? else {
        return Ok(Err(Refusal::UnknownAccount));
    };
    let found = find_with(state, account.id, peer_id, seq)?;
    Ok(found.ok_or(Refusal::UnknownMessage))
}

/// Finds a message that an account sees, by its seq, in its conversation with another one.
pub(super) fn find_with(
    state: &mut Applier<'_, '_>,
    account_id: u64,
    peer_id: u64,
    seq: u64,
) -> Result<Option<Found>, StoreError> {
    let last = seqs::last(state, account_id, peer_id)?;
    let Some(last) = last.filter(|last| (1..=last.seq).contains(&seq)) else {
        return Ok(None);
    };
    let conversation_id = last.conversation_id;
    let at = params![conversation_id, seq, account_id];
    let indexed: Option<u64> = state
        .connection
        .prepare_cached(
            "SELECT lsn FROM conversation_messages WHERE conversation_id = ?1 AND seq = ?2
             UNION ALL
             SELECT lsn FROM hidden_index WHERE conversation_id = ?1 AND sender_id = ?3 AND seq = ?2",
        )?
        .query_row(at, |row| row.get(0))
        .optional()?;
    let lsn = match indexed {
        Some(lsn) => Some(lsn),
        None => state
            .connection
            .prepare_cached(concat!(
                "SELECT m.lsn FROM messages AS m NOT INDEXED
                 WHERE m.lsn > (SELECT through_lsn FROM indexed)
                     AND m.conversation_id = ?1 AND m.seq = ?2 AND (m.sender_id = ?3 OR ",
                is_shown!("m"),
                ")"
            ))?
            .query_row(at, |row| row.get(0))
            .optional()?,
    };
    let Some(lsn) = lsn else {
        return Ok(None);
    };
    let found = state
        .connection
        .prepare_cached(concat!(
            "SELECT m.sender_id, coalesce(e.deleted_at_ms IS NOT NULL, 0), NOT ",
            is_shown!("m"),
            " FROM messages AS m LEFT JOIN edits AS e ON e.message_lsn = m.lsn
              WHERE m.lsn = ?1 AND ",
            is_kept!()
        ))?
        .query_row([lsn], |row| {
            Ok(Found {
                conversation: Conversation::Direct {
                    peer_id,
                    is_hidden: row.get(2)?,
                },
                conversation_id,
                seq,
                lsn,
                sender_id: row.get(0)?,
                is_deleted: row.get(1)?,
            })
        })
        .optional()?;
    Ok(found)
}

/// Gives the accounts that learn of a change by `account_id` in its conversation with another one, ascending. The other
/// one does not if it is deleted, blocks the account, or is not to see the change.
pub(super) fn audience(
    state: &mut Applier<'_, '_>,
    account_id: u64,
    peer_id: u64,
    is_hidden: bool,
) -> Result<Vec<u64>, StoreError> {
    let mut ids = vec![account_id];
    let hears = peer_id != account_id
        && !is_hidden
        && state.living_by_id(peer_id)?.is_some()
        && blocks::find(state, peer_id, account_id)?.is_none();
    if hears {
        ids.push(peer_id);
        ids.sort_unstable();
    }
    Ok(ids)
}

/// Notes that messages of a conversation have parts, so that reads look for them.
pub(super) fn note_parts(state: &Applier<'_, '_>, conversation_id: u64) -> Result<(), StoreError> {
    state
        .connection
        .prepare_cached("INSERT OR IGNORE INTO direct_parts (conversation_id) VALUES (?1)")?
        .execute([conversation_id])?;
    Ok(())
}
