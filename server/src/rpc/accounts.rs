//! Accounts and sessions.

use bytes::Bytes;
use tercet_proto::{log, v1};
use tercet_store::{
    commands::{
        Request,
        create_account::{self, NewAccount},
        create_session::{self, Login},
        delete_account::{self, Deletion},
    },
    fields, name_key, password_digest,
    queries::{AccountsByPattern, RecordedOutcome},
};
use tercet_types::{fair::Key, limits::PAGE_ACCOUNTS_MAX};

use super::{caller::Caller, chat::Chat, page, profiles, status::Failure};
use crate::auth::{Session, token};

/// Accounts on a page unless the request says how many.
const PAGE_DEFAULT: usize = 100;

impl Chat {
    /// Registers an account. The log decides whether the name is taken, not an earlier look-up, because a retry
    /// of a call that took the name must get the first answer.
    pub(super) async fn do_create_account(
        &self,
        caller: &Caller,
        request: v1::CreateAccountRequest,
    ) -> Result<v1::CreateAccountResponse, Failure> {
        let NewAccount {
            request_id,
            username,
            password,
        } = create_account::validate(request)?;
        // Hashing is expensive: only for calls that this replica can serve.
        self.handle.read().await?;
        self.limits.register(caller.origin())?;
        let key = Key::origin(caller.origin()).named(&username);
        let password_hash = self.passwords.hash(key, password).await?;
        let command = log::CreateAccount {
            username: username.clone(),
            password_hash,
        };
        let created = self.submit(key, request_id, command).await?;
        Ok(v1::CreateAccountResponse {
            account_id: created.account_id,
        })
    }

    pub(super) async fn do_login(
        &self,
        caller: &Caller,
        request: v1::LoginRequest,
    ) -> Result<v1::LoginResponse, Failure> {
        let Login {
            request_id,
            username,
            password,
            label,
        } = create_session::validate(request)?;
        // Only a leader counts the attempt, or a client that looks for the leader would be counted several
        // times.
        self.handle.read().await?;
        let account = self.check_password(caller, &username, password).await?;
        let account = account.ok_or(Failure::WrongCredentials)?;

        let token = token::issue(&account.password_hash, account.id, &request_id);
        let token_hash = token::hash(&token)
            .ok_or_else(|| Failure::Internal("a token was made that is none".into()))?;
        let ttl_ms = i64::try_from(self.session_ttl.as_millis()).unwrap_or(i64::MAX);
        let now_ms = self.clock.now_ms();
        let command = log::CreateSession {
            account_id: account.id,
            token_hash: Bytes::copy_from_slice(&token_hash),
            password_digest: Bytes::copy_from_slice(&password_digest(&account.password_hash)),
            expires_at_ms: now_ms.saturating_add(ttl_ms),
            made_at_ms: now_ms,
            label,
        };
        let logged_id = token::logged_request_id(&request_id);
        match self
            .submit(Key::account(account.id), logged_id, command)
            .await
        {
            Ok(created) => Ok(v1::LoginResponse {
                token,
                expires_at_ms: created.expires_at_ms,
                account_id: account.id,
                username: account.username,
            }),
            // The account was deleted after its password was checked.
            Err(Failure::AccountGone) => Err(Failure::WrongCredentials),
            Err(failure) => Err(failure),
        }
    }

    pub(super) async fn do_logout(
        &self,
        caller: &Caller,
        request: v1::LogoutRequest,
    ) -> Result<v1::LogoutResponse, Failure> {
        let request_id = fields::request_id(&request.request_id)?;
        let Some(session) = self.session_unless_ended(caller, request_id).await? else {
            return Ok(v1::LogoutResponse {});
        };
        let command = log::EndSession {
            account_id: session.account_id,
            token_hash: Bytes::copy_from_slice(&session.token_hash),
        };
        let key = Key::account(session.account_id);
        self.submit(key, request_id, command).await?;
        Ok(v1::LogoutResponse {})
    }

