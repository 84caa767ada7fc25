//! The client library of Tercet, a chat server that three replicas keep together.
//!
//! A [`Client`] finds the leader of a cluster. It sends a request again when a replica fails, with the request id of
//! the first attempt, so that a write is applied once. A [`Subscription`] resumes after its last event.
//!
//! ```no_run
//! use tercet_client::{Client, DEFAULT_REPLICAS, Event, Start};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new(DEFAULT_REPLICAS.parse()?);
//! let session = client.login("alice", "correct horse").await?;
//! let client = client.with_token(&session.token)?;
//! client.send_message("bob", "hello").await?;
//!
//! let mut subscription = client.subscribe(Start::Now);
//! loop {
//!     if let Event::Message(message) = subscription.next().await? {
//!         println!("{}: {}", message.sender, message.body);
//!     }
//! }
//! # }
//! ```
//!
//! `examples/echo.rs` is a small bot that also answers the messages that came while it was away.
//!
//! - **Runtime.** Calls run on tokio, with its timers and sockets enabled.
//! - **Deadlines.** Each request ends within [`Options::deadline`], 30 s, with all retries.
//! - **Errors.** [`Error::reason`] gives a stable name. [`Error::OutcomeUnknown`] means that a write may have been
//!   carried out: send it again with the same request id.
//! - **Units.** Points in time are milliseconds since the Unix epoch, UTC. Cursors are positions in the one order of
//!   all messages of the cluster.

#![warn(missing_docs)]

mod api;
mod cluster_cache;
mod replicas;
mod state_file;

pub use api::{
    Account, AccountsPage, ApiScope, ApiToken, Ban, BansPage, Block, BlocksPage, Client,
    Conversation, ConversationKind, ConversationsPage, Counters, EarlierText, Error, Event,
    Expected, ExportPage, HistoryPage, HistoryRequest, Hit, HitsPage, LeaderInfo, LoginSession,
    MarkedRead, Member, MemberRole, MembersPage, Mention, MentionKind, MentionsPage, Message,
    MessageChange, MessageKind, MessagePreview, NewApiToken, NewRoom, NotificationLevel,
    OpenSession, Options, OutgoingMessage, Pin, Presence, PresenceState, ProfileChange, Reaction,
    RecoveryReport, RefusedKind, ReplicaStore, ReplicaView, Role, Room, RoomChange, RoomEdit,
    RoomsPage, RosterEntry, Sends, SentMessage, Start, StateEntry, StateHash, StatePage, Status,
    Submitted, Subscription, Tried, UndeliveredPage, View, Written, has_keyword, new_request_id,
};
pub use cluster_cache::{CachedCluster, ClusterCache};
pub use replicas::{DEFAULT_REPLICAS, Replica, Replicas, ReplicasError};
pub use state_file::{StateFile, StateFileError};
#[doc(no_inline)]
pub use uuid::Uuid;
