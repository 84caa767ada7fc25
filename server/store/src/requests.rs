//! Finished requests, by which a retry gets the first answer on every replica.
//!
//! A request is remembered while its LSN is above the floor of the window (`window.rs`). Whether a row counts
//! depends on the entry that asks, not on the time at which rows are removed.

use bytes::Bytes;
use prost::Message as _;
use rusqlite::{Connection, OptionalExtension as _, Row, Statement, params};
use tercet_proto::log::{MessageSent, Outcome, RoomMessageSent, SendMessage, outcome};

use super::{
    StoreError, changes,
    commands::{Command as _, Digest, Fingerprint},
    window::{Limits, Window},
};

/// Claims a request id, see [`Requests::claim`]: one search of the index, not one to find and one to insert.
pub(super) const CLAIM: &str =
    "INSERT OR IGNORE INTO requests (request_id, lsn, fingerprint) VALUES (?1, ?2, ?3)";

/// Selects messages as [`sent`] reads them; conditions follow. The name is found by the account, even a deleted
/// one: its key is the same for any spelling.
macro_rules! select_answer {
    () => {
        "SELECT m.lsn, m.sender_id, u.username, m.body, m.sent_at_ms, m.instant, m.id, m.seq
         FROM messages AS m CROSS JOIN users AS u ON u.id = m.recipient_id"
    };
}

/// The ids of the requests of the entries after `?1` through `?2`; of answers, of all before, too.
macro_rules! ids {
    () => {
        "SELECT id FROM messages WHERE lsn > ?1 AND lsn <= ?2
         UNION ALL SELECT id FROM room_messages
             WHERE lsn > ?1 AND lsn <= ?2 AND id IS NOT NULL
         UNION ALL SELECT request_id FROM answers WHERE lsn <= ?2"
    };
}

/// A request that was applied.
pub(super) struct Remembered {
    /// The checksum of the fingerprint. Of builds with command versions below 3, the first 8 bytes of its digest, or
    /// `None`.
    recorded: Option<Vec<u8>>,
    /// The digest by the answer. Of a message whose text has changed since, it is another one; of a message to a room
    /// there is none, because each of those requests has its recorded checksum.
    derived: Option<Digest>,
    pub outcome: Outcome,
}

impl Remembered {
    /// Tells whether a request with the same id and this fingerprint is a retry.
    pub fn is_retried_by(&self, fingerprint: &Fingerprint) -> bool {
        match &self.recorded {
            Some(recorded) if recorded.len() == 4 => fingerprint.checksum() == recorded[..],
            Some(recorded) => fingerprint.digest().starts_with(recorded),
            None => self.derived == Some(fingerprint.digest()),
        }
    }
}

/// The tables of requests, as of the entry at `lsn`.
pub(super) struct Requests<'a> {
    pub connection: &'a Connection,
    pub lsn: u64,
    /// Requests at or below this LSN are forgotten.
    pub floor: u64,
}

impl<'a> Requests<'a> {
    /// Makes the tables as of the next entry, at `lsn`, after all that is committed.
    pub fn before(connection: &'a Connection, lsn: u64) -> Result<Requests<'a>, StoreError> {
        let floor = Window::read(connection)?.floor(Limits::ALL, lsn);
        Ok(Requests {
            connection,
            lsn,
            floor,
        })
    }
}

impl Requests<'_> {
    /// Requests at or below this LSN are forgotten.
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// Claims a request for this entry, with [`CLAIM`] prepared; false if it is a retry, which changes nothing.
    pub fn claim(
        &self,
        claim: &mut Statement<'_>,
        id: &[u8],
        fingerprint: &Fingerprint,
    ) -> Result<bool, StoreError> {
        let recorded = fingerprint.checksum();
        if claim.execute(params![id, self.lsn, recorded])? == 1 {
            return Ok(true);
        }
        // A forgotten request whose row still exists is taken over.
        let taken_over = self
            .connection
            .prepare_cached(
                "UPDATE requests SET lsn = ?2, fingerprint = ?3
                 WHERE request_id = ?1 AND lsn <= ?4",
            )?
            .execute(params![id, self.lsn, recorded, self.floor()])?;
        Ok(taken_over == 1)
    }

