//! The calls of ChatService, except those that send messages or subscribe.

use tercet_proto::v1::chat_service_client::ChatServiceClient;
use tercet_proto::v1::{
    AcknowledgeMessagesRequest, ChangePasswordRequest, CreateAccountRequest, DeleteAccountRequest,
    EndOtherSessionsRequest, FetchUndeliveredRequest, ListAccountsRequest, LoginRequest,
    LogoutRequest,
};
use tonic::transport::Channel;

use super::types::FromWire;
use super::{
    AccountsPage, Client, Error, HistoryPage, HistoryRequest, LoginSession, UndeliveredPage,
};

/// The largest answer, bytes: a page of 500 messages of 16 KiB is above tonic's limit of 4 MiB.
pub(super) const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Makes a client of the service, for its streams.
pub(super) fn service(channel: Channel) -> ChatServiceClient<Channel> {
    ChatServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX)
}

impl Client {
    /// Creates an account. Returns its id. `username` is 1 to 32 ASCII letters, digits and `_ . -`; `password` is 8
    /// to 256 bytes.
    ///
    /// # Errors
    /// `NAME_TAKEN`; `INVALID_USERNAME`; `INVALID_PASSWORD`; `RATE_LIMITED`; [`Error::OutcomeUnknown`]; no leader
    /// until the deadline.
    pub async fn create_account(&self, username: &str, password: &str) -> Result<u64, Error> {
        let make = |request_id| CreateAccountRequest {
            request_id,
            username: username.to_owned(),
            password: password.to_owned(),
        };
        let answer = self.call_with_new_id(make).await?;
        Ok(answer.account_id)
    }

    /// Opens a login session. Its token is for [`Client::with_token`].
    ///
    /// # Errors
    /// `WRONG_CREDENTIALS`, for an unknown name, too; `RATE_LIMITED`; no leader until the deadline.
    pub async fn login(&self, username: &str, password: &str) -> Result<LoginSession, Error> {
        self.login_labelled(username, password, "").await
    }

    /// Opens a login session as [`Client::login`] does. `label` says in [`Client::list_sessions`] what opened it, such
    /// as the name of the program and of the host: at most 64 characters.
    ///
    /// # Errors
    /// As [`Client::login`]; `INVALID_LABEL`.
    pub async fn login_labelled(
        &self,
        username: &str,
        password: &str,
        label: &str,
    ) -> Result<LoginSession, Error> {
        let make = |request_id| LoginRequest {
            request_id,
            username: username.to_owned(),
            password: password.to_owned(),
            label: label.to_owned(),
        };
        let answer = self.call_with_new_id(make).await?;
        Ok(LoginSession::from_wire(answer))
    }

    /// Revokes this client's token.
    ///
    /// # Errors
    /// The token is not valid; [`Error::OutcomeUnknown`]; no leader until the deadline.
    pub async fn logout(&self) -> Result<(), Error> {
        let make = |request_id| LogoutRequest { request_id };
        self.call_with_new_id(make).await?;
        Ok(())
    }

    /// Ends the other sessions of this client's account. Returns the number of sessions that were valid; 10,000 if
    /// there were more.
    ///
    /// # Errors
    /// The token is not valid; [`Error::OutcomeUnknown`]; no leader until the deadline.
    pub async fn end_other_sessions(&self) -> Result<u64, Error> {
        let make = |request_id| EndOtherSessionsRequest { request_id };
        let answer = self.call_with_new_id(make).await?;
        Ok(answer.sessions_ended)
    }

    /// Replaces the password of this client's account, and ends its other sessions. Returns the number of sessions
    /// that were valid; 10,000 if there were more. `new` is 8 to 256 bytes. API tokens stay valid.
    ///
    /// # Errors
    /// `WRONG_CREDENTIALS` when `old` is not the password; `RATE_LIMITED` after too many wrong passwords;
    /// `INVALID_PASSWORD`; [`Error::OutcomeUnknown`]; no leader until the deadline.
    pub async fn change_password(&self, old: &str, new: &str) -> Result<u64, Error> {
        self.replace_password(old, new, false).await
    }

