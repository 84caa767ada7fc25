//! DeleteAccount: ends an account with its sessions and the messages that wait for it.
//!
//! An account ends at once, by its row; CleanUp removes the others. Reads ignore such rows.

use crate::fields::{self, BadField};
use tercet_proto::{
    log::{AccountDeleted, DeleteAccount, Refusal, command::Action, outcome},
    v1,
};

use super::{
    About, Applier, Applying, Command, Fingerprint, Request, StoreError, What, blocks, clean_up,
    fingerprint, refused, revoke_api_token::revoke_all, rooms, set_keyword, update_profile,
};
use crate::{event::Event, hidden};

/// The limit of messages that are counted when they are dropped: about 50 ms of work when none is cached.
const DROPPED_COUNTED_MAX: u64 = 300_000;

/// A checked request.
pub struct Deletion {
    pub request_id: [u8; 16],
    pub password: String,
}

/// Checks a request.
///
/// # Errors
/// When a field is rejected.
pub fn validate(request: v1::DeleteAccountRequest) -> Result<Deletion, BadField> {
    Ok(Deletion {
        request_id: fields::request_id(&request.request_id)?,
        password: fields::password("password", &request.password)?,
    })
}

impl Request for DeleteAccount {
    type Outcome = AccountDeleted;

    fn into_action(self) -> Action {
        Action::DeleteAccount(self)
    }

    fn outcome(result: outcome::Result) -> Option<AccountDeleted> {
        match result {
            outcome::Result::AccountDeleted(deleted) => Some(deleted),
            _ => None,
        }
    }
}

impl Command for DeleteAccount {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        let Some(account) = state.living_by_id(self.account_id)? else {
            return Ok(refused(Refusal::AccountGone));
        };
        state.catch_up_index()?;
        state
            .connection
            .prepare_cached(
                "UPDATE users SET password_hash = '', deleted_at_lsn = ?2 WHERE id = ?1",
            )?
            .execute([account.id, state.lsn])?;
        state.known.clear();
        revoke_all(state, account.id)?;
        update_profile::remove(state, account.id)?;
        set_keyword::remove_all(state, account.id)?;
        let messages_dropped = match state.version {
            0 => {
                state
                    .connection
                    .prepare_cached("DELETE FROM sessions WHERE account_id = ?1")?
                    .execute([account.id])?;
                clean_up::remove_of_deleted(state, &blocks::OF_DELETED, account.id, usize::MAX)?;
                hidden::let_wait(state.connection, account.id, usize::MAX)?;
                let dropped = clean_up::drop_waiting(state, &account, i64::MAX as u64)?;
                if rooms::is_in_any(state, account.id)? {
                    clean_up::begin(state, &account, true)?;
                }
                dropped
            }
            _ => {
                let waiting = state
                    .connection
                    .prepare_cached(
                        "SELECT count(*) FROM (
                             SELECT 1 FROM waiting_messages WHERE recipient_id = ?1 LIMIT ?2)",
                    )?
                    .query_row([account.id, DROPPED_COUNTED_MAX], |row| row.get(0))?;
                clean_up::begin(state, &account, true)?;
                waiting
            }
        };
        state.effects.events.push(Event::AccountDeleted {
            lsn: state.lsn,
            account_id: account.id,
        });
        Ok(outcome::Result::AccountDeleted(AccountDeleted {
            messages_dropped,
        }))
    }

    fn fingerprint(&self) -> Fingerprint {
        fingerprint("delete_account", [&self.account_id.to_be_bytes()[..]])
    }

    fn describe(&self, about: &mut About<'_>) -> Result<What, StoreError> {
        Ok(What::AccountDeleted {
            username: about.username(self.account_id)?,
        })
    }
}
