//! The log as rows: the encoding of entries, the hash chain over them, and the data that a start reads from
//! them.

use std::{slice, sync::LazyLock};

use prost::Message as _;
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Row};
use sha2::{Digest as _, Sha256};
use tercet_core::{
    id::{Epoch, Lsn, ReplicaId},
    log::{Entry, Payload, Recovered},
};

use super::{StoreError, base, base::Base};
use crate::wire;

const KIND_CONFIG: u8 = 1;
const KIND_COMMAND: u8 = 2;

pub(super) type Hash = [u8; 32];

/// The end of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub lsn: Lsn,
    pub epoch: Epoch,
    /// The hash that the next entry's hash includes.
    pub hash: Hash,
}

impl End {
    pub const EMPTY: End = End {
        lsn: Lsn::ZERO,
        epoch: Epoch::NONE,
        hash: [0; 32],
    };
}

/// Computes the hash of an entry from the one before. Every part except the last has a fixed length, so no two
/// entries have the same hashed bytes.
fn link(previous: &Hash, lsn: Lsn, epoch: Epoch, kind: u8, payload: &[u8]) -> Hash {
    let mut hash = Sha256::new();
    hash.update(previous);
    hash.update(lsn.0.to_be_bytes());
    hash.update(epoch.number.to_be_bytes());
    hash.update(epoch.proposer.0.to_be_bytes());
    hash.update([kind]);
    hash.update(payload);
    hash.finalize().into()
}

/// The entries that one statement inserts, where there are so many: running a statement costs as much as half a row.
const ROWS: usize = 16;

static INSERT: LazyLock<String> = LazyLock::new(|| insert_statement(1));
static INSERT_ROWS: LazyLock<String> = LazyLock::new(|| insert_statement(ROWS));

fn insert_statement(rows: usize) -> String {
    let values = vec!["(?, ?, ?, ?, ?, ?)"; rows].join(", ");
    format!(
        "INSERT INTO log (lsn, epoch_number, epoch_proposer, kind, payload, hash) VALUES {values}"
    )
}

/// Appends consecutive entries; gives the bytes of their payloads. The caller has checked that they follow
/// `end`.
pub(super) fn append(
    connection: &Connection,
    end: &mut End,
    entries: &[Entry],
) -> Result<u64, StoreError> {
    let (chunks, rest) = entries.as_chunks::<ROWS>();
    let mut bytes = 0;
    for chunk in chunks {
        bytes += insert(connection.prepare_cached(&INSERT_ROWS)?, end, chunk)?;
    }
    for entry in rest {
        bytes += insert(
            connection.prepare_cached(&INSERT)?,
            end,
            slice::from_ref(entry),
        )?;
    }
    Ok(bytes)
}

/// Inserts entries by a statement for so many rows.
fn insert(
    mut insert: CachedStatement<'_>,
    end: &mut End,
    entries: &[Entry],
) -> Result<u64, StoreError> {
    let mut bytes = 0;
    for (entry, first) in entries.iter().zip((1..).step_by(6)) {
        let config;
        let (kind, payload): (u8, &[u8]) = match &entry.payload {
            Payload::Command(bytes) => (KIND_COMMAND, bytes),
            Payload::Config(members) => {
                config = wire::config_to_wire(members).encode_to_vec();
                (KIND_CONFIG, &config)
            }
        };
        let hash = link(&end.hash, entry.lsn, entry.epoch, kind, payload);
        bytes += payload.len() as u64;
        insert.raw_bind_parameter(first, entry.lsn.0)?;
        insert.raw_bind_parameter(first + 1, entry.epoch.number)?;
        insert.raw_bind_parameter(first + 2, entry.epoch.proposer.0)?;
        insert.raw_bind_parameter(first + 3, kind)?;
        insert.raw_bind_parameter(first + 4, payload)?;
        insert.raw_bind_parameter(first + 5, hash)?;
        *end = End {
            lsn: entry.lsn,
            epoch: entry.epoch,
            hash,
        };
    }
    insert.raw_execute()?;
    Ok(bytes)
}

