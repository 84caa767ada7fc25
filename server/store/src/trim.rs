//! The trimming of applied entries at the log's beginning, and the size of the log.
//!
//! The pages of trimmed entries are used again: the file does not shrink, but it stops growing.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, params};
use tercet_core::id::Lsn;

use super::{
    Readers, StoreError,
    base::{self, Base},
};

/// The bounds of what one [`super::WriteOp::Trim`] removes, because other operations wait for it.
pub(super) const TRIM_ENTRIES_MAX: u64 = 2_048;
const TRIM_BYTES_MAX: u64 = 2 << 20;

/// Entries that [`Readers::trim_point`] reads.
const LOOKED_AT_MAX: u64 = 65_536;

/// The size of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSize {
    /// The first entry; one past `last` if there is none.
    pub start: Lsn,
    pub last: Lsn,
    /// Bytes of all payloads.
    pub bytes: u64,
}

/// The committed size, shared by the writer with the readers.
#[derive(Clone)]
pub(super) struct SharedSize(Arc<Mutex<LogSize>>);

impl SharedSize {
    pub fn new(size: LogSize) -> SharedSize {
        SharedSize(Arc::new(Mutex::new(size)))
    }

    pub fn set(&self, size: LogSize) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = size;
    }

    fn get(&self) -> LogSize {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Trims entries up to `through`, all of them applied, or fewer; gives the new base and the removed payload
/// bytes.
///
/// # Errors
/// `Corrupt` when one of the entries was changed: the base computed from it could be wrong.
pub(super) fn trim(
    connection: &Connection,
    base: &Base,
    through: Lsn,
) -> Result<(Base, u64), StoreError> {
    let mut next = base.clone();
    let bytes = next.advance(connection, through, TRIM_ENTRIES_MAX, TRIM_BYTES_MAX)?;
    connection
        .prepare_cached("DELETE FROM log WHERE lsn <= ?1")?
        .execute([next.end.lsn.0])?;
    base::write(connection, &next, base.end.lsn)?;
    Ok((next, bytes))
}

impl Readers {
    /// Gives the size of the log. Reads no disk, so it may be called often.
    #[must_use]
    pub fn log_size(&self) -> LogSize {
        self.size.get()
    }

    /// Finds the entry through which the log may be trimmed so that payloads of `keep_bytes` or more remain: an
    /// applied entry, or the one before the log's first. Reads a bounded number of the oldest entries, so a log
    /// that is far too long takes several calls, with a trim after each.
    pub fn trim_point(&self, keep_bytes: u64) -> Result<Lsn, StoreError> {
        let size = self.log_size();
        let (mut point, mut bytes) = (size.start.prev(), size.bytes);
        if bytes <= keep_bytes {
            return Ok(point);
        }
        let connection = self.connection();
        let mut select = connection.prepare_cached(
            "SELECT lsn, length(payload) FROM log
             WHERE lsn >= ?1 AND lsn <= (SELECT applied_lsn FROM position)
             ORDER BY lsn LIMIT ?2",
        )?;
        let mut rows = select.query(params![size.start.0, LOOKED_AT_MAX])?;
        while let Some(row) = rows.next()? {
            let lsn = Lsn(row.get(0)?);
            bytes = bytes.saturating_sub(row.get(1)?);
            // The log was trimmed since its size was read.
            if bytes < keep_bytes || lsn != point.next() {
                break;
            }
            point = lsn;
        }
        Ok(point)
    }
}
