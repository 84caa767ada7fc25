//! Applying one committed command: the rules that all commands have in common. Checks the version, finds retries,
//! and records the outcome. `commands` has the single commands. Deterministic, as they are.

mod account_cache;
mod room_cache;

use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Row};
use tercet_core::id::Lsn;
use tercet_proto::log::{Command, Outcome, Refusal, outcome};

pub(super) use self::{account_cache::AccountCache, room_cache::CachedRoom};
use super::{
    StoreError,
    commands::{self, refused, send_message},
    index::LazyIndex,
    name_key,
    position::Mark,
    requests::{self, Requests},
    seqs,
    window::{Limits, Now},
};
use crate::{command, event::Event};

/// The result of applying a command.
pub(super) struct Done {
    pub outcome: Outcome,
    pub effects: Effects,
}

/// The effects of a command beside its rows.
#[derive(Default)]
pub(super) struct Effects {
    pub events: Vec<Event>,
    /// Whether a row of the command has everything that the answer to a retry needs, so that none is recorded.
    pub answers_retries: bool,
    /// Whether the request is forgotten: nothing was done, and the same request may come again.
    pub forgets_request: bool,
    /// Whether the state must be pinned now, to be hashed.
    pub checkpoint: bool,
    /// Whether the roster changed.
    pub roster_changed: bool,
    /// Whether the table `cleanups` may have changed.
    pub cleanups_changed: bool,
}

impl Done {
    /// Makes the result of a command that changed nothing.
    fn without_effect(result: outcome::Result) -> Done {
        Done {
            outcome: outcome_of(result),
            effects: Effects::default(),
        }
    }
}

/// The context in which the entries of one batch are applied.
pub(super) struct Batch<'a> {
    connection: &'a Connection,
    indexed: &'a mut LazyIndex,
    /// The limits of the window.
    limits: Limits,
    /// Whether a caller receives events.
    is_heard: bool,
    // Statements that every message needs, prepared once for all of them.
    claim: CachedStatement<'a>,
    insert_message: CachedStatement<'a>,
}

impl<'a> Batch<'a> {
    pub fn new(
        connection: &'a Connection,
        indexed: &'a mut LazyIndex,
        limits: Limits,
        is_heard: bool,
    ) -> Result<Batch<'a>, StoreError> {
        Ok(Batch {
            connection,
            indexed,
            limits,
            is_heard,
            claim: connection.prepare_cached(requests::CLAIM)?,
            insert_message: connection.prepare_cached(send_message::INSERT)?,
        })
    }
}

/// Applies the command at `lsn`, and advances `mark`.
///
/// # Errors
/// `NewerCommands` when this build does not support its version, `UnknownCommand` when it cannot be decoded;
/// otherwise the error of the database.
pub(super) fn apply(
    batch: &mut Batch<'_>,
    known: &mut AccountCache,
    lsn: Lsn,
    command: &Bytes,
    mark: &mut Mark,
) -> Result<Done, StoreError> {
    let lsn = lsn.0;
    let unknown = |why| StoreError::UnknownCommand { lsn, why };
    let command =
        Command::decode(command.clone()).map_err(|_| unknown("it is not a valid Command"))?;
    // First, because a build that does not support the version must not interpret anything else in the command.
    command::check_version(command.version, || format!("entry {lsn} of the log"))?;
    let action = command
        .action
        .ok_or_else(|| unknown("its action is unknown to this version"))?;
    let request_id = &command.request_id[..];
    if !matches!(request_id.len(), 0 | 16) {
        return Err(unknown("its request id is not 16 bytes"));
    }
    let before_ms = mark.stamp_ms;
    mark.stamp_ms = command.stamp_ms.max(mark.stamp_ms);
    if mark.command_version < seqs::VERSION && command.version >= seqs::VERSION {
        seqs::number_again(batch.connection, batch.indexed, lsn)?;
    }
    mark.command_version = command.version.max(mark.command_version);

    let time_ms = mark.stamp_ms.saturating_sub(command.stamp_ahead_ms.max(0));
    let now = Now {
        lsn,
        version: command.version,
        before_ms,
        stamp_ms: mark.stamp_ms,
        time_ms,
    };
    mark.window.advance(batch.connection, batch.limits, now)?;

    let requests = Requests {
        connection: batch.connection,
        lsn,
        floor: mark.window.floor(batch.limits, lsn),
    };
    let too_old = mark.window.may_have_forgotten(request_id, time_ms);
    if too_old && requests.find_lsn(request_id)?.is_none() {
        // Neither applied nor recorded.
        return Ok(Done::without_effect(refused(Refusal::RequestTooOld)));
    }
    let action = commands::command(&action);
    let fingerprint = action.fingerprint();
    if !request_id.is_empty()
        && !requests.claim(&mut batch.claim, request_id, &fingerprint)?
        && let Some(first) = requests.find(request_id)?
    {
        // Not recorded: the id keeps its first answer.
        let outcome = if first.is_retried_by(&fingerprint) {
            first.outcome
        } else {
            outcome_of(refused(Refusal::RequestIdReused))
        };
        return Ok(Done {
            outcome,
            effects: Effects::default(),
        });
    }

    let mut applier = Applier {
        connection: batch.connection,
        indexed: batch.indexed,
        insert_message: &mut batch.insert_message,
        is_heard: batch.is_heard,
        known,
        requests: &requests,
        request_id,
        lsn,
        version: command.version,
        highest_version: mark.command_version,
        stamp_ms: mark.stamp_ms,
        time_ms,
        effects: Effects::default(),
    };
    let outcome = outcome_of(action.apply(&mut applier)?);
    let effects = applier.effects;
    if effects.forgets_request {
        requests.unclaim(request_id)?;
    } else if !request_id.is_empty() && !effects.answers_retries {
        requests.record(request_id, &fingerprint, &outcome)?;
    }
    Ok(Done { outcome, effects })
}

