//! The fan-out: passes committed events to the subscriptions of the accounts that they concern. Knows neither
//! the store nor the wire.
//!
//! A subscription begins *catching up*: its reader takes events from the store, so the fan-out queues none for it, and
//! a long backlog cannot overflow the queue. After [`Subscription::go_live`] events are queued, and the reader reads the
//! store once more for those in between. Events are published after they were applied, so every event is in the store or in the queue; an
//! event in both has the same LSN.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use bytes::Bytes;
use tercet_store::event::{Audience, Ending, Event};
use tokio::sync::{mpsc, watch};

/// Events that may wait for one subscription. With one more, the subscription ends as too slow.
const QUEUE_EVENTS_MAX: usize = 1024;
/// Subscriptions of one account: one for each device or tool.
const ACCOUNT_STREAMS_MAX: usize = 32;
/// Subscriptions of this replica.
const STREAMS_MAX: usize = 16_384;

/// Why a subscription ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The client read more slowly than events came.
    Slow,
    /// The session was revoked.
    SessionRevoked,
    /// The account was deleted.
    AccountDeleted,
    /// This replica no longer leads.
    LeadLost,
    /// This replica is stopping. No new subscription is accepted after this.
    Stopping,
}

impl From<Ending> for Ended {
    fn from(why: Ending) -> Self {
        match why {
            Ending::SessionRevoked => Ended::SessionRevoked,
            Ending::AccountDeleted => Ended::AccountDeleted,
        }
    }
}

/// Why a subscription was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRegistered {
    /// The account, or this replica, has the maximum number of subscriptions.
    TooMany,
    /// This replica is stopping.
    Stopping,
}

/// The owner of a subscription.
#[derive(Clone, Debug)]
pub struct Subscriber {
    pub account_id: u64,
    /// The account's name, in any case.
    pub username: String,
    /// SHA-256 of the token that opened the subscription.
    pub token_hash: [u8; 32],
    /// Whether that is an API token, which stays when the account's other sessions end.
    pub by_api_token: bool,
}

/// An event for one or more subscriptions, which may encode it once for all of them.
#[derive(Debug, PartialEq, Eq)]
pub struct Delivery {
    pub event: Event,
    encoded: OnceLock<Bytes>,
    /// The encoding for the accounts that the message mentions.
    encoded_for_mentioned: OnceLock<Bytes>,
}

impl Delivery {
    fn new(event: Event) -> Delivery {
        Delivery {
            event,
            encoded: OnceLock::new(),
            encoded_for_mentioned: OnceLock::new(),
        }
    }

    /// Gives the event, without a copy to its last subscription.
    pub fn into_event(delivery: Arc<Delivery>) -> Event {
        match Arc::try_unwrap(delivery) {
            Ok(sole) => sole.event,
            Err(shared) => shared.event.clone(),
        }
    }

    /// Gives the encoding of the event, for accounts that it mentions or for the others: the one of the first call.
    pub fn encoded(&self, is_mentioned: bool, encode: impl FnOnce() -> Bytes) -> Bytes {
        let encoded = if is_mentioned {
            &self.encoded_for_mentioned
        } else {
            &self.encoded
        };
        encoded.get_or_init(encode).clone()
    }
}

/// The registry of subscriptions. Cheap to clone; all clones are the same registry.
#[derive(Clone, Default)]
pub struct Fanout {
    registry: Arc<Mutex<Registry>>,
}

#[derive(Default)]
struct Registry {
    next_id: u64,
    streams: BTreeMap<u64, Stream>,
    /// `(account id, stream id)` of each subscription.
    accounts: BTreeSet<(u64, u64)>,
    /// `(token hash, stream id)` of each subscription.
    tokens: BTreeSet<([u8; 32], u64)>,
    /// The number of subscriptions by lower-cased name.
    names: HashMap<String, usize>,
    stopping: bool,
}

struct Stream {
    account_id: u64,
    token_hash: [u8; 32],
    by_api_token: bool,
    name: String,
    live: bool,
    queue: mpsc::Sender<Arc<Delivery>>,
    ended: watch::Sender<Option<Ended>>,
}

