//! Queries of what an account wants to be notified of.

use std::collections::HashMap;

use rusqlite::Connection;

use super::{super::StoreError, Query, integer};
use crate::levels::Level;

/// Reads the notification levels of an account that are not the default, by conversation.
pub(super) fn of(state: &Connection, account_id: u64) -> Result<HashMap<u64, Level>, StoreError> {
    let mut select =
        state.prepare_cached("SELECT conversation_id, level FROM levels WHERE account_id = ?1")?;
    let mut rows = select.query([integer(account_id)])?;
    let mut levels = HashMap::new();
    while let Some(row) = rows.next()? {
        let number: u32 = row.get(1)?;
        let level = Level::of_number(number)
            .ok_or_else(|| StoreError::Corrupt(format!("a notification level {number}")))?;
        levels.insert(row.get(0)?, level);
    }
    Ok(levels)
}

/// The keywords of an account, as they were typed, in order without case.
#[derive(Clone, Copy, Debug)]
pub struct KeywordsOf {
    pub account_id: u64,
}

impl Query for KeywordsOf {
    type Rows = Vec<String>;

    fn read(&self, state: &Connection) -> Result<Vec<String>, StoreError> {
        let mut select = state
            .prepare_cached("SELECT keyword FROM keywords WHERE account_id = ?1 ORDER BY folded")?;
        let rows = select.query_map([integer(self.account_id)], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
