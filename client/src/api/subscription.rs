//! Streams of an account's events that resume. After a failover a subscription asks the new leader for the events
//! after its last cursor, and skips the events that it has returned.

use std::sync::Arc;

use tercet_proto::v1::subscribe_response::Event as Wire;
use tercet_proto::v1::{
    BlockChanged, MessagesDropped, SubscribeRequest, SubscribeResponse, Subscribed,
};
use tokio::time::{Instant, timeout};
use tonic::Streaming;

use super::chat::service;
use super::retry::RetryState;
use super::search::Leader;
use super::types::FromWire;
use super::verdict::{Verdict, judge, resync};
use super::{Client, Error, Message, NotificationLevel, Presence, StateEntry};

/// The first event of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The event after this cursor; 0 for every event that is stored.
    After(u64),
    /// The first event after the subscription is open.
    Now,
}

/// An event of a subscription.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The subscription is open: from here on the account counts as connected. Comes again after each failover.
    Subscribed {
        /// The position after which events follow.
        cursor: u64,
        /// The id of the replica that sends the events.
        replica: u32,
        /// Whether the subscription was open before.
        resumed: bool,
        /// The id of the account: a message with this `sender_id` is its own.
        account_id: u64,
    },
    /// A message to this account, from it, perhaps by another device, or in one of its rooms.
    Message(Message),
    /// Messages that this account sent were dropped, because their recipient's account was deleted. Several such
    /// events may come for one recipient; their counts add up.
    Dropped {
        /// The position of the event.
        cursor: u64,
        /// The name of the deleted recipient.
        recipient: String,
        /// The number of messages that were waiting for the recipient.
        count: u64,
    },
    /// Events before this one may be missing, because the subscription was away for too long, or its cursor is of
    /// another cluster. Read again what you show: the lists, and the histories. The subscription goes on after
    /// `cursor`, so that nothing is missed after a list that is read from now on.
    Resync {
        /// The position after which events follow.
        cursor: u64,
    },
    /// This account blocked or unblocked another one, perhaps from another device.
    BlockChanged {
        /// The position of the event.
        cursor: u64,
        /// The name of the other account.
        username: String,
        /// Whether it is blocked now.
        blocked: bool,
        /// Whether its direct messages are refused now.
        refuse: bool,
    },
    /// A message in a conversation of this account has another text.
    Edited {
        /// The position of the event.
        cursor: u64,
        /// The message as it is now.
        message: Message,
    },
    /// The text of a message in a conversation of this account was erased.
    Deleted {
        /// The position of the event.
        cursor: u64,
        /// The message without its text.
        message: Message,
        /// The name of the account that deleted it.
        deleted_by: String,
    },
    /// A message in a direct conversation of this account was pinned, or its pin was taken back. In rooms messages of the
    /// system tell of it.
    Pin {
        /// The position of the event.
        cursor: u64,
        /// The message as it is now.
        message: Message,
        /// The name of the account that pinned the message, or took the pin back.
        username: String,
        /// Whether the pin was taken back.
        removed: bool,
    },
    /// A message in a conversation of this account got a reaction, or lost one.
    Reaction {
        /// The position of the event.
        cursor: u64,
        /// The name of the room, with its `#`, or of the other account.
        conversation: String,
        /// The number of the message.
        seq: u64,
        /// The account whose reaction it is.
        username: String,
        /// An emoji, or a short text.
        reaction: String,
        /// Whether it was removed; otherwise it was added.
        removed: bool,
        /// The number of accounts with this reaction now.
        count: u32,
    },
    /// This account has read, perhaps on another device; or the other account of a direct conversation has.
    Read {
        /// The position of the event.
        cursor: u64,
        /// The name of the room, with its `#`; or of the other account of the direct conversation, as `username` sees it.
        conversation: String,
        /// The id of the conversation.
        conversation_id: u64,
        /// The name of the account that has read.
        username: String,
        /// Its id.
        account_id: u64,
        /// The seq up to which the account has read all messages. Less than before when this account marked messages as unread.
        read_seq: u64,
    },
    /// This account wants to be notified of something else in a conversation, set perhaps by another device.
    LevelChanged {
        /// The position of the event.
        cursor: u64,
        /// The name of the room, with its `#`, or of the other account.
        conversation: String,
        /// The id of the conversation.
        conversation_id: u64,
        /// The level now.
        level: NotificationLevel,
    },
    /// The keywords of this account were changed, perhaps by another device; see [`Client::list_keywords`].
    KeywordsChanged {
        /// The position of the event.
        cursor: u64,
    },
    /// Another account came, went, or is away or back. Only with [`Subscription::with_presence`], and never stored: some may be
    /// missing.
    Presence(Presence),
    /// Another account is writing. Only with [`Subscription::with_presence`], and never stored.
    Typing {
        /// The name of the room, with its `#`, or of the account that is writing.
        conversation: String,
        /// The name of the account that is writing.
        username: String,
        /// Its id.
        account_id: u64,
        /// For how long it is shown, milliseconds.
        shown_ms: u32,
    },
    /// A key of the state of one of this account's conversations was set or removed.
    StateChanged {
        /// The position of the event.
        cursor: u64,
        /// The name of the room with its `#`, or of the other account.
        conversation: String,
        /// The id of the conversation.
        conversation_id: u64,
        /// The key.
        key: String,
        /// The version that the change made; 0: it removed the key.
        version: u64,
        /// The key as it was when the event was delivered; `None` when it did not exist.
        entry: Option<StateEntry>,
    },
    /// The profile of this account was changed, perhaps from another device: [`Client::profile`] has it.
    ProfileChanged {
        /// The position of the event.
        cursor: u64,
    },
    /// The stream broke. The subscription resumes at the next call of [`Subscription::next`].
    Lost {
        /// The failure, in words.
        why: String,
    },
}

