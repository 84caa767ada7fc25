//! EndOtherSessions: ends all sessions of an account except the one that asks. ChangePassword does the same.
//!
//! All of them end at once, by the generation in the account's row; CleanUp removes their rows.

use rusqlite::params;
use tercet_proto::log::{EndOtherSessions, OtherSessionsEnded, Refusal, command::Action, outcome};

use super::{
    About, Applier, Applying, Command, Fingerprint, Living, Request, StoreError, What, clean_up,
    fingerprint, refused,
};
use crate::event::Event;

/// The limit of sessions that are counted when they end: about 5 ms of work.
const SESSIONS_COUNTED_MAX: u64 = 10_000;

impl Request for EndOtherSessions {
    type Outcome = OtherSessionsEnded;

    fn into_action(self) -> Action {
        Action::EndOtherSessions(self)
    }

    fn outcome(result: outcome::Result) -> Option<OtherSessionsEnded> {
        match result {
            outcome::Result::OtherSessionsEnded(ended) => Some(ended),
            _ => None,
        }
    }
}

impl Command for EndOtherSessions {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        let token_hash = state.token_hash(&self.token_hash)?;
        let Some(account) = state.living_by_id(self.account_id)? else {
            return Ok(refused(Refusal::AccountGone));
        };
        let (_, generation) = state.password_and_generation(&account)?;
        Ok(
            match end_others(state, &account, token_hash, generation, self.now_ms)? {
                None => refused(Refusal::SessionEnded),
                Some(sessions_ended) => {
                    outcome::Result::OtherSessionsEnded(OtherSessionsEnded { sessions_ended })
                }
            },
        )
    }

    fn fingerprint(&self) -> Fingerprint {
        let account_id = self.account_id.to_be_bytes();
        fingerprint("end_other_sessions", [&account_id[..], &self.token_hash])
    }

    fn describe(&self, _: &mut About<'_>) -> Result<What, StoreError> {
        Ok(What::Other("session"))
    }
}

/// Ends all sessions of an account except one, and gives the number of valid ones; does nothing and gives `None`
/// when that one is not valid itself. `generation` is the account's, `now_ms` is cluster time.
pub(super) fn end_others(
    state: &mut Applier<'_, '_>,
    account: &Living,
    kept: [u8; 32],
    generation: u64,
    now_ms: i64,
) -> Result<Option<u64>, StoreError> {
    let is_kept = state
        .connection
        .prepare_cached(
            "UPDATE sessions SET generation = ?4
             WHERE token_hash = ?1 AND account_id = ?2 AND generation = ?3",
        )?
        .execute(params![kept, account.id, generation, state.lsn])?;
    if is_kept == 0 {
        return Ok(None);
    }
    let ended = state
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
    state
        .connection
        .prepare_cached("UPDATE users SET session_generation = ?2 WHERE id = ?1")?
        .execute([account.id, state.lsn])?;
    clean_up::begin(state, account, false)?;
    state.effects.events.push(Event::OtherSessionsEnded {
        lsn: state.lsn,
        account_id: account.id,
        kept,
    });
    Ok(Some(ended))
}
