//! The log in memory: positions, epochs and Configs of the whole log, and the payloads of its last entries.
//!
//! Committed entries leave memory once the window is full; the store still has them. Entries that are not committed
//! stay here, so that they can be sent and applied without a read.

use alloc::{collections::VecDeque, vec, vec::Vec};

use bytes::Bytes;

use crate::{
    config::{Config, Limits, LoggedConfig},
    epochs::EpochHistory,
    id::{Epoch, Lsn},
};

/// An entry of the log. `(lsn, epoch)` identifies it: two entries with the same pair are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The position of the entry.
    pub lsn: Lsn,
    /// The epoch of the leader that appended the entry; kept when a later leader sends it on.
    pub epoch: Epoch,
    /// The content of the entry.
    pub payload: Payload,
}

impl Entry {
    /// Gives the Config of the entry, if it is a Config entry.
    #[must_use]
    pub fn config(&self) -> Option<LoggedConfig> {
        match &self.payload {
            Payload::Config(config) => Some(LoggedConfig {
                lsn: self.lsn,
                config: config.clone(),
            }),
            Payload::Command(_) => None,
        }
    }
}

/// The content of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// A Config: the members from this entry on.
    Config(Config),
    /// A change of the replicated state; the core does not look inside.
    Command(Bytes),
}

/// The position and epoch of the last entry of a log. Logs are ranked by it: first by epoch, then by length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LastEntry {
    /// The epoch of the last entry; `Epoch::NONE` for an empty log.
    pub epoch: Epoch,
    /// The LSN of the last entry.
    pub lsn: Lsn,
}

/// The description of a snapshot of the state: it replaces the log up to its LSN, all of it committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The last entry that was applied to the state.
    pub lsn: Lsn,
    /// The epochs of the log up to this LSN.
    pub epochs: EpochHistory,
    /// The newest Config up to this LSN.
    pub config: LoggedConfig,
}

impl Snapshot {
    /// Gives the last entry that was applied to the snapshot.
    pub(crate) fn last_entry(&self) -> LastEntry {
        LastEntry {
            epoch: self.epochs.newest(),
            lsn: self.lsn,
        }
    }

    /// Tells whether a replica can have taken this snapshot while no epoch above `epoch_max` had led.
    pub(crate) fn is_sound(&self, epoch_max: Epoch) -> bool {
        let Snapshot {
            lsn,
            epochs,
            config: newest,
        } = self;
        epochs.is_sound(*lsn)
            && (Lsn(1)..=*lsn).contains(&newest.lsn)
            && !newest.config.members.is_empty()
            && lsn.0 < 1 << 62
            && self.last_entry().epoch <= epoch_max
            && epochs.at(Lsn(1)) > Epoch::NONE
    }
}

/// The content of the store at the start of a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The highest epoch promised; `Epoch::NONE` in a new store.
    pub promised: Epoch,
    /// The epochs of the log. Empty when nothing was ever written.
    pub epochs: EpochHistory,
    /// The LSN of the first entry that the log still has; past `last` if there is none.
    pub start: Lsn,
    /// The LSN of the last entry in the log.
    pub last: Lsn,
    /// The LSN up to which all entries are applied, and so committed.
    pub applied: Lsn,
    /// The LSN of the last `Effect::Settle`; zero if there was none.
    pub settled: Lsn,
    /// The newest Config at or below `applied`, if any, and each Config above it; ascending.
    pub configs: Vec<LoggedConfig>,
    /// The entries above `applied`, all of them.
    pub tail: Vec<Entry>,
}

impl Recovered {
    /// Gives the content of a store in which nothing was ever written.
    #[must_use]
    pub fn empty() -> Recovered {
        Recovered {
            promised: Epoch::NONE,
            epochs: EpochHistory::EMPTY,
            start: Lsn(1),
            last: Lsn::ZERO,
            applied: Lsn::ZERO,
            settled: Lsn::ZERO,
            configs: Vec::new(),
            tail: Vec::new(),
        }
    }
}

