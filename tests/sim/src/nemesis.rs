//! The nemesis, which decides on the faults and their times. Each run draws its own mix, so that some runs have much
//! of one fault and some have a little of everything.

use std::collections::BTreeSet;

use tercet_core::id::Lsn;

use crate::{
    disk::Disk,
    fault_kind::{FaultKind, fault_kinds_of},
    network::{Cut, MessageFaults},
    profile::{Plan, Profile},
    rng::Rng,
    trap::Trap,
    world::{Blow, Event, Phase, World},
};

/// The faults of a run.
#[derive(Clone, Debug)]
pub struct Nemesis {
    strikes: Vec<(FaultKind, u64)>,
    pub(crate) traps: Vec<Trap>,
    /// The time until which, after the loss of a store, no other fault happens unless the view is without that store.
    pub(crate) quiet_until: u64,
    /// A copy of a disk, and the index of its replica.
    pub(crate) copy: Option<(usize, Disk)>,
    /// True if a bit flips at the next read of a log.
    pub(crate) rots_next_read: bool,
    /// The time until which clocks do not jump.
    pub(crate) clocks_run_until: u64,
    /// The number of faults that may still happen, to find the one that matters.
    pub strikes_left: u64,
    /// The kinds of fault that do nothing.
    pub without: BTreeSet<FaultKind>,
}

