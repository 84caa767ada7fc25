//! Hidden messages: those that were accepted while their recipient blocked their sender. Only the sender sees them.
//!
//! They are rows of `messages` that neither lazy index has (`index.rs`), so the pages of the recipient do not go through
//! them, however many there are. The table `hidden_index` is the index by which the sender's pages find them; it does not
//! lag, because few messages are hidden.

use rusqlite::{Connection, params};

use super::{StoreError, seqs::Numbered};

/// Tests that a message, by the alias of its row, is not hidden.
macro_rules! is_shown {
    ($message:literal) => {
        concat!(
            "NOT EXISTS (SELECT 1 FROM hidden_messages AS hidden WHERE hidden.recipient_id = ",
            $message,
            ".recipient_id AND hidden.sender_id = ",
            $message,
            ".sender_id AND hidden.lsn = ",
            $message,
            ".lsn)"
        )
    };
}

pub(super) use is_shown;

/// Hides the message of an entry, which has this place in its conversation.
pub(super) fn hide(
    connection: &Connection,
    recipient_id: u64,
    sender_id: u64,
    lsn: u64,
    numbered: Numbered,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO hidden_messages (recipient_id, sender_id, lsn) VALUES (?1, ?2, ?3)",
        )?
        .execute([recipient_id, sender_id, lsn])?;
    connection
        .prepare_cached(
            "INSERT INTO hidden_index (conversation_id, sender_id, seq, lsn)
             VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute([numbered.conversation_id, sender_id, numbered.seq, lsn])?;
    Ok(())
}

/// Makes the index again after a snapshot replaced the messages.
pub(super) fn rebuild_index(connection: &Connection) -> Result<(), StoreError> {
    connection.execute_batch(
        "DELETE FROM hidden_index;
         INSERT INTO hidden_index
             SELECT m.conversation_id, m.sender_id, m.seq, m.lsn
             FROM hidden_messages AS h CROSS JOIN messages AS m ON m.lsn = h.lsn
             ORDER BY 1, 2, 3",
    )?;
    Ok(())
}

/// Makes waiting messages of up to `limit` hidden messages to a deleted account, so that they are dropped as such and
/// their senders see no difference. They are not counted (`counts.rs`): a message counts for its recipient alone, who is
/// gone. The indexes have reached all messages to the account.
pub(super) fn let_wait(
    connection: &Connection,
    recipient_id: u64,
    limit: usize,
) -> Result<(), StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    for sql in [
        "INSERT INTO conversation_messages (conversation_id, seq, lsn, is_low)
             SELECT m.conversation_id, m.seq, m.lsn, m.sender_id <= m.recipient_id
             FROM (SELECT lsn FROM hidden_messages WHERE recipient_id = ?1
                   ORDER BY sender_id, lsn LIMIT ?2) AS h
             CROSS JOIN messages AS m ON m.lsn = h.lsn",
        "INSERT INTO waiting_messages
             SELECT recipient_id, lsn FROM hidden_messages WHERE recipient_id = ?1
             ORDER BY sender_id, lsn LIMIT ?2",
        "DELETE FROM hidden_index WHERE (conversation_id, sender_id, seq) IN (
             SELECT m.conversation_id, m.sender_id, m.seq
             FROM (SELECT lsn FROM hidden_messages WHERE recipient_id = ?1
                   ORDER BY sender_id, lsn LIMIT ?2) AS h
             CROSS JOIN messages AS m ON m.lsn = h.lsn)",
        "DELETE FROM hidden_messages WHERE (recipient_id, sender_id, lsn) IN (
             SELECT recipient_id, sender_id, lsn FROM hidden_messages WHERE recipient_id = ?1
             ORDER BY sender_id, lsn LIMIT ?2)",
    ] {
        connection
            .prepare_cached(sql)?
            .execute(params![recipient_id, limit])?;
    }
    Ok(())
}
