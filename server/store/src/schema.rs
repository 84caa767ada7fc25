//! Connections to the database file, their settings, and the schema's versions.
//!
//! A version is `PRAGMA user_version`: a field of the file's header, set in the transaction that
//! runs the migration.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{
    Connection, OpenFlags, TransactionBehavior, config::DbConfig, params, wal::CheckpointMode,
};
use tercet_core::id::{Lsn, ReplicaId, StoreId};

use super::{
    StoreError,
    base::{self, Base},
    directory, identity, wal,
};

/// The migrations in order; the version of a schema is the number of migrations that ran.
const MIGRATIONS: &[&str] = &[
    include_str!("../../../migrations/0001_log_and_state.sql"),
    include_str!("../../../migrations/0002_replicas.sql"),
    include_str!("../../../migrations/0003_log_base.sql"),
    include_str!("../../../migrations/0004_fewer_indexes.sql"),
    include_str!("../../../migrations/0005_messages_answer_retries.sql"),
    include_str!("../../../migrations/0006_indexed_late.sql"),
    include_str!("../../../migrations/0007_settled.sql"),
    include_str!("../../../migrations/0008_in_use.sql"),
    include_str!("../../../migrations/0009_command_version.sql"),
    include_str!("../../../migrations/0010_ended_at_once.sql"),
    include_str!("../../../migrations/0011_identity_sealed.sql"),
    include_str!("../../../migrations/0012_requests_in_time.sql"),
    include_str!("../../../migrations/0013_settled_in_position.sql"),
    include_str!("../../../migrations/0014_fingerprints.sql"),
    include_str!("../../../migrations/0015_session_labels.sql"),
    include_str!("../../../migrations/0016_blocks.sql"),
    include_str!("../../../migrations/0017_rooms.sql"),
    include_str!("../../../migrations/0018_api_tokens.sql"),
    include_str!("../../../migrations/0019_profiles.sql"),
    include_str!("../../../migrations/0020_changes.sql"),
    include_str!("../../../migrations/0021_replies_edits_reactions.sql"),
    include_str!("../../../migrations/0022_bans.sql"),
    include_str!("../../../migrations/0023_direct_seqs.sql"),
    include_str!("../../../migrations/0024_markers.sql"),
    include_str!("../../../migrations/0025_direct_parts.sql"),
    include_str!("../../../migrations/0026_state.sql"),
    include_str!("../../../migrations/0027_threads.sql"),
    include_str!("../../../migrations/0028_unread.sql"),
    include_str!("../../../migrations/0029_counts.sql"),
    include_str!("../../../migrations/0030_pins.sql"),
    include_str!("../../../migrations/0031_kept_edits.sql"),
    include_str!("../../../migrations/0032_mentions.sql"),
    include_str!("../../../migrations/0033_retention.sql"),
    include_str!("../../../migrations/0034_levels.sql"),
    include_str!("../../../migrations/0035_feeds.sql"),
];

/// The migration that made the log's base.
const LOG_BASE: u32 = 3;
/// The migration that made the mark of a store in use.
const STORE_USE: u32 = 8;
/// The first version whose builds all write the note of the store's place ([`super::place`]) at each start.
pub(super) const PLACE_NOTED: u32 = 9;
/// The migration that seals the identity.
const IDENTITY_SEALED: u32 = 11;
/// The id in the file's header ("Trct") that marks a Tercet store.
const APPLICATION_ID: i32 = 0x5472_6374;
/// The id ("Trcs") that marks a snapshot, so that one is never taken for the other.
const SNAPSHOT_ID: i32 = 0x5472_6373;
/// The least version of SQLite. Earlier versions can lose a commit when the WAL is reset.
const SQLITE_VERSION_MIN: (u32, u32, u32) = (3, 51, 3);
/// The value of `synchronous` when each commit is fsynced.
const SYNCHRONOUS_FULL: i64 = 2;
/// The first version that had snapshots.
const SNAPSHOT_VERSION_MIN: u32 = 3;
/// The table that only a snapshot has: SHA-256 over all its other tables.
const SNAPSHOT_SEAL: &str = "CREATE TABLE snapshot (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    hash     BLOB NOT NULL
) STRICT";
const SNAPSHOT_PAGE_BYTES: i64 = 4096;
/// The time that a connection waits for a lock; only a program from outside could make the writer wait.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const WRITER_CACHE_KIB: i64 = 16 * 1024;
const READER_CACHE_KIB: i64 = 8 * 1024;
/// The cache of the WAL checkpointer, which caches no pages.
const CHECKPOINTER_CACHE_KIB: i64 = 64;
/// The limit of cached statements, more than this program has.
const STATEMENTS_MAX: usize = 192;
/// The size to which the WAL file shrinks when it starts over.
const WAL_BYTES_KEPT: i64 = 64 << 20;

