//! The calls of ChatService about an account's own sessions and API tokens.

use tercet_proto::v1::{
    CreateApiTokenRequest, EndSessionRequest, ListApiTokensRequest, ListSessionsRequest,
    RevokeApiTokenRequest,
};

use super::types::{FromWire as _, list};
use super::{ApiScope, ApiToken, Client, Error, NewApiToken, OpenSession};

impl Client {
    /// Lists the open sessions of this client's account, at most 1,000: those that end last, latest first.
    ///
    /// # Errors
    /// The token is not valid; no leader until the deadline.
    pub async fn list_sessions(&self) -> Result<Vec<OpenSession>, Error> {
        let answer = self.call(None, ListSessionsRequest {}).await?;
        Ok(list(answer.sessions))
    }

    /// Ends one session of this client's account, by its id in [`Client::list_sessions`].
    ///
    /// # Errors
    /// `UNKNOWN_SESSION`; the token is not valid; [`Error::OutcomeUnknown`]; no leader until the deadline.
    pub async fn end_session(&self, session_id: &str) -> Result<(), Error> {
        let make = |request_id| EndSessionRequest {
            request_id,
            session_id: session_id.to_owned(),
        };
        self.call_with_new_id(make).await?;
        Ok(())
    }

    /// Makes an API token for this client's account; needs the token of a session. `valid_days` is at most 3,650; 0
    /// means without end. The token is in the answer only: no call shows it again.
    ///
    /// # Errors
    /// `TOKEN_NAME_TAKEN`; `TOO_MANY_TOKENS`; `INVALID_TOKEN_NAME`; `INVALID_SCOPES`; `INVALID_VALID_DAYS`;
    /// `SESSION_NEEDED` for a client with an API token; [`Error::OutcomeUnknown`]; no leader until the deadline.
    pub async fn create_api_token(
        &self,
        name: &str,
        scopes: &[ApiScope],
        valid_days: u32,
    ) -> Result<NewApiToken, Error> {
        let scopes: Vec<i32> = scopes.iter().map(|scope| scope.into_wire()).collect();
        let make = |request_id| CreateApiTokenRequest {
            request_id,
            name: name.to_owned(),
            scopes: scopes.clone(),
            valid_days,
        };
        let answer = self.call_with_new_id(make).await?;
        Ok(NewApiToken::from_wire(answer))
    }

    /// Lists the API tokens of this client's account, in order of their names.
    ///
    /// # Errors
    /// The token is not valid; no leader until the deadline.
    pub async fn list_api_tokens(&self) -> Result<Vec<ApiToken>, Error> {
        let answer = self.call(None, ListApiTokensRequest {}).await?;
        Ok(list(answer.api_tokens))
    }

    /// Revokes the API token of that name of this client's account.
    ///
    /// # Errors
    /// `UNKNOWN_TOKEN`; [`Error::OutcomeUnknown`]; no leader until the deadline.
    pub async fn revoke_api_token(&self, name: &str) -> Result<(), Error> {
        let make = |request_id| RevokeApiTokenRequest {
            request_id,
            name: name.to_owned(),
        };
        self.call_with_new_id(make).await?;
        Ok(())
    }
}
