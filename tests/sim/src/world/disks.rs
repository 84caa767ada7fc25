//! The simulated disks: the ends of fsyncs, and their results for the process.

use tercet_core::{
    id::{Lsn, ReplicaId},
    input::Input,
    log::Payload,
};

use super::{Event, World};
use crate::{
    client::OPERATOR,
    image::{Done, Op, Row},
    machine::Command,
    node::{Answer, Work},
};

impl World {
    /// Begins an fsync of queued operations, if none is in progress.
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
        for lsn in self.is_applying(at) {
            self.acknowledge(at, lsn, Some(lsn));
        }
    }

    /// Gives the writes that the fsync in progress applies and that take effect, up to the first entry of another
    /// kind. They are acknowledged before it ends, if no log can lack any entry that a client waits for: their
    /// outcomes follow from the log.
    fn is_applying(&self, at: usize) -> Vec<Lsn> {
        let tells = self.nodes[at].process.as_ref().is_some_and(|process| {
            let waiting = process.accepted.first_key_value();
            waiting.is_some_and(|(&first, _)| process.replica.may_tell_early(first))
        });
        if !tells {
            return Vec::new();
        }
        let disk = &self.nodes[at].disk;
        let mut answered = disk.image.machine.answered.clone();
        let ops = disk.queue.iter().take(disk.syncing);
        let applied = ops.filter_map(|op| match op {
            Op::Apply(entries) => Some(entries),
            _ => None,
        });
        let writes = applied.flatten().map_while(|entry| {
            let Payload::Command(bytes) = &entry.payload else {
                return None;
            };
            let command = Command::decode(bytes).filter(|command| command.client != OPERATOR)?;
            let before = answered.insert(command.client, (command.seq, entry.lsn));
            let fresh = before.is_none_or(|(seq, _)| seq < command.seq);
            fresh.then_some(entry.lsn)
        });
        writes.collect()
    }

    pub(crate) fn disk_done(&mut self, at: usize, run: u64) {
        if !self.is_run(at, run) {
            return;
        }
        let disk = &mut self.nodes[at].disk;
        if self.now < disk.stalled_until {
            // The check is repeated, because the stall may be ended early.
            let next = disk.stalled_until.min(self.now + 100_000);
            return self.at(next, Event::DiskDone { at, run });
        }
        if self.now < disk.full_until {
            return self.disk_is_full(at, run);
        }
        if disk.fails_next {
            self.statistics.fault("fsync error");
            return self.fail(at);
        }
        if std::mem::take(&mut disk.told_full) {
            self.deliver(at, run, Work::DiskFull(false));
        }
        match self.nodes[at].disk.complete() {
            Ok(done) => {
                self.observe_disk(at);
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

    /// Ends the process because its store failed: nothing after this can be trusted, and its writes in progress may
    /// or may not be durable. It is started again later.
    pub(crate) fn fail(&mut self, at: usize) {
        self.note(|id| format!("{id} ends: its store failed"), at);
        self.crash(at);
        let delay = self.rng.skewed(20_000, 6_000_000);
        self.start_after(at, delay);
    }

    /// Cancels the fsync of a full disk. It is tried again with the next write, and twice a second.
    fn disk_is_full(&mut self, at: usize, run: u64) {
        let disk = &mut self.nodes[at].disk;
        disk.syncing = 0;
        if !std::mem::replace(&mut disk.told_full, true) {
            self.statistics.fault("disk full");
            self.after(500_000, Event::DiskRetry { at, run });
            self.deliver(at, run, Work::DiskFull(true));
        }
    }

    pub(crate) fn disk_retry(&mut self, at: usize, run: u64) {
        if self.is_run(at, run) && self.nodes[at].disk.told_full {
            self.after(500_000, Event::DiskRetry { at, run });
            self.kick_disk(at);
        }
    }

    /// Ends the process on a full disk if others are in its view; alone it continues to serve reads.
    pub(crate) fn told_full(&mut self, at: usize, full: bool) {
        let Some(process) = self.nodes[at].process.as_mut() else {
            return;
        };
        let config = process.status.config.as_ref();
        let alone = config.is_some_and(|logged| logged.config.members.len() == 1);
        if full && !alone {
            return self.fail(at);
        }
        process.read_only = full;
        if full {
            self.statistics.fault("disk full alone");
            let accepted = std::mem::take(&mut process.accepted);
            for (caller, _) in accepted.into_values() {
                self.tell(caller, Answer::Unknown);
            }
        }
    }

    /// Checks the new rows and the state of a disk.
    pub(crate) fn observe_disk(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let (id, image) = (node.id, &mut node.disk.image);
        let looked_at = std::mem::replace(&mut image.looked_at, image.log.len());
        let image = &node.disk.image;
        let mut verdict = Ok(());
        for &Row { place, chain, .. } in &image.log[looked_at..] {
            verdict = verdict.and_then(|()| self.lineage.written(id, place, chain));
        }
        let (applied, state) = (image.machine.applied, image.machine.hash);
        if let Some(row) = image.row(applied) {
            verdict = verdict.and_then(|()| self.lineage.state(id, row.place, state));
        }
        let verdict = verdict.and_then(|()| self.order.state(id, applied, state));
        self.require(verdict);
    }

    /// Gives the results of an fsync to the process.
    pub(crate) fn disk_told(&mut self, at: usize, done: Vec<Done>) {
        let Some(run) = self.nodes[at].process.as_ref().map(|p| p.run.0) else {
            return;
        };
        for done in done {
            match done {
                Done::Persisted(write) => self.give(at, Input::Persisted { write }),
                Done::Applied(applied) => {
                    let through = applied.last().map(|&(lsn, _)| lsn);
                    for (lsn, effect) in applied {
                        self.acknowledge(at, lsn, effect);
                    }
                    self.observe_roster(at);
                    if let Some(lsn) = through {
                        self.give(at, Input::Applied { lsn });
                    }
                }
                done => self.log_begins_anew(at, done),
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
        self.statistics.event("log read");
        if from > through || through > node.disk.image.last() {
            let last = node.disk.image.last();
            return self.bad_disk(at, &format!("reads {from} to {through} of {last}"));
        }
        self.rot_under_read(at, from, through);
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
        let image = &self.nodes[at].disk.image;
        let through = through.min(image.last());
        if image.rotten(from, through).is_some() {
            self.statistics.fault("rot read");
            return self.deliver(at, run, Work::BadRead);
        }
        let range = from.0 as usize - 1..through.0 as usize;
        let there = from > image.trimmed;
        let wanted = image.log.get(range).filter(|_| there).unwrap_or_default();
        if wanted.is_empty() && there {
            return;
        }
        let most = wanted.len().min(self.plan.limits.batch_entries_max).max(1);
        let count = if wanted.is_empty() {
            0
        } else if self.rng.chance(500) {
            most
        } else {
            self.rng.index(most) + 1
        };
        let wanted = wanted[..count].iter();
        let entries = wanted.map(|row| row.entry.clone()).collect();
        let work = Work::LogRead {
            peer,
            from,
            entries,
        };
        self.deliver(at, run, work);
    }
}
