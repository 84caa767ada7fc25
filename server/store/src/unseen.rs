//! The export of a store's entries after a position, for people, who decide what becomes of entries that no
//! other store has. For a store that is no longer written.

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;
use prost::Message as _;
use rusqlite::{Connection, OptionalExtension as _, Row};
use tercet_core::{
    id::{Epoch, Lsn},
    log::{Entry, Payload},
};
use tercet_proto::log::{Command, Outcome, outcome};

use super::{
    Lineage, Readers, StoreError, base,
    commands::{
        self,
        description::{About, What},
    },
    queries::AppliedLsn,
    window::{Limits, Window},
};

/// Payload bytes of the log that are read at once.
const BATCH_BYTES: usize = 1 << 20;

/// One entry, or its trace in the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseen {
    pub lsn: Lsn,
    pub epoch: Epoch,
    /// Whether the entry is in the state; then its client may have the answer.
    pub applied: bool,
    /// The entry's time in milliseconds since the Unix epoch and in RFC 3339; `None` where it has none.
    pub time: Option<(i64, String)>,
    pub what: What,
}

/// Selects LSN, stamp, id, sender, recipient, body and delivery of messages; a WHERE follows.
macro_rules! select_sent {
    () => {
        "SELECT m.lsn, m.sent_at_ms, m.id, m.sender_id, s.username, r.username, m.body, m.delivered
         FROM messages AS m CROSS JOIN users AS s ON s.id = m.sender_id
         CROSS JOIN users AS r ON r.id = m.recipient_id"
    };
}

/// Selects the same of messages to rooms; conditions follow.
macro_rules! select_sent_to_room {
    () => {
        "SELECT m.lsn, m.sent_at_ms, m.id, m.sender_id, s.username, '#' || r.name, m.body, 0
         FROM room_messages AS m CROSS JOIN users AS s ON s.id = m.sender_id
         CROSS JOIN rooms AS r ON r.id = m.room_id
         WHERE m.id IS NOT NULL"
    };
}

impl Readers {
    /// Exports everything after `after`, ascending by LSN: trimmed entries by their traces in the state,
    /// messages and accounts; the log itself entry by entry.
    ///
    /// # Errors
    /// When the store cannot be read, or `tell` failed.
    pub fn unseen(
        &self,
        after: Lsn,
        tell: &mut dyn FnMut(Unseen) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let lineage = self.lineage()?;
        let base = base::read(&self.connection())?.end.lsn;
        self.trimmed(after, base, &lineage, tell)?;
        let applied = Lsn(self.read(&AppliedLsn)?);
        let mut told = Told {
            applied,
            ..Told::default()
        };
        let mut from = after.max(base).next();
        loop {
            let entries = self.log_entries(from.0, u64::MAX, BATCH_BYTES)?;
            let Some(last) = entries.last() else {
                return Ok(());
            };
            from = last.lsn.next();
            let connection = self.connection();
            for entry in entries {
                tell(told.entry(&connection, &entry)?)?;
            }
        }
    }

    /// Exports the traces of trimmed entries in the state.
    fn trimmed(
        &self,
        after: Lsn,
        through: Lsn,
        lineage: &Lineage,
        tell: &mut dyn FnMut(Unseen) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let connection = self.connection();
        let mut select = connection.prepare(concat!(
            select_sent!(),
            " WHERE m.lsn > ?1 AND m.lsn <= ?2
                 AND (m.delivered = 1 OR r.deleted_at_lsn IS NULL)
             UNION ALL
             SELECT id, created_at_ms, NULL, id, username, '', '', 0
             FROM users WHERE id > ?1 AND id <= ?2
             UNION ALL ",
            select_sent_to_room!(),
            " AND m.lsn > ?1 AND m.lsn <= ?2
             ORDER BY 1"
        ))?;
        let mut rows = select.query([after.0, through.0])?;
        while let Some(row) = rows.next()? {
            let lsn = Lsn(row.get(0)?);
            let (ms, what) = sent_or_created(row)?;
            tell(Unseen {
                lsn,
                epoch: lineage.epochs.at(lsn),
                applied: true,
                time: time(ms),
                what,
            })?;
        }
        Ok(())
    }
}

