//! The query of the events that a subscription delivers from the store.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    super::StoreError,
    Inbox, PageLimit, Query, integer, limit_of,
    rooms::{ROOM_MESSAGES_AT, room_messages},
};
use crate::{
    changes::{self, ChangeRow},
    event::{MessageRow, RoomMessageRow},
};

/// A stored event for a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BacklogRow {
    Direct(MessageRow),
    Room(RoomMessageRow),
    Change(ChangeRow),
}

impl BacklogRow {
    fn lsn(&self) -> u64 {
        match self {
            BacklogRow::Direct(row) => row.lsn,
            BacklogRow::Room(row) => row.lsn,
            BacklogRow::Change(row) => row.lsn,
        }
    }
}

/// All events that a subscription of an account delivers, ascending by LSN, for one that resumes: messages to the
/// account, messages of its rooms since it joined them, and the changes that concern it. As [`Inbox`], the read visits
/// each conversation.
#[derive(Clone, Debug)]
pub struct Backlog {
    pub account_id: u64,
    /// The LSN that the page comes after.
    pub after: u64,
    /// Of direct messages, of messages of rooms, and of changes.
    pub limit: PageLimit,
}

/// A page of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BacklogPage {
    pub rows: Vec<BacklogRow>,
    /// Whether more rows follow.
    pub more: bool,
    /// The LSN of the newest change that is not stored any more; 0 when there is none.
    pub forgotten: u64,
}

impl Query for Backlog {
    type Rows = BacklogPage;

    const SCANS_UNINDEXED: bool = true;

    fn read(&self, state: &Connection) -> Result<BacklogPage, StoreError> {
        // All statements see one state.
        let alone = state.is_autocommit();
        let transaction = alone.then(|| state.unchecked_transaction()).transpose()?;
        let direct = Inbox {
            account_id: self.account_id,
            after: self.after,
            limit: self.limit,
        };
        let direct = direct.read(state)?;
        let joined = rooms_of(state, self.account_id)?;
        let lsns = first_in_rooms(state, &joined, self.after, self.limit.rows)?;
        let rooms = room_messages(
            state,
            self.account_id,
            ROOM_MESSAGES_AT,
            [format!("{lsns:?}")],
            self.limit,
        )?;
        let ids = joined.keys().copied().chain([self.account_id]);
        let changes = changes::after(state, ids, self.after, self.limit.rows)?;
        let forgotten = changes::forgotten(state)?;
        drop(transaction);

        // A page that was cut says nothing of the messages behind its end.
        let direct_end = direct.rows.last().filter(|_| direct.more);
        let room_end = rooms.rows.last().filter(|_| rooms.more);
        let change_end = changes.rows.last().filter(|_| changes.more);
        let end = [
            direct_end.map(|row| row.lsn),
            room_end.map(|row| row.lsn),
            change_end.map(|row| row.lsn),
        ];
        let end = end.into_iter().flatten().min().unwrap_or(u64::MAX);
        let direct = direct.rows.into_iter().map(BacklogRow::Direct);
        let mut found: Vec<BacklogRow> = direct
            .chain(rooms.rows.into_iter().map(BacklogRow::Room))
            .chain(changes.rows.into_iter().map(BacklogRow::Change))
            .filter(|row| row.lsn() <= end)
            .collect();
        found.sort_unstable_by_key(BacklogRow::lsn);
        Ok(BacklogPage {
            rows: found,
            more: end < u64::MAX,
            forgotten,
        })
    }
}

/// Gives the rooms of an account, each with the seq at which it joined.
fn rooms_of(state: &Connection, account_id: u64) -> Result<BTreeMap<u64, u64>, StoreError> {
    let mut memberships = state.prepare_cached(
        "SELECT conversation_id, joined_seq FROM members INDEXED BY members_by_account
         WHERE account_id = ?1 ORDER BY conversation_id",
    )?;
    let joined = memberships
        .query_map([integer(account_id)], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    Ok(joined)
}

/// Finds the lowest LSNs above `after` of messages in rooms, since the seq of each: one more than `limit`, if there are
/// so many.
fn first_in_rooms(
    state: &Connection,
    joined: &BTreeMap<u64, u64>,
    after: u64,
    limit: usize,
) -> Result<Vec<u64>, StoreError> {
    let limit = limit.saturating_add(1);
    let mut select = state.prepare_cached(
        "SELECT lsn FROM room_index WHERE room_id = ?1 AND seq >= ?2 ORDER BY seq LIMIT ?3",
    )?;
    let mut first = Vec::new();
    for (&room_id, &joined_seq) in joined {
        let Some(seq) = first_seq_after(state, room_id, joined_seq, after)? else {
            continue;
        };
        let found = select.query_map(params![room_id, seq, limit_of(limit)], |row| row.get(0))?;
        first.extend(found.collect::<Result<Vec<u64>, _>>()?);
        if first.len() > 4 * limit {
            first.sort_unstable();
            first.truncate(limit);
        }
    }
    first.sort_unstable();
    first.truncate(limit);
    if joined.is_empty() || first.len() == limit {
        return Ok(first);
    }
    // Messages that are not indexed come after all indexed ones.
    let mut not_indexed = state.prepare_cached(
        "SELECT lsn, room_id, seq FROM room_messages NOT INDEXED
         WHERE lsn > (SELECT through_lsn FROM indexed) AND lsn > ?1 ORDER BY lsn",
    )?;
    let mut found = not_indexed.query([integer(after)])?;
    while let Some(row) = found.next()? {
        let (room_id, seq): (u64, u64) = (row.get(1)?, row.get(2)?);
        if joined.get(&room_id).is_some_and(|joined| seq >= *joined) {
            first.push(row.get(0)?);
        }
        if first.len() == limit {
            break;
        }
    }
    Ok(first)
}

/// Finds the first indexed seq of a room, from `from` on, whose LSN is above `after`. LSNs ascend with seqs, which have
/// no gaps, so it is found by halving.
pub(super) fn first_seq_after(
    state: &Connection,
    room_id: u64,
    from: u64,
    after: u64,
) -> Result<Option<u64>, StoreError> {
    let mut at =
        state.prepare_cached("SELECT lsn FROM room_index WHERE room_id = ?1 AND seq = ?2")?;
    let last: Option<(u64, u64)> = state
        .prepare_cached(
            "SELECT seq, lsn FROM room_index WHERE room_id = ?1 ORDER BY seq DESC LIMIT 1",
        )?
        .query_row([room_id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((last_seq, _)) = last.filter(|(seq, lsn)| *seq >= from && *lsn > after) else {
        return Ok(None);
    };
    // Earlier ones may have been removed by their age.
    let first: u64 = state
        .prepare_cached(
            "SELECT seq FROM room_index WHERE room_id = ?1 AND seq >= ?2 ORDER BY seq LIMIT 1",
        )?
        .query_row([room_id, from], |row| row.get(0))?;
    // The answer is in low..=high.
    let (mut low, mut high) = (first, last_seq);
    while low < high {
        let middle = low + (high - low) / 2;
        let lsn: u64 = at.query_row([room_id, middle], |row| row.get(0))?;
        match lsn > after {
            true => high = middle,
            false => low = middle + 1,
        }
    }
    Ok(Some(low))
}
