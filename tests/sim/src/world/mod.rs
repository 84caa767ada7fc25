//! The world of one run: replicas, links, disks, clients and faults, driven by a queue of events in the order of
//! their simulated times. It never uses real time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tercet_core::{
    Status,
    config::Mode,
    id::{ClusterId, Lsn, ReplicaId, StoreId},
};

use crate::{
    check::{
        Violation, client_history::ClientHistory, history::History, leaders::Leaders,
        lineage::Lineage, order::Order,
    },
    client::{Client, OPERATOR},
    disk::Disk,
    image::{Image, Prefix},
    nemesis::Nemesis,
    network::{Item, Network},
    node::{Answer, Caller, Clock, Node, Request, Work},
    profile::{Plan, Profile},
    rng::Rng,
    statistics::Statistics,
    trace::Trace,
};

mod agenda;
mod commits;
mod disks;
mod faults;
mod finish;
mod links;
mod process;
mod recovery;
mod roster;
mod service;
mod snapshots;
mod stores;
mod watch;

use agenda::Agenda;
pub use faults::Blow;

/// An event of the simulation. `run` is the process that it is for: a later process of the same replica does not get
/// it.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Start {
        at: usize,
    },
    Boot {
        at: usize,
    },
    Tick {
        at: usize,
        run: u64,
    },
    Arrive {
        from: usize,
        to: usize,
        session: u64,
        item: Item,
    },
    Deliver {
        at: usize,
        run: u64,
        work: Work,
    },
    Dial {
        a: usize,
        b: usize,
    },
    DiskDone {
        at: usize,
        run: u64,
    },
    DiskRetry {
        at: usize,
        run: u64,
    },
    ReadDone {
        at: usize,
        run: u64,
        peer: ReplicaId,
        from: Lsn,
        through: Lsn,
    },
    SnapshotAsked {
        at: usize,
        run: u64,
        from: usize,
        lsn_min: Lsn,
    },
    SnapshotSent {
        at: usize,
        run: u64,
        from: usize,
        prefix: Box<Prefix>,
    },
    Resume {
        at: usize,
        run: u64,
    },
    /// The end of the time in which a process whose clock stood still can learn it.
    Unheard {
        at: usize,
        run: u64,
    },
    Flap {
        at: usize,
        until: u64,
    },
    KillStuck {
        at: usize,
        run: u64,
    },
    Heal {
        a: usize,
        b: usize,
    },
    GiveUp {
        side: usize,
        peer: usize,
        session: u64,
    },
    Call {
        to: usize,
        caller: Caller,
        request: Request,
    },
    Answer {
        caller: Caller,
        answer: Answer,
    },
    Think {
        client: u32,
    },
    Timeout {
        client: u32,
    },
    MessageFaults,
    Nemesis,
    Watch,
}

/// The phase of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Faults happen, or a script runs.
    Rough,
    /// All faults have ended; the cluster must become whole by itself.
    Settling { since: u64 },
    /// The cluster is whole, and the clients finish.
    Draining { since: u64 },
    /// All checks were made.
    Over,
}

