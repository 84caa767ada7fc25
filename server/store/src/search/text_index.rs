//! The text index: a file of SQLite's FTS5 beside the store. It belongs to one replica, follows the messages late, and can
//! be deleted at any time: it is then built again. It finds messages that may match; whoever asks compares the messages
//! themselves.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags, params};
use tercet_core::id::StoreId;

use super::{
    query::{LINK_MARK, characters, has_link, words},
    units::units,
};
use crate::{StoreError, schema::BUSY_TIMEOUT};

const FILE: &str = "search.db";
/// The id in the file's header ("Trcx").
const APPLICATION_ID: i32 = 0x5472_6378;
/// The version of the file's content. A file of another version is built again.
const VERSION: u32 = 1;
const CACHE_KIB: i64 = 4 * 1024;
/// The size to which the WAL file shrinks when it starts over.
const WAL_BYTES_KEPT: i64 = 4 << 20;

/// Texts that are erased at once.
const ERASED_MAX: usize = 500;

/// `words`: the words of a text in order, and the pairs of adjacent characters. `characters`: single ones. `marks`: `c` and
/// the id of the conversation, `f` and that of the sender, `a` and those of both accounts of a direct message, `hlink` for
/// a link. The tokenizer splits at spaces only, as no token has ASCII punctuation.
const SCHEMA: &str = "
    CREATE VIRTUAL TABLE texts USING fts5 (words, characters, marks, tokenize = 'ascii', prefix = '2');
    -- What is deleted is gone from the file, and not only marked.
    INSERT INTO texts (texts, rank) VALUES ('secure-delete', 1);
    CREATE TABLE position (
        only_row    INTEGER PRIMARY KEY CHECK (only_row = 1),
        -- The store whose messages are indexed.
        store_id    BLOB NOT NULL,
        -- All messages up to this LSN are indexed.
        through_lsn INTEGER NOT NULL
    ) STRICT;";

/// A text to index.
pub(super) struct Text {
    pub lsn: u64,
    pub conversation_id: u64,
    pub sender_id: u64,
    /// `None` in rooms.
    pub recipient_id: Option<u64>,
    pub body: String,
}

/// The file, open.
pub(super) struct TextIndex {
    connection: Connection,
    /// All messages up to this LSN are indexed.
    pub through: u64,
}

impl TextIndex {
    /// Opens the index of a store that has applied the entries up to `applied`. A file that is missing, damaged, of
    /// another store or of another version is made anew.
    pub fn open(dir: &Path, store: StoreId, applied: u64) -> Result<TextIndex, StoreError> {
        match TextIndex::open_there(dir, store, applied) {
            Ok(Some(index)) => Ok(index),
            Ok(None) => TextIndex::make(dir, store),
            Err(error) => {
                tracing::warn!(%error, "the text index is damaged: it is built again");
                TextIndex::make(dir, store)
            }
        }
    }

    /// Opens the file that is there; `None` when it is of no use.
    fn open_there(
        dir: &Path,
        store: StoreId,
        applied: u64,
    ) -> Result<Option<TextIndex>, StoreError> {
        let path = dir.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let connection = connect(&path)?;
        let application: i32 =
            connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if (application, version) != (APPLICATION_ID, VERSION) {
            return Ok(None);
        }
        let (of, through): ([u8; 16], u64) =
            connection.query_row("SELECT store_id, through_lsn FROM position", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        let is_usable = of == store.0.to_be_bytes() && through <= applied;
        Ok(is_usable.then_some(TextIndex {
            connection,
            through,
        }))
    }

    fn make(dir: &Path, store: StoreId) -> Result<TextIndex, StoreError> {
        remove(dir)?;
        let path = dir.join(FILE);
        // SQLite would make it readable for all users; its other files get the mode of this one.
        let made = File::options()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path);
        made.map_err(|error| StoreError::from_io(&format!("open {}", path.display()), &error))?;
        let mut connection = connect(&path)?;
        let transaction = connection.transaction()?;
        transaction.execute_batch(SCHEMA)?;
        transaction.execute(
            "INSERT INTO position (only_row, store_id, through_lsn) VALUES (1, ?1, 0)",
            [store.0.to_be_bytes()],
        )?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()?;
        Ok(TextIndex {
            connection,
            through: 0,
        })
    }

