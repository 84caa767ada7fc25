//! CleanUp: removes a bounded number of rows of ended sessions and deleted accounts. Proposed by a leader while
//! there are such rows.
//!
//! An account or a session ends at once, by one row of `users`. The number of its other rows is unbounded: each
//! command removes a few of them, and `cleanups` lists the accounts that have more. Reads ignore such rows. A deleted
//! account leaves its rooms last, one with each command.

use rusqlite::{OptionalExtension as _, params};
use tercet_proto::log::{CleanUp, CleanedUp, MessagesDropped, change, outcome};

use super::{
    About, Applier, Applying, Command, Fingerprint, Living, StoreError, What, bans, blocks,
    fingerprint, mentions, rooms, set_level, state_rows,
};
use crate::{
    changes::{self, To},
    hidden, seqs,
};

/// The limit of sessions examined, blocks and bans removed and messages dropped by one command, together: about 5 ms of work.
pub(crate) const CLEANUP_ROWS: usize = 500;

impl Command for CleanUp {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        let first: Option<(Living, bool, Vec<u8>)> = state
            .connection
            .prepare_cached(
                "SELECT u.id, u.username, c.is_deleted, c.after_token
                 FROM cleanups AS c CROSS JOIN users AS u ON u.id = c.account_id
                 ORDER BY c.account_id LIMIT 1",
            )?
            .query_row([], |row| {
                Ok((Living::of_row(row)?, row.get(2)?, row.get(3)?))
            })
            .optional()?;
        let rows = match first {
            Some((account, is_deleted, after)) => remove_rows(state, &account, is_deleted, &after)?,
            None => 0,
        };
        Ok(outcome::Result::CleanedUp(CleanedUp { rows }))
    }

    fn fingerprint(&self) -> Fingerprint {
        fingerprint("clean_up", [])
    }

    fn describe(&self, _: &mut About<'_>) -> Result<What, StoreError> {
        Ok(What::Other("cleanup"))
    }
}

/// Notes that rows of an account must be removed, and removes the first of them.
pub(super) fn begin(
    state: &mut Applier<'_, '_>,
    account: &Living,
    is_deleted: bool,
) -> Result<(), StoreError> {
    state
        .connection
        .prepare_cached(
            "INSERT OR REPLACE INTO cleanups (account_id, is_deleted, after_token)
             VALUES (?1, ?2, x'')",
        )?
        .execute(params![account.id, is_deleted])?;
    remove_rows(state, account, is_deleted, &[])?;
    Ok(())
}

/// Removes rows of a deleted account by statements that each remove up to `?2` rows of the account `?1`: up to `limit` in
/// all. Gives their number.
pub(super) fn remove_of_deleted(
    state: &Applier<'_, '_>,
    statements: &[&str],
    account_id: u64,
    limit: usize,
) -> Result<usize, StoreError> {
    let mut removed = 0;
    for sql in statements {
        let limit = i64::try_from(limit - removed).unwrap_or(i64::MAX);
        removed += state
            .connection
            .prepare_cached(sql)?
            .execute(params![account_id, limit])?;
    }
    Ok(removed)
}

