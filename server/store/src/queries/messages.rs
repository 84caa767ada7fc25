//! Queries of messages.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension as _, Params, Row, params, params_from_iter};

use super::{
    super::StoreError,
    AccountById, Page, PageLimit, Query, Start, Step, conversation_of, integer, limit_of,
    message_parts, one_more, peer_by_name,
    seq_index::{HIDDEN, SHOWN},
};
use crate::{
    event::{MessageParts, MessageRow},
    hidden::is_shown,
};

/// The columns of a [`MessageRow`] without the names. The LSN and the seq are read from the tables that give the order.
macro_rules! select_message {
    ($lsn:literal, $seq:literal) => {
        concat!(
            "SELECT ",
            $lsn,
            ".lsn, m.id, m.sender_id, m.recipient_id, m.body, m.sent_at_ms, m.instant, m.delivered, ",
            $seq,
            ".seq "
        )
    };
}

/// Selects a page of messages: those that are not indexed yet, and the others by an index in the order of places, `lsn`
/// or `seq`, so that a page costs the same at any depth. Of two lower bounds SQLite uses the one that it reads first:
/// this must be the position of the index, not the start of the page. `$end` is what follows: more rows, the order and
/// the limit.
macro_rules! select_page {
    ($lsn:literal, $seq:literal, $place:literal, $not_indexed:expr, $index:literal, $indexed:expr,
     $bound:literal, $end:expr) => {
        concat!(
            select_message!("m", "m"),
            "FROM messages AS m NOT INDEXED
             WHERE m.lsn > (SELECT through_lsn FROM indexed) AND m.",
            $place,
            " ",
            $bound,
            " AND ",
            $not_indexed,
            " AND ",
            is_shown!("m"),
            " UNION ALL ",
            select_message!($lsn, $seq),
            "FROM ",
            $index,
            " AS i CROSS JOIN messages AS m ON m.lsn = i.lsn WHERE ",
            $indexed,
            " AND i.",
            $place,
            " ",
            $bound,
            " ",
            $end
        )
    };
}

/// Tests that a message `m` was not dropped with its recipient. Its row may still exist for a while.
macro_rules! is_kept {
    () => {
        "(m.delivered = 1 OR NOT EXISTS (SELECT 1 FROM cleanups
                                         WHERE account_id = m.recipient_id AND is_deleted))"
    };
}

pub(crate) use is_kept;

/// Selects the messages of one conversation in the same way, by their seqs. `$kept` is a further condition on each, and
/// `$hidden` what comes between them and their order.
macro_rules! select_conversation {
    ($kept:expr, $hidden:expr, $bound:literal, $order:literal) => {
        select_page!(
            "m",
            "i",
            "seq",
            concat!("m.conversation_id = ?1", $kept),
            "conversation_messages",
            concat!("i.conversation_id = ?1", $kept),
            $bound,
            concat!($hidden, "ORDER BY 9 ", $order)
        )
    };
}

/// Selects the messages of account `?4` that are hidden from the other one.
macro_rules! select_hidden {
    ($bound:literal) => {
        concat!(
            "UNION ALL ",
            select_message!("m", "h"),
            "FROM hidden_index AS h CROSS JOIN messages AS m ON m.lsn = h.lsn
             WHERE h.conversation_id = ?1 AND h.sender_id = ?4 AND ",
            is_kept!(),
            " AND h.seq ",
            $bound,
            " "
        )
    };
}

macro_rules! and_is_kept {
    () => {
        concat!(" AND ", is_kept!())
    };
}

pub(crate) const MESSAGES_BEFORE: &str = select_conversation!(
    and_is_kept!(),
    select_hidden!("< ?2"),
    "< ?2",
    "DESC LIMIT ?3"
);

pub(crate) const MESSAGES_AFTER: &str =
    select_conversation!(and_is_kept!(), select_hidden!("> ?2"), "> ?2", "LIMIT ?3");

/// Selects the indexed messages of a conversation in which none is hidden or dropped: nearly all conversations.
macro_rules! select_indexed {
    ($bound:literal, $order:literal) => {
        concat!(
            select_message!("m", "i"),
            "FROM conversation_messages AS i CROSS JOIN messages AS m ON m.lsn = i.lsn
             WHERE i.conversation_id = ?1 AND i.seq ",
            $bound,
            " ORDER BY i.seq ",
            $order
        )
    };
}

