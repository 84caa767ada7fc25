//! Who decides which fault strikes when. Each run draws its own mix, so that some runs are full
//! of one thing and some have a little of everything.

use tercet_core::{
    Status,
    config::Mode,
    id::{ReplicaId, StoreId},
};

use crate::{
    network::{Cut, Weather},
    profile::{Plan, Profile},
    rng::Rng,
    trap::Trap,
    world::{Blow, Event, Phase, World},
};

/// Kinds of strike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strike {
    Kill,
    KillAll,
    KillAllButOne,
    PowerLoss,
    Start,
    PauseShort,
    PauseLong,
    PauseMany,
    Reset,
    DiskSlow,
    DiskStall,
    Wipe,
    Stop,
    Trap,
    Weather,
    Add,
    Remove,
    Isolate,
    Halves,
    CutOneWay,
    CutLink,
    ForgedRefusal,
    Spike,
    Rest,
}

const INSIDE: [Strike; 18] = [
    Strike::Kill,
    Strike::Kill,
    Strike::KillAll,
    Strike::KillAllButOne,
    Strike::PowerLoss,
    Strike::Start,
    Strike::PauseShort,
    Strike::PauseLong,
    Strike::PauseMany,
    Strike::Reset,
    Strike::DiskSlow,
    Strike::DiskStall,
    Strike::Stop,
    Strike::Trap,
    Strike::Trap,
    Strike::Weather,
    Strike::Add,
    Strike::Remove,
];

const PARTITIONS: [Strike; 6] = [
    Strike::Isolate,
    Strike::Isolate,
    Strike::Halves,
    Strike::CutOneWay,
    Strike::CutOneWay,
    Strike::CutLink,
];

/// What strikes a run.
#[derive(Clone, Debug)]
pub struct Nemesis {
    strikes: Vec<(Strike, u64)>,
    pub(crate) traps: Vec<Trap>,
    /// A disk was wiped: nothing else strikes until the view is without it, or this time.
    quiet_until: u64,
    /// Strikes that are left, for finding the one that matters.
    pub strikes_left: u64,
}

impl Nemesis {
    /// Draws the mix of a run.
    #[must_use]
    pub fn new(profile: Option<Profile>, plan: &Plan, rng: &mut Rng) -> Nemesis {
        let mut strikes = Vec::new();
        let kinds: Vec<Strike> = match profile {
            None => Vec::new(),
            Some(Profile::Available) => [&INSIDE[..], &[Strike::Wipe]].concat(),
            Some(Profile::Split) => [&INSIDE[..], &PARTITIONS, &PARTITIONS].concat(),
            Some(Profile::Majority) => {
                let more = [Strike::Wipe, Strike::ForgedRefusal, Strike::Spike];
                [&INSIDE[..], &PARTITIONS, &more].concat()
            }
        };
        for kind in kinds {
            if rng.chance(600) {
                strikes.push((kind, rng.between(1, 10)));
            }
        }
        strikes.push((Strike::Rest, 1));
        strikes.push((Strike::Start, 4));
        if plan.replicas == 1 {
            strikes.retain(|(kind, _)| *kind != Strike::KillAllButOne);
        }
        Nemesis {
            strikes,
            traps: Vec::new(),
            quiet_until: 0,
            strikes_left: u64::MAX,
        }
    }

    fn draw(&self, rng: &mut Rng) -> Strike {
        let total: u64 = self.strikes.iter().map(|(_, weight)| weight).sum();
        let mut place = rng.below(total);
        for &(kind, weight) in &self.strikes {
            if place < weight {
                return kind;
            }
            place -= weight;
        }
        Strike::Rest
    }
}

impl World {
    pub(crate) fn strike(&mut self) {
        if self.phase != Phase::Rough {
            return;
        }
        if self.now >= self.plan.faults.1 || self.nemesis.strikes_left == 0 {
            self.nemesis.traps.clear();
            return self.settle();
        }
        let mut delay = self.rng.skewed(2_000, self.plan.pace);
        if self.now < self.nemesis.quiet_until && !self.stores_are_known() {
            return self.after(delay, Event::Nemesis);
        }
        self.nemesis.strikes_left -= 1;
        let kind = self.nemesis.draw(&mut self.rng);
        if kind == Strike::Rest {
            delay += self.rng.between(3_000_000, 16_000_000);
        }
        self.strike_with(kind);
        self.after(delay, Event::Nemesis);
    }

    fn strike_with(&mut self, kind: Strike) {
        let count = self.nodes.len();
        let at = self.rng.index(count);
        match kind {
            Strike::Kill => self.blow(at, Blow::Kill),
            Strike::KillAll => {
                self.tally.fault("kill all");
                (0..count).for_each(|at| self.blow(at, Blow::Kill));
            }
            Strike::KillAllButOne => {
                self.tally.fault("kill all but one");
                let others: Vec<_> = (0..count).filter(|&other| other != at).collect();
                others.into_iter().for_each(|at| self.blow(at, Blow::Kill));
            }
            Strike::PowerLoss => self.blow(at, Blow::PowerLoss),
            Strike::Start => {
                for at in 0..count {
                    if !self.nodes[at].dark {
                        let delay = self.rng.skewed(0, 2_000_000);
                        self.start_after(at, delay);
                    }
                }
            }
            Strike::PauseShort => {
                let most = self.plan.timing.tick_gap_max - 20_000;
                let length = self.rng.between(20_000, most);
                self.pause(at, length);
            }
            Strike::PauseLong => {
                let length = self.rng.skewed(700_000, 12_000_000);
                self.pause(at, length);
            }
            Strike::PauseMany => {
                self.tally.fault("pause many");
                for other in (0..count).filter(|&other| other != at) {
                    let length = self.rng.between(400_000, 8_000_000);
                    self.pause(other, length);
                }
            }
            Strike::Reset => {
                let pairs = self.net.pairs();
                if !pairs.is_empty() {
                    let (a, b) = self.rng.pick(&pairs);
                    self.reset(a, b);
                }
            }
            Strike::DiskSlow => {
                let length = self.rng.between(500_000, 10_000_000);
                let slowness = self.rng.between(3, 60);
                self.slow_disk(at, length, slowness);
            }
            Strike::DiskStall => {
                let length = self.rng.between(300_000, 9_000_000);
                self.stall_disk(at, length);
            }
            Strike::Wipe => self.try_wipe(at),
            Strike::Stop => {
                let patience = self.rng.between(1_000_000, 8_000_000);
                self.stop(at, patience);
            }
            Strike::Trap => self.set_trap(),
            Strike::Weather => self.bad_day(),
            Strike::Add => {
                let empty = self.rng.chance(700);
                self.add_replica(at, empty);
            }
            Strike::Remove => self.remove_replica(at),
            _ => self.strike_network(kind, at),
        }
    }

