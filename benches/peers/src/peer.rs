//! What the load must know of a replicated server, whichever it is.

use anyhow::Result;
use serde_json::Value;

use crate::cluster::Cluster;

/// A writer's way into one kind of server. It has at most one write under way.
pub trait Peer: Sized + 'static {
    /// Whether the others go on by themselves when the leader dies.
    const TAKES_OVER: bool;

    /// Makes what is written into, where it is not there yet.
    async fn prepare(cluster: Cluster) -> Result<()>;

    /// So many writers, on as many connections as suit the server.
    async fn connect(cluster: Cluster, leader: usize, writers: usize) -> Result<Vec<Self>>;

    /// Returns when the server has acknowledged that the message, under a new id, is on the
    /// replicas. After an error the next attempt goes to another server, if there may be one.
    async fn write(&mut self, id: i64, body: &'static str) -> Result<()>;

    /// Who leads, if all three servers are up and in step.
    async fn leader(cluster: Cluster) -> Result<Option<usize>>;

    /// What a server says of its version and of how it keeps what is written.
    async fn settings(cluster: Cluster, server: usize) -> Result<Value>;
}
