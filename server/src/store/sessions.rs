//! What is asked of all sessions at once; one is looked up in `readers.rs`.

use super::{Readers, StoreError};

impl Readers {
    /// Whether a session was made later than that, milliseconds since the Unix epoch. Looks at all sessions.
    pub fn has_session_made_after(&self, ms: i64) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM sessions WHERE created_at_ms > ?1)";
        Ok(self.connection().query_row(sql, [ms], |row| row.get(0))?)
    }
}
