//! Sends the messages of one account over one connection: packs them into the frames of a stream in
//! their order, and sends them again in that order to the next leader.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tercet_proto::v1::send_message_outcome::Result as Told;
use tercet_proto::v1::{SendMessageOutcome, SendMessageRequest, StreamMessagesRequest};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};
use uuid::Uuid;

use super::call::Bearer;
use super::chat::service;
use super::error::{Verdict, judge, status_of};
use super::retry::RetryState;
use super::search::Leader;
use super::types::FromWire;
use super::{Error, SentMessage, Shared};

/// Messages on the stream without an outcome; the server takes a few more.
const UNANSWERED_MAX: usize = 1_000;
/// Messages waiting to be taken by the task; then their senders wait.
const QUEUE_MAX: usize = 1_000;
/// Messages of one frame, as the server takes them, and bytes of their texts beyond the first.
const FRAME_MESSAGES_MAX: usize = 100;
const FRAME_BYTES_MAX: usize = 1 << 20;
/// A stream that carries nothing for so long is closed: a server has room for so many.
const IDLE_MAX: Duration = Duration::from_secs(2);

/// One message, until its sender has the result.
pub(super) struct PendingSend {
    pub(super) request_id: Uuid,
    pub(super) message: SendMessageRequest,
    pub(super) state: SharedSendState,
    pub(super) answer: oneshot::Sender<Answer>,
}

pub(super) enum Answer {
    Told(Result<SentMessage, Error>),
    /// The leader has no streams of messages: send it by a call of its own.
    NoStreams,
}

/// How far a message got, for a sender who waits no longer. Cloning shares it.
#[derive(Clone, Default)]
pub(super) struct SharedSendState(Arc<Mutex<SendState>>);

#[derive(Default)]
enum SendState {
    /// And not carried out.
    #[default]
    NotSent,
    /// For the first time.
    Sent,
    /// An attempt failed like this, and may have been carried out.
    Unsure(Arc<str>),
    /// The sender was told how it stood: it must not be sent any more.
    GivenUp,
}

impl SharedSendState {
    fn lock(&self) -> MutexGuard<'_, SendState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is put on a stream; false if it must not be.
    fn sent(&self) -> bool {
        let mut state = self.lock();
        if let SendState::NotSent = *state {
            *state = SendState::Sent;
        }
        !matches!(*state, SendState::GivenUp)
    }

    /// The attempt under way was surely not carried out.
    fn not_carried_out(&self) {
        let mut state = self.lock();
        if let SendState::Sent = *state {
            *state = SendState::NotSent;
        }
    }

    /// The attempt under way, if there is one, failed.
    fn failed(&self, what: &Arc<str>) {
        let mut state = self.lock();
        if let SendState::Sent | SendState::Unsure(_) = *state {
            *state = SendState::Unsure(what.clone());
        }
    }

    /// The error of a sender who waits no longer.
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

impl PendingSend {
    fn tell(self, answer: Answer) {
        // A sender that went away is normal.
        let _ = self.answer.send(answer);
    }

    /// The server said no. Where that settles nothing an earlier attempt counts.
    fn refuse(self, error: Error) {
        if error.settles_nothing() {
            self.state.not_carried_out();
            return self.give_up(error);
        }
        self.tell(Answer::Told(Err(error)));
    }

    fn give_up(self, last: Error) {
        let error = self.state.give_up(self.request_id, last);
        self.tell(Answer::Told(Err(error)));
    }
}

/// Why a stream ended.
enum End {
    Failed(Verdict),
    /// The leader does not have them.
    NoStreams,
}

/// The task that sends pending messages over streams.
pub(super) struct Outbox {
    shared: Arc<Shared>,
    bearer: Option<Bearer>,
    /// Which of the connections to a replica it uses.
    connection: usize,
    incoming: mpsc::Receiver<PendingSend>,
    /// In order.
    unsent: VecDeque<PendingSend>,
    /// By their place on the stream.
    sent: BTreeMap<u64, PendingSend>,
    next_place: u64,
    retry: RetryState,
}

impl Outbox {
    /// Starts the task; it ends when nobody can give it messages any more.
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

    /// Waits until there is a message to send; false when there will be none.
    async fn has_work(&mut self) -> bool {
        self.unsent.retain(|pending| !pending.answer.is_closed());
        if self.unsent.is_empty() {
            let first = self.incoming.recv().await;
            self.unsent.extend(first);
        }
        !self.unsent.is_empty()
    }

