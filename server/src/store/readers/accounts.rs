//! Reads of accounts and sessions.

use rusqlite::{OptionalExtension as _, Row, params};

use super::{
    super::{Account, Session, StoreError, name_key},
    Readers, collect, integer, is_kept, limit_of,
};

const ACCOUNT: &str = "SELECT id, username, password_hash, created_at_ms FROM users";

impl Readers {
    /// The account that has the name now, compared without case.
    pub fn account_by_name(&self, username: &str) -> Result<Option<Account>, StoreError> {
        Ok(self
            .connection()
            .prepare_cached(&format!(
                "{ACCOUNT} WHERE username_key = ?1 AND deleted_at_lsn IS NULL"
            ))?
            .query_row([name_key(username)], account)
            .optional()?)
    }

    /// A live account.
    pub fn account_by_id(&self, id: u64) -> Result<Option<Account>, StoreError> {
        Ok(self
            .connection()
            .prepare_cached(&format!(
                "{ACCOUNT} WHERE id = ?1 AND deleted_at_lsn IS NULL"
            ))?
            .query_row([integer(id)], account)
            .optional()?)
    }

    /// A session, expired or not.
    pub fn session(&self, token_hash: &[u8; 32]) -> Result<Option<Session>, StoreError> {
        Ok(self
            .connection()
            .prepare_cached(
                "SELECT account_id, username, expires_at_ms
                 FROM sessions CROSS JOIN users ON users.id = account_id
                 WHERE token_hash = ?1 AND deleted_at_lsn IS NULL
                     AND generation = session_generation",
            )?
            .query_row([token_hash], |row| {
                Ok(Session {
                    account_id: row.get(0)?,
                    username: row.get(1)?,
                    expires_at_ms: row.get(2)?,
                })
            })
            .optional()?)
    }

    /// Live accounts matching `pattern` (`*`, `?`, without case) whose name, lower-cased, is
    /// greater than `after` ("" for the first page), ascending, at most `limit`.
    pub fn accounts(
        &self,
        pattern: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Account>, StoreError> {
        let pattern = name_key(pattern);
        // What stands before the first wildcard bounds the part of the index that is searched.
        let prefix = pattern.split(['*', '?']).next().unwrap_or_default();
        let prefix_end = format!("{prefix}{}", char::MAX);
        // In GLOB `[` begins a set; a set of it alone is the letter itself.
        let glob = pattern.replace('[', "[[]");
        collect(
            &self.connection(),
            &format!(
                "{ACCOUNT} INDEXED BY users_living
                 WHERE deleted_at_lsn IS NULL AND username_key > ?1
                     AND username_key >= ?2 AND username_key < ?3 AND username_key GLOB ?4
                 ORDER BY username_key LIMIT ?5"
            ),
            params![name_key(after), prefix, prefix_end, glob, limit_of(limit)],
            account,
        )
    }

    /// Whether an account was ever made, deleted ones too.
    pub fn has_accounts(&self) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM users)";
        let connection = self.connection();
        let mut statement = connection.prepare_cached(sql)?;
        Ok(statement.query_row([], |row| row.get(0))?)
    }

    /// Resolves the other side of a conversation of `account_id`: the live account of that name,
    /// else the latest deleted one of that name with which `account_id` has messages.
    pub fn peer_by_name(&self, account_id: u64, name: &str) -> Result<Option<u64>, StoreError> {
        Ok(self
            .connection()
            .prepare_cached(concat!(
                "SELECT coalesce(
                    (SELECT id FROM users WHERE username_key = ?2 AND deleted_at_lsn IS NULL),
                    (SELECT max(u.id)
                     FROM users AS u INDEXED BY users_deleted
                     CROSS JOIN conversations AS c
                         ON c.low_account = min(u.id, ?1) AND c.high_account = max(u.id, ?1)
                     WHERE u.username_key = ?2 AND u.deleted_at_lsn IS NOT NULL
                         AND (EXISTS (SELECT 1 FROM conversation_messages AS i
                                          CROSS JOIN messages AS m ON m.lsn = i.lsn
                                      WHERE i.conversation_id = c.id AND ",
                is_kept!(),
                ")
                             OR EXISTS (SELECT 1 FROM messages AS m NOT INDEXED
                                        WHERE m.lsn > (SELECT through_lsn FROM indexed)
                                            AND m.conversation_id = c.id AND ",
                is_kept!(),
                "))))"
            ))?
            .query_row(params![integer(account_id), name_key(name)], |row| {
                row.get(0)
            })?)
    }
}

fn account(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account {
        id: row.get(0)?,
        username: row.get(1)?,
        password_hash: row.get(2)?,
        created_at_ms: row.get(3)?,
    })
}
