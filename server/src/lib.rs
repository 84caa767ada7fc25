//! A Tercet replica: the shell around `tercet-core`.

pub mod auth;
pub mod checkpoints;
pub mod event;
pub mod fanout;
pub mod handle;
pub mod rpc;
pub mod store;
pub mod wire;
