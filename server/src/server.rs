//! Assembles a replica and runs it to its end.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use tercet_core::{
    Replica,
    config::{Limits, Settings},
    effect::Halt,
    id::{ClusterId, Incarnation, Lsn, ReplicaId, StoreId},
};
use tercet_store::{
    self as store, OpenOptions, Opened, StoreError,
    command::COMMAND_VERSION,
    roster::{Member, Roster},
    search::SearchThread,
};
use tokio::{
    net::TcpListener,
    runtime::Builder,
    sync::{mpsc, oneshot, watch},
    task, time,
};
use uuid::Uuid;

use crate::{
    auth::{
        SessionCache,
        admin::AdminToken,
        limits::RateLimits,
        password::{Cost, PasswordError, Passwords},
    },
    checkpoints::Checkpoints,
    cleanup, clients, clock,
    cluster_clock::ClusterClock,
    config::{ConfigError, Mode, ServerConfig, in_words},
    copies::Place,
    driver::{self, Dependencies, Driver, Ended},
    export,
    fanout::Fanout,
    handle::{Handle, Lease},
    lists, net,
    peers::{self, EVENTS_MAX, LinkContext, Places, Source},
    private_files,
    programs::Programs,
    proposals, removed, replica_status, reports,
    reserve::Reserve,
    rpc,
    set_aside::{self, NotSetAside, SetAside, Why},
    shutdown,
    snapshots::SnapshotCache,
    store_writer,
};

/// Proposals that may wait for the driver. When the queue is full, the account with the most waiting proposals
/// is refused as busy.
const PROPOSALS_MAX: usize = 8_192;

/// Operators' declarations that may wait for the driver; further ones wait for room.
const DECLARATIONS_MAX: usize = 8;

/// The time for which a blocking call, such as the hash of a password, is waited for at the end of a run.
const SHUTDOWN_MAX: Duration = Duration::from_secs(1);
/// The interval at which a replica on a full disk checks for room.
const ROOM_INTERVAL: Duration = Duration::from_millis(500);

/// Why a replica did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("open the store in {}: {error}", data.display())]
    Store { data: PathBuf, error: StoreError },
    #[error(
        "listen at {address} for {whom}: {error}. Another process may use the port, or the address is not of this machine"
    )]
    Listen {
        address: String,
        whom: &'static str,
        error: std::io::Error,
    },
    #[error("prepare password hashing: {0}")]
    Passwords(#[from] PasswordError),
    #[error("start a thread: {0}")]
    Thread(std::io::Error),
    #[error("start the runtime: {0}")]
    Runtime(std::io::Error),
    #[error(
        "replica {id} belongs to the cluster already, at {address} and {peer_address}: start it with these addresses, or give this replica another id; if that one is gone for good and this one takes its place, remove it first (`tercet cluster remove-replica {id}`) and add it again"
    )]
    JoinElsewhere {
        id: ReplicaId,
        address: String,
        peer_address: String,
    },
    #[error(
        "the cluster that this store belongs to is in mode {has}, and this replica was started in mode {wanted}: leave --mode and --min-in-sync (TERCET_MODE, TERCET_MIN_IN_SYNC) out. The mode is fixed when a cluster is made"
    )]
    OtherMode { wanted: String, has: String },
    /// The next step is to run again with `SetAside::roster`.
    #[error("{0}")]
    SetAside(SetAside),
    #[error(transparent)]
    NotSetAside(#[from] NotSetAside),
    /// The store is unchanged; `exported` describes the export of its own entries, or why there is none.
    #[error("{halt}; {exported}")]
    Diverged { halt: Halt, exported: String },
    #[error(
        "this replica was removed from the cluster earlier, as the file {} says, and contacts no other replica: its data directory is no longer needed. To take it back, add it again (`tercet cluster add-replica`) and start it with --join", .0.display()
    )]
    WasRemoved(PathBuf),
    #[error(transparent)]
    Ended(Ended),
}

impl ServeError {
    /// Gives the exit code of a process that ends with this error: 4 for a removed replica, which a supervisor
    /// must not restart (systemd: `RestartPreventExitStatus=4`), 1 for all others.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            ServeError::WasRemoved(_) | ServeError::Ended(Ended::Removed(_)) => 4,
            _ => 1,
        }
    }

    /// Tells whether the only cause is a full disk: the next run waits for room.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(
            self,
            ServeError::Ended(Ended::DiskFull)
                | ServeError::NotSetAside(NotSetAside::Store(StoreError::Full))
                | ServeError::Store {
                    error: StoreError::Full,
                    ..
                }
        )
    }
}

