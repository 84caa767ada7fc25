//! The two services of the pretend replicas.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use prost::Message as _;
use tercet_proto::v1::chat_service_server::ChatService;
use tercet_proto::v1::cluster_service_server::ClusterService;
use tercet_proto::v1::subscribe_response::Event;
use tercet_proto::v1::*;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::{Fault, World};

#[derive(Clone)]
pub struct FakeReplica {
    pub id: u32,
    pub world: Arc<Mutex<World>>,
}

type Answer<T> = Result<Response<T>, Status>;

fn refusal(code: Code, reason: &str) -> Status {
    let details = ErrorDetails::with_error_info(reason, "tercet", HashMap::new());
    Status::with_error_details(code, reason, details)
}

pub fn message_event(message: &Message) -> SubscribeResponse {
    SubscribeResponse {
        cursor: message.cursor,
        event: Some(Event::Message(message.clone())),
    }
}

impl FakeReplica {
    fn leading(&self) -> Result<MutexGuard<'_, World>, Status> {
        let world = self.world.lock().unwrap();
        if world.leader == self.id {
            return Ok(world);
        }
        let mut metadata = HashMap::new();
        metadata.insert("leader_id".to_owned(), world.leader.to_string());
        let address = world.addresses.get(&world.leader);
        metadata.insert(
            "leader_address".to_owned(),
            address.cloned().unwrap_or_default(),
        );
        let details = ErrorDetails::with_error_info("NOT_LEADER", "tercet", metadata);
        Err(Status::with_error_details(
            Code::FailedPrecondition,
            "not here",
            details,
        ))
    }

    fn caller<T>(world: &World, request: &Request<T>) -> Result<String, Status> {
        let value = request.metadata().get("authorization");
        let token = value.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let name = token.and_then(|token| world.tokens.get(token));
        name.cloned()
            .ok_or_else(|| refusal(Code::Unauthenticated, "UNAUTHENTICATED"))
    }

    fn send(
        &self,
        sender: &str,
        request: SendMessageRequest,
    ) -> Result<SendMessageResponse, Status> {
        let mut world = self.leading()?;
        world.sends_seen.push(request.request_id.clone());
        if world.is_too_old(&request.request_id) {
            return Err(refusal(Code::FailedPrecondition, "REQUEST_TOO_OLD"));
        }
        let fault = world.faults.pop_front();
        match &fault {
            Some(Fault::UnavailableBefore) => return Err(Status::unavailable("taking over")),
            Some(Fault::Transfer(id)) => {
                world.leader = *id;
                drop(world);
                return Err(self.leading().map(|_| ()).unwrap_err());
            }
            Some(Fault::Busy(ms)) => {
                let delay = Some(Duration::from_millis(*ms));
                let details = ErrorDetails::with_retry_info(delay);
                return Err(Status::with_error_details(
                    Code::Unavailable,
                    "busy",
                    details,
                ));
            }
            Some(Fault::Full) => return Err(Status::resource_exhausted("the disk is full")),
            Some(Fault::Expired) => return Err(Status::unauthenticated("log in again")),
            Some(Fault::Lost) => {
                let message_id = request.request_id;
                return Ok(SendMessageResponse {
                    message_id,
                    ..Default::default()
                });
            }
            _ => {}
        }
        let (id, to, body) = (&request.request_id, &request.recipient, &request.body);
        if !world.accounts.contains_key(to) {
            return Err(refusal(Code::NotFound, "UNKNOWN_RECIPIENT"));
        }
        let known = world
            .messages
            .iter()
            .find(|message| &message.message_id == id);
        let message = match known {
            Some(message) => message.clone(),
            None => world.store(id, sender, to, body),
        };
        if let Some(Fault::AppliedTwice) = fault {
            world.store("0192f000-0000-7000-8000-000000000000", sender, to, body);
        }
        if let Some(Fault::UnknownAfter) = fault {
            return Err(Status::unknown("transport error"));
        }
        Ok(SendMessageResponse {
            message_id: message.message_id,
            cursor: message.cursor,
            sent_at_ms: message.sent_at_ms,
            instant: false,
        })
    }
}

