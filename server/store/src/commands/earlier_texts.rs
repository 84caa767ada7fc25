//! The earlier texts of edited messages, in rooms that keep them.

use rusqlite::params;
use tercet_types::limits::MESSAGE_EDITS_KEPT_MAX;

use super::{Applier, StoreError, rooms};

/// Keeps the text of a message of a loaded room that this entry replaces, if the room does so. Of too many the oldest ones
/// go.
pub(super) fn keep(
    state: &mut Applier<'_, '_>,
    room_id: u64,
    message_lsn: u64,
) -> Result<(), StoreError> {
    if !rooms::cached(state, room_id).settings.keeps_edits {
        return Ok(());
    }
    state
        .connection
        .prepare_cached(
            "INSERT INTO earlier_texts
                 (message_lsn, replaced_lsn, body, written_at_ms, replaced_at_ms)
             SELECT m.lsn, ?2, m.body, coalesce(e.edited_at_ms, m.sent_at_ms), ?3
             FROM room_messages AS m LEFT JOIN edits AS e ON e.message_lsn = m.lsn
             WHERE m.lsn = ?1",
        )?
        .execute(params![message_lsn, state.lsn, state.stamp_ms])?;
    state
        .connection
        .prepare_cached(
            "DELETE FROM earlier_texts WHERE message_lsn = ?1 AND replaced_lsn IN (
                 SELECT replaced_lsn FROM earlier_texts WHERE message_lsn = ?1
                 ORDER BY replaced_lsn DESC LIMIT -1 OFFSET ?2)",
        )?
        .execute(params![message_lsn, MESSAGE_EDITS_KEPT_MAX])?;
    Ok(())
}

/// Erases the earlier texts of a message.
pub(super) fn erase(state: &Applier<'_, '_>, message_lsn: u64) -> Result<(), StoreError> {
    state
        .connection
        .prepare_cached("DELETE FROM earlier_texts WHERE message_lsn = ?1")?
        .execute([message_lsn])?;
    Ok(())
}