    /// Sends over one stream until it fails, or there was nothing to send for long.
    async fn stream(&mut self, leader: &Leader) -> Result<(), End> {
        let limit = self.shared.options.attempt_timeout;
        let (frames, queue) = mpsc::channel(UNANSWERED_MAX);
        self.next_place = 0;
        self.pack(&frames);
        let request = super::call::request(self.bearer.as_ref(), ReceiverStream::new(queue));
        let mut chat = service(leader.link.channel_of(self.connection));
        let mut outcomes = match timeout(limit, chat.stream_messages(request)).await {
            Ok(Ok(response)) => response.into_inner(),
            Ok(Err(status)) => return Err(self.not_opened(&status)),
            Err(_) => return Err(End::Failed(Verdict::no_answer_within(limit))),
        };
        let mut quiet_since = Instant::now();
        let mut arrived = Vec::new();
        loop {
            let room = UNANSWERED_MAX - self.sent.len();
            let patience = if self.sent.is_empty() {
                IDLE_MAX
            } else {
                limit
            };
            tokio::select! {
                biased;
                told = outcomes.message() => {
                    quiet_since = Instant::now();
                    match told {
                        Ok(Some(told)) => self.settle(told.outcomes)?,
                        Ok(None) => return Err(End::Failed(Verdict::again("the replica ended the stream"))),
                        Err(status) => return Err(End::Failed(judge(&status))),
                    }
                }
                count = self.incoming.recv_many(&mut arrived, room), if room > 0 => {
                    if count == 0 {
                        return Ok(()); // nobody is there to be told anything
                    }
                    if self.sent.is_empty() {
                        quiet_since = Instant::now();
                    }
                    self.unsent.extend(arrived.drain(..));
                    self.pack(&frames);
                }
                () = sleep_until(quiet_since + patience) => {
                    return if self.sent.is_empty() {
                        Ok(())
                    } else {
                        Err(End::Failed(Verdict::no_answer_within(limit)))
                    };
                }
            }
        }
    }

    /// A stream that was refused has taken nothing; of one that broke it is not known.
    fn not_opened(&self, status: &Status) -> End {
        let end = match status.code() {
            Code::Unimplemented => End::NoStreams,
            _ => End::Failed(judge(status)),
        };
        if !matches!(end, End::Failed(Verdict::Again { .. })) {
            for pending in self.sent.values() {
                pending.state.not_carried_out();
            }
        }
        end
    }

    /// Puts what waits on the stream, in as few frames as it fits into.
    fn pack(&mut self, frames: &mpsc::Sender<StreamMessagesRequest>) {
        while !self.unsent.is_empty() && self.sent.len() < UNANSWERED_MAX {
            let (mut messages, mut bytes) = (Vec::new(), 0);
            while messages.len() < FRAME_MESSAGES_MAX
                && bytes < FRAME_BYTES_MAX
                && self.sent.len() < UNANSWERED_MAX
                && let Some(pending) = self.unsent.pop_front()
            {
                if pending.answer.is_closed() || !pending.state.sent() {
                    continue;
                }
                bytes += pending.message.body.len();
                messages.push(pending.message.clone());
                self.sent.insert(self.next_place, pending);
                self.next_place += 1;
            }
            // The queue has room for as many frames as there may be messages, and an end of it that
            // is gone is found out by its stream.
            if !messages.is_empty() {
                let _ = frames.try_send(StreamMessagesRequest { messages });
            }
        }
    }

    /// Tells the senders. A message that is to be sent again stays where it is, and ends the
    /// stream: the server takes none of those after it.
    fn settle(&mut self, outcomes: Vec<SendMessageOutcome>) -> Result<(), End> {
        let mut end = None;
        for outcome in outcomes {
            let Some(pending) = self.sent.remove(&outcome.sequence) else {
                continue;
            };
            let verdict = match outcome.result {
                Some(Told::Sent(sent)) => {
                    self.retry.succeeded();
                    pending.tell(Answer::Told(Ok(SentMessage::from_wire(sent))));
                    continue;
                }
                Some(Told::Error(error)) => judge(&status_of(error)),
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
                Verdict::NotLeader { .. } => pending.state.not_carried_out(),
                Verdict::Again { .. } => {}
            }
            self.sent.insert(outcome.sequence, pending);
            end.get_or_insert(verdict);
        }
        end.map_or(Ok(()), |verdict| Err(End::Failed(verdict)))
    }

    /// Takes the messages without an outcome back: to send them again, in order, or to answer them after a refusal.
    fn take_back(&mut self, leader: &Arc<Leader>, end: End) {
        let sent = std::mem::take(&mut self.sent);
        let verdict = match end {
            End::Failed(verdict) => verdict,
            End::NoStreams => {
                leader.has_no_streams();
                for pending in sent.into_values().chain(self.unsent.drain(..)) {
                    pending.tell(Answer::NoStreams);
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
            pending.state.failed(&what);
            self.unsent.push_front(pending);
        }
        if let Err(error) = noted {
            self.give_up(&error);
        }
    }

    /// Ends every message that is not on a stream with this error, or with an unknown outcome.
    fn give_up(&mut self, error: &Error) {
        for pending in self.unsent.drain(..) {
            pending.give_up(error.clone());
        }
    }
}
