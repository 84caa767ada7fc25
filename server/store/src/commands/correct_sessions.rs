//! CorrectSessions: corrects sessions that were made at a wrong time. Proposed by a leader.

use rusqlite::params;
use tercet_proto::log::{CorrectSessions, SessionsCorrected, outcome};

use super::{About, Applier, Applying, Command, Fingerprint, StoreError, What, fingerprint};

/// The difference up to which a session made later than now counts as made at a right time, milliseconds:
/// cluster time of two replicas differs by less.
pub const MADE_LATER_MAX: i64 = 60_000;

/// Sessions that one CorrectSessions changes: about 5 ms of work. Part of the rules of version 1.
const CORRECTED_MAX: usize = 1_000;

impl Command for CorrectSessions {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        let ends_at_ms = self.now_ms.saturating_add(self.ttl_ms);
        let latest_ms = self.now_ms.saturating_add(MADE_LATER_MAX);
        let count = state
            .connection
            .prepare_cached(
                "UPDATE sessions SET created_at_ms = ?1, expires_at_ms = min(expires_at_ms, ?2)
                 WHERE token_hash IN (
                     SELECT token_hash FROM sessions WHERE created_at_ms > ?3
                     ORDER BY token_hash LIMIT ?4)",
            )?
            .execute(params![self.now_ms, ends_at_ms, latest_ms, CORRECTED_MAX])?;
        Ok(outcome::Result::SessionsCorrected(SessionsCorrected {
            count: count as u64,
        }))
    }

    fn fingerprint(&self) -> Fingerprint {
        fingerprint("correct_sessions", [])
    }

    fn version_needed(&self) -> u32 {
        1
    }

    fn describe(&self, _: &mut About<'_>) -> Result<What, StoreError> {
        Ok(What::Other("session"))
    }
}