/// Removes the entries from `from` on; gives the new end of the log and the removed payload bytes.
pub(super) fn truncate(
    connection: &Connection,
    base: &Base,
    from: Lsn,
) -> Result<(End, u64), StoreError> {
    let removed = connection
        .prepare_cached("SELECT coalesce(sum(length(payload)), 0) FROM log WHERE lsn >= ?1")?
        .query_row([from.0], |row| row.get(0))?;
    connection
        .prepare_cached("DELETE FROM log WHERE lsn >= ?1")?
        .execute([from.0])?;
    let mut last = connection.prepare_cached(
        "SELECT lsn, epoch_number, epoch_proposer, hash FROM log ORDER BY lsn DESC LIMIT 1",
    )?;
    let mut rows = last.query([])?;
    let end = match rows.next()? {
        Some(row) => End {
            lsn: Lsn(row.get(0)?),
            epoch: epoch(row, 1)?,
            hash: row.get(3)?,
        },
        None => base.end,
    };
    Ok((end, removed))
}

pub(super) fn epoch(row: &Row<'_>, first_column: usize) -> rusqlite::Result<Epoch> {
    Ok(Epoch {
        number: row.get(first_column)?,
        proposer: ReplicaId(row.get(first_column + 1)?),
    })
}

/// The columns that [`check`] reads, in its order.
pub(super) const COLUMNS: &str = "lsn, epoch_number, epoch_proposer, kind, hash, payload";

/// Checks that a row is the unchanged entry that follows `end`; moves `end` to it.
pub(super) fn check(row: &Row<'_>, end: &mut End) -> Result<(), StoreError> {
    let lsn = Lsn(row.get(0)?);
    let expected = end.lsn.next();
    if lsn != expected {
        let what = format!("entry {expected} is not in the log, and {lsn} is");
        return Err(StoreError::Corrupt(what));
    }
    let epoch = epoch(row, 1)?;
    let payload = row.get_ref(5)?.as_blob().map_err(rusqlite::Error::from)?;
    let hash = link(&end.hash, lsn, epoch, row.get(3)?, payload);
    if hash != row.get::<_, Hash>(4)? {
        let what = format!("entry {lsn} of the log does not have the hash it was written with");
        return Err(StoreError::Corrupt(what));
    }
    if epoch < end.epoch {
        let what = format!(
            "entry {lsn} of the log has epoch {epoch}, after {}",
            end.epoch
        );
        return Err(StoreError::Corrupt(what));
    }
    *end = End { lsn, epoch, hash };
    Ok(())
}

/// Tells whether a checked row is a Config.
pub(super) fn is_config(row: &Row<'_>) -> Result<bool, StoreError> {
    Ok(row.get::<_, u8>(3)? == KIND_CONFIG)
}

pub(super) fn payload_bytes(row: &Row<'_>) -> Result<u64, StoreError> {
    let payload = row.get_ref(5)?.as_blob().map_err(rusqlite::Error::from)?;
    Ok(payload.len() as u64)
}

/// Decodes the entry of a checked row; `end` is its position.
pub(super) fn decode(row: &Row<'_>, end: &End) -> Result<Entry, StoreError> {
    let payload = row.get_ref(5)?.as_blob().map_err(rusqlite::Error::from)?;
    let payload = match row.get(3)? {
        KIND_COMMAND => Payload::Command(payload.to_vec().into()),
        KIND_CONFIG => {
            let config = tercet_proto::peer::Config::decode(payload).map_err(|error| {
                StoreError::Corrupt(format!("the Config at {} of the log: {error}", end.lsn))
            })?;
            Payload::Config(wire::config_from_wire(config)?)
        }
        // The hash is right, so a later version wrote this entry.
        _ => {
            return Err(StoreError::UnknownCommand {
                lsn: end.lsn.0,
                why: "it is of an unknown kind",
            });
        }
    };
    Ok(Entry {
        lsn: end.lsn,
        epoch: end.epoch,
        payload,
    })
}

/// Checks the structure of the log's pages: a page with a wrong, lower count of rows would hide the end of the
/// log, and a hash chain does not record its end.
fn check_pages(connection: &Connection) -> Result<(), StoreError> {
    let found: String = connection.query_row("PRAGMA quick_check(log)", [], |row| row.get(0))?;
    match found.as_str() {
        "ok" => Ok(()),
        what => Err(StoreError::Corrupt(format!("the log's pages: {what}"))),
    }
}