pub(crate) const INDEXED_BEFORE: &str = select_indexed!("< ?2", "DESC LIMIT ?3");

pub(crate) const INDEXED_AFTER: &str = select_indexed!("> ?2", "LIMIT ?3");

/// Selects those that are not indexed, above LSN `?4`. Their seqs ascend with their LSNs.
macro_rules! select_not_indexed {
    ($bound:literal, $order:literal) => {
        concat!(
            select_message!("m", "m"),
            "FROM messages AS m NOT INDEXED
             WHERE m.lsn > ?4 AND m.conversation_id = ?1 AND m.seq ",
            $bound,
            " AND ",
            is_shown!("m"),
            " ORDER BY m.lsn ",
            $order
        )
    };
}

pub(crate) const NOT_INDEXED_BEFORE: &str = select_not_indexed!("< ?2", "DESC LIMIT ?3");

pub(crate) const NOT_INDEXED_AFTER: &str = select_not_indexed!("> ?2", "LIMIT ?3");

/// Selects the conversation of two accounts, the LSN through which messages are indexed, whether messages of account
/// `?3` are hidden there, or some are dropped with an account, and whether messages may have parts.
const CONVERSATION: &str = "SELECT id, (SELECT through_lsn FROM indexed),
        EXISTS (SELECT 1 FROM hidden_index WHERE conversation_id = id AND sender_id = ?3)
            OR EXISTS (SELECT 1 FROM cleanups WHERE account_id IN (?1, ?2) AND is_deleted),
        EXISTS (SELECT 1 FROM direct_parts WHERE conversation_id = id)
    FROM conversations WHERE low_account = ?1 AND high_account = ?2";

pub(crate) const UNDELIVERED: &str = select_page!(
    "i",
    "m",
    "lsn",
    "m.recipient_id = ?1 AND m.delivered = 0",
    "waiting_messages",
    "i.recipient_id = ?1",
    "> ?2",
    "ORDER BY 1 LIMIT ?3"
);

