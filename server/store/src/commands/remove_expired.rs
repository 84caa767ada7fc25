//! RemoveExpired: removes a bounded number of the oldest messages that are older than their retention. Proposed by a leader
//! while there are such messages.
//!
//! Messages go from the beginning of each conversation, with all that belongs to them: a stamp is never less than the one
//! before, so the older of two messages has the lower LSN and the lower seq. Nobody is told; the list of conversations has
//! the first seq of each. Retries of their requests get the first answer for as long as others do.

use std::collections::BTreeMap;

use rusqlite::{Row, params};
use tercet_proto::log::{ExpiredRemoved, RemoveExpired, outcome};

use super::{About, Applier, Applying, Command, Fingerprint, StoreError, What, fingerprint, rooms};
use crate::{
    counts,
    retention::{self, CLUSTER},
};

/// The limits of messages that one command removes, and of their bytes.
pub(crate) const PIECE_MESSAGES: usize = 128;
const PIECE_BYTES: usize = 256 * 1024;

/// A message that is old enough.
struct Expired {
    lsn: u64,
    /// `None` in messages of the system.
    id: Option<[u8; 16]>,
    conversation_id: u64,
    seq: u64,
    sender_id: u64,
    /// `None` in rooms.
    recipient_id: Option<u64>,
    sent_at_ms: i64,
    bytes: usize,
}

impl Expired {
    fn of_row(row: &Row<'_>) -> rusqlite::Result<Expired> {
        Ok(Expired {
            lsn: row.get(0)?,
            id: row.get(1)?,
            conversation_id: row.get(2)?,
            seq: row.get(3)?,
            sender_id: row.get(4)?,
            recipient_id: row.get(5)?,
            sent_at_ms: row.get(6)?,
            bytes: row.get(7)?,
        })
    }
}

const OLDEST_DIRECT: &str =
    "SELECT lsn, id, conversation_id, seq, sender_id, recipient_id, sent_at_ms, octet_length(body)
     FROM messages ORDER BY lsn LIMIT ?1";

const OLDEST_IN_ROOMS: &str =
    "SELECT lsn, id, room_id, seq, sender_id, NULL, sent_at_ms, octet_length(body)
     FROM room_messages ORDER BY lsn LIMIT ?1";

const OLDEST_IN_ROOM: &str =
    "SELECT m.lsn, m.id, m.room_id, m.seq, m.sender_id, NULL, m.sent_at_ms, octet_length(m.body)
     FROM room_index AS i CROSS JOIN room_messages AS m ON m.lsn = i.lsn
     WHERE i.room_id = ?2 ORDER BY i.seq LIMIT ?1";

impl Command for RemoveExpired {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        let mut messages = 0;
        if let Some(keep_ms) = retention::read(state.connection, self.room_id)? {
            state.catch_up_index()?;
            let before_ms = state.time_ms.saturating_sub(keep_ms);
            let expired = oldest(state, self.room_id, before_ms)?;
            remove(state, &expired)?;
            messages = expired.len() as u64;
        }
        Ok(outcome::Result::ExpiredRemoved(ExpiredRemoved { messages }))
    }

    fn fingerprint(&self) -> Fingerprint {
        fingerprint("remove_expired", [&self.room_id.to_be_bytes()[..]])
    }

    fn version_needed(&self) -> u32 {
        3
    }

    fn describe(&self, _: &mut About<'_>) -> Result<What, StoreError> {
        Ok(What::Other("retention"))
    }
}

/// Lists the oldest messages from before a time: of a room, or first direct ones and then those of rooms.
fn oldest(
    state: &Applier<'_, '_>,
    room_id: u64,
    before_ms: i64,
) -> Result<Vec<Expired>, StoreError> {
    let selects: &[&str] = match room_id {
        CLUSTER => &[OLDEST_DIRECT, OLDEST_IN_ROOMS],
        _ => &[OLDEST_IN_ROOM],
    };
    let mut expired: Vec<Expired> = Vec::new();
    let mut bytes = 0;
    for sql in selects {
        let mut select = state.connection.prepare_cached(sql)?;
        let limit = (PIECE_MESSAGES - expired.len()) as u64;
        let mut rows = match room_id {
            CLUSTER => select.query([limit])?,
            _ => select.query([limit, room_id])?,
        };
        while let Some(row) = rows.next()? {
            let message = Expired::of_row(row)?;
            if message.sent_at_ms >= before_ms {
                break;
            }
            bytes += message.bytes;
            expired.push(message);
            if bytes >= PIECE_BYTES {
                return Ok(expired);
            }
        }
    }
    Ok(expired)
}

