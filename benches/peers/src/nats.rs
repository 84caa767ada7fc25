//! NATS JetStream: one message published for each message, to a stream with three replicas, and its
//! acknowledgement awaited.

use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::ConnectOptions;
use async_nats::jetstream::{Context, new, stream};
use serde_json::{Value, json};

use crate::cluster::{Cluster, SERVERS};
use crate::http;
use crate::peer::Peer;

/// As many as `tercet bench` has.
const CONNECTIONS_MAX: usize = 4;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const STREAM: &str = "messages";

/// The client goes to another server by itself when its own is gone.
pub struct Nats {
    context: Context,
}

impl Peer for Nats {
    const TAKES_OVER: bool = true;

    async fn prepare(cluster: Cluster) -> Result<()> {
        let stream = stream::Config {
            name: STREAM.into(),
            subjects: vec![STREAM.into()],
            num_replicas: SERVERS,
            storage: stream::StorageType::File,
            ..Default::default()
        };
        let context = open(cluster, 0).await?;
        context.get_or_create_stream(stream).await?;
        Ok(())
    }

    async fn connect(cluster: Cluster, leader: usize, writers: usize) -> Result<Vec<Nats>> {
        let mut connections = Vec::new();
        for _ in 0..writers.min(CONNECTIONS_MAX) {
            connections.push(open(cluster, leader).await?);
        }
        let connections = connections.into_iter().cycle().take(writers);
        Ok(connections.map(|context| Nats { context }).collect())
    }

    async fn write(&mut self, _id: i64, body: &'static str) -> Result<()> {
        self.context.publish(STREAM, body.into()).await?.await?;
        Ok(())
    }

    /// Of the stream. The leader of the servers' own data may be another.
    async fn leader(cluster: Cluster) -> Result<Option<usize>> {
        let mut stream = open(cluster, 0).await?.get_stream(STREAM).await?;
        let Some(group) = &stream.info().await?.cluster else {
            return Ok(None);
        };
        let in_step = |one: &&stream::PeerInfo| one.current && !one.offline;
        if group.replicas.iter().filter(in_step).count() < SERVERS - 1 {
            return Ok(None);
        }
        let leader = group.leader.as_deref();
        Ok((0..SERVERS).find(|server| leader == Some(&name(*server))))
    }

    async fn settings(cluster: Cluster, server: usize) -> Result<Value> {
        let report = http::get(cluster.monitor_port(server), "/varz").await?;
        let report: Value = serde_json::from_str(&report).context("read /varz")?;
        Ok(json!({
            "version": report["version"],
            "jetstream": report["jetstream"]["config"],
        }))
    }
}

/// As nats.sh names them.
fn name(server: usize) -> String {
    format!("nats-{}", server + 1)
}

async fn open(cluster: Cluster, leader: usize) -> Result<Context> {
    let client = ConnectOptions::new()
        .retain_servers_order()
        .connection_timeout(CONNECT_TIMEOUT)
        .connect(cluster.client_addresses(leader))
        .await?;
    Ok(new(client))
}
