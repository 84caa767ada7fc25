//! One message on its way through an outbox, and the state that its sender needs when it waits no longer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tercet_proto::v1::SendMessageRequest;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{Error, SentMessage};

/// A message whose sender waits for the answer.
pub(super) struct PendingSend {
    pub(super) request_id: Uuid,
    pub(super) message: SendMessageRequest,
    pub(super) state: SharedSendState,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// The answer of an outbox to a sender.
pub(super) enum Answer {
    Result(Result<SentMessage, Error>),
    /// The leader has no streams of messages: the sender makes a call for the message.
    NoStreams,
}

impl PendingSend {
    /// Answers the sender. A sender that went away is normal.
    pub(super) fn answer(self, answer: Answer) {
        let _ = self.answer.send(answer);
    }

    /// Answers with a refusal, or, if that leaves an earlier attempt open, with an unknown outcome.
    pub(super) fn refuse(self, error: Error) {
        if error.settles_nothing() {
            self.state.mark_not_carried_out();
            return self.give_up(error);
        }
        self.answer(Answer::Result(Err(error)));
    }

    /// Answers with the error of a message that is not sent again.
    pub(super) fn give_up(self, last: Error) {
        let error = self.state.give_up(self.request_id, last);
        self.answer(Answer::Result(Err(error)));
    }

    /// Tells whether the sender went away.
    pub(super) fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }
}

/// The progress of a message, shared by the sender and the outbox.
#[derive(Clone, Default)]
pub(super) struct SharedSendState(Arc<Mutex<SendState>>);

#[derive(Default)]
enum SendState {
    /// The message was not carried out.
    #[default]
    NotSent,
    /// The first attempt is under way.
    Sent,
    /// An attempt failed like this, and may have been carried out.
    Unsure(Arc<str>),
    /// The sender has its answer: the message must not be sent any more.
    GivenUp,
}

impl SharedSendState {
    fn lock(&self) -> MutexGuard<'_, SendState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the beginning of an attempt. Returns false if the message must not be sent any more.
    pub(super) fn mark_sent(&self) -> bool {
        let mut state = self.lock();
        if let SendState::NotSent = *state {
            *state = SendState::Sent;
        }
        !matches!(*state, SendState::GivenUp)
    }

    /// Notes that the attempt under way was not carried out.
    pub(super) fn mark_not_carried_out(&self) {
        let mut state = self.lock();
        if let SendState::Sent = *state {
            *state = SendState::NotSent;
        }
    }

    /// Notes that the attempt under way, if there is one, failed like this.
    pub(super) fn mark_failed(&self, what: &Arc<str>) {
        let mut state = self.lock();
        if let SendState::Sent | SendState::Unsure(_) = *state {
            *state = SendState::Unsure(what.clone());
        }
    }

    /// Prevents further attempts. Returns the error of the message, which ends with `last`.
    pub(super) fn give_up(&self, request_id: Uuid, last: Error) -> Error {
        let state = std::mem::replace(&mut *self.lock(), SendState::GivenUp);
        let what = match state {
            SendState::NotSent | SendState::GivenUp => return last,
            SendState::Sent => "no answer in time".into(),
            SendState::Unsure(what) => what,
        };
        Error::OutcomeUnknown {
            request_id,
            last: format!("{what}; {last}"),
        }
    }
}
