//! The store: one SQLite file for each replica, with the log and the state tables. All SQL is in this crate.
//!
//! One [`Writer`] appends to the log and applies committed entries; [`Readers`] read beside it. The store knows
//! nothing of leaders, peers or clients: the core decides what is written and when it is committed.

mod accounts;
mod apply;
mod base;
pub mod changes;
pub mod command;
pub mod commands;
mod counts;
mod directory;
mod error;
pub mod event;
pub mod fields;
mod hidden;
mod identity;
mod index;
pub mod levels;
mod lineage;
mod log;
pub mod mentions;
mod open;
mod ops;
pub mod place;
mod position;
pub mod queries;
mod readers;
mod requests;
mod retention;
pub mod rooms;
pub mod roster;
mod schema;
pub mod search;
mod seqs;
pub mod snapshot;
mod state_hash;
mod step;
#[cfg(test)]
mod tests;
mod trim;
mod unseen;
mod wal;
mod wal_checkpointer;
mod window;
pub mod wire;
mod writer;

pub use self::{
    accounts::{Account, ApiToken, Scope, Scopes, Session, name_key, password_digest},
    commands::{MADE_LATER_MAX, description::What},
    directory::set_aside,
    error::StoreError,
    lineage::Lineage,
    open::{Opened, open},
    ops::{Applied, Executed, WriteOp},
    readers::{ReadError, ReadThreads, Readers},
    schema::OpenOptions,
    state_hash::StateSnapshot,
    unseen::Unseen,
    writer::Writer,
};
