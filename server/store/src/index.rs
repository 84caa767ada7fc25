//! The lazy indexes of messages: by conversation, by room, and by waiting recipient. They lag behind the messages and
//! catch up for many at once, because otherwise each transaction would write a page for each conversation in
//! it. Reads take messages that are not indexed from the messages themselves. Hidden messages (`hidden.rs`) are in
//! neither.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use rusqlite::{Connection, params};
use tercet_core::id::Lsn;

use super::{
    StoreError,
    hidden::{self, is_shown},
};

/// Entries by which the indexes may lag.
pub(super) const BEHIND_MAX: u64 = 2_048;
/// Reads that may scan the entries that are not indexed: more would cost more than indexing them.
const READS_MAX: u32 = 16;

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
        let between = params![self.through.0, applied.0];
        connection
            .prepare_cached(concat!(
                "INSERT INTO conversation_messages
                     SELECT m.conversation_id, m.seq, m.lsn FROM messages AS m
                     WHERE m.lsn > ?1 AND m.lsn <= ?2 AND ",
                is_shown!("m")
            ))?
            .execute(between)?;
        connection
            .prepare_cached(concat!(
                "INSERT INTO waiting_messages
                     SELECT m.recipient_id, m.lsn FROM messages AS m
                     WHERE m.lsn > ?1 AND m.lsn <= ?2 AND m.delivered = 0 AND ",
                is_shown!("m")
            ))?
            .execute(between)?;
        connection
            .prepare_cached(
                "INSERT INTO room_index
                     SELECT room_id, seq, lsn FROM room_messages
                     WHERE lsn > ?1 AND lsn <= ?2",
            )?
            .execute(between)?;
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
            "DELETE FROM conversation_messages; DELETE FROM waiting_messages; DELETE FROM room_index",
        )?;
        hidden::rebuild_index(connection)?;
        self.through = Lsn::ZERO;
        self.catch_up(connection, applied)
    }
}