impl Fanout {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens a subscription, catching up. The account counts as connected until it is dropped.
    ///
    /// # Errors
    /// When there are too many subscriptions, or this replica is stopping.
    pub fn register(&self, subscriber: Subscriber) -> Result<Subscription, NotRegistered> {
        let mut registry = self.lock();
        if registry.stopping {
            return Err(NotRegistered::Stopping);
        }
        let own = registry.streams_of_account(subscriber.account_id).len();
        if own >= ACCOUNT_STREAMS_MAX || registry.streams.len() >= STREAMS_MAX {
            return Err(NotRegistered::TooMany);
        }
        let id = registry.next_id;
        registry.next_id += 1;
        let (queue, events) = mpsc::channel(QUEUE_EVENTS_MAX);
        let (ended, end) = watch::channel(None);
        let name = subscriber.username.to_ascii_lowercase();
        registry.accounts.insert((subscriber.account_id, id));
        registry.tokens.insert((subscriber.token_hash, id));
        *registry.names.entry(name.clone()).or_default() += 1;
        let stream = Stream {
            account_id: subscriber.account_id,
            token_hash: subscriber.token_hash,
            by_api_token: subscriber.by_api_token,
            name,
            live: false,
            queue,
            ended,
        };
        registry.streams.insert(id, stream);
        drop(registry);
        Ok(Subscription {
            id,
            fanout: self.clone(),
            events,
            end,
        })
    }

    /// Tells whether the account of that name, in any case, has a subscription. A message names its recipient,
    /// and looking the id up would cost a read of the store for each message. A name has one live account, and
    /// the subscriptions of a deleted account are closed.
    #[must_use]
    pub fn is_connected(&self, username: &str) -> bool {
        let name = username.to_ascii_lowercase();
        self.lock().names.contains_key(&name)
    }

    /// Gives the accounts that have a subscription, ascending.
    #[must_use]
    pub fn connected(&self) -> Vec<u64> {
        let mut ids: Vec<u64> = self.lock().accounts.iter().map(|(id, _)| *id).collect();
        ids.dedup();
        ids
    }

    /// Tells whether the event ends sessions, or concerns a subscription of now. A subscription that opens later reads
    /// events from the store, so one without a subscription goes to nobody.
    #[must_use]
    pub fn has_audience(&self, event: &Event) -> bool {
        // The cache of sessions needs to see all that end, whoever is connected.
        event.ends().is_some()
            || match event.audience() {
                Audience::Account(account_id) => self.lock().has_streams(account_id),
                Audience::Pair(one, other) => {
                    let registry = self.lock();
                    registry.has_streams(one) || registry.has_streams(other)
                }
                // Many may be asked for: those without a subscription are left out where it is delivered.
                Audience::Accounts(_) => !self.lock().streams.is_empty(),
                Audience::Session(_) | Audience::OtherSessions { .. } => true,
            }
    }

    /// Passes events to the subscriptions that they concern. The leader calls it after the entries were applied
    /// and before their proposers are answered. Never blocks: a subscription whose queue is full ends.
    pub fn publish(&self, events: &[Event]) {
        if events.is_empty() {
            return;
        }
        let mut registry = self.lock();
        for event in events {
            let ids = registry.streams_of(&event.audience());
            match event.ends() {
                Some(why) => {
                    for id in ids {
                        registry.end(id, why.into());
                    }
                }
                None => registry.deliver(&ids, event),
            }
        }
    }

