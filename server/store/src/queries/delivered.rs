//! The seq up to which the other account of a direct conversation has received the messages of an account. It follows
//! from the delivered and the waiting messages, so that acknowledging writes nothing for it.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{integer, seq_index::SHOWN};
use crate::{StoreError, retention};

/// Messages that are looked at from the first one on that may wait. Where none of them waits the answer is cut.
const LOOK_MAX: usize = 64;

/// The facts about a conversation that its messages without an index entry show.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Newest {
    /// The seq of the first message of the account that waits for the other one.
    pub first_waiting: Option<u64>,
    /// The seq of the last message that is not hidden.
    pub last_shown: Option<u64>,
}

/// Finds the seq up to which another account has acknowledged all messages of an account in their conversation.
pub(super) fn delivered_seq(
    state: &Connection,
    (conversation_id, account_id, peer_id): (u64, u64, u64),
    newest: Newest,
) -> Result<u64, StoreError> {
    let id = integer(conversation_id);
    let last = match newest.last_shown {
        Some(last) => Some(last),
        None => state
            .prepare_cached(
                "SELECT seq FROM conversation_messages WHERE conversation_id = ?1
                 ORDER BY seq DESC LIMIT 1",
            )?
            .query_row([id], |row| row.get(0))
            .optional()?,
    };
    let waiting = match first_waiting(state, (id, integer(account_id)), integer(peer_id))? {
        Some(seq) => Some(seq),
        None => newest.first_waiting,
    };
    Ok(match waiting {
        Some(first) => first.saturating_sub(1),
        // Of messages that were removed by their age none waits.
        None => match last {
            Some(last) => last,
            None => retention::first_seq(state, conversation_id)? - 1,
        },
    })
}

/// Finds the first indexed message of the account in a conversation that waits for the other one. All messages before
/// the first one that waits for that account, of whomever, are delivered.
fn first_waiting(
    state: &Connection,
    of: (i64, i64),
    peer_id: i64,
) -> Result<Option<u64>, StoreError> {
    let oldest: Option<i64> = state
        .prepare_cached("SELECT min(lsn) FROM waiting_messages WHERE recipient_id = ?1")?
        .query_row([peer_id], |row| row.get(0))?;
    let Some(oldest) = oldest else {
        return Ok(None);
    };
    let Some(from) = SHOWN.first_after(state, of, oldest - 1)? else {
        return Ok(None);
    };
    let mut select = state.prepare_cached(
        "SELECT i.seq, m.sender_id = ?2 AND m.delivered = 0
         FROM conversation_messages AS i CROSS JOIN messages AS m ON m.lsn = i.lsn
         WHERE i.conversation_id = ?1 AND i.seq >= ?3 ORDER BY i.seq LIMIT ?4",
    )?;
    let mut rows = select.query(params![of.0, of.1, from, LOOK_MAX])?;
    let (mut looked, mut next) = (0, 0);
    while let Some(row) = rows.next()? {
        let seq: u64 = row.get(0)?;
        if row.get(1)? {
            return Ok(Some(seq));
        }
        (looked, next) = (looked + 1, seq + 1);
    }
    Ok((looked == LOOK_MAX).then_some(next))
}
