//! Queries of blocks.

use rusqlite::{Connection, params};

use super::{super::StoreError, Page, PageLimit, Query, integer, one_more};

/// A block by one account, of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockRow {
    /// The blocked account.
    pub account_id: u64,
    /// Its name as it was registered.
    pub username: String,
    /// Whether its messages are refused; otherwise they are hidden.
    pub refuse: bool,
    /// Milliseconds since the Unix epoch.
    pub blocked_at_ms: i64,
}

/// The live accounts that an account blocks, ascending by lower-cased name.
#[derive(Clone, Debug)]
pub struct BlocksOf {
    pub account_id: u64,
    /// The name, lower-cased, that the page comes after; "" for the first page.
    pub after: String,
    pub limit: usize,
}

impl Query for BlocksOf {
    type Rows = Page<BlockRow>;

    fn read(&self, state: &Connection) -> Result<Page<BlockRow>, StoreError> {
        let mut select = state.prepare_cached(
            "SELECT u.id, u.username, b.refuse, b.blocked_at_ms
             FROM blocks AS b CROSS JOIN users AS u ON u.id = b.blocked_id
             WHERE b.blocker_id = ?1 AND u.deleted_at_lsn IS NULL AND u.username_key > ?2
             ORDER BY u.username_key LIMIT ?3",
        )?;
        let of_page = params![integer(self.account_id), self.after, one_more(self.limit)];
        let rows = select.query_map(of_page, |row| {
            Ok(BlockRow {
                account_id: row.get(0)?,
                username: row.get(1)?,
                refuse: row.get(2)?,
                blocked_at_ms: row.get(3)?,
            })
        })?;
        Page::fill(rows, PageLimit::of_rows(self.limit), |_| 0)
    }
}