/// Tells whether these entries can follow an entry at `prev_lsn` of `prev_epoch` in a log: they are consecutive,
/// their epochs do not fall and are not past `epoch_max`, and the first entry of a log is a Config.
pub(crate) fn can_follow(
    prev_lsn: Lsn,
    prev_epoch: Epoch,
    entries: &[Entry],
    epoch_max: Epoch,
) -> bool {
    let mut lsn = prev_lsn;
    let mut epoch = prev_epoch;
    entries.iter().all(|entry| {
        let next = entry.lsn == lsn.next() && entry.epoch >= epoch && entry.epoch <= epoch_max;
        let first_is_config = entry.lsn > Lsn(1) || matches!(entry.payload, Payload::Config(_));
        lsn = entry.lsn;
        epoch = entry.epoch;
        next && first_is_config && epoch > Epoch::NONE
    })
}

impl Payload {
    /// Gives the number of bytes that the payload counts for in limits.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Payload::Config(config) => 32 + 20 * config.members.len(),
            Payload::Command(bytes) => bytes.len(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Log {
    epochs: EpochHistory,
    /// The newest committed Config, if any, and every later one.
    configs: Vec<LoggedConfig>,
    /// The last entries of the log, without gaps up to `last`.
    window: VecDeque<Entry>,
    window_bytes: usize,
    /// The first entry that the store has; past `last` if there is none.
    start: Lsn,
    last: Lsn,
}

impl Log {
    pub(crate) fn recover(recovered: &Recovered) -> Log {
        let mut log = Log {
            epochs: recovered.epochs.clone(),
            configs: recovered.configs.clone(),
            window: recovered.tail.iter().cloned().collect(),
            window_bytes: recovered.tail.iter().map(|e| e.payload.bytes()).sum(),
            start: recovered.start,
            last: recovered.last,
        };
        log.forget_configs(recovered.applied);
        log.check();
        log
    }

    /// Makes the log of a replica that has only this snapshot.
    pub(crate) fn after(snapshot: &Snapshot) -> Log {
        let log = Log {
            epochs: snapshot.epochs.clone(),
            configs: vec![snapshot.config.clone()],
            window: VecDeque::new(),
            window_bytes: 0,
            start: snapshot.lsn.next(),
            last: snapshot.lsn,
        };
        log.check();
        log
    }

    /// Gives the first entry that this replica can still send.
    pub(crate) fn start(&self) -> Lsn {
        self.start
    }

    /// Gives the last entry that was trimmed: this replica cannot send it any more.
    pub(crate) fn trimmed(&self) -> LastEntry {
        let lsn = self.start.prev();
        let epoch = self
            .epoch_at(lsn)
            .expect("a log begins at most one past its end");
        LastEntry { epoch, lsn }
    }

    /// Notes that the store removed the entries before `start`.
    pub(crate) fn start_at(&mut self, start: Lsn) {
        assert!(start <= self.last.next());
        // A snapshot that is being installed may begin later.
        self.start = self.start.max(start);
        while self.window.front().is_some_and(|e| e.lsn < self.start) {
            self.pop_front();
        }
    }

    pub(crate) fn last(&self) -> Lsn {
        self.last
    }

    pub(crate) fn last_entry(&self) -> LastEntry {
        LastEntry {
            epoch: self.epochs.newest(),
            lsn: self.last,
        }
    }

    /// Gives the epoch of the entry at `lsn`; `Epoch::NONE` at zero, `None` past the end.
    pub(crate) fn epoch_at(&self, lsn: Lsn) -> Option<Epoch> {
        (lsn <= self.last).then(|| self.epochs.at(lsn))
    }

    /// Tells whether the entry is in this log, in memory or not.
    pub(crate) fn holds(&self, entry: LastEntry) -> bool {
        self.epoch_at(entry.lsn) == Some(entry.epoch)
    }

    /// Gives the newest Config, committed or not.
    pub(crate) fn config(&self) -> Option<&Config> {
        self.logged_config().map(|newest| &newest.config)
    }

    /// Gives the newest Config and its LSN.
    pub(crate) fn logged_config(&self) -> Option<&LoggedConfig> {
        self.configs.last()
    }

    /// Gives the newest committed Config, if any, and every later one.
    pub(crate) fn configs(&self) -> &[LoggedConfig] {
        &self.configs
    }

    /// Gives the LSN of the first entry whose payload is in memory; past the end if there is none.
    pub(crate) fn window_start(&self) -> Lsn {
        self.window.front().map_or(self.last.next(), |e| e.lsn)
    }

    /// Gives those of the consecutive entries that are not in this log, and the LSN from which it must be cut before
    /// they are appended.
    pub(crate) fn news(&self, entries: Vec<Entry>) -> (Option<Lsn>, Vec<Entry>) {
        let known = |entry: &Entry| self.epoch_at(entry.lsn) == Some(entry.epoch);
        let fresh: Vec<Entry> = entries.into_iter().skip_while(known).collect();
        let first = fresh.first().map(|entry| entry.lsn);
        (first.filter(|&lsn| lsn <= self.last), fresh)
    }

    pub(crate) fn append(&mut self, entry: Entry) {
        assert_eq!(entry.lsn, self.last.next(), "entries are appended in order");
        assert!(
            entry.epoch >= self.epochs.newest(),
            "epochs never fall along the log"
        );
        self.epochs.append(entry.lsn, entry.epoch);
        self.configs.extend(entry.config());
        self.last = entry.lsn;
        self.window_bytes += entry.payload.bytes();
        self.window.push_back(entry);
    }

    /// Removes the entries from `from` on. The caller has checked that none of them is committed.
    pub(crate) fn truncate(&mut self, from: Lsn) {
        assert!(from > Lsn::ZERO && from >= self.window_start());
        while self.window.back().is_some_and(|e| e.lsn >= from) {
            let cut = self.window.pop_back().expect("a back was seen");
            self.window_bytes -= cut.payload.bytes();
        }
        self.epochs.truncate(from);
        self.configs.retain(|logged| logged.lsn < from);
        self.last = from.prev();
    }

    /// Gives the entries from `from` on, as many as the limits allow in one message, at least one if there is one.
    /// `None` when `from` is not in memory any more.
    pub(crate) fn batch(&self, from: Lsn, limits: &Limits) -> Option<Vec<Entry>> {
        if from < self.window_start() {
            return None;
        }
        let skip = usize::try_from(from.0 - self.window_start().0).ok()?;
        let mut bytes = 0;
        let batch = self
            .window
            .iter()
            .skip(skip)
            .take(limits.batch_entries_max)
            .take_while(|e| {
                let first = bytes == 0;
                bytes += e.payload.bytes().max(1);
                first || bytes <= limits.batch_bytes_max
            });
        Some(batch.cloned().collect())
    }

    /// Gives the entries from `from` through `through`, all of which are in memory.
    pub(crate) fn range(&self, from: Lsn, through: Lsn) -> Vec<Entry> {
        assert!(from >= self.window_start() && through <= self.last);
        let skip = usize::try_from(from.0 - self.window_start().0).expect("the window fits memory");
        let take = usize::try_from(through.0 + 1 - from.0).expect("the window fits memory");
        self.window.iter().skip(skip).take(take).cloned().collect()
    }

    /// Gives the number of payload bytes after `commit`.
    pub(crate) fn bytes_past(&self, commit: Lsn) -> usize {
        let past = self.window.iter().rev().take_while(|e| e.lsn > commit);
        past.map(|e| e.payload.bytes()).sum()
    }

    /// Removes the entries that exceed the bound from memory, and Configs that were replaced. An entry stays until it
    /// is committed and on this disk, where it can be read again when another replica needs it.
    pub(crate) fn trim(&mut self, commit: Lsn, durable: Lsn, window_bytes_max: usize) {
        let through = commit.min(durable);
        while self.window_bytes > window_bytes_max
            && self.window.front().is_some_and(|e| e.lsn <= through)
        {
            self.pop_front();
        }
        self.forget_configs(commit);
    }

    fn pop_front(&mut self) {
        let gone = self.window.pop_front().expect("a front was seen");
        self.window_bytes -= gone.payload.bytes();
    }

    fn forget_configs(&mut self, commit: Lsn) {
        let committed = self.configs.partition_point(|logged| logged.lsn <= commit);
        self.configs.drain(..committed.saturating_sub(1));
    }

    /// Checks the invariants of the log alone.
    pub(crate) fn check(&self) {
        assert_eq!(
            self.last == Lsn::ZERO,
            self.configs.is_empty(),
            "a log begins with a Config"
        );
        assert_eq!(self.last == Lsn::ZERO, self.epochs.is_empty());
        assert!(self.window.back().is_none_or(|e| e.lsn == self.last));
        assert!(self.window_start().0 + self.window.len() as u64 == self.last.0 + 1);
        assert!(self.start > Lsn::ZERO && self.start <= self.window_start());
        assert!(self.epochs.ascends());
        assert!(self.configs.is_sorted_by(|a, b| a.lsn < b.lsn));
    }
}