/// Selects messages from and to an account that are not indexed, without those that are hidden from it. As in a page,
/// the position of the index comes first.
pub(crate) const INBOX_NOT_INDEXED: &str = concat!(
    "SELECT m.lsn FROM messages AS m NOT INDEXED
     WHERE m.lsn > (SELECT through_lsn FROM indexed) AND m.lsn > ?1
         AND (m.sender_id = ?2 OR m.recipient_id = ?2 AND ",
    is_shown!("m"),
    ") ORDER BY m.lsn LIMIT ?3"
);

const MESSAGES_AT: &str = concat!(
    select_message!("m", "m"),
    "FROM messages AS m NOT INDEXED
     WHERE m.lsn IN (SELECT value FROM json_each(?1)) ORDER BY m.lsn"
);

/// Selects the messages at LSNs that were not dropped.
const KEPT_AT: &str = concat!(
    select_message!("m", "m"),
    "FROM messages AS m NOT INDEXED
     WHERE m.lsn IN (SELECT value FROM json_each(?1)) AND ",
    is_kept!(),
    " ORDER BY m.lsn"
);

/// Selects the messages at LSNs that account `?2` may read, without deleted ones.
const READABLE_AT: &str = concat!(
    select_message!("m", "m"),
    "FROM messages AS m NOT INDEXED
     WHERE m.lsn IN (SELECT value FROM json_each(?1)) AND m.body <> ''
         AND (m.sender_id = ?2 OR (m.recipient_id = ?2 AND ",
    is_shown!("m"),
    ")) AND ",
    is_kept!()
);

/// The other account of a conversation.
#[derive(Clone, Debug)]
pub enum Peer {
    /// The live account of that name, else the latest deleted one with which the account has messages.
    Name(String),
    Id(u64),
}

/// Messages between an account and another one, without those that are hidden from the account.
#[derive(Clone, Debug)]
pub struct Conversation {
    pub account_id: u64,
    pub peer: Peer,
    pub start: Start,
    pub limit: PageLimit,
}

/// A page of a conversation, ascending by seq.
#[derive(Clone, Debug)]
pub struct ConversationPage {
    pub peer_id: u64,
    /// The start of the page among seqs.
    pub step: Step,
    pub messages: Page<MessageRow>,
}

impl Query for Conversation {
    /// `None` when there is no such peer.
    type Rows = Option<ConversationPage>;

    const SCANS_UNINDEXED: bool = true;

    fn read(&self, state: &Connection) -> Result<Option<ConversationPage>, StoreError> {
        let Some(peer_id) = self.peer_id(state)? else {
            return Ok(None);
        };
        let step = self.step(state, peer_id)?;
        let messages = self.page(state, peer_id, step, self.limit)?;
        Ok(Some(ConversationPage {
            peer_id,
            step,
            messages,
        }))
    }
}

impl Conversation {
    pub(super) fn peer_id(&self, state: &Connection) -> Result<Option<u64>, StoreError> {
        match &self.peer {
            Peer::Name(name) => peer_by_name(state, self.account_id, name),
            Peer::Id(id) if *id > i64::MAX as u64 => Ok(None),
            Peer::Id(id) => {
                let newest = Step::Before(u64::MAX);
                let limit = PageLimit::of_rows(1);
                let is_known = AccountById { id: *id }.read(state)?.is_some()
                    || !self.page(state, *id, newest, limit)?.rows.is_empty();
                Ok(is_known.then_some(*id))
            }
        }
    }

    /// Finds the start of the page among seqs.
    pub(super) fn step(&self, state: &Connection, peer_id: u64) -> Result<Step, StoreError> {
        if let Start::Seq(step) = self.start {
            return Ok(step);
        }
        let id = conversation_of(state, self.account_id, peer_id)?;
        self.start.in_direct(state, id, self.account_id)
    }

    pub(super) fn page(
        &self,
        state: &Connection,
        peer_id: u64,
        step: Step,
        limit: PageLimit,
    ) -> Result<Page<MessageRow>, StoreError> {
        let (low, high) = (self.account_id.min(peer_id), self.account_id.max(peer_id));
        let (low, high, account_id) = (integer(low), integer(high), integer(self.account_id));
        let found: Option<(i64, i64, bool, bool)> = state
            .prepare_cached(CONVERSATION)?
            .query_row([low, high, account_id], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .optional()?;
        let Some((conversation_id, indexed, has_more, has_parts)) = found else {
            return Ok(Page::EMPTY);
        };
        let mut page = if has_more {
            let (sql, seq) = match step {
                Step::Before(seq) => (MESSAGES_BEFORE, seq),
                Step::After(seq) => (MESSAGES_AFTER, seq),
            };
            let rows = one_more(limit.rows);
            let of_page = [conversation_id, integer(seq), rows, account_id];
            messages(state, sql, of_page, limit)?
        } else {
            plain_page(state, conversation_id, indexed, step, limit)?
        };
        if has_parts {
            message_parts::add_direct(state, self.account_id, conversation_id, &mut page.rows)?;
        }
        if let Step::Before(_) = step {
            page.rows.reverse();
        }
        Ok(page)
    }
}

/// Reads a page of a conversation without hidden or dropped messages, in the direction of `step`. `indexed` is an LSN
/// through which messages are indexed; if the index has moved since it was read, the seqs tell which rows were read
/// already.
pub(crate) fn plain_page(
    state: &Connection,
    conversation_id: i64,
    indexed: i64,
    step: Step,
    limit: PageLimit,
) -> Result<Page<MessageRow>, StoreError> {
    // What is not indexed is newer. The numbers are those of the parameters.
    let (parts, seq) = match step {
        Step::Before(seq) => ([(NOT_INDEXED_BEFORE, 4), (INDEXED_BEFORE, 3)], seq),
        Step::After(seq) => ([(INDEXED_AFTER, 3), (NOT_INDEXED_AFTER, 4)], seq),
    };
    let mut page: Page<MessageRow> = Page::EMPTY;
    for (sql, count) in parts {
        let seq = page.rows.last().map_or(seq, |row| row.seq);
        let rows = one_more(limit.rows.saturating_sub(page.rows.len()));
        let of_page = [conversation_id, integer(seq), rows, indexed];
        let mut select = state.prepare_cached(sql)?;
        let rows = select.query_map(params_from_iter(&of_page[..count]), nameless_message)?;
        page.extend(rows, limit, |row| row.body.len())?;
        if page.more {
            break;
        }
    }
    add_names(state, &mut page.rows)?;
    Ok(page)
}

/// Messages to an account that are not delivered, ascending by LSN.
#[derive(Clone, Debug)]
pub struct Undelivered {
    pub account_id: u64,
    /// The LSN that the page comes after.
    pub after: u64,
    pub limit: PageLimit,
}

impl Query for Undelivered {
    type Rows = Page<MessageRow>;

    const SCANS_UNINDEXED: bool = true;

    fn read(&self, state: &Connection) -> Result<Page<MessageRow>, StoreError> {
        let of_page = params![
            integer(self.account_id),
            integer(self.after),
            one_more(self.limit.rows)
        ];
        let mut page = messages(state, UNDELIVERED, of_page, self.limit)?;
        message_parts::add_any(state, self.account_id, &mut page.rows)?;
        Ok(page)
    }
}

/// The LSNs and ids of messages that wait for an account, ascending, as far as they are indexed. Messages that are
/// not indexed are so new that their requests are remembered.
#[derive(Clone, Debug)]
pub struct WaitingIds {
    pub account_id: u64,
    /// The LSN that the page comes after.
    pub after: u64,
    pub limit: usize,
}

impl Query for WaitingIds {
    type Rows = Page<(u64, [u8; 16])>;

    fn read(&self, state: &Connection) -> Result<Page<(u64, [u8; 16])>, StoreError> {
        let mut select = state.prepare_cached(
            "SELECT m.lsn, m.id
             FROM waiting_messages AS i CROSS JOIN messages AS m ON m.lsn = i.lsn
             WHERE i.recipient_id = ?1 AND i.lsn > ?2 ORDER BY i.lsn LIMIT ?3",
        )?;
        let of_page = params![
            integer(self.account_id),
            integer(self.after),
            one_more(self.limit)
        ];
        let rows = select.query_map(of_page, |row| Ok((row.get(0)?, row.get(1)?)))?;
        Page::fill(rows, PageLimit::of_rows(self.limit), |_| 0)
    }
}

/// All messages from and to an account, ascending by LSN, for a subscription that resumes. There is no index for this,
/// because it would cost every write: the read visits each conversation of the account.
#[derive(Clone, Debug)]
pub struct Inbox {
    pub account_id: u64,
    /// The LSN that the page comes after.
    pub after: u64,
    pub limit: PageLimit,
}

impl Query for Inbox {
    type Rows = Page<MessageRow>;

    const SCANS_UNINDEXED: bool = true;

    fn read(&self, state: &Connection) -> Result<Page<MessageRow>, StoreError> {
        // All statements see one state; otherwise an entry between two of them would be missed.
        let alone = state.is_autocommit();
        let transaction = alone.then(|| state.unchecked_transaction()).transpose()?;
        let limit = self.limit.rows.saturating_add(1);
        let (account_id, after) = (integer(self.account_id), integer(self.after));
        let lsns = first_in_inbox(state, account_id, after, limit)?;
        let lsns = lsns.into_iter().collect::<Vec<_>>();
        let mut page = messages(state, MESSAGES_AT, [format!("{lsns:?}")], self.limit)?;
        message_parts::add_any(state, self.account_id, &mut page.rows)?;
        drop(transaction);
        Ok(page)
    }
}

/// Finds the lowest LSNs of messages from and to an account above `after`.
fn first_in_inbox(
    state: &Connection,
    account_id: i64,
    after: i64,
    limit: usize,
) -> Result<BTreeSet<i64>, StoreError> {
    let mut conversations = state.prepare_cached(
        "SELECT id FROM conversations WHERE low_account = ?1
         UNION SELECT id FROM conversations INDEXED BY conversations_by_high
         WHERE high_account = ?1",
    )?;
    let mut first = BTreeSet::new();
    let mut ids = conversations.query([account_id])?;
    while let Some(row) = ids.next()? {
        let id: i64 = row.get(0)?;
        for index in [&SHOWN, &HIDDEN] {
            // Once there are enough, only messages before the last of them count.
            let end = match first.last() {
                Some(last) if first.len() >= limit => *last,
                _ => i64::MAX,
            };
            index.add_first(state, (id, account_id), (after, end), limit, &mut first)?;
            while first.len() > limit {
                first.pop_last();
            }
        }
    }
    // Hidden messages may be found twice: their index does not lag.
    let mut not_indexed = state.prepare_cached(INBOX_NOT_INDEXED)?;
    let mut rows = not_indexed.query([after, account_id, limit_of(limit)])?;
    while let Some(row) = rows.next()? {
        first.insert(row.get(0)?);
    }
    while first.len() > limit {
        first.pop_last();
    }
    Ok(first)
}

/// Reads the messages at the LSNs in a list in JSON that an account may read.
pub(super) fn readable_at(
    state: &Connection,
    account_id: u64,
    lsns: &str,
) -> Result<Vec<MessageRow>, StoreError> {
    let at = params![lsns, integer(account_id)];
    let mut page = messages(state, READABLE_AT, at, PageLimit::of_rows(usize::MAX))?;
    message_parts::add_any(state, account_id, &mut page.rows)?;
    Ok(page.rows)
}

/// Reads the messages of a conversation at the LSNs in a list in JSON, as an account sees them, by their LSNs in either
/// order. Those that were dropped are left out; the account sees all others.
pub(super) fn direct_at(
    state: &Connection,
    account_id: u64,
    conversation_id: i64,
    lsns: &str,
    is_ascending: bool,
) -> Result<Vec<MessageRow>, StoreError> {
    let mut rows = messages(state, KEPT_AT, [lsns], PageLimit::of_rows(usize::MAX))?.rows;
    message_parts::add_direct(state, account_id, conversation_id, &mut rows)?;
    if !is_ascending {
        rows.reverse();
    }
    Ok(rows)
}

/// Reads a page of messages, in the order of `sql`.
fn messages(
    state: &Connection,
    sql: &str,
    params: impl Params,
    limit: PageLimit,
) -> Result<Page<MessageRow>, StoreError> {
    let mut select = state.prepare_cached(sql)?;
    let rows = select.query_map(params, nameless_message)?;
    let mut page = Page::fill(rows, limit, |row| row.body.len())?;
    add_names(state, &mut page.rows)?;
    Ok(page)
}

/// Adds the names of accounts. A page has few accounts, so each name is looked up once and not for every row.
fn add_names(state: &Connection, rows: &mut [MessageRow]) -> Result<(), StoreError> {
    let mut names = BTreeMap::new();
    for row in rows {
        (row.sender, row.sender_deleted) = name(state, &mut names, row.sender_id)?;
        (row.recipient, row.recipient_deleted) = name(state, &mut names, row.recipient_id)?;
    }
    Ok(())
}

/// Reads an account's name, and whether the account is deleted.
pub(super) fn name(
    state: &Connection,
    known: &mut BTreeMap<u64, (String, bool)>,
    account_id: u64,
) -> Result<(String, bool), StoreError> {
    if let Some(found) = known.get(&account_id) {
        return Ok(found.clone());
    }
    let sql = "SELECT username, deleted_at_lsn IS NOT NULL FROM users WHERE id = ?1";
    let found: (String, bool) = state
        .prepare_cached(sql)?
        .query_row([account_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    known.insert(account_id, found.clone());
    Ok(found)
}

fn nameless_message(row: &Row<'_>) -> rusqlite::Result<MessageRow> {
    Ok(MessageRow {
        lsn: row.get(0)?,
        id: row.get(1)?,
        seq: row.get(8)?,
        sender_id: row.get(2)?,
        sender: String::new(),
        sender_deleted: false,
        recipient_id: row.get(3)?,
        recipient: String::new(),
        recipient_deleted: false,
        body: row.get(4)?,
        sent_at_ms: row.get(5)?,
        instant: row.get(6)?,
        delivered: row.get(7)?,
        parts: MessageParts::default(),
    })
}
