//! The faults of the replicas: strikes that the seed decides, each with its repair.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use tercet_sim::rng::Rng;

use crate::{
    clients::Clients,
    cluster::wait_until,
    place::{CLIENTS, Place},
};

/// Longer than replicas wait before they take a silent one for dead, with room.
const SILENCE_MS: (u64, u64) = (1_300, 4_000);
/// Longer than a replica waits before it goes on alone.
const LONE_MS: (u64, u64) = (5_500, 7_000);

#[derive(Clone, Copy, PartialEq)]
enum Strike {
    KillLeader,
    KillBackup,
    KillTwo,
    KillAll,
    Bounce,
    Terminate,
    PauseShort,
    PauseLong,
    PauseForAges,
    Rot,
    Fill,
    CutOff,
    CutOneWay,
    CutClients,
}

const ALWAYS: &[(Strike, &str)] = &[
    (Strike::KillLeader, "leader killed"),
    (Strike::KillBackup, "backup killed"),
    (Strike::KillTwo, "two killed"),
    (Strike::KillAll, "all killed"),
    (Strike::Bounce, "killed and started at once"),
    (Strike::Terminate, "stopped by SIGTERM"),
    (Strike::PauseShort, "paused below the silence timeout"),
    (Strike::PauseLong, "paused beyond the silence timeout"),
    (Strike::PauseForAges, "paused beyond the lone timeout"),
    (Strike::Rot, "a bit of the store flipped"),
];

/// Where disks can be filled.
const FULL: &[(Strike, &str)] = &[(Strike::Fill, "disk full")];

/// Only where the network is not trusted, and can be parted.
const PARTITIONS: &[(Strike, &str)] = &[
    (Strike::CutOff, "cut off from the other replicas"),
    (Strike::CutOneWay, "cut one way from another replica"),
    (Strike::CutClients, "cut off from the clients"),
];

enum Repair {
    Restart(u64),
    Continue(u64),
    Free(u64),
    Mend(u64, u64),
}

pub struct Nemesis<'a> {
    pub place: &'a mut Place,
    rng: Rng,
    /// The strikes, each with its number.
    pub struck: BTreeMap<&'static str, u64>,
    /// The results of strikes, where they are not always the same.
    pub noticed: BTreeMap<&'static str, u64>,
    down: BTreeSet<u64>,
    paused: BTreeSet<u64>,
    repairs: Vec<(Instant, Repair)>,
}

