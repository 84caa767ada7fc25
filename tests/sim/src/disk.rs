//! A replica's disk: what is durable, what is on its way there, and what a crash leaves of it.

use std::collections::VecDeque;

use tercet_core::{
    config::Config,
    effect::Write,
    id::{Epoch, Lsn, StoreId, WriteId},
    input::Recovered,
    log::{Entry, Payload},
};

use crate::{
    machine::{Machine, digest},
    rng::Rng,
};

/// One thing for the disk to do.
#[derive(Clone, Debug)]
pub enum Op {
    Persist(Write),
    Apply(Vec<Entry>),
}

/// One thing that the disk did, as its process learns it.
#[derive(Clone, Debug)]
pub enum Done {
    Persisted(WriteId),
    /// For each entry its position, and for a command where its write took effect.
    Applied(Vec<(Lsn, Option<Lsn>)>),
}

/// What is on the disk.
#[derive(Clone, Debug)]
pub struct Image {
    pub promised: Epoch,
    /// All entries; the first has LSN 1.
    pub log: Vec<Entry>,
    pub machine: Machine,
}

impl Image {
    fn empty() -> Image {
        Image {
            promised: Epoch::NONE,
            log: Vec::new(),
            machine: Machine::default(),
        }
    }

    /// LSN of the last entry.
    #[must_use]
    pub fn last(&self) -> Lsn {
        Lsn(self.log.len() as u64)
    }

    /// The entry at `lsn`, if there is one.
    #[must_use]
    pub fn entry(&self, lsn: Lsn) -> Option<&Entry> {
        self.log.get((lsn.0 as usize).checked_sub(1)?)
    }

    /// The newest Config of the log.
    #[must_use]
    pub fn config(&self) -> Option<(Lsn, &Config)> {
        self.log.iter().rev().find_map(config_of)
    }

    fn execute(&mut self, op: &Op) -> Result<Done, String> {
        match op {
            Op::Persist(write) => self.persist(write),
            Op::Apply(entries) => {
                let mut applied = Vec::new();
                for entry in entries {
                    if self.entry(entry.lsn).map(digest) != Some(digest(entry)) {
                        return Err(format!("applies {} and has another there", entry.lsn));
                    }
                    applied.push((entry.lsn, self.machine.apply(entry)?));
                }
                Ok(Done::Applied(applied))
            }
        }
    }

    fn persist(&mut self, write: &Write) -> Result<Done, String> {
        if let Some(promised) = write.promised {
            if promised < self.promised {
                return Err(format!("promises {promised} after {}", self.promised));
            }
            self.promised = promised;
        }
        if let Some(from) = write.truncate_from {
            if from <= self.machine.applied {
                return Err(format!("cuts at {from}, applied {}", self.machine.applied));
            }
            self.log.truncate(from.prev().0 as usize);
        }
        for entry in &write.entries {
            if entry.lsn != self.last().next() {
                return Err(format!("appends {} after {}", entry.lsn, self.last()));
            }
            if self.log.last().is_some_and(|e| e.epoch > entry.epoch) {
                return Err(format!("the epochs of the log fall at {}", entry.lsn));
            }
            self.log.push(entry.clone());
        }
        Ok(Done::Persisted(write.id))
    }

    /// What a process that starts on this disk is told.
    #[must_use]
    pub fn recovered(&self) -> Recovered {
        let mut epochs: Vec<(Lsn, Epoch)> = Vec::new();
        for entry in &self.log {
            if epochs.last().is_none_or(|&(_, epoch)| epoch != entry.epoch) {
                epochs.push((entry.lsn, entry.epoch));
            }
        }
        let applied = self.machine.applied;
        let (below, tail) = self.log.split_at(applied.0 as usize);
        let configs = below
            .iter()
            .rev()
            .find_map(config_of)
            .into_iter()
            .chain(tail.iter().filter_map(config_of))
            .map(|(lsn, config)| (lsn, config.clone()))
            .collect();
        Recovered {
            promised: self.promised,
            epochs,
            last: self.last(),
            applied,
            configs,
            tail: tail.to_vec(),
        }
    }
}

fn config_of(entry: &Entry) -> Option<(Lsn, &Config)> {
    match &entry.payload {
        Payload::Config(config) => Some((entry.lsn, config)),
        Payload::Command(_) => None,
    }
}

/// The disk with its queue.
#[derive(Clone, Debug)]
pub struct Disk {
    pub store: StoreId,
    pub image: Image,
    /// In order; the first `syncing` of them are in the fsync under way.
    pub queue: VecDeque<Op>,
    pub syncing: usize,
    /// Until this time an fsync takes `slowness` times as long.
    pub slow_until: u64,
    pub slowness: u64,
    /// Until this time none that begins now ends.
    pub stalled_until: u64,
}