/// A world; the documentation of the module describes it.
pub struct World {
    pub now: u64,
    agenda: Agenda<Event>,
    pub rng: Rng,
    pub plan: Plan,
    /// The profile; `None` for a script.
    pub(crate) profile: Option<Profile>,
    pub nodes: Vec<Node>,
    pub(crate) net: Network,
    pub(crate) clients: BTreeMap<u32, Client>,
    pub(crate) clients_stop: bool,
    pub(crate) nemesis: Nemesis,
    /// The number of processes started so far; it is the `Incarnation` of the last.
    pub(crate) runs: u64,
    pub(crate) phase: Phase,
    /// The time at which the last fault began or ended. `served` is the last time at which a replica served.
    pub(crate) disturbed: u64,
    /// The last time at which a leader kept a replica out of its view for a slow disk.
    pub(crate) kept_out_at: u64,
    pub(crate) served: u64,
    /// The time of the last acknowledgement of a write.
    pub(crate) acknowledged_at: u64,
    /// The last time at which a replica woke, or its clock jumped: it knows it after its next tick.
    pub(crate) slept_until: u64,
    /// The times at which the Configs of the last second were committed.
    pub(crate) views: VecDeque<u64>,
    /// The second in which each replica last sent a message, and the number of its messages in it.
    pub(crate) said: Vec<(u64, u64)>,
    pub order: Order,
    pub history: History,
    pub client_history: ClientHistory,
    pub leaders: Leaders,
    pub lineage: Lineage,
    /// The stores that were set aside because they were refused, or differed from those of others.
    pub(crate) aside: Vec<Image>,
    pub(crate) set_aside_at: u64,
    /// The last time at which the operator declared replicas dead while no replica served.
    pub(crate) declared_at: u64,
    /// The time until which a replica may come back with another clock than the others know.
    pub(crate) clocks_doubted_until: u64,
    /// The replicas whose disks got an older state.
    pub(crate) put_back: BTreeSet<usize>,
    declared: recovery::Declared,
    pub statistics: Statistics,
    pub trace: Trace,
    pub violation: Option<Violation>,
}