    /// Replaces the password as [`Client::change_password`] does, and revokes the account's API tokens too.
    ///
    /// # Errors
    /// As [`Client::change_password`].
    pub async fn change_password_and_revoke_tokens(
        &self,
        old: &str,
        new: &str,
    ) -> Result<u64, Error> {
        self.replace_password(old, new, true).await
    }

    async fn replace_password(
        &self,
        old: &str,
        new: &str,
        revoke_api_tokens: bool,
    ) -> Result<u64, Error> {
        let make = |request_id| ChangePasswordRequest {
            request_id,
            old_password: old.to_owned(),
            new_password: new.to_owned(),
            revoke_api_tokens,
        };
        let answer = self.call_with_new_id(make).await?;
        Ok(answer.sessions_ended)
    }

    /// Deletes this client's account. Returns the number of messages that waited for it and were dropped; 300,000 if
    /// there were more.
    ///
    /// # Errors
    /// `WRONG_CREDENTIALS`; `RATE_LIMITED`; [`Error::OutcomeUnknown`]; no leader until the deadline.
    pub async fn delete_account(&self, password: &str) -> Result<u64, Error> {
        let make = |request_id| DeleteAccountRequest {
            request_id,
            password: password.to_owned(),
        };
        let answer = self.call_with_new_id(make).await?;
        Ok(answer.messages_dropped)
    }

    /// Lists one page of the accounts whose name matches `pattern`, in order of the name without case. `*` stands for
    /// any characters, `?` for one; the empty pattern matches every name. `page_size` 0 means 100; above 1,000 is
    /// 1,000. `page_token` is empty for the first page.
    ///
    /// # Errors
    /// `INVALID_PATTERN`; `WRONG_PAGE_TOKEN`; no leader until the deadline.
    pub async fn list_accounts(
        &self,
        pattern: &str,
        page_size: u32,
        page_token: &str,
    ) -> Result<AccountsPage, Error> {
        let request = ListAccountsRequest {
            pattern: pattern.to_owned(),
            page_size: i32::try_from(page_size).unwrap_or(i32::MAX),
            page_token: page_token.to_owned(),
        };
        let answer = self.call(None, request).await?;
        Ok(AccountsPage::from_wire(answer))
    }

    /// Lists one page of the messages of a conversation.
    ///
    /// # Errors
    /// `UNKNOWN_PEER`; `WRONG_PAGE_TOKEN`; no leader until the deadline.
    pub async fn list_messages(&self, request: HistoryRequest) -> Result<HistoryPage, Error> {
        let answer = self.call(None, request.into_wire()).await?;
        Ok(HistoryPage::from_wire(answer))
    }

    /// Lists one page of the messages that this account has not acknowledged, oldest first. `page_size` 0 means 100;
    /// above 500 is 500. `page_token` is empty for the first page.
    ///
    /// # Errors
    /// `WRONG_PAGE_TOKEN`; no leader until the deadline.
    pub async fn fetch_undelivered(
        &self,
        page_size: u32,
        page_token: &str,
    ) -> Result<UndeliveredPage, Error> {
        let request = FetchUndeliveredRequest {
            page_size: i32::try_from(page_size).unwrap_or(i32::MAX),
            page_token: page_token.to_owned(),
        };
        let answer = self.call(None, request).await?;
        Ok(UndeliveredPage::from_wire(answer))
    }

    /// Marks messages to this account as delivered: 1 to 1,000 ids, UUIDs in text form. Returns the number of
    /// messages that were waiting.
    ///
    /// # Errors
    /// `INVALID_MESSAGE_IDS`; [`Error::OutcomeUnknown`]; no leader until the deadline.
    pub async fn acknowledge_messages(&self, message_ids: Vec<String>) -> Result<u64, Error> {
        let make = |request_id| AcknowledgeMessagesRequest {
            request_id,
            message_ids: message_ids.clone(),
        };
        let answer = self.call_with_new_id(make).await?;
        Ok(answer.acknowledged)
    }
}