/// One of several messages.
fn outcome(sequence: u64, sent: Result<SendMessageResponse, Status>) -> SendMessageOutcome {
    let result = match sent {
        Ok(sent) => send_message_outcome::Result::Sent(sent),
        Err(status) => send_message_outcome::Result::Error(tonic_types::Status {
            code: status.code() as i32,
            message: status.message().to_owned(),
            details: tonic_types::Status::decode(status.details())
                .unwrap_or_default()
                .details,
        }),
    };
    SendMessageOutcome {
        sequence,
        result: Some(result),
    }
}

#[tonic::async_trait]
impl ClusterService for FakeReplica {
    async fn is_master(&self, _: Request<IsMasterRequest>) -> Answer<IsMasterResponse> {
        let world = self.world.lock().unwrap();
        let address = world.addresses.get(&world.leader);
        Ok(Response::new(IsMasterResponse {
            is_master: world.leader == self.id,
            leader_id: world.leader,
            leader_address: address.cloned().unwrap_or_default(),
            view: Some(View {
                epoch: world.epoch,
                ..View::default()
            }),
            replica_id: self.id,
            cluster_id: world.cluster_id.clone(),
            time_ms: world.time_ms,
            replicas: world
                .roster
                .iter()
                .map(|(id, address)| ReplicaAddress {
                    replica_id: *id,
                    address: address.clone(),
                })
                .collect(),
        }))
    }

    async fn get_status(&self, _: Request<GetStatusRequest>) -> Answer<GetStatusResponse> {
        let world = self.world.lock().unwrap();
        let leads = world.leader == self.id;
        let role = if leads { Role::Leader } else { Role::Backup };
        Ok(Response::new(GetStatusResponse {
            replica_id: self.id,
            role: role.into(),
            leader_id: world.leader,
            view: Some(View {
                epoch: world.epoch,
                config_lsn: 1,
                members: world.addresses.keys().copied().collect(),
            }),
            mode: "available".to_owned(),
            last_lsn: world.cursor,
            declared_dead: world
                .declared_dead
                .get(&self.id)
                .cloned()
                .unwrap_or_default(),
            ..GetStatusResponse::default()
        }))
    }

    async fn create_checkpoint(
        &self,
        _: Request<CreateCheckpointRequest>,
    ) -> Answer<CreateCheckpointResponse> {
        let lsn = self.leading()?.cursor;
        Ok(Response::new(CreateCheckpointResponse { lsn }))
    }

    async fn get_state_hash(
        &self,
        request: Request<GetStateHashRequest>,
    ) -> Answer<GetStateHashResponse> {
        let world = self.world.lock().unwrap();
        let state_hash = world.hashes.get(&self.id).cloned().unwrap_or_default();
        let lsn = request.into_inner().lsn;
        Ok(Response::new(GetStateHashResponse { lsn, state_hash }))
    }

    async fn add_replica(&self, _: Request<AddReplicaRequest>) -> Answer<AddReplicaResponse> {
        Err(Status::unimplemented("the fake's replicas are fixed"))
    }

    async fn remove_replica(
        &self,
        _: Request<RemoveReplicaRequest>,
    ) -> Answer<RemoveReplicaResponse> {
        Err(Status::unimplemented("the fake's replicas are fixed"))
    }

    async fn stop_replica(&self, _: Request<StopReplicaRequest>) -> Answer<StopReplicaResponse> {
        Err(Status::unimplemented("the fake's replicas are fixed"))
    }

    /// The first replica that is told leads at once; the second lets the dead one in on a new disk before
    /// it is told.
    async fn recover(&self, request: Request<RecoverRequest>) -> Answer<RecoverResponse> {
        let request = request.into_inner();
        let mut world = self.world.lock().unwrap();
        if world.leader != 0 {
            return Err(refusal(Code::FailedPrecondition, "LEADER_KNOWN"));
        }
        let first = world.declared_dead.keys().next().copied();
        match (request.validate_only, first) {
            (true, _) => {}
            (false, None) => {
                world.declared_dead.insert(self.id, request.replica_ids);
            }
            (false, Some(first)) => {
                world.leader = first;
                return Err(refusal(Code::FailedPrecondition, "REPLICA_ANSWERS"));
            }
        }
        Ok(Response::new(RecoverResponse {
            replica_id: self.id,
            ..RecoverResponse::default()
        }))
    }
}

