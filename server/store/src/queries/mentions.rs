//! Queries of mentions: the messages that mention an account, and their number in a conversation.

use std::collections::{BTreeMap, BinaryHeap};

use rusqlite::{CachedStatement, Connection, OptionalExtension as _, params};
use tercet_types::limits::MENTIONS_COUNTED_MAX;

use super::{
    super::StoreError,
    Page, PageLimit, Query, integer,
    rooms::{find, room_at},
};
use crate::{event::RoomMessageRow, mentions::MentionKind, rooms::Act};

/// The condition that a row `n` of the mentions is one for account `?1`, which is in the room: of a message since it joined,
/// by another account that it does not block.
macro_rules! is_for_reader {
    () => {
        "n.sender_id <> ?1
         AND n.seq > (SELECT joined_seq FROM members
                      WHERE conversation_id = n.conversation_id AND account_id = ?1)
         AND NOT EXISTS (SELECT 1 FROM blocks WHERE blocker_id = ?1 AND blocked_id = n.sender_id)"
    };
}

/// Finds the mentions of an account in messages.
pub(super) struct Mentioning<'a> {
    account_id: i64,
    /// `None` when no message mentions it or all members of a room.
    statements: Option<[CachedStatement<'a>; 2]>,
}

impl<'a> Mentioning<'a> {
    pub fn of(state: &'a Connection, account_id: u64) -> Result<Mentioning<'a>, StoreError> {
        let account_id = integer(account_id);
        let are_there: bool = state
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM mentions WHERE account_id IN (0, ?1))")?
            .query_row([account_id], |row| row.get(0))?;
        let statements = match are_there {
            false => None,
            true => Some([
                state.prepare_cached(concat!(
                    "SELECT EXISTS (
                         SELECT 1 FROM mentions AS n
                         WHERE n.account_id IN (0, ?1) AND n.conversation_id = ?2 AND n.seq = ?3 AND ",
                    is_for_reader!(),
                    ")"
                ))?,
                state.prepare_cached(concat!(
                    "SELECT count(*) FROM (
                         SELECT 1 FROM mentions AS n
                         WHERE n.account_id IN (0, ?1) AND n.conversation_id = ?2 AND n.seq > ?3 AND ",
                    is_for_reader!(),
                    " LIMIT ?4)"
                ))?,
            ]),
        };
        Ok(Mentioning {
            account_id,
            statements,
        })
    }

    /// Tells whether a message of a room mentions the account.
    pub fn has(&mut self, room_id: u64, seq: u64) -> Result<bool, StoreError> {
        let Some([has, _]) = &mut self.statements else {
            return Ok(false);
        };
        let of_message = params![self.account_id, integer(room_id), integer(seq)];
        Ok(has.query_row(of_message, |row| row.get(0))?)
    }

    /// Counts the messages of a room after a seq that mention the account, as far as they are counted.
    pub fn count(&mut self, room_id: u64, after: u64) -> Result<u64, StoreError> {
        let Some([_, count]) = &mut self.statements else {
            return Ok(0);
        };
        let of_room = params![
            self.account_id,
            integer(room_id),
            integer(after),
            MENTIONS_COUNTED_MAX
        ];
        Ok(count.query_row(of_room, |row| row.get(0))?)
    }
}

/// The messages that mention an account, in the rooms that it is in, the newest first.
#[derive(Clone, Debug)]
pub struct Mentions {
    pub account_id: u64,
    /// Only messages below this LSN.
    pub before: u64,
    pub limit: PageLimit,
}

/// A message that mentions an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MentionRow {
    pub kind: MentionKind,
    pub message: RoomMessageRow,
}

impl Query for Mentions {
    type Rows = Page<MentionRow>;

    fn read(&self, state: &Connection) -> Result<Page<MentionRow>, StoreError> {
        // All statements see one state.
        let alone = state.is_autocommit();
        let transaction = alone.then(|| state.unchecked_transaction()).transpose()?;
        let (found, more) = self.find(state)?;
        let lsns: Vec<u64> = found.keys().copied().collect();
        let messages = room_at(state, self.account_id, &format!("{lsns:?}"), false)?;
        drop(transaction);
        let row = |message: RoomMessageRow| {
            Ok(MentionRow {
                kind: found[&message.lsn],
                message,
            })
        };
        let rows = messages.into_iter().map(row);
        let mut page = Page::fill(rows, self.limit, |row| row.message.body.len())?;
        page.more |= more;
        Ok(page)
    }
}

impl Mentions {
    /// Finds the newest mentions by their LSNs, and whether there are more: the newest one of each room, and then the next
    /// of the room whose turn it was.
    fn find(&self, state: &Connection) -> Result<(BTreeMap<u64, MentionKind>, bool), StoreError> {
        let account_id = integer(self.account_id);
        let mut newest = state.prepare_cached(concat!(
            "SELECT n.lsn, n.seq, n.kind FROM mentions AS n
             WHERE n.account_id = ?2 AND n.conversation_id = ?3 AND n.seq < ?4 AND n.lsn < ?5 AND ",
            is_for_reader!(),
            " ORDER BY n.seq DESC LIMIT 1"
        ))?;
        let before = integer(self.before);
        let mut next = |of: i64, room_id: i64, seq: i64| -> Result<_, StoreError> {
            let at = params![account_id, of, room_id, seq, before];
            let found: Option<(u64, i64, i64)> = newest
                .query_row(at, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                .optional()?;
            Ok(found.map(|(lsn, seq, kind)| (lsn, kind, of, room_id, seq)))
        };
        let rooms: Vec<i64> = state
            .prepare_cached(
                "SELECT conversation_id FROM members INDEXED BY members_by_account
                 WHERE account_id = ?1",
            )?
            .query_map([account_id], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let mut heads = BinaryHeap::new();
        for room_id in rooms {
            heads.extend(next(account_id, room_id, i64::MAX)?);
            heads.extend(next(0, room_id, i64::MAX)?);
        }
        let mut found = BTreeMap::new();
        while found.len() < self.limit.rows {
            let Some((lsn, kind, of, room_id, seq)) = heads.pop() else {
                break;
            };
            let kind = MentionKind::of_number(kind)
                .ok_or_else(|| StoreError::Corrupt(format!("a mention of kind {kind}")))?;
            found.insert(lsn, kind);
            heads.extend(next(of, room_id, seq)?);
        }
        Ok((found, !heads.is_empty()))
    }
}

/// The members of a room that are among the connected accounts, ascending, if they are no more than `limit`.
#[derive(Clone, Debug)]
pub struct ConnectedMembers {
    /// The account that asks, which must be a member.
    pub account_id: u64,
    /// The name of the room, without the `#`.
    pub room: String,
    /// Ascending.
    pub connected: Vec<u64>,
    pub limit: usize,
}

impl Query for ConnectedMembers {
    /// `None` when they are more.
    type Rows = Option<Vec<u64>>;

    fn read(&self, state: &Connection) -> Result<Option<Vec<u64>>, StoreError> {
        let Ok(room_id) = find(state, &self.room, self.account_id, Act::Read)? else {
            return Ok(Some(Vec::new()));
        };
        let mut select = state.prepare_cached(
            "SELECT account_id FROM members WHERE conversation_id = ?1 ORDER BY account_id",
        )?;
        let mut rows = select.query([integer(room_id)])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let id: u64 = row.get(0)?;
            if self.connected.binary_search(&id).is_ok() {
                if found.len() == self.limit {
                    return Ok(None);
                }
                found.push(id);
            }
        }
        Ok(Some(found))
    }
}
