//! The ChatService of the pretend replicas.

use tercet_proto::v1::chat_service_server::ChatService;
use tercet_proto::v1::subscribe_response::Event;
use tercet_proto::v1::*;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};

use super::replica::{Answer, FakeReplica, message_event, outcome, refusal};

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

    async fn list_sessions(&self, _: Request<ListSessionsRequest>) -> Answer<ListSessionsResponse> {
        Err(Status::unimplemented("not pretended"))
    }

    async fn end_session(&self, _: Request<EndSessionRequest>) -> Answer<EndSessionResponse> {
        Err(Status::unimplemented("not pretended"))
    }

    async fn create_api_token(
        &self,
        _: Request<CreateApiTokenRequest>,
    ) -> Answer<CreateApiTokenResponse> {
        Err(Status::unimplemented("not pretended"))
    }

    async fn list_api_tokens(
        &self,
        _: Request<ListApiTokensRequest>,
    ) -> Answer<ListApiTokensResponse> {
        Err(Status::unimplemented("not pretended"))
    }

    async fn revoke_api_token(
        &self,
        _: Request<RevokeApiTokenRequest>,
    ) -> Answer<RevokeApiTokenResponse> {
        Err(Status::unimplemented("not pretended"))
    }

    async fn get_profile(&self, _: Request<GetProfileRequest>) -> Answer<GetProfileResponse> {
        Err(Status::unimplemented("not pretended"))
    }

    async fn update_profile(
        &self,
        _: Request<UpdateProfileRequest>,
    ) -> Answer<UpdateProfileResponse> {
        Err(Status::unimplemented("not pretended"))
    }

    async fn change_password(
        &self,
        _: Request<ChangePasswordRequest>,
    ) -> Answer<ChangePasswordResponse> {
        Err(Status::unimplemented("not pretended"))
    }

    async fn block_account(&self, _: Request<BlockAccountRequest>) -> Answer<BlockAccountResponse> {
        Err(Status::unimplemented("not pretended"))
    }

    async fn unblock_account(
        &self,
        _: Request<UnblockAccountRequest>,
    ) -> Answer<UnblockAccountResponse> {
        Err(Status::unimplemented("not pretended"))
    }

    async fn list_blocks(&self, _: Request<ListBlocksRequest>) -> Answer<ListBlocksResponse> {
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

    async fn create_room(&self, _: Request<CreateRoomRequest>) -> Answer<CreateRoomResponse> {
        Err(Status::unimplemented("no rooms"))
    }

    async fn join_room(&self, _: Request<JoinRoomRequest>) -> Answer<JoinRoomResponse> {
        Err(Status::unimplemented("no rooms"))
    }

    async fn leave_room(&self, _: Request<LeaveRoomRequest>) -> Answer<LeaveRoomResponse> {
        Err(Status::unimplemented("no rooms"))
    }

    async fn invite_to_room(
        &self,
        _: Request<InviteToRoomRequest>,
    ) -> Answer<InviteToRoomResponse> {
        Err(Status::unimplemented("no rooms"))
    }

    async fn change_room(&self, _: Request<ChangeRoomRequest>) -> Answer<ChangeRoomResponse> {
        Err(Status::unimplemented("no rooms"))
    }

    async fn list_bans(&self, _: Request<ListBansRequest>) -> Answer<ListBansResponse> {
        Err(Status::unimplemented("no rooms"))
    }

    async fn list_rooms(&self, _: Request<ListRoomsRequest>) -> Answer<ListRoomsResponse> {
        Err(Status::unimplemented("no rooms"))
    }

    async fn edit_message(&self, _: Request<EditMessageRequest>) -> Answer<EditMessageResponse> {
        Err(Status::unimplemented("no rooms"))
    }

    async fn delete_message(
        &self,
        _: Request<DeleteMessageRequest>,
    ) -> Answer<DeleteMessageResponse> {
        Err(Status::unimplemented("no rooms"))
    }

    async fn set_reaction(&self, _: Request<SetReactionRequest>) -> Answer<SetReactionResponse> {
        Err(Status::unimplemented("no rooms"))
    }

    async fn list_edits(&self, _: Request<ListEditsRequest>) -> Answer<ListEditsResponse> {
        Err(Status::unimplemented("no rooms"))
    }

    async fn pin_message(&self, _: Request<PinMessageRequest>) -> Answer<PinMessageResponse> {
        Err(Status::unimplemented("not pretended"))
    }

    async fn unpin_message(&self, _: Request<UnpinMessageRequest>) -> Answer<UnpinMessageResponse> {
        Err(Status::unimplemented("not pretended"))
    }

    async fn list_pins(&self, _: Request<ListPinsRequest>) -> Answer<ListPinsResponse> {
        Err(Status::unimplemented("not pretended"))
    }

    async fn set_notification_level(
        &self,
        _: Request<SetNotificationLevelRequest>,
    ) -> Answer<SetNotificationLevelResponse> {
        Err(Status::unimplemented("not pretended"))
    }

    async fn set_keyword(&self, _: Request<SetKeywordRequest>) -> Answer<SetKeywordResponse> {
        Err(Status::unimplemented("not pretended"))
    }

    async fn list_keywords(&self, _: Request<ListKeywordsRequest>) -> Answer<ListKeywordsResponse> {
        Err(Status::unimplemented("not pretended"))
    }

    async fn get_presence(&self, _: Request<GetPresenceRequest>) -> Answer<GetPresenceResponse> {
        Err(Status::unimplemented("not pretended"))
    }

    async fn set_presence(&self, _: Request<SetPresenceRequest>) -> Answer<SetPresenceResponse> {
        Err(Status::unimplemented("not pretended"))
    }

    async fn set_typing(&self, _: Request<SetTypingRequest>) -> Answer<SetTypingResponse> {
        Err(Status::unimplemented("not pretended"))
    }

    async fn list_mentions(&self, _: Request<ListMentionsRequest>) -> Answer<ListMentionsResponse> {
        Err(Status::unimplemented("not pretended"))
    }

    async fn mark_read(&self, _: Request<MarkReadRequest>) -> Answer<MarkReadResponse> {
        Err(Status::unimplemented("not pretended"))
    }

    async fn list_members(&self, _: Request<ListMembersRequest>) -> Answer<ListMembersResponse> {
        Err(Status::unimplemented("no rooms"))
    }

    async fn list_conversations(
        &self,
        _: Request<ListConversationsRequest>,
    ) -> Answer<ListConversationsResponse> {
        Err(Status::unimplemented("no rooms"))
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
    async fn search_messages(
        &self,
        _: Request<SearchMessagesRequest>,
    ) -> Answer<SearchMessagesResponse> {
        Err(Status::unimplemented("not pretended"))
    }

    async fn export_messages(
        &self,
        _: Request<ExportMessagesRequest>,
    ) -> Answer<ExportMessagesResponse> {
        Err(Status::unimplemented("not pretended"))
    }

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

    async fn get_state(&self, _: Request<GetStateRequest>) -> Answer<GetStateResponse> {
        Err(Status::unimplemented("not pretended"))
    }

    async fn list_state(&self, _: Request<ListStateRequest>) -> Answer<ListStateResponse> {
        Err(Status::unimplemented("not pretended"))
    }

    async fn compare_and_set(
        &self,
        _: Request<CompareAndSetRequest>,
    ) -> Answer<CompareAndSetResponse> {
        Err(Status::unimplemented("not pretended"))
    }

    async fn submit(&self, _: Request<SubmitRequest>) -> Answer<SubmitResponse> {
        Err(Status::unimplemented("not pretended"))
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
        let subscribed = Some(Event::Subscribed(Subscribed { account_id: 0 }));
        let subscribed = SubscribeResponse {
            cursor: start,
            event: subscribed,
        };
        let _ = sender.send(Ok(subscribed));
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