#[tonic::async_trait]
impl ChatService for FakeReplica {
    type SubscribeStream = UnboundedReceiverStream<Result<SubscribeResponse, Status>>;
    type StreamMessagesStream = UnboundedReceiverStream<Result<StreamMessagesResponse, Status>>;

    async fn create_account(
        &self,
        request: Request<CreateAccountRequest>,
    ) -> Answer<CreateAccountResponse> {
        let mut world = self.leading()?;
        let request = request.into_inner();
        if world.accounts.contains_key(&request.username) {
            return Err(refusal(Code::AlreadyExists, "NAME_TAKEN"));
        }
        world.accounts.insert(request.username, request.password);
        Ok(Response::new(CreateAccountResponse { account_id: 1 }))
    }

    async fn login(&self, request: Request<LoginRequest>) -> Answer<LoginResponse> {
        let mut world = self.leading()?;
        let request = request.into_inner();
        if world.accounts.get(&request.username) != Some(&request.password) {
            return Err(refusal(Code::Unauthenticated, "WRONG_CREDENTIALS"));
        }
        let token = format!("token-of-{}", request.username);
        world.tokens.insert(token.clone(), request.username.clone());
        Ok(Response::new(LoginResponse {
            token,
            expires_at_ms: 0,
            account_id: 1,
            username: request.username,
        }))
    }

    async fn logout(&self, _: Request<LogoutRequest>) -> Answer<LogoutResponse> {
        Ok(Response::new(LogoutResponse {}))
    }

    async fn end_other_sessions(
        &self,
        _: Request<EndOtherSessionsRequest>,
    ) -> Answer<EndOtherSessionsResponse> {
        Err(Status::unimplemented("not pretended"))
    }

    async fn change_password(
        &self,
        _: Request<ChangePasswordRequest>,
    ) -> Answer<ChangePasswordResponse> {
        Err(Status::unimplemented("not pretended"))
    }

    async fn delete_account(
        &self,
        _: Request<DeleteAccountRequest>,
    ) -> Answer<DeleteAccountResponse> {
        Err(Status::unimplemented("not pretended"))
    }

    /// All on one page; of patterns only a prefix and `*`.
    async fn list_accounts(
        &self,
        request: Request<ListAccountsRequest>,
    ) -> Answer<ListAccountsResponse> {
        let world = self.leading()?;
        let pattern = request.into_inner().pattern;
        let names = world.accounts.keys();
        let accounts = names.filter(|name| name.starts_with(pattern.trim_end_matches('*')));
        let account = |name: &String| Account {
            username: name.clone(),
            ..Account::default()
        };
        Ok(Response::new(ListAccountsResponse {
            accounts: accounts.map(account).collect(),
            next_page_token: String::new(),
        }))
    }

    async fn send_message(
        &self,
        request: Request<SendMessageRequest>,
    ) -> Answer<SendMessageResponse> {
        let sender = Self::caller(&*self.leading()?, &request)?;
        self.send(&sender, request.into_inner()).map(Response::new)
    }

    async fn batch_send_messages(
        &self,
        request: Request<BatchSendMessagesRequest>,
    ) -> Answer<BatchSendMessagesResponse> {
        let sender = Self::caller(&*self.leading()?, &request)?;
        let messages = request.into_inner().messages;
        self.world.lock().unwrap().batches_seen.push(messages.len());
        let outcomes = messages.into_iter().zip(0..);
        let outcomes = outcomes.map(|(message, at)| outcome(at, self.send(&sender, message)));
        let outcomes = outcomes.collect();
        let lost = &mut self.world.lock().unwrap().batch_answers_lost;
        if *lost > 0 {
            *lost -= 1;
            return Err(Status::unknown("transport error"));
        }
        Ok(Response::new(BatchSendMessagesResponse { outcomes }))
    }

