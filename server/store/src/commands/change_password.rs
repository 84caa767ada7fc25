//! ChangePassword: replaces an account's password, and ends its other sessions.

use crate::fields::{self, BadField};
use rusqlite::params;
use tercet_proto::{
    log::{ChangePassword, PasswordChanged, Refusal, command::Action, outcome},
    v1,
};

use super::{
    About, Applier, Applying, Command, Fingerprint, Request, StoreError, What,
    end_other_sessions::end_others, fingerprint, password_digest, refused,
    revoke_api_token::revoke_all,
};

/// A checked request.
pub struct NewPassword {
    pub request_id: [u8; 16],
    pub old: String,
    pub new: String,
    pub revoke_api_tokens: bool,
}

/// Checks a request.
///
/// # Errors
/// When a field is rejected.
pub fn validate(request: v1::ChangePasswordRequest) -> Result<NewPassword, BadField> {
    Ok(NewPassword {
        request_id: fields::request_id(&request.request_id)?,
        old: fields::password("old_password", &request.old_password)?,
        new: fields::new_password("new_password", &request.new_password)?,
        revoke_api_tokens: request.revoke_api_tokens,
    })
}

impl Request for ChangePassword {
    type Outcome = PasswordChanged;

    fn into_action(self) -> Action {
        Action::ChangePassword(self)
    }

    fn outcome(result: outcome::Result) -> Option<PasswordChanged> {
        match result {
            outcome::Result::PasswordChanged(changed) => Some(changed),
            _ => None,
        }
    }
}

impl Command for ChangePassword {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        let token_hash = state.token_hash(&self.token_hash)?;
        let Some(account) = state.living_by_id(self.account_id)? else {
            return Ok(refused(Refusal::AccountGone));
        };
        let (password_hash, generation) = state.password_and_generation(&account)?;
        if self.password_digest[..] != password_digest(&password_hash) {
            return Ok(refused(Refusal::PasswordChanged));
        }
        let ended = end_others(state, &account, token_hash, generation, self.now_ms)?;
        let Some(sessions_ended) = ended else {
            return Ok(refused(Refusal::SessionEnded));
        };
        state
            .connection
            .prepare_cached("UPDATE users SET password_hash = ?2 WHERE id = ?1")?
            .execute(params![account.id, self.password_hash])?;
        if self.revoke_api_tokens {
            revoke_all(state, account.id)?;
        }
        Ok(outcome::Result::PasswordChanged(PasswordChanged {
            account_id: account.id,
            sessions_ended,
        }))
    }

    fn version_needed(&self) -> u32 {
        if self.revoke_api_tokens { 2 } else { 0 }
    }

    fn fingerprint(&self) -> Fingerprint {
        let account_id = self.account_id.to_be_bytes();
        let parts = [&account_id[..], &self.token_hash];
        if self.revoke_api_tokens {
            return fingerprint("change_password_and_tokens", parts);
        }
        fingerprint("change_password", parts)
    }

    fn describe(&self, _: &mut About<'_>) -> Result<What, StoreError> {
        Ok(What::Other("password"))
    }
}
