//! Presence and typing: the soft state of who is connected, away, or writing now. In the memory of the leader alone, never logged: the next
//! leader learns of presence from the streams that its clients open, and does not know when others were last seen.
//!
//! Streams that ask for it are told of changes. A change waits a little, so that a stream that breaks and resumes is none,
//! and then one read finds who is told. What a stream cannot take is left out: the next change, or GetPresence, corrects it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tercet_proto::v1::{self, PresenceState, subscribe_response::Event};
use tercet_store::{
    fields::{self, bad},
    queries::{NoTyping, PresenceAudience, PresenceOf, TypingAudience},
};
use tercet_types::{
    fair::Key,
    limits::{PRESENCE_NAMES_MAX, TYPING_SECONDS, TYPING_SHOWN_SECONDS},
    name::is_of_room,
};
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, sleep_until},
};

use super::{caller::Caller, chat::Chat, status::Failure};

/// Events that wait for one stream; more are left out.
const QUEUE_MAX: usize = 32;
/// The time after which a change is told, and after which the end of the last stream is one.
const TOLD_AFTER: Duration = Duration::from_millis(500);
const GONE_AFTER: Duration = Duration::from_secs(5);
/// Changes that are told each second at most: each costs a read.
const TOLD_A_SECOND_MAX: u32 = 50;
/// Accounts whose last streams are remembered, and conversations in which somebody is typing.
const REMEMBERED_MAX: usize = 65_536;

/// The state of all streams of this replica. All clones are the same.
#[derive(Clone, Default)]
pub(super) struct Presence(Arc<Shared>);

#[derive(Default)]
struct Shared {
    streams: Mutex<Streams>,
    changed: Notify,
}

#[derive(Default)]
struct Streams {
    next_id: u64,
    /// By the account and a number.
    open: BTreeMap<(u64, u64), Stream>,
    /// When the last stream of an account ended, milliseconds since the Unix epoch.
    last_seen: HashMap<u64, i64>,
    /// The presence that others were told, unless that is offline.
    told: HashMap<u64, PresenceState>,
    /// Accounts whose presence may be another one, with their names, and when that is told.
    changed: HashMap<u64, (Arc<str>, Instant)>,
    /// The same accounts by that time.
    due: BTreeSet<(Instant, u64)>,
    /// The number of streams that asked for these events.
    watching: usize,
    /// When an account was last told of as typing in a conversation.
    typing: HashMap<(u64, String), Instant>,
}

struct Stream {
    token_hash: [u8; 32],
    is_away: bool,
    /// `None` for a stream that did not ask for these events.
    events: Option<mpsc::Sender<Event>>,
}

impl Streams {
    fn state(&self, account_id: u64) -> PresenceState {
        let mut own = self.open.range((account_id, 0)..=(account_id, u64::MAX));
        match own.next() {
            None => PresenceState::Offline,
            Some((_, first)) if first.is_away && own.all(|(_, stream)| stream.is_away) => {
                PresenceState::Away
            }
            Some(_) => PresenceState::Online,
        }
    }

    fn shown(&self, account_id: u64, username: &str) -> v1::Presence {
        let state = self.state(account_id);
        let last_seen_ms = match state {
            PresenceState::Offline => self.last_seen.get(&account_id).copied().unwrap_or(0),
            _ => 0,
        };
        v1::Presence {
            username: username.to_owned(),
            account_id,
            state: state.into(),
            last_seen_ms,
        }
    }

    /// Gives the accounts with a stream that asked for these events, ascending.
    fn watchers(&self) -> Vec<u64> {
        let open = self.open.iter();
        let mut ids: Vec<u64> = open
            .filter(|(_, stream)| stream.events.is_some())
            .map(|((id, _), _)| *id)
            .collect();
        ids.dedup();
        ids
    }

    fn send(&self, ids: &[u64], event: &Event) {
        for id in ids {
            for stream in self.open.range((*id, 0)..=(*id, u64::MAX)) {
                if let Some(events) = &stream.1.events {
                    // A full or closed queue: left out.
                    let _ = events.try_send(event.clone());
                }
            }
        }
    }
}

