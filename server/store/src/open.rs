//! The opening of a store.

use std::sync::Arc;

use tercet_core::{id::StoreId, log::Recovered};

use super::{
    Readers, StoreError, Writer, command, directory,
    identity::{self, Identity},
    index::LazyIndex,
    log,
    position::{self, Position},
    roster::{self, Roster},
    schema::{self, OpenOptions},
    trim::SharedSize,
    wal,
    wal_checkpointer::WalCheckpointer,
};

/// The result of opening: the one writer, the readers beside it, and the data on disk.
pub struct Opened {
    pub store: StoreId,
    pub writer: Writer,
    pub readers: Readers,
    pub recovered: Recovered,
    /// The greatest stamp that was applied.
    pub last_stamp_ms: i64,
    /// The roster of the state; `None` while it has none.
    pub roster: Option<Roster>,
    /// Whether a note of the store's place must exist, for [`super::place::is_copied`].
    pub expects_note: bool,
}

/// Locks the data directory, migrates its store, and reads its content. Checks every entry of the log, so the
/// time grows with the log. A refused store is left unchanged.
///
/// # Errors
/// When another process has locked the directory; when the store is another replica's, of a newer version, or
/// damaged; when it cannot be written.
pub fn open(options: &OpenOptions) -> Result<Opened, StoreError> {
    let dir = &options.dir;
    let lock = directory::lock(dir)?;
    wal::check(dir)?;
    let (connection, version) = schema::open_writer(options)?;

    let Identity {
        store, promised, ..
    } = identity::read(&connection)?;
    let mark = position::read_mark(&connection)?;
    command::check_version(mark.command_version, || "the state of the store".into())?;
    let applied = position::applied(&connection)?;
    let found = log::recover(&connection, promised, applied)?;
    let roster = roster::read(&connection)?;
    let indexed = LazyIndex::read(&connection, applied)?;
    let unindexed_reads = indexed.unindexed_reads.clone();
    let at = Position {
        promised,
        base: Arc::new(found.base),
        end: found.end,
        log_bytes: found.bytes,
        applied,
        settled: found.recovered.settled,
        mark,
        cleanups_left: position::has_cleanups(&connection)?,
        indexed,
    };
    let size = SharedSize::new(at.log_size());
    let readers = Readers::open(dir, size.clone(), unindexed_reads)?;
    // Last, because a refused store is left unchanged.
    schema::accept(&connection)?;
    let checkpointer = WalCheckpointer::start(dir)?;
    Ok(Opened {
        store,
        writer: Writer::new(connection, checkpointer, dir.clone(), at, size, lock),
        readers,
        recovered: found.recovered,
        last_stamp_ms: mark.stamp_ms,
        roster,
        expects_note: version >= schema::PLACE_NOTED,
    })
}
