//! `tercet.v1.ChatService`: the parts that its calls share, and the thin layer that tonic calls. The calls
//! themselves are in `accounts.rs`, `blocks.rs`, `message_changes.rs`, `messages.rs`, `rooms.rs`, `sends.rs` and `subscribe.rs`.

use std::time::Duration;

use bytes::Bytes;
use tercet_proto::{
    log::{Command, outcome},
    servers::chat_service_server::ChatService,
    v1,
};
use tercet_store::{
    ReadThreads, command,
    commands::{Request, Subject},
    queries::{Query, SessionByToken},
    search::SearchThread,
};
use tercet_types::fair::{Key, Origin};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Status, Streaming};

use super::{
    caller::Caller,
    responses::Responses,
    scopes::{self, Call},
    status::{Failure, status},
};
use crate::{
    auth::{Found, Session, SessionCache, limits::RateLimits, password::Passwords},
    cluster_clock::ClusterClock,
    fanout::Fanout,
    handle::{Handle, ReadPermit},
    reply::Answer,
};

/// The service. Cheap to clone.
#[derive(Clone)]
pub(super) struct Chat {
    pub handle: Handle,
    pub reads: ReadThreads,
    pub search: SearchThread,
    pub fanout: Fanout,
    pub sessions: SessionCache,
    pub passwords: Passwords,
    pub limits: RateLimits,
    pub session_ttl: Duration,
    pub clock: ClusterClock,
}

/// Makes the command of a client's write.
pub(super) fn command(request_id: [u8; 16], request: impl Request) -> Command {
    command::proposal(Bytes::copy_from_slice(&request_id), request.into_action())
}

impl Chat {
    /// Reads the store under a permit, in turn with other callers. The rows were current while the call ran.
    pub async fn read<Q: Query>(&self, key: Key, query: Q) -> Result<Q::Rows, Failure> {
        let permit = self.handle.read().await?;
        self.read_under(permit, key, query).await
    }

    /// Reads the store under a permit that the call has.
    pub async fn read_under<Q: Query>(
        &self,
        permit: ReadPermit,
        key: Key,
        query: Q,
    ) -> Result<Q::Rows, Failure> {
        let rows = self.reads.read(key, query).await;
        permit.confirm()?;
        Ok(rows?)
    }

    /// Gives permission to read for the account of the call's token. The session is looked up under the permit,
    /// because a cached session proves nothing on a replica that was replaced without noticing.
    pub async fn permit(&self, caller: &Caller) -> Result<(ReadPermit, Session), Failure> {
        let permit = self.handle.read().await?;
        Ok((permit, self.session(caller).await?))
    }

    /// Finds the session of the call's token, or its API token, which must have the scope of the call.
    pub async fn session(&self, caller: &Caller) -> Result<Session, Failure> {
        let token_hash = caller.token_hash().ok_or(Failure::InvalidToken)?;
        let session = self.session_of(caller.origin(), token_hash).await?;
        caller.is_proven();
        scopes::check(caller.call(), &session)?;
        Ok(session)
    }

    /// Finds the session of a token with that hash, for a call from `origin`.
    pub async fn session_of(
        &self,
        origin: Origin,
        token_hash: [u8; 32],
    ) -> Result<Session, Failure> {
        let session = match self.sessions.get(&token_hash) {
            Found::Session(session) => session,
            Found::Absent(revision) => {
                let stored = self
                    .read(Key::origin(origin), SessionByToken { token_hash })
                    .await?;
                let session = Session::new(token_hash, stored.ok_or(Failure::InvalidToken)?);
                self.sessions.insert(revision, session.clone());
                session
            }
        };
        if session.expires_at_ms <= self.clock.now_ms() {
            return Err(Failure::ExpiredToken);
        }
        Ok(session)
    }

    /// Proposes a change, in turn with other callers.
    pub async fn submit<R: Request>(
        &self,
        key: Key,
        request_id: [u8; 16],
        request: R,
    ) -> Result<R::Outcome, Failure> {
        let subject = request.subject();
        let command = command(request_id, request);
        let answer = self.handle.propose(key, command).await;
        done::<R>(answer, subject)
    }

    pub fn status(&self, failure: &Failure) -> Status {
        status(failure, &self.handle.status().roster)
    }

    fn answer<T>(&self, result: Result<T, Failure>) -> Result<Response<T>, Status> {
        match result {
            Ok(answer) => Ok(Response::new(answer)),
            Err(failure) => Err(self.status(&failure)),
        }
    }
}

