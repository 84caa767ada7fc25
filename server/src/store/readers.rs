//! Reads of committed state, beside the writer.

mod accounts;
mod threads;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Deref,
    path::Path,
    sync::{Arc, Condvar, Mutex, PoisonError},
};

use rusqlite::{Connection, Params, Row, params};
use tercet_core::{
    id::{Epoch, Lsn},
    log::Entry,
};
use tercet_proto::log::Outcome;

use super::{StoreError, index::UnindexedReads, log, requests::Requests, schema, trim::SharedSize};
use crate::event::MessageRow;

#[cfg(test)]
pub(super) use threads::WAITING_MAX;
pub use threads::{Busy, ReadThreads};

/// Connections that read at once; the reader threads use some of these.
const CONNECTIONS: usize = 4;

/// A small pool of connections that read. Cheap to clone.
///
/// Synchronous; each call takes a connection and waits for one if all are busy: call it where
/// blocking is allowed.
#[derive(Clone)]
pub struct Readers {
    pool: Arc<Pool>,
    pub(super) size: SharedSize,
    unindexed_reads: UnindexedReads,
}

struct Pool {
    idle: Mutex<Vec<Connection>>,
    returned: Condvar,
}

/// A connection on loan from the pool.
pub(super) struct Loan<'a> {
    pool: &'a Pool,
    /// `None` only while it is being dropped.
    connection: Option<Connection>,
}

impl Loan<'_> {
    /// Keeps the connection for good.
    fn take(mut self) -> Connection {
        self.connection.take().expect("on loan")
    }
}

impl Deref for Loan<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("on loan")
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        let mut idle = self
            .pool
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        idle.extend(self.connection.take());
        self.pool.returned.notify_one();
    }
}

/// The columns of a [`MessageRow`] without the names.
macro_rules! select_message {
    ($lsn:literal) => {
        concat!(
            "SELECT ",
            $lsn,
            ", m.id, m.sender_id, m.recipient_id, m.body, m.sent_at_ms, m.instant, m.delivered "
        )
    };
}