/// Runs one replica until it is told to stop (SIGTERM or SIGINT) or must stop. Its ports and tasks end with it.
/// `known` is the roster of an earlier run whose store was set aside.
///
/// # Errors
/// See [`ServeError`]; `Ok` means that it was told to stop.
pub fn serve(config: ServerConfig, known: Option<Roster>) -> Result<(), ServeError> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(ServeError::Runtime)?;
    let ended = runtime.block_on(run(config, known));
    runtime.shutdown_timeout(SHUTDOWN_MAX);
    ended
}

async fn run(config: ServerConfig, known: Option<Roster>) -> Result<(), ServeError> {
    config.check()?;
    let descriptors = net::raise_limit();
    let own_addresses = config
        .own_addresses()
        .ok_or(ConfigError::UnknownId(config.id))?;
    let (stopper, mut stop) = shutdown::stopper();
    shutdown::obey_signals(&stopper).map_err(ServeError::Thread)?;
    let reserve = Reserve::new(&config.data, config.disk_reserve);
    tokio::select! {
        () = wait_for_room(&config.data, &reserve) => {}
        _ = stop.recv() => return Ok(()),
    }
    if removed::is_noted(&config.data) {
        if config.join.is_empty() {
            return Err(ServeError::WasRemoved(config.data.join("removed")));
        }
        tokio::select! {
            added = removed::wait_until_added(&config, &own_addresses) => added.map_err(in_store(&config.data))?,
            _ = stop.recv() => return Ok(()),
        }
    }
    let listener = listen(&config.listen, &own_addresses.address, "clients").await?;
    let peer_listener =
        listen(&config.peer_listen, &own_addresses.peer_address, "replicas").await?;
    let options = OpenOptions {
        accept_missing_wal: config.accept_missing_wal,
        dir: config.data.clone(),
        replica: config.id,
        new_store: StoreId(Uuid::new_v4().as_u128()),
    };
    let mut set_aside = false;
    let opened = match store::open(&options) {
        Err(StoreError::Full) if reserve.free() => store::open(&options),
        Err(StoreError::Corrupt(why)) if peers::is_led(&config.joiner(), &config.peers).await => {
            set_aside = true;
            open_anew(&options, &why)
        }
        opened => opened,
    };
    let opened = opened.map_err(in_store(&config.data))?;
    private_files::tighten(&config.data);
    let applied = opened.recovered.applied;
    tracing::info!(
        replica = %config.id,
        data = %config.data.display(),
        last = opened.recovered.last.0,
        applied = applied.0,
        "store opened"
    );
    let is_empty = opened.recovered.last == Lsn::ZERO;
    let bootstraps = config.join.is_empty() && !set_aside && known.is_none();
    let stored = opened.roster.or(known);
    let given = config.given.lists.then(|| config.roster(&own_addresses));
    let (roster, source) = match stored {
        Some(roster) => {
            for difference in
                lists::differences(&roster, given.as_ref(), (config.id, &own_addresses))
            {
                tracing::warn!("{difference}");
            }
            (roster, Source::Stored)
        }
        None => tokio::select! {
            first = first_roster(&config, &own_addresses, is_empty) => first?,
            _ = stop.recv() => return Ok(()),
        },
    };
    let limits = Limits::default();
    let copy = Place::new(&config.data, opened.store);
    let alone = roster.ids(config.id).len() == 1;
    let copied = copy.must_be_confirmed(opened.expects_note, (config.accept_copied_store, alone));
    let settings = Settings {
        copied,
        ..settings(&config, opened.store, &roster, limits.clone(), bootstraps)
    };
    let replica = Replica::new(settings, opened.recovered);
    refuse_other_mode(&config, &replica)?;
    let has_config = replica.status().config.is_some();

    let (done_sender, done) = mpsc::unbounded_channel();
    make_in_background(reserve.clone()).map_err(ServeError::Thread)?;
    let (ops, writer) =
        store_writer::spawn(opened.writer, reserve, done_sender).map_err(ServeError::Thread)?;
    let (events, links) = mpsc::channel(EVENTS_MAX);
    let (proposal_sender, proposals) = proposals::queue(PROPOSALS_MAX);
    let (declaration_sender, declarations) = mpsc::channel(DECLARATIONS_MAX);
    let (hello, hello_receiver) = watch::channel(replica.hello());
    let first = replica.status();
    let first = replica_status::of(
        &first,
        &hello.borrow(),
        [].into_iter(),
        applied,
        false,
        &roster,
    );
    let (status, status_receiver) = watch::channel(Arc::new(first));
    let (applied_sender, applied_receiver) = watch::channel(applied.0);
    let lease = Arc::new(Lease::default());
    let fanout = Fanout::new();
    let (reports, reported) = reports::reports(fanout.clone());
    let checkpoints = Checkpoints::new().map_err(ServeError::Thread)?;
    let handle = Handle {
        proposals: proposal_sender,
        declarations: declaration_sender,
        status: status_receiver,
        applied: applied_receiver,
        lease: lease.clone(),
    };
    let (places, places_receiver) = watch::channel(driver::places(&roster, source, given.as_ref()));
    if source == Source::Stored && !config.join.is_empty() {
        tokio::spawn(ask_for_addresses(config.joiner(), places.clone()));
    }
    let link_context = LinkContext {
        id: config.id,
        own_addresses: Arc::new(own_addresses.clone()),
        places: places_receiver,
        hello: hello_receiver,
        secret: config.peer_secret.as_str().into(),
        command_version: COMMAND_VERSION,
        events,
    };
    let snapshot_cache = SnapshotCache::new(config.data.clone());
    snapshot_cache.clear().map_err(|error| ServeError::Store {
        data: config.data.clone(),
        error: StoreError::from_io("make a place for snapshots", &error),
    })?;
    let cluster_clock = ClusterClock::new();
    let (stop_services, stopped) = oneshot::channel::<()>();
    let sessions = SessionCache::new();
    let readers = opened.readers;
    let search = SearchThread::start(&config.data, opened.store).map_err(ServeError::Thread)?;
    let status_receiver = handle.watch_status();
    cleanup::spawn(&handle, &readers, &cluster_clock);
    if !has_config {
        tokio::spawn(warn_of_other_mode(config.clone(), handle.watch_status()));
    }
    let services = rpc::Services {
        handle,
        readers: readers.clone(),
        search,
        programs: Programs::start().map_err(ServeError::Thread)?,
        fanout,
        serving: rpc::serving(status_receiver.clone()),
        sessions: sessions.clone(),
        checkpoints: checkpoints.clone(),
        passwords: Passwords::new(Cost::default())?,
        limits: RateLimits::new(config.rates),
        admin: AdminToken::new(config.admin_token.as_deref()),
        session_ttl: config.session_ttl,
        clock: cluster_clock.clone(),
        stopper: stopper.clone(),
        connections: net::Limits::new(
            net::clients_max(descriptors, config.connections.max),
            config.connections.address_max,
        ),
    };
    let stopped = async move {
        let _ = stopped.await;
    };
    let clients = clients::serve(listener, services, reported, stopped);
    let mut clients = clients.map_err(ServeError::Thread)?;
    let sources = peers::Sources {
        snapshot_cache: snapshot_cache.clone(),
        readers: readers.clone(),
        status: status_receiver.clone(),
    };
    let mut peer_service = tokio::spawn(peers::serve(peer_listener, link_context.clone(), sources));
    let driver = Driver::new(
        Dependencies {
            replica,
            readers: readers.clone(),
            ops,
            done,
            links,
            link_context: link_context.clone(),
            own_addresses,
            roster,
            places,
            proposals,
            declarations,
            stop,
            reports,
            sessions,
            checkpoints,
            hello,
            status,
            applied: applied_sender,
            lease,
            cluster_clock,
            last_stamp_ms: opened.last_stamp_ms,
            session_ttl: config.session_ttl,
            batch_bytes_max: limits.batch_bytes_max,
            retention: config.retention.clone(),
            snapshot_cache,
            copy,
            stop_timeout: config.stop_timeout,
        },
        applied,
    );
    // Each service runs as long as the driver does: without one of them the replica is useless.
    let ended = tokio::select! {
        ended = driver.run() => ended,
        end = &mut clients.end => broken("the services for clients", end.ok()),
        end = &mut peer_service => broken("the service for other replicas", end.ok()),
    };
    // The peers redial at once. A peer that connected here and then got no answer would wait before it tries
    // again, and so would be late for the next run.
    peer_service.abort();
    drop(stop_services);
    // A finished future must not be polled again.
    if !clients.end.is_terminated() {
        let _ = time::timeout(shutdown::DRAIN, &mut clients.end).await;
    }
    // The next run in this process needs the port.
    let _ = time::timeout(shutdown::DRAIN, task::spawn_blocking(|| clients.join())).await;
    // The writer holds the data directory, which the next run in this process needs. No client was told of its
    // remaining writes.
    let _ = time::timeout(shutdown::DRAIN, task::spawn_blocking(|| writer.join())).await;
    match ended {
        Ended::Left => Ok(()),
        Ended::StoppedInView => {
            tracing::warn!("{}", Ended::StoppedInView);
            Ok(())
        }
        Ended::Halted(halt @ (Halt::DeclaredDead { peer } | Halt::WentBack { peer, .. })) => {
            let why = match halt {
                Halt::WentBack { lsn, .. } => Why::WentBack(lsn),
                _ => Why::DeclaredDead,
            };
            let log = tokio::select! {
                log = set_aside::ask(&link_context, peer) => log?,
                () = stopper.requested() => return Ok(()),
            };
            let roster = status_receiver.borrow().roster.clone();
            let place = (config.data.as_path(), opened.store);
            let why = (why, peer, log);
            let set_aside = set_aside::set_aside(why, place, readers, roster).await?;
            Err(ServeError::SetAside(set_aside))
        }
        Ended::Halted(halt @ Halt::Diverged { leader, .. }) => {
            let place = (config.data.as_path(), opened.store);
            let exported = tokio::select! {
                exported = export::export(&link_context, leader, place, readers) => exported,
                () = stopper.requested() => Err("it was told to stop meanwhile".to_owned()),
            };
            let exported = match exported {
                Ok(exported) => exported.to_string(),
                Err(why) => format!(
                    "what only this store has was not written down ({why}): the next start tries it again"
                ),
            };
            Err(ServeError::Diverged { halt, exported })
        }
        ended => {
            if let Ended::Removed(_) = ended
                && let Err(error) = removed::note(&config.data)
            {
                tracing::warn!(%error, "note that this replica was removed");
            }
            Err(ServeError::Ended(ended))
        }
    }
}

