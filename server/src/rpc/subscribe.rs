//! One subscription: stored messages after the cursor, then new events, without a gap or a duplicate.
//!
//! The subscription is registered with the fan-out before the store is read. While the stored backlog is sent,
//! the fan-out queues nothing for it. Then the subscription goes live, the store is read once more for
//! events that came meanwhile, and from there the queue is read, skipping events that the last read already gave.
//! Events for one account, its own messages and those of its rooms included, have ascending LSNs in the store and in the queue, and an
//! entry makes at most one event for an account, so an event is a duplicate if its LSN is not above the last one sent.

use std::{sync::Arc, time::Duration};

use prost::Message as _;
use tercet_proto::{
    method::Encoded,
    v1::{self, subscribe_response::Event as WireEvent},
};
use tercet_store::{
    changes::ChangeRow,
    event::Event,
    queries::{Backlog, BacklogRow, KeptEvents, MessageAt, PageLimit},
};
use tercet_types::fair::Key;
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

use super::{
    caller::Caller,
    chat::Chat,
    convert::{self, Start},
    presence::Watch,
    responses::{self, Item, Responses},
    status::{Failure, status},
};
use crate::{
    cluster_clock::ClusterClock,
    fanout::{Delivery, Ended, Subscriber, Subscription},
    reply::Unavailability,
};

/// Messages read from the store at once, which wait to be sent on one stream. A client that does not read uses
/// little memory.
const BACKLOG_PAGE: PageLimit = PageLimit {
    rows: 128,
    bytes: 128 << 10,
};
/// The interval between checks of the clock, which may have jumped.
const CLOCK_CHECK_MAX: Duration = Duration::from_secs(60);

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
            by_api_token: session.scopes.is_some(),
        })?;
        // The session is checked again now that the subscription would be ended with it: the session may have
        // been revoked, or the lead lost, just before the registration.
        let (permit, session) = self.permit(caller).await?;
        let key = Key::account(session.account_id);
        let kept = self.read_under(permit, key, KeptEvents).await?;
        let last = self.handle.status().last.0;
        let cursor = match convert::start(&request, kept, kept.applied.max(last))? {
            Start::After(cursor) => cursor,
            Start::Now => kept.applied,
        };

        let watch = self.presence.enter(
            session.account_id,
            Arc::from(&*session.username),
            session.token_hash,
            request.presence,
            self,
        );
        let (responses, end, stream) = responses::channel();
        let feed = Feed {
            chat: self.clone(),
            subscription,
            watch,
            responses,
            account_id: session.account_id,
            cursor,
            forgotten: kept.forgotten,
        };
        tokio::spawn(feed.run(end, session.expires_at_ms));
        Ok(stream)
    }
}

