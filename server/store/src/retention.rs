//! Retention: for how long messages are kept. The cluster has one, and a room may have its own; of the two the shorter
//! counts, so that an owner cannot keep what the operator must remove. Older messages are removed from the beginning of
//! each conversation (`commands/remove_expired.rs`), which notes where its history begins.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::StoreError;

/// The id that stands for the cluster among those of rooms.
pub(super) const CLUSTER: u64 = 0;

/// Gives the retention of the cluster, or the own one of a room, milliseconds; `None`: for ever.
pub(super) fn read(state: &Connection, id: u64) -> Result<Option<i64>, StoreError> {
    Ok(state
        .prepare_cached("SELECT keep_ms FROM retention WHERE conversation_id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?)
}

/// Sets the retention of the cluster, or the own one of a room, 0 for none; tells whether that changed it.
pub(super) fn set(state: &Connection, id: u64, keep_ms: i64) -> Result<bool, StoreError> {
    let rows = match keep_ms {
        0 => state
            .prepare_cached("DELETE FROM retention WHERE conversation_id = ?1")?
            .execute([id])?,
        _ => state
            .prepare_cached(
                "INSERT INTO retention (conversation_id, keep_ms) VALUES (?1, ?2)
                 ON CONFLICT (conversation_id) DO UPDATE SET keep_ms = ?2 WHERE keep_ms <> ?2",
            )?
            .execute(params![id, keep_ms])?,
    };
    Ok(rows > 0)
}

/// Gives the seq of the first message of a conversation that was not removed by its age: 1 while none was.
pub(super) fn first_seq(state: &Connection, conversation_id: u64) -> Result<u64, StoreError> {
    let first = state
        .prepare_cached("SELECT first_seq FROM history_starts WHERE conversation_id = ?1")?
        .query_row([conversation_id], |row| row.get(0))
        .optional()?;
    Ok(first.unwrap_or(1))
}

/// The last removed message of a conversation: its seq and LSN. `None` while none was removed.
pub(super) fn last_removed(
    state: &Connection,
    conversation_id: u64,
) -> Result<Option<(u64, u64)>, StoreError> {
    Ok(state
        .prepare_cached(
            "SELECT first_seq - 1, removed_lsn FROM history_starts WHERE conversation_id = ?1",
        )?
        .query_row([conversation_id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}
