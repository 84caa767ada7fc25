//! The window in which finished requests are remembered: by the number of entries since, and by time.
//!
//! A client retries for at most a minute, and a full server logs a million entries in a quarter of a minute, so
//! the number alone is not enough. Time comes from the stamps, because applying reads no clock. A jump of the
//! stamps, by a wrong clock or because nothing was written for a while, counts for at most [`GAP_MAX_MS`].
//!
//! A forgotten request may be sent again. Ids of version 7 carry the time at which they were made, so an id as
//! old as forgotten ones is refused and never applied a second time. Other ids carry no time: they are
//! remembered for as long, and are new requests after that.
//!
//! All of this is part of the replicated state's definition from command version 1 on: all replicas must agree
//! on it. Until the first command of that version, requests are remembered by the number alone.

use rusqlite::{Connection, params};

use super::StoreError;

/// Steps into which `entries_min` is divided; requests are forgotten step by step.
const STEPS: u64 = 1_000;

/// Steps that are forgotten at once. A command adds less than one, so a backlog is removed in bounded parts.
const FORGOTTEN_MAX: u64 = 4;

/// The greatest advance that the stamps of two consecutive commands count for, milliseconds.
const GAP_MAX_MS: i64 = 10_000;

/// The age up to which a request is never refused, by the time in its id and cluster time, milliseconds: twice
/// as long as clients retry.
const FRESH_MS: i64 = 120_000;

/// The time by which a client's clock may be ahead of cluster time, milliseconds, so that a retry of a forgotten request
/// is still recognized by its id.
const CLOCK_ERROR_MS: i64 = 60_000;

/// The limits of the window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The number of entries for which requests are remembered in any case.
    pub entries_min: u64,
    /// The number of entries after which requests are forgotten in any case. A request takes about 35 bytes,
    /// and its answer, unless it is a message, about 100: so this is 1 GB or more.
    pub entries_max: u64,
    /// The time for which requests between the two are remembered, milliseconds.
    pub kept_ms: i64,
}

impl Limits {
    pub const ALL: Limits = Limits {
        entries_min: 1_000_000,
        // Five minutes at 100,000 a second.
        entries_max: 32_000_000,
        // Ten minutes: ten times as long as any of our clients retries.
        kept_ms: 600_000,
    };

    /// Makes limits by the number alone.
    #[cfg(test)]
    pub fn of_entries(count: u64) -> Limits {
        Limits {
            entries_min: count,
            entries_max: count,
            kept_ms: 0,
        }
    }

    fn step(self) -> u64 {
        (self.entries_min / STEPS).max(1)
    }
}

/// The command that the window advances to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub lsn: u64,
    /// The command's version.
    pub version: u32,
    /// The greatest stamp before the command.
    pub before_ms: i64,
    /// The greatest stamp including the command's.
    pub stamp_ms: i64,
    /// Cluster time, which is earlier than the stamps after a wrong clock.
    pub time_ms: i64,
}

/// The position of the window; replicated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Window {
    /// Milliseconds of the stamps since the first command of version 1, without jumps. `None` before that
    /// command.
    pub clock_ms: Option<i64>,
    /// Requests at or below this LSN are forgotten.
    pub floor: u64,
    /// Cluster time at the newest forgotten request, or a little later, milliseconds since the Unix epoch; 0 if
    /// none was forgotten since the first command of version 1.
    pub floor_ms: i64,
}

impl Window {
    pub fn read(connection: &Connection) -> Result<Window, StoreError> {
        let sql = "SELECT request_clock_ms, request_floor, request_floor_ms FROM position";
        let mut statement = connection.prepare_cached(sql)?;
        let window = statement.query_row([], |row| {
            Ok(Window {
                clock_ms: row.get(0)?,
                floor: row.get(1)?,
                floor_ms: row.get(2)?,
            })
        })?;
        Ok(window)
    }

