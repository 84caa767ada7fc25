//! The lazy indexes of messages: by conversation, by room, and by waiting recipient. They lag behind the messages and
//! catch up for many at once, because otherwise each transaction would write a page for each conversation in
//! it. Reads take messages that are not indexed from the messages themselves. Hidden messages (`hidden.rs`) are in
//! neither.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use rusqlite::{Connection, OptionalExtension as _};
use tercet_core::id::Lsn;

use super::{
    StoreError, counts,
    hidden::{self, is_shown},
};

/// Gives the statements that index the direct messages of the entries above `?1` through `?2`: by conversation, and by
/// waiting recipient. The messages pass the test, or there is none: a look-up for each message
/// costs as much as its row.
macro_rules! statements {
    ($test:expr) => {
        [
            concat!(
                "INSERT INTO conversation_messages (conversation_id, seq, lsn, is_low)
                     SELECT m.conversation_id, m.seq, m.lsn, m.sender_id <= m.recipient_id
                     FROM messages AS m WHERE m.lsn > ?1 AND m.lsn <= ?2 AND ",
                $test
            ),
            concat!(
                "INSERT INTO waiting_messages
                     SELECT m.recipient_id, m.lsn FROM messages AS m
                     WHERE m.lsn > ?1 AND m.lsn <= ?2 AND m.delivered = 0 AND ",
                $test
            ),
        ]
    };
}

/// Entries by which the indexes may lag.
pub(super) const BEHIND_MAX: u64 = 2_048;
/// Reads that may scan the entries that are not indexed: more would cost more than indexing them.
const READS_MAX: u32 = 16;
/// Entries whose messages are in memory at once while they are indexed.
const STEP: u64 = 65_536;

/// The number of reads that scanned entries that are not indexed since the last catching up.
#[derive(Clone, Default)]
pub(super) struct UnindexedReads(Arc<AtomicU32>);

impl UnindexedReads {
    pub fn note(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn are_many(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= READS_MAX
    }

    fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// The position of the indexes, and how far they may lag.
#[derive(Clone)]
pub(super) struct LazyIndex {
    pub through: Lsn,
    pub behind_max: u64,
    pub unindexed_reads: UnindexedReads,
}

impl LazyIndex {
    pub fn read(connection: &Connection, applied: Lsn) -> Result<LazyIndex, StoreError> {
        let through =
            connection.query_row("SELECT through_lsn FROM indexed", [], |row| row.get(0))?;
        let through = Lsn(through);
        if through > applied {
            let what = format!("entries up to {applied} were applied, and {through} is indexed");
            return Err(StoreError::Corrupt(what));
        }
        Ok(LazyIndex {
            through,
            behind_max: BEHIND_MAX,
            unindexed_reads: UnindexedReads::default(),
        })
    }

    /// Tells whether the indexes should catch up with the applied entries.
    pub fn is_due(&self, applied: Lsn) -> bool {
        let period = |lsn: Lsn| lsn.0 / self.behind_max;
        period(applied) > period(self.through)
            || (applied > self.through && self.unindexed_reads.are_many())
    }

    /// Catches up, in the caller's transaction.
    pub fn catch_up(&mut self, connection: &Connection, applied: Lsn) -> Result<(), StoreError> {
        if applied == self.through {
            return Ok(());
        }
        let mut after = self.through.0;
        while after < applied.0 {
            let through = applied.0.min(after + STEP);
            index_direct(connection, after, through)?;
            index_rooms(connection, after, through)?;
            after = through;
        }
        connection
            .prepare_cached("UPDATE indexed SET through_lsn = ?1")?
            .execute([applied.0])?;
        self.through = applied;
        self.unindexed_reads.clear();
        Ok(())
    }

    /// Indexes all messages again after a snapshot replaced them.
    pub fn rebuild(&mut self, connection: &Connection, applied: Lsn) -> Result<(), StoreError> {
        connection.execute_batch(
            "DELETE FROM conversation_messages; DELETE FROM conversation_counts;
             DELETE FROM waiting_messages; DELETE FROM room_index; DELETE FROM room_senders",
        )?;
        hidden::rebuild_index(connection)?;
        self.through = Lsn::ZERO;
        self.catch_up(connection, applied)
    }
}

/// Indexes the direct messages of the entries above `after` through `through`, and counts those of each side.
fn index_direct(connection: &Connection, after: u64, through: u64) -> Result<(), StoreError> {
    let between = [after, through];
    let one_is_hidden: bool = connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM hidden_messages WHERE lsn > ?1 AND lsn <= ?2)",
        )?
        .query_row(between, |row| row.get(0))?;
    let [by_conversation, waiting] = match one_is_hidden {
        false => statements!("TRUE"),
        true => statements!(is_shown!("m")),
    };
    connection
        .prepare_cached(by_conversation)?
        .execute(between)?;
    connection.prepare_cached(waiting)?.execute(between)?;
    counts::add(connection, after, through)
}

/// Indexes the messages of rooms in the same way, with the number of texts, and of those of each sender.
fn index_rooms(connection: &Connection, after: u64, through: u64) -> Result<(), StoreError> {
    let mut messages: Vec<(u64, u64, u64, u64, bool)> = connection
        .prepare_cached(
            "SELECT room_id, seq, lsn, sender_id, kind = 1 FROM room_messages
             WHERE lsn > ?1 AND lsn <= ?2",
        )?
        .query_map([after, through], |row| {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
            ))
        })?
        .collect::<Result<_, _>>()?;
    messages.sort_unstable();
    let mut before = connection.prepare_cached(
        "SELECT texts FROM room_index WHERE room_id = ?1 ORDER BY seq DESC LIMIT 1",
    )?;
    let mut before_of_sender = connection.prepare_cached(
        "SELECT texts FROM room_senders WHERE room_id = ?1 AND sender_id = ?2
         ORDER BY seq DESC LIMIT 1",
    )?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO room_index (room_id, seq, lsn, texts) VALUES (?1, ?2, ?3, ?4)",
    )?;
    let mut insert_of_sender = connection.prepare_cached(
        "INSERT INTO room_senders (room_id, sender_id, seq, texts) VALUES (?1, ?2, ?3, ?4)",
    )?;
    let mut of = 0;
    let mut texts: u64 = 0;
    let mut senders: HashMap<u64, u64> = HashMap::new();
    for (room_id, seq, lsn, sender_id, is_text) in messages {
        if room_id != of {
            of = room_id;
            senders.clear();
            let found = before.query_row([of], |row| row.get(0)).optional()?;
            texts = found.unwrap_or(0);
        }
        if is_text {
            texts += 1;
            let of_sender = match senders.get(&sender_id) {
                Some(texts) => *texts,
                None => before_of_sender
                    .query_row([of, sender_id], |row| row.get(0))
                    .optional()?
                    .unwrap_or(0),
            };
            insert_of_sender.execute([of, sender_id, seq, of_sender + 1])?;
            senders.insert(sender_id, of_sender + 1);
        }
        insert.execute([of, seq, lsn, texts])?;
    }
    Ok(())
}