/// Removes rows of an account, from the sessions after that token hash on; gives their number, and notes the
/// progress.
fn remove_rows(
    state: &mut Applier<'_, '_>,
    account: &Living,
    is_deleted: bool,
    after: &[u8],
) -> Result<u64, StoreError> {
    state.effects.cleanups_changed = true;
    let sessions: Vec<(Vec<u8>, bool)> = state
        .connection
        .prepare_cached(
            "SELECT s.token_hash, s.generation <> u.session_generation
             FROM users AS u CROSS JOIN sessions AS s INDEXED BY sessions_by_account
                 ON s.account_id = u.id
             WHERE u.id = ?1 AND s.token_hash > ?2 ORDER BY s.token_hash LIMIT ?3",
        )?
        .query_map(params![account.id, after, CLEANUP_ROWS], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<Result<_, _>>()?;
    let mut rows = 0;
    let mut delete = state
        .connection
        .prepare_cached("DELETE FROM sessions WHERE token_hash = ?1")?;
    for (token_hash, has_ended) in &sessions {
        if is_deleted || *has_ended {
            rows += delete.execute([token_hash])? as u64;
        }
    }
    let mut room = CLEANUP_ROWS - sessions.len();
    if is_deleted {
        let others = [
            bans::OF_DELETED,
            mentions::OF_DELETED,
            set_level::OF_DELETED,
        ];
        for statements in [&blocks::OF_DELETED[..], &others] {
            let removed = remove_of_deleted(state, statements, account.id, room)?;
            rows += removed as u64;
            room -= removed;
        }
    }
    let mut is_done = room > 0;
    let mut may_leave = true;
    if is_done && is_deleted {
        hidden::let_wait(state.connection, account.id, room)?;
        let (through, count): (Option<u64>, usize) = state
            .connection
            .prepare_cached(
                "SELECT max(lsn), count(*) FROM (
                     SELECT lsn FROM waiting_messages WHERE recipient_id = ?1
                     ORDER BY lsn LIMIT ?2)",
            )?
            .query_row(params![account.id, room], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        if let Some(through) = through {
            rows += drop_waiting(state, account, through)?;
        }
        is_done = count < room;
        // A sender may be in a room of the account, and an entry makes at most one event for each account.
        may_leave = count == 0 || state.version < 3;
    }
    if is_done && is_deleted {
        // The state of one direct conversation with each command.
        is_done = !state_rows::remove_one_of_deleted(state, account.id)?;
        rows += u64::from(!is_done);
    }
    if is_done && is_deleted && !may_leave {
        is_done = !rooms::is_in_any(state, account.id)?;
    } else if is_done && is_deleted {
        // One room with each command, because an entry posts one message at most.
        let has_left = rooms::leave_one(state, account)?;
        rows += u64::from(has_left);
        is_done = !has_left;
    }
    if is_done {
        state
            .connection
            .prepare_cached("DELETE FROM cleanups WHERE account_id = ?1")?
            .execute([account.id])?;
    } else if let Some((last, _)) = sessions.last() {
        state
            .connection
            .prepare_cached("UPDATE cleanups SET after_token = ?2 WHERE account_id = ?1")?
            .execute(params![account.id, last])?;
    }
    Ok(rows)
}

/// Drops the messages through that LSN which wait for a deleted account, all of them indexed; gives their number.
pub(super) fn drop_waiting(
    state: &mut Applier<'_, '_>,
    account: &Living,
    through: u64,
) -> Result<u64, StoreError> {
    let waiting: Vec<(u64, u64)> = state
        .connection
        .prepare_cached(
            "SELECT m.sender_id, count(*)
             FROM waiting_messages AS w CROSS JOIN messages AS m ON m.lsn = w.lsn
             WHERE w.recipient_id = ?1 AND w.lsn <= ?2
             GROUP BY m.sender_id ORDER BY m.sender_id",
        )?
        .query_map([account.id, through], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    // Builds without seqs record the same answers until then.
    let with_seqs = state.highest_version >= seqs::VERSION;
    state
        .requests
        .record_waiting(account.id, through, with_seqs)?;
    for sql in [
        "DELETE FROM replies WHERE (conversation_id, seq) IN (
             SELECT m.conversation_id, m.seq
             FROM waiting_messages AS w CROSS JOIN messages AS m ON m.lsn = w.lsn
             WHERE w.recipient_id = ?1 AND w.lsn <= ?2)",
        "DELETE FROM pins WHERE (conversation_id, seq) IN (
             SELECT m.conversation_id, m.seq
             FROM waiting_messages AS w CROSS JOIN messages AS m ON m.lsn = w.lsn
             WHERE w.recipient_id = ?1 AND w.lsn <= ?2)",
        "DELETE FROM edits WHERE message_lsn IN (
             SELECT lsn FROM waiting_messages WHERE recipient_id = ?1 AND lsn <= ?2)",
        "DELETE FROM reactions WHERE message_lsn IN (
             SELECT lsn FROM waiting_messages WHERE recipient_id = ?1 AND lsn <= ?2)",
        "DELETE FROM conversation_messages WHERE (conversation_id, seq) IN (
             SELECT m.conversation_id, m.seq
             FROM waiting_messages AS w CROSS JOIN messages AS m ON m.lsn = w.lsn
             WHERE w.recipient_id = ?1 AND w.lsn <= ?2)",
        "DELETE FROM messages WHERE lsn IN (
             SELECT lsn FROM waiting_messages WHERE recipient_id = ?1 AND lsn <= ?2)",
        "DELETE FROM waiting_messages WHERE recipient_id = ?1 AND lsn <= ?2",
    ] {
        state
            .connection
            .prepare_cached(sql)?
            .execute([account.id, through])?;
    }
    let dropped = waiting.iter().map(|(_, count)| count).sum();
    for (sender_id, count) in waiting {
        let dropped = MessagesDropped {
            recipient: account.username.to_string(),
            recipient_id: account.id,
            count,
        };
        let dropped = change::What::MessagesDropped(dropped);
        changes::record(state, To::Account(sender_id), dropped)?;
    }
    Ok(dropped)
}
