//! The position of the store: how far the log and the state are. The writer has a copy in memory, which changes only
//! with a commit.

use std::sync::Arc;

use rusqlite::Connection;
use tercet_core::id::{Epoch, Lsn};

use super::{StoreError, base::Base, index::LazyIndex, log::End, trim::LogSize, window::Window};

/// The position of the store; a copy of the position on disk.
#[derive(Clone)]
pub(super) struct Position {
    pub promised: Epoch,
    pub base: Arc<Base>,
    pub end: End,
    /// Payload bytes of the entries from the base through the end.
    pub log_bytes: u64,
    pub applied: Lsn,
    /// The settled LSN that the core noted last.
    pub settled: Lsn,
    pub mark: Mark,
    /// Whether rows of ended sessions or deleted accounts must be removed.
    pub cleanups_left: bool,
    pub indexed: LazyIndex,
}

impl Position {
    pub fn log_size(&self) -> LogSize {
        LogSize {
            start: self.base.start(),
            last: self.end.lsn,
            bytes: self.log_bytes,
        }
    }
}

/// The part of the position that commands advance, beside the LSN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// The stamp of the last command, which is the greatest.
    pub stamp_ms: i64,
    /// The highest version of a command that was applied.
    pub command_version: u32,
    /// The window in which requests are remembered.
    pub window: Window,
}

/// Reads the LSN of the last applied entry.
pub(super) fn applied(connection: &Connection) -> Result<Lsn, StoreError> {
    let sql = "SELECT applied_lsn FROM position";
    Ok(Lsn(connection.query_row(sql, [], |row| row.get(0))?))
}

/// Reads the part of the position beside the LSN.
pub(super) fn read_mark(connection: &Connection) -> Result<Mark, StoreError> {
    let sql = "SELECT last_stamp_ms, command_version FROM position";
    let mark = connection.query_row(sql, [], |row| {
        Ok(Mark {
            stamp_ms: row.get(0)?,
            command_version: row.get(1)?,
            window: Window::default(),
        })
    })?;
    let window = Window::read(connection)?;
    Ok(Mark { window, ..mark })
}

/// Tells whether rows of ended sessions or deleted accounts must be removed.
pub(super) fn has_cleanups(connection: &Connection) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM cleanups)";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.query_row([], |row| row.get(0))?)
}
