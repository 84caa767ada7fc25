//! Redis: `RPUSH` and `WAIT 2 0` in one packet for each message, in RESP. WAIT blocks a connection,
//! so each writer has its own.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

use crate::cluster::{Cluster, SERVERS};
use crate::peer::Peer;

const REPLICAS: i64 = 2;

pub struct Redis {
    stream: BufStream<TcpStream>,
    line: String,
}

#[derive(Debug, PartialEq)]
enum Reply {
    Integer(i64),
    Text(String),
    Array(Vec<Reply>),
}

impl Peer for Redis {
    const TAKES_OVER: bool = false;

    async fn prepare(_cluster: Cluster) -> Result<()> {
        Ok(())
    }

    async fn connect(cluster: Cluster, leader: usize, writers: usize) -> Result<Vec<Redis>> {
        let mut all = Vec::new();
        for _ in 0..writers {
            all.push(Redis::open(cluster, leader).await?);
        }
        Ok(all)
    }

    async fn write(&mut self, _id: i64, body: &'static str) -> Result<()> {
        self.send(&["RPUSH", "messages", body]).await?;
        self.send(&["WAIT", "2", "0"]).await?;
        self.stream.flush().await?;
        let Reply::Integer(_) = self.receive().await? else {
            bail!("RPUSH was not answered by a length");
        };
        let replicas = self.receive().await?;
        ensure!(replicas == Reply::Integer(REPLICAS), "WAIT: {replicas:?}");
        Ok(())
    }

    /// The first server leads: nobody else can.
    async fn leader(cluster: Cluster) -> Result<Option<usize>> {
        let mut primary = Redis::open(cluster, 0).await?;
        let report = primary.info("replication").await?;
        let online = report.matches("state=online").count();
        Ok((online == SERVERS - 1).then_some(0))
    }

    async fn settings(cluster: Cluster, server: usize) -> Result<Value> {
        let mut redis = Redis::open(cluster, server).await?;
        let (replication, about) = (
            redis.info("replication").await?,
            redis.info("server").await?,
        );
        let mut settings = json!({
            "redis_version": field(&about, "redis_version"),
            "role": field(&replication, "role"),
        });
        for name in [
            "appendonly",
            "appendfsync",
            "no-appendfsync-on-rewrite",
            "save",
        ] {
            let pair = redis.call(&["CONFIG", "GET", name]).await?;
            let Reply::Array(pair) = pair else {
                bail!("CONFIG GET: {pair:?}");
            };
            let [_, Reply::Text(value)] = &pair[..] else {
                bail!("CONFIG GET {name}: {pair:?}");
            };
            settings[name] = json!(value);
        }
        Ok(settings)
    }
}

impl Redis {
    async fn open(cluster: Cluster, server: usize) -> Result<Redis> {
        let stream = TcpStream::connect(("127.0.0.1", cluster.client_port(server))).await?;
        stream.set_nodelay(true)?;
        let stream = BufStream::new(stream);
        let line = String::new();
        Ok(Redis { stream, line })
    }

    async fn info(&mut self, section: &str) -> Result<String> {
        match self.call(&["INFO", section]).await? {
            Reply::Text(report) => Ok(report),
            other => bail!("INFO {section}: {other:?}"),
        }
    }

    async fn call(&mut self, words: &[&str]) -> Result<Reply> {
        self.send(words).await?;
        self.stream.flush().await?;
        self.receive().await
    }

    async fn send(&mut self, words: &[&str]) -> Result<()> {
        let mut command = format!("*{}\r\n", words.len());
        for word in words {
            command += &format!("${}\r\n{word}\r\n", word.len());
        }
        self.stream.write_all(command.as_bytes()).await?;
        Ok(())
    }

    async fn receive(&mut self) -> Result<Reply> {
        let (kind, rest) = self.receive_line().await?;
        match kind {
            '+' => Ok(Reply::Text(rest)),
            ':' => Ok(Reply::Integer(rest.parse()?)),
            '$' => self.receive_text(rest.parse()?).await,
            '*' => {
                let mut all = Vec::new();
                for _ in 0..rest.parse()? {
                    all.push(Box::pin(self.receive()).await?);
                }
                Ok(Reply::Array(all))
            }
            _ => bail!("{rest}"),
        }
    }

    async fn receive_line(&mut self) -> Result<(char, String)> {
        self.line.clear();
        self.stream.read_line(&mut self.line).await?;
        let line = self.line.strip_suffix("\r\n").context("Redis hung up")?;
        let kind = line.chars().next().context("an empty line")?;
        Ok((kind, line[kind.len_utf8()..].to_owned()))
    }

    async fn receive_text(&mut self, bytes: usize) -> Result<Reply> {
        let mut text = vec![0; bytes + "\r\n".len()];
        self.stream.read_exact(&mut text).await?;
        text.truncate(bytes);
        Ok(Reply::Text(String::from_utf8(text)?))
    }
}

fn field<'a>(report: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = report.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}