    /// Ends every subscription. After [`Ended::Stopping`] no new one is accepted.
    pub fn close_all(&self, why: Ended) {
        let mut registry = self.lock();
        registry.stopping |= why == Ended::Stopping;
        let ids: Vec<u64> = registry.streams.keys().copied().collect();
        for id in ids {
            registry.end(id, why);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    fn has_streams(&self, account_id: u64) -> bool {
        let own = (account_id, 0)..=(account_id, u64::MAX);
        self.accounts.range(own).next().is_some()
    }

    fn streams_of_account(&self, account_id: u64) -> Vec<u64> {
        self.accounts
            .range((account_id, 0)..=(account_id, u64::MAX))
            .map(|(_, id)| *id)
            .collect()
    }

    fn streams_of(&self, audience: &Audience<'_>) -> Vec<u64> {
        match audience {
            Audience::Account(account_id) => self.streams_of_account(*account_id),
            Audience::Pair(one, other) => {
                let mut ids = self.streams_of_account(*one);
                if other != one {
                    ids.extend(self.streams_of_account(*other));
                }
                ids
            }
            // Whichever are fewer are gone through.
            Audience::Accounts(ids) if ids.len() < self.streams.len() => ids
                .iter()
                .flat_map(|id| self.streams_of_account(*id))
                .collect(),
            Audience::Accounts(_) => self
                .accounts
                .iter()
                .filter(|(account_id, _)| audience.includes(*account_id, &[0; 32]))
                .map(|(_, id)| *id)
                .collect(),
            Audience::Session(token_hash) => self
                .tokens
                .range((*token_hash, 0)..=(*token_hash, u64::MAX))
                .map(|(_, id)| *id)
                .collect(),
            Audience::OtherSessions { account_id, .. } => {
                let mut ids = self.streams_of_account(*account_id);
                let includes = |one: &Stream| {
                    !one.by_api_token && audience.includes(one.account_id, &one.token_hash)
                };
                ids.retain(|id| self.streams.get(id).is_some_and(includes));
                ids
            }
        }
    }

    fn deliver(&mut self, ids: &[u64], event: &Event) {
        if ids.is_empty() {
            return;
        }
        let delivery = Arc::new(Delivery::new(event.clone()));
        for &id in ids {
            let Some(stream) = self.streams.get(&id) else {
                continue;
            };
            if !stream.live {
                continue;
            }
            match stream.queue.try_send(Arc::clone(&delivery)) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(_)) => self.end(id, Ended::Slow),
                // The reader is going away and will unregister the subscription.
                Err(mpsc::error::TrySendError::Closed(_)) => {}
            }
        }
    }

    fn end(&mut self, id: u64, why: Ended) {
        if let Some(stream) = self.remove(id) {
            stream.ended.send_replace(Some(why));
        }
    }

    fn remove(&mut self, id: u64) -> Option<Stream> {
        let stream = self.streams.remove(&id)?;
        self.accounts.remove(&(stream.account_id, id));
        self.tokens.remove(&(stream.token_hash, id));
        if let Some(count) = self.names.get_mut(&stream.name) {
            *count -= 1;
            if *count == 0 {
                self.names.remove(&stream.name);
            }
        }
        Some(stream)
    }
}

/// The reader's end of one subscription. Dropping it closes the subscription.
pub struct Subscription {
    id: u64,
    fanout: Fanout,
    events: mpsc::Receiver<Arc<Delivery>>,
    end: watch::Receiver<Option<Ended>>,
}

impl Subscription {
    /// Starts queueing events. Earlier events are in the store.
    pub fn go_live(&self) {
        if let Some(stream) = self.fanout.lock().streams.get_mut(&self.id) {
            stream.live = true;
        }
    }

    /// Waits for the next event; after the end and an empty queue, gives the reason of the end.
    ///
    /// # Errors
    /// The reason of the end.
    pub async fn next(&mut self) -> Result<Arc<Delivery>, Ended> {
        match self.events.recv().await {
            Some(event) => Ok(event),
            None => Err(self.ended().await),
        }
    }

