//! The query of the earlier texts of a message.

use rusqlite::{Connection, params};

use super::{FoundRow, MessageAt, Query, integer, rooms};
use crate::{
    StoreError,
    rooms::{Act, Denied},
};

/// The earlier texts of a message of a room, for a member.
#[derive(Clone, Debug)]
pub struct Edits {
    pub account_id: u64,
    /// The name of the room, without the `#`.
    pub room: String,
    pub seq: u64,
}

/// A text that a message had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierText {
    pub body: String,
    /// Milliseconds since the Unix epoch: when the text was written, and when it was replaced.
    pub written_at_ms: i64,
    pub replaced_at_ms: i64,
}

impl Query for Edits {
    /// The texts, the oldest first; `None` when the room has no such message.
    type Rows = Result<Option<Vec<EarlierText>>, Denied>;

    const SCANS_UNINDEXED: bool = true;

    fn read(&self, state: &Connection) -> Result<Self::Rows, StoreError> {
        // All statements see one state.
        let alone = state.is_autocommit();
        let transaction = alone.then(|| state.unchecked_transaction()).transpose()?;
        let room_id = match rooms::find(state, &self.room, self.account_id, Act::Read)? {
            Ok(id) => id,
            Err(denied) => return Ok(Err(denied)),
        };
        let message = MessageAt {
            account_id: self.account_id,
            conversation_id: room_id,
            seq: self.seq,
        };
        let Some(FoundRow::Room(message)) = message.read(state)? else {
            return Ok(Ok(None));
        };
        let mut select = state.prepare_cached(
            "SELECT body, written_at_ms, replaced_at_ms FROM earlier_texts
             WHERE message_lsn = ?1 ORDER BY replaced_lsn",
        )?;
        let texts = select.query_map(params![integer(message.lsn)], |row| {
            Ok(EarlierText {
                body: row.get(0)?,
                written_at_ms: row.get(1)?,
                replaced_at_ms: row.get(2)?,
            })
        })?;
        let texts = texts.collect::<Result<_, _>>()?;
        drop(transaction);
        Ok(Ok(Some(texts)))
    }
}