/// Gives the outcome of a proposal, unless it was refused.
pub(super) fn done<R: Request>(answer: Answer, subject: Subject) -> Result<R::Outcome, Failure> {
    let (lsn, outcome) = answer?;
    match outcome.result {
        Some(outcome::Result::Refused(refused)) => Err(Failure::of_refusal(refused, subject, lsn)),
        Some(result) => R::outcome(result).ok_or_else(|| unexpected(&result)),
        None => Err(Failure::Internal(format!("empty outcome at LSN {lsn}"))),
    }
}

/// Makes the failure for an outcome of another kind than the command, which means that the store is wrong.
pub(super) fn unexpected(outcome: &outcome::Result) -> Failure {
    Failure::Internal(format!("unexpected outcome {outcome:?}"))
}

#[tonic::async_trait]
impl ChatService for Chat {
    type SubscribeStream = Responses;
    type StreamMessagesStream = ReceiverStream<Result<v1::StreamMessagesResponse, Status>>;

    async fn create_account(
        &self,
        request: tonic::Request<v1::CreateAccountRequest>,
    ) -> Result<Response<v1::CreateAccountResponse>, Status> {
        let (caller, request) = Caller::of(Call::CreateAccount, request);
        self.answer(self.do_create_account(&caller, request).await)
    }

    async fn login(
        &self,
        request: tonic::Request<v1::LoginRequest>,
    ) -> Result<Response<v1::LoginResponse>, Status> {
        let (caller, request) = Caller::of(Call::Login, request);
        self.answer(self.do_login(&caller, request).await)
    }

    async fn logout(
        &self,
        request: tonic::Request<v1::LogoutRequest>,
    ) -> Result<Response<v1::LogoutResponse>, Status> {
        let (caller, request) = Caller::of(Call::Logout, request);
        self.answer(self.do_logout(&caller, request).await)
    }

    async fn end_other_sessions(
        &self,
        request: tonic::Request<v1::EndOtherSessionsRequest>,
    ) -> Result<Response<v1::EndOtherSessionsResponse>, Status> {
        let (caller, request) = Caller::of(Call::EndOtherSessions, request);
        self.answer(self.do_end_other_sessions(&caller, request).await)
    }

    async fn list_sessions(
        &self,
        request: tonic::Request<v1::ListSessionsRequest>,
    ) -> Result<Response<v1::ListSessionsResponse>, Status> {
        let (caller, request) = Caller::of(Call::ListSessions, request);
        self.answer(self.do_list_sessions(&caller, request).await)
    }

    async fn end_session(
        &self,
        request: tonic::Request<v1::EndSessionRequest>,
    ) -> Result<Response<v1::EndSessionResponse>, Status> {
        let (caller, request) = Caller::of(Call::EndSession, request);
        self.answer(self.do_end_session(&caller, request).await)
    }

    async fn create_api_token(
        &self,
        request: tonic::Request<v1::CreateApiTokenRequest>,
    ) -> Result<Response<v1::CreateApiTokenResponse>, Status> {
        let (caller, request) = Caller::of(Call::CreateApiToken, request);
        self.answer(self.do_create_api_token(&caller, request).await)
    }

    async fn list_api_tokens(
        &self,
        request: tonic::Request<v1::ListApiTokensRequest>,
    ) -> Result<Response<v1::ListApiTokensResponse>, Status> {
        let (caller, request) = Caller::of(Call::ListApiTokens, request);
        self.answer(self.do_list_api_tokens(&caller, request).await)
    }

    async fn revoke_api_token(
        &self,
        request: tonic::Request<v1::RevokeApiTokenRequest>,
    ) -> Result<Response<v1::RevokeApiTokenResponse>, Status> {
        let (caller, request) = Caller::of(Call::RevokeApiToken, request);
        self.answer(self.do_revoke_api_token(&caller, request).await)
    }

    async fn get_profile(
        &self,
        request: tonic::Request<v1::GetProfileRequest>,
    ) -> Result<Response<v1::GetProfileResponse>, Status> {
        let (caller, request) = Caller::of(Call::GetProfile, request);
        self.answer(self.do_get_profile(&caller, request).await)
    }

