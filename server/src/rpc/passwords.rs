//! Checks and changes of an account's password. Each check counts against the limits on guessing.

use bytes::Bytes;
use tercet_proto::{log, v1};
use tercet_store::{
    Account,
    commands::{
        Request as _,
        change_password::{self, NewPassword},
    },
    name_key, password_digest,
    queries::{AccountById, AccountByName, RecordedOutcome},
};
use tercet_types::fair::Key;

use super::{caller::Caller, chat::Chat, status::Failure};
use crate::auth::Session;

impl Chat {
    /// Finds the account of that name if the password is right. An unknown name takes the same time and gives
    /// the same answer as a wrong password.
    ///
    /// # Errors
    /// `Limited`, without a check, after too many wrong passwords.
    pub(super) async fn check_password(
        &self,
        caller: &Caller,
        username: &str,
        password: String,
    ) -> Result<Option<Account>, Failure> {
        let named = AccountByName {
            username: username.to_owned(),
        };
        let key = Key::origin(caller.origin()).named(username);
        let find = self.read(key, named);
        self.count_attempt(caller, username, key, find, password)
            .await
    }

    /// Finds the account of a session if the password is right.
    ///
    /// # Errors
    /// `WrongCredentials` if the password is wrong; `Limited` as in [`Chat::check_password`].
    pub(super) async fn check_own_password(
        &self,
        caller: &Caller,
        session: &Session,
        password: String,
    ) -> Result<Account, Failure> {
        let account_id = session.account_id;
        let key = Key::account(account_id);
        let account = self
            .read(key, AccountById { id: account_id })
            .await?
            .ok_or(Failure::AccountGone)?;
        let find = async { Ok(Some(account)) };
        self.count_attempt(caller, &session.username, key, find, password)
            .await?
            .ok_or(Failure::WrongCredentials)
    }

    async fn count_attempt(
        &self,
        caller: &Caller,
        username: &str,
        key: Key,
        find: impl Future<Output = Result<Option<Account>, Failure>>,
        password: String,
    ) -> Result<Option<Account>, Failure> {
        let attempt = self.limits.attempt(caller.origin(), &name_key(username))?;
        let checked = async {
            let account = find.await?;
            let stored = account.as_ref().map(|known| known.password_hash.clone());
            let right = self.passwords.verify(key, password, stored).await?;
            Ok(account.filter(|_| right))
        };
        match checked.await {
            Ok(Some(account)) => {
                self.limits.right(attempt);
                Ok(Some(account))
            }
            Ok(None) => Ok(None),
            Err(failure) => {
                self.limits.unused(&attempt);
                Err(failure)
            }
        }
    }

    pub(super) async fn do_change_password(
        &self,
        caller: &Caller,
        request: v1::ChangePasswordRequest,
    ) -> Result<v1::ChangePasswordResponse, Failure> {
        let NewPassword {
            request_id,
            old,
            new,
            revoke_api_tokens,
        } = change_password::validate(request)?;
        let session = self.session(caller).await?;
        let key = Key::account(session.account_id);
        // In a retry the old password is no longer the account's.
        let recorded = self.read(key, RecordedOutcome { request_id }).await?;
        let recorded = recorded.and_then(|outcome| outcome.result);
        if let Some(changed) = recorded.and_then(log::ChangePassword::outcome)
            && changed.account_id == session.account_id
        {
            return Ok(response(&changed));
        }
        let account = self.check_own_password(caller, &session, old).await?;
        let password_hash = self.passwords.hash(key, new).await?;
        let command = log::ChangePassword {
            now_ms: self.clock.now_ms(),
            account_id: account.id,
            token_hash: Bytes::copy_from_slice(&session.token_hash),
            password_digest: Bytes::copy_from_slice(&password_digest(&account.password_hash)),
            password_hash,
            revoke_api_tokens,
        };
        let changed = self.submit(key, request_id, command).await?;
        Ok(response(&changed))
    }
}

fn response(changed: &log::PasswordChanged) -> v1::ChangePasswordResponse {
    v1::ChangePasswordResponse {
        sessions_ended: changed.sessions_ended,
    }
}