fn sent_or_created(row: &Row<'_>) -> rusqlite::Result<(i64, What)> {
    let username = row.get(4)?;
    let what = match row.get(2)? {
        Some(id) => What::Message {
            id,
            sender: username,
            sender_id: row.get(3)?,
            recipient: row.get(5)?,
            body: row.get(6)?,
            delivered: Some(row.get(7)?),
        },
        None => What::AccountCreated { username },
    };
    Ok((row.get(1)?, what))
}

/// The facts collected beside the rows of the state.
#[derive(Default)]
struct Told {
    applied: Lsn,
    /// Accounts that unapplied entries would create.
    accounts: BTreeMap<u64, String>,
    /// Requests among those entries.
    requests: BTreeSet<Vec<u8>>,
}

impl Told {
    fn entry(&mut self, connection: &Connection, entry: &Entry) -> Result<Unseen, StoreError> {
        let (ms, what) = match &entry.payload {
            Payload::Config(_) => (0, What::Other("view")),
            Payload::Command(bytes) => match Command::decode(bytes.clone()) {
                Ok(command) => self.command(connection, entry.lsn, command)?,
                Err(_) => (0, What::Other("unknown")),
            },
        };
        Ok(Unseen {
            lsn: entry.lsn,
            epoch: entry.epoch,
            applied: entry.lsn <= self.applied,
            time: time(ms),
            what,
        })
    }

    fn command(
        &mut self,
        connection: &Connection,
        lsn: Lsn,
        command: Command,
    ) -> Result<(i64, What), StoreError> {
        let id = command.request_id.to_vec();
        let applied = lsn <= self.applied;
        if applied && let Some(sent) = sent(connection, lsn)? {
            return Ok(sent);
        }
        let effective = match applied {
            true => self.had_effect(connection, lsn, &id)?,
            false => self.may_have_effect(connection, &id)?,
        };
        let what = match command.action {
            _ if !effective => What::Other("without_effect"),
            None => What::Other("unknown"),
            Some(action) => commands::command(&action).describe(&mut About {
                lsn,
                request_id: &id,
                applied,
                connection,
                accounts: &mut self.accounts,
            })?,
        };
        Ok((command.stamp_ms, what))
    }

    /// Tells whether an applied command was neither refused nor a retry, as far as that is remembered.
    fn had_effect(
        &self,
        connection: &Connection,
        lsn: Lsn,
        request_id: &[u8],
    ) -> Result<bool, StoreError> {
        let window = Window::read(connection)?;
        if request_id.is_empty() || lsn.0 <= window.floor(Limits::ALL, self.applied.0) {
            return Ok(true);
        }
        let outcome: Option<Vec<u8>> = connection
            .prepare_cached("SELECT outcome FROM answers WHERE lsn = ?1")?
            .query_row([lsn.0], |row| row.get(0))
            .optional()?;
        let outcome = outcome.and_then(|bytes| Outcome::decode(&bytes[..]).ok()?.result);
        Ok(!matches!(outcome, Some(outcome::Result::Refused(_)) | None))
    }

    /// Tells whether an unapplied command is the first of its request.
    fn may_have_effect(
        &mut self,
        connection: &Connection,
        request_id: &[u8],
    ) -> Result<bool, StoreError> {
        let known = connection
            .prepare_cached("SELECT 1 FROM requests WHERE request_id = ?1")?
            .exists([request_id])?;
        let first = self.requests.insert(request_id.to_vec());
        Ok(request_id.is_empty() || first && !known)
    }
}

/// Finds the message that an applied command became.
fn sent(connection: &Connection, lsn: Lsn) -> Result<Option<(i64, What)>, StoreError> {
    Ok(connection
        .prepare_cached(concat!(
            select_sent!(),
            " WHERE m.lsn = ?1 UNION ALL ",
            select_sent_to_room!(),
            " AND m.lsn = ?1"
        ))?
        .query_row([lsn.0], sent_or_created)
        .optional()?)
}

/// Gives the time with its text; none for 0, which means that there is no time.
fn time(ms: i64) -> Option<(i64, String)> {
    let time = DateTime::from_timestamp_millis(ms).filter(|_| ms != 0)?;
    Some((ms, time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()))
}
