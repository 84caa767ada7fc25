//! Sending messages: one at a time as the caller sees it, packed into streams underneath, or many
//! in one batch.

use std::hash::{DefaultHasher, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};

use tercet_proto::v1::send_message_outcome::Result as Told;
use tercet_proto::v1::{BatchSendMessagesRequest, SendMessageOutcome, SendMessageRequest};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::chat::service;
use super::error::{Verdict, judge, status_of};
use super::outbox::{Answer, Outbox, PendingSend, SharedSendState};
use super::retry::RetryState;
use super::types::FromWire;
use super::{
    Client, Error, SentMessage,
    request_id::{new_request_id, was_too_old},
};

/// How a client sends messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sends {
    /// Over one stream for each connection: the fastest, and messages to one account that are sent
    /// without pending for one another keep their order. A replica without streams gets calls.
    #[default]
    Stream,
    /// By a call for each.
    Unary,
}

/// A message of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingMessage {
    /// The message's id; the same id gives the first answer again.
    pub request_id: Uuid,
    pub recipient: String,
    pub body: String,
}

/// A client's outboxes, one for each connection; each starts when it is first used.
pub(super) struct Outboxes(Vec<Mutex<Option<mpsc::Sender<PendingSend>>>>);

impl Outboxes {
    pub(super) fn new(connections: usize) -> Outboxes {
        Outboxes((0..connections.max(1)).map(|_| Mutex::default()).collect())
    }

    /// The outbox of messages to that account.
    fn to(&self, client: &Client, recipient: &str) -> mpsc::Sender<PendingSend> {
        let mut hash = DefaultHasher::new();
        for byte in recipient.bytes() {
            hash.write_u8(byte.to_ascii_lowercase());
        }
        let at = (hash.finish() % self.0.len() as u64) as usize;
        let mut outbox = self.0[at].lock().unwrap_or_else(PoisonError::into_inner);
        // A task ends with the runtime that it was started on.
        match &*outbox {
            Some(outbox) if !outbox.is_closed() => outbox.clone(),
            _ => outbox
                .insert(Outbox::start(
                    client.shared.clone(),
                    client.bearer.clone(),
                    at,
                ))
                .clone(),
        }
    }
}

impl Client {
    /// Sends one direct message.
    ///
    /// # Errors
    /// `UNKNOWN_RECIPIENT`; a bad body; no leader until the deadline; state unknown.
    pub async fn send_message(&self, recipient: &str, body: &str) -> Result<SentMessage, Error> {
        let id = new_request_id();
        let answer = self.send_message_as(id, recipient, body).await;
        if !was_too_old(&answer) {
            return answer;
        }
        self.send_message_as(new_request_id(), recipient, body)
            .await
    }

    /// Sends one direct message under a request id of the caller's: the message's id. The same
    /// id gives the first answer again.
    ///
    /// # Errors
    /// As [`Client::send_message`], and when the id was used for another request.
    pub async fn send_message_as(
        &self,
        request_id: Uuid,
        recipient: &str,
        body: &str,
    ) -> Result<SentMessage, Error> {
        let message = SendMessageRequest {
            request_id: request_id.to_string(),
            recipient: recipient.to_owned(),
            body: body.to_owned(),
        };
        let deadline = Instant::now() + self.deadline;
        if self.shared.options.sends == Sends::Stream && self.shared.leader_may_have_streams() {
            let answer = self.send_on_stream(request_id, message.clone(), deadline);
            if let Answer::Told(result) = answer.await {
                return result;
            }
        }
        let left = self.with_deadline(deadline.saturating_duration_since(Instant::now()));
        let send = |channel, request| async move { service(channel).send_message(request).await };
        let answer = left.call(Some(request_id), message, send).await?;
        Ok(SentMessage::from_wire(answer))
    }

    async fn send_on_stream(
        &self,
        request_id: Uuid,
        message: SendMessageRequest,
        deadline: Instant,
    ) -> Answer {
        let outbox = self.outboxes.to(self, &message.recipient);
        let state = SharedSendState::default();
        let (answer, answered) = oneshot::channel();
        let pending = PendingSend {
            request_id,
            message,
            state: state.clone(),
            answer,
        };
        let answer = timeout_at(deadline, async {
            outbox.send(pending).await.ok()?;
            answered.await.ok()
        });
        let Ok(Some(answer)) = answer.await else {
            let error = state.give_up(request_id, self.shared.roster.no_leader());
            return Answer::Told(Err(error));
        };
        answer
    }

