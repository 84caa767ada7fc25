//! The library: calls to a Tercet cluster that find the leader by themselves, are sent again
//! with the same request id when it is lost, and streams that resume where they were.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use tercet_client::Client;
//!
//! let client = Client::new("1=127.0.0.1:5001,2=127.0.0.1:5002".parse()?);
//! let session = client.login("alice", "correct horse").await?;
//! let client = client.with_token(&session.token)?;
//! client.send_message("bob", "hello").await?;
//! # Ok(()) }
//! ```
//!
//! This module and the files below it are the only ones that know tonic.

mod call;
mod chat;
mod cluster;
mod error;
mod links;
mod membership;
mod outbox;
mod request_id;
mod retry;
mod roster;
mod search;
mod sends;
mod subscription;
mod types;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

pub use cluster::{LeaderInfo, ReplicaView, StateHash};
pub use error::{Error, RefusedKind, Tried};
pub use request_id::new_request_id;
pub use sends::{OutgoingMessage, Sends};
pub use subscription::{Event, Start, Subscription};
pub use types::{
    Account, AccountsPage, HistoryPage, HistoryRequest, LoginSession, Message, RecoveryReport,
    ReplicaStore, Role, RosterEntry, SentMessage, Status, UndeliveredPage, View,
};

use crate::cluster_cache::ClusterCache;
use crate::replicas::Replicas;
use call::Bearer;
use links::Links;
use roster::Roster;
use search::Leader;
use sends::Outboxes;

/// Between two times that the leader is asked who belongs to the cluster.
const ROSTER_INTERVAL: Duration = Duration::from_secs(10);

/// How a client behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long a request may take in all, with every retry. 30 s.
    pub deadline: Duration,
    /// How long one attempt may take before the leader is looked for again. 5 s.
    pub attempt_timeout: Duration,
    /// Connections to each replica, used in turn. 1; more for many requests at once.
    pub connections: usize,
    /// How messages are sent. Over streams.
    pub sends: Sends,
    /// Where clusters are remembered from one run to the next. Nowhere.
    pub cache: Option<ClusterCache>,
    /// Told once, after 1.5 s, when no replica leads, with what each of them did so far. Nobody.
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

/// A handle to a cluster. Cloning is cheap; clones share connections and may be used at once.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    bearer: Option<Bearer>,
    /// The account's; clones share them.
    outboxes: Arc<Outboxes>,
    deadline: Duration,
}

/// What happened behind the calls of a client and its clones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// Attempts beyond the first of their request.
    pub retries: u64,
    /// Leaders found after the first one, in another place or epoch.
    pub failovers: u64,
}

struct Shared {
    options: Options,
    roster: Arc<Roster>,
    links: Arc<Links>,
    leader: Mutex<Option<Arc<Leader>>>,
    /// Held while somebody searches; the rest wait for what it finds.
    searching: tokio::sync::Mutex<Option<(u32, u64)>>,
    /// Whether a task asks the leader in use, now and then, who belongs to the cluster.
    keeps_roster: AtomicBool,
    retries: AtomicU64,
    failovers: AtomicU64,
}

impl Client {
    /// A client of the listed replicas. Connects when first used.
    pub fn new(replicas: Replicas) -> Client {
        Client::with_options(replicas, Options::default())
    }

    /// As [`Client::new`], with other options.
    pub fn with_options(replicas: Replicas, options: Options) -> Client {
        Client {
            deadline: options.deadline,
            bearer: None,
            outboxes: Arc::new(Outboxes::new(options.connections)),
            shared: Arc::new(Shared {
                roster: Arc::new(
                    Roster::new(replicas, options.cache.clone()).telling(options.waiting),
                ),
                links: Arc::new(Links::new(options.connections)),
                options,
                leader: Mutex::default(),
                searching: tokio::sync::Mutex::default(),
                keeps_roster: AtomicBool::default(),
                retries: AtomicU64::new(0),
                failovers: AtomicU64::new(0),
            }),
        }
    }

    /// The same client, calling as the owner of a token.
    ///
    /// # Errors
    /// When the text cannot be a token.
    pub fn with_token(&self, token: &str) -> Result<Client, Error> {
        let bearer = Some(Bearer::new(token)?);
        Ok(Client {
            bearer,
            outboxes: Arc::new(Outboxes::new(self.shared.options.connections)),
            ..self.clone()
        })
    }

    /// From here on this client, and whoever shares its connections, calls replicas of this cluster
    /// only: no other ever sees its token.
    pub fn bind(&self, cluster_id: &str) {
        self.shared.roster.bind(cluster_id);
    }

    /// The same client with another overall deadline for each request.
    pub fn with_deadline(&self, deadline: Duration) -> Client {
        Client {
            deadline,
            ..self.clone()
        }
    }

    /// The list this client was given.
    pub fn replicas(&self) -> &Replicas {
        self.shared.roster.list()
    }

    /// Who belongs to the cluster, as its leader said when it was last asked, in this run or, with
    /// a cache, in an earlier one.
    pub fn roster(&self) -> Option<Replicas> {
        self.shared.roster.known()
    }

    /// What happened behind the calls so far.
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

    /// The leader: the one in use, or the one found by asking. One caller at a time asks.
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
        self.keep_roster();
        let place = (found.id, found.epoch);
        if last.is_some_and(|last| last != place) {
            self.failovers.fetch_add(1, Ordering::Relaxed);
        }
        *last = Some(place);
        let mut leader = self.leader.lock().unwrap_or_else(PoisonError::into_inner);
        *leader = Some(found.clone());
        Ok(found)
    }

    /// Once a leader was found, the roster is asked for again now and then: a client whose leader
    /// dies after days finds those who were added meanwhile.
    fn keep_roster(self: &Arc<Self>) {
        if self.keeps_roster.swap(true, Ordering::Relaxed) {
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
                    search::learn(&shared.roster, &leader).await;
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

    /// Not, if the leader in use has said so.
    fn leader_may_have_streams(&self) -> bool {
        self.known_leader()
            .is_none_or(|leader| leader.may_have_streams())
    }
}
