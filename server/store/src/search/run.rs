//! One search: what the index finds is compared with the messages as they are now, and with what the account may read
//! now.

use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    query::{Place, SearchQuery},
    text_index::{Text, TextIndex},
};
use crate::{
    StoreError, name_key,
    queries::{self, FoundRow},
    rooms::Denied,
};

/// Messages that one search compares; then it gives what it has found, and where to go on.
const COMPARED_MAX: usize = 5_000;
/// The same by time.
const TIME_MAX: Duration = Duration::from_secs(1);
/// Messages that are compared at once.
const PIECE: usize = 250;

/// A search of what an account may read, the newest messages first.
#[derive(Clone, Debug)]
pub struct Search {
    pub account_id: u64,
    pub query: SearchQuery,
    /// Only messages below this LSN.
    pub before: u64,
    pub limit: usize,
}

/// A page of a search.
#[derive(Clone, Debug)]
pub struct SearchPage {
    /// Descending by LSN.
    pub hits: Vec<Hit>,
    /// The LSN below which further messages may match; `None` when there are none. A page that is not full can have one,
    /// because a search compares a bounded number of messages.
    pub next: Option<u64>,
    /// The LSN through which messages were looked at.
    pub through: u64,
    /// Whether that is all that was applied when the search began.
    pub is_complete: bool,
}

/// A message that matches.
#[derive(Clone, Debug)]
pub struct Hit {
    pub row: FoundRow,
    /// The places of the words in the text, in bytes: beginnings and ends, ascending.
    pub spans: Vec<(usize, usize)>,
}

/// Why there is nothing to search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotSearched {
    /// No account has the name after `from:`.
    UnknownAccount(String),
    /// The account has no conversation with one of the name after `in:`.
    UnknownPeer,
    /// The account may not read the room after `in:`.
    Room(Denied, String),
}

/// The messages that are searched, as the index has them.
struct Scope {
    what: String,
    /// The LSN from which on they are searched, and the one below which.
    from: u64,
    before: u64,
}

/// Runs a search on a connection to the state, in one transaction.
pub(super) fn run(
    search: &Search,
    state: &Connection,
    index: &TextIndex,
    target: u64,
) -> Result<Result<SearchPage, NotSearched>, StoreError> {
    let transaction = state.unchecked_transaction()?;
    let scope = match scope(search, state, index.through)? {
        Ok(scope) => scope,
        Err(why) => return Ok(Err(why)),
    };
    let started = Instant::now();
    let mut page = SearchPage {
        hits: Vec::new(),
        next: None,
        through: index.through,
        is_complete: index.through >= target,
    };
    let mut before = scope.before;
    let mut compared = 0;
    'pieces: loop {
        let lsns = index.candidates(&scope.what, scope.from, before, PIECE)?;
        let Some(&last) = lsns.last() else {
            break;
        };
        let marked = with_parts(state, &search.query, &lsns)?;
        for row in queries::readable_at(state, search.account_id, &marked)? {
            let Some(spans) = search.query.find(row.body()) else {
                continue;
            };
            if page.hits.len() == search.limit {
                page.next = page.hits.last().map(|hit| hit.row.lsn());
                break 'pieces;
            }
            page.hits.push(Hit { row, spans });
        }
        before = last;
        compared += lsns.len();
        if compared >= COMPARED_MAX || started.elapsed() >= TIME_MAX {
            page.next = Some(before);
            break;
        }
    }
    drop(transaction);
    Ok(Ok(page))
}

/// The messages at LSNs in a list in JSON that have a reaction.
const WITH_REACTION: &str = "SELECT j.value FROM json_each(?1) AS j
     WHERE EXISTS (SELECT 1 FROM reactions WHERE message_lsn = j.value)";

/// The messages at LSNs in a list in JSON that are pinned.
const WITH_PIN: &str = "SELECT j.value FROM json_each(?1) AS j
         CROSS JOIN messages AS m NOT INDEXED ON m.lsn = j.value
         CROSS JOIN pins AS p ON p.conversation_id = m.conversation_id AND p.seq = m.seq
     UNION ALL
     SELECT j.value FROM json_each(?1) AS j
         CROSS JOIN room_messages AS m NOT INDEXED ON m.lsn = j.value
         CROSS JOIN pins AS p ON p.conversation_id = m.room_id AND p.seq = m.seq";

/// Gives those of some messages that have what a query asks for beside their texts. The index knows nothing of it.
fn with_parts(
    state: &Connection,
    query: &SearchQuery,
    lsns: &[u64],
) -> Result<Vec<u64>, StoreError> {
    let mut lsns = lsns.to_vec();
    for (is_wanted, sql) in [
        (query.has_reaction, WITH_REACTION),
        (query.has_pin, WITH_PIN),
    ] {
        if is_wanted {
            let mut select = state.prepare_cached(sql)?;
            let found = select.query_map([format!("{lsns:?}")], |row| row.get(0))?;
            lsns = found.collect::<Result<_, _>>()?;
        }
    }
    Ok(lsns)
}

