//! The task that sends the messages of one account over one connection. It packs them into the frames of a stream, in
//! their order, and sends them again in that order to the next leader.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tercet_proto::v1::send_message_outcome::Result as Outcome;
use tercet_proto::v1::{SendMessageOutcome, StreamMessagesRequest};
use tercet_types::limits::BATCH_MESSAGES_MAX;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use super::call::{Bearer, request};
use super::chat::service;
use super::pending_send::{Answer, PendingSend};
use super::retry::RetryState;
use super::search::Leader;
use super::types::FromWire;
use super::verdict::{Verdict, judge, status_of};
use super::{Error, SentMessage, Shared};

/// The messages on a stream without an outcome. The server accepts a few more.
const UNANSWERED_MAX: usize = 1_000;
/// The messages that wait for the task. Further senders wait for room.
const QUEUE_MAX: usize = 1_000;
/// The bytes of texts after which a frame gets no further message.
const FRAME_BYTES_MAX: usize = 1 << 20;
/// The time for which a stream stays open without a message: a server has room for a limited number of streams.
const IDLE_MAX: Duration = Duration::from_secs(2);

/// The reason why a stream ended.
enum End {
    Failed(Verdict),
    /// The leader has no streams of messages.
    NoStreams,
}

impl From<Verdict> for End {
    fn from(verdict: Verdict) -> End {
        End::Failed(verdict)
    }
}

/// The messages of one task.
pub(super) struct Outbox {
    shared: Arc<Shared>,
    bearer: Option<Bearer>,
    /// The number of the connection to a replica that the stream uses.
    connection: usize,
    incoming: mpsc::Receiver<PendingSend>,
    /// The messages that are on no stream, in order.
    unsent: VecDeque<PendingSend>,
    /// The messages without an outcome, by their place on the stream.
    sent: BTreeMap<u64, PendingSend>,
    next_place: u64,
    retry: RetryState,
}

impl Outbox {
    /// Starts the task. It ends when every sender of the queue is dropped.
    pub(super) fn start(
        shared: Arc<Shared>,
        bearer: Option<Bearer>,
        connection: usize,
    ) -> mpsc::Sender<PendingSend> {
        let (sender, incoming) = mpsc::channel(QUEUE_MAX);
        let outbox = Outbox {
            shared,
            bearer,
            connection,
            incoming,
            unsent: VecDeque::new(),
            sent: BTreeMap::new(),
            next_place: 0,
            retry: RetryState::new(Instant::now()),
        };
        tokio::spawn(outbox.run());
        sender
    }

    async fn run(mut self) {
        while self.has_work().await {
            let deadline = Instant::now() + self.shared.options.attempt_timeout;
            self.retry.set_deadline(deadline);
            let leader = match self.retry.leader(&self.shared).await {
                Ok(leader) => leader,
                // Each sender has a deadline of its own.
                Err(_) if Instant::now() >= deadline => continue,
                Err(error) => {
                    self.give_up(&error);
                    continue;
                }
            };
            if let Err(end) = self.stream(&leader).await {
                self.take_back(&leader, end);
            }
        }
    }

    /// Waits for a message to send. Returns false if there will be none.
    async fn has_work(&mut self) -> bool {
        self.unsent.retain(|pending| !pending.is_abandoned());
        if self.unsent.is_empty() {
            let first = self.incoming.recv().await;
            self.unsent.extend(first);
        }
        !self.unsent.is_empty()
    }

    /// Sends over one stream until it fails or is idle for too long.
    async fn stream(&mut self, leader: &Leader) -> Result<(), End> {
        let limit = self.shared.options.attempt_timeout;
        let (frames, queue) = mpsc::channel(UNANSWERED_MAX);
        self.next_place = 0;
        self.pack(&frames);
        let request = request(self.bearer.as_ref(), ReceiverStream::new(queue));
        let mut chat = service(leader.link.channel_of(self.connection));
        let mut responses = match timeout(limit, chat.stream_messages(request)).await {
            Ok(Ok(response)) => response.into_inner(),
            Ok(Err(status)) => return Err(self.not_opened(&status)),
            Err(_) => return Err(Verdict::no_answer_within(limit).into()),
        };
        let mut quiet_since = Instant::now();
        let mut arrived = Vec::new();
        loop {
            let room = UNANSWERED_MAX - self.sent.len();
            let idle = self.sent.is_empty();
            let patience = if idle { IDLE_MAX } else { limit };
            tokio::select! {
                biased;
                response = responses.message() => {
                    quiet_since = Instant::now();
                    match response {
                        Ok(Some(response)) => self.settle(response.outcomes)?,
                        Ok(None) => return Err(Verdict::ended().into()),
                        Err(status) => return Err(judge(&status).into()),
                    }
                }
                count = self.incoming.recv_many(&mut arrived, room), if room > 0 => {
                    if count == 0 {
                        return Ok(()); // every sender went away
                    }
                    if idle {
                        quiet_since = Instant::now();
                    }
                    self.unsent.extend(arrived.drain(..));
                    self.pack(&frames);
                }
                () = sleep_until(quiet_since + patience) => {
                    return if idle {
                        Ok(())
                    } else {
                        Err(Verdict::no_answer_within(limit).into())
                    };
                }
            }
        }
    }

