//! Questions of a replica without a usable store, because it joins or its store is damaged: which replicas
//! belong to the cluster, and whether one leads. The addresses for clients, where any process may answer, only
//! suggest where the replicas are; the answers that count come from replicas that prove the peer secret.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tercet_core::id::ReplicaId;
use tercet_proto::{
    peer::{
        DescribeClusterRequest, DescribeClusterResponse, peer_service_client::PeerServiceClient,
    },
    v1::{GetStatusRequest, GetStatusResponse, cluster_service_client::ClusterServiceClient},
};
use tercet_store::roster::{Member, Roster};
use tercet_types::{address::is_address, limits::REPLICAS_MAX};
use tokio::{task::JoinSet, time};
use tonic::transport::Endpoint;

use super::{
    connection::{self, DialError},
    handshake::Identity,
};

const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(250);
/// Rounds without an answer after which the operator is reminded.
const ROUNDS_SILENT: u32 = 20;
/// Rounds without a leader after which the cluster counts as having none: a takeover had its time.
const LED_ROUNDS: u32 = 20;
/// Addresses tried in a round. Processes that answer without a proof could name any number.
const PLACES_MAX: usize = 4 * REPLICAS_MAX;

/// A replica that asks without a store.
pub(crate) struct Joiner {
    pub(crate) id: ReplicaId,
    pub(crate) secret: Arc<str>,
    /// Addresses for clients, of any replicas of the cluster.
    pub(crate) addresses: Vec<String>,
}

/// A replica, and an address where it may serve replicas.
type Place = (ReplicaId, String);

/// Asks for the roster and returns the one from the most advanced replica that answers. Asks at most `rounds`
/// times, or until there is an answer.
pub(crate) async fn ask_roster(joiner: &Joiner, rounds: Option<u32>) -> Option<Roster> {
    for round in 0.. {
        let places = joiner.named().await;
        let named = !places.is_empty();
        let mut questions = joiner.ask_all(places);
        let mut newest: Option<DescribeClusterResponse> = None;
        let mut refusal = None;
        while let Some(answer) = questions.join_next().await {
            let answer = match answer {
                Ok(Ok(answer)) => answer,
                Ok(Err(why)) => {
                    refusal = refusal.or(why);
                    continue;
                }
                Err(_) => continue,
            };
            // The answer belongs to no cluster yet: that replica may itself be joining.
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
            let asked = joiner.addresses.join(", ");
            match (named, refusal) {
                (_, Some(why)) => tracing::warn!("waiting for a replica of the cluster: {why}"),
                (true, None) => tracing::warn!(
                    "waiting for a replica of the cluster: {asked} answered, but none of the \
                     replicas that it named answered at its address for replicas"
                ),
                (false, None) => {
                    tracing::warn!("waiting for a replica of the cluster to answer at {asked}");
                }
            }
        }
        time::sleep(PAUSE).await;
    }
    None
}

/// Tells whether the cluster has a leader, as any replica with the peer secret says, at `peers` (addresses for
/// replicas) or at the addresses that the joiner's addresses for clients name. The cluster then continues
/// without the store of this replica.
pub(crate) async fn is_led(joiner: &Joiner, peers: &BTreeMap<ReplicaId, String>) -> bool {
    for _ in 0..LED_ROUNDS {
        let mut places = joiner.named().await;
        places.extend(peers.iter().map(|(id, address)| (*id, address.clone())));
        let mut questions = joiner.ask_all(places);
        while let Some(answer) = questions.join_next().await {
            if matches!(answer, Ok(Ok(answer)) if answer.leader_id > 0) {
                return true;
            }
        }
        time::sleep(PAUSE).await;
    }
    false
}

impl Joiner {
    /// Collects the addresses for replicas that the processes at the addresses for clients name.
    async fn named(&self) -> BTreeSet<Place> {
        let mut questions: JoinSet<_> = self.addresses.iter().cloned().map(ask_unproven).collect();
        let mut places = BTreeSet::new();
        while let Some(answer) = questions.join_next().await {
            let Ok(Some(answer)) = answer else { continue };
            let replicas = answer.replicas.into_iter().take(REPLICAS_MAX);
            let replicas = replicas.filter(|one| is_address(&one.peer_address));
            places.extend(replicas.map(|one| (ReplicaId(one.replica_id), one.peer_address)));
        }
        places
    }

    /// Collects the answers of the replicas with the peer secret, in order of arrival, and the problems that an
    /// operator should see.
    pub(super) fn ask_all(
        &self,
        places: BTreeSet<Place>,
    ) -> JoinSet<Result<DescribeClusterResponse, Option<String>>> {
        let others = places.into_iter().filter(|(id, _)| *id != self.id);
        let others = others.take(PLACES_MAX);
        let questions = others.map(|(peer, address)| {
            let (own_id, secret) = (self.id, self.secret.clone());
            async move { ask(own_id, &secret, peer, &address).await }
        });
        questions.collect()
    }
}

async fn ask(
    own_id: ReplicaId,
    secret: &str,
    peer: ReplicaId,
    address: &str,
) -> Result<DescribeClusterResponse, Option<String>> {
    let own = Identity {
        id: own_id,
        cluster: None,
        secret,
    };
    let channel = connection::dial(&own, peer, address).await;
    let channel = channel.map_err(|error| match error {
        DialError::Rejected(why) => Some(why),
        DialError::Refused | DialError::Other(_) => None,
    })?;
    let mut client = PeerServiceClient::new(channel);
    let answer = client.describe_cluster(DescribeClusterRequest {});
    let answer = time::timeout(ANSWER_TIMEOUT, answer).await;
    match answer {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        Ok(Err(_)) | Err(_) => Err(None),
    }
}

async fn ask_unproven(address: String) -> Option<GetStatusResponse> {
    let answer = async {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).ok()?;
        let channel = endpoint.connect().await.ok()?;
        let mut client = ClusterServiceClient::new(channel);
        let answer = client.get_status(GetStatusRequest {}).await.ok()?;
        Some(answer.into_inner())
    };
    time::timeout(ANSWER_TIMEOUT, answer).await.ok().flatten()
}

fn roster(answer: DescribeClusterResponse) -> Roster {
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
