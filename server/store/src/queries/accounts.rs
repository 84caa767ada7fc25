//! Queries of accounts and sessions.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    super::{Account, ApiToken, Scopes, Session, StoreError, name_key},
    Query, integer, limit_of,
};

const ACCOUNT: &str = "SELECT id, username, password_hash, created_at_ms FROM users";

/// The account that has the name now, compared without case.
#[derive(Clone, Debug)]
pub struct AccountByName {
    pub username: String,
}

impl Query for AccountByName {
    type Rows = Option<Account>;

    fn read(&self, state: &Connection) -> Result<Option<Account>, StoreError> {
        Ok(state
            .prepare_cached(&format!(
                "{ACCOUNT} WHERE username_key = ?1 AND deleted_at_lsn IS NULL"
            ))?
            .query_row([name_key(&self.username)], account)
            .optional()?)
    }
}

/// A live account.
#[derive(Clone, Debug)]
pub struct AccountById {
    pub id: u64,
}

impl Query for AccountById {
    type Rows = Option<Account>;

    fn read(&self, state: &Connection) -> Result<Option<Account>, StoreError> {
        Ok(state
            .prepare_cached(&format!(
                "{ACCOUNT} WHERE id = ?1 AND deleted_at_lsn IS NULL"
            ))?
            .query_row([integer(self.id)], account)
            .optional()?)
    }
}

/// A session or an API token, expired or not.
#[derive(Clone, Debug)]
pub struct SessionByToken {
    /// SHA-256 of the token.
    pub token_hash: [u8; 32],
}

impl Query for SessionByToken {
    type Rows = Option<Session>;

    fn read(&self, state: &Connection) -> Result<Option<Session>, StoreError> {
        // One of the two has it, if any.
        Ok(state
            .prepare_cached(
                "SELECT account_id, username, expires_at_ms, NULL
                 FROM sessions CROSS JOIN users ON users.id = account_id
                 WHERE token_hash = ?1 AND deleted_at_lsn IS NULL
                     AND generation = session_generation
                 UNION ALL
                 SELECT account_id, username, ifnull(expires_at_ms, ?2), scopes
                 FROM api_tokens CROSS JOIN users ON users.id = account_id
                 WHERE token_hash = ?1 AND deleted_at_lsn IS NULL",
            )?
            .query_row(params![self.token_hash, i64::MAX], |row| {
                Ok(Session {
                    account_id: row.get(0)?,
                    username: row.get(1)?,
                    expires_at_ms: row.get(2)?,
                    scopes: row.get::<_, Option<u32>>(3)?.map(Scopes),
                })
            })
            .optional()?)
    }
}

/// The API tokens of an account, in order of their names.
#[derive(Clone, Debug)]
pub struct ApiTokens {
    pub account_id: u64,
}

impl Query for ApiTokens {
    type Rows = Vec<ApiToken>;

    fn read(&self, state: &Connection) -> Result<Vec<ApiToken>, StoreError> {
        let mut select = state.prepare_cached(
            "SELECT name, scopes, created_at_ms, ifnull(expires_at_ms, 0)
             FROM api_tokens WHERE account_id = ?1 ORDER BY name",
        )?;
        let rows = select.query_map([integer(self.account_id)], |row| {
            Ok(ApiToken {
                name: row.get(0)?,
                scopes: Scopes(row.get(1)?),
                created_at_ms: row.get(2)?,
                expires_at_ms: row.get(3)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// The sessions of an account that are open at a time, those that end last first.
#[derive(Clone, Debug)]
pub struct OpenSessions {
    pub account_id: u64,
    /// Milliseconds since the Unix epoch.
    pub now_ms: i64,
    pub limit: usize,
}

/// An open session of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenSession {
    pub token_hash: [u8; 32],
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: i64,
    pub expires_at_ms: i64,
    /// The name that the client gave itself; "" for none.
    pub label: String,
}

impl Query for OpenSessions {
    type Rows = Vec<OpenSession>;

    fn read(&self, state: &Connection) -> Result<Vec<OpenSession>, StoreError> {
        let mut select = state.prepare_cached(
            "SELECT token_hash, s.created_at_ms, expires_at_ms, ifnull(label, '')
             FROM users AS u CROSS JOIN sessions AS s INDEXED BY sessions_by_expiry
                 ON s.account_id = u.id
             WHERE u.id = ?1 AND deleted_at_lsn IS NULL AND expires_at_ms > ?2
                 AND generation = session_generation
             ORDER BY expires_at_ms DESC, token_hash DESC LIMIT ?3",
        )?;
        let found = params![integer(self.account_id), self.now_ms, limit_of(self.limit)];
        let rows = select.query_map(found, |row| {
            Ok(OpenSession {
                token_hash: row.get(0)?,
                created_at_ms: row.get(1)?,
                expires_at_ms: row.get(2)?,
                label: row.get(3)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// Whether an account was ever made, deleted ones too.
#[derive(Clone, Debug)]
pub struct HasAccounts;

impl Query for HasAccounts {
    type Rows = bool;

    fn read(&self, state: &Connection) -> Result<bool, StoreError> {
        Ok(state
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM users)")?
            .query_row([], |row| row.get(0))?)
    }
}

/// Whether a session was made later than a time. Reads all sessions.
#[derive(Clone, Debug)]
pub struct HasSessionMadeAfter {
    /// Milliseconds since the Unix epoch.
    pub ms: i64,
}

impl Query for HasSessionMadeAfter {
    type Rows = bool;

    fn read(&self, state: &Connection) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM sessions WHERE created_at_ms > ?1)";
        Ok(state.query_row(sql, [self.ms], |row| row.get(0))?)
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
