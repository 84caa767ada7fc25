//! stub: Entry and Payload; the log itself follows.

use bytes::Bytes;

use crate::{
    config::Config,
    id::{Epoch, Lsn},
};

/// One entry of the log. `(lsn, epoch)` identifies it: two entries with the same pair are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its position.
    pub lsn: Lsn,
    /// The epoch of the leader that appended it; kept when a later leader sends it on.
    pub epoch: Epoch,
    /// What it holds.
    pub payload: Payload,
}

/// What an entry holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// The membership from here on.
    Config(Config),
    /// A change of the replicated state; the core does not look inside.
    Command(Bytes),
}

impl Payload {
    /// Bytes that the payload counts for in limits.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Payload::Config(config) => 32 + 20 * config.members.len(),
            Payload::Command(bytes) => bytes.len(),
        }
    }
}
