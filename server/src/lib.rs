//! A Tercet replica: the shell around `tercet-core`.
//!
//! `server` puts it together; `driver` is the one loop that owns the core; `store_writer` owns the
//! store's writer, and gives it the `reserve` when the disk is full; `peers` are the links to the other replicas; `rpc` has the
//! services, which run on the thread of `clients`, hear from the driver by `reports`, and reach
//! the driver only through `handle`, and through a `proposer` what must keep its order; `fanout` the open
//! subscriptions.

mod auth;
#[cfg(feature = "bench")]
pub mod bench;
mod checkpoints;
mod cleanup;
mod clients;
mod clock;
mod cluster_clock;
mod command;
pub mod config;
mod copies;
mod driver;
mod event;
mod export;
mod fair;
mod fanout;
mod handle;
mod lists;
mod log_limit;
mod net;
mod ordered_proposer;
mod peers;
mod private_files;
mod proposals;
mod removed;
mod reports;
mod reserve;
mod roster;
mod rpc;
pub mod server;
mod set_aside;
mod shutdown;
mod snapshots;
mod standing;
mod store;
mod store_writer;
mod unseen;
mod wire;

pub use server::{ServeError, serve};
