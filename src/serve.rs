//! `tercet serve`: the command line of one replica.

use std::{
    collections::BTreeMap,
    fs,
    io::{IsTerminal as _, Write as _, stderr},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::{ArgMatches, Args, ValueEnum, parser::ValueSource};
use tercet_client::Replicas;
use tercet_server::{
    ServeError,
    config::{Connections, Given, Rates, ServerConfig},
};
use tracing_subscriber::{
    filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::repeats::WithoutRepeats;

/// The longest session, a hundred years; clocks count to more.
const SESSION_TTL_HOURS_MAX: u64 = 876_600;
/// The most mebibytes of any setting: a tebibyte.
const MIB_MAX: u64 = 1 << 20;
/// The most connections: as many descriptors as Linux gives a process by default.
const CONNECTIONS_MAX: usize = 1 << 20;
/// The longest timeout, a day. `never` is the setting for a longer wait.
const TIMEOUT_MS_MAX: u64 = 86_400_000;

/// Settings of one replica. Flags win over the environment, the environment over `.env`.
#[derive(Args)]
pub(crate) struct Serve {
    /// The id of this replica.
    #[arg(long, env = "TERCET_ID")]
    id: u32,
    /// For a new cluster: every replica's address for clients: `1=HOST:PORT,2=HOST:PORT,…`.
    #[arg(
        long,
        env = "TERCET_REPLICAS",
        default_value = "1=127.0.0.1:5001,2=127.0.0.1:5002,3=127.0.0.1:5003"
    )]
    replicas: Replicas,
    /// For a new cluster: every replica's address for the other replicas, same form and ids.
    #[arg(
        long,
        env = "TERCET_PEERS",
        default_value = "1=127.0.0.1:5004,2=127.0.0.1:5005,3=127.0.0.1:5006"
    )]
    peers: Replicas,
    /// This replica's own address for clients, if not the one in --replicas.
    #[arg(long, value_name = "HOST:PORT", env = "TERCET_ADDRESS")]
    address: Option<String>,
    /// This replica's own address for the other replicas, if not the one in --peers.
    #[arg(long, value_name = "HOST:PORT", env = "TERCET_PEER_ADDRESS")]
    peer_address: Option<String>,
    /// With an empty data directory: join the cluster of which any of these addresses for clients
    /// answers, in place of making one of the lists.
    #[arg(
        long,
        value_name = "HOST:PORT,…",
        env = "TERCET_JOIN",
        value_delimiter = ','
    )]
    join: Vec<String>,
    /// The address to listen on for clients, if not this replica's own address.
    #[arg(long, env = "TERCET_LISTEN")]
    listen: Option<String>,
    /// The address to listen on for replicas, if not this replica's own address.
    #[arg(long, env = "TERCET_PEER_LISTEN")]
    peer_listen: Option<String>,
    /// Data directory; it is created if it does not exist. By default `tercet-data/replica-ID`.
    #[arg(long, env = "TERCET_DATA")]
    data: Option<PathBuf>,
    /// The peer secret, by which replicas know each other: the same on all, 16 bytes or more. Better given
    /// in a file.
    #[arg(long, env = "TERCET_PEER_SECRET", hide_env_values = true)]
    peer_secret: Option<String>,
    /// File that has the peer secret.
    #[arg(long, env = "TERCET_PEER_SECRET_FILE", conflicts_with = "peer_secret")]
    peer_secret_file: Option<PathBuf>,
    /// The admin token, by which operators change the cluster: the same on all, 16 bytes or more. Better
    /// given in a file. Without it their calls are refused.
    #[arg(long, env = "TERCET_ADMIN_TOKEN", hide_env_values = true)]
    admin_token: Option<String>,
    /// File that has the admin token.
    #[arg(long, env = "TERCET_ADMIN_TOKEN_FILE", conflicts_with = "admin_token")]
    admin_token_file: Option<PathBuf>,
    /// For a new cluster: whether the last live replica serves alone (`available`), or only a majority
    /// serves (`majority`).
    #[arg(long, env = "TERCET_MODE", default_value = "available")]
    mode: Mode,
    /// For a new cluster in mode majority: the least number of replicas in a view.
    #[arg(long, env = "TERCET_MIN_IN_SYNC", default_value_t = 2)]
    min_in_sync: u32,
    /// Hours until a login session ends.
    #[arg(long, env = "TERCET_SESSION_TTL_HOURS", default_value_t = 720,
          value_parser = clap::value_parser!(u64).range(1..=SESSION_TTL_HOURS_MAX))]
    session_ttl_hours: u64,
    /// Accounts that may be registered in a minute from one address (an IPv4 address or an IPv6 /64);
    /// three times as many at once. 0 for any number.
    #[arg(long, env = "TERCET_REGISTRATION_LIMIT", default_value_t = Rates::default().registrations)]
    registration_limit: u32,
    /// The same from this machine's own loopback addresses.
    #[arg(long, env = "TERCET_REGISTRATION_LIMIT_LOOPBACK",
          default_value_t = Rates::default().registrations_loopback)]
    registration_limit_loopback: u32,
    /// The same from all addresses together.
    #[arg(long, env = "TERCET_REGISTRATION_LIMIT_ALL",
          default_value_t = Rates::default().registrations_all)]
    registration_limit_all: u32,
    /// Wrong passwords that are checked in a minute from one address, at all accounts; twice as many
    /// from all addresses at one account. With 0 guessing has no limit at all.
    #[arg(long, env = "TERCET_WRONG_PASSWORD_LIMIT", default_value_t = Rates::default().wrong_passwords)]
    wrong_password_limit: u32,
    /// Milliseconds of silence after which a replica counts as dead, if others remain.
    #[arg(long, env = "TERCET_SILENCE_TIMEOUT_MS", default_value_t = 1_000,
          value_parser = clap::value_parser!(u64).range(1..=TIMEOUT_MS_MAX))]
    silence_timeout_ms: u64,
    /// Milliseconds, or `never`, after which a replica goes on alone without evidence that the others are
    /// dead.
    #[arg(long, env = "TERCET_LONE_TIMEOUT_MS", default_value = "5000")]
    lone_timeout_ms: LoneTimeout,
    /// Mebibytes that are kept free on the disk of the data directory, for necessary writes when it is
    /// full; 0 for none.
    #[arg(long, env = "TERCET_DISK_RESERVE_MIB", default_value_t = 16,
          value_parser = clap::value_parser!(u64).range(0..=MIB_MAX))]
    disk_reserve_mib: u64,
    /// Open a store whose replica did not stop cleanly although tercet.db-wal is missing: for one start, after
    /// another program such as sqlite3 moved everything into tercet.db.
    #[arg(long)]
    accept_missing_wal: bool,
    /// Treat a copied or moved data directory as the newest copy: for one start, when no other replica can
    /// lead. Messages that were acknowledged after an older copy was made are lost.
    #[arg(long, env = "TERCET_ACCEPT_COPIED_STORE")]
    accept_copied_store: bool,
    /// Mebibytes of the log that stay when it is trimmed.
    #[arg(long, env = "TERCET_LOG_KEEP_MIB", default_value_t = 16,
          value_parser = clap::value_parser!(u64).range(..=MIB_MAX))]
    log_keep_mib: u64,
    /// Mebibytes beyond which the log is trimmed although a connected replica lacks the entries; an eighth
    /// of this for a replica that is away. Such a replica gets a snapshot.
    #[arg(long, env = "TERCET_LOG_MAX_MIB", default_value_t = 1_024,
          value_parser = clap::value_parser!(u64).range(..=MIB_MAX))]
    log_max_mib: u64,
    /// Connections of clients at once; never more than there are file descriptors for. By default up to
    /// 4096.
    #[arg(long, env = "TERCET_CONNECTIONS_MAX", value_parser = connections)]
    connections_max: Option<usize>,
    /// Connections of clients from one address, or one /64 of IPv6. By default a quarter of all, and three
    /// quarters from this machine.
    #[arg(long, env = "TERCET_CONNECTIONS_PER_ADDRESS_MAX", value_parser = connections)]
    connections_per_address_max: Option<usize>,
    /// The events to log: a level (`error`, `warn`, `info`, `debug`, `trace`, `off`), or levels by part, such as
    /// `info,tercet_server=debug,tercet_store=debug`.
    #[arg(long, env = "TERCET_LOG", default_value = "info")]
    log: String,
    /// Which of the settings above are not defaults.
    #[arg(skip)]
    given: Given,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    Available,
    Majority,
}

