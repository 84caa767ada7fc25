//! Direct conversations and their two accounts: finding one by the other.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    super::{StoreError, name_key},
    integer,
    messages::is_kept,
};
use crate::hidden::is_shown;

/// Finds the conversation of two accounts, which may be one.
pub(crate) fn conversation_of(
    state: &Connection,
    one: u64,
    other: u64,
) -> Result<Option<u64>, StoreError> {
    Ok(state
        .prepare_cached(
            "SELECT id FROM conversations WHERE low_account = ?1 AND high_account = ?2",
        )?
        .query_row([one.min(other), one.max(other)].map(integer), |row| {
            row.get(0)
        })
        .optional()?)
}

/// Finds the other side of a direct conversation of `account_id` by the id of the conversation.
pub(crate) fn peer_by_conversation(
    state: &Connection,
    account_id: u64,
    conversation_id: u64,
) -> Result<Option<u64>, StoreError> {
    Ok(state
        .prepare_cached(
            "SELECT iif(low_account = ?2, high_account, low_account) FROM conversations
             WHERE id = ?1 AND ?2 IN (low_account, high_account)",
        )?
        .query_row([conversation_id, account_id].map(integer), |row| row.get(0))
        .optional()?)
}

/// Finds the other side of a conversation of `account_id` by its name; see [`Peer::Name`](super::Peer::Name).
pub(crate) fn peer_by_name(
    state: &Connection,
    account_id: u64,
    name: &str,
) -> Result<Option<u64>, StoreError> {
    Ok(state
        .prepare_cached(concat!(
            "SELECT coalesce(
                (SELECT id FROM users WHERE username_key = ?2 AND deleted_at_lsn IS NULL),
                (SELECT max(u.id)
                 FROM users AS u INDEXED BY users_deleted
                 CROSS JOIN conversations AS c
                     ON c.low_account = min(u.id, ?1) AND c.high_account = max(u.id, ?1)
                 WHERE u.username_key = ?2 AND u.deleted_at_lsn IS NOT NULL
                     AND (EXISTS (SELECT 1 FROM conversation_messages AS i
                                      CROSS JOIN messages AS m ON m.lsn = i.lsn
                                  WHERE i.conversation_id = c.id AND ",
            is_kept!(),
            ")
                         OR EXISTS (SELECT 1 FROM messages AS m NOT INDEXED
                                    WHERE m.lsn > (SELECT through_lsn FROM indexed)
                                        AND m.conversation_id = c.id AND ",
            is_kept!(),
            " AND ",
            is_shown!("m"),
            "))))"
        ))?
        .query_row(params![integer(account_id), name_key(name)], |row| {
            row.get(0)
        })?)
}

/// Finds the id of the conversation of an account with the one of a name; see [`Peer::Name`](super::Peer::Name).
pub(crate) fn conversation_with(
    state: &Connection,
    account_id: u64,
    name: &str,
) -> Result<Option<u64>, StoreError> {
    let Some(peer_id) = peer_by_name(state, account_id, name)? else {
        return Ok(None);
    };
    conversation_of(state, account_id, peer_id)
}
