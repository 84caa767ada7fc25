//! One subscription: what is stored after the cursor first, then what happens, with no gap and
//! nothing twice.
//!
//! The stream is registered with the fan-out before the store is read. While the stored backlog
//! goes out the fan-out keeps no messages for it; then the stream goes live, the store is read
//! once more for what came meanwhile, and from there the queue is read, passing over messages
//! that the last look already gave. Messages of one account have ascending LSNs in the store and
//! in the queue, so "already sent" is "not above the last one sent".

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tercet_proto::v1::{self, subscribe_response::Event as WireEvent};
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

use super::{
    caller::Caller,
    chat::Chat,
    convert::{self, Start},
    status::{Failure, status},
};
use crate::{
    cluster_clock::ClusterClock,
    event::{Event, MessageRow},
    fair::Key,
    fanout::{Ended, Subscriber, Subscription},
    handle::Unavailability,
};

/// Messages read from the store at once.
const BACKLOG_PAGE: usize = 128;
/// Bytes of messages read from the store that wait to be sent on one stream.
const BACKLOG_BYTES_MAX: usize = 256 << 10;
/// Responses between the feeding task and the connection.
const RESPONSES_MAX: usize = 16;
/// Between two looks at the clock that may have jumped.
const CLOCK_CHECK_MAX: Duration = Duration::from_secs(60);

/// Boxed, because a channel makes room for 32 before the first: most streams are idle.
type Item = Box<v1::SubscribeResponse>;

/// The responses, and at their end why they ended. The end does not queue behind the responses:
/// the feeding task is gone at once even when the client does not read.
pub struct Responses {
    items: mpsc::Receiver<Item>,
    end: Option<oneshot::Receiver<Status>>,
}

impl tokio_stream::Stream for Responses {
    type Item = Result<v1::SubscribeResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(response) = ready!(self.items.poll_recv(context)) {
            return Poll::Ready(Some(Ok(*response)));
        }
        let Some(end) = self.end.as_mut() else {
            return Poll::Ready(None);
        };
        let why = ready!(Pin::new(end).poll(context));
        self.end = None;
        Poll::Ready(why.ok().map(Err))
    }
}

impl Chat {
    pub(super) async fn do_subscribe(
        &self,
        caller: &Caller,
        request: v1::SubscribeRequest,
    ) -> Result<Responses, Failure> {
        let session = self.session(caller).await?;
        let subscription = self.fanout.register(Subscriber {
            account_id: session.account_id,
            username: session.username.to_string(),
            token_hash: session.token_hash,
        })?;
        // The session again, now that the stream would be told of its end: it may have been
        // revoked, or the lead lost, just before the stream was registered.
        let applied = self
            .read_as(caller, |readers, _| Ok(readers.applied()?))
            .await?;
        let last = self.handle.status().last.0;
        let cursor = match convert::start(&request, applied.max(last))? {
            Start::After(cursor) => cursor,
            Start::Now => applied,
        };

        let (responses, items) = mpsc::channel(RESPONSES_MAX);
        let (end, ended) = oneshot::channel();
        let feed = Feed {
            chat: self.clone(),
            subscription,
            responses,
            account_id: session.account_id,
            cursor,
        };
        tokio::spawn(feed.run(end, session.expires_at_ms));
        Ok(Responses {
            items,
            end: Some(ended),
        })
    }
}

/// Feeds one stream.
struct Feed {
    chat: Chat,
    subscription: Subscription,
    responses: mpsc::Sender<Item>,
    account_id: u64,
    /// Every message up to here was sent, and none above.
    cursor: u64,
}

/// Why feeding stopped.
enum Stop {
    /// The client went away.
    Gone,
    Failed(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Stop::Failed(match failure {
            // It led when the stream began, whichever way it is noticed that it does no longer.
            Failure::Unavailable(Unavailability::NotLeader(leader)) => Failure::LeadLost(leader),
            other => other,
        })
    }
}

