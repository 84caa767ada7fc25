//! Applying one committed command: writes its rows, and gives its outcome and its events.
//!
//! Deterministic: it reads only the command and the replicated tables. It uses no clock, no randomness, no
//! setting of the replica, and no order that the database may choose.

mod account_cache;
mod endings;
mod messages;
mod roster;
mod sessions;

use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, params};
use tercet_core::id::Lsn;
use tercet_proto::log::{
    AccountCreated, Checkpointed, Command, CreateAccount, Outcome, Refusal, Refused,
    command::Action, outcome,
};

pub(super) use self::account_cache::AccountCache;
pub(crate) use self::sessions::MADE_LATER_MAX;
#[cfg(test)]
pub(super) use self::{endings::CLEANUP_ROWS, sessions::EXPIRED_ROWS};
use super::{
    Applied, StoreError,
    index::LazyIndex,
    name_key,
    requests::{self, Requests, fingerprint},
    window::{Limits, Now, Window},
};
use crate::{command, event::Event};

/// The result of applying a command.
pub(super) struct Done {
    pub applied: Applied,
    /// Whether this is a Checkpoint that is not a retry, so that the state must be pinned now.
    pub checkpoint: bool,
    /// Whether the roster changed.
    pub roster_changed: bool,
    /// Whether the table `cleanups` may have changed.
    pub cleanups_changed: bool,
}

impl Done {
    /// Makes the result of a command that changed nothing.
    fn without_effect(lsn: u64, outcome: Outcome) -> Done {
        Done {
            applied: Applied {
                lsn,
                outcome,
                events: Vec::new(),
            },
            checkpoint: false,
            roster_changed: false,
            cleanups_changed: false,
        }
    }
}

/// The part of the position that commands advance, beside the LSN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// The stamp of the last command, which is the greatest.
    pub stamp_ms: i64,
    /// The highest version of a command that was applied.
    pub command_version: u32,
    /// The window in which requests are remembered.
    pub window: Window,
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
            insert_message: connection.prepare_cached(messages::INSERT)?,
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
        return Ok(Done::without_effect(
            lsn,
            outcome_of(refused(Refusal::RequestTooOld)),
        ));
    }
    if !request_id.is_empty()
        && !requests.claim(&mut batch.claim, request_id)?
        && let Some((first, outcome)) = requests.find(request_id)?
    {
        // Not recorded: the id keeps its first answer.
        let outcome = if first == fingerprint(&action) {
            outcome
        } else {
            outcome_of(refused(Refusal::RequestIdReused))
        };
        return Ok(Done::without_effect(lsn, outcome));
    }

    let checkpoint = matches!(action, Action::Checkpoint(_));
    let mut applier = Applier {
        connection: batch.connection,
        indexed: batch.indexed,
        insert_message: &mut batch.insert_message,
        is_heard: batch.is_heard,
        known,
        requests: &requests,
        lsn,
        version: command.version,
        stamp_ms: mark.stamp_ms,
        events: Vec::new(),
        roster_changed: false,
        cleanups_changed: false,
    };
    let outcome = outcome_of(match &action {
        Action::CreateAccount(action) => applier.create_account(action)?,
        Action::CreateSession(action) => applier.create_session(action)?,
        Action::EndSession(action) => applier.end_session(action)?,
        Action::DeleteAccount(action) => applier.delete_account(action)?,
        Action::SendMessage(action) => applier.send_message(request_id, action)?,
        Action::AcknowledgeMessages(action) => applier.acknowledge_messages(action)?,
        Action::Checkpoint(_) => outcome::Result::Checkpointed(Checkpointed { lsn }),
        Action::FoundRoster(action) => applier.found_roster(action)?,
        Action::AddReplica(action) => applier.add_replica(action)?,
        Action::MoveReplica(action) => applier.move_replica(action)?,
        Action::RemoveReplica(action) => applier.remove_replica(action)?,
        Action::ChangePassword(action) => applier.change_password(action)?,
        Action::EndOtherSessions(action) => applier.end_other_sessions(action)?,
        Action::CleanUp(_) => applier.clean_up()?,
        Action::CorrectSessions(action) => applier.correct_sessions(action)?,
    });
    let (roster_changed, cleanups_changed) = (applier.roster_changed, applier.cleanups_changed);
    let events = applier.events;
    // The row of a sent message has everything that the answer to its retry needs.
    let has_a_row = matches!(outcome.result, Some(outcome::Result::MessageSent(_)));
    if !request_id.is_empty() && !has_a_row {
        requests.record(request_id, &fingerprint(&action), &outcome)?;
    }
    Ok(Done {
        applied: Applied {
            lsn,
            outcome,
            events,
        },
        checkpoint,
        roster_changed,
        cleanups_changed,
    })
}

fn outcome_of(result: outcome::Result) -> Outcome {
    Outcome {
        result: Some(result),
    }
}

fn refused(reason: Refusal) -> outcome::Result {
    outcome::Result::Refused(Refused {
        reason: reason.into(),
    })
}

/// An account that is not deleted.
#[derive(Clone)]
struct Living {
    id: u64,
    username: Arc<str>,
}

struct Applier<'a, 'c> {
    connection: &'a Connection,
    indexed: &'a mut LazyIndex,
    insert_message: &'a mut CachedStatement<'c>,
    is_heard: bool,
    known: &'a mut AccountCache,
    requests: &'a Requests<'a>,
    lsn: u64,
    stamp_ms: i64,
    /// The version of the command's rules.
    version: u32,
    events: Vec<Event>,
    roster_changed: bool,
    cleanups_changed: bool,
}

type Applying = Result<outcome::Result, StoreError>;

impl Applier<'_, '_> {
    fn unknown(&self, why: &'static str) -> StoreError {
        StoreError::UnknownCommand { lsn: self.lsn, why }
    }

    /// Brings the indexes up to date with all earlier entries, for commands that query them.
    fn catch_up_index(&mut self) -> Result<(), StoreError> {
        let before = Lsn(self.lsn).prev();
        self.indexed.catch_up(self.connection, before)
    }

    fn living_by_id(&mut self, id: u64) -> Result<Option<Living>, StoreError> {
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
            .query_row([id], living)
            .optional()?;
        Ok(self.learn(found))
    }

    fn living_by_name(&mut self, username: &str) -> Result<Option<Living>, StoreError> {
        let key = name_key(username);
        if let Some(known) = self.known.account_named(&key) {
            return Ok(Some(known));
        }
        let found = self
            .connection
            .prepare_cached(
                "SELECT id, username FROM users WHERE username_key = ?1 AND deleted_at_lsn IS NULL",
            )?
            .query_row([&key], living)
            .optional()?;
        Ok(self.learn(found))
    }

    fn learn(&mut self, found: Option<Living>) -> Option<Living> {
        if let Some(account) = &found {
            let key = name_key(&account.username);
            self.known.learn_account(&key, account);
        }
        found
    }

    fn create_account(&mut self, action: &CreateAccount) -> Applying {
        if self.living_by_name(&action.username)?.is_some() {
            return Ok(refused(Refusal::NameTaken));
        }
        self.connection
            .prepare_cached(
                "INSERT INTO users (id, username, username_key, password_hash, created_at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                self.lsn,
                action.username,
                name_key(&action.username),
                action.password_hash,
                self.stamp_ms
            ])?;
        Ok(outcome::Result::AccountCreated(AccountCreated {
            account_id: self.lsn,
        }))
    }
}

fn living(row: &rusqlite::Row<'_>) -> rusqlite::Result<Living> {
    Ok(Living {
        id: row.get(0)?,
        username: row.get(1)?,
    })
}
