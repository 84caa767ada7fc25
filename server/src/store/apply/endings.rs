//! The commands that end accounts and sessions, and the removal of their rows. Deterministic, like all of
//! applying.
//!
//! An account or a session ends at once, by one row of `users`. The number of its other rows is unbounded: each
//! command removes a few of them, and `cleanups` lists the accounts that have more. Reads ignore such rows.

use rusqlite::{OptionalExtension as _, params};
use tercet_proto::log::{
    AccountDeleted, ChangePassword, CleanedUp, CreateSession, DeleteAccount, EndOtherSessions,
    EndSession, OtherSessionsEnded, PasswordChanged, Refusal, SessionCreated, SessionEnded,
    outcome,
};

use super::{Applier, Applying, Living, refused};
use crate::{
    event::Event,
    store::{StoreError, password_digest},
};

/// The limit of sessions examined and messages dropped by one command, together: about 5 ms of work.
pub(in crate::store) const CLEANUP_ROWS: usize = 500;
/// The limit of messages that are counted when they are dropped: about 50 ms of work when none is cached.
const DROPPED_COUNTED_MAX: u64 = 300_000;
/// The limit of sessions that are counted when they end: about 5 ms of work.
const SESSIONS_COUNTED_MAX: u64 = 10_000;

impl Applier<'_, '_> {
    pub(super) fn create_session(&mut self, action: &CreateSession) -> Applying {
        if action.token_hash.len() != 32 {
            return Err(self.unknown("its token hash is not 32 bytes"));
        }
        let Some(account) = self.living_by_id(action.account_id)? else {
            return Ok(refused(Refusal::AccountGone));
        };
        let (password_hash, generation) = self.password_and_generation(&account)?;
        let digest = &action.password_digest[..];
        if self.version > 0 && !digest.is_empty() && digest != password_digest(&password_hash) {
            return Ok(refused(Refusal::PasswordChanged));
        }
        let now_ms = self.remove_expired(account.id, action.made_at_ms)?;
        self.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO sessions
                     (token_hash, account_id, created_at_ms, expires_at_ms, generation)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                &action.token_hash[..],
                account.id,
                now_ms,
                action.expires_at_ms,
                generation
            ])?;
        Ok(outcome::Result::SessionCreated(SessionCreated {
            expires_at_ms: action.expires_at_ms,
        }))
    }

    pub(super) fn end_session(&mut self, action: &EndSession) -> Applying {
        let token_hash = self.token_hash(&action.token_hash)?;
        if let Ok(account_id) = i64::try_from(action.account_id) {
            let ended = self
                .connection
                .prepare_cached("DELETE FROM sessions WHERE token_hash = ?1 AND account_id = ?2")?
                .execute(params![token_hash, account_id])?;
            if ended > 0 {
                self.events.push(Event::SessionEnded {
                    lsn: self.lsn,
                    token_hash,
                });
            }
        }
        Ok(outcome::Result::SessionEnded(SessionEnded {}))
    }

    pub(super) fn end_other_sessions(&mut self, action: &EndOtherSessions) -> Applying {
        let token_hash = self.token_hash(&action.token_hash)?;
        let Some(account) = self.living_by_id(action.account_id)? else {
            return Ok(refused(Refusal::AccountGone));
        };
        let (_, generation) = self.password_and_generation(&account)?;
        Ok(
            match self.end_others(&account, token_hash, generation, action.now_ms)? {
                None => refused(Refusal::SessionEnded),
                Some(sessions_ended) => {
                    outcome::Result::OtherSessionsEnded(OtherSessionsEnded { sessions_ended })
                }
            },
        )
    }

    pub(super) fn change_password(&mut self, action: &ChangePassword) -> Applying {
        let token_hash = self.token_hash(&action.token_hash)?;
        let Some(account) = self.living_by_id(action.account_id)? else {
            return Ok(refused(Refusal::AccountGone));
        };
        let (password_hash, generation) = self.password_and_generation(&account)?;
        if action.password_digest[..] != password_digest(&password_hash) {
            return Ok(refused(Refusal::PasswordChanged));
        }
        let Some(sessions_ended) =
            self.end_others(&account, token_hash, generation, action.now_ms)?
        else {
            return Ok(refused(Refusal::SessionEnded));
        };
        self.connection
            .prepare_cached("UPDATE users SET password_hash = ?2 WHERE id = ?1")?
            .execute(params![account.id, action.password_hash])?;
        Ok(outcome::Result::PasswordChanged(PasswordChanged {
            account_id: account.id,
            sessions_ended,
        }))
    }

    fn token_hash(&self, bytes: &[u8]) -> Result<[u8; 32], StoreError> {
        bytes
            .try_into()
            .map_err(|_| self.unknown("its token hash is not 32 bytes"))
    }

    fn password_and_generation(&self, account: &Living) -> Result<(String, u64), StoreError> {
        Ok(self
            .connection
            .prepare_cached("SELECT password_hash, session_generation FROM users WHERE id = ?1")?
            .query_row([account.id], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    /// Ends all sessions of an account except one, and gives the number of valid ones; does nothing and gives
    /// `None` when that one is not valid itself. `generation` is the account's, `now_ms` is cluster time.
    fn end_others(
        &mut self,
        account: &Living,
        kept: [u8; 32],
        generation: u64,
        now_ms: i64,
    ) -> Result<Option<u64>, StoreError> {
        let is_kept = self
            .connection
            .prepare_cached(
                "UPDATE sessions SET generation = ?4
                 WHERE token_hash = ?1 AND account_id = ?2 AND generation = ?3",
            )?
            .execute(params![kept, account.id, generation, self.lsn])?;
        if is_kept == 0 {
            return Ok(None);
        }
        let ended = self
            .connection
            .prepare_cached(
                "SELECT count(*) FROM (
                     SELECT generation FROM sessions INDEXED BY sessions_by_expiry
                     WHERE account_id = ?1 AND expires_at_ms > ?2
                     ORDER BY expires_at_ms, token_hash LIMIT ?4)
                 WHERE generation = ?3",
            )?
            .query_row(
                params![account.id, now_ms, generation, SESSIONS_COUNTED_MAX],
                |row| row.get(0),
            )?;
        self.connection
            .prepare_cached("UPDATE users SET session_generation = ?2 WHERE id = ?1")?
            .execute([account.id, self.lsn])?;
        self.begin_cleanup(account, false)?;
        self.clean_up_after(account, false, &[])?;
        self.events.push(Event::OtherSessionsEnded {
            lsn: self.lsn,
            account_id: account.id,
            kept,
        });
        Ok(Some(ended))
    }

    pub(super) fn delete_account(&mut self, action: &DeleteAccount) -> Applying {
        let Some(account) = self.living_by_id(action.account_id)? else {
            return Ok(refused(Refusal::AccountGone));
        };
        self.catch_up_index()?;
        self.connection
            .prepare_cached(
                "UPDATE users SET password_hash = '', deleted_at_lsn = ?2 WHERE id = ?1",
            )?
            .execute(params![account.id, self.lsn])?;
        self.known.clear();
        let messages_dropped = match self.version {
            0 => {
                self.connection
                    .prepare_cached("DELETE FROM sessions WHERE account_id = ?1")?
                    .execute([account.id])?;
                self.drop_waiting(&account, i64::MAX as u64)?
            }
            _ => {
                let waiting = self
                    .connection
                    .prepare_cached(
                        "SELECT count(*) FROM (
                             SELECT 1 FROM waiting_messages WHERE recipient_id = ?1 LIMIT ?2)",
                    )?
                    .query_row([account.id, DROPPED_COUNTED_MAX], |row| row.get(0))?;
                self.begin_cleanup(&account, true)?;
                self.clean_up_after(&account, true, &[])?;
                waiting
            }
        };
        self.events.push(Event::AccountDeleted {
            lsn: self.lsn,
            account_id: account.id,
        });
        Ok(outcome::Result::AccountDeleted(AccountDeleted {
            messages_dropped,
        }))
    }

    /// Drops the messages through that LSN which wait for a deleted account, all of them indexed; gives their
    /// number.
    fn drop_waiting(&mut self, account: &Living, through: u64) -> Result<u64, StoreError> {
        let waiting: Vec<(u64, u64)> = self
            .connection
            .prepare_cached(
                "SELECT m.sender_id, count(*)
                 FROM waiting_messages AS w CROSS JOIN messages AS m ON m.lsn = w.lsn
                 WHERE w.recipient_id = ?1 AND w.lsn <= ?2
                 GROUP BY m.sender_id ORDER BY m.sender_id",
            )?
            .query_map([account.id, through], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        self.requests.record_waiting(account.id, through)?;
        for sql in [
            "DELETE FROM conversation_messages WHERE (conversation_id, lsn) IN (
                 SELECT m.conversation_id, m.lsn
                 FROM waiting_messages AS w CROSS JOIN messages AS m ON m.lsn = w.lsn
                 WHERE w.recipient_id = ?1 AND w.lsn <= ?2)",
            "DELETE FROM messages WHERE lsn IN (
                 SELECT lsn FROM waiting_messages WHERE recipient_id = ?1 AND lsn <= ?2)",
            "DELETE FROM waiting_messages WHERE recipient_id = ?1 AND lsn <= ?2",
        ] {
            self.connection
                .prepare_cached(sql)?
                .execute([account.id, through])?;
        }
        let dropped = waiting.iter().map(|(_, count)| count).sum();
        for (sender_id, count) in waiting {
            self.events.push(Event::MessagesDropped {
                lsn: self.lsn,
                sender_id,
                recipient: account.username.to_string(),
                recipient_id: account.id,
                count,
            });
        }
        Ok(dropped)
    }

    /// Notes that rows of an account must be removed, from the first on.
    fn begin_cleanup(&mut self, account: &Living, is_deleted: bool) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO cleanups (account_id, is_deleted, after_token)
                 VALUES (?1, ?2, x'')",
            )?
            .execute(params![account.id, is_deleted])?;
        Ok(())
    }

    pub(super) fn clean_up(&mut self) -> Applying {
        let first: Option<(Living, bool, Vec<u8>)> = self
            .connection
            .prepare_cached(
                "SELECT u.id, u.username, c.is_deleted, c.after_token
                 FROM cleanups AS c CROSS JOIN users AS u ON u.id = c.account_id
                 ORDER BY c.account_id LIMIT 1",
            )?
            .query_row([], |row| {
                Ok((super::living(row)?, row.get(2)?, row.get(3)?))
            })
            .optional()?;
        let rows = match first {
            Some((account, is_deleted, after)) => {
                self.clean_up_after(&account, is_deleted, &after)?
            }
            None => 0,
        };
        Ok(outcome::Result::CleanedUp(CleanedUp { rows }))
    }

    /// Removes rows of an account, from the sessions after that token hash on; gives their number, and notes
    /// the progress.
    fn clean_up_after(
        &mut self,
        account: &Living,
        is_deleted: bool,
        after: &[u8],
    ) -> Result<u64, StoreError> {
        self.cleanups_changed = true;
        let sessions: Vec<(Vec<u8>, bool)> = self
            .connection
            .prepare_cached(
                "SELECT s.token_hash, s.generation <> u.session_generation
                 FROM users AS u CROSS JOIN sessions AS s INDEXED BY sessions_by_account
                     ON s.account_id = u.id
                 WHERE u.id = ?1 AND s.token_hash > ?2 ORDER BY s.token_hash LIMIT ?3",
            )?
            .query_map(params![account.id, after, CLEANUP_ROWS], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .collect::<Result<_, _>>()?;
        let mut rows = 0;
        let mut delete = self
            .connection
            .prepare_cached("DELETE FROM sessions WHERE token_hash = ?1")?;
        for (token_hash, has_ended) in &sessions {
            if is_deleted || *has_ended {
                rows += delete.execute([token_hash])? as u64;
            }
        }
        let room = CLEANUP_ROWS - sessions.len();
        let mut is_done = room > 0;
        if is_done && is_deleted {
            let (through, count): (Option<u64>, usize) = self
                .connection
                .prepare_cached(
                    "SELECT max(lsn), count(*) FROM (
                         SELECT lsn FROM waiting_messages WHERE recipient_id = ?1
                         ORDER BY lsn LIMIT ?2)",
                )?
                .query_row(params![account.id, room], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?;
            if let Some(through) = through {
                rows += self.drop_waiting(account, through)?;
            }
            is_done = count < room;
        }
        if is_done {
            self.connection
                .prepare_cached("DELETE FROM cleanups WHERE account_id = ?1")?
                .execute([account.id])?;
        } else if let Some((last, _)) = sessions.last() {
            self.connection
                .prepare_cached("UPDATE cleanups SET after_token = ?2 WHERE account_id = ?1")?
                .execute(params![account.id, last])?;
        }
        Ok(rows)
    }
}
