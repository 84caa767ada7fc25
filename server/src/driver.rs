//! The driver: the one loop that owns the core. It passes events to the core as inputs, carries out the
//! effects, answers proposals, and publishes the replica's status. It times the core's ticks.

mod clocks;
mod disk;
mod links;
mod membership;
mod proposals;
mod recovery;
mod refusals;
mod snapshots;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tercet_core::{
    Replica, RoleKind, Status,
    config::{self, TICK_INTERVAL, TICK_INTERVAL_HURRIED},
    effect::{Effect, Halt, Rejection},
    id::{Lsn, ReplicaId, Ticket, Time},
    input::Input,
    message::Hello,
};
use tokio::{
    sync::{mpsc, watch},
    task::AbortHandle,
    time,
};

use crate::{
    auth::SessionCache,
    checkpoints::Checkpoints,
    clock,
    cluster_clock::{ClusterClock, Stamps},
    copies::Place,
    fanout,
    handle::{Declaration, Lease, ReplicaStatus},
    peers::{LinkContext, LinkEvent, Places},
    proposals::{Proposal, Proposed},
    replica_status::{self, WaitReport},
    reply::{Reply, Unavailability},
    reports::Reports,
    snapshots::SnapshotCache,
    store_writer::Done,
};

use clocks::TimeKeeper;
use links::Link;
use membership::Membership;
pub(crate) use membership::places;
pub use snapshots::Retention;
use snapshots::{Fetched, Snapshots, TrimPoint};
use tercet_store::{
    Readers, StoreError, WriteOp,
    roster::{Member, Roster},
};

const TICK: Duration = Duration::from_micros(TICK_INTERVAL);
const TICK_HURRIED: Duration = Duration::from_micros(TICK_INTERVAL_HURRIED);
const HURRY: Duration = Duration::from_micros(config::HURRY);

/// Inputs of one turn, after which the effects of all are carried out together with new ones.
const TURN_MAX: usize = 512;

/// Sessions at once with replicas outside the known roster, while any replica of the cluster is accepted.
const LINKS_MAX: usize = 32;

/// The pause of a catching-up replica's log read, as a multiple of the time that the read took, while clients
/// write. Reading an entry is so much cheaper than writing one that the replica catches up all the same.
const CATCH_UP_PAUSE: u32 = 8;
const CATCH_UP_PAUSE_MAX: Duration = Duration::from_millis(250);

/// The parts that the driver is made of.
pub(crate) struct Dependencies {
    pub(crate) replica: Replica,
    pub(crate) readers: Readers,
    pub(crate) ops: std::sync::mpsc::Sender<WriteOp>,
    pub(crate) done: mpsc::UnboundedReceiver<Done>,
    pub(crate) links: mpsc::Receiver<LinkEvent>,
    pub(crate) link_context: LinkContext,
    /// This replica's own addresses.
    pub(crate) own_addresses: Member,
    pub(crate) roster: Roster,
    pub(crate) places: watch::Sender<Places>,
    pub(crate) proposals: Proposed,
    pub(crate) declarations: mpsc::Receiver<Declaration>,
    pub(crate) stop: mpsc::Receiver<()>,
    pub(crate) reports: Reports,
    pub(crate) sessions: SessionCache,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) hello: watch::Sender<Hello>,
    pub(crate) status: watch::Sender<Arc<ReplicaStatus>>,
    pub(crate) applied: watch::Sender<u64>,
    pub(crate) lease: Arc<Lease>,
    pub(crate) cluster_clock: ClusterClock,
    /// The greatest stamp in the state.
    pub(crate) last_stamp_ms: i64,
    /// The time for which a login session is valid.
    pub(crate) session_ttl: Duration,
    pub(crate) batch_bytes_max: usize,
    pub(crate) retention: Retention,
    pub(crate) snapshot_cache: SnapshotCache,
    /// The place of the store on the disk.
    pub(crate) copy: Place,
    pub(crate) stop_timeout: Duration,
}

