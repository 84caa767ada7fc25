//! CreateSession: opens a session for an account whose password the leader has checked.

use crate::fields::{self, BadField};
use rusqlite::params;
use tercet_proto::{
    log::{CreateSession, Refusal, SessionCreated, command::Action, outcome},
    v1,
};
use tercet_types::limits::LABEL_CHARS_MAX;

use super::{
    About, Applier, Applying, Command, Fingerprint, Request, StoreError, What, fingerprint,
    password_digest, refused,
};

/// Expired sessions that one login removes. A login adds one, so the number of expired sessions falls.
pub(crate) const EXPIRED_ROWS: usize = 100;

/// Sessions of an account that are never removed as expired: they are refused, but a wrong clock deletes none
/// of them. Part of the rules of version 1. More than the devices of any account; a session takes 100 bytes.
const SESSIONS_KEPT: usize = 100;

/// A checked request.
pub struct Login {
    pub request_id: [u8; 16],
    pub username: String,
    pub password: String,
    pub label: String,
}

/// Checks a request.
///
/// # Errors
/// When a field is rejected.
pub fn validate(request: v1::LoginRequest) -> Result<Login, BadField> {
    Ok(Login {
        request_id: fields::request_id(&request.request_id)?,
        username: fields::username("username", &request.username)?,
        password: fields::password("password", &request.password)?,
        label: fields::line("label", "INVALID_LABEL", request.label, LABEL_CHARS_MAX)?,
    })
}

impl Request for CreateSession {
    type Outcome = SessionCreated;

    fn into_action(self) -> Action {
        Action::CreateSession(self)
    }

    fn outcome(result: outcome::Result) -> Option<SessionCreated> {
        match result {
            outcome::Result::SessionCreated(created) => Some(created),
            _ => None,
        }
    }
}

impl Command for CreateSession {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        let token_hash = state.token_hash(&self.token_hash)?;
        let Some(account) = state.living_by_id(self.account_id)? else {
            return Ok(refused(Refusal::AccountGone));
        };
        let (password_hash, generation) = state.password_and_generation(&account)?;
        let digest = &self.password_digest[..];
        if state.version > 0 && !digest.is_empty() && digest != password_digest(&password_hash) {
            return Ok(refused(Refusal::PasswordChanged));
        }
        // Builds of earlier versions do not know the label.
        let label = (state.version >= 2 && !self.label.is_empty()).then_some(&self.label);
        let now_ms = remove_expired(state, account.id, self.made_at_ms)?;
        state
            .connection
            .prepare_cached(
                "INSERT OR REPLACE INTO sessions
                     (token_hash, account_id, created_at_ms, expires_at_ms, generation, label)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                token_hash,
                account.id,
                now_ms,
                self.expires_at_ms,
                generation,
                label
            ])?;
        Ok(outcome::Result::SessionCreated(SessionCreated {
            expires_at_ms: self.expires_at_ms,
        }))
    }

    fn fingerprint(&self) -> Fingerprint {
        let account_id = self.account_id.to_be_bytes();
        fingerprint("create_session", [&account_id[..], &self.token_hash])
    }

    fn describe(&self, _: &mut About<'_>) -> Result<What, StoreError> {
        Ok(What::Other("session"))
    }
}

/// Removes expired sessions of the account that logs in, so that the table stays bounded by use. Gives the time at
/// which the new session counts as made: `made_at_ms`, except for version 0.
fn remove_expired(
    state: &Applier<'_, '_>,
    account_id: u64,
    made_at_ms: i64,
) -> Result<i64, StoreError> {
    let (now_ms, rows_max) = match state.version {
        0 => (state.stamp_ms, -1),
        _ => (made_at_ms, spare_sessions(state, account_id)?),
    };
    state
        .connection
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
fn spare_sessions(state: &Applier<'_, '_>, account_id: u64) -> Result<i64, StoreError> {
    let found: i64 = state
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