    /// Finds the session of a call that ends a session; `None` when an earlier attempt of the call ended this one.
    pub(super) async fn session_unless_ended(
        &self,
        caller: &Caller,
        request_id: [u8; 16],
    ) -> Result<Option<Session>, Failure> {
        match self.session(caller).await {
            Ok(session) => Ok(Some(session)),
            Err(failure) => {
                self.first_answer::<log::EndSession>(caller, request_id, failure)
                    .await?;
                Ok(None)
            }
        }
    }

    pub(super) async fn do_end_other_sessions(
        &self,
        caller: &Caller,
        request: v1::EndOtherSessionsRequest,
    ) -> Result<v1::EndOtherSessionsResponse, Failure> {
        let request_id = fields::request_id(&request.request_id)?;
        let session = self.session(caller).await?;
        let command = log::EndOtherSessions {
            now_ms: self.clock.now_ms(),
            account_id: session.account_id,
            token_hash: Bytes::copy_from_slice(&session.token_hash),
        };
        let key = Key::account(session.account_id);
        let ended = self.submit(key, request_id, command).await?;
        Ok(v1::EndOtherSessionsResponse {
            sessions_ended: ended.sessions_ended,
        })
    }

    pub(super) async fn do_delete_account(
        &self,
        caller: &Caller,
        request: v1::DeleteAccountRequest,
    ) -> Result<v1::DeleteAccountResponse, Failure> {
        let Deletion {
            request_id,
            password,
        } = delete_account::validate(request)?;
        let deleted = match self.delete_account(caller, request_id, password).await {
            Ok(deleted) => deleted,
            Err(failure) => {
                self.first_answer::<log::DeleteAccount>(caller, request_id, failure)
                    .await?
            }
        };
        Ok(v1::DeleteAccountResponse {
            messages_dropped: deleted.messages_dropped,
        })
    }

    async fn delete_account(
        &self,
        caller: &Caller,
        request_id: [u8; 16],
        password: String,
    ) -> Result<log::AccountDeleted, Failure> {
        let session = self.session(caller).await?;
        let account = self.check_own_password(caller, &session, password).await?;
        let account_id = account.id;
        let key = Key::account(account_id);
        let command = log::DeleteAccount { account_id };
        self.submit(key, request_id, command).await
    }

    /// Finds the first answer of a call that ends its own session. A retry cannot show that session, so the
    /// answer is found by the request id alone. A caller that has the id, which cannot be guessed, learns only
    /// that a session or an account ended.
    ///
    /// # Errors
    /// The given failure, unless the session is gone and there is a first answer; `InvalidToken` when another
    /// request used this id.
    async fn first_answer<R: Request>(
        &self,
        caller: &Caller,
        request_id: [u8; 16],
        failure: Failure,
    ) -> Result<R::Outcome, Failure> {
        if !matches!(failure, Failure::InvalidToken | Failure::AccountGone) {
            return Err(failure);
        }
        let recorded = self
            .read(Key::origin(caller.origin()), RecordedOutcome { request_id })
            .await?;
        let result = recorded.and_then(|outcome| outcome.result);
        R::outcome(result.ok_or(failure)?).ok_or(Failure::InvalidToken)
    }

    pub(super) async fn do_list_accounts(
        &self,
        caller: &Caller,
        request: v1::ListAccountsRequest,
    ) -> Result<v1::ListAccountsResponse, Failure> {
        let pattern = fields::pattern(&request.pattern)?;
        let limit = fields::page_size(request.page_size, PAGE_DEFAULT, PAGE_ACCOUNTS_MAX)?;
        let (permit, session) = self.permit(caller).await?;
        let account_id = session.account_id;
        let of_token = page::Query::Accounts {
            account_id,
            pattern: &pattern,
        };
        let query = AccountsByPattern {
            pattern: pattern.clone(),
            after: of_token.name(&request.page_token)?,
            limit,
        };
        let key = Key::account(account_id);
        let page = self.read_under(permit, key, query).await?;
        let next_page_token =
            page::next(&page, |last| of_token.after_name(&name_key(&last.username)));
        Ok(v1::ListAccountsResponse {
            accounts: page.rows.into_iter().map(profiles::account).collect(),
            next_page_token,
        })
    }
}