/// Why the loop ended.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// The replica was asked to stop and has left the view.
    #[error("stopped")]
    Left,
    /// The replica was asked to stop and is still in the view; the others will see a crash.
    #[error("stopped without leaving the view: the other replicas did not answer in time")]
    StoppedInView,
    #[error("{0}")]
    Halted(Halt),
    #[error(
        "replica {0} was removed from the cluster, and the others continue without it: its data directory is no longer needed. To take it back, add it again (`tercet cluster add-replica`) and start it with --join"
    )]
    Removed(ReplicaId),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the disk is full: the others continue without this replica until there is space")]
    DiskFull,
    #[error("a thread of this replica ended: {0}")]
    Broken(&'static str),
}

pub(crate) struct Driver {
    deps: Dependencies,
    membership: Membership,
    /// The last refusal of a session that was logged for each replica, in either direction.
    unwanted: BTreeMap<ReplicaId, String>,
    links: BTreeMap<ReplicaId, Link>,
    /// The tasks that dial each other replica, or look for evidence that it is dead.
    dialers: BTreeMap<ReplicaId, AbortHandle>,
    /// Results of the driver's own tasks.
    events: (mpsc::UnboundedSender<Event>, mpsc::UnboundedReceiver<Event>),
    snapshots: Snapshots,
    time: TimeKeeper,
    stamps: Stamps,
    next_ticket: u64,
    proposed: HashMap<Ticket, Reply>,
    /// Accepted proposals by LSN, ascending.
    accepted: VecDeque<(Lsn, Reply)>,
    /// The time of the last answer to a proposal, or of a proposal taken into an empty pipeline.
    answered_at: time::Instant,
    ticked_at: Time,
    next_tick: time::Instant,
    hurries_until: time::Instant,
    applied: Lsn,
    /// Whether the state has rows that CleanUp commands must remove.
    cleanups_left: bool,
    /// The time for which this replica's clock stood still, as last logged, microseconds.
    lost_time: u64,
    /// Whether this replica led at the end of the last turn.
    leads: bool,
    waits: WaitReport,
    /// The status of the core when this replica's status was last published.
    published: Option<Status>,
    disk_full: bool,
    /// Whether the replica is stopping: by an operator, a signal, or a full disk.
    stopping: bool,
    /// Whether an operator or a signal asked for the stop.
    stop_requested: bool,
    /// The time by which a stopping replica must have left the view.
    deadline: Option<time::Instant>,
}

type LogRead = Result<Input, StoreError>;

/// One event that wakes the loop.
enum Event {
    Tick,
    Link(LinkEvent),
    Done(Done),
    Proposals(Vec<Proposal>),
    Declaration(Declaration),
    LogRead(LogRead),
    Fetched(Fetched),
    /// Whether the state has a session that was made at a wrong time.
    SessionsRead(Result<bool, StoreError>),
    TrimPoint(TrimPoint),
    Stop,
    Closed(&'static str),
}

impl Event {
    /// Tells whether this event is one of the many steps of entries through the log. Ticks come in between.
    fn is_progress(&self) -> bool {
        match self {
            Event::Proposals(_)
            | Event::Done(Done::Executed { roster: None, .. } | Done::EarlyOutcomes(_))
            | Event::Link(LinkEvent::Received { .. }) => true,
            Event::Tick
            | Event::Link(_)
            | Event::Done(_)
            | Event::Declaration(_)
            | Event::LogRead(_)
            | Event::Fetched(_)
            | Event::SessionsRead(_)
            | Event::TrimPoint(_)
            | Event::Stop
            | Event::Closed(_) => false,
        }
    }
}

impl Driver {
    pub(crate) fn new(deps: Dependencies, applied: Lsn) -> Driver {
        let own_id = deps.link_context.id;
        let others = deps.roster.iter().map(|(id, _)| id);
        let log_start = deps.readers.log_size().start;
        Driver {
            snapshots: Snapshots::new(others.filter(|&id| id != own_id), log_start),
            time: TimeKeeper::new(own_id),
            stamps: Stamps::new(deps.last_stamp_ms),
            membership: Membership::new(deps.own_addresses.clone(), deps.roster.clone()),
            deps,
            unwanted: BTreeMap::new(),
            links: BTreeMap::new(),
            dialers: BTreeMap::new(),
            events: mpsc::unbounded_channel(),
            next_ticket: 1,
            proposed: HashMap::new(),
            accepted: VecDeque::new(),
            answered_at: time::Instant::now(),
            ticked_at: clock::now(),
            next_tick: time::Instant::now(),
            hurries_until: time::Instant::now(),
            applied,
            cleanups_left: false,
            lost_time: 0,
            leads: false,
            waits: WaitReport::default(),
            published: None,
            disk_full: false,
            stopping: false,
            stop_requested: false,
            deadline: None,
        }
    }