    /// Indexes texts, in place of what was indexed of the same messages, and moves the position. Of a message with an
    /// empty text, a deleted one, nothing stays.
    pub fn add(&mut self, texts: &[Text], through: u64) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        let mut forgot = false;
        {
            let mut forget = transaction.prepare_cached("DELETE FROM texts WHERE rowid = ?1")?;
            for text in texts.iter().filter(|text| text.lsn <= self.through) {
                forgot |= forget.execute([text.lsn])? > 0;
            }
            let mut insert = transaction.prepare_cached(
                "INSERT INTO texts (rowid, words, characters, marks) VALUES (?1, ?2, ?3, ?4)",
            )?;
            for text in texts.iter().filter(|text| !text.body.is_empty()) {
                let units = units(&text.body);
                let of_row = params![text.lsn, words(&units), characters(&units), marks(text)];
                insert.execute(of_row)?;
            }
            transaction
                .prepare_cached("UPDATE position SET through_lsn = ?1")?
                .execute([through])?;
        }
        transaction.commit()?;
        self.through = through;
        if forgot {
            self.empty_wal()?;
        }
        Ok(())
    }

    /// Erases texts of a conversation up to an LSN, a bounded number of them; tells whether none is left.
    pub fn erase(&mut self, conversation_id: u64, through: u64) -> Result<bool, StoreError> {
        let place = format!("marks : c{conversation_id}");
        let before = through.saturating_add(1);
        let lsns = self.candidates(&place, 0, before, ERASED_MAX)?;
        if lsns.is_empty() {
            return Ok(true);
        }
        let transaction = self.connection.transaction()?;
        {
            let mut erase = transaction.prepare_cached("DELETE FROM texts WHERE rowid = ?1")?;
            for lsn in &lsns {
                erase.execute([lsn])?;
            }
        }
        transaction.commit()?;
        self.empty_wal()?;
        Ok(lsns.len() < ERASED_MAX)
    }

    /// Erases what the WAL has of texts that were erased.
    fn empty_wal(&self) -> Result<(), StoreError> {
        self.connection
            .pragma_update_and_check(None, "wal_checkpoint", "TRUNCATE", |_| Ok(()))?;
        Ok(())
    }

    /// Finds the LSNs of messages below `before` and from `from` on that may match, the newest first.
    pub fn candidates(
        &self,
        what: &str,
        from: u64,
        before: u64,
        limit: usize,
    ) -> Result<Vec<u64>, StoreError> {
        let integer = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let mut select = self.connection.prepare_cached(
            "SELECT rowid FROM texts WHERE texts MATCH ?1 AND rowid >= ?2 AND rowid < ?3
             ORDER BY rowid DESC LIMIT ?4",
        )?;
        let found = params![what, integer(from), integer(before), integer(limit as u64)];
        let rows = select.query_map(found, |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    // A power loss takes the last commits, position included, and they are made again. Commits need no fsync.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update_and_check(None, "journal_size_limit", WAL_BYTES_KEPT, |_| Ok(()))?;
    // Erased texts leave nothing in free pages.
    connection.pragma_update_and_check(None, "secure_delete", true, |_| Ok(()))?;
    Ok(connection)
}

pub(super) fn exists(dir: &Path) -> bool {
    dir.join(FILE).exists()
}

/// Removes the files of the index, if there are any.
pub(super) fn remove(dir: &Path) -> Result<(), StoreError> {
    for end in ["", "-wal", "-shm"] {
        let path: PathBuf = dir.join(format!("{FILE}{end}"));
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let what = format!("remove {}", path.display());
                return Err(StoreError::from_io(&what, &error));
            }
            _ => {}
        }
    }
    Ok(())
}

fn marks(text: &Text) -> String {
    let mut marks = format!("c{} f{}", text.conversation_id, text.sender_id);
    if let Some(recipient_id) = text.recipient_id {
        marks.push_str(&format!(" a{recipient_id}"));
        if recipient_id != text.sender_id {
            marks.push_str(&format!(" a{}", text.sender_id));
        }
    }
    if has_link(&text.body) {
        marks.push(' ');
        marks.push_str(LINK_MARK);
    }
    marks
}
