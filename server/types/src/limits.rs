//! The limits that both ends of a connection, or several crates, must agree on.

/// Replicas that a cluster may have.
pub const REPLICAS_MAX: usize = 9;
