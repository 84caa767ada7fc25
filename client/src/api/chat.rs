//! The calls of ChatService, but those that send messages.

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

/// A page of 500 messages of 16 KiB is above tonic's limit of 4 MiB.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

pub(super) fn service(channel: Channel) -> ChatServiceClient<Channel> {
    ChatServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX)
}

impl Client {
    /// Takes a name; gives the new account's id. `password` is 8 to 256 bytes.
    ///
    /// # Errors
    /// `NAME_TAKEN`; a field out of its limits; no leader until the deadline.
    pub async fn create_account(&self, username: &str, password: &str) -> Result<u64, Error> {
        let make = |request_id| CreateAccountRequest {
            request_id,
            username: username.to_owned(),
            password: password.to_owned(),
        };
        let send = |channel, request| async move { service(channel).create_account(request).await };
        let answer = self.call_with_new_id(make, send).await?;
        Ok(answer.account_id)
    }

    /// Opens a session. Use its token with [`Client::with_token`].
    ///
    /// # Errors
    /// `WRONG_CREDENTIALS`, for an unknown name too; no leader until the deadline.
    pub async fn login(&self, username: &str, password: &str) -> Result<LoginSession, Error> {
        let make = |request_id| LoginRequest {
            request_id,
            username: username.to_owned(),
            password: password.to_owned(),
        };
        let send = |channel, request| async move { service(channel).login(request).await };
        let answer = self.call_with_new_id(make, send).await?;
        Ok(LoginSession::from_wire(answer))
    }

    /// Revokes this client's token.
    ///
    /// # Errors
    /// When the token is not valid; no leader until the deadline.
    pub async fn logout(&self) -> Result<(), Error> {
        let make = |request_id| LogoutRequest { request_id };
        let send = |channel, request| async move { service(channel).logout(request).await };
        self.call_with_new_id(make, send).await?;
        Ok(())
    }

    /// Ends the other sessions of this client's account; gives how many were valid, 10,000 when there were more.
    ///
    /// # Errors
    /// When the token is not valid; no leader until the deadline.
    pub async fn end_other_sessions(&self) -> Result<u64, Error> {
        let make = |request_id| EndOtherSessionsRequest { request_id };
        let send =
            |channel, request| async move { service(channel).end_other_sessions(request).await };
        let answer = self.call_with_new_id(make, send).await?;
        Ok(answer.sessions_ended)
    }

    /// Replaces the password of this client's account, and ends its other sessions; gives how many were
    /// valid, 10,000 when there were more. `new` is 8 to 256 bytes.
    ///
    /// # Errors
    /// `WRONG_CREDENTIALS` when `old` is not the password; `RATE_LIMITED` after too many such; no leader until the
    /// deadline.
    pub async fn change_password(&self, old: &str, new: &str) -> Result<u64, Error> {
        let make = |request_id| ChangePasswordRequest {
            request_id,
            old_password: old.to_owned(),
            new_password: new.to_owned(),
        };
        let send =
            |channel, request| async move { service(channel).change_password(request).await };
        let answer = self.call_with_new_id(make, send).await?;
        Ok(answer.sessions_ended)
    }

    /// Ends this client's account; gives the number of waiting messages that were dropped.
    ///
    /// # Errors
    /// `WRONG_CREDENTIALS`; no leader until the deadline.
    pub async fn delete_account(&self, password: &str) -> Result<u64, Error> {
        let make = |request_id| DeleteAccountRequest {
            request_id,
            password: password.to_owned(),
        };
        let send = |channel, request| async move { service(channel).delete_account(request).await };
        let answer = self.call_with_new_id(make, send).await?;
        Ok(answer.messages_dropped)
    }

    /// One page of the accounts that match a pattern of `*` and `?`; empty matches all.
    ///
    /// # Errors
    /// A bad pattern or page token; no leader until the deadline.
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
        let send = |channel, request| async move { service(channel).list_accounts(request).await };
        let answer = self.call(None, request, send).await?;
        Ok(AccountsPage::from_wire(answer))
    }

    /// One page of a conversation's history.
    ///
    /// # Errors
    /// An unknown peer; a bad page token; no leader until the deadline.
    pub async fn list_messages(&self, request: HistoryRequest) -> Result<HistoryPage, Error> {
        let send = |channel, request| async move { service(channel).list_messages(request).await };
        let answer = self.call(None, request.into_wire(), send).await?;
        Ok(HistoryPage::from_wire(answer))
    }

    /// One page of the messages that wait for this account, oldest first.
    ///
    /// # Errors
    /// A bad page token; no leader until the deadline.
    pub async fn fetch_undelivered(
        &self,
        page_size: u32,
        page_token: &str,
    ) -> Result<UndeliveredPage, Error> {
        let request = FetchUndeliveredRequest {
            page_size: i32::try_from(page_size).unwrap_or(i32::MAX),
            page_token: page_token.to_owned(),
        };
        let send =
            |channel, request| async move { service(channel).fetch_undelivered(request).await };
        let answer = self.call(None, request, send).await?;
        Ok(UndeliveredPage::from_wire(answer))
    }

    /// Marks messages as delivered, 1 to 1,000 ids; gives how many were waiting.
    ///
    /// # Errors
    /// A bad id; no leader until the deadline.
    pub async fn acknowledge_messages(&self, message_ids: Vec<String>) -> Result<u64, Error> {
        let make = |request_id| AcknowledgeMessagesRequest {
            request_id,
            message_ids: message_ids.clone(),
        };
        let send =
            |channel, request| async move { service(channel).acknowledge_messages(request).await };
        let answer = self.call_with_new_id(make, send).await?;
        Ok(answer.acknowledged)
    }
}
