//! Snapshots: the replicated state after one entry, in a file of its own, for a replica that needs entries
//! which every log has trimmed.
//!
//! The file is an SQLite database with the store's schema, so that migrations can run on it. It holds the rows
//! of the replicated tables and the log's base at that entry, and nothing else: no identity, no promise, no
//! entry of the log, no free page with deleted rows. So rows are copied, not pages as SQLite's backup would. A
//! hash over the whole content shows whether the file was changed; it does not prove the sender.

use std::{
    fs::File,
    io::Read as _,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags, types::ToSqlOutput};
use sha2::{Digest as _, Sha256};
use tercet_core::{id::Lsn, log::Snapshot};
use tercet_types::durable::NewFile;

use super::{
    StoreError,
    base::{self, Base},
    log::Hash,
    position, schema, state_hash,
};
use crate::command;

/// The share of the machine that taking a snapshot may use, and its cancellation.
pub struct Pace<'a> {
    /// The time for which it works without a pause.
    pub work: Duration,
    /// The time for which it then pauses.
    pub pause: Duration,
    /// Ends it with [`StoreError::Cancelled`] once true.
    pub cancelled: &'a AtomicBool,
}

/// Rows between two looks at the clock.
const ROWS_AT_ONCE: u32 = 32;
/// Written bytes after which the file is fsynced: one fsync at the end would delay the store's own.
const SYNC_BYTES: usize = 2 << 20;

/// Takes a snapshot of the applied state without delaying the writer, and leaves it at `to`, complete and
/// durable, or not at all. Meanwhile the WAL cannot start over. Takes long for a large store: call it on a
/// thread that may block. One call at a time for one `to`.
///
/// # Errors
/// `Snapshot` when nothing was applied yet; `Cancelled`; `Corrupt` when an entry of the log up to there was
/// changed.
pub fn take(dir: &Path, to: &Path, pace: &Pace<'_>) -> Result<Snapshot, StoreError> {
    let failed = |error| StoreError::from_io(&format!("write {}", to.display()), &error);
    let new = NewFile::create(to).map_err(failed)?;
    let snapshot = write(dir, &new, pace)?;
    new.finish().map_err(failed)?;
    Ok(snapshot)
}

fn write(dir: &Path, new: &NewFile, pace: &Pace<'_>) -> Result<Snapshot, StoreError> {
    let mut pacer = Pacer::new(Some((pace, new.file())));

    let source = schema::open_reader(dir)?;
    // All following reads see one committed state.
    let source = source.unchecked_transaction()?;
    let base = base_of_applied(&source, &mut pacer)?;
    let snapshot = core_snapshot(&base)?;

    let mut sink = schema::make_snapshot(new.part())?;
    let transaction = sink.transaction()?;
    copy_state(&source, &transaction, &mut pacer)?;
    base::write(&transaction, &base, Lsn::ZERO)?;
    drop(source);
    let hash = content(&transaction, &mut pacer)?;
    transaction.execute(
        "INSERT INTO snapshot (only_row, hash) VALUES (1, ?1)",
        [hash],
    )?;
    transaction.commit()?;
    sink.close().map_err(|(_, error)| error)?;
    Ok(snapshot)
}

/// Computes the base of a log trimmed through the last applied entry.
fn base_of_applied(store: &Connection, pacer: &mut Pacer<'_>) -> Result<Base, StoreError> {
    let applied = position::applied(store)?;
    let mut base = base::read(store)?;
    while base.end.lsn < applied {
        base.advance(store, applied, u64::from(ROWS_AT_ONCE), u64::MAX)?;
        pacer.pass(ROWS_AT_ONCE, 0)?;
    }
    Ok(base)
}

fn core_snapshot(base: &Base) -> Result<Snapshot, StoreError> {
    let nothing = || StoreError::Snapshot("it would be of a store without any Config".into());
    Ok(Snapshot {
        lsn: base.end.lsn,
        epochs: base.epochs.clone(),
        config: base.config.clone().ok_or_else(nothing)?,
    })
}

/// Reads the position of a snapshot, if the file is one and is unchanged. Its bytes may be anything.
///
/// # Errors
/// `Snapshot` when it is not; `Newer` or `NewerCommands` when a later version of Tercet has taken it.
pub fn read(path: &Path) -> Result<Snapshot, StoreError> {
    Ok(Source::open(path)?.snapshot)
}

/// A snapshot whose content was checked.
pub(super) struct Source {
    /// In a transaction, so that the checked content stays.
    connection: Connection,
    base: Base,
    pub snapshot: Snapshot,
}

impl Source {
    /// # Errors
    /// As [`read`].
    pub fn open(path: &Path) -> Result<Source, StoreError> {
        let failed = |error| StoreError::from_io(&format!("read {}", path.display()), &error);
        let mut header = Vec::new();
        let file = File::open(path).map_err(failed)?;
        file.take(20).read_to_end(&mut header).map_err(failed)?;
        // Bytes 18 and 19 say that no WAL belongs to the file.
        if !header.starts_with(b"SQLite format 3\0") || header[16..] != [0x10, 0, 1, 1] {
            return Err(StoreError::Snapshot(
                "the file does not begin as one".into(),
            ));
        }
        Source::check(path).map_err(|error| match error {
            StoreError::Corrupt(what) => StoreError::Snapshot(what),
            StoreError::Database(error) => StoreError::Snapshot(error.to_string()),
            StoreError::UnknownCommand { why, .. } => StoreError::Snapshot(why.to_owned()),
            error => error,
        })
    }