/// A subscription to the events of an account, from [`Client::subscribe`].
pub struct Subscription {
    client: Client,
    /// The cursor of the last event; `None` until a subscription that starts now is open.
    cursor: Option<u64>,
    stream: Option<Stream>,
    /// Whether it was open before.
    was_open: bool,
    /// Whether events of presence are wanted.
    with_presence: bool,
    /// The attempts since the stream broke.
    retry: RetryState,
}

struct Stream {
    events: Streaming<SubscribeResponse>,
    leader: Arc<Leader>,
}

impl Client {
    /// Subscribes to the events of this client's account. The subscription opens at the first call of
    /// [`Subscription::next`].
    pub fn subscribe(&self, start: Start) -> Subscription {
        Subscription {
            client: self.clone(),
            cursor: match start {
                Start::After(cursor) => Some(cursor),
                Start::Now => None,
            },
            stream: None,
            was_open: false,
            with_presence: false,
            retry: RetryState::new(Instant::now()),
        }
    }
}

impl Subscription {
    /// Asks for [`Event::Presence`] and [`Event::Typing`], too.
    #[must_use]
    pub fn with_presence(mut self) -> Subscription {
        self.with_presence = true;
        self
    }

    /// Returns the cursor of the last event, for a later [`Start::After`]; `None` before the first event of a
    /// subscription that starts now.
    pub fn cursor(&self) -> Option<u64> {
        self.cursor
    }

    /// Waits for the next event, as long as it takes while the stream is open. The future may be dropped: no event is
    /// lost.
    ///
    /// # Errors
    /// The server refuses, as for an expired token; or the stream cannot be opened within the client's deadline: then
    /// [`Error::may_pass`], and the call may be repeated.
    pub async fn next(&mut self) -> Result<Event, Error> {
        self.retry
            .set_deadline(Instant::now() + self.client.deadline);
        loop {
            let Some(stream) = &mut self.stream else {
                match self.open().await? {
                    Some(resync) => return Ok(resync),
                    None => continue,
                }
            };
            let replica = stream.leader.id;
            let event = match stream.events.message().await {
                Ok(Some(answer)) => self.take(answer, replica)?,
                Ok(None) => self.lose(Verdict::ended())?,
                Err(status) => match resync(&status) {
                    Some(cursor) => Some(self.start_over(cursor)),
                    None => self.lose(judge(&status))?,
                },
            };
            if let Some(event) = event {
                return Ok(event);
            }
        }
    }

