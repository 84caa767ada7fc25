//! Queries of what accounts show of themselves.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    super::{StoreError, name_key},
    NamePattern, Page, PageLimit, Query, integer, one_more,
};

/// The profile that a live account shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileRow {
    pub account_id: u64,
    /// The name as it was registered.
    pub username: String,
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: i64,
    /// "" for none.
    pub display_name: String,
    /// "" for none.
    pub status_text: String,
}

/// Selects the columns of a [`ProfileRow`].
const PROFILE: &str = "SELECT u.id, u.username, u.created_at_ms, ifnull(p.display_name, ''),
         ifnull(p.status_text, '')";

fn profile_row(row: &Row<'_>) -> rusqlite::Result<ProfileRow> {
    Ok(ProfileRow {
        account_id: row.get(0)?,
        username: row.get(1)?,
        created_at_ms: row.get(2)?,
        display_name: row.get(3)?,
        status_text: row.get(4)?,
    })
}

/// The account whose profile is read.
#[derive(Clone, Debug)]
pub enum ProfileOf {
    Id(u64),
    /// Compared without case.
    Name(String),
}

impl Query for ProfileOf {
    /// `None` when there is no such live account.
    type Rows = Option<ProfileRow>;

    fn read(&self, state: &Connection) -> Result<Option<ProfileRow>, StoreError> {
        let from = "FROM users AS u LEFT JOIN profiles AS p ON p.account_id = u.id
                    WHERE u.deleted_at_lsn IS NULL";
        let row = match self {
            ProfileOf::Id(id) => state
                .prepare_cached(&format!("{PROFILE} {from} AND u.id = ?1"))?
                .query_row([integer(*id)], profile_row),
            ProfileOf::Name(name) => state
                .prepare_cached(&format!("{PROFILE} {from} AND u.username_key = ?1"))?
                .query_row([name_key(name)], profile_row),
        };
        Ok(row.optional()?)
    }
}

/// Live accounts whose names match a pattern, ascending by lower-cased name.
#[derive(Clone, Debug)]
pub struct AccountsByPattern {
    /// `*` stands for any characters and `?` for one; without case.
    pub pattern: String,
    /// The name, lower-cased, that the page comes after; "" for the first page.
    pub after: String,
    pub limit: usize,
}

impl Query for AccountsByPattern {
    type Rows = Page<ProfileRow>;

    fn read(&self, state: &Connection) -> Result<Page<ProfileRow>, StoreError> {
        let NamePattern {
            prefix,
            prefix_end,
            glob,
        } = NamePattern::of(&self.pattern);
        let mut select = state.prepare_cached(&format!(
            "{PROFILE} FROM users AS u INDEXED BY users_living
                 LEFT JOIN profiles AS p ON p.account_id = u.id
             WHERE deleted_at_lsn IS NULL AND username_key > ?1
                 AND username_key >= ?2 AND username_key < ?3 AND username_key GLOB ?4
             ORDER BY username_key LIMIT ?5"
        ))?;
        let after = name_key(&self.after);
        let found = params![after, prefix, prefix_end, glob, one_more(self.limit)];
        let limit = PageLimit::of_rows(self.limit);
        Page::fill(select.query_map(found, profile_row)?, limit, |_| 0)
    }
}
