//! Queries of threads: a message and the messages that reply to it. Pages go by seqs, as those of whole conversations.

use rusqlite::{Connection, params};

use super::{
    Conversation, ConversationPage, Page, PageLimit, Query, RoomHistory, RoomPage, Step,
    conversation_of, integer, messages::direct_at, one_more, rooms,
};
use crate::{
    StoreError,
    event::{MessageRow, RoomMessageRow},
    hidden::is_shown,
    rooms::Denied,
};

/// A message of a direct conversation, and the messages that reply to it, as an account sees them.
#[derive(Clone, Debug)]
pub struct ConversationThread {
    /// The conversation, and the place and the limit of the page.
    pub of: Conversation,
    pub seq: u64,
}

impl Query for ConversationThread {
    /// `None` when there is no such peer.
    type Rows = Option<ConversationPage>;

    const SCANS_UNINDEXED: bool = true;

    fn read(&self, state: &Connection) -> Result<Option<ConversationPage>, StoreError> {
        // All statements see one state.
        let alone = state.is_autocommit();
        let transaction = alone.then(|| state.unchecked_transaction()).transpose()?;
        let Conversation {
            account_id, limit, ..
        } = self.of;
        let Some(peer_id) = self.of.peer_id(state)? else {
            return Ok(None);
        };
        let step = self.of.step(state, peer_id)?;
        let conversation_id = conversation_of(state, account_id, peer_id)?.map(integer);
        let messages = match conversation_id {
            None => Page::EMPTY,
            Some(id) => {
                let thread = (id, self.seq);
                let bytes = |row: &MessageRow| row.body.len();
                page(state, thread, (step, limit), bytes, |seqs, is_ascending| {
                    let lsns = direct_lsns(state, id, account_id, seqs)?;
                    direct_at(state, account_id, id, &lsns, is_ascending)
                })?
            }
        };
        drop(transaction);
        Ok(Some(ConversationPage {
            peer_id,
            step,
            messages,
        }))
    }
}

/// A message of a room, and the messages that reply to it, for a member.
#[derive(Clone, Debug)]
pub struct RoomThread {
    /// The room, and the place and the limit of the page.
    pub of: RoomHistory,
    pub seq: u64,
}

impl Query for RoomThread {
    type Rows = Result<RoomPage, Denied>;

    const SCANS_UNINDEXED: bool = true;

    fn read(&self, state: &Connection) -> Result<Self::Rows, StoreError> {
        let alone = state.is_autocommit();
        let transaction = alone.then(|| state.unchecked_transaction()).transpose()?;
        let room_id = match self.of.find(state)? {
            Ok(id) => id,
            Err(denied) => return Ok(Err(denied)),
        };
        let thread = (integer(room_id), self.seq);
        let bytes = |row: &RoomMessageRow| row.body.len();
        let step = self.of.start.in_room(state, room_id)?;
        let place = (step, self.of.limit);
        let messages = page(state, thread, place, bytes, |seqs, is_ascending| {
            let lsns = room_lsns(state, room_id, seqs)?;
            rooms::room_at(state, self.of.account_id, &lsns, is_ascending)
        })?;
        drop(transaction);
        Ok(Ok(RoomPage {
            room_id,
            step,
            messages,
        }))
    }
}

/// Reads a page of a thread, ascending by seq. `read` gives the rows of seqs in a list in JSON, in the direction of the
/// page, as far as the account sees them.
fn page<T>(
    state: &Connection,
    (conversation_id, thread): (i64, u64),
    (mut step, limit): (Step, PageLimit),
    bytes: impl Fn(&T) -> usize,
    read: impl Fn(&str, bool) -> Result<Vec<T>, StoreError>,
) -> Result<Page<T>, StoreError> {
    let is_ascending = matches!(step, Step::After(_));
    let mut page: Page<T> = Page::EMPTY;
    loop {
        let wanted = limit.rows.saturating_sub(page.rows.len());
        let seqs = seqs(state, conversation_id, thread, step, wanted)?;
        let rows = read(&format!("{seqs:?}"), is_ascending)?;
        page.extend(rows.into_iter().map(Ok), limit, &bytes)?;
        let is_last = seqs.len() <= wanted;
        let Some(&last) = seqs.last().filter(|_| !page.more && !is_last) else {
            break;
        };
        // The account does not see some of them.
        step = match step {
            Step::Before(_) => Step::Before(last),
            Step::After(_) => Step::After(last),
        };
    }
    if !is_ascending {
        page.rows.reverse();
    }
    Ok(page)
}

