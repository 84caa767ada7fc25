//! The clients: each does one operation after another, and tries a write until it is acknowledged, always with the
//! same sequence number.

use crate::node::Request;

/// The client that only adds and removes replicas.
pub const OPERATOR: u32 = 0;

/// A client and its present operation.
#[derive(Clone, Debug)]
pub struct Client {
    pub id: u32,
    /// The number of writes begun.
    pub seq: u32,
    /// The operation in progress.
    pub request: Option<Request>,
    /// The number of tries, over all operations.
    pub attempt: u64,
    /// The number of consecutive tries that failed.
    pub failures: u32,
    /// The index of the replica that it asks next.
    pub target: usize,
    /// The time that it waits for an answer, microseconds, and the end of that time for the present try.
    pub patience: u64,
    pub deadline: Option<u64>,
    /// True if a check of the deadline is scheduled.
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
