//! EndSession: revokes one session.

use rusqlite::params;
use tercet_proto::log::{EndSession, SessionEnded, command::Action, outcome};

use super::{
    About, Applier, Applying, Command, Fingerprint, Request, StoreError, What, fingerprint,
};
use crate::event::Event;

impl Request for EndSession {
    type Outcome = SessionEnded;

    fn into_action(self) -> Action {
        Action::EndSession(self)
    }

    fn outcome(result: outcome::Result) -> Option<SessionEnded> {
        match result {
            outcome::Result::SessionEnded(ended) => Some(ended),
            _ => None,
        }
    }
}

impl Command for EndSession {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        let token_hash = state.token_hash(&self.token_hash)?;
        if let Ok(account_id) = i64::try_from(self.account_id) {
            let ended = state
                .connection
                .prepare_cached("DELETE FROM sessions WHERE token_hash = ?1 AND account_id = ?2")?
                .execute(params![token_hash, account_id])?;
            if ended > 0 {
                state.effects.events.push(Event::SessionEnded {
                    lsn: state.lsn,
                    token_hash,
                });
            }
        }
        Ok(outcome::Result::SessionEnded(SessionEnded {}))
    }

    fn fingerprint(&self) -> Fingerprint {
        let account_id = self.account_id.to_be_bytes();
        fingerprint("end_session", [&account_id[..], &self.token_hash])
    }

    fn describe(&self, _: &mut About<'_>) -> Result<What, StoreError> {
        Ok(What::Other("session"))
    }
}
