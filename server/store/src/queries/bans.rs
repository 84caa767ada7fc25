//! Queries of bans.

use rusqlite::{Connection, params};

use super::{super::StoreError, Page, PageLimit, Query, integer, one_more, rooms};
use crate::rooms::{Act, Denied};

/// A ban of an account from a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BanRow {
    /// The banned account.
    pub account_id: u64,
    /// Its name as it was registered.
    pub username: String,
    /// The name of the account that banned it, as it was registered.
    pub banned_by: String,
    /// Milliseconds since the Unix epoch.
    pub banned_at_ms: i64,
}

/// The live accounts that are banned from a room, ascending by account id, for those who may ban.
#[derive(Clone, Debug)]
pub struct BansOf {
    /// The account that asks.
    pub account_id: u64,
    /// The name of the room, without the `#`.
    pub room: String,
    /// The account id that the page comes after.
    pub after: u64,
    pub limit: usize,
}

impl Query for BansOf {
    /// The id of the room and a page of its bans.
    type Rows = Result<(u64, Page<BanRow>), Denied>;

    fn read(&self, state: &Connection) -> Result<Self::Rows, StoreError> {
        let room_id = match rooms::find(state, &self.room, self.account_id, Act::Ban)? {
            Ok(id) => id,
            Err(denied) => return Ok(Err(denied)),
        };
        let mut select = state.prepare_cached(
            "SELECT u.id, u.username, by.username, b.banned_at_ms
             FROM bans AS b CROSS JOIN users AS u ON u.id = b.account_id
             CROSS JOIN users AS by ON by.id = b.banned_by
             WHERE b.room_id = ?1 AND b.account_id > ?2 AND u.deleted_at_lsn IS NULL
             ORDER BY b.account_id LIMIT ?3",
        )?;
        let of_page = params![integer(room_id), integer(self.after), one_more(self.limit)];
        let found = select.query_map(of_page, |row| {
            Ok(BanRow {
                account_id: row.get(0)?,
                username: row.get(1)?,
                banned_by: row.get(2)?,
                banned_at_ms: row.get(3)?,
            })
        })?;
        let page = Page::fill(found, PageLimit::of_rows(self.limit), |_| 0)?;
        Ok(Ok((room_id, page)))
    }
}
