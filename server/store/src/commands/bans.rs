//! Bans: an account may not be a member of a room. Shared by the commands that make, use and end bans.

use rusqlite::params;
use tercet_types::limits::ROOM_BANS_MAX;

use super::{Applier, StoreError};

/// Tells whether an account is banned from a room.
pub(super) fn is_banned(
    state: &Applier<'_, '_>,
    room_id: u64,
    account_id: u64,
) -> Result<bool, StoreError> {
    Ok(state
        .connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM bans WHERE room_id = ?1 AND account_id = ?2)",
        )?
        .query_row([room_id, account_id], |row| row.get(0))?)
}

/// Tells whether as many live accounts are banned from a room as may be.
pub(super) fn are_full(state: &Applier<'_, '_>, room_id: u64) -> Result<bool, StoreError> {
    let count: usize = state
        .connection
        .prepare_cached(
            "SELECT count(*) FROM bans AS b CROSS JOIN users AS u ON u.id = b.account_id
             WHERE b.room_id = ?1 AND u.deleted_at_lsn IS NULL",
        )?
        .query_row([room_id], |row| row.get(0))?;
    Ok(count >= ROOM_BANS_MAX)
}

/// Writes a ban. There is none yet.
pub(super) fn add(
    state: &Applier<'_, '_>,
    room_id: u64,
    account_id: u64,
    banned_by: u64,
) -> Result<(), StoreError> {
    state
        .connection
        .prepare_cached(
            "INSERT INTO bans (room_id, account_id, banned_by, banned_at_ms)
             VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![room_id, account_id, banned_by, state.stamp_ms])?;
    Ok(())
}

/// Removes a ban; tells whether there was one.
pub(super) fn remove(
    state: &Applier<'_, '_>,
    room_id: u64,
    account_id: u64,
) -> Result<bool, StoreError> {
    let removed = state
        .connection
        .prepare_cached("DELETE FROM bans WHERE room_id = ?1 AND account_id = ?2")?
        .execute([room_id, account_id])?;
    Ok(removed > 0)
}

/// Removes bans of a deleted account, see [`remove_of_deleted`](super::clean_up::remove_of_deleted).
pub(super) const OF_DELETED: &str = "DELETE FROM bans WHERE (room_id, account_id) IN (
         SELECT room_id, account_id FROM bans INDEXED BY bans_by_account
         WHERE account_id = ?1 ORDER BY room_id LIMIT ?2)";
