//! Calls with many messages, each with its own outcome: a batch, or a stream that stays open. They use an
//! ordered proposer, so that no message overtakes an earlier one.

use std::collections::HashMap;

use tercet_proto::v1::{self, send_message_outcome};
use tercet_store::{
    commands::{
        Request as _, Subject,
        send_message::{self, Sending},
    },
    fields::bad,
};
use tercet_types::fair::{Key, Origin};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::{
    caller::Caller,
    chat::{Chat, command, done},
    convert,
    messages::sent,
    methods::Methods as _,
    refusals::explain_status,
    status::{Failure, rpc_status},
};
use crate::{
    auth::Session,
    ordered_proposer::OrderedProposer,
    reply::{Answer, Unavailability},
};

/// Messages of one stream without an outcome, after which no further frame is read.
const UNANSWERED_MAX: usize = 1_024;
/// Responses that may wait between a stream's task and the connection.
const RESPONSES_MAX: usize = 4;

impl Chat {
    pub(super) async fn do_batch_send_messages(
        &self,
        caller: &Caller,
        request: v1::BatchSendMessagesRequest,
    ) -> Result<v1::BatchSendMessagesResponse, Failure> {
        convert::message_count(&request.messages)?;
        if request.messages.is_empty() {
            return Err(bad("messages", "INVALID_MESSAGES", "is empty").into());
        }
        let session = self.session(caller).await?;
        if !self.handle.leads() {
            return Err(self.handle.unavailable().into());
        }
        let mut sends = Sends::new(self.clone(), caller, &session);
        sends.take(request.messages).await;
        while !sends.waiting.is_empty() {
            let (sequence, answer) = sends.proposer.answer().await;
            sends.settle(sequence, answer);
        }
        let mut outcomes = sends.ready;
        outcomes.sort_unstable_by_key(|outcome| outcome.sequence);
        Ok(v1::BatchSendMessagesResponse { outcomes })
    }

    pub(super) async fn do_stream_messages(
        &self,
        caller: &Caller,
        messages: Streaming<v1::StreamMessagesRequest>,
    ) -> Result<ReceiverStream<Result<v1::StreamMessagesResponse, Status>>, Failure> {
        let session = self.session(caller).await?;
        let sends = Sends::new(self.clone(), caller, &session);
        let (responses, outcomes) = mpsc::channel(RESPONSES_MAX);
        tokio::spawn(sends.run(messages, responses));
        Ok(ReceiverStream::new(outcomes))
    }
}

/// The messages of one call.
struct Sends {
    chat: Chat,
    /// Checked again for each message, because the session may end meanwhile.
    token_hash: [u8; 32],
    origin: Origin,
    proposer: OrderedProposer,
    /// The number of the next message.
    next: u64,
    /// Proposed messages, by number.
    waiting: HashMap<u64, Waiting>,
    /// Outcomes that are not sent yet.
    ready: Vec<v1::SendMessageOutcome>,
}

/// The parts of an outcome that are known before the message is applied.
struct Waiting {
    request_id: [u8; 16],
    subject: Subject,
}

/// Why a stream accepts no more messages.
enum End {
    /// The client half-closed it.
    HalfClosed,
    Failed(Status),
}

impl Sends {
    fn new(chat: Chat, caller: &Caller, session: &Session) -> Sends {
        Sends {
            proposer: chat
                .handle
                .ordered_proposer(Key::account(session.account_id)),
            chat,
            origin: caller.origin(),
            token_hash: session.token_hash,
            next: 0,
            waiting: HashMap::new(),
            ready: Vec::new(),
        }
    }

    async fn take(&mut self, messages: Vec<v1::SendMessageRequest>) {
        for message in messages {
            let sequence = self.next;
            self.next += 1;
            if let Err(failure) = self.propose(sequence, message).await {
                // A message that is not served now must be sent again, and later ones must not overtake it.
                if matches!(failure, Failure::Unavailable(_)) {
                    self.proposer.bar();
                }
                self.respond(sequence, Err(failure));
            }
        }
    }

    async fn propose(
        &mut self,
        sequence: u64,
        message: v1::SendMessageRequest,
    ) -> Result<(), Failure> {
        let send = send_message::validate(message)?;
        let session = self.chat.session_of(self.origin, self.token_hash).await?;
        let request_id = send.request_id;
        let request = self.chat.send_command(&session, send).await?;
        let waiting = Waiting {
            request_id,
            subject: request.subject(),
        };
        self.waiting.insert(sequence, waiting);
        let command = command(request_id, request);
        self.proposer.propose(sequence, command).await;
        Ok(())
    }

    fn settle(&mut self, sequence: u64, answer: Answer) {
        if let Some(waiting) = self.waiting.remove(&sequence) {
            let message = done::<Sending>(answer, waiting.subject);
            let result = message.map(|message| sent(waiting.request_id, message));
            self.respond(sequence, result);
        }
    }

    fn respond(&mut self, sequence: u64, result: Result<v1::SendMessageResponse, Failure>) {
        let result = match result {
            Ok(sent) => send_message_outcome::Result::Sent(sent),
            Err(failure) => {
                let roster = &self.chat.handle.status().roster;
                send_message_outcome::Result::Error(rpc_status(&failure, roster))
            }
        };
        self.ready.push(v1::SendMessageOutcome {
            sequence,
            result: Some(result),
        });
    }

    /// Runs one stream, from its first frame to its end.
    async fn run(
        mut self,
        mut messages: Streaming<v1::StreamMessagesRequest>,
        responses: mpsc::Sender<Result<v1::StreamMessagesResponse, Status>>,
    ) {
        let mut end = None;
        let mut stopped = std::pin::pin!(self.proposer.closed());
        loop {
            if !self.ready.is_empty() {
                let outcomes = std::mem::take(&mut self.ready);
                let response = v1::StreamMessagesResponse { outcomes };
                if responses.send(Ok(response)).await.is_err() {
                    return;
                }
            }
            if end.is_none() && self.proposer.is_barred() {
                end = Some(self.failed(&self.chat.handle.unavailable().into()));
            }
            match &end {
                Some(End::HalfClosed) if self.waiting.is_empty() => return,
                Some(End::Failed(status)) if self.waiting.is_empty() => {
                    let _ = responses.send(Err(status.clone())).await;
                    return;
                }
                _ => {}
            }
            let room = end.is_none() && self.waiting.len() < UNANSWERED_MAX;
            tokio::select! {
                biased;
                (sequence, answer) = self.proposer.answer() => {
                    self.settle(sequence, answer);
                    while let Some((sequence, answer)) = self.proposer.ready() {
                        self.settle(sequence, answer);
                    }
                }
                frame = messages.message(), if room => match frame {
                    Ok(Some(frame)) => match convert::message_count(&frame.messages) {
                        Ok(()) => self.take(frame.messages).await,
                        Err(bad) => end = Some(self.failed(&bad.into())),
                    },
                    Ok(None) => end = Some(End::HalfClosed),
                    // Malformed bytes, or a client that is gone.
                    Err(status) => end = Some(End::Failed(explain_status(status))),
                },
                () = &mut stopped, if end.is_none() => {
                    end = Some(self.failed(&Unavailability::Stopping.into()));
                }
                () = responses.closed() => return,
            }
        }
    }

    fn failed(&self, failure: &Failure) -> End {
        End::Failed(self.chat.status(failure))
    }
}