impl Presence {
    fn lock(&self) -> MutexGuard<'_, Streams> {
        self.0
            .streams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, streams: &mut Streams, account_id: u64, username: &Arc<str>, after: Duration) {
        let due = Instant::now() + after;
        let before = streams.changed.get(&account_id).map(|(_, due)| *due);
        if let Some(before) = before {
            streams.due.remove(&(before, account_id));
        }
        let due = before.map_or(due, |before| before.max(due));
        streams.due.insert((due, account_id));
        streams
            .changed
            .insert(account_id, (Arc::clone(username), due));
        self.0.changed.notify_one();
    }

    /// Opens a stream; the account counts as online until it is dropped.
    pub fn enter(
        &self,
        account_id: u64,
        username: Arc<str>,
        token_hash: [u8; 32],
        wants_events: bool,
        chat: &Chat,
    ) -> Watch {
        let mut streams = self.lock();
        let id = streams.next_id;
        streams.next_id += 1;
        let (sender, events) = match wants_events {
            true => {
                streams.watching += 1;
                let (sender, events) = mpsc::channel(QUEUE_MAX);
                (Some(sender), Some(events))
            }
            false => (None, None),
        };
        let stream = Stream {
            token_hash,
            is_away: false,
            events: sender,
        };
        streams.open.insert((account_id, id), stream);
        self.note(&mut streams, account_id, &username, TOLD_AFTER);
        drop(streams);
        Watch {
            presence: self.clone(),
            clock: chat.clock.clone(),
            key: (account_id, id),
            username,
            events,
        }
    }

    fn set_away(&self, account_id: u64, username: &Arc<str>, token_hash: [u8; 32], away: bool) {
        let mut streams = self.lock();
        let own = streams
            .open
            .range_mut((account_id, 0)..=(account_id, u64::MAX));
        for (_, stream) in own.filter(|(_, stream)| stream.token_hash == token_hash) {
            stream.is_away = away;
        }
        self.note(&mut streams, account_id, username, TOLD_AFTER);
    }

    /// Tells whether an account may be told of as typing now, and notes it.
    fn begins_typing(&self, account_id: u64, conversation: &str) -> bool {
        let now = Instant::now();
        let recent = |at: &Instant| now.duration_since(*at) < Duration::from_secs(TYPING_SECONDS);
        let mut streams = self.lock();
        let key = (account_id, conversation.to_ascii_lowercase());
        if streams.typing.get(&key).is_some_and(recent) {
            return false;
        }
        if streams.typing.len() >= REMEMBERED_MAX {
            streams.typing.retain(|_, at| recent(at));
        }
        if streams.typing.len() >= REMEMBERED_MAX {
            return false;
        }
        streams.typing.insert(key, now);
        true
    }

    /// Waits for the next account whose change is due, and takes it.
    async fn next_change(&self) -> (u64, Arc<str>) {
        loop {
            let changed = self.0.changed.notified();
            let next = {
                let mut streams = self.lock();
                let next = streams.due.first().copied();
                if let Some((due, id)) = next
                    && due <= Instant::now()
                {
                    streams.due.remove(&(due, id));
                    if let Some((username, _)) = streams.changed.remove(&id) {
                        return (id, username);
                    }
                }
                next
            };
            match next {
                None => changed.await,
                Some((due, _)) => {
                    tokio::select! {
                        () = changed => {}
                        () = sleep_until(due) => {}
                    }
                }
            }
        }
    }
}

/// The events of presence of one stream. Dropping it ends the stream.
pub(super) struct Watch {
    presence: Presence,
    clock: crate::cluster_clock::ClusterClock,
    key: (u64, u64),
    username: Arc<str>,
    events: Option<mpsc::Receiver<Event>>,
}

impl Watch {
    /// Waits for the next event; for ever when the stream did not ask for any.
    pub async fn next(&mut self) -> Event {
        if let Some(events) = &mut self.events
            && let Some(event) = events.recv().await
        {
            return event;
        }
        std::future::pending().await
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let account_id = self.key.0;
        let mut streams = self.presence.lock();
        streams.open.remove(&self.key);
        streams.watching -= usize::from(self.events.is_some());
        if streams.state(account_id) == PresenceState::Offline {
            if streams.last_seen.len() >= REMEMBERED_MAX {
                streams.last_seen.clear();
            }
            streams.last_seen.insert(account_id, self.clock.now_ms());
        }
        self.presence
            .note(&mut streams, account_id, &self.username, GONE_AFTER);
    }
}

