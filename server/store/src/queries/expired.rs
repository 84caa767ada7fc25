//! The queries about retention: what it is, and which messages are older.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Query, integer};
use crate::{
    StoreError,
    retention::{self, CLUSTER},
};

/// The retention of the cluster, milliseconds; `None`: messages are kept for ever.
#[derive(Clone, Debug)]
pub struct ClusterRetention;

impl Query for ClusterRetention {
    type Rows = Option<i64>;

    fn read(&self, state: &Connection) -> Result<Option<i64>, StoreError> {
        retention::read(state, CLUSTER)
    }
}

/// The next retention by which messages are too old at a time: that of the cluster, then those of rooms by their ids.
#[derive(Clone, Debug)]
pub struct Expired {
    /// Milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// Look at this one first: 0, or the id of a room.
    pub from: u64,
}

/// The result of [`Expired`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Messages are too old by the retention of this room, or of the cluster (0).
    By(u64),
    /// There was none among many; go on here.
    From(u64),
    Nothing,
}

/// The number of retentions that one query looks at.
const VISITED_MAX: u64 = 500;

impl Query for Expired {
    type Rows = Due;

    const SCANS_UNINDEXED: bool = true;

    fn read(&self, state: &Connection) -> Result<Due, StoreError> {
        let mut select = state.prepare_cached(
            "SELECT conversation_id, keep_ms FROM retention WHERE conversation_id >= ?1
             ORDER BY conversation_id LIMIT ?2",
        )?;
        let mut rows = select.query(params![integer(self.from), VISITED_MAX])?;
        let mut visited = 0;
        let mut last = self.from;
        while let Some(row) = rows.next()? {
            let (id, keep_ms): (u64, i64) = (row.get(0)?, row.get(1)?);
            let oldest_ms = oldest(state, id)?;
            if oldest_ms.is_some_and(|oldest| oldest < self.now_ms.saturating_sub(keep_ms)) {
                return Ok(Due::By(id));
            }
            visited += 1;
            last = id;
        }
        Ok(match visited < VISITED_MAX {
            true => Due::Nothing,
            false => Due::From(last + 1),
        })
    }
}

/// Gives the time of the oldest message of a room, or of all.
fn oldest(state: &Connection, id: u64) -> Result<Option<i64>, StoreError> {
    if id == CLUSTER {
        return Ok(state
            .prepare_cached(
                "SELECT min(sent_at_ms) FROM (
                     SELECT * FROM (SELECT sent_at_ms FROM messages ORDER BY lsn LIMIT 1)
                     UNION ALL
                     SELECT * FROM (SELECT sent_at_ms FROM room_messages ORDER BY lsn LIMIT 1))",
            )?
            .query_row([], |row| row.get(0))?);
    }
    let indexed = state
        .prepare_cached(
            "SELECT m.sent_at_ms FROM room_index AS i CROSS JOIN room_messages AS m ON m.lsn = i.lsn
             WHERE i.room_id = ?1 ORDER BY i.seq LIMIT 1",
        )?
        .query_row([id], |row| row.get(0))
        .optional()?;
    match indexed {
        Some(oldest) => Ok(Some(oldest)),
        None => Ok(state
            .prepare_cached(
                "SELECT sent_at_ms FROM room_messages NOT INDEXED
                 WHERE lsn > (SELECT through_lsn FROM indexed) AND room_id = ?1
                 ORDER BY lsn LIMIT 1",
            )?
            .query_row([id], |row| row.get(0))
            .optional()?),
    }
}
