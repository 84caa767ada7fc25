//! etcd: one `Put` of a new key for each message, by gRPC.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tonic::transport::{Channel, Endpoint};

use crate::cluster::{Cluster, SERVERS};
use crate::http;
use crate::peer::Peer;
use proto::kv_client::KvClient;
use proto::maintenance_client::MaintenanceClient;
use proto::{PutRequest, StatusRequest, StatusResponse};

#[allow(clippy::all)]
mod proto {
    tonic::include_proto!("etcdserverpb");
}

/// As many as `tercet bench` has.
const CONNECTIONS_MAX: usize = 4;
const SYNCS: [&str; 2] = [
    "etcd_disk_wal_fsync_duration_seconds_count",
    "etcd_disk_backend_commit_duration_seconds_count",
];

pub struct Etcd {
    /// Of all servers, the leader first.
    servers: Vec<KvClient<Channel>>,
    at: usize,
}

impl Peer for Etcd {
    const TAKES_OVER: bool = true;

    async fn prepare(_cluster: Cluster) -> Result<()> {
        Ok(())
    }

    async fn connect(cluster: Cluster, leader: usize, writers: usize) -> Result<Vec<Etcd>> {
        let connections = (0..writers.min(CONNECTIONS_MAX)).map(|_| {
            let addresses = cluster.client_addresses(leader).into_iter();
            addresses
                .map(|address| Ok(KvClient::new(endpoint(&address)?.connect_lazy())))
                .collect::<Result<Vec<_>>>()
        });
        let connections = connections.collect::<Result<Vec<_>>>()?;
        let servers = connections.into_iter().cycle().take(writers);
        Ok(servers.map(|servers| Etcd { servers, at: 0 }).collect())
    }

    async fn write(&mut self, id: i64, body: &'static str) -> Result<()> {
        let request = PutRequest {
            key: id.to_be_bytes().to_vec(),
            value: body.into(),
        };
        let put = self.servers[self.at].put(request).await;
        if put.is_err() {
            self.at = (self.at + 1) % SERVERS;
        }
        put?;
        Ok(())
    }

    async fn leader(cluster: Cluster) -> Result<Option<usize>> {
        let mut all = Vec::new();
        for server in 0..SERVERS {
            all.push(status(cluster, server).await?);
        }
        let (leader, position) = (all[0].leader, all[0].raft_index);
        let agree = |one: &StatusResponse| one.leader == leader && one.raft_index == position;
        if !all.iter().all(agree) {
            return Ok(None);
        }
        let is_leader = |one: &StatusResponse| {
            let header = one.header.as_ref();
            header.is_some_and(|header| header.member_id == leader)
        };
        Ok(all.iter().position(is_leader))
    }

    async fn settings(cluster: Cluster, server: usize) -> Result<Value> {
        let status = status(cluster, server).await?;
        let metrics = http::get(cluster.client_port(server), "/metrics").await?;
        let mut settings = json!({ "version": status.version });
        // There is no setting that turns fsync off in 3.4: what it has synced so far shows that
        // it does.
        for name in SYNCS {
            let mut lines = metrics.lines();
            let value = lines
                .find_map(|line| line.strip_prefix(name))
                .map(str::trim);
            settings[name] = json!(value.context("etcd counts its syncs")?);
        }
        Ok(settings)
    }
}

fn endpoint(address: &str) -> Result<Endpoint> {
    Ok(Endpoint::from_shared(format!("http://{address}"))?)
}

async fn status(cluster: Cluster, server: usize) -> Result<StatusResponse> {
    let address = format!("127.0.0.1:{}", cluster.client_port(server));
    let mut client = MaintenanceClient::new(endpoint(&address)?.connect().await?);
    Ok(client.status(StatusRequest {}).await?.into_inner())
}