    fn bad_day(&mut self) {
        let weather = Weather {
            lost: self.rng.pick(&[0, 20, 100]),
            doubled: self.rng.pick(&[0, 50, 200]),
            overtaken: self.rng.pick(&[0, 50, 200]),
            ..Weather::FAIR
        };
        let length = self.rng.between(1_000_000, 15_000_000);
        self.bad_weather(weather, length);
    }

    fn strike_network(&mut self, kind: Strike, at: usize) {
        let pairs = self.net.pairs();
        if pairs.is_empty() {
            return;
        }
        let (a, b) = self.rng.pick(&pairs);
        let how = self.rng.pick(&[Cut::Vanish, Cut::Hold]);
        let length = self.rng.skewed(100_000, 15_000_000);
        match kind {
            Strike::Isolate => {
                self.tally.fault("isolate");
                self.part(|x| x == at, how, length);
            }
            Strike::Halves => {
                self.tally.fault("halves");
                let side = self.rng.bits();
                self.part(|x| side >> x & 1 == 1, how, length);
            }
            Strike::CutOneWay => {
                self.tally.fault("cut one way");
                let (from, to) = if self.rng.chance(500) { (a, b) } else { (b, a) };
                self.cut(from, to, how);
                self.after(length, Event::Heal { a, b });
            }
            Strike::CutLink => {
                self.tally.fault("cut link");
                self.cut(a, b, how);
                self.cut(b, a, how);
                self.after(length, Event::Heal { a, b });
            }
            Strike::ForgedRefusal => self.forge_refusal(a, b, length),
            Strike::Spike => {
                self.tally.fault("latency spike");
                let worst = self.rng.between(50_000, 2_000_000);
                let weather = Weather {
                    latency: (1_000, worst),
                    ..Weather::FAIR
                };
                self.bad_weather(weather, length);
            }
            _ => {}
        }
    }

    /// Cuts the links between the replicas on one side and the others.
    pub fn part(&mut self, side: impl Fn(usize) -> bool, how: Cut, length: u64) {
        for (a, b) in self.net.pairs() {
            if side(a) != side(b) {
                self.cut(a, b, how);
                self.cut(b, a, how);
                self.after(length, Event::Heal { a, b });
            }
        }
    }

    /// Wipes a disk if everything acknowledged is on those of enough others, and they are well.
    fn try_wipe(&mut self, at: usize) {
        let Some(leader) = self.serving() else {
            return;
        };
        let Some(status) = self.nodes[leader].awake().map(|p| p.status.clone()) else {
            return;
        };
        let Some((lsn, config)) = &status.config else {
            return;
        };
        let rough = self.net.is_faulty() || self.net.weather.latency != Weather::FAIR.latency;
        if *lsn > status.commit || rough || self.operator_is_busy() {
            return;
        }
        let last = self.order.last();
        let well = |status: &Status| status.active && status.commit >= *lsn;
        let belonging = self.belonging();
        let others = config.members.iter().filter(|&(id, store)| {
            let node = &self.nodes[id.0 as usize - 1];
            belonging.contains(&(id.0 as usize - 1))
                && node.id.0 as usize - 1 != at
                && node.disk.store == *store
                && node.disk.image.last() >= last
                && node.awake().is_some_and(|p| well(&p.status) && !p.stopping)
        });
        let enough = match self.mode() {
            Mode::Available => 1,
            Mode::Majority { .. } => {
                let majority = config.members.len() / 2 + 1;
                majority.max(self.mode().view_min())
            }
        };
        let (others, victim) = (others.count(), self.nodes[at].id);
        // A leader that stays is the least that is needed; a leader that goes needs an heir.
        if others < enough || (at == leader && !config.members.contains_key(&victim)) {
            return;
        }
        self.nemesis.traps.clear();
        self.nemesis.quiet_until = self.now + 20_000_000;
        let restart = self.rng.skewed(5_000, 4_000_000);
        self.wipe(at, restart);
    }

    /// Whether somebody serves with a committed Config all of whose disks are still there.
    pub(crate) fn stores_are_known(&self) -> bool {
        let Some(leader) = self.serving() else {
            return false;
        };
        let process = self.nodes[leader].process.as_ref();
        process.is_some_and(|process| {
            let status = &process.status;
            status.config.as_ref().is_some_and(|(lsn, config)| {
                let known = |(id, store): (&ReplicaId, &StoreId)| {
                    self.nodes[id.0 as usize - 1].disk.store == *store
                };
                *lsn <= status.commit && config.members.iter().all(known)
            })
        })
    }
}
