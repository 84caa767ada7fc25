//! The state hash: one number for the whole replicated state, equal on all replicas that applied the same
//! entries. `tercet cluster verify` compares it.

use std::path::Path;

use rusqlite::{Connection, Row, types::ValueRef};
use sha2::{Digest as _, Sha256};

use super::{StoreError, position, schema, seqs};

/// A replicated table.
pub(super) struct Table {
    pub name: &'static str,
    /// The columns that the hash covers, separated by commas.
    pub hashed: &'static str,
    /// A column that a snapshot carries too and the hash leaves out: it follows from the log, and earlier builds do
    /// not have it.
    pub unhashed: Option<&'static str>,
    /// A column that the hash covers where it is not NULL: it came after builds compared hashes.
    pub added: Option<&'static str>,
    /// Columns, separated by commas, that the hash covers once a command of that version was applied.
    pub since: Option<(&'static str, u32)>,
    /// The primary key.
    pub key: &'static str,
    /// Whether the table counts only when it has rows. Builds without the table then compute the same hash as
    /// long as no command has used it.
    pub optional: bool,
}

impl Table {
    const fn new(name: &'static str, hashed: &'static str, key: &'static str) -> Table {
        Table {
            name,
            hashed,
            unhashed: None,
            added: None,
            since: None,
            key,
            optional: false,
        }
    }

    /// Describes a table that came after builds compared hashes.
    const fn added(name: &'static str, hashed: &'static str, key: &'static str) -> Table {
        Table {
            optional: true,
            ..Table::new(name, hashed, key)
        }
    }

    /// Lists all columns.
    pub fn columns(&self) -> String {
        let since = self.since.map(|(column, _)| column);
        let more = [self.added, self.unhashed, since].into_iter().flatten();
        let more = more.map(|column| format!(", {column}"));
        self.hashed.to_owned() + &more.collect::<String>()
    }
}

/// The replicated tables. A new table must be added here (with `Table::added`), or a difference in it would go unnoticed (a test compares
/// this list with the schema).
pub(super) const TABLES: &[Table] = &[
    Table::new(
        "position",
        "only_row, applied_lsn, last_stamp_ms, command_version, request_clock_ms, request_floor, \
             request_floor_ms",
        "only_row",
    ),
    Table::new(
        "users",
        "id, username, username_key, password_hash, created_at_ms, deleted_at_lsn, session_generation",
        "id",
    ),
    Table {
        added: Some("label"),
        ..Table::new(
            "sessions",
            "token_hash, account_id, created_at_ms, expires_at_ms, generation",
            "token_hash",
        )
    },
    Table::new("conversations", "id, low_account, high_account", "id"),
    Table {
        since: Some(("seq", seqs::VERSION)),
        ..Table::new(
            "messages",
            "lsn, id, conversation_id, sender_id, recipient_id, body, sent_at_ms, instant, delivered",
            "lsn",
        )
    },
    Table {
        unhashed: Some("fingerprint"),
        ..Table::new("requests", "request_id, lsn", "request_id")
    },
    Table::new("request_marks", "lsn, clock_ms, time_ms", "lsn"),
    Table::new("answers", "lsn, request_id, fingerprint, outcome", "lsn"),
    Table::new(
        "replicas",
        "id, address, peer_address, removed_at_lsn",
        "id",
    ),
    Table::new(
        "cleanups",
        "account_id, is_deleted, after_token",
        "account_id",
    ),
    Table::added(
        "blocks",
        "blocker_id, blocked_id, refuse, blocked_at_ms",
        "blocker_id, blocked_id",
    ),
    Table::added(
        "hidden_messages",
        "recipient_id, sender_id, lsn",
        "recipient_id, sender_id, lsn",
    ),
    Table {
        since: Some(("keeps_edits, is_feed", 3)),
        ..Table::added(
            "rooms",
            "id, name, name_key, topic, is_public, is_announce_only, created_at_ms, archived_at_lsn",
            "id",
        )
    },
    Table::added(
        "members",
        "conversation_id, account_id, role, joined_seq, joined_at_ms, read_seq, delivered_seq",
        "conversation_id, account_id",
    ),
    Table::added(
        "room_messages",
        "lsn, id, room_id, seq, sender_id, kind, subject_id, body, sent_at_ms",
        "lsn",
    ),
    Table::added(
        "bans",
        "room_id, account_id, banned_by, banned_at_ms",
        "room_id, account_id",
    ),
    Table::added(
        "mentions",
        "account_id, conversation_id, seq, lsn, sender_id, kind",
        "account_id, conversation_id, seq",
    ),
    Table::added("mention_limits", "room_id", "room_id"),
    Table::added(
        "levels",
        "account_id, conversation_id, level",
        "account_id, conversation_id",
    ),
    Table::added(
        "keywords",
        "account_id, folded, keyword",
        "account_id, folded",
    ),
    Table::added(
        "profiles",
        "account_id, display_name, status_text",
        "account_id",
    ),
    Table::added("changes", "audience_id, lsn, payload", "audience_id, lsn"),
    Table::added(
        "replies",
        "conversation_id, seq, reply_to",
        "conversation_id, seq",
    ),
    Table::added(
        "edits",
        "message_lsn, changed_lsn, edited_at_ms, deleted_at_ms, deleted_by_id",
        "message_lsn",
    ),
    Table::added(
        "reactions",
        "message_lsn, reaction, account_id",
        "message_lsn, reaction, account_id",
    ),
    Table::added(
        "deleted_messages",
        "conversation_id, seq, sender_id",
        "conversation_id, seq",
    ),
    Table::added(
        "markers",
        "conversation_id, account_id, read_seq, seen_seq",
        "conversation_id, account_id",
    ),
    Table::added("direct_parts", "conversation_id", "conversation_id"),
    Table::added(
        "earlier_texts",
        "message_lsn, replaced_lsn, body, written_at_ms, replaced_at_ms",
        "message_lsn, replaced_lsn",
    ),
    Table::added(
        "pins",
        "conversation_id, seq, message_lsn, pinned_lsn, pinned_by, pinned_at_ms",
        "conversation_id, seq",
    ),
    Table::added("changes_forgotten", "only_row, through_lsn", "only_row"),
    Table::added(
        "state",
        "conversation_id, key, version, value, changed_at_ms, changed_by",
        "conversation_id, key",
    ),
    Table::added(
        "state_totals",
        "conversation_id, keys, bytes",
        "conversation_id",
    ),
    Table::added("retention", "conversation_id, keep_ms", "conversation_id"),
    Table::added(
        "history_starts",
        "conversation_id, first_seq, removed_lsn, changed_lsn",
        "conversation_id",
    ),
    Table::added(
        "api_tokens",
        "token_hash, account_id, name, scopes, created_at_ms, expires_at_ms",
        "token_hash",
    ),
];

/// The state right after one entry, on its own connection: later writes do not change what it reads. While it
/// exists the WAL cannot start over.
pub struct StateSnapshot {
    connection: Connection,
}

impl StateSnapshot {
    /// Pins the state that is committed now. The caller is the writer, so no commit comes in between.
    pub(super) fn pin(dir: &Path) -> Result<StateSnapshot, StoreError> {
        let connection = schema::open_reader(dir)?;
        connection.execute_batch("BEGIN")?;
        // BEGIN alone pins nothing; the first read does.
        connection.query_row("SELECT applied_lsn FROM position", [], |_| Ok(()))?;
        Ok(StateSnapshot { connection })
    }