    /// Runs until the replica must stop.
    pub(crate) async fn run(mut self) -> Ended {
        loop {
            let event = self.next_event().await;
            let is_progress = event.is_progress();
            let mut outcome = self.turn(event);
            let late = |deadline| time::Instant::now() > deadline;
            if outcome.is_ok() && self.deadline.is_some_and(late) {
                outcome = Err(Ended::StoppedInView);
            }
            self.publish(is_progress && outcome.is_ok());
            self.deps.reports.flush();
            if let Err(ended) = outcome {
                // From here on the other replicas may count this one as dead.
                self.deps.lease.set(None, self.deps.replica.commit());
                self.abandon(&Unavailability::Stopping);
                self.deps.reports.end_streams(fanout::Ended::Stopping);
                self.deps.reports.flush();
                return match ended {
                    Ended::Left | Ended::StoppedInView if !self.stop_requested => Ended::DiskFull,
                    ended => ended,
                };
            }
        }
    }

    /// Transfers the lead and leaves the view. The loop ends when both are done, or at the deadline.
    fn stop(&mut self) -> Result<(), Ended> {
        self.stopping = true;
        let stop_timeout = self.deps.stop_timeout;
        let deadline = || time::Instant::now() + stop_timeout;
        self.deadline.get_or_insert_with(deadline);
        self.step(Input::Stop)
    }

    /// Waits for the first event. Messages of peers come before new proposals, so that entries under way are
    /// finished first.
    async fn next_event(&mut self) -> Event {
        let takes = self.takes();
        tokio::select! {
            biased;
            () = time::sleep_until(self.next_tick) => Event::Tick,
            stop = self.deps.stop.recv(), if !self.stop_requested => match stop {
                Some(()) => Event::Stop,
                None => Event::Closed("signals"),
            },
            done = self.deps.done.recv() => match done {
                Some(done) => Event::Done(done),
                None => Event::Closed("store writer"),
            },
            link = self.deps.links.recv() => match link {
                Some(link) => Event::Link(link),
                None => Event::Closed("peer links"),
            },
            Some(event) = self.events.1.recv() => event,
            Some(declaration) = self.deps.declarations.recv() => Event::Declaration(declaration),
            more = self.deps.proposals.ready(), if takes > 0 => match more {
                true => Event::Proposals(self.deps.proposals.take(takes)),
                false => Event::Closed("services"),
            },
        }
    }

    /// Handles one event, after a tick if one is due, because a process that slept must notice it first.
    fn turn(&mut self, event: Event) -> Result<(), Ended> {
        let now = clock::now();
        let due = now.since(self.ticked_at) >= TICK_INTERVAL;
        if due || matches!(event, Event::Tick) {
            self.ticked_at = now;
            self.next_tick = time::Instant::now() + TICK;
            self.step(Input::Tick { now })?;
            self.tick_clocks();
            self.tick_membership()?;
            self.tick_disk()?;
            self.tick_log();
        }
        match event {
            Event::Tick => Ok(()),
            Event::Link(event) => self.on_link(event),
            Event::Done(done) => self.on_done(done),
            Event::Proposals(proposals) => self.on_proposals(proposals),
            Event::Declaration(declaration) => self.on_declaration(declaration),
            Event::LogRead(read) => self.step(read?),
            Event::Fetched(fetched) => self.on_fetched(fetched),
            Event::SessionsRead(wrong) => self.on_sessions_read(wrong),
            Event::TrimPoint(point) => self.trim(point),
            Event::Stop => {
                self.stop_requested = true;
                replica_status::report_stop(&self.deps.status.borrow());
                self.stop()
            }
            Event::Closed(what) => Err(Ended::Broken(what)),
        }
    }