/// Adds the data directory to an error of the store.
fn in_store(data: &Path) -> impl FnOnce(StoreError) -> ServeError {
    let data = data.to_owned();
    move |error| ServeError::Store { data, error }
}

/// Describes the end of a service that should run for ever. `end` is `None` when its task or thread panicked.
fn broken<E: std::fmt::Display>(which: &'static str, end: Option<Result<(), E>>) -> Ended {
    match end {
        Some(Err(error)) => tracing::error!(%error, "{which} ended"),
        Some(Ok(())) => tracing::error!("{which} ended without an error"),
        None => tracing::error!("{which} panicked"),
    }
    Ended::Broken(which)
}

/// Renames a damaged store and opens an empty one, which the others fill: they have a leader, so they do not
/// wait for this store.
fn open_anew(options: &OpenOptions, why: &str) -> Result<Opened, StoreError> {
    let kept = store::set_aside(&options.dir, "broken")?;
    tracing::error!(
        "the store in {} is damaged ({why}): it was set aside in {}, and the others fill an empty one",
        options.dir.display(),
        kept.display()
    );
    store::open(options)
}

/// Waits until the disk has room. Meanwhile the replica listens nowhere.
async fn wait_for_room(data: &Path, reserve: &Reserve) {
    let mut reported = false;
    // A directory that cannot be read gives a better error when it is opened.
    while matches!(reserve.has_room(), Ok(false)) {
        if !reported {
            tracing::error!(
                "the disk is full: this replica waits until {} MiB are free for {}",
                reserve.wanted() >> 20,
                data.display()
            );
            reported = true;
        }
        time::sleep(ROOM_INTERVAL).await;
    }
    if reported {
        tracing::info!("there is room on the disk: this replica starts");
    }
}

