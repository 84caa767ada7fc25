//! The commands of a transcript.
//!
//! - `cluster N available`, `cluster N majority K`: N replicas with empty disks, all stopped.
//!   After it, in any order: `serving` (start all, wait until the lowest serves and all are
//!   active, tell nothing of it); `uncommitted=N`, `batch=N`, `window=BYTES`, `lag=N` (limits).
//! - `start I…`, `kill I…`: processes; `restart I…`: both, before anybody looks. `wipe I`: a new
//!   disk. `copied I…`: its directory was copied or moved; `not-copied I…`: the operator accepted it. `foreign I`: a disk of another cluster. `stop I…`: the operator's word.
//! - `pause I…`, `resume I…`; `hold-disk I…`, `release-disk I…`.
//! - `declare-dead I…`: the operator says so to everyone who is awake.
//! - `roster I…`: the cluster's replicas from now on; everyone who is awake learns it, and those
//!   who start. A new one joins with an empty disk.
//! - `cut A B` (both ways), `cut-one-way FROM TO`, `isolate I` (from all), `heal` (everything; cut
//!   sessions turn out broken). `lose FROM TO`: the next message that would be told is lost.
//!   `lose-after FROM TO N`: all are lost but the next N, until `heal`. `keep FROM TO`: a slow way
//!   has a copy of the latest message; `late FROM TO`: it arrives.
//! - `trim I LSN`: its log begins after that from now on.
//! - `tick MS`: time passes, 10 ms at a time.
//! - `propose I TEXT…`: each word a command, together. `fill I N`: N commands.
//! - `read I…`: what its lease says. `status`.
//! - `quietly COMMAND`: nothing is told.

use std::collections::BTreeSet;

use tercet_core::{
    Replica,
    config::Mode,
    id::{Lsn, ReplicaId},
    input::Input,
};

use super::{Node, TICK_MICROS, World, disk::Disk, tell};

/// Ticks that a new cluster gets until it serves.
const SERVING_TICKS: u64 = 100;

impl World {
    /// Does what a command line says, and tells what came of it.
    pub fn run(&mut self, line: &str) -> Vec<String> {
        let quiet = line.strip_prefix("quietly ");
        self.teller.quiet = quiet.is_some();
        self.teller.begin();
        let words: Vec<&str> = quiet.unwrap_or(line).split_whitespace().collect();
        let (command, rest) = words.split_first().expect("a command");
        self.command(command, rest);
        self.settle();
        self.teller.quiet = false;
        self.teller.end()
    }

    fn command(&mut self, command: &str, words: &[&str]) {
        match command {
            "cluster" => self.make(words),
            "propose" => {
                let texts = words[1..].iter().map(ToString::to_string);
                self.propose(id(words[0]), texts.collect());
            }
            "fill" => {
                let texts = (1..=number(words[1])).map(|n| format!("fill-{n}"));
                self.propose(id(words[0]), texts.collect());
            }
            "tick" => (0..number(words[0]) * 1000 / TICK_MICROS).for_each(|_| self.tick()),
            "trim" => self.trim(id(words[0]), Lsn(number(words[1]))),
            "heal" => self.network.heal(),
            "status" => self.statuses(),
            "roster" => self.change_roster(words.iter().map(|word| id(word)).collect()),
            "declare-dead" => {
                let replicas: BTreeSet<_> = words.iter().map(|word| id(word)).collect();
                for id in self.awake() {
                    let replicas = replicas.clone();
                    self.step(id, Input::DeclareDead { replicas });
                }
            }
            "cut" => {
                self.network.cut(id(words[0]), id(words[1]));
                self.network.cut(id(words[1]), id(words[0]));
            }
            "cut-one-way" => self.network.cut(id(words[0]), id(words[1])),
            "keep" => self.network.keep(id(words[0]), id(words[1])),
            "late" => self.arrive_late(id(words[0]), id(words[1])),
            "lose" => self.network.lose(id(words[0]), id(words[1]), 0, 1),
            "lose-after" => {
                let spare = number(words[2]);
                self.network
                    .lose(id(words[0]), id(words[1]), spare, u64::MAX);
            }
            _ => words.iter().for_each(|word| self.each(command, id(word))),
        }
    }