    async fn update_profile(
        &self,
        request: tonic::Request<v1::UpdateProfileRequest>,
    ) -> Result<Response<v1::UpdateProfileResponse>, Status> {
        let (caller, request) = Caller::of(Call::UpdateProfile, request);
        self.answer(self.do_update_profile(&caller, request).await)
    }

    async fn change_password(
        &self,
        request: tonic::Request<v1::ChangePasswordRequest>,
    ) -> Result<Response<v1::ChangePasswordResponse>, Status> {
        let (caller, request) = Caller::of(Call::ChangePassword, request);
        self.answer(self.do_change_password(&caller, request).await)
    }

    async fn delete_account(
        &self,
        request: tonic::Request<v1::DeleteAccountRequest>,
    ) -> Result<Response<v1::DeleteAccountResponse>, Status> {
        let (caller, request) = Caller::of(Call::DeleteAccount, request);
        self.answer(self.do_delete_account(&caller, request).await)
    }

    async fn list_accounts(
        &self,
        request: tonic::Request<v1::ListAccountsRequest>,
    ) -> Result<Response<v1::ListAccountsResponse>, Status> {
        let (caller, request) = Caller::of(Call::ListAccounts, request);
        self.answer(self.do_list_accounts(&caller, request).await)
    }

    async fn block_account(
        &self,
        request: tonic::Request<v1::BlockAccountRequest>,
    ) -> Result<Response<v1::BlockAccountResponse>, Status> {
        let (caller, request) = Caller::of(Call::BlockAccount, request);
        self.answer(self.do_block_account(&caller, request).await)
    }

    async fn unblock_account(
        &self,
        request: tonic::Request<v1::UnblockAccountRequest>,
    ) -> Result<Response<v1::UnblockAccountResponse>, Status> {
        let (caller, request) = Caller::of(Call::UnblockAccount, request);
        self.answer(self.do_unblock_account(&caller, request).await)
    }

    async fn list_blocks(
        &self,
        request: tonic::Request<v1::ListBlocksRequest>,
    ) -> Result<Response<v1::ListBlocksResponse>, Status> {
        let (caller, request) = Caller::of(Call::ListBlocks, request);
        self.answer(self.do_list_blocks(&caller, request).await)
    }

    async fn create_room(
        &self,
        request: tonic::Request<v1::CreateRoomRequest>,
    ) -> Result<Response<v1::CreateRoomResponse>, Status> {
        let (caller, request) = Caller::of(Call::CreateRoom, request);
        self.answer(self.do_create_room(&caller, request).await)
    }

    async fn join_room(
        &self,
        request: tonic::Request<v1::JoinRoomRequest>,
    ) -> Result<Response<v1::JoinRoomResponse>, Status> {
        let (caller, request) = Caller::of(Call::JoinRoom, request);
        self.answer(self.do_join_room(&caller, request).await)
    }

    async fn leave_room(
        &self,
        request: tonic::Request<v1::LeaveRoomRequest>,
    ) -> Result<Response<v1::LeaveRoomResponse>, Status> {
        let (caller, request) = Caller::of(Call::LeaveRoom, request);
        self.answer(self.do_leave_room(&caller, request).await)
    }

    async fn invite_to_room(
        &self,
        request: tonic::Request<v1::InviteToRoomRequest>,
    ) -> Result<Response<v1::InviteToRoomResponse>, Status> {
        let (caller, request) = Caller::of(Call::InviteToRoom, request);
        self.answer(self.do_invite_to_room(&caller, request).await)
    }

    async fn change_room(
        &self,
        request: tonic::Request<v1::ChangeRoomRequest>,
    ) -> Result<Response<v1::ChangeRoomResponse>, Status> {
        let (caller, request) = Caller::of(Call::ChangeRoom, request);
        self.answer(self.do_change_room(&caller, request).await)
    }

    async fn list_bans(
        &self,
        request: tonic::Request<v1::ListBansRequest>,
    ) -> Result<Response<v1::ListBansResponse>, Status> {
        let (caller, request) = Caller::of(Call::ListBans, request);
        self.answer(self.do_list_bans(&caller, request).await)
    }

    async fn list_rooms(
        &self,
        request: tonic::Request<v1::ListRoomsRequest>,
    ) -> Result<Response<v1::ListRoomsResponse>, Status> {
        let (caller, request) = Caller::of(Call::ListRooms, request);
        self.answer(self.do_list_rooms(&caller, request).await)
    }