    fn on_done(&mut self, done: Done) -> Result<(), Ended> {
        match done {
            Done::Executed {
                persisted,
                applied_through,
                applied,
                snapshots,
                roster,
                trimmed,
                cleanups_left,
                last_stamp_ms,
            } => {
                self.cleanups_left = cleanups_left;
                self.stamps.applied(last_stamp_ms);
                if let Some(lsn) = applied_through {
                    self.applied = lsn;
                    self.deps.applied.send_replace(lsn.0);
                }
                for (lsn, snapshot) in snapshots {
                    self.deps.checkpoints.snapshot(lsn, snapshot);
                }
                for applied in applied {
                    // Entries of `WriteOp::Follow` are not among these: a backup reports no outcomes.
                    self.forget_corrected(&applied.outcome);
                    self.deps.reports.events(applied.events);
                    self.answer(Lsn(applied.lsn), applied.outcome);
                }
                if let Some(roster) = roster {
                    self.on_roster(roster)?;
                }
                if let Some(lsn) = applied_through {
                    self.step(Input::Applied { lsn })?;
                }
                if let Some(start) = trimmed {
                    self.step(Input::Trimmed { start })?;
                }
                match persisted {
                    Some(write) => {
                        self.written(write);
                        self.step(Input::Persisted { write })
                    }
                    None => Ok(()),
                }
            }
            Done::EarlyOutcomes(outcomes) => {
                self.acknowledge(outcomes);
                Ok(())
            }
            Done::DiskFull(full) => self.on_disk_full(full),
            Done::Stuck => self.on_stuck(),
            Done::Failed(error) => Err(Ended::Store(error)),
        }
    }

    fn step(&mut self, input: Input) -> Result<(), Ended> {
        let effects = self.deps.replica.step(input);
        self.renew_lease();
        for effect in effects {
            self.perform(effect)?;
        }
        Ok(())
    }

    fn perform(&mut self, effect: Effect) -> Result<(), Ended> {
        match effect {
            Effect::Persist(write) => self.write(WriteOp::Persist(write)),
            // A replica that did not lead when this turn began has no caller and no subscription.
            Effect::Apply { entries } if self.accepted.is_empty() && !self.leads => {
                self.write(WriteOp::Follow(entries))
            }
            Effect::Apply { entries } => self.write(WriteOp::Apply(entries)),
            Effect::Settle { lsn } => self.write(WriteOp::Settle(lsn)),
            Effect::Confirmed => {
                self.deps.copy.confirmed();
                Ok(())
            }
            Effect::Send { to, message } => {
                if let Some(link) = self.links.get(&to)
                    && !link.outgoing.send(&message)
                {
                    tracing::debug!(peer = %to, "message dropped: the queue is full");
                }
                Ok(())
            }
            Effect::Disconnect { peer } => {
                self.disconnect(peer);
                Ok(())
            }
            Effect::ReadLog {
                peer,
                from,
                through,
            } => {
                self.read_log(peer, from, through);
                Ok(())
            }
            Effect::FetchSnapshot { from, lsn_min } => {
                self.fetch_snapshot(from, lsn_min);
                Ok(())
            }
            Effect::Install { write, snapshot } => self.install(write, snapshot),
            Effect::Accepted { ticket, lsn } => {
                if let Some(reply) = self.proposed.remove(&ticket) {
                    self.accepted.push_back((lsn, reply));
                }
                Ok(())
            }
            Effect::Rejected { ticket, rejection } => {
                if let Some(reply) = self.proposed.remove(&ticket) {
                    let why = unavailable(rejection);
                    self.deps.reports.answer(reply, Err(why));
                }
                Ok(())
            }
            Effect::Abandon => {
                self.abandon(&Unavailability::OutcomeUnknown);
                self.deps.reports.end_streams(fanout::Ended::LeadLost);
                self.deps.sessions.clear();
                Ok(())
            }
            Effect::Halt(Halt::Left) => Err(Ended::Left),
            Effect::Halt(halt) => Err(Ended::Halted(halt)),
        }
    }