#[derive(Clone, Copy)]
struct LoneTimeout(Option<u64>);

fn connections(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=CONNECTIONS_MAX) => Ok(count),
        _ => Err(format!("give a number from 1 to {CONNECTIONS_MAX}")),
    }
}

impl std::str::FromStr for LoneTimeout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "never" => Ok(LoneTimeout(None)),
            _ => match text.parse() {
                Ok(millis) if millis <= TIMEOUT_MS_MAX => Ok(LoneTimeout(Some(millis))),
                _ => Err(format!(
                    "give milliseconds up to {TIMEOUT_MS_MAX}, or `never`"
                )),
            },
        }
    }
}

/// Runs the replica, and again after its disk was full or its store was set aside; gives the exit code.
pub(crate) fn run(arguments: Serve) -> u8 {
    let filter = match arguments.log.parse::<Targets>() {
        Ok(filter) => filter,
        Err(error) => {
            eprintln!("error: --log {}: {error}", arguments.log);
            return 2;
        }
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(stderr().is_terminal())
        .with_writer(stderr)
        // A log on a full disk takes no more, no errors either, and saying so there would panic.
        .log_internal_errors(false)
        .event_format(WithoutRepeats::new(tracing_subscriber::fmt::format()));
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .init();
    let config = match arguments.into_config() {
        Ok(config) => config,
        Err(error) => {
            eprintln!("error: {error:#}");
            return 2;
        }
    };
    let mut known = None;
    let ended = loop {
        match tercet_server::serve(config.clone(), known.clone()) {
            // It starts when there is room.
            Err(error) if error.is_disk_full() => tracing::error!("{error}"),
            Err(ServeError::SetAside(set_aside)) => {
                tracing::error!("{set_aside}");
                known = Some(set_aside.roster);
            }
            ended => break ended.map_err(|error| (error.exit_code(), error.to_string())),
        }
    };
    match ended {
        Ok(()) => 0,
        Err((code, error)) => {
            // To a log, most likely, which may be full.
            let _ = writeln!(stderr(), "error: {error}");
            code
        }
    }
}

impl Serve {
    /// Notes which settings the operator gave: `matches` are those of this command.
    pub(crate) fn note_given(&mut self, matches: &ArgMatches) {
        let given = |name| {
            let source = matches.value_source(name);
            source.is_some_and(|source| source != ValueSource::DefaultValue)
        };
        self.given = Given {
            lists: given("replicas") || given("peers"),
            mode: given("mode"),
            min_in_sync: given("min_in_sync"),
        };
    }

    pub(crate) fn into_config(self) -> anyhow::Result<ServerConfig> {
        let id = tercet_server::config::ReplicaId(self.id);
        let mut timing = tercet_server::config::Timing::default();
        let silence = self.silence_timeout_ms * 1_000;
        // The other durations keep their proportion to the silence timeout.
        timing.lease = silence * 6 / 10;
        timing.tick_gap_max = silence * 7 / 10;
        timing.heartbeat_interval = (silence / 20).min(timing.heartbeat_interval);
        timing.silence_timeout = silence;
        timing.lone_timeout = self.lone_timeout_ms.0.map(|millis| millis * 1_000);
        let data = self
            .data
            .unwrap_or_else(|| format!("tercet-data/replica-{}", self.id).into());
        Ok(ServerConfig {
            id,
            data,
            replicas: addresses(&self.replicas),
            peers: addresses(&self.peers),
            address: self.address,
            peer_address: self.peer_address,
            join: self.join,
            listen: self.listen,
            peer_listen: self.peer_listen,
            peer_secret: peer_secret(self.peer_secret, self.peer_secret_file)?,
            admin_token: secret(self.admin_token, self.admin_token_file, "the admin token")?,
            mode: match self.mode {
                Mode::Available => tercet_server::config::Mode::Available,
                Mode::Majority => tercet_server::config::Mode::Majority {
                    min_in_sync: self.min_in_sync,
                },
            },
            given: self.given,
            timing,
            session_ttl: Duration::from_secs(self.session_ttl_hours * 3_600),
            rates: Rates {
                registrations: self.registration_limit,
                registrations_loopback: self.registration_limit_loopback,
                registrations_all: self.registration_limit_all,
                wrong_passwords: self.wrong_password_limit,
            },
            connections: Connections {
                max: self.connections_max,
                address_max: self.connections_per_address_max,
            },
            disk_reserve: self.disk_reserve_mib << 20,
            accept_missing_wal: self.accept_missing_wal,
            accept_copied_store: self.accept_copied_store,
            retention: tercet_server::config::Retention {
                keep_bytes: self.log_keep_mib << 20,
                bytes_max: self.log_max_mib << 20,
            },
            stop_timeout: Duration::from_secs(5),
        })
    }
}

fn addresses(list: &Replicas) -> BTreeMap<tercet_server::config::ReplicaId, String> {
    let pairs = list.iter();
    pairs
        .map(|replica| {
            (
                tercet_server::config::ReplicaId(replica.id),
                replica.address.clone(),
            )
        })
        .collect()
}

fn peer_secret(given: Option<String>, file: Option<PathBuf>) -> anyhow::Result<String> {
    match secret(given, file, "the peer secret")? {
        Some(secret) => Ok(secret),
        None => bail!(
            "no peer secret: give all replicas the same one, with --peer-secret-file or \
             TERCET_PEER_SECRET (`openssl rand -hex 32` makes one)"
        ),
    }
}

fn secret(
    given: Option<String>,
    file: Option<PathBuf>,
    what: &str,
) -> anyhow::Result<Option<String>> {
    let secret = match (given, file) {
        (Some(secret), _) => secret,
        (None, Some(file)) => fs::read_to_string(&file)
            .with_context(|| format!("read {what} in {}", file.display()))?,
        (None, None) => return Ok(None),
    };
    Ok(Some(secret.trim().to_string()))
}
