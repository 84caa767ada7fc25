//! A Tercet replica: everything around `tercet-core`.
//!
//! `server` assembles a replica and runs it; `driver` is the loop that owns the core; `store_writer` is the
//! thread that writes to the store and uses the `reserve` when the disk is full; `peers` has the sessions with
//! other replicas; `rpc` has the services, which run on the thread of `clients`, get answers and events by
//! `reports`, and reach the driver by `handle`, or by an `ordered_proposer` where order matters; `fanout` has
//! the subscriptions.

mod auth;
#[cfg(feature = "bench")]
pub mod bench;
mod checkpoints;
mod cleanup;
mod clients;
mod clock;
mod cluster_clock;
pub mod config;
mod copies;
mod driver;
mod export;
mod fanout;
mod handle;
mod lists;
mod log_limit;
mod net;
mod ordered_proposer;
mod peers;
mod private_files;
mod programs;
mod proposals;
mod removed;
mod replica_status;
mod reply;
mod reports;
mod reserve;
mod retention;
mod rpc;
pub mod server;
mod set_aside;
mod shutdown;
mod snapshots;
mod store_writer;
mod turns;
mod unseen;

pub use server::{ServeError, serve};
