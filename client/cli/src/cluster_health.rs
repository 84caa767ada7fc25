//! The check whether a cluster is healthy: every replica is in step and can take over.

use std::time::Duration;

use tercet_client::{Client, Replica};
use tercet_proto::words::replicas;

/// The time that one replica, or the search for the leader, may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// A cluster whose replicas are all in step.
#[derive(Debug, Clone)]
pub struct HealthyCluster {
    pub leader: u32,
    pub replicas: Vec<Replica>,
}

/// Gives the cluster if it is healthy at this moment.
///
/// # Errors
/// A description of the missing part of the cluster.
pub async fn healthy_cluster(client: &Client) -> Result<HealthyCluster, String> {
    let patient = client.with_deadline(ANSWER_TIMEOUT);
    let view = patient.leader_view(ANSWER_TIMEOUT).await;
    let status = view.map_err(|error| error.to_string())?.status;
    let missing = status.replicas.iter().filter(|replica| !replica.member);
    let missing: Vec<u32> = missing.map(|one| one.replica_id).collect();
    if !missing.is_empty() {
        return Err(format!("not in step: {}", replicas(missing)));
    }
    let replicas = status.replicas.iter().map(|replica| Replica {
        id: replica.replica_id,
        address: replica.address.clone(),
    });
    let replicas: Vec<Replica> = replicas.collect();
    for replica in &replicas {
        is_connected(client, replica).await?;
    }
    Ok(HealthyCluster {
        leader: status.replica_id,
        replicas,
    })
}

/// Checks that a replica has peer sessions with all others: the next leader needs them.
async fn is_connected(client: &Client, replica: &Replica) -> Result<(), String> {
    let view = client.replica_view(replica, ANSWER_TIMEOUT).await;
    let status = view.map_err(|error| error.to_string())?.status;
    let apart = status.replicas.iter().find(|other| !other.connected);
    apart.map_or(Ok(()), |other| {
        Err(format!(
            "replica {} is not connected to replica {}",
            replica.id, other.replica_id
        ))
    })
}
