//! The client: it finds the leader, sends a request again with the same request id when the leader is lost, and
//! resumes streams.
//!
//! This module and the files below it are the only ones of the library that know tonic.

mod backoff;
mod batch;
mod blocks;
mod call;
mod chat;
mod cluster;
mod error;
mod export;
mod levels;
mod links;
mod markers;
mod membership;
mod mentions;
mod message_changes;
mod message_search;
mod outbox;
mod pending_send;
mod people;
mod presence;
mod profiles;
mod request_id;
mod retry;
mod rooms;
mod roster;
mod search;
mod sends;
mod state;
mod subscription;
mod types;
mod verdict;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

pub use cluster::{LeaderInfo, ReplicaView, StateHash};
pub use error::{Error, RefusedKind, Tried};
pub use export::ExportPage;
pub use request_id::new_request_id;
pub use sends::{OutgoingMessage, Sends};
pub use subscription::{Event, Start, Subscription};
pub use types::{
    Account, AccountsPage, ApiScope, ApiToken, Ban, BansPage, Block, BlocksPage, Conversation,
    ConversationKind, ConversationsPage, EarlierText, Expected, HistoryPage, HistoryRequest, Hit,
    HitsPage, LoginSession, MarkedRead, Member, MemberRole, MembersPage, Mention, MentionKind,
    MentionsPage, Message, MessageChange, MessageKind, MessagePreview, NewApiToken, NewRoom,
    NotificationLevel, OpenSession, Pin, Presence, PresenceState, ProfileChange, Reaction,
    RecoveryReport, ReplicaStore, Role, Room, RoomChange, RoomEdit, RoomsPage, RosterEntry,
    SentMessage, StateEntry, StatePage, Status, Submitted, UndeliveredPage, View, Written,
    has_keyword,
};

use crate::cluster_cache::ClusterCache;
use crate::replicas::Replicas;
use call::Bearer;
use links::Links;
use roster::Roster;
use search::Leader;
use sends::Outboxes;

/// The time between two questions to the leader for the replicas of the cluster.
const ROSTER_INTERVAL: Duration = Duration::from_secs(10);

/// The settings of a client. `Options::default()` has the values that each field names.
#[derive(Debug, Clone)]
pub struct Options {
    /// The time that a request may take, with all retries. 30 s.
    pub deadline: Duration,
    /// The time that one attempt may take before the client looks for the leader again. 5 s.
    pub attempt_timeout: Duration,
    /// The number of connections to each replica, used in turn. 1; more for many requests at once.
    pub connections: usize,
    /// The way in which messages are sent. [`Sends::Stream`].
    pub sends: Sends,
    /// The file that remembers clusters from one run to the next. None.
    pub cache: Option<ClusterCache>,
    /// A function that is called once, when the client has looked for the leader for 1.5 s, with the answers of the
    /// replicas so far. None.
    pub waiting: Option<fn(&Error)>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            deadline: Duration::from_secs(30),
            attempt_timeout: Duration::from_secs(5),
            connections: 1,
            sends: Sends::default(),
            cache: None,
            waiting: None,
        }
    }
}

/// A client of one cluster. Clones are cheap, share their connections, and may be used at the same time.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    bearer: Option<Bearer>,
    /// The outboxes of the account; clones share them.
    outboxes: Arc<Outboxes>,
    deadline: Duration,
}

/// The retries and failovers of a client and its clones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// The number of attempts beyond the first of their request.
    pub retries: u64,
    /// The number of leaders that were found after the first one, at another replica or in another epoch.
    pub failovers: u64,
}

/// The part of a client that its clones share.
struct Shared {
    options: Options,
    roster: Arc<Roster>,
    links: Arc<Links>,
    leader: Mutex<Option<Arc<Leader>>>,
    /// The lock of the one call that searches for the leader, with the id and epoch of the last one. Other calls wait
    /// for it.
    searching: tokio::sync::Mutex<Option<(u32, u64)>>,
    /// Whether a task refreshes the roster.
    refreshes_roster: AtomicBool,
    retries: AtomicU64,
    failovers: AtomicU64,
}

impl Client {
    /// Makes a client of the cluster of these replicas. It connects when it is first used.
    pub fn new(replicas: Replicas) -> Client {
        Client::with_options(replicas, Options::default())
    }

