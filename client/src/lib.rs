//! The client library of Tercet: [`Client`] finds the leader of a cluster, sends calls again when a replica fails, and
//! resumes streams where they were.
//!
//! `examples/echo.rs` is a small program that uses it.

mod api;
mod cluster_cache;
mod replicas;
mod state_file;

pub use api::{
    Account, AccountsPage, Client, Counters, Error, Event, HistoryPage, HistoryRequest, LeaderInfo,
    LoginSession, Message, Options, OutgoingMessage, RecoveryReport, RefusedKind, ReplicaStore,
    ReplicaView, Role, RosterEntry, Sends, SentMessage, Start, StateHash, Status, Subscription,
    Tried, UndeliveredPage, View, new_request_id,
};
pub use cluster_cache::{CachedCluster, ClusterCache};
pub use replicas::{DEFAULT_REPLICAS, REPLICAS_MAX, Replica, Replicas, ReplicasError};
pub use state_file::{StateFile, StateFileError};
