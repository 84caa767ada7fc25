//! Queries of the state beside conversations.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use tercet_proto::log::{Outcome, Refusal, SetState};
use tercet_types::name::{is_of_room, room_name};

use super::{
    super::{StoreError, name_key},
    AppliedLsn, Page, PageLimit, Query, conversation_of, integer, one_more, rooms,
};
use crate::{
    commands::{Command as _, refused},
    requests::Requests,
    rooms::{Act, Denied},
};

/// A key of state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateRow {
    pub key: String,
    pub version: u64,
    pub value: String,
    /// Milliseconds since the Unix epoch.
    pub changed_at_ms: i64,
    /// The name of the account that set it, which may be deleted.
    pub changed_by: String,
}

/// Why an account reads no state of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoConversation {
    /// The name of a room, without its `#`.
    Room(Denied, String),
    UnknownAccount(String),
}

/// Selects the columns of a [`StateRow`].
const STATE: &str = "SELECT s.key, s.version, s.value, s.changed_at_ms, u.username
     FROM state AS s CROSS JOIN users AS u ON u.id = s.changed_by";

fn state_row(row: &Row<'_>) -> rusqlite::Result<StateRow> {
    Ok(StateRow {
        key: row.get(0)?,
        version: row.get(1)?,
        value: row.get(2)?,
        changed_at_ms: row.get(3)?,
        changed_by: row.get(4)?,
    })
}

/// Finds the conversation of that name, in which an account wants to do an act. `None`: the two accounts have no
/// conversation.
fn find(
    state: &Connection,
    account_id: u64,
    conversation: &str,
    act: Act,
) -> Result<Result<Option<u64>, NoConversation>, StoreError> {
    if is_of_room(conversation) {
        let name = room_name(conversation).unwrap_or_default();
        let found = rooms::find(state, name, account_id, act)?;
        let named = |denied| NoConversation::Room(denied, name.to_owned());
        return Ok(found.map(Some).map_err(named));
    }
    let other: Option<u64> = state
        .prepare_cached("SELECT id FROM users WHERE username_key = ?1 AND deleted_at_lsn IS NULL")?
        .query_row([name_key(conversation)], |row| row.get(0))
        .optional()?;
    let Some(other) = other else {
        return Ok(Err(NoConversation::UnknownAccount(conversation.to_owned())));
    };
    Ok(Ok(conversation_of(state, account_id, other)?))
}

fn read_key(state: &Connection, id: u64, key: &str) -> Result<Option<StateRow>, StoreError> {
    Ok(state
        .prepare_cached(&format!(
            "{STATE} WHERE s.conversation_id = ?1 AND s.key = ?2"
        ))?
        .query_row(params![integer(id), key], state_row)
        .optional()?)
}

/// One key of a conversation, as an account sees it.
#[derive(Clone, Debug)]
pub struct StateOf {
    pub account_id: u64,
    /// The name of a room with its `#`, or that of an account.
    pub conversation: String,
    pub key: String,
}

impl Query for StateOf {
    /// The id of the conversation, and the key, if it exists.
    type Rows = Result<Option<(u64, StateRow)>, NoConversation>;

    fn read(&self, state: &Connection) -> Result<Self::Rows, StoreError> {
        let id = match find(state, self.account_id, &self.conversation, Act::ReadState)? {
            Ok(Some(id)) => id,
            Ok(None) => return Ok(Ok(None)),
            Err(why) => return Ok(Err(why)),
        };
        let row = read_key(state, id, &self.key)?;
        Ok(Ok(row.map(|row| (id, row))))
    }
}

/// One key of a conversation of an account, for an event.
#[derive(Clone, Debug)]
pub struct StateAt {
    pub account_id: u64,
    pub conversation_id: u64,
    pub key: String,
}

impl Query for StateAt {
    /// The name of the conversation, as the account sees it, and the key, if it exists; `None` when the account does not
    /// read the conversation.
    type Rows = Option<(String, Option<StateRow>)>;

