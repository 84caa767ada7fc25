//! The indexes of messages: by conversation, and by who has still to get them. They are behind the
//! messages, and caught up for many at once: each transaction would otherwise write a page for each
//! conversation in it. Whoever reads takes what is not indexed from the messages themselves.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use rusqlite::{Connection, params};
use tercet_core::id::Lsn;

use super::StoreError;

/// So many entries may not be indexed.
pub(super) const BEHIND_MAX: u64 = 2_048;
/// So many reads may go through them: more would cost more than indexing them.
const READS_MAX: u32 = 16;

/// Reads that went through what is not indexed, since it was last less.
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

/// How far the indexes go, and how far they may be behind.
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

    /// Whether it is time to catch up with what is applied.
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
            .prepare_cached(
                "INSERT INTO conversation_messages
                     SELECT conversation_id, lsn FROM messages
                     WHERE lsn > ?1 AND lsn <= ?2",
            )?
            .execute(between)?;
        connection
            .prepare_cached(
                "INSERT INTO waiting_messages
                     SELECT recipient_id, lsn FROM messages
                     WHERE lsn > ?1 AND lsn <= ?2 AND delivered = 0",
            )?
            .execute(between)?;
        connection
            .prepare_cached("UPDATE indexed SET through_lsn = ?1")?
            .execute([applied.0])?;
        self.through = applied;
        self.unindexed_reads.clear();
        Ok(())
    }

    /// Begins anew, with messages that were put in the place of all others.
    pub fn rebuild(&mut self, connection: &Connection, applied: Lsn) -> Result<(), StoreError> {
        connection
            .execute_batch("DELETE FROM conversation_messages; DELETE FROM waiting_messages")?;
        self.through = Lsn::ZERO;
        self.catch_up(connection, applied)
    }
}
