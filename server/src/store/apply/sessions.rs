//! Sessions and time: the removal of expired sessions, and the correction of sessions that were made at a wrong
//! time.

use rusqlite::params;
use tercet_proto::log::{CorrectSessions, SessionsCorrected, outcome};

use super::{Applier, Applying};
use crate::store::StoreError;

/// Expired sessions that one login removes. A login adds one, so the number of expired sessions falls.
pub(in crate::store) const EXPIRED_ROWS: usize = 100;

/// Sessions of an account that are never removed as expired: they are refused, but a wrong clock deletes none
/// of them. Part of the rules of version 1. More than the devices of any account; a session takes 100 bytes.
const SESSIONS_KEPT: usize = 100;

/// The difference up to which a session made later than now counts as made at a right time, milliseconds:
/// cluster time of two replicas differs by less.
pub(crate) const MADE_LATER_MAX: i64 = 60_000;

/// Sessions that one CorrectSessions changes: about 5 ms of work. Part of the rules of version 1.
const CORRECTED_MAX: usize = 1_000;

impl Applier<'_, '_> {
    /// Removes expired sessions of the account that logs in, so that the table stays bounded by use. Gives the
    /// time at which the new session counts as made: `made_at_ms`, except for version 0.
    pub(super) fn remove_expired(
        &self,
        account_id: u64,
        made_at_ms: i64,
    ) -> Result<i64, StoreError> {
        let (now_ms, rows_max) = match self.version {
            0 => (self.stamp_ms, -1),
            _ => (made_at_ms, self.spare_sessions(account_id)?),
        };
        self.connection
            .prepare_cached(
                "DELETE FROM sessions WHERE token_hash IN (
                     SELECT token_hash FROM sessions INDEXED BY sessions_by_expiry
                     WHERE account_id = ?1 AND expires_at_ms <= ?2
                     ORDER BY expires_at_ms, token_hash LIMIT ?3)",
            )?
            .execute(params![account_id, now_ms, rows_max])?;
        Ok(now_ms)
    }

    /// Gives the number of an account's sessions that may be removed now.
    fn spare_sessions(&self, account_id: u64) -> Result<i64, StoreError> {
        let found: i64 = self
            .connection
            .prepare_cached(
                "SELECT count(*) FROM (
                     SELECT 1 FROM sessions INDEXED BY sessions_by_account
                     WHERE account_id = ?1 LIMIT ?2)",
            )?
            .query_row(params![account_id, SESSIONS_KEPT + EXPIRED_ROWS], |row| {
                row.get(0)
            })?;
        Ok((found - SESSIONS_KEPT as i64).max(0))
    }

    pub(super) fn correct_sessions(&self, action: &CorrectSessions) -> Applying {
        let ends_at_ms = action.now_ms.saturating_add(action.ttl_ms);
        let latest_ms = action.now_ms.saturating_add(MADE_LATER_MAX);
        let count = self
            .connection
            .prepare_cached(
                "UPDATE sessions SET created_at_ms = ?1, expires_at_ms = min(expires_at_ms, ?2)
                 WHERE token_hash IN (
                     SELECT token_hash FROM sessions WHERE created_at_ms > ?3
                     ORDER BY token_hash LIMIT ?4)",
            )?
            .execute(params![action.now_ms, ends_at_ms, latest_ms, CORRECTED_MAX])?;
        Ok(outcome::Result::SessionsCorrected(SessionsCorrected {
            count: count as u64,
        }))
    }
}
