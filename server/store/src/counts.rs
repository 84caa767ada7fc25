//! The numbers of direct messages of each side, at each 64th number of a conversation. They and the rows of the index
//! between them count the messages of a side in few steps, however many there are. Not replicated, as the index.

use rusqlite::{CachedStatement, Connection, OptionalExtension as _, params};

use super::StoreError;

/// The numbers that are multiples of it have counts.
const BLOCK: u64 = 64;

/// Adds the counts at the messages of the entries above `after` through `through`, which the index has reached.
pub(super) fn add(connection: &Connection, after: u64, through: u64) -> Result<(), StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT conversation_id, seq FROM messages
         WHERE lsn > ?1 AND lsn <= ?2 AND seq % ?3 = 0 ORDER BY lsn",
    )?;
    let mut counts = Counts::new(connection)?;
    let mut rows = select.query([after, through, BLOCK])?;
    while let Some(row) = rows.next()? {
        let (conversation_id, seq): (u64, u64) = (row.get(0)?, row.get(1)?);
        keep(connection, &mut counts, conversation_id, seq)?;
    }
    Ok(())
}

fn keep(
    connection: &Connection,
    counts: &mut Counts<'_>,
    conversation_id: u64,
    seq: u64,
) -> Result<(), StoreError> {
    let [low_sent, high_sent] = counts.up_to(conversation_id, seq)?;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO conversation_counts (conversation_id, seq, low_sent, high_sent)
             VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute([conversation_id, seq, low_sent, high_sent])?;
    Ok(())
}

/// Keeps the counts at a message that is about to be removed with all before it, in place of the earlier ones.
pub(super) fn begin_after(
    connection: &Connection,
    conversation_id: u64,
    seq: u64,
) -> Result<(), StoreError> {
    keep(
        connection,
        &mut Counts::new(connection)?,
        conversation_id,
        seq,
    )?;
    connection
        .prepare_cached("DELETE FROM conversation_counts WHERE conversation_id = ?1 AND seq < ?2")?
        .execute([conversation_id, seq])?;
    Ok(())
}

/// Counts the indexed messages of a conversation again, after they got other numbers.
pub(super) fn count_again(connection: &Connection, conversation_id: u64) -> Result<(), StoreError> {
    let of = [conversation_id];
    connection
        .prepare_cached("DELETE FROM conversation_counts WHERE conversation_id = ?1")?
        .execute(of)?;
    let last: u64 = connection
        .prepare_cached(
            "SELECT coalesce(max(seq), 0) FROM conversation_messages WHERE conversation_id = ?1",
        )?
        .query_row(of, |row| row.get(0))?;
    let mut counts = Counts::new(connection)?;
    for block in 1..=last / BLOCK {
        keep(connection, &mut counts, conversation_id, block * BLOCK)?;
    }
    Ok(())
}

/// Counts the indexed messages of the two sides of a conversation.
pub(super) struct Counts<'a> {
    kept: CachedStatement<'a>,
    between: CachedStatement<'a>,
}

impl<'a> Counts<'a> {
    pub fn new(connection: &'a Connection) -> Result<Counts<'a>, StoreError> {
        Ok(Counts {
            kept: connection.prepare_cached(
                "SELECT seq, low_sent, high_sent FROM conversation_counts
                 WHERE conversation_id = ?1 AND seq <= ?2 ORDER BY seq DESC LIMIT 1",
            )?,
            between: connection.prepare_cached(
                "SELECT coalesce(sum(is_low), 0), count(*) FROM conversation_messages
                 WHERE conversation_id = ?1 AND seq > ?2 AND seq <= ?3",
            )?,
        })
    }

    /// Counts the messages of each side after a number: of the account with the lower id, and of the other one.
    pub fn after(&mut self, conversation_id: u64, seq: u64) -> Result<[u64; 2], StoreError> {
        let all = self.up_to(conversation_id, u64::MAX)?;
        let before = self.up_to(conversation_id, seq)?;
        // Messages that were hidden from a deleted account are in the index, but not in counts that were kept before.
        Ok([0, 1].map(|side| all[side].saturating_sub(before[side])))
    }

    fn up_to(&mut self, conversation_id: u64, seq: u64) -> Result<[u64; 2], StoreError> {
        // The database has numbers of 63 bits.
        let seq = i64::try_from(seq).unwrap_or(i64::MAX);
        let kept = self.kept.query_row(params![conversation_id, seq], |row| {
            Ok((row.get(0)?, [row.get(1)?, row.get(2)?]))
        });
        let (kept_seq, [low_sent, high_sent]): (i64, [u64; 2]) =
            kept.optional()?.unwrap_or_default();
        let since = self
            .between
            .query_row(params![conversation_id, kept_seq, seq], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        let (low, both): (u64, u64) = since;
        Ok([low_sent + low, high_sent + both - low])
    }
}
