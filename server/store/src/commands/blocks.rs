//! Blocks: an account keeps away the direct messages of another one. Shared by the commands that make, use and end
//! blocks.

use rusqlite::{OptionalExtension as _, params};
use tercet_types::limits::BLOCKS_MAX;

use super::{Applier, StoreError};

/// The treatment of the messages of a blocked account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// They are accepted, and the recipient does not see them.
    Hide,
    /// They are refused as if no account had the recipient's name.
    Refuse,
}

impl Block {
    pub fn of(refuse: bool) -> Block {
        if refuse { Block::Refuse } else { Block::Hide }
    }
}

/// Finds the block of an account by another one. Most accounts block nobody, and the account cache has these: then
/// nothing is read.
pub(super) fn find(
    state: &mut Applier<'_, '_>,
    blocker_id: u64,
    blocked_id: u64,
) -> Result<Option<Block>, StoreError> {
    if !has_any(state, blocker_id)? {
        return Ok(None);
    }
    let refuse: Option<bool> = state
        .connection
        .prepare_cached("SELECT refuse FROM blocks WHERE blocker_id = ?1 AND blocked_id = ?2")?
        .query_row([blocker_id, blocked_id], |row| row.get(0))
        .optional()?;
    Ok(refuse.map(Block::of))
}

fn has_any(state: &mut Applier<'_, '_>, blocker_id: u64) -> Result<bool, StoreError> {
    if let Some(known) = state.known.has_blocks(blocker_id) {
        return Ok(known);
    }
    let found = state
        .connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM blocks WHERE blocker_id = ?1)")?
        .query_row([blocker_id], |row| row.get(0))?;
    state.known.learn_blocks(blocker_id, found);
    Ok(found)
}

/// Tells whether an account blocks as many live accounts as it may.
pub(super) fn are_full(state: &Applier<'_, '_>, blocker_id: u64) -> Result<bool, StoreError> {
    let count: usize = state
        .connection
        .prepare_cached(
            "SELECT count(*) FROM blocks AS b CROSS JOIN users AS u ON u.id = b.blocked_id
             WHERE b.blocker_id = ?1 AND u.deleted_at_lsn IS NULL",
        )?
        .query_row([blocker_id], |row| row.get(0))?;
    Ok(count >= BLOCKS_MAX)
}

/// Writes a block, in place of the one that there may be.
pub(super) fn set(
    state: &mut Applier<'_, '_>,
    blocker_id: u64,
    blocked_id: u64,
    block: Block,
) -> Result<(), StoreError> {
    state
        .connection
        .prepare_cached(
            "INSERT OR REPLACE INTO blocks (blocker_id, blocked_id, refuse, blocked_at_ms)
             VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![
            blocker_id,
            blocked_id,
            block == Block::Refuse,
            state.stamp_ms
        ])?;
    state.known.learn_blocks(blocker_id, true);
    Ok(())
}

/// Removes a block; tells whether there was one.
pub(super) fn remove(
    state: &mut Applier<'_, '_>,
    blocker_id: u64,
    blocked_id: u64,
) -> Result<bool, StoreError> {
    let removed = state
        .connection
        .prepare_cached("DELETE FROM blocks WHERE blocker_id = ?1 AND blocked_id = ?2")?
        .execute([blocker_id, blocked_id])?;
    state.known.forget_blocks(blocker_id);
    Ok(removed > 0)
}

/// Remove blocks by and of a deleted account, see [`remove_of_deleted`](super::clean_up::remove_of_deleted).
pub(super) const OF_DELETED: [&str; 2] = [
    "DELETE FROM blocks WHERE (blocker_id, blocked_id) IN (
         SELECT blocker_id, blocked_id FROM blocks
         WHERE blocker_id = ?1 ORDER BY blocked_id LIMIT ?2)",
    "DELETE FROM blocks WHERE (blocker_id, blocked_id) IN (
         SELECT blocker_id, blocked_id FROM blocks INDEXED BY blocks_by_blocked
         WHERE blocked_id = ?1 ORDER BY blocker_id LIMIT ?2)",
];