    fn write(&mut self, op: WriteOp) -> Result<(), Ended> {
        let sent = self.deps.ops.send(op);
        sent.map_err(|_| Ended::Broken("store writer"))
    }

    fn read_log(&self, peer: ReplicaId, from: Lsn, through: Lsn) {
        let readers = self.deps.readers.clone();
        let bytes_max = self.deps.batch_bytes_max;
        let events = self.events.0.clone();
        let pauses = !self.is_member(peer) && !self.accepted.is_empty();
        tokio::spawn(async move {
            let asked_at = time::Instant::now();
            let read = move || readers.log_entries(from.0, through.0, bytes_max);
            let Ok(read) = tokio::task::spawn_blocking(read).await else {
                return;
            };
            // The store writer finds a failing disk. An error of a reader alone affects only the replica that
            // catches up.
            let read = match read {
                Err(StoreError::Io(error)) => {
                    tracing::warn!(%peer, error, "read the log for a replica");
                    Ok(Vec::new())
                }
                read => read,
            };
            if pauses {
                let pause = asked_at.elapsed() * CATCH_UP_PAUSE;
                time::sleep(pause.min(CATCH_UP_PAUSE_MAX)).await;
            }
            // The entries are empty when the log was cut or trimmed meanwhile; the core asks again.
            let read = read.map(|entries| Input::LogRead {
                peer,
                from,
                entries,
            });
            let _ = events.send(Event::LogRead(read));
        });
    }

    fn renew_lease(&self) {
        let replica = &self.deps.replica;
        self.deps.lease.set(replica.lease_until(), replica.commit());
    }

    /// Publishes the changes of this turn. A turn that only advanced positions in the logs is published at the
    /// next tick, because such turns are very frequent.
    fn publish(&mut self, is_progress: bool) {
        let core = self.deps.replica.status();
        self.leads = core.role == RoleKind::Leader;
        self.on_lost_time(core.lost_time);
        replica_status::report_lost_time(&mut self.lost_time, core.lost_time);
        let now = time::Instant::now();
        let passes = core.passes_the_lead(self.deps.link_context.id);
        if self.stopping || passes || now < self.hurries_until {
            self.next_tick = self.next_tick.min(now + TICK_HURRIED);
        }
        let published = self.published.as_ref();
        if is_progress && published.is_some_and(|before| core.has_only_advanced(before)) {
            return;
        }
        let hello = self.deps.replica.hello();
        self.deps.hello.send_if_modified(|published| {
            let changed = *published != hello;
            if changed {
                published.clone_from(&hello);
            }
            changed
        });
        let sessions = self.links.iter().map(|(&id, link)| (id, link.store));
        let mut status = replica_status::of(
            &core,
            &hello,
            sessions,
            self.applied,
            self.disk_full,
            &self.membership.roster,
        );
        status.storage = self.storage();
        status.cleanups_left = self.cleanups_left;
        self.published = Some(core);
        if let Some(waiting) = self.waits.due(&status, now.into_std()) {
            tracing::warn!("{waiting}");
        }
        let before = self.deps.status.borrow().clone();
        if *before == status {
            return;
        }
        replica_status::report(&before, &status);
        self.deps.status.send_replace(Arc::new(status));
    }
}

fn unavailable(rejection: Rejection) -> Unavailability {
    match rejection {
        Rejection::NotLeader(leader) => Unavailability::NotLeader(leader),
        Rejection::InTransition => Unavailability::InTransition,
        Rejection::Busy => Unavailability::Busy,
        Rejection::NoQuorum => Unavailability::NoQuorum,
    }
}