    /// Judges a stream that did not open. A stream that was refused has taken no message; one that broke may have.
    fn not_opened(&self, status: &Status) -> End {
        let end = match status.code() {
            Code::Unimplemented => End::NoStreams,
            _ => judge(status).into(),
        };
        if !matches!(end, End::Failed(Verdict::Again { .. })) {
            for pending in self.sent.values() {
                pending.state.mark_not_carried_out();
            }
        }
        end
    }

    /// Puts unsent messages on the stream, in as few frames as possible.
    fn pack(&mut self, frames: &mpsc::Sender<StreamMessagesRequest>) {
        while !self.unsent.is_empty() && self.sent.len() < UNANSWERED_MAX {
            let (mut messages, mut bytes) = (Vec::new(), 0);
            while messages.len() < BATCH_MESSAGES_MAX
                && bytes < FRAME_BYTES_MAX
                && self.sent.len() < UNANSWERED_MAX
                && let Some(pending) = self.unsent.pop_front()
            {
                if pending.is_abandoned() || !pending.state.mark_sent() {
                    continue;
                }
                bytes += pending.message.body.len();
                messages.push(pending.message.clone());
                self.sent.insert(self.next_place, pending);
                self.next_place += 1;
            }
            // The queue has room for as many frames as there may be messages. If the other end is gone, the stream
            // fails.
            if !messages.is_empty() {
                let _ = frames.try_send(StreamMessagesRequest { messages });
            }
        }
    }

    /// Answers the senders. A message that must be sent again stays in its place, and ends the stream: the server
    /// accepts no later message.
    fn settle(&mut self, outcomes: Vec<SendMessageOutcome>) -> Result<(), End> {
        let mut end = None;
        for outcome in outcomes {
            let Some(pending) = self.sent.remove(&outcome.sequence) else {
                continue;
            };
            let verdict = match outcome.result {
                Some(Outcome::Sent(sent)) => {
                    self.retry.succeeded();
                    pending.answer(Answer::Result(Ok(SentMessage::from_wire(sent))));
                    continue;
                }
                Some(Outcome::Error(error)) => judge(&status_of(error)),
                None => {
                    let what = "the replica sent an outcome of a kind that is not known";
                    Verdict::Refused(Error::Protocol(what.to_owned()))
                }
            };
            match verdict {
                Verdict::Refused(error) => {
                    self.retry.succeeded();
                    pending.refuse(error);
                    continue;
                }
                Verdict::NotLeader { .. } => pending.state.mark_not_carried_out(),
                Verdict::Again { .. } => {}
            }
            self.sent.insert(outcome.sequence, pending);
            end.get_or_insert(verdict);
        }
        end.map_or(Ok(()), |verdict| Err(verdict.into()))
    }

    /// Takes the messages without an outcome back: to send them again, in order, or to answer them after a refusal.
    fn take_back(&mut self, leader: &Arc<Leader>, end: End) {
        let sent = std::mem::take(&mut self.sent);
        let verdict = match end {
            End::Failed(verdict) => verdict,
            End::NoStreams => {
                leader.has_no_streams();
                for pending in sent.into_values().chain(self.unsent.drain(..)) {
                    pending.answer(Answer::NoStreams);
                }
                return;
            }
        };
        // Each message remembers whether it may have been carried out.
        let noted = (self.retry).note(&self.shared, leader, verdict, sent.len());
        let what: Arc<str> = match &noted {
            Ok(()) => self.retry.last_failure().unwrap_or_default().into(),
            Err(error) => error.to_string().into(),
        };
        for pending in sent.into_values().rev() {
            pending.state.mark_failed(&what);
            self.unsent.push_front(pending);
        }
        if let Err(error) = noted {
            self.give_up(&error);
        }
    }

    /// Answers every message that is on no stream with this error, or with an unknown outcome.
    fn give_up(&mut self, error: &Error) {
        for pending in self.unsent.drain(..) {
            pending.give_up(error.clone());
        }
    }
}