impl Disk {
    /// A new disk.
    #[must_use]
    pub fn new(store: StoreId) -> Disk {
        Disk {
            store,
            image: Image::empty(),
            queue: VecDeque::new(),
            syncing: 0,
            slow_until: 0,
            slowness: 1,
            stalled_until: 0,
        }
    }

    /// When an fsync that begins `now` ends.
    pub fn fsync_end(&self, now: u64, rng: &mut Rng) -> u64 {
        let usual = rng.skewed(100, 8_000);
        let slowness = if now < self.slow_until {
            self.slowness
        } else {
            1
        };
        (now + usual * slowness).max(self.stalled_until)
    }

    /// The fsync under way ended.
    ///
    /// # Errors
    /// What the core should not have asked for.
    pub fn complete(&mut self) -> Result<Vec<Done>, String> {
        let ops: Vec<Op> = self.queue.drain(..self.syncing).collect();
        self.syncing = 0;
        ops.iter().map(|op| self.image.execute(op)).collect()
    }

    /// The process died: of what was on its way any prefix may be durable, down to a part of an
    /// Apply (a Write is all or nothing). True when something was lost and something was not.
    ///
    /// # Errors
    /// What the core should not have asked for.
    pub fn crash(&mut self, rng: &mut Rng) -> Result<bool, String> {
        let queue = std::mem::take(&mut self.queue);
        self.syncing = 0;
        let kept = rng.index(queue.len() + 1);
        for op in queue.iter().take(kept) {
            self.image.execute(op)?;
        }
        if let Some(Op::Apply(entries)) = queue.get(kept) {
            let part = entries[..rng.index(entries.len() + 1)].to_vec();
            self.image.execute(&Op::Apply(part))?;
        }
        Ok(0 < kept && kept < queue.len())
    }

    /// The Configs that the log has or will have, ascending.
    pub fn configs(&self) -> Vec<(Lsn, &Config)> {
        let queued = self.queue.iter().flat_map(|op| match op {
            Op::Persist(write) => write.entries.as_slice(),
            Op::Apply(_) => &[],
        });
        let log = self.image.log.iter();
        log.chain(queued).filter_map(config_of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Command;
    use tercet_core::id::ReplicaId;

    fn entry(lsn: u64, number: u64) -> Entry {
        let command = Command {
            client: 1,
            seq: lsn as u32,
            key: 0,
            value: lsn,
        };
        Entry {
            lsn: Lsn(lsn),
            epoch: Epoch {
                number,
                proposer: ReplicaId(1),
            },
            payload: Payload::Command(command.encode()),
        }
    }

    fn write(id: u64, entries: Vec<Entry>) -> Op {
        Op::Persist(Write {
            id: WriteId(id),
            promised: None,
            truncate_from: None,
            entries,
        })
    }

    #[test]
    fn crash_keeps_some_prefix_and_never_a_hole() {
        let mut lengths = [0; 5];
        for seed in 0..200 {
            let mut disk = Disk::new(StoreId(1));
            for i in 0..4 {
                disk.queue
                    .push_back(write(i, vec![entry(2 * i + 1, 1), entry(2 * i + 2, 1)]));
            }
            disk.crash(&mut Rng::new(seed)).unwrap();
            assert_eq!(disk.image.log.len() % 2, 0, "a write is all or nothing");
            lengths[disk.image.log.len() / 2] += 1;
        }
        assert!(lengths.iter().all(|&n| n > 0), "{lengths:?}");
    }

    #[test]
    fn gaps_falling_epochs_and_cuts_of_applied_entries_are_refused() {
        let mut image = Image::empty();
        image
            .execute(&write(1, vec![entry(1, 2), entry(2, 2)]))
            .unwrap();
        assert!(image.execute(&write(2, vec![entry(4, 2)])).is_err());
        assert!(image.execute(&write(2, vec![entry(3, 1)])).is_err());
        image.execute(&Op::Apply(vec![entry(1, 2)])).unwrap();
        let cut = Op::Persist(Write {
            id: WriteId(3),
            promised: None,
            truncate_from: Some(Lsn(1)),
            entries: Vec::new(),
        });
        assert!(image.execute(&cut).is_err());
        assert!(image.execute(&Op::Apply(vec![entry(2, 9)])).is_err());
        let recovered = image.recovered();
        assert_eq!(recovered.applied, Lsn(1));
        assert_eq!(recovered.tail, vec![entry(2, 2)]);
    }
}
