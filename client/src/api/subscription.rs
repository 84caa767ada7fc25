//! A stream of an account's events that resumes by itself: after a failover it asks the new
//! leader for what comes after the last cursor seen, and passes over what it has seen.

use std::sync::Arc;

use tercet_proto::v1::subscribe_response::Event as Wire;
use tercet_proto::v1::{MessagesDropped, SubscribeRequest, SubscribeResponse};
use tokio::time::{Instant, timeout};
use tonic::Streaming;

use super::chat::service;
use super::error::{Verdict, judge};
use super::retry::RetryState;
use super::search::Leader;
use super::types::FromWire;
use super::{Client, Error, Message};

/// Where a subscription starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// After the event with this cursor; 0 for everything that is stored.
    After(u64),
    /// With what happens from now on.
    Now,
}

/// What a subscription tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The subscription stands; from here on the account counts as connected. Told again, with
    /// `resumed`, after each failover.
    Subscribed {
        cursor: u64,
        replica: u32,
        resumed: bool,
    },
    /// A message to this account.
    Message(Message),
    /// Messages of this account were dropped with their recipient's account.
    Dropped {
        cursor: u64,
        recipient: String,
        count: u64,
    },
    /// The stream broke; the next event comes from wherever it resumes.
    Lost { why: String },
}

/// A standing subscription. [`Subscription::next`] may be dropped and called again at any point.
pub struct Subscription {
    client: Client,
    /// Cursor of the last event seen; `None` until a subscription from now on stands.
    cursor: Option<u64>,
    stream: Option<Stream>,
    /// Whether a `Subscribed` was told before.
    stood: bool,
    /// The attempts since the stream broke.
    retry: RetryState,
}

struct Stream {
    events: Streaming<SubscribeResponse>,
    leader: Arc<Leader>,
}

impl Client {
    /// This account's events from `start` on.
    pub fn subscribe(&self, start: Start) -> Subscription {
        Subscription {
            client: self.clone(),
            cursor: match start {
                Start::After(cursor) => Some(cursor),
                Start::Now => None,
            },
            stream: None,
            stood: false,
            retry: RetryState::new(Instant::now()),
        }
    }
}

impl Subscription {
    /// The cursor of the last event seen: where another subscription would go on.
    pub fn cursor(&self) -> Option<u64> {
        self.cursor
    }

    /// The next event.
    ///
    /// # Errors
    /// When the server refuses (an expired token), or nobody leads within the client's deadline;
    /// after the latter it may be called again.
    pub async fn next(&mut self) -> Result<Event, Error> {
        self.retry
            .set_deadline(Instant::now() + self.client.deadline);
        loop {
            let Some(stream) = &mut self.stream else {
                self.open().await?;
                continue;
            };
            let replica = stream.leader.id;
            let event = match stream.events.message().await {
                Ok(Some(answer)) => self.take(answer, replica)?,
                Ok(None) => self.lose(Verdict::ended())?,
                Err(status) => self.lose(judge(&status))?,
            };
            if let Some(event) = event {
                return Ok(event);
            }
        }
    }

    /// Makes one attempt to open the stream.
    async fn open(&mut self) -> Result<(), Error> {
        let shared = &self.client.shared;
        let leader = self.retry.leader(shared).await?;
        let Some(limit) = self.retry.attempt_limit(shared) else {
            let last = self.retry.last_failure().unwrap_or("not subscribed yet");
            return Err(Error::Unanswered {
                last: last.to_owned(),
            });
        };
        let request = self.client.request_without_limit(SubscribeRequest {
            cursor: self.cursor.unwrap_or(0),
            from_now: self.cursor.is_none(),
        });
        let mut chat = service(leader.link.channel());
        let verdict = match timeout(limit, chat.subscribe(request)).await {
            Ok(Ok(response)) => {
                let events = response.into_inner();
                self.stream = Some(Stream { events, leader });
                return Ok(());
            }
            Ok(Err(status)) => judge(&status),
            Err(_) => Verdict::again("no answer to the subscription"),
        };
        self.failed(&leader, verdict)
    }

    /// What an answer tells the caller, if anything: duplicates are passed over.
    fn take(&mut self, answer: SubscribeResponse, replica: u32) -> Result<Option<Event>, Error> {
        let cursor = answer.cursor;
        let Some(event) = answer.event else {
            return Ok(None); // an event of a later version
        };
        if let Wire::Subscribed(_) = event {
            self.retry.succeeded();
            let resumed = std::mem::replace(&mut self.stood, true);
            let start = self.cursor.map_or(cursor, |seen| seen.max(cursor));
            self.cursor = Some(start);
            return Ok(Some(Event::Subscribed {
                cursor: start,
                replica,
                resumed,
            }));
        }
        let Some(seen) = self.cursor else {
            let what = "the replica sent an event before it confirmed the subscription";
            return Err(Error::Protocol(what.to_owned()));
        };
        if cursor <= seen {
            return Ok(None);
        }
        self.cursor = Some(cursor);
        Ok(match event {
            Wire::Message(message) => Some(Event::Message(Message::from_wire(message))),
            Wire::MessagesDropped(MessagesDropped {
                recipient, count, ..
            }) => Some(Event::Dropped {
                cursor,
                recipient,
                count,
            }),
            Wire::Subscribed(_) => None,
        })
    }

    /// Drops the stream. Returns `Lost` if it is the first that broke since the last `Subscribed`.
    fn lose(&mut self, verdict: Verdict) -> Result<Option<Event>, Error> {
        let first = self.retry.last_failure().is_none();
        if let Some(stream) = self.stream.take() {
            self.failed(&stream.leader, verdict)?;
        }
        let why = self.retry.last_failure().unwrap_or_default().to_owned();
        Ok((first && self.stood).then_some(Event::Lost { why }))
    }

    fn failed(&mut self, leader: &Arc<Leader>, verdict: Verdict) -> Result<(), Error> {
        let verdict = match verdict {
            // The server could not keep up with this reader: everything is stored; resume.
            Verdict::Refused(error) if error.is_refused_for("SLOW_SUBSCRIBER") => {
                Verdict::again(error.to_string())
            }
            other => other,
        };
        self.retry.failed(&self.client.shared, leader, verdict, 0)
    }
}