/// The data that a start finds, for the core and for the writer.
pub(super) struct Found {
    pub recovered: Recovered,
    pub base: Base,
    pub end: End,
    /// Payload bytes of all entries.
    pub bytes: u64,
}

/// Reads the base and the whole log: checks the hash chain, and collects the data that the core starts from.
pub(super) fn recover(
    connection: &Connection,
    promised: Epoch,
    applied: Lsn,
) -> Result<Found, StoreError> {
    check_pages(connection)?;
    let base = base::read(connection)?;
    if base.end.lsn > applied {
        let what = format!(
            "the log begins at {}, and entries up to {applied} were applied",
            base.start()
        );
        return Err(StoreError::Corrupt(what));
    }
    let mut at = base.clone();
    let (mut configs, mut tail) = (Vec::new(), Vec::new());
    let mut bytes = 0;
    let mut select = connection.prepare(&format!("SELECT {COLUMNS} FROM log ORDER BY lsn"))?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        if at.end.lsn == applied {
            configs.extend(at.config.take());
        }
        at.go_on(row)?;
        bytes += payload_bytes(row)?;
        if at.end.lsn > applied {
            configs.extend(at.config.take());
            tail.push(decode(row, &at.end)?);
        }
    }
    configs.extend(at.config.take());
    if applied > at.end.lsn {
        let what = format!(
            "entries up to {applied} were applied, and the log ends at {}",
            at.end.lsn
        );
        return Err(StoreError::Corrupt(what));
    }
    let sql = "SELECT settled_lsn FROM position";
    let settled: Lsn = connection.query_row(sql, [], |row| Ok(Lsn(row.get(0)?)))?;
    let recovered = Recovered {
        promised,
        epochs: at.epochs,
        start: base.start(),
        last: at.end.lsn,
        applied,
        settled: settled.min(applied),
        configs,
        tail,
    };
    Ok(Found {
        recovered,
        base,
        end: at.end,
        bytes,
    })
}

/// Implements [`super::Readers::log_tail`].
pub(super) fn tail(connection: &Connection) -> Result<(Lsn, Epoch), StoreError> {
    let last = connection
        .prepare_cached(
            "SELECT lsn, epoch_number, epoch_proposer FROM log ORDER BY lsn DESC LIMIT 1",
        )?
        .query_row([], |row| Ok((Lsn(row.get(0)?), epoch(row, 1)?)))
        .optional()?;
    match last {
        Some(last) => Ok(last),
        None => base::read(connection).map(|base| (base.end.lsn, base.end.epoch)),
    }
}

/// Implements [`super::Readers::log_entries`].
pub(super) fn read(
    connection: &Connection,
    from: Lsn,
    through: Lsn,
    bytes_max: usize,
) -> Result<Vec<Entry>, StoreError> {
    // One transaction, so that the log is of one state: the entry before gives the hash to continue from.
    let transaction = connection.unchecked_transaction()?;
    let Some(mut end) = entry_before(&transaction, from)? else {
        return Ok(Vec::new());
    };
    let mut select = transaction.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM log WHERE lsn BETWEEN ?1 AND ?2 ORDER BY lsn"
    ))?;
    let mut rows = select.query([from.0, through.0.min(i64::MAX as u64)])?;
    let mut entries = Vec::new();
    let mut bytes = 0;
    while bytes < bytes_max || entries.is_empty() {
        let Some(row) = rows.next()? else { break };
        check(row, &mut end)?;
        let entry = decode(row, &end)?;
        bytes += entry.payload.bytes();
        entries.push(entry);
    }
    Ok(entries)
}

/// Finds the entry before `from`, in the log or its base; `None` if it is in neither.
fn entry_before(connection: &Connection, from: Lsn) -> Result<Option<End>, StoreError> {
    let before = from.prev();
    let found = connection
        .prepare_cached(
            "SELECT epoch_number, epoch_proposer, hash FROM log WHERE lsn = ?1
             UNION ALL
             SELECT 0, 0, hash FROM log_base WHERE lsn = ?1",
        )?
        .query_row([before.0], |row| {
            Ok(End {
                lsn: before,
                epoch: epoch(row, 0)?,
                hash: row.get(2)?,
            })
        })
        .optional()?;
    Ok(found)
}
