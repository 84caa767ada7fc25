//! Who decides which fault strikes when. Each run draws its own mix, so that some runs are full
//! of one thing and some have a little of everything.

use std::collections::BTreeSet;

use tercet_core::id::Lsn;

use crate::{
    disk::Disk,
    network::{Cut, Weather},
    profile::{Plan, Profile},
    rng::Rng,
    strike::{Strike, strikes_of},
    trap::Trap,
    world::{Blow, Event, Phase, World},
};

/// What strikes a run.
#[derive(Clone, Debug)]
pub struct Nemesis {
    strikes: Vec<(Strike, u64)>,
    pub(crate) traps: Vec<Trap>,
    /// A store was lost: nothing else strikes until the view is without it, or this time.
    pub(crate) quiet_until: u64,
    /// A copy of a disk, and whose it is.
    pub(crate) copy: Option<(usize, Disk)>,
    /// A bit flips under the next read of a log.
    pub(crate) rots_next_read: bool,
    /// Clocks do not jump before this time.
    pub(crate) clocks_run_until: u64,
    /// Strikes that are left, for finding the one that matters.
    pub strikes_left: u64,
    /// These kinds do nothing.
    pub without: BTreeSet<Strike>,
}

impl Nemesis {
    /// Draws the mix of a run.
    #[must_use]
    pub fn new(profile: Option<Profile>, plan: &Plan, rng: &mut Rng) -> Nemesis {
        let mut strikes = Vec::new();
        for kind in profile.map(strikes_of).unwrap_or_default() {
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
            copy: None,
            rots_next_read: false,
            clocks_run_until: 0,
            strikes_left: u64::MAX,
            without: BTreeSet::new(),
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
            self.nemesis.rots_next_read = false;
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
        if !self.nemesis.without.contains(&kind) {
            self.strike_with(kind);
        }
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
            Strike::PauseFrozen => {
                let length = match self.rng.chance(400) {
                    true => self.rng.skewed(20_000, 1_000_000),
                    false => self.rng.between(1_000_000, 12_000_000),
                };
                self.freeze(at, length);
            }
            Strike::Reset => {
                let pairs = self.net.pairs();
                if !pairs.is_empty() {
                    let (a, b) = self.rng.pick(&pairs);
                    self.reset(a, b);
                }
            }
            // Shorter than the silence that is taken for a death: whoever is there is found in time.
            Strike::FalseRefusal => {
                let most = self.plan.timing.lease;
                let length = self.rng.between(5_000, most);
                let once = self.rng.chance(500);
                let pairs = self.net.pairs();
                if !pairs.is_empty() {
                    let (a, b) = self.rng.pick(&pairs);
                    self.mislead(a, b, length, once);
                }
            }
            Strike::DiskSlow => {
                let length = self.rng.between(500_000, 10_000_000);
                let slowness = self.rng.between(3, 60);
                self.slow_disk(at, length, slowness);
            }
            Strike::DiskCrawl => {
                let length = self.rng.between(1_000_000, 30_000_000);
                let fsync = self.rng.between(300_000, 4_500_000);
                let at = (0..count).filter(|&other| other == at || self.rng.chance(300));
                at.collect::<Vec<_>>()
                    .into_iter()
                    .for_each(|at| self.crawl_disk(at, length, fsync));
            }
            Strike::DiskStall => {
                let length = self.rng.between(300_000, 9_000_000);
                self.stall_disk(at, length);
            }
            Strike::DiskHang => {
                let at = match self.serving() {
                    Some(leader) if self.rng.chance(500) => leader,
                    _ => at,
                };
                let length = self.rng.skewed(2_000_000, 60_000_000);
                let flaps = self.rng.chance(400);
                self.hang_disk(at, length, flaps);
            }
            Strike::Wipe => self.try_wipe(at),
            // Now and then: each takes with it what nobody else has.
            Strike::LoseStore if self.rng.chance(600) => {}
            Strike::LoseStore => self.lose_store(at),
            Strike::PutBack => self.copy_or_put_back(at),
            Strike::MoveStore => {
                let restart = self.rng.skewed(5_000, 4_000_000);
                self.move_store(at, restart);
            }
            Strike::RotWhileDown => self.try_rot(at),
            Strike::RotUnderRead => self.nemesis.rots_next_read = true,
            // Now and then: what nobody else has is lost, and the run tells little more.
            Strike::RotAnywhere if self.rng.chance(850) => {}
            Strike::RotAnywhere => {
                let last = self.nodes[at].disk.image.last();
                self.rot(at, last.min(Lsn(1)), last);
            }
            Strike::DiskFull | Strike::FsyncError | Strike::ClockJump => self.strike_host(kind, at),
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

    fn strike_host(&mut self, kind: Strike, at: usize) {
        match kind {
            Strike::DiskFull => {
                // The last one alive is the one that matters most.
                let at = match self.serving() {
                    Some(leader) if self.rng.chance(500) => leader,
                    _ => at,
                };
                let length = self.rng.skewed(200_000, 12_000_000);
                self.fill_disk(at, length);
            }
            Strike::FsyncError => self.nodes[at].disk.fails_next = true,
            Strike::ClockJump if self.now >= self.nemesis.clocks_run_until => {
                let most = self.plan.timing.tick_gap_max;
                let jump = match self.rng.chance(500) {
                    true => self.rng.between(10_000, most),
                    false => self.rng.skewed(most, 60_000_000),
                };
                self.nemesis.clocks_run_until = self.now + 2_000_000;
                self.jump_clock(at, jump);
            }
            _ => {}
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
}
