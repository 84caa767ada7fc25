//! The stores that are lost: wiped, corrupt, refused at the start, set aside by the operator.

use tercet_core::{
    Status,
    config::{LoggedConfig, Mode},
    effect::Halt,
    id::{Lsn, ReplicaId, StoreId},
};

use super::{World, draw_store};
use crate::{
    disk::Disk,
    mutation,
    network::MessageFaults,
    node::{Node, Process},
};

/// The time without a serving replica after which the operator looks for stores that were moved, microseconds.
const COPIES_WAIT: u64 = 3_000_000;

impl World {
    /// Wipes a disk, if every acknowledged write is on the disks of enough other replicas without faults. No other
    /// fault happens until the view is without that store.
    pub(crate) fn try_wipe(&mut self, at: usize) {
        if self.may_lose(at) {
            self.be_quiet();
            let restart = self.rng.skewed(5_000, 4_000_000);
            self.wipe(at, restart);
        }
    }

    /// Kills the process and flips a bit before it starts again, under the same condition as `try_wipe`.
    pub(crate) fn try_rot(&mut self, at: usize) {
        if self.may_lose(at) && self.nodes[at].disk.image.last() > Lsn::ZERO {
            self.be_quiet();
            let restart = self.rng.skewed(5_000, 4_000_000);
            self.crash(at);
            self.rot(at, Lsn(1), self.nodes[at].disk.image.last());
            self.start_after(at, restart);
        }
    }

    /// Flips a bit under a process that reads its log for another replica, if that fault is due, under the same
    /// condition.
    pub(crate) fn rot_under_read(&mut self, at: usize, from: Lsn, through: Lsn) {
        if self.nemesis.rots_next_read && self.may_lose(at) {
            self.be_quiet();
            self.nemesis.rots_next_read = false;
            self.rot(at, from, through);
        }
    }

    fn be_quiet(&mut self) {
        self.nemesis.traps.clear();
        self.nemesis.quiet_until = self.now + 20_000_000;
    }

