//! The Tercet client: the library ([`Client`]), and built on it the command line ([`cli`]), the
//! line-mode chat, `tercet replay`, `tercet bench` and `tercet local`.
//!
//! Only `api` and the files below it speak gRPC; everything else uses the library's own types
//! and errors, as any other program would.

mod accounts;
mod api;
mod app;
mod bench;
mod chat;
pub mod cli;
mod editor;
#[cfg(test)]
mod input_tests;
mod latency;
mod lines;
mod local;
mod memory;
mod output;
mod plain_text;
mod pool;
mod progress;
mod prompt;
mod replay;
mod replicas;
mod session;
mod state_file;
mod stop_signals;
mod whole;
mod worker;

pub use api::{
    Account, Client, Counters, Error, Event, HistoryPage, LeaderInfo, ListAccountsResponse,
    ListMessagesRequest, LoginResponse, Message, Options, OutgoingMessage, RefusedKind,
    ReplicaView, Role, SendMessageResponse, Sends, Start, StateHash, Subscription, Tried,
    new_request_id,
};
pub use memory::{Known, Memory};
pub use replicas::{DEFAULT_REPLICAS, REPLICAS_MAX, Replica, Replicas, ReplicasError};