    /// Computes SHA-256 over all rows of all replicated tables. Takes long for a large store: call it on a
    /// thread that may block.
    pub fn hash(self) -> Result<[u8; 32], StoreError> {
        let mut hash = Sha256::new();
        let version = position::read_mark(&self.connection)?.command_version;
        for table in TABLES {
            add_table(&mut hash, &self.connection, table, version)?;
        }
        Ok(hash.finalize().into())
    }
}

fn add_table(
    hash: &mut Sha256,
    state: &Connection,
    table: &Table,
    version: u32,
) -> Result<(), StoreError> {
    let Table {
        name, hashed, key, ..
    } = table;
    if !table.optional {
        add(hash, b'T', name.as_bytes());
    }
    let added = table.added.unwrap_or("NULL");
    let since = match table.since {
        Some((column, since)) if version >= since => format!(", {column}"),
        _ => String::new(),
    };
    let mut select = state.prepare(&format!(
        "SELECT {hashed}{since}, {added} FROM {name} ORDER BY {key}"
    ))?;
    let count = select.column_count() - 1;
    let mut rows = select.query([])?;
    let mut is_first = true;
    while let Some(row) = rows.next()? {
        if table.optional && is_first {
            add(hash, b'T', name.as_bytes());
        }
        is_first = false;
        add_row(hash, row, count)?;
        if let ValueRef::Text(value) = row.get_ref(count)? {
            add(hash, b'A', value);
        }
    }
    Ok(())
}

pub(super) fn add_row(hash: &mut Sha256, row: &Row<'_>, columns: usize) -> Result<(), StoreError> {
    hash.update(b"R");
    for column in 0..columns {
        match row.get_ref(column)? {
            ValueRef::Null => add(hash, b'N', &[]),
            ValueRef::Integer(value) => add(hash, b'I', &value.to_be_bytes()),
            ValueRef::Real(value) => add(hash, b'F', &value.to_be_bytes()),
            ValueRef::Text(value) => add(hash, b'S', value),
            ValueRef::Blob(value) => add(hash, b'B', value),
        }
    }
    Ok(())
}

/// Adds a type, a length and the bytes, so that following bytes cannot count as part of them.
pub(super) fn add(hash: &mut Sha256, tag: u8, bytes: &[u8]) {
    hash.update([tag]);
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}
