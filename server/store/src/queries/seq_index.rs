//! The indexes of the messages of conversations by their seqs, and the places of LSNs in them.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension as _, Row};

use super::{super::StoreError, limit_of};

/// An index of the messages of conversations by their seqs, with which LSNs ascend. Seqs may have gaps.
pub(super) struct SeqIndex {
    last: &'static str,
    /// Selects the first message from a seq on.
    from: &'static str,
    page: &'static str,
}

/// Makes the index in a table, with a condition on the account that reads.
macro_rules! seq_index {
    ($table:literal, $of_account:literal) => {
        SeqIndex {
            last: concat!(
                "SELECT seq, lsn FROM ",
                $table,
                " WHERE conversation_id = ?1 AND ",
                $of_account,
                " ORDER BY seq DESC LIMIT 1"
            ),
            from: concat!(
                "SELECT seq, lsn FROM ",
                $table,
                " WHERE conversation_id = ?1 AND ",
                $of_account,
                " AND seq >= ?3 ORDER BY seq LIMIT 1"
            ),
            page: concat!(
                "SELECT lsn FROM ",
                $table,
                " WHERE conversation_id = ?1 AND ",
                $of_account,
                " AND seq >= ?3 ORDER BY seq LIMIT ?4"
            ),
        }
    };
}

/// The messages that are not hidden.
pub(super) const SHOWN: SeqIndex = seq_index!("conversation_messages", "?2 > 0");

/// The hidden messages that the account sent.
pub(super) const HIDDEN: SeqIndex = seq_index!("hidden_index", "sender_id = ?2");

impl SeqIndex {
    /// Finds a seq from which on all messages, and before which none, have LSNs above `after`; `None` when no message
    /// has.
    fn seq_after(
        &self,
        state: &Connection,
        (conversation_id, account_id): (i64, i64),
        after: i64,
    ) -> Result<Option<i64>, StoreError> {
        let place = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let last: Option<(i64, i64)> = state
            .prepare_cached(self.last)?
            .query_row([conversation_id, account_id], place)
            .optional()?;
        let Some((last_seq, _)) = last.filter(|(_, lsn)| *lsn > after) else {
            return Ok(None);
        };
        let mut from = state.prepare_cached(self.from)?;
        let (mut low, mut high) = (1, last_seq);
        while low < high {
            let middle = low + (high - low) / 2;
            let (seq, lsn): (i64, i64) =
                from.query_row([conversation_id, account_id, middle], place)?;
            match lsn > after {
                true => high = middle,
                false => low = seq + 1,
            }
        }
        Ok(Some(low))
    }

    /// Finds the seq of the first message with an LSN above `after`.
    pub fn first_after(
        &self,
        state: &Connection,
        of: (i64, i64),
        after: i64,
    ) -> Result<Option<i64>, StoreError> {
        let Some(from) = self.seq_after(state, of, after)? else {
            return Ok(None);
        };
        let first = state
            .prepare_cached(self.from)?
            .query_row([of.0, of.1, from], |row| row.get(0))
            .optional()?;
        Ok(first)
    }

    /// Adds the first LSNs above `after` and below `end` of a conversation, as the account sees it.
    pub fn add_first(
        &self,
        state: &Connection,
        of: (i64, i64),
        (after, end): (i64, i64),
        limit: usize,
        first: &mut BTreeSet<i64>,
    ) -> Result<(), StoreError> {
        let Some(seq) = self.seq_after(state, of, after)? else {
            return Ok(());
        };
        let mut page = state.prepare_cached(self.page)?;
        let mut rows = page.query([of.0, of.1, seq, limit_of(limit)])?;
        while let Some(row) = rows.next()? {
            let lsn: i64 = row.get(0)?;
            if lsn >= end {
                break;
            }
            first.insert(lsn);
        }
        Ok(())
    }
}
