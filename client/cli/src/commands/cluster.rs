//! The `cluster` commands; each is carried out in a file of its own.

use super::connect::Connect;
use super::membership::{self, AddReplica, RemoveReplica};
use super::recover::{self, Recover};
use super::retention;
use super::status;
use super::stop::{self, RollingRestart, Stop};
use super::verify::{self, Verify};
use crate::failure::Failure;

#[derive(Debug, clap::Subcommand)]
pub enum Cluster {
    /// Show the leader and the state of each replica
    ///
    /// Exit codes: 0 all replicas are in step; 3 the cluster serves, and a replica is missing, not in
    /// step, or has a disk that is full or does not answer; 1 no leader is found from here, so nobody may be serving; 2 wrong usage.
    #[command(verbatim_doc_comment)]
    Status,
    /// Compare the states of all replicas at one LSN; exit code 1 when they differ
    Verify(Verify),
    /// List the replicas of the cluster, as the leader sees them
    Members,
    /// Add a replica; then start it with `tercet serve --join`
    AddReplica(AddReplica),
    /// Remove a replica, dead or alive
    RemoveReplica(RemoveReplica),
    /// Set how long messages are kept, or show it
    Retention(retention::OfCluster),
    /// Stop a replica; refused while another is not in step
    Stop(Stop),
    /// Stop one replica after the other, and wait each time until it was started again and is in step
    RollingRestart(RollingRestart),
    /// Declare replicas dead that are gone for good, so that the others go on without them
    Recover(Recover),
}

pub async fn run(command: Cluster, connect: &Connect) -> Result<(), Failure> {
    match command {
        Cluster::Status => status::status(connect).await,
        Cluster::Verify(args) => verify::verify(args, connect).await,
        Cluster::Members => membership::members(connect).await,
        Cluster::AddReplica(args) => membership::add(args, connect).await,
        Cluster::RemoveReplica(args) => membership::remove(args, connect).await,
        Cluster::Retention(args) => retention::of_cluster(args, connect).await,
        Cluster::Stop(args) => stop::stop(args, connect).await,
        Cluster::RollingRestart(args) => stop::rolling_restart(args, connect).await,
        Cluster::Recover(args) => recover::recover(args, connect).await,
    }
}