    /// Sends up to 100 messages in one call, in order; not atomic: each has its own result, in the
    /// same order. Those that were not answered are sent again, with the same ids.
    ///
    /// # Errors
    /// When the call as a whole is refused, or nobody leads until the deadline: then none was sent.
    pub async fn send_batch(
        &self,
        messages: Vec<OutgoingMessage>,
    ) -> Result<Vec<Result<SentMessage, Error>>, Error> {
        let mut retry = RetryState::new(Instant::now() + self.deadline);
        let mut batch = Batch::new(messages);
        while let Some(id) = batch.first_open_id() {
            let send = |channel, request| async move {
                service(channel).batch_send_messages(request).await
            };
            let request = BatchSendMessagesRequest {
                messages: batch.open_messages(),
            };
            let answer = self.call_again(&mut retry, Some(id), request, send).await;
            let (answer, leader) = match answer {
                Ok(answered) => answered,
                Err(error) => {
                    batch.give_up(error)?;
                    break;
                }
            };
            if let Some(what) = retry.doubt() {
                batch.doubt_open(what);
            }
            if let Some(verdict) = batch.settle(answer.outcomes) {
                // Each message remembers whether it may have been carried out.
                retry.note(&self.shared, &leader, verdict, batch.open.len())?;
            }
        }
        Ok(batch.into_results())
    }
}

/// The messages of one batch, and their results.
struct Batch {
    messages: Vec<OutgoingMessage>,
    results: Vec<Option<Result<SentMessage, Error>>>,
    /// The places of the messages without a result, ascending.
    open: Vec<usize>,
    /// The failure, for each message, of an attempt that may have been carried out.
    doubts: Vec<Option<Arc<str>>>,
}

impl Batch {
    fn new(messages: Vec<OutgoingMessage>) -> Batch {
        let count = messages.len();
        Batch {
            messages,
            results: vec![None; count],
            open: (0..count).collect(),
            doubts: vec![None; count],
        }
    }

    fn first_open_id(&self) -> Option<Uuid> {
        let first = self.open.first()?;
        Some(self.messages[*first].request_id)
    }

    fn open_messages(&self) -> Vec<SendMessageRequest> {
        let open = self.open.iter().map(|at| &self.messages[*at]);
        let messages = open.map(|message| SendMessageRequest {
            request_id: message.request_id.to_string(),
            recipient: message.recipient.clone(),
            body: message.body.clone(),
        });
        messages.collect()
    }

    /// Notes that an earlier call with the open messages failed like this, and may have been carried out.
    fn doubt_open(&mut self, what: &str) {
        let what: Arc<str> = what.into();
        for at in &self.open {
            self.doubts[*at].get_or_insert_with(|| what.clone());
        }
    }

    /// Takes the outcomes of the open messages. Returns the verdict on the messages that are open afterwards, if any.
    fn settle(&mut self, outcomes: Vec<SendMessageOutcome>) -> Option<Verdict> {
        let mut last = Verdict::again("the replica sent fewer outcomes than messages");
        let mut longest = None;
        for outcome in outcomes {
            let place = usize::try_from(outcome.sequence).unwrap_or(usize::MAX);
            let Some(&at) = self.open.get(place) else {
                continue;
            };
            let verdict = match outcome.result {
                Some(Told::Sent(sent)) => {
                    self.results[at] = Some(Ok(SentMessage::from_wire(sent)));
                    continue;
                }
                Some(Told::Error(error)) => judge(&status_of(error)),
                None => continue,
            };
            match verdict {
                Verdict::Refused(error) => {
                    self.results[at] = Some(Err(self.refused(at, error)));
                    continue;
                }
                Verdict::NotLeader { .. } => {}
                Verdict::Again { after, ref what } => {
                    self.doubts[at] = Some(what.as_str().into());
                    longest = longest.max(after);
                }
            }
            last = verdict;
        }
        if let Verdict::Again { after, .. } = &mut last {
            *after = longest;
        }
        self.open.retain(|at| self.results[*at].is_none());
        (!self.open.is_empty()).then_some(last)
    }

    fn refused(&self, at: usize, error: Error) -> Error {
        match &self.doubts[at] {
            Some(what) if error.settles_nothing() => self.unknown(at, format!("{what}; {error}")),
            _ => error,
        }
    }

    fn unknown(&self, at: usize, last: String) -> Error {
        let request_id = self.messages[at].request_id;
        Error::OutcomeUnknown { request_id, last }
    }

    /// Gives every open message the result that the call failed.
    ///
    /// # Errors
    /// The same error, when no message of the batch was carried out, nor may have been.
    fn give_up(&mut self, error: Error) -> Result<(), Error> {
        let doubtful = matches!(error, Error::OutcomeUnknown { .. });
        let none_was_sent = self.results.iter().all(Option::is_none);
        if !doubtful && none_was_sent && self.doubts.iter().all(Option::is_none) {
            return Err(error);
        }
        for at in std::mem::take(&mut self.open) {
            self.results[at] = Some(Err(match (&error, &self.doubts[at]) {
                (Error::OutcomeUnknown { last, .. }, _) => self.unknown(at, last.clone()),
                (_, Some(what)) => self.unknown(at, format!("{what}; {error}")),
                (_, None) => error.clone(),
            }));
        }
        Ok(())
    }

    fn into_results(self) -> Vec<Result<SentMessage, Error>> {
        self.results.into_iter().flatten().collect()
    }
}
