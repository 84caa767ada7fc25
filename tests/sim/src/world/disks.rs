//! Disks: when an fsync ends, and what the process then learns.

use tercet_core::{
    id::{Lsn, ReplicaId},
    input::Input,
};

use super::{Event, World};
use crate::{disk::Done, machine::digest, node::Work};

impl World {
    /// Begins an fsync of what is queued, if none is under way.
    pub(crate) fn kick_disk(&mut self, at: usize) {
        let now = self.now;
        let node = &mut self.nodes[at];
        let Some(process) = node.awake() else {
            return;
        };
        let run = process.run.0;
        let disk = &mut node.disk;
        if disk.syncing > 0 || disk.queue.is_empty() {
            return;
        }
        disk.syncing = if self.rng.chance(700) {
            disk.queue.len()
        } else {
            self.rng.index(disk.queue.len()) + 1
        };
        let end = disk.fsync_end(now, &mut self.rng);
        self.at(end, Event::DiskDone { at, run });
    }

    pub(crate) fn disk_done(&mut self, at: usize, run: u64) {
        if !self.is_run(at, run) {
            return;
        }
        let before = self.nodes[at].disk.image.machine.applied;
        match self.nodes[at].disk.complete() {
            Ok(done) => {
                self.observe_disk(at, before);
                self.deliver(at, run, Work::DiskDone(done));
                self.kick_disk(at);
            }
            Err(how) => self.bad_disk(at, &how),
        }
    }

    pub(crate) fn bad_disk(&mut self, at: usize, how: &str) {
        let id = self.nodes[at].id;
        self.violated(format!("disk: replica {id} {how}"));
    }

    /// Looks at what is applied on a disk; `before` is how much was when it was last looked at.
    pub(crate) fn observe_disk(&mut self, at: usize, before: Lsn) {
        let node = &self.nodes[at];
        let machine = &node.disk.image.machine;
        for entry in &node.disk.image.log[before.0 as usize..machine.applied.0 as usize] {
            self.order.applied(entry.lsn, digest(entry));
        }
        let verdict = self.order.state(node.id, machine.applied, machine.hash);
        self.require(verdict);
    }

    /// The process learns what is durable.
    pub(crate) fn disk_told(&mut self, at: usize, done: Vec<Done>) {
        let Some(run) = self.nodes[at].process.as_ref().map(|p| p.run.0) else {
            return;
        };
        for done in done {
            match done {
                Done::Persisted(write) => self.give(at, Input::Persisted { write }),
                Done::Applied(applied) => {
                    for (lsn, effect) in applied {
                        self.acknowledge(at, lsn, effect);
                    }
                    self.observe_roster(at);
                }
            }
            if !self.is_run(at, run) {
                return;
            }
        }
        self.wake_reads(at);
    }

    pub(crate) fn read_log(&mut self, at: usize, peer: ReplicaId, from: Lsn, through: Lsn) {
        let node = &self.nodes[at];
        let Some(process) = node.process.as_ref() else {
            return;
        };
        let run = process.run.0;
        self.tally.event("log read");
        if from > through || through > node.disk.image.last() {
            let last = node.disk.image.last();
            return self.bad_disk(at, &format!("reads {from} to {through} of {last}"));
        }
        let delay = self.rng.skewed(50, 4_000);
        self.after(
            delay,
            Event::ReadDone {
                at,
                run,
                peer,
                from,
                through,
            },
        );
    }

    pub(crate) fn read_done(
        &mut self,
        at: usize,
        run: u64,
        peer: ReplicaId,
        from: Lsn,
        through: Lsn,
    ) {
        if !self.is_run(at, run) {
            return;
        }
        let log = &self.nodes[at].disk.image.log;
        let through = (through.0 as usize).min(log.len());
        let Some(wanted) = log.get(from.0 as usize - 1..through) else {
            return;
        };
        if wanted.is_empty() {
            return;
        }
        let most = wanted.len().min(self.plan.limits.batch_entries_max).max(1);
        let count = if self.rng.chance(500) {
            most
        } else {
            self.rng.index(most) + 1
        };
        let entries = wanted[..count].to_vec();
        let work = Work::LogRead {
            peer,
            from,
            entries,
        };
        self.deliver(at, run, work);
    }
}
