//! The places at which pages of a conversation start: a seq, a cursor or a time. Cursors and times ascend with seqs, so
//! each is found by halving.

use rusqlite::{Connection, OptionalExtension as _};

use super::{
    AppliedLsn, Query as _, Step, backlog::first_seq_after, integer, seq_index::HIDDEN,
    seq_index::SHOWN,
};
use crate::StoreError;

/// The place at which a page of a conversation starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Seq(Step),
    Cursor(Step),
    /// The newest messages sent before a time, milliseconds since the Unix epoch.
    BeforeTime(i64),
    /// The oldest messages sent at a time or later.
    FromTime(i64),
}

impl From<Step> for Start {
    fn from(step: Step) -> Start {
        Start::Seq(step)
    }
}

impl Start {
    /// Tells whether the pages go from the oldest message to newer ones.
    #[must_use]
    pub fn is_ascending(self) -> bool {
        match self {
            Start::Seq(step) | Start::Cursor(step) => matches!(step, Step::After(_)),
            Start::BeforeTime(_) => false,
            Start::FromTime(_) => true,
        }
    }

    /// Finds the place among the seqs of a conversation. `first_from` gives the seq of the first message whose cursor is
    /// not below that one.
    fn among_seqs(
        self,
        state: &Connection,
        first_from: impl Fn(u64) -> Result<Option<u64>, StoreError>,
    ) -> Result<Step, StoreError> {
        let at_time = |ms| first_lsn_at(state, ms, AppliedLsn.read(state)?);
        let (is_ascending, lsn) = match self {
            Start::Seq(step) => return Ok(step),
            Start::Cursor(Step::Before(lsn)) => (false, lsn),
            Start::Cursor(Step::After(lsn)) => (true, lsn.saturating_add(1)),
            Start::BeforeTime(ms) => (false, at_time(ms)?),
            Start::FromTime(ms) => (true, at_time(ms)?),
        };
        // Without such a message the place is behind the last one.
        let seq = first_from(lsn)?.unwrap_or(i64::MAX as u64);
        Ok(match is_ascending {
            true => Step::After(seq.saturating_sub(1)),
            false => Step::Before(seq),
        })
    }

    /// Finds the place among the seqs of a direct conversation; `None`: the conversation has no messages.
    pub(super) fn in_direct(
        self,
        state: &Connection,
        conversation_id: Option<u64>,
        account_id: u64,
    ) -> Result<Step, StoreError> {
        self.among_seqs(state, |lsn| {
            let Some(id) = conversation_id.map(integer) else {
                return Ok(None);
            };
            let (of, after) = ((id, integer(account_id)), integer(lsn.saturating_sub(1)));
            let not_indexed: Option<i64> = state
                .prepare_cached(
                    "SELECT seq FROM messages NOT INDEXED
                     WHERE lsn > (SELECT through_lsn FROM indexed) AND lsn > ?2
                         AND conversation_id = ?1
                     ORDER BY lsn LIMIT 1",
                )?
                .query_row([id, after], |row| row.get(0))
                .optional()?;
            let found = [
                SHOWN.first_after(state, of, after)?,
                HIDDEN.first_after(state, of, after)?,
                not_indexed,
            ];
            let first = found.into_iter().flatten().min();
            Ok(first.and_then(|seq| u64::try_from(seq).ok()))
        })
    }

    /// Finds the place among the seqs of a room.
    pub(super) fn in_room(self, state: &Connection, room_id: u64) -> Result<Step, StoreError> {
        self.among_seqs(state, |lsn| {
            let after = lsn.saturating_sub(1);
            if let Some(seq) = first_seq_after(state, room_id, 1, after)? {
                return Ok(Some(seq));
            }
            let not_indexed = state
                .prepare_cached(
                    "SELECT seq FROM room_messages NOT INDEXED
                     WHERE lsn > (SELECT through_lsn FROM indexed) AND lsn > ?2 AND room_id = ?1
                     ORDER BY lsn LIMIT 1",
                )?
                .query_row([integer(room_id), integer(after)], |row| row.get(0))
                .optional()?;
            Ok(not_indexed)
        })
    }
}

/// Finds the first LSN from which on no message was sent before a time, up to the one after `through`. Stamps never run
/// backwards along LSNs, so it is found by halving.
pub(crate) fn first_lsn_at(state: &Connection, ms: i64, through: u64) -> Result<u64, StoreError> {
    let mut next = state.prepare_cached(
        "SELECT lsn, sent_at_ms FROM (
             SELECT * FROM (SELECT lsn, sent_at_ms FROM messages WHERE lsn >= ?1 ORDER BY lsn LIMIT 1)
             UNION ALL
             SELECT * FROM (SELECT lsn, sent_at_ms FROM room_messages WHERE lsn >= ?1 ORDER BY lsn LIMIT 1))
         ORDER BY lsn LIMIT 1",
    )?;
    // The answer is in low..=high.
    let (mut low, mut high) = (0, through.saturating_add(1));
    while low < high {
        let middle = low + (high - low) / 2;
        let found: Option<(u64, i64)> = next
            .query_row([middle], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        match found {
            Some((lsn, sent_at_ms)) if sent_at_ms < ms => low = lsn.saturating_add(1).min(high),
            _ => high = middle,
        }
    }
    Ok(low)
}