    /// Makes a client as [`Client::new`] does, with other options.
    pub fn with_options(replicas: Replicas, options: Options) -> Client {
        Client {
            deadline: options.deadline,
            bearer: None,
            outboxes: Arc::new(Outboxes::new(options.connections)),
            shared: Arc::new(Shared {
                roster: Arc::new(
                    Roster::new(replicas, options.cache.clone()).reporting_to(options.waiting),
                ),
                links: Arc::new(Links::new(options.connections)),
                options,
                leader: Mutex::default(),
                searching: tokio::sync::Mutex::default(),
                refreshes_roster: AtomicBool::default(),
                retries: AtomicU64::new(0),
                failovers: AtomicU64::new(0),
            }),
        }
    }

    /// Returns a client that shares the connections and calls with this token.
    ///
    /// # Errors
    /// [`Error::Protocol`] when the text has characters that no token has.
    pub fn with_token(&self, token: &str) -> Result<Client, Error> {
        let bearer = Some(Bearer::new(token)?);
        Ok(Client {
            bearer,
            outboxes: Arc::new(Outboxes::new(self.shared.options.connections)),
            ..self.clone()
        })
    }

    /// Restricts this client, and every client that shares its connections, to the cluster with this id, a UUID in
    /// text form: no other cluster gets its token.
    pub fn bind(&self, cluster_id: &str) {
        self.shared.roster.bind(cluster_id);
    }

    /// Returns a client that shares everything with this one, except [`Options::deadline`].
    pub fn with_deadline(&self, deadline: Duration) -> Client {
        Client {
            deadline,
            ..self.clone()
        }
    }

    /// Returns the list that this client was given.
    pub fn replicas(&self) -> &Replicas {
        self.shared.roster.list()
    }

    /// Returns the replicas of the cluster as its leader last named them, in this run or, with a cache, in an earlier
    /// one.
    pub fn roster(&self) -> Option<Replicas> {
        self.shared.roster.known()
    }

    /// Returns the retries and failovers so far.
    pub fn counters(&self) -> Counters {
        Counters {
            retries: self.shared.retries.load(Ordering::Relaxed),
            failovers: self.shared.failovers.load(Ordering::Relaxed),
        }
    }
}

impl Shared {
    fn known_leader(&self) -> Option<Arc<Leader>> {
        let leader = self.leader.lock().unwrap_or_else(PoisonError::into_inner);
        leader.clone()
    }

    /// Returns the leader in use, or finds one. One caller at a time searches.
    async fn leader(self: &Arc<Self>, deadline: Instant) -> Result<Arc<Leader>, Error> {
        if let Some(leader) = self.known_leader() {
            return Ok(leader);
        }
        let Ok(mut last) = timeout_at(deadline, self.searching.lock()).await else {
            return Err(self.roster.no_leader());
        };
        if let Some(leader) = self.known_leader() {
            return Ok(leader);
        }
        let found = Arc::new(search::search(&self.roster, &self.links, deadline).await?);
        self.keep_roster_fresh();
        let place = (found.id, found.epoch);
        if last.is_some_and(|last| last != place) {
            self.failovers.fetch_add(1, Ordering::Relaxed);
        }
        *last = Some(place);
        let mut leader = self.leader.lock().unwrap_or_else(PoisonError::into_inner);
        *leader = Some(found.clone());
        Ok(found)
    }

    /// Starts the task that refreshes the roster, unless it runs. A client whose leader dies after days then knows
    /// the replicas that were added meanwhile.
    fn keep_roster_fresh(self: &Arc<Self>) {
        if self.refreshes_roster.swap(true, Ordering::Relaxed) {
            return;
        }
        let shared = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                sleep(ROSTER_INTERVAL).await;
                let Some(shared) = shared.upgrade() else {
                    return;
                };
                if let Some(leader) = shared.known_leader() {
                    search::refresh(&shared.roster, &leader).await;
                }
            }
        });
    }

    /// Stops using a leader that failed, unless another is in use already.
    fn forget(&self, failed: &Arc<Leader>) {
        let mut leader = self.leader.lock().unwrap_or_else(PoisonError::into_inner);
        if leader
            .as_ref()
            .is_some_and(|leader| Arc::ptr_eq(leader, failed))
        {
            *leader = None;
        }
    }

    fn count_retries(&self, count: u64) {
        self.retries.fetch_add(count, Ordering::Relaxed);
    }

    /// Returns false if the leader in use is known to have no streams of messages.
    fn leader_may_have_streams(&self) -> bool {
        self.known_leader()
            .is_none_or(|leader| leader.may_have_streams())
    }
}