    /// Makes one attempt to open the stream; returns `Resync` if the cursor is too old.
    async fn open(&mut self) -> Result<Option<Event>, Error> {
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
            presence: self.with_presence,
        });
        let mut chat = service(leader.link.channel());
        let verdict = match timeout(limit, chat.subscribe(request)).await {
            Ok(Ok(response)) => {
                let events = response.into_inner();
                self.stream = Some(Stream { events, leader });
                return Ok(None);
            }
            Ok(Err(status)) => match resync(&status) {
                Some(cursor) => return Ok(Some(self.start_over(cursor))),
                None => judge(&status),
            },
            Err(_) => Verdict::again("no answer to the subscription"),
        };
        self.failed(&leader, verdict)?;
        Ok(None)
    }

    /// Sets the position at which the stream opens next.
    fn start_over(&mut self, cursor: u64) -> Event {
        self.stream = None;
        self.cursor = Some(cursor);
        Event::Resync { cursor }
    }

    /// Returns the event of an answer, unless it is a duplicate or of a kind that only a later version knows.
    fn take(&mut self, answer: SubscribeResponse, replica: u32) -> Result<Option<Event>, Error> {
        let cursor = answer.cursor;
        let Some(event) = answer.event else {
            return Ok(None);
        };
        if let Wire::Subscribed(Subscribed { account_id }) = event {
            self.retry.succeeded();
            let resumed = std::mem::replace(&mut self.was_open, true);
            let start = self.cursor.map_or(cursor, |seen| seen.max(cursor));
            self.cursor = Some(start);
            return Ok(Some(Event::Subscribed {
                cursor: start,
                replica,
                resumed,
                account_id,
            }));
        }
        // These have no cursor.
        match event {
            Wire::Presence(presence) => {
                return Ok(Some(Event::Presence(Presence::from_wire(presence))));
            }
            Wire::Typing(typing) => {
                return Ok(Some(Event::Typing {
                    conversation: typing.conversation,
                    username: typing.username,
                    account_id: typing.account_id,
                    shown_ms: typing.shown_ms,
                }));
            }
            _ => {}
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
            Wire::BlockChanged(BlockChanged {
                username,
                blocked,
                refuse,
                ..
            }) => Some(Event::BlockChanged {
                cursor,
                username,
                blocked,
                refuse,
            }),
            Wire::MessageEdited(edited) => edited.message.map(|message| Event::Edited {
                cursor,
                message: Message::from_wire(message),
            }),
            Wire::MessageDeleted(deleted) => deleted.message.map(|message| Event::Deleted {
                cursor,
                message: Message::from_wire(message),
                deleted_by: deleted.deleted_by,
            }),
            Wire::PinChanged(changed) => changed.message.map(|message| Event::Pin {
                cursor,
                message: Message::from_wire(message),
                username: changed.username,
                removed: changed.removed,
            }),
            Wire::ReactionChanged(changed) => Some(Event::Reaction {
                cursor,
                conversation: if changed.conversation.is_empty() {
                    changed.peer
                } else {
                    changed.conversation
                },
                seq: changed.seq,
                username: changed.username,
                reaction: changed.reaction,
                removed: changed.removed,
                count: changed.count,
            }),
            Wire::MarkersMoved(moved) => Some(Event::Read {
                cursor,
                conversation: match moved.conversation.is_empty() {
                    true => moved.peer,
                    false => moved.conversation,
                },
                conversation_id: moved.conversation_id,
                username: moved.username,
                account_id: moved.account_id,
                read_seq: moved.read_seq,
            }),
            Wire::StateChanged(changed) => Some(Event::StateChanged {
                cursor,
                conversation: changed.conversation,
                conversation_id: changed.conversation_id,
                key: changed.key,
                version: changed.version,
                entry: changed.entry.map(StateEntry::from_wire),
            }),
            Wire::KeywordsChanged(_) => Some(Event::KeywordsChanged { cursor }),
            Wire::LevelChanged(changed) => Some(Event::LevelChanged {
                cursor,
                level: NotificationLevel::of(changed.level()),
                conversation: changed.conversation,
                conversation_id: changed.conversation_id,
            }),
            Wire::ProfileChanged(_) => Some(Event::ProfileChanged { cursor }),
            Wire::Subscribed(_) | Wire::Presence(_) | Wire::Typing(_) => None,
        })
    }

    /// Drops the stream. Returns `Lost` if no other stream broke since the last `Subscribed`.
    fn lose(&mut self, verdict: Verdict) -> Result<Option<Event>, Error> {
        let first = self.retry.last_failure().is_none();
        if let Some(stream) = self.stream.take() {
            self.failed(&stream.leader, verdict)?;
        }
        let why = self.retry.last_failure().unwrap_or_default().to_owned();
        Ok((first && self.was_open).then_some(Event::Lost { why }))
    }

    fn failed(&mut self, leader: &Arc<Leader>, verdict: Verdict) -> Result<(), Error> {
        let verdict = match verdict {
            // The reader was too slow for the server, which has stored every event.
            Verdict::Refused(error) if error.is_refused_for("SLOW_SUBSCRIBER") => {
                Verdict::again(error.to_string())
            }
            other => other,
        };
        self.retry.failed(&self.client.shared, leader, verdict, 0)
    }
}
