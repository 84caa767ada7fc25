//! One transaction of the writer: the effect of each operation, and the position of the store afterwards.

use std::sync::Arc;

use rusqlite::{Transaction, params};
use tercet_core::{
    effect::Write,
    id::Lsn,
    log::{Entry, Payload},
};
use tercet_proto::log::outcome;

use super::{
    StoreError,
    apply::{AccountCache, Batch, apply},
    identity, log,
    ops::{Applied, Executed, OutcomeCallback},
    position::{self, Position},
    requests, roster,
    snapshot::Source,
    trim,
    window::Limits,
};

/// A transaction under way, and the position of the store after its commit.
pub(super) struct Step<'a> {
    pub transaction: Transaction<'a>,
    pub known: &'a mut AccountCache,
    pub outcome_callback: Option<&'a mut OutcomeCallback>,
    pub at: Position,
    pub applied_before: Lsn,
    pub request_limits: Limits,
    /// Requests at or below this LSN had no rows before.
    pub forgotten_before: u64,
    pub executed: Executed,
    /// The number of [`Executed::applied`] that were reported to the outcome callback.
    pub told: usize,
    pub roster_changed: bool,
    pub cleanups_changed: bool,
    /// Whether `at.settled` must be written.
    pub settled_changed: bool,
}

impl Step<'_> {
    pub fn persist(&mut self, write: &Write) -> Result<(), StoreError> {
        if let Some(promised) = write.promised {
            assert!(
                promised >= self.at.promised,
                "promise of {promised} after {}",
                self.at.promised
            );
            identity::promise(&self.transaction, promised)?;
            self.at.promised = promised;
        }
        if let Some(from) = write.truncate_from {
            assert!(
                from > self.at.applied,
                "cut from {from} on, with {} applied",
                self.at.applied
            );
            let (end, bytes) = log::truncate(&self.transaction, &self.at.base, from)?;
            self.at.end = end;
            self.at.log_bytes = self.at.log_bytes.saturating_sub(bytes);
        }
        let mut end = (self.at.end.lsn, self.at.end.epoch);
        for entry in &write.entries {
            assert!(
                entry.lsn == end.0.next() && entry.epoch >= end.1,
                "append of entry {} of epoch {} after {} of {}",
                entry.lsn,
                entry.epoch,
                end.0,
                end.1
            );
            end = (entry.lsn, entry.epoch);
        }
        let bytes = log::append(&self.transaction, &mut self.at.end, &write.entries)?;
        self.at.log_bytes += bytes;
        Ok(())
    }

    /// Notes a settled LSN; of several in one transaction the last counts.
    pub fn settle(&mut self, lsn: Lsn) {
        self.at.settled = lsn;
        self.settled_changed = true;
    }

    pub fn trim(&mut self, through: Lsn) -> Result<(), StoreError> {
        assert!(through <= self.at.applied, "trims were checked");
        if through >= self.at.base.start() {
            let (base, bytes) = trim::trim(&self.transaction, &self.at.base, through)?;
            self.at.base = Arc::new(base);
            self.at.log_bytes = self.at.log_bytes.saturating_sub(bytes);
        }
        self.executed.trimmed = Some(self.at.base.start());
        Ok(())
    }

    pub fn install(&mut self, source: &Source) -> Result<(), StoreError> {
        let lsn = source.snapshot.lsn;
        assert!(
            lsn > self.at.applied,
            "snapshot of {lsn}, with {} applied",
            self.at.applied
        );
        let roster = roster::read(&self.transaction)?;
        // The snapshot has another row of the position.
        self.settled_changed = true;
        let base = source.install(&self.transaction)?;
        self.known.clear();
        self.at.end = base.end;
        self.at.applied = base.end.lsn;
        // The snapshot comes trimmed and with its position.
        self.applied_before = base.end.lsn;
        self.at.base = Arc::new(base);
        let applied = self.at.applied;
        self.at.indexed.rebuild(&self.transaction, applied)?;
        self.at.log_bytes = 0;
        self.at.mark = position::read_mark(&self.transaction)?;
        self.forgotten_before = self
            .at
            .mark
            .window
            .removed(self.request_limits, self.at.applied.0);
        self.roster_changed = roster::read(&self.transaction)? != roster;
        self.cleanups_changed = true;
        Ok(())
    }

    /// Applies entries through the first Checkpoint; gives their number, and the Checkpoint's LSN.
    pub fn apply(
        &mut self,
        entries: &[Entry],
        is_heard: bool,
    ) -> Result<(usize, Option<u64>), StoreError> {
        let indexed = &mut self.at.indexed;
        let mut batch = Batch::new(&self.transaction, indexed, self.request_limits, is_heard)?;
        for (count, entry) in (1..).zip(entries) {
            assert!(
                entry.lsn == self.at.applied.next() && entry.lsn <= self.at.end.lsn,
                "apply of {}, with {} applied and the log ending at {}",
                entry.lsn,
                self.at.applied,
                self.at.end.lsn
            );
            self.at.applied = entry.lsn;
            let Payload::Command(command) = &entry.payload else {
                continue;
            };
            let mark = &mut self.at.mark;
            let done = apply(&mut batch, self.known, entry.lsn, command, mark)?;
            let effects = done.effects;
            if is_heard {
                self.executed.applied.push(Applied {
                    lsn: entry.lsn.0,
                    outcome: done.outcome,
                    events: effects.events,
                });
            }
            self.roster_changed |= effects.roster_changed;
            self.cleanups_changed |= effects.cleanups_changed;
            if effects.checkpoint {
                return Ok((count, Some(entry.lsn.0)));
            }
        }
        Ok((entries.len(), None))
    }

    /// Reports the outcomes of messages that were not reported yet, up to the first entry with another kind of
    /// outcome: that one and later ones are reported when they are durable.
    pub fn report_outcomes(&mut self) {
        let Some(outcome_callback) = &mut self.outcome_callback else {
            return;
        };
        let sent = |applied: &&Applied| {
            matches!(
                applied.outcome.result,
                Some(outcome::Result::MessageSent(_) | outcome::Result::RoomMessageSent(_))
            )
        };
        let applied = &self.executed.applied[self.told..];
        let told = applied.iter().take_while(sent);
        let told: Vec<_> = told.map(|a| (Lsn(a.lsn), a.outcome.clone())).collect();
        let all = told.len() == applied.len();
        self.told += told.len();
        if !told.is_empty() {
            outcome_callback(told);
        }
        if !all {
            self.outcome_callback = None;
        }
    }

    pub fn catch_up_index(&mut self) -> Result<(), StoreError> {
        let applied = self.at.applied;
        self.at.indexed.catch_up(&self.transaction, applied)
    }

    pub fn commit(mut self) -> Result<(Position, Executed), StoreError> {
        if self.at.applied > self.applied_before {
            let window = self.at.mark.window;
            let forgotten = window.removed(self.request_limits, self.at.applied.0);
            requests::trim(&self.transaction, self.forgotten_before, forgotten)?;
            self.transaction
                .prepare_cached(
                    "UPDATE position SET applied_lsn = ?1, last_stamp_ms = ?2, command_version = ?3,
                         request_clock_ms = ?4, request_floor = ?5, request_floor_ms = ?6,
                         settled_lsn = ?7",
                )?
                .execute(params![
                    self.at.applied.0,
                    self.at.mark.stamp_ms,
                    self.at.mark.command_version,
                    window.clock_ms,
                    window.floor,
                    window.floor_ms,
                    self.at.settled.0
                ])?;
        } else if self.settled_changed {
            self.transaction
                .prepare_cached("UPDATE position SET settled_lsn = ?1")?
                .execute([self.at.settled.0])?;
        }
        if self.at.indexed.is_due(self.at.applied) {
            self.catch_up_index()?;
        }
        if self.roster_changed {
            self.executed.roster = roster::read(&self.transaction)?;
        }
        if self.cleanups_changed {
            self.at.cleanups_left = position::has_cleanups(&self.transaction)?;
        }
        self.executed.cleanups_left = self.at.cleanups_left;
        self.transaction.commit()?;
        Ok((self.at, self.executed))
    }
}
