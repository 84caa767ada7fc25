//! What is measured of a cluster that runs: writes and latencies, the gap when the leader is killed,
//! and whether one server of three takes writes.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::cluster::{Cluster, SERVERS};
use crate::load::Load;
use crate::peer::Peer;
use crate::processes;

/// How long a cluster may take to be ready, or to go on without its leader.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_LIMIT: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// No write takes that long unless something is broken.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(60);
/// While leaders die. A follower may have handed a write to the dead leader, and would wait for it
/// far longer than a client that knows what it does.
const FAILOVER_ATTEMPT_LIMIT: Duration = Duration::from_millis(100);
/// Writes go on when the last one is not longer ago.
const SILENCE: Duration = Duration::from_millis(100);

/// How much load, and for how long.
#[derive(Debug, clap::Args)]
pub struct Times {
    /// Writes under way at once
    #[arg(long, default_value_t = 64)]
    pub in_flight: usize,
    /// Seconds of load that count for nothing
    #[arg(long, default_value = "2", value_parser = crate::seconds)]
    pub warm_up: Duration,
    #[arg(long, default_value = "10", value_parser = crate::seconds)]
    pub seconds: Duration,
}

pub struct Target {
    pub cluster: Cluster,
    /// Server N runs in its directory N.
    pub dir: PathBuf,
    /// As it is called in what is printed.
    pub name: String,
}

impl Target {
    fn dir_of(&self, server: usize) -> PathBuf {
        self.dir.join((server + 1).to_string())
    }
}

/// Waits until the cluster takes writes and all of it is in step.
///
/// # Errors
/// When that takes more than a minute.
pub async fn ready<P: Peer>(target: &Target) -> Result<()> {
    let cluster = target.cluster;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let look = async {
            P::prepare(cluster).await?;
            P::leader(cluster).await
        };
        let why = match timeout(LOOK_LIMIT, look).await {
            Ok(Ok(Some(_))) => return Ok(()),
            Ok(Ok(None)) => "not all servers are in step".to_owned(),
            Ok(Err(error)) => format!("{error:#}"),
            Err(_) => "no answer".to_owned(),
        };
        ensure!(
            Instant::now() < deadline,
            "{} is not ready: {why}",
            target.name
        );
        sleep(LOOK_AGAIN).await;
    }
}

/// One object for each server.
pub async fn settings<P: Peer>(target: &Target) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for server in 0..SERVERS {
        all.push(json!({
            "peer": target.name,
            "measure": "settings",
            "server": server + 1,
            "settings": P::settings(target.cluster, server).await?,
        }));
    }
    Ok(all)
}

/// Writes and latencies, with so many writes in flight.
///
/// # Errors
/// When one write fails: a load with errors measures something else.
pub async fn load<P: Peer>(target: &Target, times: &Times) -> Result<Value> {
    let writers = connect::<P>(target, times.in_flight).await?;
    let load = Load::begin(writers, ATTEMPT_LIMIT);
    sleep(times.warm_up).await;
    let (servers, own) = (processes::cpu_below(&target.dir)?, processes::own_cpu()?);
    load.count();
    let begun = Instant::now();
    sleep(times.seconds).await;
    let seconds = begun.elapsed().as_secs_f64();
    let servers = processes::cpu_below(&target.dir)?.saturating_sub(servers);
    let own = processes::own_cpu()?.saturating_sub(own);
    let tally = load.end();
    if let Some(error) = tally.first_error() {
        bail!(
            "{} of the writes failed, the first: {error}",
            tally.failed()
        );
    }
    let writes = tally.acknowledged();
    ensure!(writes > 0, "{} acknowledged nothing", target.name);
    let per_thousand = |cpu: Duration| cpu.as_secs_f64() * 1e3 / writes as f64;
    Ok(json!({
        "peer": target.name,
        "measure": "load",
        "in_flight": times.in_flight,
        "seconds": seconds,
        "writes": writes,
        "per_second": writes as f64 / seconds,
        "p50_ms": tally.within_ms(0.5),
        "p99_ms": tally.within_ms(0.99),
        "max_ms": tally.max_ms(),
        "servers_cpu_seconds_per_1000": per_thousand(servers),
        "own_cpu_seconds_per_1000": per_thousand(own),
    }))
}

/// Kills the leader, for good, under load: the longest time between two acknowledgements.
///
/// # Errors
/// When nobody takes over.
pub async fn failover<P: Peer>(target: &Target, times: &Times) -> Result<Value> {
    ensure!(
        P::TAKES_OVER,
        "{} does not take over by itself",
        target.name
    );
    let leader = leader::<P>(target).await?;
    let writers = P::connect(target.cluster, leader, times.in_flight).await?;
    let load = Load::begin(writers, FAILOVER_ATTEMPT_LIMIT);
    sleep(times.warm_up).await;
    ensure!(
        load.silent_for() < times.warm_up,
        "nothing is acknowledged before the kill"
    );
    load.count();
    let killed_at = Instant::now();
    processes::kill_below(&target.dir_of(leader))?;
    sleep(times.seconds).await;
    while load.silent_for() > SILENCE {
        let waited = killed_at.elapsed();
        ensure!(waited < PATIENCE, "nobody has followed after {waited:?}");
        sleep(LOOK_AGAIN).await;
    }
    let tally = load.end();
    Ok(json!({
        "peer": target.name,
        "measure": "failover",
        "in_flight": times.in_flight,
        "killed": leader + 1,
        "gap_ms": tally.longest_gap().as_secs_f64() * 1e3,
        "acknowledged_in_all": tally.acknowledged(),
        "failed_attempts": tally.failed(),
    }))
}

/// Kills all but the leader, and then writes: one at a time, as a client that is patient.
pub async fn alone<P: Peer>(target: &Target, duration: Duration) -> Result<Value> {
    let leader = leader::<P>(target).await?;
    let writers = P::connect(target.cluster, leader, 1).await?;
    for server in (0..SERVERS).filter(|server| *server != leader) {
        let dir = target.dir_of(server);
        processes::kill_below(&dir)?;
        processes::await_none_below(&dir).await?;
    }
    let load = Load::begin(writers, ATTEMPT_LIMIT);
    sleep(duration).await;
    let tally = load.end();
    Ok(json!({
        "peer": target.name,
        "measure": "alone",
        "seconds": duration.as_secs_f64(),
        "acknowledged": tally.acknowledged(),
        "first_error": tally.first_error(),
    }))
}

async fn connect<P: Peer>(target: &Target, writers: usize) -> Result<Vec<P>> {
    let leader = leader::<P>(target).await?;
    P::connect(target.cluster, leader, writers).await
}

async fn leader<P: Peer>(target: &Target) -> Result<usize> {
    ready::<P>(target).await?;
    let leader = P::leader(target.cluster).await?;
    leader.with_context(|| format!("{} lost its leader", target.name))
}