    /// Waits for the end of the subscription, whatever is still queued.
    pub async fn ended(&self) -> Ended {
        let mut end = self.end.clone();
        match end.wait_for(Option::is_some).await {
            Ok(why) => why.unwrap_or(Ended::LeadLost),
            // Only `drop` removes a subscription without a reason.
            Err(_) => Ended::LeadLost,
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.fanout.lock().remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tercet_proto::log::{BlockChanged, change::What};
    use tercet_store::{
        changes::ChangeRow,
        event::{MessageKind, MessageParts, MessageRow, RoomMessageRow},
    };

    fn message(lsn: u64, recipient_id: u64) -> Event {
        Event::Message(MessageRow {
            lsn,
            id: [1; 16],
            seq: 1,
            sender_id: 1,
            sender: "ann".into(),
            sender_deleted: false,
            recipient_id,
            recipient: "bob".into(),
            recipient_deleted: false,
            body: "hello".into(),
            sent_at_ms: 1,
            instant: true,
            delivered: false,
            parts: MessageParts::default(),
        })
    }

    fn subscribe(fanout: &Fanout, account_id: u64, name: &str, token: u8) -> Subscription {
        let subscription = fanout
            .register(Subscriber {
                by_api_token: false,
                account_id,
                username: name.into(),
                token_hash: [token; 32],
            })
            .unwrap();
        subscription.go_live();
        subscription
    }

    #[tokio::test]
    async fn message_reaches_every_stream_of_its_two_accounts_once_and_no_other() {
        let fanout = Fanout::new();
        let mut own = subscribe(&fanout, 1, "ann", 4);
        let mut phone = subscribe(&fanout, 2, "Bob", 1);
        let mut laptop = subscribe(&fanout, 2, "Bob", 2);
        let mut other = subscribe(&fanout, 3, "cy", 3);
        fanout.publish(&[message(10, 2)]);
        assert_eq!(phone.next().await.unwrap().event, message(10, 2));
        assert_eq!(laptop.next().await.unwrap().event, message(10, 2));
        assert_eq!(own.next().await.unwrap().event, message(10, 2));
        // A note to oneself, and a message that its recipient does not get.
        fanout.publish(&[message(11, 1)]);
        assert_eq!(own.next().await.unwrap().event, message(11, 1));
        let Event::Message(row) = message(12, 2) else {
            unreachable!()
        };
        let hidden = Event::HiddenMessage(row);
        assert!(fanout.has_audience(&hidden));
        fanout.publish(std::slice::from_ref(&hidden));
        assert_eq!(own.next().await.unwrap().event, hidden);
        assert!(own.events.try_recv().is_err());
        assert!(phone.events.try_recv().is_err());
        assert!(other.events.try_recv().is_err());
    }

    #[tokio::test]
    async fn message_of_a_room_reaches_the_streams_of_its_members_as_one_copy() {
        let row = RoomMessageRow {
            lsn: 10,
            id: Some([1; 16]),
            room_id: 5,
            room: "tea".into(),
            seq: 1,
            kind: MessageKind::Text,
            sender_id: 2,
            sender: "bob".into(),
            sender_deleted: false,
            subject_id: None,
            subject: None,
            body: "hello".into(),
            sent_at_ms: 1,
            parts: MessageParts::default(),
        };
        let fanout = Fanout::new();
        let mut bob = subscribe(&fanout, 2, "bob", 1);
        let mut cy = subscribe(&fanout, 3, "cy", 2);
        let mut outside = subscribe(&fanout, 4, "dan", 3);
        // Fewer members than streams, and more.
        for members in [vec![2, 3], vec![2, 3, 5, 6, 7, 8]] {
            let event = Event::RoomMessage {
                mentioned: None,
                row: row.clone().into(),
                members: members.into(),
            };
            assert!(fanout.has_audience(&event));
            fanout.publish(std::slice::from_ref(&event));
            let (of_bob, of_cy) = (bob.next().await.unwrap(), cy.next().await.unwrap());
            assert_eq!(of_bob.event, event);
            assert!(Arc::ptr_eq(&of_bob, &of_cy));
            assert!(outside.events.try_recv().is_err());
        }
    }

    #[test]
    fn message_has_an_audience_while_one_of_its_accounts_has_a_stream() {
        let fanout = Fanout::new();
        let stream = subscribe(&fanout, 2, "bob", 1);
        assert!(fanout.has_audience(&message(10, 2)));
        assert!(!fanout.has_audience(&message(10, 1)));
        assert!(!fanout.has_audience(&message(10, 3)));
        let own = subscribe(&fanout, 1, "ann", 2);
        assert!(fanout.has_audience(&message(10, 3)));
        drop(own);
        drop(stream);
        assert!(!fanout.has_audience(&message(10, 2)));
        // The cache of sessions wants the others, whoever is connected.
        let deleted = Event::AccountDeleted {
            lsn: 11,
            account_id: 2,
        };
        assert!(fanout.has_audience(&deleted));
    }

    #[tokio::test]
    async fn slow_stream_is_ended_and_its_neighbour_goes_on() {
        let fanout = Fanout::new();
        let slow = subscribe(&fanout, 2, "bob", 1);
        let mut quick = subscribe(&fanout, 2, "bob", 2);
        for lsn in 1..=QUEUE_EVENTS_MAX as u64 + 1 {
            fanout.publish(&[message(lsn, 2)]);
            assert!(quick.next().await.is_ok());
        }
        assert_eq!(slow.ended().await, Ended::Slow);
        fanout.publish(&[message(5000, 2)]);
        assert!(quick.next().await.is_ok());
    }

    #[tokio::test]
    async fn catching_up_stream_queues_nothing() {
        let fanout = Fanout::new();
        let mut subscription = fanout
            .register(Subscriber {
                by_api_token: false,
                account_id: 2,
                username: "bob".into(),
                token_hash: [1; 32],
            })
            .unwrap();
        for lsn in 1..=3 * QUEUE_EVENTS_MAX as u64 {
            fanout.publish(&[message(lsn, 2)]);
        }
        let change = |lsn| {
            let what = What::BlockChanged(BlockChanged::default());
            Event::Change {
                row: ChangeRow { lsn, what }.into(),
                members: [2].into(),
            }
        };
        fanout.publish(&[change(9000)]);
        subscription.go_live();
        fanout.publish(&[change(9001), message(9001, 2)]);
        assert_eq!(subscription.next().await.unwrap().event, change(9001));
        assert_eq!(subscription.next().await.unwrap().event, message(9001, 2));
    }

    #[tokio::test]
    async fn revoked_session_ends_only_its_own_streams() {
        let fanout = Fanout::new();
        let mut revoked = subscribe(&fanout, 2, "bob", 1);
        let _kept = subscribe(&fanout, 2, "bob", 2);
        fanout.publish(&[
            message(10, 2),
            Event::SessionEnded {
                lsn: 11,
                token_hash: [1; 32],
            },
            message(12, 2),
        ]);
        assert_eq!(revoked.next().await.unwrap().event, message(10, 2));
        assert_eq!(revoked.next().await, Err(Ended::SessionRevoked));
        assert!(fanout.is_connected("BOB"));
    }

    #[tokio::test]
    async fn ending_the_other_sessions_ends_the_streams_of_all_but_one() {
        let fanout = Fanout::new();
        let mut kept = subscribe(&fanout, 2, "bob", 1);
        let mut phone = subscribe(&fanout, 2, "bob", 2);
        let mut stranger = subscribe(&fanout, 3, "cy", 3);
        fanout.publish(&[
            Event::OtherSessionsEnded {
                lsn: 11,
                account_id: 2,
                kept: [1; 32],
            },
            message(12, 2),
            message(13, 3),
        ]);
        assert_eq!(phone.next().await, Err(Ended::SessionRevoked));
        assert_eq!(kept.next().await.unwrap().event, message(12, 2));
        assert_eq!(stranger.next().await.unwrap().event, message(13, 3));
    }

    #[tokio::test]
    async fn deleted_account_loses_all_its_streams() {
        let fanout = Fanout::new();
        let mut one = subscribe(&fanout, 2, "bob", 1);
        let mut two = subscribe(&fanout, 2, "bob", 2);
        fanout.publish(&[Event::AccountDeleted {
            lsn: 11,
            account_id: 2,
        }]);
        assert_eq!(one.next().await, Err(Ended::AccountDeleted));
        assert_eq!(two.next().await, Err(Ended::AccountDeleted));
        assert!(!fanout.is_connected("bob"));
    }

    #[tokio::test]
    async fn account_is_connected_until_its_last_stream_is_dropped() {
        let fanout = Fanout::new();
        let one = subscribe(&fanout, 2, "Bob", 1);
        let two = subscribe(&fanout, 2, "bob", 2);
        drop(one);
        assert!(fanout.is_connected("bOB"));
        drop(two);
        assert!(!fanout.is_connected("bob"));
    }

    #[tokio::test]
    async fn losing_the_lead_ends_all_streams_and_takes_new_ones() {
        let fanout = Fanout::new();
        let mut before = subscribe(&fanout, 2, "bob", 1);
        fanout.close_all(Ended::LeadLost);
        assert_eq!(before.next().await, Err(Ended::LeadLost));
        let _after = subscribe(&fanout, 2, "bob", 1);
    }

    #[test]
    fn stopping_refuses_new_streams() {
        let fanout = Fanout::new();
        fanout.close_all(Ended::Stopping);
        let refused = fanout.register(Subscriber {
            by_api_token: false,
            account_id: 2,
            username: "bob".into(),
            token_hash: [1; 32],
        });
        assert_eq!(refused.err(), Some(NotRegistered::Stopping));
    }

    #[test]
    fn one_account_cannot_take_all_streams() {
        let fanout = Fanout::new();
        let _streams: Vec<_> = (0..ACCOUNT_STREAMS_MAX)
            .map(|token| subscribe(&fanout, 2, "bob", token as u8))
            .collect();
        let refused = fanout.register(Subscriber {
            by_api_token: false,
            account_id: 2,
            username: "bob".into(),
            token_hash: [99; 32],
        });
        assert_eq!(refused.err(), Some(NotRegistered::TooMany));
        let _other = subscribe(&fanout, 3, "cy", 1);
    }
}