    async fn stream_messages(
        &self,
        request: Request<Streaming<StreamMessagesRequest>>,
    ) -> Answer<Self::StreamMessagesStream> {
        if self.world.lock().unwrap().without_streams {
            return Err(Status::unimplemented("of a later version"));
        }
        let sender = Self::caller(&*self.leading()?, &request)?;
        self.world.lock().unwrap().streams_seen += 1;
        let mut frames = request.into_inner();
        let (responses, receiver) = mpsc::unbounded_channel();
        let replica = self.clone();
        tokio::spawn(async move {
            let mut places = 0..;
            while let Ok(Some(frame)) = frames.message().await {
                let messages = frame.messages.into_iter().zip(&mut places);
                let outcomes =
                    messages.map(|(message, at)| outcome(at, replica.send(&sender, message)));
                let outcomes = outcomes.collect();
                let _ = responses.send(Ok(StreamMessagesResponse { outcomes }));
            }
        });
        Ok(Response::new(UnboundedReceiverStream::new(receiver)))
    }

    /// Pages towards newer messages only; the token is the last cursor.
    async fn list_messages(
        &self,
        request: Request<ListMessagesRequest>,
    ) -> Answer<ListMessagesResponse> {
        let world = self.leading()?;
        let me = Self::caller(&world, &request)?;
        let request = request.into_inner();
        let after: u64 = request.page_token.parse().unwrap_or(0);
        let of_pair = |m: &&Message| {
            (m.sender == me && m.recipient == request.peer)
                || (m.recipient == me && m.sender == request.peer)
        };
        let page_size = usize::try_from(request.page_size.clamp(1, 500)).unwrap();
        let rest: Vec<Message> = world
            .messages
            .iter()
            .filter(of_pair)
            .filter(|m| m.cursor > after)
            .cloned()
            .collect();
        let messages: Vec<Message> = rest.iter().take(page_size).cloned().collect();
        let next_page_token = match messages.last() {
            Some(last) if rest.len() > messages.len() => last.cursor.to_string(),
            _ => String::new(),
        };
        Ok(Response::new(ListMessagesResponse {
            messages,
            next_page_token,
            ..Default::default()
        }))
    }

    /// All in one page.
    async fn fetch_undelivered(
        &self,
        request: Request<FetchUndeliveredRequest>,
    ) -> Answer<FetchUndeliveredResponse> {
        let world = self.leading()?;
        let me = Self::caller(&world, &request)?;
        let waiting = |m: &&Message| m.recipient == me && !m.delivered;
        let messages = world.messages.iter().filter(waiting).cloned().collect();
        let next_page_token = String::new();
        Ok(Response::new(FetchUndeliveredResponse {
            messages,
            next_page_token,
        }))
    }

    async fn acknowledge_messages(
        &self,
        request: Request<AcknowledgeMessagesRequest>,
    ) -> Answer<AcknowledgeMessagesResponse> {
        let mut world = self.leading()?;
        let me = Self::caller(&world, &request)?;
        let ids = request.into_inner().message_ids;
        let mut acknowledged = 0;
        for message in &mut world.messages {
            if message.recipient == me && !message.delivered && ids.contains(&message.message_id) {
                message.delivered = true;
                acknowledged += 1;
            }
        }
        Ok(Response::new(AcknowledgeMessagesResponse { acknowledged }))
    }

    async fn subscribe(&self, request: Request<SubscribeRequest>) -> Answer<Self::SubscribeStream> {
        let mut world = self.leading()?;
        let me = Self::caller(&world, &request)?;
        let request = request.into_inner();
        let from = (!request.from_now).then_some(request.cursor);
        world.subscribed_from.push(from);
        let start = from.unwrap_or(world.cursor);
        let (sender, receiver) = mpsc::unbounded_channel();
        let subscribed = Some(Event::Subscribed(Subscribed {}));
        let _ = sender.send(Ok(SubscribeResponse {
            cursor: start,
            event: subscribed,
        }));
        let again = start.saturating_sub(world.overlap);
        for message in &world.messages {
            if message.recipient == me && message.cursor > again {
                let _ = sender.send(Ok(message_event(message)));
            }
        }
        world.subscribers.push((me, sender));
        Ok(Response::new(UnboundedReceiverStream::new(receiver)))
    }
}
