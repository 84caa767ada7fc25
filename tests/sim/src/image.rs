//! The durable content of a replica's disk: the promise, the log, the state. Each entry of the log has a seal,
//! computed when it was written; each reader of the entry checks the seal first, as the production store does with
//! its hash chain.

use tercet_core::{
    config::{Config, LoggedConfig},
    effect::Write,
    epochs::EpochHistory,
    id::{Epoch, Lsn, WriteId},
    log::{Entry, Payload, Recovered, Snapshot},
};

use crate::{
    machine::{Machine, digest},
    rng::{Rng, fold},
};

/// An operation of the disk.
#[derive(Clone, Debug)]
pub enum Op {
    Persist(Write),
    Apply(Vec<Entry>),
    Install(WriteId, Box<Prefix>),
    /// Remove the log up to this LSN.
    Trim(Lsn),
}

/// The result of an operation of the disk, as its process gets it.
#[derive(Clone, Debug)]
pub enum Done {
    Persisted(WriteId),
    /// The LSN of each entry, and for a command the LSN at which its write took effect.
    Applied(Vec<(Lsn, Option<Lsn>)>),
    /// The state is now that of this LSN.
    Installed(WriteId, Lsn),
    /// The log begins after this LSN.
    Trimmed(Lsn),
}

/// A snapshot as it is copied from disk to disk.
#[derive(Clone, Debug)]
pub struct Prefix {
    pub snapshot: Snapshot,
    machine: Machine,
    /// The entries of the state, for the checkers.
    pub rows: Vec<Row>,
}

/// An entry as it is on the disk.
#[derive(Clone, Debug)]
pub struct Row {
    pub entry: Entry,
    /// The LSN and epoch of the entry as it was written.
    pub place: (Lsn, Epoch),
    pub digest: u64,
    /// The hash of this entry and all before it: equal chains mean equal logs.
    pub chain: u64,
}

/// The durable content of a disk.
#[derive(Clone, Debug, Default)]
pub struct Image {
    pub promised: Epoch,
    /// The entries; the first has LSN 1. Those up to `trimmed` are for the checkers only.
    pub log: Vec<Row>,
    /// The last entry that is not on the disk any more.
    pub trimmed: Lsn,
    /// The LSNs of the Configs of the log, ascending.
    configs: Vec<Lsn>,
    /// The number of rows that the checkers have seen.
    pub looked_at: usize,
    pub machine: Machine,
    /// The LSN that the replica settled last, and not past what is applied.
    pub settled: Lsn,
}

impl Image {
    /// Gives the LSN of the last entry.
    #[must_use]
    pub fn last(&self) -> Lsn {
        Lsn(self.log.len() as u64)
    }

    /// Gives the row at `lsn`, if there is one.
    #[must_use]
    pub fn row(&self, lsn: Lsn) -> Option<&Row> {
        self.log.get((lsn.0 as usize).checked_sub(1)?)
    }

    /// Gives the digest of the entry at `lsn`, if there is one.
    #[must_use]
    pub fn digest(&self, lsn: Lsn) -> Option<u64> {
        self.row(lsn).map(|row| row.digest)
    }

    /// Gives the hash of the log up to `lsn`, if it reaches that far.
    #[must_use]
    pub fn chain(&self, lsn: Lsn) -> Option<u64> {
        self.row(lsn).map(|row| row.chain)
    }

    /// Gives the newest Config of the log.
    #[must_use]
    pub fn config(&self) -> Option<(Lsn, &Config)> {
        self.configs().next_back()
    }

    /// Gives the Configs of the log, ascending.
    pub fn configs(&self) -> impl DoubleEndedIterator<Item = (Lsn, &Config)> {
        let rows = self.configs.iter().filter_map(|&lsn| self.row(lsn));
        rows.filter_map(|row| config_of(&row.entry))
    }

    /// Gives the first entry from `from` through `through` that is on the disk and differs from the entry that was
    /// written.
    #[must_use]
    pub fn rotten(&self, from: Lsn, through: Lsn) -> Option<Lsn> {
        let skip = from.prev().max(self.trimmed).0 as usize;
        let rows = self.log.iter().take(through.0 as usize).skip(skip);
        let mut bad = rows.filter(|row| digest(&row.entry) != row.digest);
        bad.next().map(|row| row.entry.lsn)
    }

    /// Flips a bit in the entry at `lsn`. Returns false if there is none.
    pub fn rot(&mut self, lsn: Lsn, rng: &mut Rng) -> bool {
        let index = (lsn.0 as usize).wrapping_sub(1);
        let there = self.log.get_mut(index).filter(|_| lsn > self.trimmed);
        let Some(row) = there else {
            return false;
        };
        match &mut row.entry.payload {
            _ if rng.chance(200) => row.entry.epoch.number ^= 1 << rng.below(8),
            Payload::Command(bytes) => {
                let mut flipped = bytes.to_vec();
                let place = rng.index(flipped.len());
                flipped[place] ^= 1 << rng.below(8);
                *bytes = flipped.into();
            }
            Payload::Config(config) => config.cluster.0 ^= 1 << rng.below(128),
        }
        true
    }