impl World {
    /// Makes a world in which every replica is about to start for the first time.
    #[must_use]
    pub fn new(seed: u64, profile: Option<Profile>, plan: Plan, trace: Trace) -> World {
        let mut rng = Rng::new(seed);
        let count = plan.replicas + plan.spares;
        let nodes = (0..count)
            .map(|at| Node {
                id: ReplicaId(at as u32 + 1),
                clock: Clock {
                    offset: rng.below(1 << 40),
                    drift: rng.between(0, 2000) as i64 - 1000,
                    stood: 0,
                    stood_until: None,
                },
                disk: Disk::new(draw_store(&mut rng)),
                process: None,
                dark: false,
                halted: None,
                bootstraps: at < plan.replicas,
                away: at >= plan.replicas,
                refused: false,
                starting: false,
            })
            .collect();
        let mut world = World {
            now: 0,
            agenda: Agenda::new(),
            nemesis: Nemesis::new(profile, &plan, &mut rng),
            profile,
            nodes,
            net: Network::new(count),
            clients: BTreeMap::new(),
            clients_stop: false,
            runs: 0,
            phase: Phase::Rough,
            disturbed: 0,
            kept_out_at: 0,
            served: 0,
            acknowledged_at: 0,
            slept_until: 0,
            views: VecDeque::new(),
            said: vec![(0, 0); count],
            order: Order::new(profile == Some(Profile::Split)),
            history: History::default(),
            client_history: ClientHistory::default(),
            leaders: Leaders::default(),
            lineage: Lineage::default(),
            aside: Vec::new(),
            set_aside_at: 0,
            declared_at: 0,
            clocks_doubted_until: 0,
            put_back: BTreeSet::new(),
            declared: recovery::Declared::default(),
            statistics: Statistics::default(),
            trace,
            violation: None,
            rng,
            plan,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        for at in 0..self.nodes.len() {
            let delay = self.rng.skewed(0, 1_500_000);
            self.start_after(at, delay);
        }
        self.clients
            .insert(OPERATOR, Client::new(OPERATOR, 2_000_000));
        for client in 1..=self.plan.clients {
            let patience = self.rng.between(1_000_000, 3_000_000);
            self.clients.insert(client, Client::new(client, patience));
            let delay = self.rng.below(500_000);
            self.after(delay, Event::Think { client });
        }
        if self.profile.is_some() {
            let first = self.plan.faults.0 + 1;
            self.after(first, Event::Nemesis);
        }
        self.after(100_000, Event::Watch);
    }

    /// Schedules an event after `delay` microseconds.
    pub(crate) fn after(&mut self, delay: u64, event: Event) {
        self.at(self.now + delay, event);
    }

    pub(crate) fn at(&mut self, time: u64, event: Event) {
        self.agenda.add(time, event);
    }

    /// Notes a broken rule; the run ends with the first.
    pub(crate) fn violated(&mut self, how: String) {
        self.trace.line(self.now, || format!("!! {how}"));
        if self.violation.is_none() {
            self.violation = Some(Violation(how));
        }
    }

    pub(crate) fn require(&mut self, verdict: crate::check::Verdict) {
        if let Err(Violation(how)) = verdict {
            self.violated(how);
        }
    }

    /// Goes on to the next event, if it is not after `until`. Returns false if there was none.
    pub fn advance(&mut self, until: u64) -> bool {
        if self.violation.is_some() || self.phase == Phase::Over {
            return false;
        }
        let Some((time, order, event)) = self.agenda.next(until) else {
            return false;
        };
        self.now = time;
        self.trace.number(time ^ order);
        self.happen(event);
        true
    }

    /// Runs until `until` or the first violation.
    pub fn run_until(&mut self, until: u64) {
        while self.advance(until) {}
        if self.violation.is_none() && self.phase != Phase::Over {
            self.now = until;
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Start { at } => self.start(at),
            Event::Boot { at } => self.boot(at),
            Event::Tick { at, run } => self.on_tick(at, run),
            Event::Arrive {
                from,
                to,
                session,
                item,
            } => self.arrive(from, to, session, item),
            Event::Deliver { at, run, work } => self.deliver(at, run, work),
            Event::Dial { a, b } => self.dial(a, b),
            Event::DiskDone { at, run } => self.disk_done(at, run),
            Event::DiskRetry { at, run } => self.disk_retry(at, run),
            Event::ReadDone {
                at,
                run,
                peer,
                from,
                through,
            } => self.read_done(at, run, peer, from, through),
            Event::SnapshotAsked {
                at,
                run,
                from,
                lsn_min,
            } => self.snapshot_asked(at, run, from, lsn_min),
            Event::SnapshotSent {
                at,
                run,
                from,
                prefix,
            } => self.snapshot_sent(at, run, from, prefix),
            Event::Resume { at, run } => self.resume(at, run),
            Event::Unheard { at, run } => self.unheard(at, run),
            Event::Flap { at, until } => self.flap(at, until),
            Event::KillStuck { at, run } => self.kill_stuck(at, run),
            Event::Heal { a, b } => self.heal(a, b),
            Event::GiveUp {
                side,
                peer,
                session,
            } => self.give_up(side, peer, session),
            Event::Call {
                to,
                caller,
                request,
            } => self.call(to, caller, request),
            Event::Answer { caller, answer } => self.answered(caller, answer),
            Event::Think { client } => self.think(client),
            Event::Timeout { client } => self.timeout(client),
            Event::MessageFaults => self.fair_weather(),
            Event::Nemesis => self.strike(),
            Event::Watch => self.watch(),
        }
    }

    /// Tells whether the process of this run is still there.
    pub(crate) fn is_run(&self, at: usize, run: u64) -> bool {
        let process = self.nodes[at].process.as_ref();
        process.is_some_and(|process| process.run.0 == run)
    }

    /// Gives the replicas with a process.
    #[must_use]
    pub fn alive(&self) -> Vec<usize> {
        let all = 0..self.nodes.len();
        all.filter(|&at| self.nodes[at].process.is_some()).collect()
    }

    /// Gives the replica that serves; if several do, the one of the highest epoch.
    #[must_use]
    pub fn serving(&self) -> Option<usize> {
        self.highest(|status| status.serving)
    }

    /// Gives the replica of the highest epoch among those that are awake and for whose status `is` gives true.
    pub(crate) fn highest(&self, is: impl Fn(&Status) -> bool) -> Option<usize> {
        let status = |at: usize| self.nodes[at].awake().map(|process| &process.status);
        let found = self.alive().into_iter();
        let found = found.filter(|&at| status(at).is_some_and(&is));
        found.max_by_key(|&at| status(at).map(|status| status.epoch))
    }

    pub(crate) fn mode(&self) -> Mode {
        self.plan.mode
    }

    pub(crate) fn draw_cluster(&mut self) -> Option<ClusterId> {
        Some(ClusterId(draw_store(&mut self.rng).0))
    }
}

pub(crate) fn draw_store(rng: &mut Rng) -> StoreId {
    StoreId(u128::from(rng.bits()) << 64 | u128::from(rng.bits()))
}
