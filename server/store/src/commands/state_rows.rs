//! The rows of the state beside conversations: reading, writing and removing them, and the totals by which the limits of a
//! conversation are checked.

use rusqlite::{OptionalExtension as _, params};
use tercet_proto::log::{Refusal, StateValue};
use tercet_types::limits::{STATE_BYTES_MAX, STATE_KEYS_MAX};

use super::{Applier, StoreError};

/// The amount of state of a conversation.
#[derive(Clone, Copy, Default)]
struct Totals {
    keys: u64,
    bytes: u64,
}

/// Reads the version of a key, and how many bytes it counts for.
pub(super) fn find(
    state: &Applier<'_, '_>,
    conversation_id: u64,
    key: &str,
) -> Result<Option<(u64, u64)>, StoreError> {
    Ok(state
        .connection
        .prepare_cached(
            "SELECT version, length(key) + octet_length(value) FROM state
             WHERE conversation_id = ?1 AND key = ?2",
        )?
        .query_row(params![conversation_id, key], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?)
}

/// Reads a key that exists, for an outcome.
pub(super) fn read(
    state: &Applier<'_, '_>,
    conversation_id: u64,
    key: &str,
) -> Result<StateValue, StoreError> {
    Ok(state
        .connection
        .prepare_cached(
            "SELECT s.version, s.value, s.changed_at_ms, u.username
             FROM state AS s CROSS JOIN users AS u ON u.id = s.changed_by
             WHERE s.conversation_id = ?1 AND s.key = ?2",
        )?
        .query_row(params![conversation_id, key], |row| {
            Ok(StateValue {
                version: row.get(0)?,
                value: row.get(1)?,
                changed_at_ms: row.get(2)?,
                changed_by: row.get(3)?,
            })
        })?)
}

/// Checks that a key of `before` bytes, if it exists, may have a value by which it has `after`; changes the totals.
pub(super) fn count(
    state: &Applier<'_, '_>,
    conversation_id: u64,
    before: Option<u64>,
    after: Option<u64>,
) -> Result<Result<(), Refusal>, StoreError> {
    let totals = totals(state, conversation_id)?;
    let keys = totals.keys + u64::from(after.is_some()) - u64::from(before.is_some());
    let bytes = totals.bytes + after.unwrap_or(0) - before.unwrap_or(0);
    if keys > totals.keys && keys > STATE_KEYS_MAX {
        return Ok(Err(Refusal::TooManyKeys));
    }
    if bytes > totals.bytes && bytes > STATE_BYTES_MAX {
        return Ok(Err(Refusal::StateFull));
    }
    let sql = match keys {
        0 => "DELETE FROM state_totals WHERE conversation_id = ?1",
        _ => {
            "INSERT OR REPLACE INTO state_totals (conversation_id, keys, bytes) VALUES (?1, ?2, ?3)"
        }
    };
    let mut change = state.connection.prepare_cached(sql)?;
    match keys {
        0 => change.execute([conversation_id])?,
        _ => change.execute(params![conversation_id, keys, bytes])?,
    };
    Ok(Ok(()))
}

fn totals(state: &Applier<'_, '_>, conversation_id: u64) -> Result<Totals, StoreError> {
    let found = state
        .connection
        .prepare_cached("SELECT keys, bytes FROM state_totals WHERE conversation_id = ?1")?
        .query_row([conversation_id], |row| {
            Ok(Totals {
                keys: row.get(0)?,
                bytes: row.get(1)?,
            })
        })
        .optional()?;
    Ok(found.unwrap_or_default())
}

/// Writes or removes a key, whose version is this entry.
pub(super) fn write(
    state: &Applier<'_, '_>,
    conversation_id: u64,
    key: &str,
    value: Option<&str>,
    account_id: u64,
) -> Result<(), StoreError> {
    let Some(value) = value else {
        state
            .connection
            .prepare_cached("DELETE FROM state WHERE conversation_id = ?1 AND key = ?2")?
            .execute(params![conversation_id, key])?;
        return Ok(());
    };
    state
        .connection
        .prepare_cached(
            "INSERT INTO state (conversation_id, key, version, value, changed_at_ms, changed_by)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (conversation_id, key) DO UPDATE SET version = excluded.version,
                 value = excluded.value, changed_at_ms = excluded.changed_at_ms,
                 changed_by = excluded.changed_by",
        )?
        .execute(params![
            conversation_id,
            key,
            state.lsn,
            value,
            state.stamp_ms,
            account_id
        ])?;
    Ok(())
}

/// Removes the state of a conversation at once: the limits bound it.
pub(super) fn remove_all(
    state: &Applier<'_, '_>,
    conversation_id: u64,
) -> Result<bool, StoreError> {
    let removed = state
        .connection
        .prepare_cached("DELETE FROM state_totals WHERE conversation_id = ?1")?
        .execute([conversation_id])?;
    if removed > 0 {
        state
            .connection
            .prepare_cached("DELETE FROM state WHERE conversation_id = ?1")?
            .execute([conversation_id])?;
    }
    Ok(removed > 0)
}

/// Removes the state of one direct conversation of a deleted account, if one has any; tells whether it did.
pub(super) fn remove_one_of_deleted(
    state: &Applier<'_, '_>,
    account_id: u64,
) -> Result<bool, StoreError> {
    let first: Option<u64> = state
        .connection
        .prepare_cached(
            "SELECT min(t.conversation_id) FROM conversations AS c
                 CROSS JOIN state_totals AS t ON t.conversation_id = c.id
             WHERE c.low_account = ?1 OR c.high_account = ?1",
        )?
        .query_row([account_id], |row| row.get(0))?;
    match first {
        Some(conversation_id) => remove_all(state, conversation_id),
        None => Ok(false),
    }
}
