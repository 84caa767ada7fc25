//! The sending of single messages: over the streams of the outboxes, or by a call for each. `batch.rs` sends many at
//! once.

use std::hash::{DefaultHasher, Hasher as _};
use std::sync::{Mutex, PoisonError};

use tercet_proto::v1::SendMessageRequest;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::outbox::Outbox;
use super::pending_send::{Answer, PendingSend, SharedSendState};
use super::request_id::{new_request_id, was_too_old};
use super::types::FromWire;
use super::{Client, Error, SentMessage};

/// The way in which a client sends messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sends {
    /// Over one stream for each connection: the fastest way. Messages to one account keep their order, even if they
    /// are sent without waiting for one another. A replica without streams gets calls.
    #[default]
    Stream,
    /// By a call for each message.
    Unary,
}

/// A message of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingMessage {
    /// The id of the message. The same id gets the first answer again.
    pub request_id: Uuid,
    /// The name of the recipient.
    pub recipient: String,
    /// The text: 1 byte to 16 KiB of UTF-8, without control characters other than newline and tab.
    pub body: String,
}

impl OutgoingMessage {
    pub(super) fn to_wire(&self) -> SendMessageRequest {
        SendMessageRequest {
            request_id: self.request_id.to_string(),
            recipient: self.recipient.clone(),
            body: self.body.clone(),
            reply_to: 0,
        }
    }
}

/// The outboxes of an account, one for each connection. Each starts when it is first used.
pub(super) struct Outboxes(Vec<Mutex<Option<mpsc::Sender<PendingSend>>>>);

impl Outboxes {
    pub(super) fn new(connections: usize) -> Outboxes {
        Outboxes((0..connections.max(1)).map(|_| Mutex::default()).collect())
    }

    /// Returns the outbox for this recipient: always the same, so that a conversation keeps its order.
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
    /// Sends one direct message under a new request id. `body` is 1 byte to 16 KiB of UTF-8, without control
    /// characters other than newline and tab.
    ///
    /// # Errors
    /// `UNKNOWN_RECIPIENT`; `INVALID_BODY`; [`Error::OutcomeUnknown`]; no leader until the deadline.
    pub async fn send_message(&self, recipient: &str, body: &str) -> Result<SentMessage, Error> {
        let id = new_request_id();
        let answer = self.send_message_as(id, recipient, body).await;
        if !was_too_old(&answer) {
            return answer;
        }
        self.send_message_as(new_request_id(), recipient, body)
            .await
    }

    /// Sends one direct message under the given request id, which becomes the message's id. The same id gets the
    /// first answer again.
    ///
    /// # Errors
    /// As [`Client::send_message`]; `REQUEST_ID_REUSED` when the id belongs to another request; `REQUEST_TOO_OLD`.
    pub async fn send_message_as(
        &self,
        request_id: Uuid,
        recipient: &str,
        body: &str,
    ) -> Result<SentMessage, Error> {
        self.send_reply_as(request_id, recipient, body, 0).await
    }

    /// Sends a message to a room that replies to another one there. `reply_to` is the number of that message; 0 sends a
    /// message that is no reply. The request id is as in [`Client::send_message_as`].
    ///
    /// # Errors
    /// As [`Client::send_message_as`]; `UNKNOWN_MESSAGE`; the errors of rooms; `OLDER_REPLICAS`; `INVALID_SEQ` to an
    /// account.
    pub async fn send_reply_as(
        &self,
        request_id: Uuid,
        recipient: &str,
        body: &str,
        reply_to: u64,
    ) -> Result<SentMessage, Error> {
        let message = SendMessageRequest {
            request_id: request_id.to_string(),
            recipient: recipient.to_owned(),
            body: body.to_owned(),
            reply_to,
        };
        let deadline = Instant::now() + self.deadline;
        if self.shared.options.sends == Sends::Stream && self.shared.leader_may_have_streams() {
            let answer = self.send_on_stream(request_id, message.clone(), deadline);
            if let Answer::Result(result) = answer.await {
                return result;
            }
        }
        let left = self.with_deadline(deadline.saturating_duration_since(Instant::now()));
        let answer = left.call(Some(request_id), message).await?;
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
            return Answer::Result(Err(error));
        };
        answer
    }
}