impl Feed {
    async fn run(mut self, end: oneshot::Sender<Status>, expires_at_ms: i64) {
        let responses = self.responses.clone();
        let clock = self.chat.clock.clone();
        let stop = tokio::select! {
            stop = self.feed() => stop,
            () = responses.closed() => Stop::Gone,
            () = until(&clock, expires_at_ms) => Stop::Failed(Failure::ExpiredToken),
        };
        if let Stop::Failed(failure) = stop {
            // A client that went away meanwhile hears nothing.
            let _ = end.send(status(&failure, &self.chat.handle.status().roster));
        }
    }

    async fn feed(&mut self) -> Stop {
        match self.try_feed().await {
            Ok(never) => match never {},
            Err(stop) => stop,
        }
    }

    async fn try_feed(&mut self) -> Result<std::convert::Infallible, Stop> {
        let subscribed = WireEvent::Subscribed(v1::Subscribed {});
        self.send(self.cursor, subscribed).await?;
        self.backlog().await?;
        self.subscription.go_live();
        self.backlog().await?;
        loop {
            let next = self.subscription.next().await;
            let event = next.map_err(|ended| self.ended(ended))?;
            self.deliver(event).await?;
        }
    }

    /// Sends what is stored after the cursor.
    async fn backlog(&mut self) -> Result<(), Stop> {
        loop {
            let (account_id, after) = (self.account_id, self.cursor);
            let mut rows = self
                .chat
                .read(Key::account(account_id), move |readers| {
                    Ok(readers.inbox(account_id, after, BACKLOG_PAGE)?)
                })
                .await?;
            let mut bytes = 0;
            let fits = rows.iter().take_while(|row| {
                bytes += row.body.len();
                bytes <= BACKLOG_BYTES_MAX
            });
            // One always does. What is over is read again: a client that does not read holds little.
            let fits = fits.count().max(1);
            let full = rows.len() == BACKLOG_PAGE || fits < rows.len();
            rows.truncate(fits);
            for row in rows {
                self.send_message(row).await?;
            }
            if !full {
                return Ok(());
            }
        }
    }

    async fn deliver(&mut self, event: Arc<Event>) -> Result<(), Stop> {
        match Arc::unwrap_or_clone(event) {
            Event::Message(row) if row.lsn <= self.cursor => Ok(()),
            Event::Message(row) => self.send_message(row).await,
            Event::MessagesDropped {
                lsn,
                recipient,
                recipient_id,
                count,
                ..
            } => {
                // Not before a message that went out already: a cursor never goes back.
                let dropped = WireEvent::MessagesDropped(v1::MessagesDropped {
                    recipient,
                    recipient_id,
                    count,
                });
                self.send(self.cursor.max(lsn), dropped).await
            }
            Event::SessionEnded { .. }
            | Event::OtherSessionsEnded { .. }
            | Event::AccountDeleted { .. } => Ok(()),
        }
    }

    async fn send_message(&mut self, row: MessageRow) -> Result<(), Stop> {
        let cursor = row.lsn;
        let message = WireEvent::Message(convert::message(row));
        self.send(cursor, message).await
    }

    /// Sends one response; the cursor moves once it is on its way. A client that does not read
    /// holds it up no longer than until the stream is ended.
    async fn send(&mut self, cursor: u64, event: WireEvent) -> Result<(), Stop> {
        let response = Box::new(v1::SubscribeResponse {
            cursor,
            event: Some(event),
        });
        tokio::select! {
            biased;
            sent = self.responses.send(response) => sent.map_err(|_| Stop::Gone)?,
            ended = self.subscription.ended() => return Err(self.ended(ended)),
        }
        self.cursor = cursor;
        Ok(())
    }

    fn ended(&self, ended: Ended) -> Stop {
        let standing = self.chat.handle.status();
        let leader = standing.leader.filter(|leader| *leader != standing.id);
        Stop::Failed(Failure::of_stream(ended, self.cursor, leader))
    }
}

/// Waits until cluster time has reached a time; it may be corrected meanwhile.
async fn until(clock: &ClusterClock, at_ms: i64) {
    while let Ok(left @ 1..) = u64::try_from(at_ms.saturating_sub(clock.now_ms())) {
        tokio::time::sleep(Duration::from_millis(left).min(CLOCK_CHECK_MAX)).await;
    }
}
