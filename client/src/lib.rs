//! The client library of Tercet: [`Client`] finds the leader of a cluster, sends calls again when a replica fails, and
//! resumes streams where they were.
//!
//! `examples/echo.rs` is a small program that uses it.

mod api;
mod memory;
mod replicas;
mod state_file;

pub use api::{
    Account, Client, Counters, Error, Event, HistoryPage, LeaderInfo, ListAccountsResponse,
    ListMessagesRequest, LoginResponse, Message, Options, OutgoingMessage, RefusedKind,
    ReplicaView, Role, SendMessageResponse, Sends, Start, StateHash, Subscription, Tried,
    new_request_id,
};
pub use memory::{Known, Memory};
pub use replicas::{DEFAULT_REPLICAS, REPLICAS_MAX, Replica, Replicas, ReplicasError};
pub use state_file::{StateFile, StateFileError};