/// Lists the seqs of a message and of the messages that reply to it from a place on, in its direction: one more than
/// `wanted`, if there are so many.
fn seqs(
    state: &Connection,
    conversation_id: i64,
    thread: u64,
    step: Step,
    wanted: usize,
) -> Result<Vec<u64>, StoreError> {
    let (sql, place) = match step {
        Step::Before(seq) => (THREAD_BEFORE, seq),
        Step::After(seq) => (THREAD_AFTER, seq),
    };
    let of_page = params![
        conversation_id,
        integer(thread),
        integer(place),
        one_more(wanted)
    ];
    let mut select = state.prepare_cached(sql)?;
    let seqs = select.query_map(of_page, |row| row.get(0))?;
    Ok(seqs.collect::<Result<_, _>>()?)
}

macro_rules! select_thread {
    ($bound:literal, $order:literal) => {
        concat!(
            "SELECT ?2 AS seq WHERE ?2 ",
            $bound,
            " ?3 UNION ALL
             SELECT seq FROM replies INDEXED BY replies_by_message
             WHERE conversation_id = ?1 AND reply_to = ?2 AND seq ",
            $bound,
            " ?3 ORDER BY seq ",
            $order,
            " LIMIT ?4"
        )
    };
}

const THREAD_BEFORE: &str = select_thread!("<", "DESC");
const THREAD_AFTER: &str = select_thread!(">", "");

/// Finds the rows of seqs of a direct conversation that an account sees; gives their LSNs as a list in JSON.
fn direct_lsns(
    state: &Connection,
    conversation_id: i64,
    account_id: u64,
    seqs: &str,
) -> Result<String, StoreError> {
    let mut select = state.prepare_cached(concat!(
        "SELECT lsn FROM conversation_messages
         WHERE conversation_id = ?1 AND seq IN (SELECT value FROM json_each(?2))
         UNION
         SELECT lsn FROM hidden_index
         WHERE conversation_id = ?1 AND sender_id = ?3 AND seq IN (SELECT value FROM json_each(?2))
         UNION
         SELECT m.lsn FROM messages AS m NOT INDEXED
         WHERE m.lsn > (SELECT through_lsn FROM indexed) AND m.conversation_id = ?1
             AND m.seq IN (SELECT value FROM json_each(?2)) AND (m.sender_id = ?3 OR ",
        is_shown!("m"),
        ")"
    ))?;
    let found = params![conversation_id, seqs, integer(account_id)];
    let lsns = select.query_map(found, |row| row.get(0))?;
    let lsns: Vec<u64> = lsns.collect::<Result<_, _>>()?;
    Ok(format!("{lsns:?}"))
}

/// Finds the rows of seqs of a room; gives their LSNs as a list in JSON.
fn room_lsns(state: &Connection, room_id: u64, seqs: &str) -> Result<String, StoreError> {
    let mut select = state.prepare_cached(
        "SELECT lsn FROM room_index
         WHERE room_id = ?1 AND seq IN (SELECT value FROM json_each(?2))
         UNION
         SELECT lsn FROM room_messages NOT INDEXED
         WHERE lsn > (SELECT through_lsn FROM indexed) AND room_id = ?1
             AND seq IN (SELECT value FROM json_each(?2))",
    )?;
    let lsns = select.query_map(params![room_id, seqs], |row| row.get(0))?;
    let lsns: Vec<u64> = lsns.collect::<Result<_, _>>()?;
    Ok(format!("{lsns:?}"))
}
