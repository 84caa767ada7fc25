//! Changes: the events that are no messages, as subscriptions report them. A command records a change when it is applied,
//! so that a subscription finds it after a break too. Changes are kept as long as finished requests are remembered
//! (`window.rs`); the LSN of the newest one that was forgotten tells which cursors are too old.
//!
//! A change never has the text of a message: where an event shows one, it is read when the event is delivered.

use std::sync::Arc;

use prost::Message as _;
use rusqlite::{Connection, OptionalExtension as _, params};
use tercet_proto::log::{Change, change::What};

use super::{StoreError, apply::Applier, queries::Page};
use crate::{commands, event::Event};

/// A change as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangeRow {
    /// The LSN of the entry, which is the cursor of the event.
    pub lsn: u64,
    pub what: What,
}

impl Eq for ChangeRow {}

/// The accounts that a change concerns.
#[derive(Clone, Copy, Debug)]
pub enum To<'a> {
    Account(u64),
    /// A few accounts, whose ids ascend, such as the two of a direct conversation. Each gets a row.
    Accounts(&'a [u64]),
    /// The members of a room, which get one row together: those of now in open streams, and those of the time at which
    /// they catch up. The room is in the account cache (`commands::rooms::find`, `load`).
    Room(u64),
}

/// Records a change of this entry: stores it, and publishes its event. An entry makes at most one event for an account,
/// be it a change or a message, because a subscription takes a second one for a repetition.
///
/// Commands below version 3 store nothing: their changes are published to open streams only.
pub(crate) fn record(
    state: &mut Applier<'_, '_>,
    to: To<'_>,
    what: What,
) -> Result<(), StoreError> {
    let members: Arc<[u64]> = match to {
        To::Account(id) => [id].into(),
        To::Accounts(ids) => ids.into(),
        To::Room(id) => commands::rooms::audience(state, id)?,
    };
    if state.version >= 3 {
        let room = match to {
            To::Room(id) => Some(id),
            To::Account(_) | To::Accounts(_) => None,
        };
        let audiences = match &room {
            Some(id) => std::slice::from_ref(id),
            None => &members[..],
        };
        let payload = Change {
            what: Some(what.clone()),
        };
        let payload = payload.encode_to_vec();
        let mut insert = state.connection.prepare_cached(
            "INSERT INTO changes (audience_id, lsn, payload) VALUES (?1, ?2, ?3)",
        )?;
        for audience in audiences {
            insert.execute(params![audience, state.lsn, payload])?;
        }
    }
    if state.is_heard {
        let lsn = state.lsn;
        let row = Arc::new(ChangeRow { lsn, what });
        state.effects.events.push(Event::Change { row, members });
    }
    Ok(())
}

/// Removes the changes through that LSN, as the requests of these entries are forgotten. The floor moves in steps, so the
/// result does not depend on batching.
pub(super) fn forget(connection: &Connection, through: u64) -> Result<(), StoreError> {
    let newest: Option<u64> = connection
        .prepare_cached("SELECT max(lsn) FROM changes WHERE lsn <= ?1")?
        .query_row([through], |row| row.get(0))?;
    let Some(newest) = newest else {
        return Ok(());
    };
    connection
        .prepare_cached("DELETE FROM changes WHERE lsn <= ?1")?
        .execute([through])?;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO changes_forgotten (only_row, through_lsn) VALUES (1, ?1)",
        )?
        .execute([newest])?;
    Ok(())
}

/// Gives the LSN of the newest change that was forgotten; 0 when none was.
pub(super) fn forgotten(state: &Connection) -> Result<u64, StoreError> {
    let through = state
        .prepare_cached("SELECT through_lsn FROM changes_forgotten")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(through.unwrap_or(0))
}

/// Lists the first changes above `after` that concern these accounts and rooms, ascending by LSN.
pub(super) fn after(
    state: &Connection,
    audiences: impl Iterator<Item = u64>,
    after: u64,
    limit: usize,
) -> Result<Page<ChangeRow>, StoreError> {
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let one_more = limit.saturating_add(1);
    let mut select = state.prepare_cached(
        "SELECT lsn, payload FROM changes WHERE audience_id = ?1 AND lsn > ?2
         ORDER BY lsn LIMIT ?3",
    )?;
    let mut found: Vec<(u64, Vec<u8>)> = Vec::new();
    for audience in audiences {
        let Ok(audience) = i64::try_from(audience) else {
            continue;
        };
        let rows = select.query_map(params![audience, after, one_more as i64], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        for row in rows {
            found.push(row?);
        }
        if found.len() > 4 * one_more {
            found.sort_unstable();
            found.truncate(one_more);
        }
    }
    found.sort_unstable();
    let more = found.len() > limit;
    found.truncate(limit);
    let rows = found.into_iter().map(|(lsn, payload)| {
        let change = Change::decode(&payload[..]).ok();
        let what = change.and_then(|change| change.what).ok_or_else(|| {
            StoreError::Corrupt(format!("the change of entry {lsn} cannot be read"))
        })?;
        Ok(ChangeRow { lsn, what })
    });
    Ok(Page {
        rows: rows.collect::<Result<_, StoreError>>()?,
        more,
    })
}