    /// Tells whether a store may be lost inside the fault model.
    fn may_lose(&self, at: usize) -> bool {
        let Some(leader) = self.serving() else {
            return false;
        };
        let Some(status) = self.nodes[leader].awake().map(|p| &p.status) else {
            return false;
        };
        let Some(LoggedConfig { lsn, config }) = &status.config else {
            return false;
        };
        let rough =
            self.net.is_faulty() || self.net.message_faults.latency != MessageFaults::FAIR.latency;
        // A replica whose disk hangs may have to stop being active.
        let hangs = |node: &Node| self.now < node.disk.stalled_until + 1_000_000;
        let ill = |node: &Node| !node.disk.is_well(self.now) || hangs(node);
        let ill = self.nodes.iter().any(ill);
        let drowsy = self.now < self.slept_until + 100_000;
        // A replica that comes back with another clock makes others doubt theirs for a moment.
        let drowsy = drowsy || self.now < self.clocks_doubted_until;
        // The death of the last replica that knows better ends these as well.
        let numb = |node: &Node| node.process.as_ref().is_some_and(|p| p.numb.is_some());
        let drowsy = drowsy || self.nodes.iter().any(numb);
        if *lsn > status.commit || rough || ill || drowsy || self.operator_is_busy() {
            return false;
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
                && node
                    .awake()
                    .is_some_and(|p| well(&p.status) && !p.stopping && !p.drowsy)
        });
        let enough = match self.mode() {
            Mode::Available => 1,
            Mode::Majority { .. } => {
                let majority = config.members.len() / 2 + 1;
                majority.max(self.mode().view_min())
            }
        };
        // A leader that stays is the least that is needed; a leader whose store is lost needs a transferee.
        let transferee = at != leader || config.members.contains_key(&self.nodes[at].id);
        others.count() >= enough && transferee
    }

    /// Tells whether a replica serves with a committed Config all of whose disks are still there.
    pub(crate) fn stores_are_known(&self) -> bool {
        let Some(leader) = self.serving() else {
            return false;
        };
        let process = self.nodes[leader].process.as_ref();
        process.is_some_and(|process| {
            let config = process.status.config.as_ref();
            config.is_some_and(|LoggedConfig { lsn, config }| {
                let mut members = config.members.iter();
                *lsn <= process.status.commit && members.all(|(id, store)| self.is_there(id, store))
            })
        })
    }

    /// Tells whether every disk that the newest Config on any disk names is still there.
    pub(crate) fn disks_are_known(&self) -> bool {
        self.nodes.iter().all(|node| {
            let config = node.disk.image.config();
            config.is_none_or(|(_, config)| {
                let mut members = config.members.iter();
                members.all(|(id, store)| self.is_there(id, store))
            })
        })
    }

    fn is_there(&self, id: &ReplicaId, store: &StoreId) -> bool {
        let disk = &self.nodes[id.0 as usize - 1].disk;
        disk.store == *store && !disk.rotten
    }

    /// Replaces the disk by an empty one while the process is down.
    pub fn wipe(&mut self, at: usize, restart: u64) {
        self.statistics.fault("wipe");
        self.note(|id| format!("## wipe {id}"), at);
        self.crash(at);
        self.replace_disk(at);
        self.start_after(at, restart);
    }

    /// Replaces the disk of a replica by an empty one and gives the old one. The operator lets the replica join: with
    /// any disk but its first it makes no cluster.
    pub(crate) fn replace_disk(&mut self, at: usize) -> Disk {
        let new = draw_store(&mut self.rng);
        let node = &mut self.nodes[at];
        let disk = Disk::new(mutation::store(node.disk.store, new, self.plan.mutation));
        node.bootstraps = false;
        std::mem::replace(&mut node.disk, disk)
    }

    /// Copies a disk; or, if there is a copy, ends that replica's process and puts the copy back. Acknowledged writes
    /// may be lost by it.
    pub(crate) fn copy_or_put_back(&mut self, at: usize) {
        let Some((at, old)) = self.nemesis.copy.take() else {
            let disk = self.nodes[at].disk.clone();
            if disk.image.last() > Lsn::ZERO && !disk.rotten && !self.nodes[at].is_out() {
                self.nemesis.copy = Some((at, disk));
            }
            return;
        };
        let node = &self.nodes[at];
        if node.disk.store == old.store && !node.is_out() && !node.away {
            self.order.tolerated = true;
            self.crash(at);
            // Nothing shows it if the whole machine was set back.
            let seen = self.rng.chance(600);
            self.put_back(at, old, seen);
            let restart = self.rng.skewed(5_000, 4_000_000);
            self.start_after(at, restart);
        }
    }

    /// Replaces the disk of a replica that is down by an older state of it. `seen`: it is in another place, so that
    /// the replica notices it at the start.
    pub fn put_back(&mut self, at: usize, old: Disk, seen: bool) {
        self.statistics.fault("store put back");
        self.note(
            |id| format!("## an old copy of the store of {id} is put back"),
            at,
        );
        self.disturbed = self.disturbed.max(self.now);
        self.put_back.insert(at);
        let image = old.image;
        let disk = Disk {
            image,
            copied: seen,
            ..Disk::new(old.store)
        };
        let newer = std::mem::replace(&mut self.nodes[at].disk, disk);
        self.aside.push(newer.image);
    }

    /// Moves a data directory unchanged while its process is down.
    pub fn move_store(&mut self, at: usize, restart: u64) {
        let node = &self.nodes[at];
        if node.away || node.is_out() || node.disk.image.last() == Lsn::ZERO {
            return;
        }
        self.statistics.fault("store moved");
        self.note(|id| format!("## the store of {id} is moved"), at);
        self.crash(at);
        self.nodes[at].disk.copied = true;
        self.disturbed = self.disturbed.max(self.now);
        self.start_after(at, restart);
    }

    /// Lets the operator decide about copied stores, when no write was acknowledged for a while and replicas report
    /// that their stores were copied. A store that was moved is the newest, and is accepted; an older copy is set
    /// aside if another replica has a longer log.
    fn judge_copies(&mut self) {
        // A leader whose members all have copied stores serves, and commits nothing.
        let served = match self.serving() {
            Some(_) => self.acknowledged_at,
            None => self.served,
        };
        if self.now < served.max(self.disturbed) + COPIES_WAIT {
            return;
        }
        for at in 0..self.nodes.len() {
            let waits = |p: &Process| p.status.unconfirmed && self.now > p.since + COPIES_WAIT;
            if !self.nodes[at].awake().is_some_and(waits) {
                continue;
            }
            self.note(
                |id| format!("## the operator looks at the store of {id}"),
                at,
            );
            self.crash(at);
            if self.put_back.contains(&at) && self.is_behind(at) {
                let old = self.replace_disk(at);
                self.aside.push(old.image);
                self.statistics.event("old copy set aside");
            } else {
                self.nodes[at].disk.copied = false;
                self.statistics.event("moved store accepted");
            }
            self.start_after(at, 0);
        }
    }

    fn is_behind(&self, at: usize) -> bool {
        let last = |other: usize| self.nodes[other].disk.image.last();
        let mut belonging = self.belonging().into_iter();
        // A store that is itself to be set aside cannot be the base for others.
        belonging.any(|other| !self.nodes[other].is_out() && last(other) > last(at))
    }

    /// Checks that a replica with an older state of its store noticed and reported it.
    pub fn require_told_of_its_past(&mut self, at: usize) {
        let node = &self.nodes[at];
        if !matches!(node.halted, Some(Halt::WentBack { .. })) {
            let (id, states) = (node.id, self.describe());
            self.violated(format!(
                "past: replica {id} goes on with an older state of its store\n{states}"
            ));
        }
    }

    /// Flips a bit in the log, at a random entry of a range.
    pub fn rot(&mut self, at: usize, from: Lsn, through: Lsn) {
        let lsn = Lsn(self.rng.between(from.0, through.0));
        let disk = &mut self.nodes[at].disk;
        // A second flip could undo the first.
        if !disk.rotten && disk.image.rot(lsn, &mut self.rng) {
            disk.rotten = true;
            self.disturbed = self.disturbed.max(self.now);
            self.statistics.fault("bit flip");
            self.note(|id| format!("## a bit of entry {lsn} flips at {id}"), at);
        }
    }

    /// Checks the store at the start. Returns true if it is refused: then no process starts on it.
    pub(crate) fn refuses_store(&mut self, at: usize) -> bool {
        let image = &self.nodes[at].disk.image;
        let Some(lsn) = image.rotten(Lsn(1), image.last()) else {
            return false;
        };
        self.statistics.fault("store refused");
        self.note(|id| format!("{id} refuses its store: entry {lsn}"), at);
        self.nodes[at].refused = true;
        true
    }

    /// Lets the operator act on the reports of the replicas: a store that was refused, or differs from the others',
    /// is set aside once a replica serves that can fill an empty one.
    pub fn operate(&mut self) {
        self.judge_copies();
        if !self.stores_are_served() {
            return;
        }
        for at in 0..self.nodes.len() {
            let node = &mut self.nodes[at];
            if !node.is_out() {
                continue;
            }
            node.refused = false;
            node.halted = None;
            let old = self.replace_disk(at);
            self.aside.push(old.image);
            self.set_aside_at = self.now;
            self.statistics.event("store set aside");
            self.note(|id| format!("## the store of {id} is set aside"), at);
            self.disturbed = self.disturbed.max(self.now);
            let delay = self.rng.skewed(20_000, 3_000_000);
            self.start_after(at, delay);
        }
    }

    /// Tells whether a replica serves with a committed Config.
    fn stores_are_served(&self) -> bool {
        let leader = self.serving().and_then(|at| self.nodes[at].awake());
        leader.is_some_and(|process| {
            let config = process.status.config.as_ref();
            config.is_some_and(|logged| logged.lsn <= process.status.commit)
        })
    }
}