/// Options for opening a store.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Whether a store that is marked as in use is opened without its WAL, because an operator accepts that the
    /// WAL's transactions are lost.
    pub accept_missing_wal: bool,
    /// The data directory; created if missing.
    pub dir: PathBuf,
    /// The replica that the store must belong to.
    pub replica: ReplicaId,
    /// The identity that a new store gets.
    pub new_store: StoreId,
}

/// Opens the file for its one writer, creating it and migrating its schema as needed; gives the earlier version
/// of the schema, 0 for a new file.
pub(super) fn open_writer(options: &OpenOptions) -> Result<(Connection, u32), StoreError> {
    let path = directory::make_database(&options.dir)?;
    // Before SQLite creates an empty WAL.
    let has_wal = wal::has_frames(&options.dir)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(&path, flags)?;
    // Closing would otherwise checkpoint the WAL and delete it, though the store is marked as in use.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    prepare(&connection, WRITER_CACHE_KIB)?;
    check_sqlite(&connection)?;
    if connection.is_readonly("main")? {
        return Err(StoreError::ReadOnly(path.display().to_string()));
    }
    // Before any change: the owner and the version of the file.
    let version = check_version(&connection)?;
    if version > 0 {
        check_owner(&connection, version, options.replica)?;
    }
    if version >= STORE_USE && !has_wal && !options.accept_missing_wal {
        check_not_in_use(&connection)?;
    }

    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::Unsafe(format!(
            "journal_mode is {mode}, not wal"
        )));
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    let synchronous: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
    if synchronous != SYNCHRONOUS_FULL {
        let found = format!("synchronous is {synchronous}, not {SYNCHRONOUS_FULL}");
        return Err(StoreError::Unsafe(found));
    }
    // The writer checkpoints the WAL itself, between batches. SQLite's own checkpoint inside a commit would
    // make the caller wait and hide its errors.
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    connection.pragma_update_and_check(None, "journal_size_limit", WAL_BYTES_KEPT, |_| Ok(()))?;

    migrate(&mut connection, version, options)?;
    if version == 0 {
        directory::sync(&options.dir)?;
    }
    Ok((connection, version))
}

/// Clears the remains of a crash behind the end of the WAL, for a store whose log was found to be complete, so
/// that they do not count as rot later.
pub(super) fn accept(connection: &Connection) -> Result<(), StoreError> {
    match mark_in_use(connection, false) {
        // A replica on a full disk can still read.
        Err(StoreError::Full) => Ok(()),
        marked => marked,
    }
}

/// Marks the store as in use, in the file and by at least one frame in the WAL, before anything else is
/// written. False while another program that reads the store keeps the mark from reaching the file.
pub(super) fn begin_use(connection: &Connection) -> Result<bool, StoreError> {
    mark_in_use(connection, true)?;
    let (frames, moved) = connection.wal_checkpoint_v2(Some("main"), CheckpointMode::PASSIVE)?;
    Ok(moved == frames)
}

/// Marks a closed store as not in use: all of it is in the file.
pub(super) fn close(connection: &Connection) -> Result<(), StoreError> {
    mark_in_use(connection, false)
}

/// Writes the mark. When the store is no longer in use, the WAL is checkpointed and empty.
fn mark_in_use(connection: &Connection, in_use: bool) -> Result<(), StoreError> {
    connection.execute("UPDATE store_use SET in_use = ?1", [in_use])?;
    if !in_use {
        connection.wal_checkpoint_v2(Some("main"), CheckpointMode::TRUNCATE)?;
    }
    Ok(())
}

/// Refuses a store that is in use but has no WAL; the caller found none.
fn check_not_in_use(connection: &Connection) -> Result<(), StoreError> {
    let in_use = connection.query_row("SELECT in_use FROM store_use", [], |row| row.get(0))?;
    match in_use {
        false => Ok(()),
        true => Err(StoreError::Corrupt(
            "tercet.db-wal is missing or empty, and the replica did not stop cleanly: what it acknowledged \
             last was in that file. Put the file back; or, if another program such as sqlite3 has opened \
             this store since, which moves everything into tercet.db, start once with --accept-missing-wal"
                .into(),
        )),
    }
}

/// Opens the file for checkpoints beside the writer, which must be open.
pub(super) fn open_wal_checkpointer(dir: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(directory::database_path(dir), flags)?;
    prepare(&connection, CHECKPOINTER_CACHE_KIB)?;
    // The checkpointed pages must be on disk before the WAL starts over.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(connection)
}

/// Opens the file for reads beside the writer, which must be open.
pub(super) fn open_reader(dir: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(directory::database_path(dir), flags)?;
    prepare(&connection, READER_CACHE_KIB)?;
    // Only the writer checkpoints, even when a reader closes last.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(connection)
}

