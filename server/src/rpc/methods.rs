//! The methods of the services: one table for each service, with the function and what a caller needs.
//! Messages of all methods pass tonic in one form, so that its code is compiled once and not for each method.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use prost::Message;
use tercet_proto::{
    method::{Encode, Method, ServerCodec},
    v1,
};
use tercet_store::Scope;
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::{BoxFuture, Service, http},
    server::{Grpc, NamedService, UnaryService},
};
use tonic_prost::ProstCodec;
use tower::service_fn;

use super::{
    REQUEST_BYTES_MAX,
    caller::Caller,
    chat::Chat,
    cluster::Cluster,
    refusals::refusal,
    scopes::Needs,
    status::{Failure, status},
};
use crate::handle::Handle;

const READ: Needs = Needs::Scope(Scope::Read);
const SEND: Needs = Needs::Scope(Scope::Send);
const ACCOUNT: Needs = Needs::Scope(Scope::Account);

/// A response of any method.
type Answer = Response<Box<dyn Encode>>;

/// The code of a method: from an encoded request to a response.
type Run<S> = fn(Arc<S>, Request<Bytes>) -> BoxFuture<Answer, Status>;

/// A service whose methods are in a table.
pub(super) trait Methods: Send + Sync + 'static {
    /// `PACKAGE.SERVICE`.
    const NAME: &'static str;

    /// Finds the method with this path.
    fn find(path: &str) -> Option<Run<Self>>;

    /// Gives the handle to the driver.
    fn handle(&self) -> &Handle;

    /// Makes the status of a failure.
    fn status(&self, failure: &Failure) -> Status {
        status(failure, &self.handle().status().roster)
    }

    /// Checks what does not depend on a session.
    ///
    /// # Errors
    /// The caller may not make the call.
    fn admit(&self, caller: &Caller) -> Result<(), Failure>;
}

/// Makes the function that finds a method by its path: for each request, the function of the service, and what its
/// caller needs.
macro_rules! table {
    ($service:ty: $($request:ident => $function:ident, $needs:expr;)+) => {
        fn find(path: &str) -> Option<Run<$service>> {
            Some(match path {
                $(<v1::$request as Method>::PATH => |service, request| Box::pin(async move {
                    let (caller, message) = Caller::of($needs, request);
                    let answer = match begin::<_, v1::$request>(&*service, &caller, message) {
                        Ok(message) => service.$function(&caller, message).await,
                        Err(failure) => Err(failure),
                    };
                    end(&*service, answer)
                }),)+
                _ => return None,
            })
        }
    };
}

impl Methods for Chat {
    const NAME: &'static str = "tercet.v1.ChatService";

    table! { Chat:
        CreateAccountRequest => do_create_account, Needs::Nothing;
        LoginRequest => do_login, Needs::Nothing;
        LogoutRequest => do_logout, Needs::Session;
        EndOtherSessionsRequest => do_end_other_sessions, Needs::Session;
        ListSessionsRequest => do_list_sessions, ACCOUNT;
        EndSessionRequest => do_end_session, ACCOUNT;
        CreateApiTokenRequest => do_create_api_token, Needs::Session;
        ListApiTokensRequest => do_list_api_tokens, ACCOUNT;
        RevokeApiTokenRequest => do_revoke_api_token, ACCOUNT;
        GetProfileRequest => do_get_profile, READ;
        UpdateProfileRequest => do_update_profile, ACCOUNT;
        ChangePasswordRequest => do_change_password, Needs::Session;
        DeleteAccountRequest => do_delete_account, Needs::Session;
        ListAccountsRequest => do_list_accounts, READ;
        BlockAccountRequest => do_block_account, ACCOUNT;
        UnblockAccountRequest => do_unblock_account, ACCOUNT;
        ListBlocksRequest => do_list_blocks, ACCOUNT;
        CreateRoomRequest => do_create_room, SEND;
        JoinRoomRequest => do_join_room, SEND;
        LeaveRoomRequest => do_leave_room, SEND;
        InviteToRoomRequest => do_invite_to_room, SEND;
        ChangeRoomRequest => do_change_room, SEND;
        ListBansRequest => do_list_bans, READ;
        ListRoomsRequest => do_list_rooms, READ;
        EditMessageRequest => do_edit_message, SEND;
        DeleteMessageRequest => do_delete_message, SEND;
        ListEditsRequest => do_list_edits, READ;
        SetReactionRequest => do_set_reaction, SEND;
        PinMessageRequest => do_pin_message, SEND;
        UnpinMessageRequest => do_unpin_message, SEND;
        ListPinsRequest => do_list_pins, READ;
        MarkReadRequest => do_mark_read, READ;
        ListMentionsRequest => do_list_mentions, READ;
        SetNotificationLevelRequest => do_set_notification_level, ACCOUNT;
        SetKeywordRequest => do_set_keyword, ACCOUNT;
        ListKeywordsRequest => do_list_keywords, READ;
        GetPresenceRequest => do_get_presence, READ;
        SetPresenceRequest => do_set_presence, READ;
        SetTypingRequest => do_set_typing, SEND;
        ListMembersRequest => do_list_members, READ;
        ListConversationsRequest => do_list_conversations, READ;
        SendMessageRequest => do_send_message, SEND;
        BatchSendMessagesRequest => do_batch_send_messages, SEND;
        ListMessagesRequest => do_list_messages, READ;
        SearchMessagesRequest => do_search_messages, READ;
        ExportMessagesRequest => do_export_messages, READ;
        GetStateRequest => do_get_state, READ;
        ListStateRequest => do_list_state, READ;
        CompareAndSetRequest => do_compare_and_set, SEND;
        SubmitRequest => do_submit, SEND;
        FetchUndeliveredRequest => do_fetch_undelivered, READ;
        AcknowledgeMessagesRequest => do_acknowledge_messages, READ;
    }

    fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The session of a caller is found by the function of the method.
    fn admit(&self, _: &Caller) -> Result<(), Failure> {
        Ok(())
    }
}

impl Methods for Cluster {
    const NAME: &'static str = "tercet.v1.ClusterService";

    table! { Cluster:
        IsMasterRequest => do_is_master, Needs::Nothing;
        GetStatusRequest => do_get_status, Needs::Nothing;
        CreateCheckpointRequest => do_create_checkpoint, Needs::AdminToken;
        GetStateHashRequest => do_get_state_hash, Needs::Nothing;
        AddReplicaRequest => do_add_replica, Needs::AdminToken;
        RemoveReplicaRequest => do_remove_replica, Needs::AdminToken;
        SetRetentionRequest => do_set_retention, Needs::AdminToken;
        StopReplicaRequest => do_stop_replica, Needs::AdminToken;
        RecoverRequest => do_recover, Needs::AdminToken;
    }

    fn handle(&self) -> &Handle {
        &self.handle
    }

    fn admit(&self, caller: &Caller) -> Result<(), Failure> {
        match caller.needs() {
            Needs::AdminToken => Ok(self.admin.check(caller.bearer())?),
            _ => Ok(()),
        }
    }
}

fn begin<S: Methods, M: Message + Default>(
    service: &S,
    caller: &Caller,
    message: Bytes,
) -> Result<M, Failure> {
    let message = M::decode(message).map_err(|error| Failure::Malformed(error.to_string()))?;
    service.admit(caller)?;
    Ok(message)
}

fn end<S: Methods, R: Message + 'static>(
    service: &S,
    answer: Result<R, Failure>,
) -> Result<Answer, Status> {
    match answer {
        Ok(answer) => Ok(Response::new(Box::new(answer))),
        Err(failure) => Err(service.status(&failure)),
    }
}

/// A service as tonic calls it.
pub(super) struct Server<S>(Arc<S>);

impl<S> Server<S> {
    pub(super) fn new(service: S) -> Server<S> {
        Server(Arc::new(service))
    }
}

impl<S> Clone for Server<S> {
    fn clone(&self) -> Server<S> {
        Server(self.0.clone())
    }
}

impl<S: Methods> NamedService for Server<S> {
    const NAME: &'static str = S::NAME;
}

impl Service<http::Request<Body>> for Server<Cluster> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        one_response(self.0.clone(), request)
    }
}

impl Service<http::Request<Body>> for Server<Chat> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let chat = self.0.clone();
        match request.uri().path() {
            "/tercet.v1.ChatService/StreamMessages" => Box::pin(async move {
                let mut grpc =
                    Grpc::new(ProstCodec::default()).max_decoding_message_size(REQUEST_BYTES_MAX);
                let stream = service_fn(move |request| {
                    let chat = chat.clone();
                    async move {
                        let (caller, messages) = Caller::of(SEND, request);
                        let outcomes = chat.do_stream_messages(&caller, messages).await;
                        outcomes
                            .map(Response::new)
                            .map_err(|failure| chat.status(&failure))
                    }
                });
                Ok(grpc.streaming(stream, request).await)
            }),
            "/tercet.v1.ChatService/Subscribe" => Box::pin(async move {
                let stream = service_fn(move |request| {
                    let chat = chat.clone();
                    async move {
                        let (caller, request) = Caller::of(READ, request);
                        let events = match begin(&*chat, &caller, request) {
                            Ok(request) => chat.do_subscribe(&caller, request).await,
                            Err(failure) => Err(failure),
                        };
                        events
                            .map(Response::new)
                            .map_err(|failure| chat.status(&failure))
                    }
                });
                let mut grpc = Grpc::new(ServerCodec).max_decoding_message_size(REQUEST_BYTES_MAX);
                Ok(grpc.server_streaming(stream, request).await)
            }),
            _ => one_response(chat, request),
        }
    }
}

/// Answers a call of a method with one request and one response.
fn one_response<S: Methods>(
    service: Arc<S>,
    request: http::Request<Body>,
) -> BoxFuture<http::Response<Body>, Infallible> {
    Box::pin(async move {
        let Some(run) = S::find(request.uri().path()) else {
            return Ok(refusal(&Failure::UnknownMethod).into_http());
        };
        let mut grpc = Grpc::new(ServerCodec).max_decoding_message_size(REQUEST_BYTES_MAX);
        Ok(grpc.unary(Unary { service, run }, request).await)
    })
}

/// One method of a service.
struct Unary<S: ?Sized> {
    service: Arc<S>,
    run: Run<S>,
}

impl<S: Methods> UnaryService<Bytes> for Unary<S> {
    type Response = Box<dyn Encode>;
    type Future = BoxFuture<Answer, Status>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        (self.run)(self.service.clone(), request)
    }
}

#[cfg(test)]
mod tests {
    use prost_types::FileDescriptorSet;

    use super::*;

    #[test]
    fn each_method_of_the_contract_with_one_response_is_in_a_table() {
        let files = FileDescriptorSet::decode(tercet_proto::PUBLIC_DESCRIPTORS).unwrap();
        let services: Vec<_> = files.file.iter().flat_map(|file| &file.service).collect();
        assert_eq!(services.len(), 2, "ChatService and ClusterService");
        for service in services {
            for method in &service.method {
                if method.client_streaming() || method.server_streaming() {
                    continue;
                }
                let path = format!("/tercet.v1.{}/{}", service.name(), method.name());
                let found = Chat::find(&path).is_some() || Cluster::find(&path).is_some();
                assert!(found, "{path}");
            }
        }
    }
}