    /// Carries out one operation completely.
    ///
    /// # Errors
    /// If the core asked for something wrong.
    pub fn execute(&mut self, op: &Op) -> Result<Done, String> {
        match op {
            Op::Persist(write) => self.persist(write),
            Op::Apply(entries) => {
                let mut applied = Vec::with_capacity(entries.len());
                for entry in entries {
                    if self.digest(entry.lsn) != Some(digest(entry)) {
                        return Err(format!("applies {} and has another there", entry.lsn));
                    }
                    applied.push((entry.lsn, self.machine.apply(entry)?));
                }
                Ok(Done::Applied(applied))
            }
            Op::Install(write, prefix) => self.install(*write, prefix),
            Op::Trim(through) => {
                if *through > self.machine.applied {
                    return Err(format!("trims {through}, applied {}", self.machine.applied));
                }
                // The removed entries are checked first: a corrupt entry must not pass for the one that was written.
                let bad = self.rotten(self.trimmed.next(), *through);
                let sound = bad.map_or(*through, Lsn::prev);
                self.trimmed = self.trimmed.max(sound);
                Ok(Done::Trimmed(self.trimmed))
            }
        }
    }

    fn install(&mut self, write: WriteId, prefix: &Prefix) -> Result<Done, String> {
        let (lsn, applied) = (prefix.snapshot.lsn, self.machine.applied);
        if lsn <= applied {
            return Err(format!("installs a snapshot of {lsn}, applied {applied}"));
        }
        self.log.clone_from(&prefix.rows);
        self.machine.clone_from(&prefix.machine);
        self.trimmed = lsn;
        let rows = self.log.iter();
        let configs = rows.filter(|row| config_of(&row.entry).is_some());
        self.configs = configs.map(|row| row.place.0).collect();
        self.looked_at = self.log.len();
        Ok(Done::Installed(write, lsn))
    }

    /// Gives a snapshot of the applied entries, if there are any, and none of them that is still there is corrupt.
    #[must_use]
    pub fn prefix(&self) -> Option<Prefix> {
        let lsn = self.machine.applied;
        if self.rotten(Lsn(1), lsn).is_some() {
            return None;
        }
        let mut configs = self.configs().rev();
        let config = configs.find(|(config_lsn, _)| *config_lsn <= lsn);
        let mut epochs = self.epochs();
        epochs.truncate(lsn.next());
        let snapshot = Snapshot {
            lsn,
            epochs,
            config: config.map(|(lsn, config)| LoggedConfig {
                lsn,
                config: config.clone(),
            })?,
        };
        Some(Prefix {
            snapshot,
            machine: self.machine.clone(),
            rows: self.log[..lsn.0 as usize].to_vec(),
        })
    }

    fn epochs(&self) -> EpochHistory {
        let mut epochs = EpochHistory::EMPTY;
        for row in &self.log {
            epochs.append(row.place.0, row.place.1);
        }
        epochs
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
            self.looked_at = self.looked_at.min(self.log.len());
            self.configs.retain(|&lsn| lsn < from);
        }
        for entry in &write.entries {
            let before = self.log.last();
            if entry.lsn != self.last().next() {
                return Err(format!("appends {} after {}", entry.lsn, self.last()));
            }
            if before.is_some_and(|row| row.place.1 > entry.epoch) {
                return Err(format!("the epochs of the log fall at {}", entry.lsn));
            }
            let digest = digest(entry);
            let chain = fold(before.map_or(0, |row| row.chain), digest);
            if config_of(entry).is_some() {
                self.configs.push(entry.lsn);
            }
            self.log.push(Row {
                entry: entry.clone(),
                place: (entry.lsn, entry.epoch),
                digest,
                chain,
            });
        }
        Ok(Done::Persisted(write.id))
    }

    /// Gives the content of this disk for a process that starts on it.
    #[must_use]
    pub fn recovered(&self) -> Recovered {
        let applied = self.machine.applied;
        let below = self.configs.partition_point(|&lsn| lsn <= applied);
        let configs = self.configs().skip(below.saturating_sub(1));
        let tail = self.log[applied.0 as usize..].iter();
        Recovered {
            promised: self.promised,
            epochs: self.epochs(),
            start: self.trimmed.next(),
            last: self.last(),
            applied,
            settled: self.settled,
            configs: configs
                .map(|(lsn, c)| LoggedConfig {
                    lsn,
                    config: c.clone(),
                })
                .collect(),
            tail: tail.map(|row| row.entry.clone()).collect(),
        }
    }
}

/// Gives the Config of an entry, if it is a Config entry.
#[must_use]
pub fn config_of(entry: &Entry) -> Option<(Lsn, &Config)> {
    match &entry.payload {
        Payload::Config(config) => Some((entry.lsn, config)),
        Payload::Command(_) => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::machine::Command;
    use tercet_core::id::ReplicaId;

    pub(crate) fn entry(lsn: u64, number: u64) -> Entry {
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

    pub(crate) fn write(id: u64, entries: Vec<Entry>) -> Op {
        Op::Persist(Write {
            id: WriteId(id),
            promised: None,
            truncate_from: None,
            entries,
        })
    }

    #[test]
    fn gaps_falling_epochs_and_cuts_of_applied_entries_are_refused() {
        let mut image = Image::default();
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

    #[test]
    fn every_flipped_bit_is_found_where_it_is() {
        for seed in 0..200 {
            let mut image = Image::default();
            let entries = (1..=5).map(|lsn| entry(lsn, 1)).collect();
            image.execute(&write(1, entries)).unwrap();
            assert_eq!(image.rotten(Lsn(1), Lsn(5)), None);
            assert!(image.rot(Lsn(3), &mut Rng::new(seed)));
            assert_eq!(image.rotten(Lsn(1), Lsn(5)), Some(Lsn(3)), "seed {seed}");
            assert_eq!(image.rotten(Lsn(4), Lsn(5)), None);
            assert!(!image.rot(Lsn(6), &mut Rng::new(seed)));
        }
    }
}