    fn check(path: &Path) -> Result<Source, StoreError> {
        // Only a snapshot of an earlier version is written to, and the changes are never committed.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        schema::check_snapshot(&connection)?;
        connection.execute_batch("BEGIN")?;
        let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if found != "ok" {
            return Err(StoreError::Snapshot(found));
        }
        let sealed: Hash =
            connection.query_row("SELECT hash FROM snapshot", [], |row| row.get(0))?;
        if content(&connection, &mut Pacer::new(None))? != sealed {
            let what = "what it holds does not have the hash it was sealed with";
            return Err(StoreError::Snapshot(what.into()));
        }

        // The content is unchanged; this checks that it is also consistent.
        let base = base::read(&connection)?;
        let snapshot = core_snapshot(&base)?;
        let applied = position::applied(&connection)?;
        if applied != base.end.lsn || applied == Lsn::ZERO {
            let what = format!(
                "it says {applied} and {} of where it was taken",
                base.end.lsn
            );
            return Err(StoreError::Snapshot(what));
        }
        schema::migrate_snapshot(&connection)?;
        let made_by = position::read_mark(&connection)?.command_version;
        command::check_version(made_by, || "the state in the snapshot".into())?;
        Ok(Source {
            connection,
            base,
            snapshot,
        })
    }

    /// Replaces the state and the whole log, in the transaction of `store`; gives the new base of the log.
    pub fn install(&self, store: &Connection) -> Result<Base, StoreError> {
        for table in state_hash::TABLES {
            store.execute(&format!("DELETE FROM {}", table.name), [])?;
        }
        store.execute_batch("DELETE FROM log; DELETE FROM base_epochs")?;
        copy_state(&self.connection, store, &mut Pacer::new(None))?;
        base::write(store, &self.base, Lsn::ZERO)?;
        Ok(self.base.clone())
    }
}

/// Copies the replicated tables into `to`, where they are empty.
fn copy_state(from: &Connection, to: &Connection, pacer: &mut Pacer<'_>) -> Result<(), StoreError> {
    for table in state_hash::TABLES {
        let columns = table.columns();
        let (table, key) = (table.name, table.key);
        let count = columns.split(',').count();
        let places = vec!["?"; count].join(", ");
        let mut select = from.prepare(&format!(
            "SELECT {columns} FROM {table} NOT INDEXED ORDER BY {key}"
        ))?;
        let mut insert = to.prepare(&format!(
            "INSERT INTO {table} ({columns}) VALUES ({places})"
        ))?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let mut bytes = 0;
            for column in 0..count {
                let value = row.get_ref(column)?;
                bytes += value.as_bytes().map_or(8, <[u8]>::len);
                insert.raw_bind_parameter(column + 1, ToSqlOutput::Borrowed(value))?;
            }
            insert.raw_execute()?;
            pacer.pass(1, bytes)?;
        }
    }
    Ok(())
}

/// Computes SHA-256 over the schema and all rows of all tables of a snapshot except its seal. It reads the
/// tables that exist, so it does not depend on this program's schema.
pub(super) fn content(connection: &Connection, pacer: &mut Pacer<'_>) -> Result<Hash, StoreError> {
    let mut hash = Sha256::new();
    let mut tables: Vec<String> = Vec::new();
    let mut select = connection.prepare(
        "SELECT type, name, tbl_name, sql FROM sqlite_schema
         WHERE tbl_name <> 'snapshot' ORDER BY type, name",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        state_hash::add_row(&mut hash, row, 4)?;
        let (kind, name): (String, String) = (row.get(0)?, row.get(1)?);
        let is_plain = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        match kind.as_str() {
            "table" if is_plain => tables.push(name),
            "index" => {}
            _ => return Err(StoreError::Snapshot(format!("it has a {kind} {name}"))),
        }
    }
    for table in tables {
        state_hash::add(&mut hash, b'T', table.as_bytes());
        let mut select =
            connection.prepare(&format!("SELECT * FROM {table} NOT INDEXED ORDER BY 1"))?;
        let count = select.column_count();
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            state_hash::add_row(&mut hash, row, count)?;
            pacer.pass(1, 0)?;
        }
    }
    Ok(hash.finalize().into())
}

/// Keeps the pace of taking a snapshot, if there is one.
pub(super) struct Pacer<'a> {
    kept: Option<(&'a Pace<'a>, &'a File)>,
    rows: u32,
    bytes: usize,
    since: Instant,
}

impl<'a> Pacer<'a> {
    pub(super) fn new(kept: Option<(&'a Pace<'a>, &'a File)>) -> Pacer<'a> {
        Pacer {
            kept,
            rows: 0,
            bytes: 0,
            since: Instant::now(),
        }
    }

    /// Counts rows read and bytes written, and pauses or fsyncs when it is due.
    fn pass(&mut self, rows: u32, written: usize) -> Result<(), StoreError> {
        let Some((pace, file)) = self.kept else {
            return Ok(());
        };
        self.rows += rows;
        self.bytes += written;
        if self.rows < ROWS_AT_ONCE {
            return Ok(());
        }
        self.rows = 0;
        if pace.cancelled.load(Ordering::Relaxed) {
            return Err(StoreError::Cancelled);
        }
        if self.bytes >= SYNC_BYTES {
            self.bytes = 0;
            file.sync_data()
                .map_err(|error| StoreError::from_io("write a snapshot", &error))?;
        }
        if self.since.elapsed() >= pace.work {
            thread::sleep(pace.pause);
            self.since = Instant::now();
        }
        Ok(())
    }
}
