//! The parts of queries that a search needs: what an account may read, and the messages at places that an index gave.

use rusqlite::Connection;

use super::{AppliedLsn, Query as _, integer, messages, rooms};
use crate::{
    StoreError,
    event::{MessageRow, RoomMessageRow},
    rooms::{Act, Denied},
};

/// A message of any conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoundRow {
    Direct(MessageRow),
    Room(RoomMessageRow),
}

impl FoundRow {
    #[must_use]
    pub fn lsn(&self) -> u64 {
        match self {
            FoundRow::Direct(row) => row.lsn,
            FoundRow::Room(row) => row.lsn,
        }
    }

    #[must_use]
    pub fn body(&self) -> &str {
        match self {
            FoundRow::Direct(row) => &row.body,
            FoundRow::Room(row) => &row.body,
        }
    }
}

/// Reads the messages at these LSNs that an account may read now, descending. The rule is that of the histories.
pub(crate) fn readable_at(
    state: &Connection,
    account_id: u64,
    lsns: &[u64],
) -> Result<Vec<FoundRow>, StoreError> {
    let at = format!("{lsns:?}");
    let direct = messages::readable_at(state, account_id, &at)?;
    let in_rooms = rooms::readable_at(state, account_id, &at)?;
    let direct = direct.into_iter().map(FoundRow::Direct);
    let mut all: Vec<FoundRow> = direct
        .chain(in_rooms.into_iter().map(FoundRow::Room))
        .collect();
    all.sort_unstable_by_key(|row| std::cmp::Reverse(row.lsn()));
    Ok(all)
}

/// Finds the id of a room that an account may read.
pub(crate) fn readable_room(
    state: &Connection,
    room: &str,
    account_id: u64,
) -> Result<Result<u64, Denied>, StoreError> {
    rooms::find(state, room, account_id, Act::Read)
}

/// Lists the ids of the rooms of an account.
pub(crate) fn rooms_of(state: &Connection, account_id: u64) -> Result<Vec<u64>, StoreError> {
    let mut select = state.prepare_cached(
        "SELECT conversation_id FROM members INDEXED BY members_by_account WHERE account_id = ?1
         ORDER BY conversation_id",
    )?;
    let rows = select.query_map([integer(account_id)], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Reads the LSN of the last entry that was applied.
pub(crate) fn applied_lsn(state: &Connection) -> Result<u64, StoreError> {
    AppliedLsn.read(state)
}