/// Creates the file of a snapshot, with all tables and no rows. It is not durable, because an incomplete
/// snapshot is useless.
pub(super) fn make_snapshot(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    // A small cache, so that pages are written one by one and not all with the commit.
    prepare(&connection, READER_CACHE_KIB)?;
    connection.pragma_update(None, "page_size", SNAPSHOT_PAGE_BYTES)?;
    connection.pragma_update_and_check(None, "journal_mode", "OFF", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "application_id", SNAPSHOT_ID)?;
    for sql in MIGRATIONS {
        connection.execute_batch(sql)?;
    }
    // Removes the pages of tables that a migration dropped.
    connection.execute_batch("VACUUM")?;
    connection.execute_batch(SNAPSHOT_SEAL)?;
    connection.pragma_update(None, "user_version", version_known())?;
    Ok(connection)
}

/// Prepares a connection to a snapshot file, and checks its marks.
pub(super) fn check_snapshot(connection: &Connection) -> Result<(), StoreError> {
    prepare(connection, READER_CACHE_KIB)?;
    // The bytes of the file may be anything.
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    let application: i32 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if application != SNAPSHOT_ID {
        return Err(StoreError::Snapshot("the file is another's".into()));
    }
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = version_known();
    match found {
        _ if found > known => Err(StoreError::Newer { found, known }),
        _ if found < SNAPSHOT_VERSION_MIN => Err(StoreError::Snapshot(format!(
            "it has schema version {found}, and {SNAPSHOT_VERSION_MIN} is needed"
        ))),
        _ => Ok(()),
    }
}

/// Migrates the tables of a snapshot, in the transaction that it is read in, so that the snapshot of a replica
/// with an earlier version can be installed.
pub(super) fn migrate_snapshot(connection: &Connection) -> Result<(), StoreError> {
    let version: usize = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for sql in &MIGRATIONS[version..] {
        connection.execute_batch(sql)?;
    }
    Ok(())
}

pub(super) fn version_known() -> u32 {
    u32::try_from(MIGRATIONS.len()).expect("few migrations")
}

fn prepare(connection: &Connection, cache_kib: i64) -> Result<(), StoreError> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // Without it SQLite plans a statement with a bound LIMIT again for each new value.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    Ok(())
}

fn check_sqlite(connection: &Connection) -> Result<(), StoreError> {
    let version: String = connection.query_row("SELECT sqlite_version()", [], |row| row.get(0))?;
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    let found = (next(), next(), next());
    if found < SQLITE_VERSION_MIN {
        let (major, minor, patch) = SQLITE_VERSION_MIN;
        return Err(StoreError::Unsafe(format!(
            "SQLite is {version}, {major}.{minor}.{patch} or later is needed"
        )));
    }
    Ok(())
}

/// Reads the schema's version; 0 for a new, empty file.
fn check_version(connection: &Connection) -> Result<u32, StoreError> {
    let application: i32 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = version_known();
    if application == APPLICATION_ID && version > known {
        let found = version;
        return Err(StoreError::Newer { found, known });
    }
    let tables: u64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let is_store = application == APPLICATION_ID && version > 0;
    let is_empty = application == 0 && version == 0 && tables == 0;
    if !is_store && !is_empty {
        let what = "tercet.db is a database of another program".to_owned();
        return Err(StoreError::Corrupt(what));
    }
    Ok(version)
}

fn check_owner(
    connection: &Connection,
    version: u32,
    expected: ReplicaId,
) -> Result<(), StoreError> {
    let identity = match version {
        ..IDENTITY_SEALED => identity::read_unsealed(connection)?,
        _ => identity::read(connection)?,
    };
    let found = identity.replica;
    if found != expected {
        return Err(StoreError::OtherReplica { found, expected });
    }
    Ok(())
}

/// Runs the migrations after `version`, each with its version in one transaction, and with the rows
/// that its tables begin with.
fn migrate(
    connection: &mut Connection,
    version: u32,
    options: &OpenOptions,
) -> Result<(), StoreError> {
    for (number, sql) in (1u32..).zip(MIGRATIONS).skip(version as usize) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(sql)?;
        if number == 1 {
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.execute(
                "INSERT INTO identity
                     (only_row, replica_id, store_id, promised_number, promised_proposer)
                 VALUES (1, ?1, ?2, 0, 0)",
                params![options.replica.0, options.new_store.0.to_be_bytes()],
            )?;
            transaction.execute(
                "INSERT INTO position (only_row, applied_lsn, last_stamp_ms) VALUES (1, 0, 0)",
                [],
            )?;
        }
        if number == IDENTITY_SEALED {
            identity::seal(&transaction)?;
        }
        if number == LOG_BASE {
            base::write(&transaction, &Base::EMPTY, Lsn::ZERO)?;
        }
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
    }
    Ok(())
}