/// Finds out which messages are searched.
fn scope(
    search: &Search,
    state: &Connection,
    through: u64,
) -> Result<Result<Scope, NotSearched>, StoreError> {
    let (me, query) = (search.account_id, &search.query);
    let mut what = query.for_index();
    let place = match &query.place {
        Some(Place::Room(room)) => match queries::readable_room(state, room, me)? {
            Ok(id) => vec![format!("c{id}")],
            Err(denied) => return Ok(Err(NotSearched::Room(denied, room.clone()))),
        },
        Some(Place::Account(name)) => match queries::conversation_with(state, me, name)? {
            Some(id) => vec![format!("c{id}")],
            None => return Ok(Err(NotSearched::UnknownPeer)),
        },
        None => {
            let rooms = queries::rooms_of(state, me)?;
            let rooms = rooms.into_iter().map(|id| format!("c{id}"));
            std::iter::once(format!("a{me}")).chain(rooms).collect()
        }
    };
    what.push(format!("marks : ({})", place.join(" OR ")));
    if let Some(name) = &query.from {
        match account_named(state, name)? {
            Some(id) => what.push(format!("marks : f{id}")),
            None => return Ok(Err(NotSearched::UnknownAccount(name.clone()))),
        }
    }
    let first_at = |ms: Option<i64>| {
        ms.map(|ms| queries::first_lsn_at(state, ms, through))
            .transpose()
    };
    Ok(Ok(Scope {
        what: what.join(" AND "),
        from: first_at(query.after_ms)?.unwrap_or(0),
        before: first_at(query.before_ms)?
            .unwrap_or(u64::MAX)
            .min(search.before),
    }))
}

/// Finds the live account of a name, else the latest deleted one.
fn account_named(state: &Connection, name: &str) -> Result<Option<u64>, StoreError> {
    let select = "SELECT id FROM users WHERE username_key = ?1 AND deleted_at_lsn IS NULL
                  UNION ALL
                  SELECT max(id) FROM users INDEXED BY users_deleted
                  WHERE username_key = ?1 AND deleted_at_lsn IS NOT NULL
                  LIMIT 1";
    let found = state
        .prepare_cached(select)?
        .query_row([name_key(name)], |row| row.get::<_, Option<u64>>(0))
        .optional()?;
    Ok(found.flatten())
}

/// Lists the conversations whose oldest messages were last removed by an entry after an LSN, up to and including another
/// one, each with the LSN of its newest removed message.
pub(super) fn removed_between(
    state: &Connection,
    after: u64,
    through: u64,
) -> Result<Vec<(u64, u64)>, StoreError> {
    let mut select = state.prepare_cached(
        "SELECT conversation_id, removed_lsn FROM history_starts INDEXED BY history_starts_by_change
         WHERE changed_lsn > ?1 AND changed_lsn <= ?2 ORDER BY changed_lsn, conversation_id",
    )?;
    let rows = select.query_map([after, through], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Reads the texts of messages after an LSN, up to and including another one.
pub(super) fn texts_between(
    state: &Connection,
    after: u64,
    through: u64,
) -> Result<Vec<Text>, StoreError> {
    let mut select = state.prepare_cached(
        "SELECT lsn, conversation_id, sender_id, recipient_id, body FROM messages
         WHERE lsn > ?1 AND lsn <= ?2
         UNION ALL
         SELECT lsn, room_id, sender_id, NULL, body FROM room_messages
         WHERE lsn > ?1 AND lsn <= ?2 AND kind = 1
         UNION ALL
         SELECT m.lsn, m.room_id, m.sender_id, NULL, m.body
         FROM edits AS e INDEXED BY edits_by_change
             CROSS JOIN room_messages AS m ON m.lsn = e.message_lsn
         WHERE e.changed_lsn > ?1 AND e.changed_lsn <= ?2 AND m.lsn <= ?1
         UNION ALL
         SELECT m.lsn, m.conversation_id, m.sender_id, m.recipient_id, m.body
         FROM edits AS e INDEXED BY edits_by_change
             CROSS JOIN messages AS m ON m.lsn = e.message_lsn
         WHERE e.changed_lsn > ?1 AND e.changed_lsn <= ?2 AND m.lsn <= ?1",
    )?;
    let rows = select.query_map(params![after, through], |row| {
        Ok(Text {
            lsn: row.get(0)?,
            conversation_id: row.get(1)?,
            sender_id: row.get(2)?,
            recipient_id: row.get(3)?,
            body: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
