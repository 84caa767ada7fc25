//! Queries of who may see that an account is connected, and that it is typing: accounts that share a room that is no feed, or a direct
//! conversation with it, where neither blocks the other.

use std::collections::BTreeSet;

use rusqlite::{CachedStatement, Connection, OptionalExtension as _, params};
use tercet_types::{
    limits::{PRESENCE_AUDIENCE_MAX, SMALL_ROOM_MEMBERS_MAX},
    name::ROOM_MARK,
};

use super::{
    super::{StoreError, name_key},
    Query, conversation_of, integer, limit_of, peer_by_name,
    rooms::find,
};
use crate::rooms::{Act, Denied};

/// Members and direct conversations that one read goes through.
const SCANNED_MAX: usize = 5_000;

/// Tells whether one of two accounts blocks the other.
struct Blocks<'a>(CachedStatement<'a>);

impl<'a> Blocks<'a> {
    fn of(state: &'a Connection) -> Result<Blocks<'a>, StoreError> {
        Ok(Blocks(state.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM blocks WHERE blocker_id = ?1 AND blocked_id = ?2)
                 OR EXISTS (SELECT 1 FROM blocks WHERE blocker_id = ?2 AND blocked_id = ?1)",
        )?))
    }

    fn are_between(&mut self, one: u64, other: u64) -> Result<bool, StoreError> {
        Ok(self
            .0
            .query_row([one, other].map(integer), |row| row.get(0))?)
    }
}

/// Those of the accounts `among` that are told when the presence of an account changes: at most
/// [`PRESENCE_AUDIENCE_MAX`], of direct conversations first and then of small rooms.
#[derive(Clone, Debug)]
pub struct PresenceAudience {
    pub account_id: u64,
    /// Ascending.
    pub among: Vec<u64>,
}

impl Query for PresenceAudience {
    type Rows = Vec<u64>;

    fn read(&self, state: &Connection) -> Result<Vec<u64>, StoreError> {
        let id = integer(self.account_id);
        let mut left = SCANNED_MAX;
        let mut found = BTreeSet::new();
        let mut blocks = Blocks::of(state)?;
        let mut take = |ids: Vec<u64>, found: &mut BTreeSet<u64>| -> Result<(), StoreError> {
            for other in ids {
                if other != self.account_id
                    && found.len() < PRESENCE_AUDIENCE_MAX
                    && self.among.binary_search(&other).is_ok()
                    && !found.contains(&other)
                    && !blocks.are_between(self.account_id, other)?
                {
                    found.insert(other);
                }
            }
            Ok(())
        };
        let peers: Vec<u64> = state
            .prepare_cached(
                "SELECT high_account FROM conversations WHERE low_account = ?1
                 UNION ALL
                 SELECT low_account FROM conversations INDEXED BY conversations_by_high
                 WHERE high_account = ?1 LIMIT ?2",
            )?
            .query_map(params![id, limit_of(left)], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        left -= peers.len();
        take(peers, &mut found)?;
        let rooms: Vec<i64> = state
            .prepare_cached(
                "SELECT conversation_id FROM members INDEXED BY members_by_account
                 WHERE account_id = ?1",
            )?
            .query_map([id], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for room in rooms {
            let members = small_room(state, room)?;
            left = left.saturating_sub(members.len().max(1));
            if left == 0 {
                break;
            }
            take(members, &mut found)?;
        }
        Ok(found.into_iter().collect())
    }
}

/// Gives the members of a room; none of one that is not small, and none of a feed, whose followers do not see each other.
fn small_room(state: &Connection, room_id: i64) -> Result<Vec<u64>, StoreError> {
    let mut select = state.prepare_cached(
        "SELECT account_id FROM members
         WHERE conversation_id = ?1 AND NOT (SELECT is_feed FROM rooms WHERE id = ?1)
         ORDER BY account_id LIMIT ?2",
    )?;
    let limit = limit_of(SMALL_ROOM_MEMBERS_MAX + 1);
    let members: Vec<u64> = select
        .query_map(params![room_id, limit], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    match members.len() > SMALL_ROOM_MEMBERS_MAX {
        true => Ok(Vec::new()),
        false => Ok(members),
    }
}

/// Accounts whose presence another one asks for.
#[derive(Clone, Debug)]
pub struct PresenceOf {
    pub account_id: u64,
    pub names: Vec<String>,
}

/// An account whose presence is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceRow {
    pub account_id: u64,
    pub username: String,
    /// Whether the account that asks may see it.
    pub is_shown: bool,
}

impl Query for PresenceOf {
    /// The accounts in the order of the names; or the first name that no account has.
    type Rows = Result<Vec<PresenceRow>, String>;

    fn read(&self, state: &Connection) -> Result<Self::Rows, StoreError> {
        let mut account = state.prepare_cached(
            "SELECT id, username FROM users WHERE username_key = ?1 AND deleted_at_lsn IS NULL",
        )?;
        let mut share_room = state.prepare_cached(
            "SELECT EXISTS (
                 SELECT 1 FROM members AS a INDEXED BY members_by_account
                     CROSS JOIN members AS b ON b.conversation_id = a.conversation_id
                     CROSS JOIN rooms AS r ON r.id = a.conversation_id
                 WHERE a.account_id = ?1 AND b.account_id = ?2 AND NOT r.is_feed)",
        )?;
        let mut blocks = Blocks::of(state)?;
        let me = self.account_id;
        let mut rows = Vec::with_capacity(self.names.len());
        for name in &self.names {
            let found: Option<(u64, String)> = account
                .query_row([name_key(name)], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let Some((account_id, username)) = found else {
                return Ok(Err(name.clone()));
            };
            let shares = account_id == me
                || conversation_of(state, me, account_id)?.is_some()
                || share_room.query_row([me, account_id].map(integer), |row| row.get(0))?;
            rows.push(PresenceRow {
                account_id,
                username,
                is_shown: shares && !blocks.are_between(me, account_id)?,
            });
        }
        Ok(Ok(rows))
    }
}

/// The accounts that are told that an account is typing in a conversation.
#[derive(Clone, Debug)]
pub struct TypingAudience {
    pub account_id: u64,
    /// The name of a room with its `#`, or of an account.
    pub conversation: String,
}

/// The reason why nobody is told that an account is typing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoTyping {
    Room(Denied),
    UnknownAccount,
}

impl Query for TypingAudience {
    /// The ids of the accounts, ascending: the members of a small room, or the other account.
    type Rows = Result<Vec<u64>, NoTyping>;

    fn read(&self, state: &Connection) -> Result<Self::Rows, StoreError> {
        let me = self.account_id;
        let ids = match self.conversation.strip_prefix(ROOM_MARK) {
            Some(room) => match find(state, room, me, Act::Send)? {
                Ok(room_id) => small_room(state, integer(room_id))?,
                Err(denied) => return Ok(Err(NoTyping::Room(denied))),
            },
            None => match peer_by_name(state, me, &self.conversation)? {
                None => return Ok(Err(NoTyping::UnknownAccount)),
                Some(peer) => match conversation_of(state, me, peer)? {
                    None => Vec::new(),
                    Some(_) => vec![peer],
                },
            },
        };
        let mut blocks = Blocks::of(state)?;
        let mut told = Vec::with_capacity(ids.len());
        for id in ids {
            if id != me && !blocks.are_between(me, id)? {
                told.push(id);
            }
        }
        Ok(Ok(told))
    }
}