/// Removes messages, all of them indexed, with all that belongs to them.
fn remove(state: &mut Applier<'_, '_>, expired: &[Expired]) -> Result<(), StoreError> {
    let connection = state.connection;
    // The newest of each conversation: its seq and LSN, and whether the conversation is a direct one.
    let mut newest: BTreeMap<u64, (u64, u64, bool)> = BTreeMap::new();
    {
        let mut of_room = connection.prepare_cached("DELETE FROM room_messages WHERE lsn = ?1")?;
        let mut direct = connection.prepare_cached("DELETE FROM messages WHERE lsn = ?1")?;
        let mut edits = connection.prepare_cached("DELETE FROM edits WHERE message_lsn = ?1")?;
        let mut texts =
            connection.prepare_cached("DELETE FROM earlier_texts WHERE message_lsn = ?1")?;
        let mut reactions =
            connection.prepare_cached("DELETE FROM reactions WHERE message_lsn = ?1")?;
        let mut waiting = connection
            .prepare_cached("DELETE FROM waiting_messages WHERE recipient_id = ?1 AND lsn = ?2")?;
        let mut hidden = connection.prepare_cached(
            "DELETE FROM hidden_messages WHERE recipient_id = ?1 AND sender_id = ?2 AND lsn = ?3",
        )?;
        let mut hidden_index = connection.prepare_cached(
            "DELETE FROM hidden_index WHERE conversation_id = ?1 AND sender_id = ?2 AND seq = ?3",
        )?;
        let mut senders = connection.prepare_cached(
            "DELETE FROM room_senders WHERE room_id = ?1 AND sender_id = ?2 AND seq = ?3",
        )?;
        for message in expired {
            let &Expired {
                lsn,
                conversation_id,
                seq,
                sender_id,
                ..
            } = message;
            if let Some(id) = &message.id {
                state.requests.message_removed(lsn, id)?;
            }
            match message.recipient_id {
                Some(recipient_id) => {
                    direct.execute([lsn])?;
                    waiting.execute([recipient_id, lsn])?;
                    if hidden.execute([recipient_id, sender_id, lsn])? > 0 {
                        hidden_index.execute([conversation_id, sender_id, seq])?;
                    }
                }
                None => {
                    of_room.execute([lsn])?;
                    senders.execute([conversation_id, sender_id, seq])?;
                }
            }
            if edits.execute([lsn])? > 0 {
                texts.execute([lsn])?;
            }
            reactions.execute([lsn])?;
            let is_direct = message.recipient_id.is_some();
            newest.insert(conversation_id, (seq, lsn, is_direct));
        }
    }
    for (conversation_id, (seq, lsn, is_direct)) in newest {
        if is_direct {
            counts::begin_after(connection, conversation_id, seq)?;
        }
        // Ids of rooms and of direct conversations are different.
        for sql in [
            "DELETE FROM room_index WHERE room_id = ?1 AND seq <= ?2",
            "DELETE FROM conversation_messages WHERE conversation_id = ?1 AND seq <= ?2",
            "DELETE FROM replies WHERE conversation_id = ?1 AND seq <= ?2",
            "DELETE FROM deleted_messages WHERE conversation_id = ?1 AND seq <= ?2",
            "DELETE FROM pins WHERE conversation_id = ?1 AND seq <= ?2",
            "DELETE FROM mentions WHERE conversation_id = ?1 AND seq <= ?2",
        ] {
            connection
                .prepare_cached(sql)?
                .execute([conversation_id, seq])?;
        }
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO history_starts
                     (conversation_id, first_seq, removed_lsn, changed_lsn)
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![conversation_id, seq + 1, lsn, state.lsn])?;
        rooms::note_start(state, conversation_id, seq + 1);
    }
    Ok(())
}
