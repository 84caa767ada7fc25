//! The command line of the load generator. `run.sh` starts the servers and calls it.

use std::io::{Read, Write, stdin, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde_json::Value;
use tokio::task::LocalSet;

use cluster::Cluster;
use measure::{Target, Times};
use peer::Peer;

mod cluster;
mod etcd;
mod http;
mod limits;
mod load;
mod measure;
mod nats;
mod peer;
mod postgres;
mod processes;
mod redis;
mod table;
mod tercet;

/// Loads a replicated server, and prints one line of JSON for each measurement.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the first of nine free ports in a row
    BasePort,
    /// Print the ids of the processes that work in a directory
    Pids { dir: PathBuf },
    /// Kill the processes that work in a directory, and wait until they are gone
    Kill { dir: PathBuf },
    /// Measure what the disk of a directory allows
    Limits {
        dir: PathBuf,
        #[arg(long, default_value = "3", value_parser = seconds)]
        seconds: Duration,
    },
    /// Print what stdin has of these lines as tables in Markdown
    Table,
    /// Translate a report of `tercet bench --json` on stdin
    Tercet {
        measure: tercet::Measure,
        #[arg(long, default_value = "tercet")]
        name: String,
    },
    /// Do something to a cluster
    On {
        #[command(flatten)]
        servers: Servers,
        #[command(subcommand)]
        action: Action,
    },
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Wait until it takes writes and is in step
    Ready,
    /// Print what each server says of its settings
    Settings,
    /// Measure writes and latencies
    Load(Times),
    /// Kill the leader under load, and measure the gap
    Failover(Times),
    /// Kill all but the leader, and see whether it takes writes
    Alone {
        #[arg(long, default_value = "10", value_parser = seconds)]
        seconds: Duration,
    },
}

#[derive(Debug, Args)]
struct Servers {
    kind: Kind,
    /// What it is called in the lines that are printed
    #[arg(long)]
    name: String,
    /// Server N has three ports from here plus 3 (N - 1) on
    #[arg(long)]
    base_port: u16,
    /// Server N works in the directory N in this one
    #[arg(long)]
    dir: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Etcd,
    Nats,
    Postgres,
    Redis,
}

fn main() -> ExitCode {
    match print(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn print(command: Command) -> Result<()> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build()?;
    let text = runtime.block_on(LocalSet::new().run_until(run(command)))?;
    stdout().write_all(text.as_bytes())?;
    Ok(())
}

async fn run(command: Command) -> Result<String> {
    Ok(match command {
        Command::BasePort => format!("{}\n", cluster::free_base_port()?),
        Command::Pids { dir } => {
            let pids = processes::below(&dir)?;
            let pids = pids.iter().map(|pid| format!("{}\n", pid.as_raw_nonzero()));
            pids.collect()
        }
        Command::Kill { dir } => {
            processes::kill_below(&dir)?;
            processes::await_none_below(&dir).await?;
            String::new()
        }
        Command::Limits { dir, seconds } => lines(limits::measure(&dir, seconds)?),
        Command::Table => table::tables(&input()?),
        Command::Tercet { measure, name } => {
            let report = serde_json::from_str(&input()?).context("read the report on stdin")?;
            lines(tercet::translate(&report, measure, &name)?)
        }
        Command::On { servers, action } => lines(match servers.kind {
            Kind::Etcd => act::<etcd::Etcd>(servers, action).await?,
            Kind::Nats => act::<nats::Nats>(servers, action).await?,
            Kind::Postgres => act::<postgres::Postgres>(servers, action).await?,
            Kind::Redis => act::<redis::Redis>(servers, action).await?,
        }),
    })
}

async fn act<P: Peer>(servers: Servers, action: Action) -> Result<Vec<Value>> {
    let target = Target {
        cluster: Cluster {
            base_port: servers.base_port,
        },
        dir: servers.dir,
        name: servers.name,
    };
    Ok(match action {
        Action::Ready => {
            measure::ready::<P>(&target).await?;
            Vec::new()
        }
        Action::Settings => measure::settings::<P>(&target).await?,
        Action::Load(times) => vec![measure::load::<P>(&target, &times).await?],
        Action::Failover(times) => vec![measure::failover::<P>(&target, &times).await?],
        Action::Alone { seconds } => vec![measure::alone::<P>(&target, seconds).await?],
    })
}

fn lines(values: Vec<Value>) -> String {
    values.iter().map(|value| format!("{value}\n")).collect()
}

fn input() -> Result<String> {
    let mut text = String::new();
    stdin().read_to_string(&mut text).context("read stdin")?;
    Ok(text)
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: Option<f64> = text.parse().ok();
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.ok_or_else(|| "not a number of seconds".to_owned())
}
