//! RevokeApiToken: revokes the token of a name. ChangePassword may revoke all of an account's, and DeleteAccount
//! does.

use rusqlite::{OptionalExtension as _, params};
use tercet_proto::{
    log::{ApiTokenRevoked, Refusal, RevokeApiToken, command::Action, outcome},
    v1,
};

use super::{
    About, Applier, Applying, Command, Fingerprint, Request, StoreError, Subject, What,
    create_api_token, fingerprint, refused,
};
use crate::{
    event::Event,
    fields::{self, BadField},
};

/// Checks a request; gives its id and the name of the token.
///
/// # Errors
/// When a field is rejected.
pub fn validate(request: v1::RevokeApiTokenRequest) -> Result<([u8; 16], String), BadField> {
    Ok((
        fields::request_id(&request.request_id)?,
        create_api_token::name(request.name)?,
    ))
}

impl Request for RevokeApiToken {
    type Outcome = ApiTokenRevoked;

    fn into_action(self) -> Action {
        Action::RevokeApiToken(self)
    }

    fn subject(&self) -> Subject {
        Subject::Token(self.name.clone())
    }

    fn outcome(result: outcome::Result) -> Option<ApiTokenRevoked> {
        match result {
            outcome::Result::ApiTokenRevoked(revoked) => Some(revoked),
            _ => None,
        }
    }
}

impl Command for RevokeApiToken {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        let Some(account) = state.living_by_id(self.account_id)? else {
            return Ok(refused(Refusal::AccountGone));
        };
        let token_hash = state
            .connection
            .prepare_cached(
                "SELECT token_hash FROM api_tokens WHERE account_id = ?1 AND name = ?2",
            )?
            .query_row(params![account.id, self.name], |row| row.get(0))
            .optional()?;
        let Some(token_hash) = token_hash else {
            return Ok(refused(Refusal::UnknownToken));
        };
        revoke(state, token_hash)?;
        Ok(outcome::Result::ApiTokenRevoked(ApiTokenRevoked {}))
    }

    fn version_needed(&self) -> u32 {
        2
    }

    fn fingerprint(&self) -> Fingerprint {
        let account_id = self.account_id.to_be_bytes();
        fingerprint("revoke_api_token", [&account_id[..], self.name.as_bytes()])
    }

    fn describe(&self, _: &mut About<'_>) -> Result<What, StoreError> {
        Ok(What::Other("token"))
    }
}

/// Revokes all API tokens of an account, of which there are few.
pub(super) fn revoke_all(state: &mut Applier<'_, '_>, account_id: u64) -> Result<(), StoreError> {
    let tokens: Vec<[u8; 32]> = state
        .connection
        .prepare_cached("SELECT token_hash FROM api_tokens WHERE account_id = ?1 ORDER BY name")?
        .query_map([account_id], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for token_hash in tokens {
        revoke(state, token_hash)?;
    }
    Ok(())
}

fn revoke(state: &mut Applier<'_, '_>, token_hash: [u8; 32]) -> Result<(), StoreError> {
    state
        .connection
        .prepare_cached("DELETE FROM api_tokens WHERE token_hash = ?1")?
        .execute([token_hash])?;
    state.effects.events.push(Event::SessionEnded {
        lsn: state.lsn,
        token_hash,
    });
    Ok(())
}
