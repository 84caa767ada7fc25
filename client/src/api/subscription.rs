//! A stream of an account's events that resumes by itself: after a failover it asks the new
//! leader for what comes after the last cursor seen, and passes over what it has seen.

use std::sync::Arc;

use tercet_proto::v1::subscribe_response::Event as Wire;
use tercet_proto::v1::{MessagesDropped, SubscribeRequest, SubscribeResponse};
use tokio::time::{Instant, sleep, timeout_at};
use tonic::{Status, Streaming};

use super::chat::service;
use super::error::{Verdict, judge};
use super::search::{Leader, pause};
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
    /// When the stream broke, for the pauses between attempts.
    broken_since: Option<Instant>,
    last_failure: String,
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
            broken_since: None,
            last_failure: "not subscribed yet".to_owned(),
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
        let deadline = Instant::now() + self.client.deadline;
        loop {
            let Some(stream) = &mut self.stream else {
                self.open(deadline).await?;
                continue;
            };
            let replica = stream.leader.id;
            match stream.events.message().await {
                Ok(Some(answer)) => {
                    if let Some(event) = self.take(answer, replica)? {
                        return Ok(event);
                    }
                }
                Ok(None) => {
                    if let Some(lost) = self.lose("the replica ended the stream".to_owned()) {
                        return Ok(lost);
                    }
                }
                Err(status) => {
                    if let Some(lost) = self.failed(&status)? {
                        return Ok(lost);
                    }
                }
            }
        }
    }

    /// One attempt to open the stream; pauses first when the last one failed.
    async fn open(&mut self, deadline: Instant) -> Result<(), Error> {
        if let Some(since) = self.broken_since {
            sleep(pause(since.elapsed())).await;
        }
        if Instant::now() >= deadline {
            let last = self.last_failure.clone();
            return Err(Error::Unanswered { last });
        }
        let leader = self.client.shared.leader(deadline).await?;
        let request = self.client.request_without_limit(SubscribeRequest {
            cursor: self.cursor.unwrap_or(0),
            from_now: self.cursor.is_none(),
        });
        let mut chat = service(leader.link.channel());
        let limit = Instant::now() + self.client.shared.options.attempt_timeout;
        match timeout_at(limit.min(deadline), chat.subscribe(request)).await {
            Ok(Ok(response)) => {
                let events = response.into_inner();
                self.stream = Some(Stream { events, leader });
            }
            Ok(Err(status)) => {
                self.client.shared.forget(&leader);
                self.failed(&status)?;
            }
            Err(_) => {
                self.client.shared.forget(&leader);
                self.lose("no answer to the subscription".to_owned());
            }
        }
        Ok(())
    }

    /// What an answer tells the caller, if anything: duplicates are passed over.
    fn take(&mut self, answer: SubscribeResponse, replica: u32) -> Result<Option<Event>, Error> {
        let cursor = answer.cursor;
        let Some(event) = answer.event else {
            return Ok(None); // an event of a later version
        };
        if let Wire::Subscribed(_) = event {
            self.broken_since = None;
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
            Wire::Message(message) => Some(Event::Message(message.into())),
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

    fn failed(&mut self, status: &Status) -> Result<Option<Event>, Error> {
        match judge(status) {
            // The server could not keep up with this reader: everything is stored; resume.
            Verdict::Refused(error) if error.is_refused_for("SLOW_SUBSCRIBER") => {
                Ok(self.lose(error.to_string()))
            }
            Verdict::Refused(error) => {
                self.stream = None;
                Err(error)
            }
            Verdict::NotLeader { hint } => {
                if let Some((id, address)) = hint {
                    self.client.shared.roster.hear_of(id, address);
                }
                Ok(self.lose("the replica does not lead any more".to_owned()))
            }
            Verdict::Again { what, .. } => Ok(self.lose(what)),
        }
    }

    /// Drops the stream; tells `Lost` once for each stream that stood.
    fn lose(&mut self, why: String) -> Option<Event> {
        self.last_failure = why.clone();
        if let Some(stream) = self.stream.take() {
            self.client.shared.forget(&stream.leader);
        }
        let first = self.broken_since.is_none();
        self.broken_since.get_or_insert_with(Instant::now);
        (first && self.stood).then_some(Event::Lost { why })
    }
}
