//! Batches of messages: many in one call, each with a result of its own.

use std::sync::Arc;

use tercet_proto::v1::send_message_outcome::Result as Outcome;
use tercet_proto::v1::{BatchSendMessagesRequest, SendMessageOutcome};
use tokio::time::Instant;
use uuid::Uuid;

use super::retry::RetryState;
use super::types::FromWire;
use super::verdict::{Verdict, judge, status_of};
use super::{Client, Error, OutgoingMessage, SentMessage};

impl Client {
    /// Sends 1 to 100 messages in one call, in order. Returns one result for each, in the same order: the batch is
    /// not atomic. Messages without an answer are sent again, with the same ids.
    ///
    /// # Errors
    /// The call as a whole is refused, or no replica leads until the deadline: then no message was sent.
    pub async fn send_batch(
        &self,
        messages: Vec<OutgoingMessage>,
    ) -> Result<Vec<Result<SentMessage, Error>>, Error> {
        let mut retry = RetryState::new(Instant::now() + self.deadline);
        let mut batch = Batch::new(messages);
        while let Some(id) = batch.first_open_id() {
            let messages = batch
                .open_messages()
                .map(OutgoingMessage::to_wire)
                .collect();
            let request = BatchSendMessagesRequest { messages };
            let answer = self.call_again(&mut retry, Some(id), request).await;
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
        let first = self.open_messages().next()?;
        Some(first.request_id)
    }

    fn open_messages(&self) -> impl Iterator<Item = &OutgoingMessage> {
        self.open.iter().map(|at| &self.messages[*at])
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
                Some(Outcome::Sent(sent)) => {
                    self.results[at] = Some(Ok(SentMessage::from_wire(sent)));
                    continue;
                }
                Some(Outcome::Error(error)) => judge(&status_of(error)),
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
    /// The error of the call, when no message of the batch was or may have been carried out.
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
