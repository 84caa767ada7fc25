//! The replication protocol of Tercet (essay follows).
pub mod config;
pub mod effect;
pub mod id;
pub mod input;
pub mod log;
pub mod message;

mod ballot;
mod candidate;
mod canvass;
mod follower;
mod leader;
mod peer;
mod progress;
mod replica;
mod role;
mod status;
mod takeover;
mod view;

pub use replica::Replica;
pub use status::{RoleKind, Status};