    /// Forgets a request that this entry claimed.
    pub fn unclaim(&self, id: &[u8]) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("DELETE FROM requests WHERE request_id = ?1 AND lsn = ?2")?
            .execute(params![id, self.lsn])?;
        Ok(())
    }

    /// Finds the first entry of a request.
    pub fn find_lsn(&self, id: &[u8]) -> Result<Option<u64>, StoreError> {
        Ok(self
            .connection
            .prepare_cached("SELECT lsn FROM requests WHERE request_id = ?1 AND lsn > ?2")?
            .query_row(params![id, self.floor()], |row| row.get(0))
            .optional()?)
    }

    /// Finds a request that was applied.
    pub fn find(&self, id: &[u8]) -> Result<Option<Remembered>, StoreError> {
        let found = self
            .connection
            .prepare_cached(
                "SELECT lsn, fingerprint FROM requests WHERE request_id = ?1 AND lsn > ?2",
            )?
            .query_row(params![id, self.floor()], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        let Some((lsn, recorded)) = found else {
            return Ok(None);
        };
        let (derived, outcome) = self.answer(lsn)?;
        Ok(Some(Remembered {
            recorded,
            derived,
            outcome,
        }))
    }

    /// Finds the answer to the request of the entry at `lsn`, and the digest that follows from it.
    fn answer(&self, lsn: u64) -> Result<(Option<Digest>, Outcome), StoreError> {
        let answer = self
            .connection
            .prepare_cached("SELECT fingerprint, outcome FROM answers WHERE lsn = ?1")?
            .query_row([lsn], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        if let Some((digest, outcome)) = answer {
            let outcome: Vec<u8> = outcome;
            let outcome = Outcome::decode(Bytes::from(outcome))
                .map_err(|error| StoreError::Corrupt(format!("a recorded outcome: {error}")))?;
            return Ok((Some(digest), outcome));
        }
        let sent = self
            .connection
            .prepare_cached(concat!(select_answer!(), " WHERE m.lsn = ?1"))?
            .query_row([lsn], |row| sent(row, true))
            .optional()?;
        if let Some((digest, outcome)) = sent {
            return Ok((Some(digest), outcome));
        }
        let sent_to_room = self
            .connection
            .prepare_cached(
                "SELECT lsn, sent_at_ms, room_id, seq FROM room_messages
                 WHERE lsn = ?1 AND id IS NOT NULL",
            )?
            .query_row([lsn], |row| {
                Ok(RoomMessageSent {
                    lsn: row.get(0)?,
                    stamp_ms: row.get(1)?,
                    room_id: row.get(2)?,
                    seq: row.get(3)?,
                })
            })
            .optional()?;
        let nowhere = || StoreError::Corrupt(format!("the request of entry {lsn} has no answer"));
        let outcome = Outcome {
            result: Some(outcome::Result::RoomMessageSent(
                sent_to_room.ok_or_else(nowhere)?,
            )),
        };
        Ok((None, outcome))
    }

    /// Records the answer to the request of this entry.
    pub fn record(
        &self,
        id: &[u8],
        fingerprint: &Fingerprint,
        outcome: &Outcome,
    ) -> Result<(), StoreError> {
        self.record_at(self.lsn, id, &fingerprint.digest(), outcome)
    }

    fn record_at(
        &self,
        lsn: u64,
        id: &[u8],
        digest: &Digest,
        outcome: &Outcome,
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO answers (lsn, request_id, fingerprint, outcome)
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![lsn, id, digest, outcome.encode_to_vec()])?;
        Ok(())
    }

    /// Records the answer of a message that is about to be removed. A forgotten request is removed at once, because nothing
    /// would refer to it later.
    pub fn message_removed(&self, lsn: u64, id: &[u8; 16]) -> Result<(), StoreError> {
        if lsn <= self.floor() {
            self.connection
                .prepare_cached("DELETE FROM requests WHERE request_id = ?1 AND lsn = ?2")?
                .execute(params![id, lsn])?;
            return Ok(());
        }
        let (digest, outcome) = self.answer(lsn)?;
        // Without a digest the checksum beside the request is what a retry is compared with.
        self.record_at(lsn, id, &digest.unwrap_or_default(), &outcome)
    }

    /// Records the answers of indexed messages through that LSN that wait for an account and are about to be
    /// dropped with it. A forgotten request is removed at once, because nothing would refer to it later.
    pub fn record_waiting(
        &self,
        recipient_id: u64,
        through: u64,
        with_seqs: bool,
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "DELETE FROM requests WHERE (request_id, lsn) IN (
                     SELECT m.id, m.lsn FROM messages AS m WHERE m.lsn IN (
                         SELECT lsn FROM waiting_messages WHERE recipient_id = ?1 AND lsn <= ?2))",
            )?
            .execute(params![recipient_id, through.min(self.floor())])?;
        let mut select = self.connection.prepare_cached(concat!(
            select_answer!(),
            " WHERE m.lsn IN (SELECT lsn FROM waiting_messages
                              WHERE recipient_id = ?1 AND lsn > ?2 AND lsn <= ?3)
              ORDER BY m.lsn"
        ))?;
        let mut rows = select.query(params![recipient_id, self.floor(), through])?;
        while let Some(row) = rows.next()? {
            let (digest, outcome) = sent(row, with_seqs)?;
            let id: [u8; 16] = row.get(6)?;
            self.record_at(row.get(0)?, &id, &digest, &outcome)?;
        }
        Ok(())
    }
}

