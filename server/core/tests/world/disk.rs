//! A simulated disk: what survives a crash, and the writes that still wait when it is held.

use std::collections::{BTreeSet, VecDeque};

use tercet_core::{
    config::{Config, LoggedConfig, Mode},
    effect::Write,
    epochs::EpochHistory,
    id::{ClusterId, Epoch, Lsn, ReplicaId, StoreId, WriteId},
    log::{Entry, Payload, Recovered, Snapshot},
};

pub struct Disk {
    pub store: StoreId,
    pub held: bool,
    /// It was copied since its replica last ran, and nobody has confirmed it.
    pub copied: bool,
    promised: Epoch,
    /// Where each epoch began that has entries before `start`, and the last entry trimmed.
    trimmed: (EpochHistory, Lsn),
    /// The newest Config that is applied.
    config: Option<LoggedConfig>,
    log: Vec<Entry>,
    applied: Lsn,
    /// As the replica said last; not past what is applied.
    pub settled: Lsn,
    waiting: VecDeque<Job>,
}

/// The tasks of a replica for its disk, in order.
#[derive(Clone)]
pub enum Job {
    Persist(Write),
    Apply(Vec<Entry>),
    Install(WriteId, Snapshot),
}

impl Disk {
    pub fn new(store: StoreId) -> Disk {
        Disk {
            store,
            held: false,
            copied: false,
            promised: Epoch::NONE,
            trimmed: (EpochHistory::EMPTY, Lsn::ZERO),
            config: None,
            log: Vec::new(),
            applied: Lsn::ZERO,
            settled: Lsn::ZERO,
            waiting: VecDeque::new(),
        }
    }

    /// As if its replica had served another cluster before.
    pub fn of_another_cluster(store: StoreId, id: ReplicaId) -> Disk {
        let epoch = Epoch {
            number: 1,
            proposer: id,
        };
        let config = Config {
            cluster: ClusterId(u128::MAX),
            mode: Mode::Available,
            members: [(id, store)].into(),
            dead: BTreeSet::new(),
        };
        let entry = Entry {
            lsn: Lsn(1),
            epoch,
            payload: Payload::Config(config),
        };
        Disk {
            promised: epoch,
            config: entry.config(),
            log: vec![entry],
            applied: Lsn(1),
            ..Disk::new(store)
        }
    }

    /// The process ended: what was not written is lost.
    pub fn crash(&mut self) {
        self.waiting.clear();
    }

    pub fn put(&mut self, job: Job) {
        self.waiting.push_back(job);
    }

    /// Does the next job, unless there is none or the disk is held.
    pub fn work(&mut self) -> Option<Job> {
        if self.held {
            return None;
        }
        let job = self.waiting.pop_front()?;
        match &job {
            Job::Persist(write) => self.persist(write),
            Job::Apply(entries) => {
                for entry in entries {
                    assert_eq!(entry.lsn, self.applied.next(), "applied in order");
                    assert_eq!(self.at(entry.lsn), Some(entry), "only the log is applied");
                    self.applied = entry.lsn;
                    self.config = entry.config().or(self.config.take());
                }
            }
            Job::Install(_, snapshot) => {
                assert!(snapshot.lsn > self.applied, "a snapshot is news");
                self.trimmed = (snapshot.epochs.clone(), snapshot.lsn);
                self.config = Some(snapshot.config.clone());
                self.log.clear();
                self.applied = snapshot.lsn;
            }
        }
        Some(job)
    }

    /// Lets go of the log up to there.
    pub fn trim(&mut self, through: Lsn) {
        assert!(through <= self.applied, "only what is applied is trimmed");
        let mut epochs = self.epochs();
        epochs.truncate(through.next());
        self.trimmed = (epochs, through);
        self.log.retain(|entry| entry.lsn > through);
    }

    /// The state as it is.
    pub fn snapshot(&self) -> Option<Snapshot> {
        let mut epochs = self.epochs();
        epochs.truncate(self.applied.next());
        Some(Snapshot {
            lsn: self.applied,
            epochs,
            config: self.config.clone()?,
        })
    }

    fn last(&self) -> Lsn {
        self.log.last().map_or(self.trimmed.1, |entry| entry.lsn)
    }

    fn epochs(&self) -> EpochHistory {
        let mut epochs = self.trimmed.0.clone();
        for entry in &self.log {
            epochs.append(entry.lsn, entry.epoch);
        }
        epochs
    }

    fn persist(&mut self, write: &Write) {
        if let Some(promised) = write.promised {
            assert!(promised > self.promised);
            self.promised = promised;
        }
        if let Some(from) = write.truncate_from {
            assert!(from > self.applied, "what was applied is never cut");
            self.log.retain(|entry| entry.lsn < from);
        }
        for entry in &write.entries {
            assert_eq!(entry.lsn, self.last().next(), "no gap in the log");
            self.log.push(entry.clone());
        }
    }

    fn at(&self, lsn: Lsn) -> Option<&Entry> {
        self.log.iter().find(|entry| entry.lsn == lsn)
    }

    pub fn read(&self, from: Lsn, through: Lsn) -> Vec<Entry> {
        let wanted = self.log.iter();
        let wanted = wanted.filter(|entry| entry.lsn >= from && entry.lsn <= through);
        wanted.cloned().collect()
    }

    pub fn recovered(&self) -> Recovered {
        let mut configs: Vec<_> = self.config.clone().into_iter().collect();
        let above = self.log.iter().filter(|entry| entry.lsn > self.applied);
        configs.extend(above.filter_map(Entry::config));
        Recovered {
            promised: self.promised,
            epochs: self.epochs(),
            start: self.trimmed.1.next(),
            last: self.last(),
            applied: self.applied,
            settled: self.settled.min(self.applied),
            configs,
            tail: self.read(self.applied.next(), Lsn(u64::MAX)),
        }
    }
}
