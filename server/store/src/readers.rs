//! Readers: the pool of connections that read beside the writer. Knows nothing of single queries.

mod threads;

use std::{
    ops::Deref,
    path::Path,
    sync::{Arc, Condvar, Mutex, PoisonError},
};

use rusqlite::Connection;
use tercet_core::{
    id::{Epoch, Lsn},
    log::Entry,
};

use super::{StoreError, index::UnindexedReads, log, queries::Query, schema, trim::SharedSize};

#[cfg(test)]
pub(super) use threads::Busy;
#[cfg(test)]
pub(super) use threads::WAITING_MAX;
pub use threads::{ReadError, ReadThreads};

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

    /// Runs a query. Waits for a connection, and for the disk.
    ///
    /// # Errors
    /// The error of the database.
    pub fn read<Q: Query>(&self, query: &Q) -> Result<Q::Rows, StoreError> {
        if Q::SCANS_UNINDEXED {
            self.unindexed_reads.note();
        }
        query.read(&self.connection())
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
        if from.0 >= i64::MAX as u64 {
            return Ok(Vec::new());
        }
        log::read(&self.connection(), from, Lsn(through), bytes_max)
    }
}