/// Makes the reserve on a thread of its own; the start does not wait for it.
fn make_in_background(reserve: Reserve) -> io::Result<()> {
    let make = move || match reserve.make() {
        Ok(true) => {}
        Ok(false) => tracing::warn!("the disk is nearly full: there is no room for the reserve"),
        Err(error) => tracing::warn!(%error, "make the reserve on the disk"),
    };
    thread::Builder::new()
        .name("reserve".into())
        .spawn(make)
        .map(drop)
}

async fn listen(
    chosen: &Option<String>,
    own: &str,
    whom: &'static str,
) -> Result<TcpListener, ServeError> {
    let address = chosen.as_deref().unwrap_or(own);
    let listener = TcpListener::bind(address).await;
    listener.map_err(|error| ServeError::Listen {
        address: address.into(),
        whom,
        error,
    })
}

/// Refuses a start with another mode than the one in the log.
fn refuse_other_mode(config: &ServerConfig, replica: &Replica) -> Result<(), ServeError> {
    let status = replica.status();
    let wanted = status
        .config
        .and_then(|logged| config.differs_from_mode(logged.config.mode));
    match wanted {
        None => Ok(()),
        Some(wanted) => Err(ServeError::OtherMode {
            wanted,
            has: in_words(status.mode),
        }),
    }
}