fn outcome_of(result: outcome::Result) -> Outcome {
    Outcome {
        result: Some(result),
    }
}

/// An account that is not deleted.
#[derive(Clone)]
pub(super) struct Living {
    pub id: u64,
    pub username: Arc<str>,
}

impl Living {
    /// Reads an account from a row that begins with its id and its name.
    pub fn of_row(row: &Row<'_>) -> rusqlite::Result<Living> {
        Ok(Living {
            id: row.get(0)?,
            username: row.get(1)?,
        })
    }
}

/// The state as one command changes it, and the parts of the command that all commands have.
pub(super) struct Applier<'a, 'c> {
    pub connection: &'a Connection,
    pub indexed: &'a mut LazyIndex,
    pub insert_message: &'a mut CachedStatement<'c>,
    /// Whether a caller receives events.
    pub is_heard: bool,
    pub known: &'a mut AccountCache,
    pub requests: &'a Requests<'a>,
    /// 16 bytes, or none.
    pub request_id: &'a [u8],
    pub lsn: u64,
    pub stamp_ms: i64,
    /// Cluster time, which the stamp may be ahead of.
    pub time_ms: i64,
    /// The version of the command's rules.
    pub version: u32,
    /// The highest version of all commands so far, this one included.
    pub highest_version: u32,
    pub effects: Effects,
}

impl Applier<'_, '_> {
    pub fn unknown(&self, why: &'static str) -> StoreError {
        StoreError::UnknownCommand { lsn: self.lsn, why }
    }

    /// Brings the indexes up to date with all earlier entries, for commands that query them.
    pub fn catch_up_index(&mut self) -> Result<(), StoreError> {
        let before = Lsn(self.lsn).prev();
        self.indexed.catch_up(self.connection, before)
    }

    pub fn living_by_id(&mut self, id: u64) -> Result<Option<Living>, StoreError> {
        if let Some(known) = self.known.account(id) {
            return Ok(Some(known));
        }
        // Account ids are LSNs, which end where SQLite's integers do.
        let Ok(id) = i64::try_from(id) else {
            return Ok(None);
        };
        let found = self
            .connection
            .prepare_cached(
                "SELECT id, username FROM users WHERE id = ?1 AND deleted_at_lsn IS NULL",
            )?
            .query_row([id], Living::of_row)
            .optional()?;
        Ok(self.learn(found))
    }

    pub fn living_by_name(&mut self, username: &str) -> Result<Option<Living>, StoreError> {
        let key = name_key(username);
        if let Some(known) = self.known.account_named(&key) {
            return Ok(Some(known));
        }
        let found = self.look_up_name(&key)?;
        Ok(self.learn(found))
    }

    /// Finds a live account by its name in the database, whatever the account cache has.
    pub fn look_up_name(&self, username: &str) -> Result<Option<Living>, StoreError> {
        Ok(self
            .connection
            .prepare_cached(
                "SELECT id, username FROM users WHERE username_key = ?1 AND deleted_at_lsn IS NULL",
            )?
            .query_row([name_key(username)], Living::of_row)
            .optional()?)
    }

    fn learn(&mut self, found: Option<Living>) -> Option<Living> {
        if let Some(account) = &found {
            let key = name_key(&account.username);
            self.known.learn_account(&key, account);
        }
        found
    }

    /// Reads an account's password hash, and the generation of its valid sessions.
    pub fn password_and_generation(&self, account: &Living) -> Result<(String, u64), StoreError> {
        Ok(self
            .connection
            .prepare_cached("SELECT password_hash, session_generation FROM users WHERE id = ?1")?
            .query_row([account.id], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    /// Gives the id of the message that the entry sends: its request id.
    pub fn message_id(&self) -> Result<[u8; 16], StoreError> {
        self.request_id
            .try_into()
            .map_err(|_| self.unknown("a message has no request id to be named by"))
    }

    pub fn token_hash(&self, bytes: &[u8]) -> Result<[u8; 32], StoreError> {
        bytes
            .try_into()
            .map_err(|_| self.unknown("its token hash is not 32 bytes"))
    }
}