/// Selects a page of messages: those that are not indexed yet, and the others by an index in the order of LSNs,
/// so that a page costs the same at any depth. Of two lower bounds SQLite uses the one that it reads first:
/// this must be the position of the index, not the start of the page.
macro_rules! select_page {
    ($not_indexed:expr, $index:literal, $indexed:expr, $bound:literal, $order:literal) => {
        concat!(
            select_message!("m.lsn"),
            "FROM messages AS m NOT INDEXED
             WHERE m.lsn > (SELECT through_lsn FROM indexed) AND m.lsn ",
            $bound,
            " AND ",
            $not_indexed,
            " UNION ALL ",
            select_message!("i.lsn"),
            "FROM ",
            $index,
            " AS i CROSS JOIN messages AS m ON m.lsn = i.lsn WHERE ",
            $indexed,
            " AND i.lsn ",
            $bound,
            " ORDER BY 1 ",
            $order
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

use is_kept;

/// Selects the messages of one conversation in the same way.
macro_rules! select_conversation {
    ($bound:literal, $order:literal) => {
        select_page!(
            concat!(
                "m.conversation_id = (SELECT id FROM conversations
                                      WHERE low_account = ?1 AND high_account = ?2) AND ",
                is_kept!()
            ),
            "conversation_messages",
            concat!(
                "i.conversation_id = (SELECT id FROM conversations
                                      WHERE low_account = ?1 AND high_account = ?2) AND ",
                is_kept!()
            ),
            $bound,
            $order
        )
    };
}

pub(super) const MESSAGES_BEFORE: &str = select_conversation!("< ?3", "DESC LIMIT ?4");

pub(super) const MESSAGES_AFTER: &str = select_conversation!("> ?3", "LIMIT ?4");

pub(super) const UNDELIVERED: &str = select_page!(
    "m.recipient_id = ?1 AND m.delivered = 0",
    "waiting_messages",
    "i.recipient_id = ?1",
    "> ?2",
    "LIMIT ?3"
);

/// Selects waiting messages that are not indexed. As in a page, the position of the index comes first.
pub(super) const INBOX_NOT_INDEXED: &str = "SELECT lsn FROM messages NOT INDEXED
     WHERE lsn > (SELECT through_lsn FROM indexed) AND lsn > ?1 AND recipient_id = ?2
     ORDER BY lsn LIMIT ?3";

const MESSAGES_AT: &str = concat!(
    select_message!("m.lsn"),
    "FROM messages AS m NOT INDEXED
     WHERE m.lsn IN (SELECT value FROM json_each(?1)) ORDER BY m.lsn"
);

impl Readers {
    pub(super) fn open(
        dir: &Path,
        size: SharedSize,
        unindexed_reads: UnindexedReads,
    ) -> Result<Readers, StoreError> {
        let idle = (0..CONNECTIONS)
            .map(|_| schema::open_reader(dir))
            .collect::<Result<_, _>>()?;
        Ok(Readers {
            pool: Arc::new(Pool {
                idle: Mutex::new(idle),
                returned: Condvar::new(),
            }),
            size,
            unindexed_reads,
        })
    }

    pub(super) fn connection(&self) -> Loan<'_> {
        let mut idle = self
            .pool
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(connection) = idle.pop() {
                return Loan {
                    pool: &self.pool,
                    connection: Some(connection),
                };
            }
            idle = self
                .pool
                .returned
                .wait(idle)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes one of these connections as a pool of its own.
    fn split_off(&self) -> Readers {
        let connection = self.connection().take();
        Readers {
            pool: Arc::new(Pool {
                idle: Mutex::new(vec![connection]),
                returned: Condvar::new(),
            }),
            size: self.size.clone(),
            unindexed_reads: self.unindexed_reads.clone(),
        }
    }

    /// Begins a transaction for the following reads, in a pool of one connection.
    fn begin(&self) -> Result<(), StoreError> {
        self.connection().prepare_cached("BEGIN")?.execute([])?;
        Ok(())
    }

    /// Ends the transaction; after an error there may be none.
    fn end(&self) -> Result<(), StoreError> {
        let connection = self.connection();
        if !connection.is_autocommit() {
            connection.prepare_cached("COMMIT")?.execute([])?;
        }
        Ok(())
    }

    /// Gives the LSN of the last entry whose effect these reads include, or a later one.
    pub fn applied(&self) -> Result<u64, StoreError> {
        Ok(self
            .connection()
            .prepare_cached("SELECT applied_lsn FROM position")?
            .query_row([], |row| row.get(0))?)
    }

    /// Finds the outcome of a request that is still remembered, for a retry whose session was ended by the same
    /// request and so cannot be logged again.
    pub fn recorded(&self, request_id: &[u8; 16]) -> Result<Option<Outcome>, StoreError> {
        let next = self.applied()?.saturating_add(1);
        let connection = self.connection();
        let found = Requests::before(&connection, next)?.find(request_id)?;
        Ok(found.map(|(_, outcome)| outcome))
    }

    /// Messages between two accounts with LSN < `before`, the newest `limit` of them, ascending.
    pub fn messages_before(
        &self,
        a: u64,
        b: u64,
        before: u64,
        limit: usize,
    ) -> Result<Vec<MessageRow>, StoreError> {
        self.unindexed_reads.note();
        let mut newest_first = messages(
            &self.connection(),
            MESSAGES_BEFORE,
            params![
                integer(a.min(b)),
                integer(a.max(b)),
                integer(before),
                limit_of(limit)
            ],
        )?;
        newest_first.reverse();
        Ok(newest_first)
    }

    /// Messages between two accounts with LSN > `after`, the oldest `limit` of them, ascending.
    pub fn messages_after(
        &self,
        a: u64,
        b: u64,
        after: u64,
        limit: usize,
    ) -> Result<Vec<MessageRow>, StoreError> {
        self.unindexed_reads.note();
        messages(
            &self.connection(),
            MESSAGES_AFTER,
            params![
                integer(a.min(b)),
                integer(a.max(b)),
                integer(after),
                limit_of(limit)
            ],
        )
    }

    /// Messages to `account_id` not delivered, LSN > `after`, ascending.
    pub fn undelivered(
        &self,
        account_id: u64,
        after: u64,
        limit: usize,
    ) -> Result<Vec<MessageRow>, StoreError> {
        self.unindexed_reads.note();
        messages(
            &self.connection(),
            UNDELIVERED,
            params![integer(account_id), integer(after), limit_of(limit)],
        )
    }

    /// Lists the LSNs and ids of waiting messages to `account_id`, LSN > `after`, ascending, as far as they are
    /// indexed. Messages that are not indexed are so new that their requests are remembered.
    pub fn waiting_ids(
        &self,
        account_id: u64,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, [u8; 16])>, StoreError> {
        collect(
            &self.connection(),
            "SELECT m.lsn, m.id
             FROM waiting_messages AS i CROSS JOIN messages AS m ON m.lsn = i.lsn
             WHERE i.recipient_id = ?1 AND i.lsn > ?2 ORDER BY i.lsn LIMIT ?3",
            params![integer(account_id), integer(after), limit_of(limit)],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    /// Lists all messages to `account_id`, LSN > `after`, ascending, for a subscription that resumes. There is
    /// no index for this, because it would cost every write: the read visits each conversation of the account.
    pub fn inbox(
        &self,
        account_id: u64,
        after: u64,
        limit: usize,
    ) -> Result<Vec<MessageRow>, StoreError> {
        self.unindexed_reads.note();
        let connection = self.connection();
        // All reads see one state; otherwise an entry between two of them would be missed.
        let alone = connection.is_autocommit();
        let state = alone
            .then(|| connection.unchecked_transaction())
            .transpose()?;
        let lsns = first_in_inbox(&connection, integer(account_id), integer(after), limit)?;
        let lsns = lsns.into_iter().collect::<Vec<_>>();
        let found = messages(&connection, MESSAGES_AT, [format!("{lsns:?}")])?;
        drop(state);
        Ok(found)
    }

    /// The last entry of the log, applied or not: its LSN and its epoch.
    pub fn log_tail(&self) -> Result<(Lsn, Epoch), StoreError> {
        log::tail(&self.connection())
    }

    /// Reads consecutive log entries from `from` through at most `through`, up to `bytes_max` payload bytes (at
    /// least one entry). Empty when the log ends before `from` or begins after it, because it was cut or
    /// trimmed meanwhile.
    ///
    /// # Errors
    /// `Corrupt` when an entry was changed: rot is never sent to another replica.
    pub fn log_entries(
        &self,
        from: u64,
        through: u64,
        bytes_max: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let from = Lsn(from.max(1));
        if integer(from.0) == i64::MAX {
            return Ok(Vec::new());
        }
        log::read(&self.connection(), from, Lsn(through), bytes_max)
    }
}

/// Converts an id or LSN to an integer of SQLite; greater values are beyond every row.
fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Converts a limit; a negative limit would mean none.
fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// The lowest LSNs of messages to an account above `after`.
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
    let mut select = state.prepare_cached(
        "SELECT c.lsn FROM conversation_messages AS c CROSS JOIN messages AS m ON m.lsn = c.lsn
         WHERE c.conversation_id = ?1 AND m.recipient_id = ?2 AND c.lsn > ?3 AND c.lsn < ?4
         ORDER BY c.lsn LIMIT ?5",
    )?;
    let mut first = BTreeSet::new();
    let mut ids = conversations.query([account_id])?;
    while let Some(row) = ids.next()? {
        let id: i64 = row.get(0)?;
        // Once there are enough, only messages before the last of them count.
        let end = match first.last() {
            Some(last) if first.len() >= limit => *last,
            _ => i64::MAX,
        };
        let of_conversation = params![id, account_id, after, end, limit_of(limit)];
        let mut rows = select.query(of_conversation)?;
        while let Some(row) = rows.next()? {
            first.insert(row.get(0)?);
        }
        while first.len() > limit {
            first.pop_last();
        }
    }
    // Messages that are not indexed come after all indexed ones.
    let mut not_indexed = state.prepare_cached(INBOX_NOT_INDEXED)?;
    let room = limit_of(limit - first.len());
    let mut rows = not_indexed.query([after, account_id, room])?;
    while let Some(row) = rows.next()? {
        first.insert(row.get(0)?);
    }
    Ok(first)
}

fn collect<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    let mut select = connection.prepare_cached(sql)?;
    let rows = select.query_map(params, read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds the names to messages. A page has few accounts, so each name is looked up once and not for every row.
fn messages(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<Vec<MessageRow>, StoreError> {
    let mut rows = collect(connection, sql, params, nameless_message)?;
    let mut names = BTreeMap::new();
    for row in &mut rows {
        (row.sender, row.sender_deleted) = name(connection, &mut names, row.sender_id)?;
        (row.recipient, row.recipient_deleted) = name(connection, &mut names, row.recipient_id)?;
    }
    Ok(rows)
}

/// An account's name, and whether the account is deleted.
fn name(
    connection: &Connection,
    known: &mut BTreeMap<u64, (String, bool)>,
    account_id: u64,
) -> Result<(String, bool), StoreError> {
    if let Some(found) = known.get(&account_id) {
        return Ok(found.clone());
    }
    let sql = "SELECT username, deleted_at_lsn IS NOT NULL FROM users WHERE id = ?1";
    let found: (String, bool) = connection
        .prepare_cached(sql)?
        .query_row([account_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    known.insert(account_id, found.clone());
    Ok(found)
}

fn nameless_message(row: &Row<'_>) -> rusqlite::Result<MessageRow> {
    Ok(MessageRow {
        lsn: row.get(0)?,
        id: row.get(1)?,
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
    })
}
