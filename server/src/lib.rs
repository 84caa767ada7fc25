//! A Tercet replica: the shell around `tercet-core`.

pub mod event;
pub mod handle;
pub mod store;
pub mod wire;