impl Chat {
    /// Tells of changes of presence, for ever.
    pub(super) async fn tell_of_presence(self) -> Infallible {
        loop {
            let (account_id, username) = self.presence.next_change().await;
            let (event, among) = {
                let mut streams = self.presence.lock();
                let state = streams.state(account_id);
                let before = match state {
                    PresenceState::Offline => streams.told.remove(&account_id),
                    state => streams.told.insert(account_id, state),
                };
                let is_news = before.unwrap_or(PresenceState::Offline) != state;
                let among = match is_news && streams.watching > 0 {
                    true => streams.watchers(),
                    false => Vec::new(),
                };
                let shown = streams.shown(account_id, &username);
                (Event::Presence(shown), among)
            };
            if among.is_empty() || among == [account_id] {
                tokio::task::yield_now().await;
                continue;
            }
            let query = PresenceAudience { account_id, among };
            // A replica that does not lead any more has no streams to tell.
            if let Ok(ids) = self.read(Key::account(account_id), query).await {
                self.presence.lock().send(&ids, &event);
            }
            tokio::time::sleep(Duration::from_secs(1) / TOLD_A_SECOND_MAX).await;
        }
    }

    pub(super) async fn do_get_presence(
        &self,
        caller: &Caller,
        request: v1::GetPresenceRequest,
    ) -> Result<v1::GetPresenceResponse, Failure> {
        let count = request.usernames.len();
        if !(1..=PRESENCE_NAMES_MAX).contains(&count) {
            let what = format!("has {count} names; 1 to {PRESENCE_NAMES_MAX} are allowed");
            return Err(bad("usernames", "INVALID_USERNAMES", what).into());
        }
        let names: HashSet<&String> = request.usernames.iter().collect();
        if names.len() < count {
            let what = "has a name twice";
            return Err(bad("usernames", "INVALID_USERNAMES", what).into());
        }
        let names = request.usernames.iter();
        let names = names.map(|name| fields::username("usernames", name));
        let names = names.collect::<Result<_, _>>()?;
        let (permit, session) = self.permit(caller).await?;
        let account_id = session.account_id;
        let query = PresenceOf { account_id, names };
        let rows = self
            .read_under(permit, Key::account(account_id), query)
            .await?
            .map_err(Failure::UnknownAccount)?;
        let streams = self.presence.lock();
        let presence = rows.into_iter().map(|row| match row.is_shown {
            true => streams.shown(row.account_id, &row.username),
            false => v1::Presence {
                username: row.username,
                account_id: row.account_id,
                ..v1::Presence::default()
            },
        });
        Ok(v1::GetPresenceResponse {
            presence: presence.collect(),
        })
    }

    pub(super) async fn do_set_presence(
        &self,
        caller: &Caller,
        request: v1::SetPresenceRequest,
    ) -> Result<v1::SetPresenceResponse, Failure> {
        let (permit, session) = self.permit(caller).await?;
        permit.confirm()?;
        let username = Arc::from(&*session.username);
        self.presence.set_away(
            session.account_id,
            &username,
            session.token_hash,
            request.away,
        );
        Ok(v1::SetPresenceResponse {})
    }

    pub(super) async fn do_set_typing(
        &self,
        caller: &Caller,
        request: v1::SetTypingRequest,
    ) -> Result<v1::SetTypingResponse, Failure> {
        let conversation = fields::conversation("conversation", &request.conversation)?;
        let (permit, session) = self.permit(caller).await?;
        let account_id = session.account_id;
        let query = TypingAudience {
            account_id,
            conversation: conversation.clone(),
        };
        if !self.presence.begins_typing(account_id, &conversation) {
            return Ok(v1::SetTypingResponse {});
        }
        let ids = self
            .read_under(permit, Key::account(account_id), query)
            .await?;
        let ids = ids.map_err(|why| match why {
            NoTyping::UnknownAccount => Failure::UnknownAccount(conversation.clone()),
            NoTyping::Room(denied) => {
                Failure::of_denied(denied, conversation.trim_start_matches('#').to_owned())
            }
        })?;
        let username = session.username.to_string();
        let event = Event::Typing(v1::Typing {
            conversation: match is_of_room(&conversation) {
                true => conversation,
                false => username.clone(),
            },
            username,
            account_id,
            shown_ms: TYPING_SHOWN_SECONDS * 1_000,
        });
        self.presence.lock().send(&ids, &event);
        Ok(v1::SetTypingResponse {})
    }
}
