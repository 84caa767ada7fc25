//! A small deterministic world for a cluster of replicas: disks, sessions, a network that delivers
//! in a fixed order until nothing is on the way, and a clock that moves by command.
//!
//! Commands are in `commands.rs`, who can talk to whom in `network.rs`, and what is told of all
//! this in `tell.rs`.

mod commands;
mod disk;
mod network;
mod tell;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tercet_core::{
    Replica, RoleKind,
    config::{Limits, Mode, Settings, Timing},
    effect::{Effect, Halt},
    id::{ClusterId, Incarnation, Lsn, ReplicaId, StoreId, Ticket, Time},
    input::Input,
    log::{Entry, Payload, Snapshot},
    message::Message,
};

use disk::{Disk, Job};
use network::Network;
use tell::Teller;

pub const TICK_MICROS: u64 = 10_000;

/// So many things happen at most before the network is quiet: more is a loop.
const EVENTS_MAX: usize = 10_000;

pub struct World {
    mode: Mode,
    timing: Timing,
    limits: Limits,
    now: u64,
    starts: u64,
    tickets: u64,
    nodes: BTreeMap<ReplicaId, Node>,
    roster: BTreeSet<ReplicaId>,
    network: Network,
    events: VecDeque<Event>,
    /// The entry that was applied first at each position, with its replica: no other entry may be applied there.
    history: BTreeMap<Lsn, (ReplicaId, Entry)>,
    teller: Teller,
}

pub struct Node {
    disk: Disk,
    stores: u32,
    /// It was added to a cluster that there was.
    joins: bool,
    incarnation: Incarnation,
    replica: Option<Replica>,
    paused: bool,
    /// The messages that arrived while it was paused.
    inbox: VecDeque<(ReplicaId, Message)>,
    proposed: BTreeMap<Ticket, String>,
    accepted: BTreeMap<Lsn, String>,
}

enum Event {
    Message {
        from: ReplicaId,
        to: ReplicaId,
        message: Message,
    },
    Input(ReplicaId, Input),
}

impl World {
    pub fn new() -> World {
        World {
            mode: Mode::Available,
            timing: Timing::default(),
            limits: Limits::default(),
            now: 0,
            starts: 0,
            tickets: 0,
            nodes: BTreeMap::new(),
            roster: BTreeSet::new(),
            network: Network::default(),
            events: VecDeque::new(),
            history: BTreeMap::new(),
            teller: Teller::default(),
        }
    }

    /// Each replica has a clock of its own, to show that they are never compared.
    fn clock(&self, id: ReplicaId) -> Time {
        Time(self.now + u64::from(id.0) * 1_000_000_000)
    }

    fn running(&self) -> Vec<ReplicaId> {
        let running = self.nodes.iter();
        let running = running.filter(|(_, node)| node.replica.is_some());
        running.map(|(&id, _)| id).collect()
    }

    fn awake(&self) -> Vec<ReplicaId> {
        let mut awake = self.running();
        awake.retain(|id| !self.nodes[id].paused);
        awake
    }

    fn start(&mut self, id: ReplicaId) {
        self.starts += 1;
        let settings = Settings {
            id,
            store: self.nodes[&id].disk.store,
            incarnation: Incarnation(self.starts),
            roster: self.roster.clone(),
            mode: self.mode,
            copied: self.nodes[&id].disk.copied,
            new_cluster: (!self.nodes[&id].joins).then_some(ClusterId(u128::from(id.0))),
            timing: self.timing.clone(),
            limits: self.limits.clone(),
            now: self.clock(id),
        };
        let starts = self.starts;
        let node = self.node(id);
        node.incarnation = Incarnation(starts);
        node.replica = Some(Replica::new(settings, node.disk.recovered()));
    }

    fn end(&mut self, id: ReplicaId) {
        let node = self.node(id);
        node.replica = None;
        node.paused = false;
        node.inbox.clear();
        node.proposed.clear();
        node.accepted.clear();
        node.disk.crash();
        self.network.forget(id);
    }

    fn node(&mut self, id: ReplicaId) -> &mut Node {
        self.nodes.get_mut(&id).expect("a replica of the cluster")
    }

    /// Delivers everything and lets everybody learn who can be reached, until nothing happens.
    fn settle(&mut self) {
        let mut count = 0;
        loop {
            while let Some(event) = self.events.pop_front() {
                count += 1;
                if count > EVENTS_MAX {
                    self.teller.line("!! they do not come to rest".into());
                    return self.events.clear();
                }
                match event {
                    Event::Message { from, to, message } => self.deliver(from, to, message),
                    Event::Input(id, input) => self.step(id, input),
                }
            }
            if !self.connect() {
                return;
            }
        }
    }

    fn tick(&mut self) {
        self.now += TICK_MICROS;
        self.teller.time_passes(TICK_MICROS);
        for id in self.awake() {
            let now = self.clock(id);
            self.events.push_back(Event::Input(id, Input::Tick { now }));
        }
        self.settle();
    }

    fn step(&mut self, id: ReplicaId, input: Input) {
        let Some(replica) = self.node(id).replica.as_mut() else {
            return;
        };
        let before = replica.status();
        let effects = replica.step(input);
        let after = replica.status();
        self.teller.change(id, &before, &after);
        for effect in effects {
            if self.nodes[&id].replica.is_some() {
                self.effect(id, effect);
            }
        }
        self.work(id);
    }

