//! CreateApiToken: makes a token for programs, of which the state has the hash.

use rusqlite::params;
use tercet_proto::{
    log::{ApiTokenCreated, CreateApiToken, Refusal, command::Action, outcome},
    v1,
};
use tercet_types::limits::{ACCOUNT_TOKENS_MAX, TOKEN_DAYS_MAX, TOKEN_NAME_CHARS_MAX};

use super::{
    About, Applier, Applying, Command, Fingerprint, Request, StoreError, Subject, What,
    fingerprint, refused,
};
use crate::{
    accounts::Scopes,
    fields::{self, BadField, bad},
};

const DAY_MS: i64 = 86_400_000;

/// A checked request.
pub struct NewToken {
    pub request_id: [u8; 16],
    pub name: String,
    pub scopes: Scopes,
    pub valid_days: u32,
}

/// Checks a request.
///
/// # Errors
/// When a field is rejected.
pub fn validate(request: v1::CreateApiTokenRequest) -> Result<NewToken, BadField> {
    let scopes = Scopes::of_wire(&request.scopes).ok_or_else(|| {
        let what = "must be one or more of READ, SEND and ACCOUNT";
        bad("scopes", "INVALID_SCOPES", what)
    })?;
    if request.valid_days > TOKEN_DAYS_MAX {
        let what = format!("is above {TOKEN_DAYS_MAX}; 0 means without end");
        return Err(bad("valid_days", "INVALID_VALID_DAYS", what));
    }
    Ok(NewToken {
        request_id: fields::request_id(&request.request_id)?,
        name: name(request.name)?,
        scopes,
        valid_days: request.valid_days,
    })
}

/// Checks the name of a token.
pub(super) fn name(text: String) -> Result<String, BadField> {
    let (field, reason) = ("name", "INVALID_TOKEN_NAME");
    if text.is_empty() {
        return Err(bad(field, reason, "is empty"));
    }
    fields::line(field, reason, text, TOKEN_NAME_CHARS_MAX)
}

impl Request for CreateApiToken {
    type Outcome = ApiTokenCreated;

    fn into_action(self) -> Action {
        Action::CreateApiToken(self)
    }

    fn subject(&self) -> Subject {
        Subject::Token(self.name.clone())
    }

    fn outcome(result: outcome::Result) -> Option<ApiTokenCreated> {
        match result {
            outcome::Result::ApiTokenCreated(created) => Some(created),
            _ => None,
        }
    }
}

impl Command for CreateApiToken {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        let token_hash = state.token_hash(&self.token_hash)?;
        let Some(account) = state.living_by_id(self.account_id)? else {
            return Ok(refused(Refusal::AccountGone));
        };
        let (count, taken): (usize, bool) = state
            .connection
            .prepare_cached(
                "SELECT count(*), ifnull(max(name = ?2), 0) FROM api_tokens WHERE account_id = ?1",
            )?
            .query_row(params![account.id, self.name], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        if taken {
            return Ok(refused(Refusal::TokenNameTaken));
        }
        if count >= ACCOUNT_TOKENS_MAX {
            return Ok(refused(Refusal::TooManyTokens));
        }
        let valid_ms = i64::from(self.valid_days) * DAY_MS;
        let expires_at_ms = (valid_ms > 0).then(|| self.made_at_ms.saturating_add(valid_ms));
        state
            .connection
            .prepare_cached(
                "INSERT OR REPLACE INTO api_tokens
                     (token_hash, account_id, name, scopes, created_at_ms, expires_at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                token_hash,
                account.id,
                self.name,
                self.scopes,
                self.made_at_ms,
                expires_at_ms
            ])?;
        Ok(outcome::Result::ApiTokenCreated(ApiTokenCreated {
            created_at_ms: self.made_at_ms,
            expires_at_ms: expires_at_ms.unwrap_or(0),
        }))
    }

    fn version_needed(&self) -> u32 {
        2
    }

    /// Includes the token's hash, as CreateSession does: a retry after a change of the password would compute
    /// another token, and must not get the answer of the first.
    fn fingerprint(&self) -> Fingerprint {
        let account_id = self.account_id.to_be_bytes();
        let (scopes, days) = (self.scopes.to_be_bytes(), self.valid_days.to_be_bytes());
        let name = self.name.as_bytes();
        let parts = [&account_id[..], name, &self.token_hash, &scopes, &days];
        fingerprint("create_api_token", parts)
    }

    fn describe(&self, _: &mut About<'_>) -> Result<What, StoreError> {
        Ok(What::Other("token"))
    }
}
