//! What a replica that joins asks first: who belongs to the cluster. Any replica of it answers, at
//! its address for clients.

use std::time::Duration;

use tercet_core::id::ReplicaId;
use tercet_proto::v1::{
    GetStatusRequest, GetStatusResponse, cluster_service_client::ClusterServiceClient,
};
use tokio::{task::JoinSet, time};
use tonic::transport::Endpoint;

use crate::roster::{Member, Roster, is_address};

const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(250);
/// Asked so often in vain, it is told to the operator again.
const ROUNDS_SILENT: u32 = 20;
/// Asked so often for a leader, a cluster has none: a takeover had its time.
const LED_ROUNDS: u32 = 20;

/// The roster as the most advanced of those who answer knows it. With `rounds` it is asked so
/// often at most, else until somebody answers.
pub(crate) async fn ask_roster(addresses: &[String], rounds: Option<u32>) -> Option<Roster> {
    for round in 0.. {
        let mut questions = ask_all(addresses);
        let mut newest: Option<GetStatusResponse> = None;
        while let Some(answer) = questions.join_next().await {
            let Ok(Some(answer)) = answer else { continue };
            // Of no cluster yet: it may be one that joins itself.
            let known = newest.as_ref().map(|newest| newest.applied_lsn);
            if !answer.cluster_id.is_empty() && known < Some(answer.applied_lsn) {
                newest = Some(answer);
            }
        }
        if let Some(answer) = newest {
            return Some(roster(answer));
        }
        if rounds.is_some_and(|rounds| round + 1 >= rounds) {
            return None;
        }
        if round % ROUNDS_SILENT == 0 {
            let asked = addresses.join(", ");
            tracing::warn!("waiting for a replica of the cluster to answer at {asked}");
        }
        time::sleep(PAUSE).await;
    }
    None
}

/// Whether the cluster that these belong to has a leader, by the word of any of them: then it goes on
/// without the store of this replica.
pub(crate) async fn is_led(addresses: &[String]) -> bool {
    for _ in 0..LED_ROUNDS {
        let mut questions = ask_all(addresses);
        while let Some(answer) = questions.join_next().await {
            if matches!(answer, Ok(Some(answer)) if answer.leader_id > 0) {
                return true;
            }
        }
        time::sleep(PAUSE).await;
    }
    false
}

/// Their answers, in the order in which they come.
fn ask_all(addresses: &[String]) -> JoinSet<Option<GetStatusResponse>> {
    addresses.iter().cloned().map(ask).collect()
}

async fn ask(address: String) -> Option<GetStatusResponse> {
    let answer = async {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).ok()?;
        let channel = endpoint.connect().await.ok()?;
        let mut client = ClusterServiceClient::new(channel);
        let answer = client.get_status(GetStatusRequest {}).await.ok()?;
        Some(answer.into_inner())
    };
    time::timeout(ANSWER_TIMEOUT, answer).await.ok().flatten()
}

fn roster(answer: GetStatusResponse) -> Roster {
    let well_formed = answer.replicas.into_iter().filter(|replica| {
        replica.replica_id > 0 && is_address(&replica.address) && is_address(&replica.peer_address)
    });
    Roster::configured(well_formed.map(|replica| {
        let member = Member {
            address: replica.address,
            peer_address: replica.peer_address,
        };
        (ReplicaId(replica.replica_id), member)
    }))
}