    fn read(&self, state: &Connection) -> Result<Self::Rows, StoreError> {
        let name: Option<String> = state
            .prepare_cached(
                "SELECT '#' || r.name FROM rooms AS r
                     CROSS JOIN members AS m ON m.conversation_id = r.id AND m.account_id = ?2
                 WHERE r.id = ?1
                 UNION ALL
                 SELECT u.username FROM conversations AS c CROSS JOIN users AS u
                     ON u.id = CASE c.low_account WHEN ?2 THEN c.high_account
                                                  ELSE c.low_account END
                 WHERE c.id = ?1 AND ?2 IN (c.low_account, c.high_account)",
            )?
            .query_row(
                [integer(self.conversation_id), integer(self.account_id)],
                |row| row.get(0),
            )
            .optional()?;
        let Some(name) = name else {
            return Ok(None);
        };
        let row = read_key(state, self.conversation_id, &self.key)?;
        Ok(Some((name, row)))
    }
}

/// The keys of a conversation that begin with a prefix, ascending.
#[derive(Clone, Debug)]
pub struct ListState {
    pub account_id: u64,
    /// The name of a room with its `#`, or that of an account.
    pub conversation: String,
    pub prefix: String,
    /// The key that the page comes after; "" for the first page.
    pub after: String,
    pub limit: PageLimit,
}

/// A page of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatePage {
    /// 0 when the two accounts have no conversation.
    pub conversation_id: u64,
    pub page: Page<StateRow>,
}

impl Query for ListState {
    type Rows = Result<StatePage, NoConversation>;

    fn read(&self, state: &Connection) -> Result<Self::Rows, StoreError> {
        let id = match find(state, self.account_id, &self.conversation, Act::ReadState)? {
            Ok(id) => id.unwrap_or(0),
            Err(why) => return Ok(Err(why)),
        };
        // All characters of keys are below `~`.
        let end = format!("{}~", self.prefix);
        let mut select = state.prepare_cached(&format!(
            "{STATE} WHERE s.conversation_id = ?1 AND s.key >= ?2 AND s.key > ?3 AND s.key < ?4
             ORDER BY s.key LIMIT ?5"
        ))?;
        let of_page = params![
            integer(id),
            self.prefix,
            self.after,
            end,
            one_more(self.limit.rows)
        ];
        let rows = select.query_map(of_page, state_row)?;
        let page = Page::fill(rows, self.limit, |row| row.key.len() + row.value.len())?;
        Ok(Ok(StatePage {
            conversation_id: id,
            page,
        }))
    }
}

/// The data for a program: the key as it is, unless the request was answered before. Both are of one state.
#[derive(Clone, Debug)]
pub struct ValueForProgram {
    pub request_id: [u8; 16],
    /// The command of the request, with the digest of the program.
    pub command: SetState,
}

/// The state in which a program starts.
#[derive(Clone, Debug, PartialEq)]
pub enum ProgramStart {
    /// The request was answered before.
    Answered(Outcome),
    /// The version and the value of the key; 0 and `None` when it does not exist.
    Value(u64, Option<String>),
}

impl Query for ValueForProgram {
    type Rows = Result<ProgramStart, NoConversation>;

    fn read(&self, state: &Connection) -> Result<Self::Rows, StoreError> {
        // All statements see one state.
        let alone = state.is_autocommit();
        let transaction = alone.then(|| state.unchecked_transaction()).transpose()?;
        let next = AppliedLsn.read(state)?.saturating_add(1);
        if let Some(first) = Requests::before(state, next)?.find(&self.request_id)? {
            let outcome = match first.is_retried_by(&self.command.fingerprint()) {
                true => first.outcome,
                false => Outcome {
                    result: Some(refused(Refusal::RequestIdReused)),
                },
            };
            return Ok(Ok(ProgramStart::Answered(outcome)));
        }
        let SetState {
            account_id,
            conversation,
            key,
            ..
        } = &self.command;
        let id = match find(state, *account_id, conversation, Act::WriteState)? {
            Ok(id) => id,
            Err(why) => return Ok(Err(why)),
        };
        let row = match id {
            Some(id) => read_key(state, id, key)?,
            None => None,
        };
        drop(transaction);
        Ok(Ok(row.map_or(ProgramStart::Value(0, None), |row| {
            ProgramStart::Value(row.version, Some(row.value))
        })))
    }
}