/// Warns when the mode that a joining replica was started with differs from the cluster's, once that is known.
async fn warn_of_other_mode(
    config: ServerConfig,
    mut status: watch::Receiver<Arc<crate::handle::ReplicaStatus>>,
) {
    let Ok(status) = status.wait_for(|now| now.config_lsn > Lsn::ZERO).await else {
        return;
    };
    let has = match status.mode {
        "available" => Mode::Available,
        _ => Mode::Majority {
            min_in_sync: u32::try_from(status.view_min).unwrap_or(u32::MAX),
        },
    };
    if let Some(wanted) = config.differs_from_mode(has) {
        let has = in_words(has);
        tracing::error!("{}", ServeError::OtherMode { wanted, has });
    }
}

/// Asks the replicas at the addresses of `--join` for all addresses: the cluster's own list in this store may
/// be older.
async fn ask_for_addresses(joiner: peers::Joiner, places: watch::Sender<Places>) {
    if let Some(roster) = peers::ask_roster(&joiner, None).await {
        places.send_modify(|places| places.learn(&roster, Source::Joined));
    }
}

/// Gives the roster of a replica whose state has none yet, and its source: the lists, or the cluster that it
/// joins.
async fn first_roster(
    config: &ServerConfig,
    own_addresses: &Member,
    is_empty: bool,
) -> Result<(Roster, Source), ServeError> {
    let listed = config.roster(own_addresses);
    if config.join.is_empty() {
        return Ok((listed, Source::Given));
    }
    // A store with entries already belongs to the cluster and can start without an answer.
    let rounds = (!is_empty).then_some(1);
    let Some(joined) = peers::ask_roster(&config.joiner(), rounds).await else {
        return Ok((listed, Source::Given));
    };
    match joined.get(config.id) {
        Some(known) if known == own_addresses => {}
        Some(known) => {
            return Err(ServeError::JoinElsewhere {
                id: config.id,
                address: known.address.clone(),
                peer_address: known.peer_address.clone(),
            });
        }
        None => tracing::warn!(
            "waiting: replica {id} does not belong to the cluster yet; add it: tercet cluster \
             add-replica {id}={} --peer-address {}",
            own_addresses.address,
            own_addresses.peer_address,
            id = config.id,
        ),
    }
    Ok((joined, Source::Joined))
}

fn settings(
    config: &ServerConfig,
    store: StoreId,
    roster: &Roster,
    limits: Limits,
    bootstraps: bool,
) -> Settings {
    Settings {
        id: config.id,
        store,
        // The low half of a random UUID: a new number at every start.
        incarnation: Incarnation(Uuid::new_v4().as_u64_pair().1),
        roster: roster.ids(config.id),
        mode: config.mode,
        copied: false,
        new_cluster: bootstraps.then(|| ClusterId(Uuid::new_v4().as_u128())),
        timing: config.timing.clone(),
        limits,
        now: clock::now(),
    }
}
