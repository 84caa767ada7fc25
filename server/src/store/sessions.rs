//! Queries over all sessions; the look-up of one session is in `readers.rs`.

use super::{Readers, StoreError};

impl Readers {
    /// Tells whether a session was made later than `ms`, milliseconds since the Unix epoch. Reads all sessions.
    pub fn has_session_made_after(&self, ms: i64) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM sessions WHERE created_at_ms > ?1)";
        Ok(self.connection().query_row(sql, [ms], |row| row.get(0))?)
    }
}