impl Nemesis {
    /// Draws the mix of a run.
    #[must_use]
    pub fn new(profile: Option<Profile>, plan: &Plan, rng: &mut Rng) -> Nemesis {
        let mut strikes = Vec::new();
        for kind in profile.map(fault_kinds_of).unwrap_or_default() {
            if rng.chance(600) {
                strikes.push((kind, rng.between(1, 10)));
            }
        }
        strikes.push((FaultKind::Rest, 1));
        strikes.push((FaultKind::Start, 4));
        if plan.replicas == 1 {
            strikes.retain(|(kind, _)| *kind != FaultKind::KillAllButOne);
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

    fn draw(&self, rng: &mut Rng) -> FaultKind {
        let total: u64 = self.strikes.iter().map(|(_, weight)| weight).sum();
        let mut place = rng.below(total);
        for &(kind, weight) in &self.strikes {
            if place < weight {
                return kind;
            }
            place -= weight;
        }
        FaultKind::Rest
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
        if kind == FaultKind::Rest {
            delay += self.rng.between(3_000_000, 16_000_000);
        }
        if !self.nemesis.without.contains(&kind) {
            self.strike_with(kind);
        }
        self.after(delay, Event::Nemesis);
    }

    fn strike_with(&mut self, kind: FaultKind) {
        let count = self.nodes.len();
        let at = self.rng.index(count);
        match kind {
            FaultKind::Kill => self.blow(at, Blow::Kill),
            FaultKind::KillAll => {
                self.statistics.fault("kill all");
                (0..count).for_each(|at| self.blow(at, Blow::Kill));
            }
            FaultKind::KillAllButOne => {
                self.statistics.fault("kill all but one");
                let others: Vec<_> = (0..count).filter(|&other| other != at).collect();
                others.into_iter().for_each(|at| self.blow(at, Blow::Kill));
            }
            FaultKind::PowerLoss => self.blow(at, Blow::PowerLoss),
            FaultKind::Start => {
                for at in 0..count {
                    if !self.nodes[at].dark {
                        let delay = self.rng.skewed(0, 2_000_000);
                        self.start_after(at, delay);
                    }
                }
            }
            FaultKind::PauseShort => {
                let most = self.plan.timing.tick_gap_max - 20_000;
                let length = self.rng.between(20_000, most);
                self.pause(at, length);
            }
            FaultKind::PauseLong => {
                let length = self.rng.skewed(700_000, 12_000_000);
                self.pause(at, length);
            }
            FaultKind::PauseMany => {
                self.statistics.fault("pause many");
                for other in (0..count).filter(|&other| other != at) {
                    let length = self.rng.between(400_000, 8_000_000);
                    self.pause(other, length);
                }
            }
            FaultKind::PauseFrozen => {
                let length = match self.rng.chance(400) {
                    true => self.rng.skewed(20_000, 1_000_000),
                    false => self.rng.between(1_000_000, 12_000_000),
                };
                self.freeze(at, length);
            }
            FaultKind::Reset => {
                let pairs = self.net.pairs();
                if !pairs.is_empty() {
                    let (a, b) = self.rng.pick(&pairs);
                    self.reset(a, b);
                }
            }
            // Shorter than the silence of a dead replica: a live peer is found in time.
            FaultKind::FalseRefusal => {
                let most = self.plan.timing.lease;
                let length = self.rng.between(5_000, most);
                let once = self.rng.chance(500);
                let pairs = self.net.pairs();
                if !pairs.is_empty() {
                    let (a, b) = self.rng.pick(&pairs);
                    self.mislead(a, b, length, once);
                }
            }
            FaultKind::DiskSlow => {
                let length = self.rng.between(500_000, 10_000_000);
                let slowness = self.rng.between(3, 60);
                self.slow_disk(at, length, slowness);
            }
            FaultKind::DiskCrawl => {
                let length = self.rng.between(1_000_000, 30_000_000);
                let fsync = self.rng.between(300_000, 4_500_000);
                let at = (0..count).filter(|&other| other == at || self.rng.chance(300));
                at.collect::<Vec<_>>()
                    .into_iter()
                    .for_each(|at| self.crawl_disk(at, length, fsync));
            }
            FaultKind::DiskStall => {
                let length = self.rng.between(300_000, 9_000_000);
                self.stall_disk(at, length);
            }
            FaultKind::DiskHang => {
                let at = match self.serving() {
                    Some(leader) if self.rng.chance(500) => leader,
                    _ => at,
                };
                let length = self.rng.skewed(2_000_000, 60_000_000);
                let flaps = self.rng.chance(400);
                self.hang_disk(at, length, flaps);
            }
            FaultKind::Wipe => self.try_wipe(at),
            // Only now and then, because each loss takes the entries that only this store has.
            FaultKind::LoseStore if self.rng.chance(600) => {}
            FaultKind::LoseStore => self.lose_store(at),
            FaultKind::PutBack => self.copy_or_put_back(at),
            FaultKind::MoveStore => {
                let restart = self.rng.skewed(5_000, 4_000_000);
                self.move_store(at, restart);
            }
            FaultKind::RotWhileDown => self.try_rot(at),
            FaultKind::RotUnderRead => self.nemesis.rots_next_read = true,
            // Only now and then, because the entries that only this disk has are lost, and the rest of the run shows
            // little.
            FaultKind::RotAnywhere if self.rng.chance(850) => {}
            FaultKind::RotAnywhere => {
                let last = self.nodes[at].disk.image.last();
                self.rot(at, last.min(Lsn(1)), last);
            }
            FaultKind::DiskFull | FaultKind::FsyncError | FaultKind::ClockJump => {
                self.strike_host(kind, at)
            }
            FaultKind::Stop => {
                let patience = self.rng.between(1_000_000, 8_000_000);
                self.stop(at, patience);
            }
            FaultKind::Trap => self.set_trap(),
            FaultKind::MessageFaults => self.bad_day(),
            FaultKind::Add => {
                let empty = self.rng.chance(700);
                self.add_replica(at, empty);
            }
            FaultKind::Remove => self.remove_replica(at),
            _ => self.strike_network(kind, at),
        }
    }

    fn strike_host(&mut self, kind: FaultKind, at: usize) {
        match kind {
            FaultKind::DiskFull => {
                // The last live replica is the most important one.
                let at = match self.serving() {
                    Some(leader) if self.rng.chance(500) => leader,
                    _ => at,
                };
                let length = self.rng.skewed(200_000, 12_000_000);
                self.fill_disk(at, length);
            }
            FaultKind::FsyncError => self.nodes[at].disk.fails_next = true,
            FaultKind::ClockJump if self.now >= self.nemesis.clocks_run_until => {
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
        let message_faults = MessageFaults {
            lost: self.rng.pick(&[0, 20, 100]),
            doubled: self.rng.pick(&[0, 50, 200]),
            overtaken: self.rng.pick(&[0, 50, 200]),
            ..MessageFaults::FAIR
        };
        let length = self.rng.between(1_000_000, 15_000_000);
        self.message_faults(message_faults, length);
    }

    fn strike_network(&mut self, kind: FaultKind, at: usize) {
        let pairs = self.net.pairs();
        if pairs.is_empty() {
            return;
        }
        let (a, b) = self.rng.pick(&pairs);
        let how = self.rng.pick(&[Cut::Vanish, Cut::Hold]);
        let length = self.rng.skewed(100_000, 15_000_000);
        match kind {
            FaultKind::Isolate => {
                self.statistics.fault("isolate");
                self.part(|x| x == at, how, length);
            }
            FaultKind::Halves => {
                self.statistics.fault("halves");
                let side = self.rng.bits();
                self.part(|x| side >> x & 1 == 1, how, length);
            }
            FaultKind::CutOneWay => {
                self.statistics.fault("cut one way");
                let (from, to) = if self.rng.chance(500) { (a, b) } else { (b, a) };
                self.cut(from, to, how);
                self.after(length, Event::Heal { a, b });
            }
            FaultKind::CutLink => {
                self.statistics.fault("cut link");
                self.cut(a, b, how);
                self.cut(b, a, how);
                self.after(length, Event::Heal { a, b });
            }
            FaultKind::ForgedRefusal => self.forge_refusal(a, b, length),
            FaultKind::Spike => {
                self.statistics.fault("latency spike");
                let worst = self.rng.between(50_000, 2_000_000);
                let message_faults = MessageFaults {
                    latency: (1_000, worst),
                    ..MessageFaults::FAIR
                };
                self.message_faults(message_faults, length);
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
