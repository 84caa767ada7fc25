//! PostgreSQL: one prepared `INSERT`, and so one transaction, for each message.

use std::rc::Rc;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::spawn;
use tokio_postgres::{Client, Config, NoTls, Statement};

use crate::cluster::{Cluster, SERVERS};
use crate::peer::Peer;

/// A server process each. More writers than that share them, as with a pool.
const CONNECTIONS_MAX: usize = 64;
const USER: &str = "bench";
const SETTINGS: [&str; 8] = [
    "server_version",
    "fsync",
    "synchronous_commit",
    "synchronous_standby_names",
    "wal_sync_method",
    "full_page_writes",
    "max_wal_size",
    "shared_buffers",
];

pub struct Postgres {
    connection: Rc<Connection>,
}

struct Connection {
    client: Client,
    insert: Statement,
}

impl Peer for Postgres {
    const TAKES_OVER: bool = false;

    async fn prepare(cluster: Cluster) -> Result<()> {
        let table = "CREATE TABLE IF NOT EXISTS messages \
                     (id bigint PRIMARY KEY, body text NOT NULL)";
        open(cluster, 0).await?.batch_execute(table).await?;
        Ok(())
    }

    async fn connect(cluster: Cluster, leader: usize, writers: usize) -> Result<Vec<Postgres>> {
        let mut connections = Vec::new();
        for _ in 0..writers.min(CONNECTIONS_MAX) {
            let client = open(cluster, leader).await?;
            let insert = "INSERT INTO messages (id, body) VALUES ($1, $2)";
            let insert = client.prepare(insert).await?;
            connections.push(Rc::new(Connection { client, insert }));
        }
        let connections = connections.into_iter().cycle().take(writers);
        Ok(connections
            .map(|connection| Postgres { connection })
            .collect())
    }

    async fn write(&mut self, id: i64, body: &'static str) -> Result<()> {
        let Connection { client, insert } = &*self.connection;
        client.execute(insert, &[&id, &body]).await?;
        Ok(())
    }

    /// The first server leads: nobody else can without a word from outside.
    async fn leader(cluster: Cluster) -> Result<Option<usize>> {
        let client = open(cluster, 0).await?;
        let standbys = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'";
        let standbys = client.query(standbys, &[]).await?;
        Ok((standbys.len() == SERVERS - 1).then_some(0))
    }

    async fn settings(cluster: Cluster, server: usize) -> Result<Value> {
        let client = open(cluster, server).await?;
        let mut settings = json!({});
        for name in SETTINGS {
            let row = client.query_one(&format!("SHOW {name}"), &[]).await?;
            settings[name] = json!(row.get::<_, &str>(0));
        }
        let row = client.query_one("SELECT pg_is_in_recovery()", &[]);
        settings["standby"] = json!(row.await?.get::<_, bool>(0));
        Ok(settings)
    }
}

async fn open(cluster: Cluster, server: usize) -> Result<Client> {
    let mut config = Config::new();
    config
        .host("127.0.0.1")
        .port(cluster.client_port(server))
        .user(USER)
        .dbname("postgres");
    let opened = config.connect(NoTls).await;
    let (client, connection) = opened.context("connect to PostgreSQL")?;
    // What ends it is seen by whoever waits for an answer.
    spawn(connection);
    Ok(client)
}