/// The feeding task of one stream.
struct Feed {
    chat: Chat,
    subscription: Subscription,
    /// The events that are never stored.
    watch: Watch,
    responses: mpsc::Sender<Item>,
    account_id: u64,
    /// The LSN through which every event was sent.
    cursor: u64,
    /// The LSN of the newest change that was forgotten when the stream began.
    forgotten: u64,
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
            // The replica led when the stream began, so this is a loss of the lead, however it is noticed.
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
            // A client that went away meanwhile needs no reason.
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
        let subscribed = WireEvent::Subscribed(v1::Subscribed {
            account_id: self.account_id,
        });
        self.send(self.cursor, subscribed).await?;
        self.backlog().await?;
        self.subscription.go_live();
        self.backlog().await?;
        loop {
            tokio::select! {
                biased;
                next = self.subscription.next() => {
                    let event = next.map_err(|ended| self.ended(ended))?;
                    self.deliver(event).await?;
                }
                // It has no cursor, and the next one may be missing.
                event = self.watch.next() => self.put(Box::new(response(0, event))).await?,
            }
        }
    }

    /// Sends the stored events after the cursor.
    async fn backlog(&mut self) -> Result<(), Stop> {
        loop {
            let query = Backlog {
                account_id: self.account_id,
                after: self.cursor,
                limit: BACKLOG_PAGE,
            };
            let key = Key::account(self.account_id);
            let page = self.chat.read(key, query).await?;
            if page.forgotten > self.forgotten.max(self.cursor) {
                // The client reads its backlog so slowly that changes in it were forgotten meanwhile.
                let cursor = self.chat.handle.status().applied.0;
                return Err(Stop::Failed(Failure::Resync { cursor }));
            }
            for row in page.rows {
                match row {
                    BacklogRow::Direct(row) => self.send_message(convert::message(row)).await?,
                    BacklogRow::Room(row) => self.send_message(convert::room_message(&row)).await?,
                    BacklogRow::Change(row) => self.send_change(row).await?,
                }
            }
            if !page.more {
                return Ok(());
            }
        }
    }

    async fn deliver(&mut self, delivery: Arc<Delivery>) -> Result<(), Stop> {
        if let Event::RoomMessage { row, mentioned, .. } = &delivery.event {
            if row.lsn <= self.cursor {
                return Ok(());
            }
            let mentions_me = mentioned
                .as_ref()
                .is_some_and(|ids| ids.binary_search(&self.account_id).is_ok());
            let message = || {
                WireEvent::Message(v1::Message {
                    mentions_me,
                    ..convert::room_message(row)
                })
            };
            let encode = || response(row.lsn, message()).encode_to_vec().into();
            let encoded = delivery.encoded(mentions_me, encode);
            return self.send_item(row.lsn, Box::new(Encoded(encoded))).await;
        }
        match Delivery::into_event(delivery) {
            Event::Message(row) | Event::HiddenMessage(row) if row.lsn <= self.cursor => Ok(()),
            Event::Message(row) | Event::HiddenMessage(row) => {
                self.send_message(convert::message(row)).await
            }
            Event::Change { row, .. } if row.lsn <= self.cursor => Ok(()),
            Event::Change { row, .. } => self.send_change(Arc::unwrap_or_clone(row)).await,
            Event::RoomMessage { .. }
            | Event::SessionEnded { .. }
            | Event::OtherSessionsEnded { .. }
            | Event::AccountDeleted { .. } => Ok(()),
        }
    }

    async fn send_message(&mut self, message: v1::Message) -> Result<(), Stop> {
        let cursor = message.cursor;
        self.send(cursor, WireEvent::Message(message)).await
    }

    async fn send_change(&mut self, row: ChangeRow) -> Result<(), Stop> {
        let message = match convert::message_of(&row.what) {
            None => None,
            Some((conversation_id, seq)) => {
                let query = MessageAt {
                    account_id: self.account_id,
                    conversation_id,
                    seq,
                };
                let key = Key::account(self.account_id);
                self.chat.read(key, query).await?.map(convert::found)
            }
        };
        let Some(mut event) = convert::change(row.what, message, self.account_id) else {
            // The account left the room meanwhile, or the message was dropped with its recipient.
            return Ok(());
        };
        if let WireEvent::StateChanged(changed) = &mut event
            && !self.chat.add_value(self.account_id, changed).await?
        {
            return Ok(());
        }
        self.send(row.lsn, event).await
    }

    /// Sends one response, and moves the cursor once it is queued. A client that does not read blocks this
    /// until the stream is ended.
    async fn send(&mut self, cursor: u64, event: WireEvent) -> Result<(), Stop> {
        self.send_item(cursor, Box::new(response(cursor, event)))
            .await
    }

    async fn send_item(&mut self, cursor: u64, response: Item) -> Result<(), Stop> {
        self.put(response).await?;
        self.cursor = cursor;
        Ok(())
    }

    /// Queues one response.
    async fn put(&mut self, response: Item) -> Result<(), Stop> {
        tokio::select! {
            biased;
            sent = self.responses.send(response) => sent.map_err(|_| Stop::Gone)?,
            ended = self.subscription.ended() => return Err(self.ended(ended)),
        }
        Ok(())
    }

    fn ended(&self, ended: Ended) -> Stop {
        let status = self.chat.handle.status();
        let leader = status.leader.filter(|leader| *leader != status.id);
        Stop::Failed(Failure::of_stream(ended, self.cursor, leader))
    }
}

fn response(cursor: u64, event: WireEvent) -> v1::SubscribeResponse {
    v1::SubscribeResponse {
        cursor,
        event: Some(event),
    }
}

/// Waits until cluster time has reached `at_ms`; cluster time may be corrected meanwhile.
async fn until(clock: &ClusterClock, at_ms: i64) {
    while let Ok(left @ 1..) = u64::try_from(at_ms.saturating_sub(clock.now_ms())) {
        tokio::time::sleep(Duration::from_millis(left).min(CLOCK_CHECK_MAX)).await;
    }
}
