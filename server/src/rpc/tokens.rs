//! The API tokens of an account.

use bytes::Bytes;
use tercet_proto::{log, v1};
use tercet_store::{
    ApiToken, Scopes,
    commands::{
        create_api_token::{self, NewToken},
        revoke_api_token,
    },
    queries::{AccountById, ApiTokens},
};
use tercet_types::fair::Key;

use super::{caller::Caller, chat::Chat, status::Failure};
use crate::auth::token;

impl Chat {
    /// Makes an API token. As for a login, a retry computes the same token, of which the log has the hash.
    pub(super) async fn do_create_api_token(
        &self,
        caller: &Caller,
        request: v1::CreateApiTokenRequest,
    ) -> Result<v1::CreateApiTokenResponse, Failure> {
        let NewToken {
            request_id,
            name,
            scopes,
            valid_days,
        } = create_api_token::validate(request)?;
        let session = self.session(caller).await?;
        let id = session.account_id;
        let key = Key::account(id);
        let account = self.read(key, AccountById { id }).await?;
        let account = account.ok_or(Failure::AccountGone)?;
        let token = token::issue_api_token(&account.password_hash, id, &request_id);
        let token_hash = token::hash(&token)
            .ok_or_else(|| Failure::Internal("a token was made that is none".into()))?;
        let command = log::CreateApiToken {
            account_id: id,
            name: name.clone(),
            token_hash: Bytes::copy_from_slice(&token_hash),
            scopes: scopes.0,
            valid_days,
            made_at_ms: self.clock.now_ms(),
        };
        let logged_id = token::logged_token_request_id(&request_id);
        let created = self.submit(key, logged_id, command).await?;
        Ok(v1::CreateApiTokenResponse {
            token,
            api_token: Some(wire(ApiToken {
                name,
                scopes: Scopes(scopes.0),
                created_at_ms: created.created_at_ms,
                expires_at_ms: created.expires_at_ms,
            })),
        })
    }

    pub(super) async fn do_list_api_tokens(
        &self,
        caller: &Caller,
        _: v1::ListApiTokensRequest,
    ) -> Result<v1::ListApiTokensResponse, Failure> {
        let (permit, session) = self.permit(caller).await?;
        let account_id = session.account_id;
        let key = Key::account(account_id);
        let tokens = self.read_under(permit, key, ApiTokens { account_id });
        let tokens = tokens.await?;
        Ok(v1::ListApiTokensResponse {
            api_tokens: tokens.into_iter().map(wire).collect(),
        })
    }

    pub(super) async fn do_revoke_api_token(
        &self,
        caller: &Caller,
        request: v1::RevokeApiTokenRequest,
    ) -> Result<v1::RevokeApiTokenResponse, Failure> {
        let (request_id, name) = revoke_api_token::validate(request)?;
        let session = self.session(caller).await?;
        let account_id = session.account_id;
        let command = log::RevokeApiToken { account_id, name };
        self.submit(Key::account(account_id), request_id, command)
            .await?;
        Ok(v1::RevokeApiTokenResponse {})
    }
}

fn wire(token: ApiToken) -> v1::ApiToken {
    v1::ApiToken {
        name: token.name,
        scopes: token.scopes.to_wire(),
        created_at_ms: token.created_at_ms,
        expires_at_ms: token.expires_at_ms,
    }
}