    async fn edit_message(
        &self,
        request: tonic::Request<v1::EditMessageRequest>,
    ) -> Result<Response<v1::EditMessageResponse>, Status> {
        let (caller, request) = Caller::of(Call::EditMessage, request);
        self.answer(self.do_edit_message(&caller, request).await)
    }

    async fn delete_message(
        &self,
        request: tonic::Request<v1::DeleteMessageRequest>,
    ) -> Result<Response<v1::DeleteMessageResponse>, Status> {
        let (caller, request) = Caller::of(Call::DeleteMessage, request);
        self.answer(self.do_delete_message(&caller, request).await)
    }

    async fn set_reaction(
        &self,
        request: tonic::Request<v1::SetReactionRequest>,
    ) -> Result<Response<v1::SetReactionResponse>, Status> {
        let (caller, request) = Caller::of(Call::SetReaction, request);
        self.answer(self.do_set_reaction(&caller, request).await)
    }

    async fn list_members(
        &self,
        request: tonic::Request<v1::ListMembersRequest>,
    ) -> Result<Response<v1::ListMembersResponse>, Status> {
        let (caller, request) = Caller::of(Call::ListMembers, request);
        self.answer(self.do_list_members(&caller, request).await)
    }

    async fn list_conversations(
        &self,
        request: tonic::Request<v1::ListConversationsRequest>,
    ) -> Result<Response<v1::ListConversationsResponse>, Status> {
        let (caller, request) = Caller::of(Call::ListConversations, request);
        self.answer(self.do_list_conversations(&caller, request).await)
    }

    async fn send_message(
        &self,
        request: tonic::Request<v1::SendMessageRequest>,
    ) -> Result<Response<v1::SendMessageResponse>, Status> {
        let (caller, request) = Caller::of(Call::SendMessage, request);
        self.answer(self.do_send_message(&caller, request).await)
    }

    async fn batch_send_messages(
        &self,
        request: tonic::Request<v1::BatchSendMessagesRequest>,
    ) -> Result<Response<v1::BatchSendMessagesResponse>, Status> {
        let (caller, request) = Caller::of(Call::BatchSendMessages, request);
        self.answer(self.do_batch_send_messages(&caller, request).await)
    }

    async fn stream_messages(
        &self,
        request: tonic::Request<Streaming<v1::StreamMessagesRequest>>,
    ) -> Result<Response<Self::StreamMessagesStream>, Status> {
        let (caller, messages) = Caller::of(Call::StreamMessages, request);
        self.answer(self.do_stream_messages(&caller, messages).await)
    }

    async fn list_messages(
        &self,
        request: tonic::Request<v1::ListMessagesRequest>,
    ) -> Result<Response<v1::ListMessagesResponse>, Status> {
        let (caller, request) = Caller::of(Call::ListMessages, request);
        self.answer(self.do_list_messages(&caller, request).await)
    }

    async fn search_messages(
        &self,
        request: tonic::Request<v1::SearchMessagesRequest>,
    ) -> Result<Response<v1::SearchMessagesResponse>, Status> {
        let (caller, request) = Caller::of(Call::SearchMessages, request);
        self.answer(self.do_search_messages(&caller, request).await)
    }

    async fn export_messages(
        &self,
        request: tonic::Request<v1::ExportMessagesRequest>,
    ) -> Result<Response<v1::ExportMessagesResponse>, Status> {
        let (caller, request) = Caller::of(Call::ExportMessages, request);
        self.answer(self.do_export_messages(&caller, request).await)
    }

    async fn fetch_undelivered(
        &self,
        request: tonic::Request<v1::FetchUndeliveredRequest>,
    ) -> Result<Response<v1::FetchUndeliveredResponse>, Status> {
        let (caller, request) = Caller::of(Call::FetchUndelivered, request);
        self.answer(self.do_fetch_undelivered(&caller, request).await)
    }

    async fn acknowledge_messages(
        &self,
        request: tonic::Request<v1::AcknowledgeMessagesRequest>,
    ) -> Result<Response<v1::AcknowledgeMessagesResponse>, Status> {
        let (caller, request) = Caller::of(Call::AcknowledgeMessages, request);
        self.answer(self.do_acknowledge_messages(&caller, request).await)
    }

    async fn subscribe(
        &self,
        request: tonic::Request<v1::SubscribeRequest>,
    ) -> Result<Response<Responses>, Status> {
        let (caller, request) = Caller::of(Call::Subscribe, request);
        self.answer(self.do_subscribe(&caller, request).await)
    }
}
