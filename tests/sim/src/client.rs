//! Clients: each does one operation after another, and tries a write until it is acknowledged,
//! always under the same sequence number.

use crate::node::Request;

/// The client that adds and removes replicas, and does nothing else.
pub const OPERATOR: u32 = 0;

/// One client.
#[derive(Clone, Debug)]
pub struct Client {
    pub id: u32,
    /// Writes begun.
    pub seq: u32,
    /// The operation under way.
    pub request: Option<Request>,
    /// Tries so far, over all operations.
    pub attempt: u64,
    /// Tries in a row that came to nothing.
    pub failures: u32,
    /// Which replica it asks next.
    pub target: usize,
    /// How long it waits for an answer, and until when for this one.
    pub patience: u64,
    pub deadline: Option<u64>,
    /// A look at the deadline is scheduled.
    pub watched: bool,
}

impl Client {
    #[must_use]
    pub fn new(id: u32, patience: u64) -> Client {
        Client {
            id,
            seq: 0,
            request: None,
            attempt: 0,
            failures: 0,
            target: id as usize,
            patience,
            deadline: None,
            watched: false,
        }
    }
}