    fn each(&mut self, command: &str, id: ReplicaId) {
        match command {
            "start" => self.start(id),
            "kill" => self.end(id),
            "restart" => {
                self.end(id);
                self.start(id);
            }
            "not-copied" => self.node(id).disk.copied = false,
            "copied" => self.node(id).disk.copied = true,
            "wipe" => self.node(id).wipe(id),
            "foreign" => {
                let disk = &mut self.node(id).disk;
                *disk = Disk::of_another_cluster(disk.store, id);
            }
            "stop" => self.step(id, Input::Stop),
            "pause" => self.node(id).paused = true,
            "resume" => self.wake(id),
            "hold-disk" => self.node(id).disk.held = true,
            "release-disk" => {
                self.node(id).disk.held = false;
                self.work(id);
            }
            "isolate" => {
                for other in self.nodes.keys().copied().filter(|&other| other != id) {
                    self.network.cut(id, other);
                    self.network.cut(other, id);
                }
            }
            "read" => self.read(id),
            _ => panic!("no such command: {command}"),
        }
    }

    fn make(&mut self, words: &[&str]) {
        let (mode, options) = match words[1] {
            "available" => (Mode::Available, &words[2..]),
            "majority" => {
                let min_in_sync = u32::try_from(number(words[2])).expect("a small number");
                (Mode::Majority { min_in_sync }, &words[3..])
            }
            other => panic!("no such mode: {other}"),
        };
        *self = World {
            mode,
            ..World::new()
        };
        let count = u32::try_from(number(words[0])).expect("a small number");
        let ids = (1..=count).map(ReplicaId);
        self.nodes = ids.map(|id| (id, Node::new(id))).collect();
        self.roster = self.nodes.keys().copied().collect();
        for option in options {
            match option.split_once('=') {
                Some((limit, value)) => self.limit(limit, number(value)),
                None => assert_eq!(*option, "serving"),
            }
        }
        if options.contains(&"serving") {
            self.serve();
        }
    }

    fn change_roster(&mut self, roster: BTreeSet<ReplicaId>) {
        for &id in &roster {
            self.nodes.entry(id).or_insert_with(|| Node::joining(id));
        }
        for id in self.awake() {
            let roster = roster.clone();
            self.step(id, Input::Roster { roster });
        }
        self.roster = roster;
        self.network.refuse_again();
    }

    fn trim(&mut self, id: ReplicaId, through: Lsn) {
        self.node(id).disk.trim(through);
        let start = through.next();
        self.step(id, Input::Trimmed { start });
    }

    fn limit(&mut self, limit: &str, value: u64) {
        let size = usize::try_from(value).expect("a small number");
        match limit {
            "uncommitted" => self.limits.uncommitted_entries_max = size,
            "batch" => self.limits.batch_entries_max = size,
            "window" => self.limits.window_bytes_max = size,
            "lag" => self.limits.learner_lag_max = value,
            _ => panic!("no such limit: {limit}"),
        }
    }

    fn serve(&mut self) {
        self.teller.quiet = true;
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.start(id);
        }
        self.settle();
        (0..SERVING_TICKS).for_each(|_| self.tick());
        assert_eq!(self.serving(), Some(ReplicaId(1)));
        self.teller.quiet = false;
        self.teller.begin();
        self.statuses();
    }

    fn statuses(&mut self) {
        for (&id, node) in &self.nodes {
            let line = match &node.replica {
                None => format!("{id} down"),
                Some(_) if node.paused => format!("{id} paused"),
                Some(replica) => tell::status(id, &replica.status()),
            };
            self.teller.line(line);
        }
    }

    fn read(&mut self, id: ReplicaId) {
        let replica = self.nodes[&id].replica.as_ref();
        let until = replica.and_then(Replica::lease_until);
        let left = until.map(|until| until.since(self.clock(id)) / 1000);
        self.teller.line(match left {
            None | Some(0) => format!("{id} may not read"),
            Some(ms) if ms > 1_000_000 => format!("{id} may read as long as it is alone"),
            Some(ms) => format!("{id} may read for {ms} ms"),
        });
    }
}

fn id(word: &str) -> ReplicaId {
    ReplicaId(u32::try_from(number(word)).expect("a replica's number"))
}

fn number(word: &str) -> u64 {
    word.parse().unwrap_or_else(|_| panic!("no number: {word}"))
}