    /// Gives the floor for the entry at `lsn`: requests at or below it are forgotten.
    pub fn floor(self, limits: Limits, lsn: u64) -> u64 {
        match self.clock_ms {
            Some(_) => self.floor,
            None => lsn.saturating_sub(limits.entries_min),
        }
    }

    /// Gives the LSN through which requests have no rows, once everything through `applied` is applied.
    pub fn removed(self, limits: Limits, applied: u64) -> u64 {
        let step = limits.step();
        match self.clock_ms {
            Some(_) => self.floor,
            None => (applied - applied % step).saturating_sub(limits.entries_min),
        }
    }

    /// Advances to a command.
    pub fn advance(
        &mut self,
        connection: &Connection,
        limits: Limits,
        now: Now,
    ) -> Result<(), StoreError> {
        let clock_ms = match self.clock_ms {
            None if now.version == 0 => return Ok(()),
            None => {
                self.floor = self.removed(limits, now.lsn - 1);
                0
            }
            Some(clock_ms) => {
                let gap_ms = now.stamp_ms.saturating_sub(now.before_ms);
                clock_ms.saturating_add(gap_ms.clamp(0, GAP_MAX_MS))
            }
        };
        self.clock_ms = Some(clock_ms);
        if now.lsn.is_multiple_of(limits.step()) {
            connection
                .prepare_cached(
                    "INSERT INTO request_marks (lsn, clock_ms, time_ms) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![now.lsn, clock_ms, now.time_ms])?;
            self.forget(connection, limits, now.lsn, clock_ms)?;
        }
        Ok(())
    }

    /// Moves the floor to the newest mark that is old enough, within the limit for one command.
    fn forget(
        &mut self,
        connection: &Connection,
        limits: Limits,
        lsn: u64,
        clock_ms: i64,
    ) -> Result<(), StoreError> {
        let furthest = self.floor + FORGOTTEN_MAX * limits.step();
        let floor = self.floor;
        let mut marks = connection.prepare_cached(
            "SELECT lsn, clock_ms, time_ms FROM request_marks WHERE lsn > ?1 ORDER BY lsn",
        )?;
        let mut marks = marks.query([floor])?;
        while self.floor < furthest
            && let Some(mark) = marks.next()?
        {
            let (at, at_clock_ms, time_ms): (u64, i64, i64) =
                (mark.get(0)?, mark.get(1)?, mark.get(2)?);
            let since = lsn - at;
            let old = since >= limits.entries_min && clock_ms - at_clock_ms >= limits.kept_ms;
            if !old && since < limits.entries_max {
                break;
            }
            self.floor = at.min(furthest);
            self.floor_ms = self.floor_ms.max(time_ms);
        }
        if self.floor > floor {
            connection
                .prepare_cached("DELETE FROM request_marks WHERE lsn <= ?1")?
                .execute([self.floor])?;
        }
        Ok(())
    }

    /// Tells whether a request with that id, which is not remembered, may have been applied and forgotten.
    /// `time_ms` is as in [`Now`].
    pub fn may_have_forgotten(self, id: &[u8], time_ms: i64) -> bool {
        let Some(made_ms) = made_at_ms(id).filter(|_| self.clock_ms.is_some()) else {
            return false;
        };
        let fresh = made_ms > time_ms.saturating_sub(FRESH_MS);
        self.floor_ms > 0 && !fresh && made_ms <= self.floor_ms.saturating_add(CLOCK_ERROR_MS)
    }
}

/// Gives the time in an id, milliseconds since the Unix epoch, if it is a UUID of version 7.
fn made_at_ms(id: &[u8]) -> Option<i64> {
    let id: &[u8; 16] = id.try_into().ok()?;
    let is_v7 = id[6] >> 4 == 7 && id[8] >> 6 == 0b10;
    let ms = id[..6]
        .iter()
        .fold(0, |ms, &byte| ms << 8 | i64::from(byte));
    is_v7.then_some(ms)
}