impl<'a> Nemesis<'a> {
    pub fn new(place: &'a mut Place, seed: u64) -> Nemesis<'a> {
        Nemesis {
            place,
            rng: Rng::new(seed),
            struck: BTreeMap::new(),
            noticed: BTreeMap::new(),
            down: BTreeSet::new(),
            paused: BTreeSet::new(),
            repairs: Vec::new(),
        }
    }

    /// Strikes for so long; then all is repaired and the replicas have become one again.
    pub fn run(&mut self, time: Duration, clients: &Clients) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            for _ in 0..self.rng.between(1, 3) {
                self.strike();
                let millis = self.rng.skewed(20, 2_000);
                self.pass(millis);
            }
            // Mostly the next blow falls on a cluster that is whole, at times on one that has
            // just begun to serve again.
            self.repair_everything();
            if self.rng.chance(700) {
                self.wait_until_whole();
            }
            let before = clients.acknowledged();
            wait_until("messages are acknowledged again", || {
                clients.acknowledged() > before
            });
        }
        self.wait_until_whole();
        for id in self.place.cluster.ids() {
            let log = self.place.cluster.log(id);
            let left = log.matches("the disk is full: this replica leaves").count();
            *self.noticed.entry("left, its disk full").or_default() += left as u64;
        }
    }

    fn strike(&mut self) {
        let full = FULL.iter().filter(|_| self.place.disks.unmounted.is_none());
        let parted = PARTITIONS.iter().filter(|_| self.place.network.is_some());
        let strikes: Vec<_> = ALWAYS.iter().chain(full).chain(parted).collect();
        let (strike, name) = *self.rng.pick(&strikes);
        let Some(victims) = self.victims(strike) else {
            return;
        };
        *self.struck.entry(name).or_default() += 1;
        println!("{name}: {victims:?}");
        for victim in victims {
            self.hit(strike, victim);
        }
    }

    /// Whom a strike hits; nobody if too few are up.
    fn victims(&mut self, strike: Strike) -> Option<Vec<u64>> {
        let mut up = self.place.cluster.ids();
        up.retain(|id| !self.down.contains(id) && !self.paused.contains(id));
        self.rng.shuffle(&mut up);
        let count = match strike {
            Strike::KillAll => up.len(),
            Strike::KillTwo => 2,
            // A store may be lost while the others are well.
            Strike::Rot if !self.repairs.is_empty() || !self.place.cluster.is_whole() => 0,
            _ => 1,
        };
        if matches!(strike, Strike::KillLeader | Strike::KillBackup) {
            let leader = self.place.cluster.leader();
            up.retain(|id| (Some(*id) == leader) == (strike == Strike::KillLeader));
        }
        (count > 0 && up.len() >= count).then(|| up[..count].to_vec())
    }

    fn hit(&mut self, strike: Strike, victim: u64) {
        match strike {
            Strike::KillLeader | Strike::KillBackup | Strike::KillTwo | Strike::KillAll => {
                self.kill(victim, (0, 3_000));
            }
            Strike::Bounce => self.kill(victim, (0, 0)),
            Strike::Terminate => {
                self.place.cluster.signal(victim, Signal::TERM);
                self.down.insert(victim);
                self.repair_after((0, 3_000), Repair::Restart(victim));
            }
            Strike::PauseShort => self.pause(victim, (20, 900)),
            Strike::PauseLong => self.pause(victim, SILENCE_MS),
            Strike::PauseForAges => self.pause(victim, LONE_MS),
            Strike::Rot => self.rot(victim),
            Strike::Fill => {
                self.place.disks.fill(victim);
                self.repair_after((100, 5_000), Repair::Free(victim));
            }
            Strike::CutOff => {
                let mut ways = Vec::new();
                for other in self.place.cluster.ids() {
                    ways.extend([(victim, other), (other, victim)]);
                }
                ways.retain(|(from, to)| from != to);
                self.cut(&ways);
            }
            Strike::CutOneWay => {
                let mut others = self.place.cluster.ids();
                others.retain(|id| *id != victim);
                let other = self.rng.pick(&others);
                let way = self.rng.pick(&[(victim, other), (other, victim)]);
                self.cut(&[way]);
            }
            Strike::CutClients => self.cut(&[(victim, CLIENTS), (CLIENTS, victim)]),
        }
    }

    fn kill(&mut self, victim: u64, restart_ms: (u64, u64)) {
        self.place.cluster.signal(victim, Signal::KILL);
        self.down.insert(victim);
        self.repair_after(restart_ms, Repair::Restart(victim));
    }

    fn pause(&mut self, victim: u64, pause_ms: (u64, u64)) {
        self.place.cluster.signal(victim, Signal::STOP);
        self.paused.insert(victim);
        self.repair_after(pause_ms, Repair::Continue(victim));
    }

    fn cut(&mut self, ways: &[(u64, u64)]) {
        let last_ms = self.rng.skewed(200, 8_000);
        for (from, to) in ways {
            let network = self.place.network.as_ref();
            network.expect("there is one to part").cut(*from, *to);
            self.repair_after((last_ms, last_ms), Repair::Mend(*from, *to));
        }
    }

    /// A bit flips in a store whose process is dead. It is refused, or the replicas turn out to
    /// differ, or the bit meant nothing. If it is not set aside by itself, the operator does that.
    fn rot(&mut self, victim: u64) {
        // A view that is not committed yet is whole in name only: by the one before, this store may
        // be one of two, and lost with it what only both can decide. Verifying goes through the log
        // of all, and ends when each knows it.
        wait_until("the replicas agree", || {
            let verified = self.place.cluster.run(&["cluster", "verify"]);
            verified.status.success()
        });
        self.place.cluster.kill(victim);
        let place = self.place.disks.rot(victim, &mut self.rng);
        println!("  {place}");
        let said = self.place.cluster.log(victim).len();
        self.place.cluster.restart(victim);
        wait_until("the store is refused or taken", || {
            !self.place.cluster.is_up(victim) || self.place.cluster.is_whole()
        });
        if self.place.cluster.is_up(victim) {
            let log = self.place.cluster.log(victim);
            if log[said..].contains("it was set aside in") {
                self.notice("bit found at the start, and the store set aside");
                return;
            }
            let equal = self.place.cluster.is_equal();
            self.notice(if equal {
                "bit that meant nothing"
            } else {
                "bit found by verify"
            });
            self.place.cluster.kill(victim);
        } else {
            let log = self.place.cluster.log(victim);
            let data = self.place.disks.data(victim).display().to_string();
            let words = &log[said..];
            assert!(words.contains(&data), "it names its store: {words}");
            assert!(!words.contains("panicked"), "{words}");
            self.notice("bit found at the start");
            self.place.cluster.wait_until_gone(victim);
        }
        self.place.disks.set_aside(victim);
        self.place.cluster.restart(victim);
        self.wait_until_whole();
    }

    fn notice(&mut self, what: &'static str) {
        *self.noticed.entry(what).or_default() += 1;
    }

    /// All that is broken is repaired: waits for the cluster.
    fn wait_until_whole(&mut self) {
        self.place.cluster.wait_until_whole();
    }

    fn repair_after(&mut self, (low_ms, high_ms): (u64, u64), repair: Repair) {
        let after = Duration::from_millis(self.rng.between(low_ms, high_ms));
        self.repairs.push((Instant::now() + after, repair));
        self.repairs.sort_by_key(|(at, _)| *at);
    }

    /// Lets so many milliseconds pass, with the repairs that fall due.
    fn pass(&mut self, millis: u64) {
        let end = Instant::now() + Duration::from_millis(millis);
        while self.repairs.first().is_some_and(|(at, _)| *at <= end) {
            self.repair_next();
        }
        thread::sleep(end.saturating_duration_since(Instant::now()));
    }

    fn repair_everything(&mut self) {
        while !self.repairs.is_empty() {
            self.repair_next();
        }
    }

    fn repair_next(&mut self) {
        let (at, repair) = self.repairs.remove(0);
        thread::sleep(at.saturating_duration_since(Instant::now()));
        match repair {
            Repair::Restart(id) => {
                self.place.cluster.wait_until_gone(id);
                self.place.cluster.restart(id);
                self.down.remove(&id);
            }
            Repair::Free(id) => self.place.disks.free(id),
            Repair::Continue(id) => {
                self.place.cluster.signal(id, Signal::CONT);
                self.paused.remove(&id);
            }
            Repair::Mend(from, to) => {
                let network = self.place.network.as_ref();
                network.expect("it was cut").mend(from, to);
            }
        }
    }
}

impl Drop for Nemesis<'_> {
    /// Says what the replicas said last, if it did not go well.
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        for id in self.place.cluster.ids() {
            let log = self.place.cluster.log(id);
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(40)..];
            println!("--- replica {id} said last:\n{}", last.join("\n"));
        }
    }
}