    fn effect(&mut self, id: ReplicaId, effect: Effect) {
        match effect {
            Effect::Persist(write) => self.node(id).disk.put(Job::Persist(write)),
            Effect::Apply { entries } => self.node(id).disk.put(Job::Apply(entries)),
            Effect::Confirmed => {
                self.teller.line(format!("the store of {id} is confirmed"));
                self.node(id).disk.copied = false;
            }
            Effect::Settle { lsn } => self.node(id).disk.settled = lsn,
            Effect::Send { to, message } => self.send(id, to, message),
            Effect::ReadLog {
                peer,
                from,
                through,
            } => {
                let entries = self.nodes[&id].disk.read(from, through);
                assert!(!entries.is_empty(), "what is asked for is on disk");
                self.teller
                    .line(format!("{id} reads {from}..{through} for {peer}"));
                let read = Input::LogRead {
                    peer,
                    from,
                    entries,
                };
                self.events.push_back(Event::Input(id, read));
            }
            Effect::FetchSnapshot { from, lsn_min } => self.fetch_snapshot(id, from, lsn_min),
            Effect::Install { write, snapshot } => {
                self.node(id).disk.put(Job::Install(write, snapshot));
            }
            Effect::Accepted { ticket, lsn } => {
                let node = self.node(id);
                let text = node.proposed.remove(&ticket).expect("it was proposed");
                node.accepted.insert(lsn, text.clone());
                self.teller.line(format!("{id} accepts {text} as {lsn}"));
            }
            Effect::Rejected { ticket, rejection } => {
                let text = self.node(id).proposed.remove(&ticket);
                let text = text.expect("it was proposed");
                self.teller.rejected(id, &text, rejection);
            }
            Effect::Abandon => {
                let accepted = std::mem::take(&mut self.node(id).accepted);
                self.teller.abandoned(id, &accepted);
            }
            Effect::Disconnect { peer } => {
                self.teller
                    .line(format!("{id} ends its session with {peer}"));
                self.network.disconnect(id, peer);
            }
            Effect::Halt(halt) => self.halt(id, &halt),
        }
    }

    fn halt(&mut self, id: ReplicaId, halt: &Halt) {
        self.teller.halted(id, halt);
        self.end(id);
    }

    /// Lets the disk do what it can.
    fn work(&mut self, id: ReplicaId) {
        while let Some(job) = self.node(id).disk.work() {
            match job {
                Job::Persist(write) => {
                    self.teller.persisted(id, &write);
                    let persisted = Input::Persisted { write: write.id };
                    self.events.push_back(Event::Input(id, persisted));
                }
                Job::Apply(entries) => self.applied(id, &entries),
                Job::Install(write, Snapshot { lsn, .. }) => {
                    self.teller
                        .line(format!("{id} installs the snapshot of {lsn}"));
                    let done = [Input::Applied { lsn }, Input::Persisted { write }];
                    self.events
                        .extend(done.map(|input| Event::Input(id, input)));
                }
            }
        }
    }

    /// It takes no time, unless there is none yet that is new enough.
    fn fetch_snapshot(&mut self, id: ReplicaId, from: ReplicaId, lsn_min: Lsn) {
        let snapshot = self.nodes[&from].disk.snapshot();
        if let Some(snapshot) = snapshot.filter(|snapshot| snapshot.lsn >= lsn_min) {
            let lsn = snapshot.lsn;
            self.teller
                .line(format!("{id} fetches from {from} a snapshot of {lsn}"));
            let fetched = Input::SnapshotFetched { snapshot };
            self.events.push_back(Event::Input(id, fetched));
        }
    }

    fn applied(&mut self, id: ReplicaId, entries: &[Entry]) {
        self.teller.applied(id, entries);
        if let Some(&Entry { lsn, .. }) = entries.last() {
            let applied = Input::Applied { lsn };
            self.events.push_back(Event::Input(id, applied));
        }
        for entry in entries {
            self.node(id).accepted.remove(&entry.lsn);
            let first = self.history.entry(entry.lsn);
            let (by, first) = first.or_insert_with(|| (id, entry.clone()));
            if first != entry {
                let lsn = entry.lsn;
                self.teller
                    .line(format!("!! {by} applied something else at {lsn}"));
            }
        }
    }

    fn propose(&mut self, id: ReplicaId, texts: Vec<String>) {
        let mut proposals = Vec::new();
        for text in texts {
            self.tickets += 1;
            let ticket = Ticket(self.tickets);
            proposals.push((ticket, text.clone().into()));
            self.node(id).proposed.insert(ticket, text);
        }
        self.step(id, Input::Propose { proposals });
    }

    /// The leader that serves, if just one says so.
    pub fn serving(&self) -> Option<ReplicaId> {
        let nodes = self.nodes.iter();
        let serving = nodes.filter(|(_, node)| {
            let status = node.replica.as_ref().map(Replica::status);
            status.is_some_and(|status| status.serving && status.role == RoleKind::Leader)
        });
        let serving: Vec<_> = serving.map(|(&id, _)| id).collect();
        (serving.len() == 1).then(|| serving[0])
    }
}

impl Node {
    fn new(id: ReplicaId) -> Node {
        Node {
            disk: Disk::new(store(id, 0)),
            stores: 0,
            joins: false,
            incarnation: Incarnation(0),
            replica: None,
            paused: false,
            inbox: VecDeque::new(),
            proposed: BTreeMap::new(),
            accepted: BTreeMap::new(),
        }
    }

    fn joining(id: ReplicaId) -> Node {
        Node {
            joins: true,
            ..Node::new(id)
        }
    }

    fn wipe(&mut self, id: ReplicaId) {
        self.stores += 1;
        self.disk = Disk::new(store(id, self.stores));
    }
}

/// The store that a replica has after so many wipes.
fn store(id: ReplicaId, wipes: u32) -> StoreId {
    StoreId(u128::from(wipes) * 1000 + u128::from(id.0))
}

/// A command's text, for the log that is told.
fn text(payload: &Payload) -> String {
    match payload {
        Payload::Config(config) => tell::members(&config.members),
        Payload::Command(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}