/// Removes forgotten requests and changes, before a commit that moves the floor from `before` to `after`. The floor moves
/// in steps, so that many are removed at once and the result does not depend on batching.
pub(super) fn trim(connection: &Connection, before: u64, after: u64) -> Result<(), StoreError> {
    if after == before {
        return Ok(());
    }
    forget(connection, before, after)?;
    connection
        .prepare_cached("DELETE FROM answers WHERE lsn <= ?1")?
        .execute([after])?;
    changes::forget(connection, after)
}

/// Removes the requests of the entries after `before` through `through`. Ids of our clients grow with time, so
/// those of neighbouring entries are adjacent and are found by a range; if other ids lie in between, each is
/// looked up.
fn forget(connection: &Connection, before: u64, through: u64) -> Result<(), StoreError> {
    let (lowest, highest, count): (Option<[u8; 16]>, Option<[u8; 16]>, u64) = connection
        .prepare_cached(concat!(
            "SELECT min(id), max(id), count(*) FROM (",
            ids!(),
            ")"
        ))?
        .query_row([before, through], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    let passed: u64 = connection
        .prepare_cached(
            "SELECT count(*) FROM (SELECT 1 FROM requests
                 WHERE request_id BETWEEN ?1 AND ?2 LIMIT ?3)",
        )?
        .query_row(params![lowest, highest, 4 * count], |row| row.get(0))?;
    match passed < 4 * count {
        true => connection
            .prepare_cached(
                "DELETE FROM requests WHERE request_id BETWEEN ?1 AND ?2 AND lsn <= ?3",
            )?
            .execute(params![lowest, highest, through])?,
        false => connection
            .prepare_cached(concat!(
                "DELETE FROM requests WHERE lsn <= ?2 AND request_id IN (",
                ids!(),
                ")"
            ))?
            .execute([before, through])?,
    };
    Ok(())
}

/// Reads the digest of the fingerprint and the answer of the request that became a message, from a row of [`select_answer`].
fn sent(row: &Row<'_>, with_seq: bool) -> rusqlite::Result<(Digest, Outcome)> {
    let asked = SendMessage {
        sender_id: row.get(1)?,
        recipient: row.get(2)?,
        body: row.get(3)?,
        ..SendMessage::default()
    };
    let answer = MessageSent {
        lsn: row.get(0)?,
        stamp_ms: row.get(4)?,
        instant: row.get(5)?,
        seq: match with_seq {
            true => row.get(7)?,
            false => 0,
        },
    };
    let outcome = Outcome {
        result: Some(outcome::Result::MessageSent(answer)),
    };
    Ok((asked.fingerprint().digest(), outcome))
}
