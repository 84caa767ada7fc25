//! The list of an account's conversations, newest activity first, with what is unread in each. It goes through no messages
//! but those that are not indexed yet: the indexes have counts, whose difference is the number of messages in between.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

use rusqlite::{CachedStatement, Connection, OptionalExtension as _, params};

use super::{
    AppliedLsn, FoundRow, PageLimit, Query,
    delivered::{Newest, delivered_seq},
    integer, levels,
    mentions::Mentioning,
    messages,
    messages::name,
    rooms::{self, ROOM, ROOM_MESSAGES_AT, RoomRow, room_row},
};
use crate::{StoreError, counts, hidden::is_shown, levels::Level, retention};

/// The conversations of an account that have messages which it sees: its rooms, archived ones too, and direct ones.
#[derive(Clone, Debug)]
pub struct Conversations {
    pub account_id: u64,
    /// Only conversations whose last message is below this LSN.
    pub before: u64,
    pub limit: usize,
}

/// The conversations with the newest messages first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationsPage {
    pub rows: Vec<ConversationRow>,
    pub more: bool,
    /// The last entry in the state that was read.
    pub applied: u64,
}

/// One conversation as its account sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationRow {
    pub id: u64,
    pub with: With,
    /// The last message that the account sees.
    pub last_seq: u64,
    pub last_lsn: u64,
    /// The first message that was not removed by its age; one more than the last when all were.
    pub first_seq: u64,
    pub read_seq: u64,
    /// The texts of others after `read_seq` that are not deleted.
    pub unread: u64,
    /// The messages after `read_seq` that mention the account, as far as they are counted.
    pub mentions: u64,
    /// The level of the account: the messages of which it wants to be notified.
    pub level: Level,
    /// `None` when it was dropped or removed.
    pub last: Option<FoundRow>,
}

/// The other side of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum With {
    Room(RoomRow),
    Account {
        account_id: u64,
        username: String,
        is_deleted: bool,
        /// The seq up to which the account has read all messages, as far as it shows.
        seen_seq: u64,
        /// The seq up to which the account has acknowledged all messages of the one that asks; 0 in notes to oneself.
        delivered_seq: u64,
    },
}

/// A conversation before its messages are counted.
struct Found {
    id: u64,
    /// `None`: a direct one.
    room: Option<RoomRow>,
    /// The other account of a direct conversation.
    peer_id: u64,
    last_seq: u64,
    last_lsn: u64,
}

/// The messages of a conversation that are not indexed, ascending.
#[derive(Default)]
struct NotIndexed(HashMap<u64, Vec<Message>>);

struct Message {
    seq: u64,
    lsn: u64,
    sender_id: u64,
    is_text: bool,
    /// Of a direct message: whether its recipient acknowledged it, and whether it is hidden from the recipient.
    is_delivered: bool,
    is_hidden: bool,
}

impl NotIndexed {
    fn read(state: &Connection, account_id: i64) -> Result<NotIndexed, StoreError> {
        let mut found = NotIndexed::default();
        for sql in [
            "SELECT room_id, seq, lsn, sender_id, kind = 1, 0, 0 FROM room_messages NOT INDEXED
             WHERE lsn > (SELECT through_lsn FROM indexed) AND ?1 > 0 ORDER BY lsn",
            concat!(
                "SELECT m.conversation_id, m.seq, m.lsn, m.sender_id, 1, m.delivered, NOT ",
                is_shown!("m"),
                " FROM messages AS m NOT INDEXED
                 WHERE m.lsn > (SELECT through_lsn FROM indexed)
                     AND ?1 IN (m.sender_id, m.recipient_id) AND (m.sender_id = ?1 OR ",
                is_shown!("m"),
                ") ORDER BY m.lsn"
            ),
        ] {
            let mut select = state.prepare_cached(sql)?;
            let mut rows = select.query([account_id])?;
            while let Some(row) = rows.next()? {
                let message = Message {
                    seq: row.get(1)?,
                    lsn: row.get(2)?,
                    sender_id: row.get(3)?,
                    is_text: row.get(4)?,
                    is_delivered: row.get(5)?,
                    is_hidden: row.get(6)?,
                };
                found.0.entry(row.get(0)?).or_default().push(message);
            }
        }
        Ok(found)
    }

    fn last(&self, id: u64) -> Option<(u64, u64)> {
        let last = self.0.get(&id)?.last()?;
        Some((last.seq, last.lsn))
    }

    /// Gives what the messages say of their delivery to the other account.
    fn delivery(&self, id: u64, account_id: u64) -> Newest {
        let messages = self.0.get(&id).map_or(&[][..], Vec::as_slice);
        let mut shown = messages.iter().filter(|message| !message.is_hidden);
        let waits = |message: &&Message| message.sender_id == account_id && !message.is_delivered;
        Newest {
            last_shown: shown.clone().next_back().map(|message| message.seq),
            first_waiting: shown.find(waits).map(|message| message.seq),
        }
    }

    /// Counts the texts of others after a seq.
    fn unread(&self, id: u64, account_id: u64, read_seq: u64) -> u64 {
        let messages = self.0.get(&id).map_or(&[][..], Vec::as_slice);
        let is_unread = |message: &&Message| {
            message.is_text && message.sender_id != account_id && message.seq > read_seq
        };
        messages.iter().filter(is_unread).count() as u64
    }
}

impl Query for Conversations {
    type Rows = ConversationsPage;

    const SCANS_UNINDEXED: bool = true;

    fn read(&self, state: &Connection) -> Result<ConversationsPage, StoreError> {
        // All statements see one state.
        let alone = state.is_autocommit();
        let transaction = alone.then(|| state.unchecked_transaction()).transpose()?;
        let applied = AppliedLsn.read(state)?;
        let not_indexed = NotIndexed::read(state, integer(self.account_id))?;
        let mut found = rooms_of(state, self.account_id, &not_indexed)?;
        found.extend(direct_of(state, self.account_id, &not_indexed)?);
        found.retain(|one| one.last_lsn < self.before);
        found.sort_unstable_by_key(|one| Reverse(one.last_lsn));
        let more = found.len() > self.limit;
        found.truncate(self.limit);
        let mut counts = Counts::of(state, self.account_id)?;
        let mut rows = Vec::with_capacity(found.len());
        let mut names = BTreeMap::new();
        for one in found {
            rows.push(counts.row(one, &not_indexed, |id| name(state, &mut names, id))?);
        }
        drop(counts);
        let levels = levels::of(state, self.account_id)?;
        for row in &mut rows {
            row.level = levels.get(&row.id).copied().unwrap_or_default();
            if let With::Account {
                account_id: peer,
                delivered_seq: seq,
                ..
            } = &mut row.with
                && *peer != self.account_id
            {
                let newest = not_indexed.delivery(row.id, self.account_id);
                *seq = delivered_seq(state, (row.id, self.account_id, *peer), newest)?;
            }
        }
        add_last(state, self.account_id, &mut rows)?;
        drop(transaction);
        Ok(ConversationsPage {
            rows,
            more,
            applied,
        })
    }
}

fn rooms_of(
    state: &Connection,
    account_id: u64,
    not_indexed: &NotIndexed,
) -> Result<Vec<Found>, StoreError> {
    let mut select = state.prepare_cached(&format!(
        "{ROOM} FROM members AS m INDEXED BY members_by_account
             CROSS JOIN rooms AS r ON r.id = m.conversation_id
         WHERE m.account_id = ?1"
    ))?;
    let mut last = state.prepare_cached(
        "SELECT seq, lsn FROM room_index WHERE room_id = ?1 ORDER BY seq DESC LIMIT 1",
    )?;
    let mut found = Vec::new();
    let rows = select.query_map([integer(account_id)], room_row)?;
    for room in rows {
        let room = room?;
        let newest = match not_indexed.last(room.id) {
            Some(newest) => Some(newest),
            None => last
                .query_row([room.id], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?,
        };
        let newest = match newest {
            None => retention::last_removed(state, room.id)?,
            newest => newest,
        };
        if let Some((last_seq, last_lsn)) = newest {
            found.push(Found {
                id: room.id,
                room: Some(room),
                peer_id: 0,
                last_seq,
                last_lsn,
            });
        }
    }
    Ok(found)
}

fn direct_of(
    state: &Connection,
    account_id: u64,
    not_indexed: &NotIndexed,
) -> Result<Vec<Found>, StoreError> {
    let mut select = state.prepare_cached(
        "SELECT id, high_account FROM conversations WHERE low_account = ?1
         UNION ALL
         SELECT id, low_account FROM conversations INDEXED BY conversations_by_high
         WHERE high_account = ?1 AND low_account <> ?1",
    )?;
    let mut last = state.prepare_cached(
        "SELECT seq, lsn FROM conversation_messages WHERE conversation_id = ?1
         ORDER BY seq DESC LIMIT 1",
    )?;
    let mut last_hidden = state.prepare_cached(
        "SELECT seq, lsn FROM hidden_index WHERE conversation_id = ?1 AND sender_id = ?2
         ORDER BY seq DESC LIMIT 1",
    )?;
    let mut found = Vec::new();
    let account_id = integer(account_id);
    let rows = select.query_map([account_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for row in rows {
        let (id, peer_id): (u64, u64) = row?;
        let newest: Option<(u64, u64)> = match not_indexed.last(id) {
            Some(newest) => Some(newest),
            None => {
                let shown = last
                    .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
                    .optional()?;
                let hidden = last_hidden
                    .query_row(params![id, account_id], |row| {
                        Ok((row.get(0)?, row.get(1)?))
                    })
                    .optional()?;
                shown.max(hidden)
            }
        };
        let newest = match newest {
            None => removed_with(state, id, peer_id)?,
            newest => newest,
        };
        if let Some((last_seq, last_lsn)) = newest {
            found.push(Found {
                id,
                room: None,
                peer_id,
                last_seq,
                last_lsn,
            });
        }
    }
    Ok(found)
}

/// Gives the last message of a direct conversation of which all were removed by their age. Without messages nothing names a
/// conversation with a deleted account.
fn removed_with(
    state: &Connection,
    id: u64,
    peer_id: u64,
) -> Result<Option<(u64, u64)>, StoreError> {
    let Some(last) = retention::last_removed(state, id)? else {
        return Ok(None);
    };
    let lives: bool = state
        .prepare_cached("SELECT deleted_at_lsn IS NULL FROM users WHERE id = ?1")?
        .query_row([peer_id], |row| row.get(0))?;
    Ok(lives.then_some(last))
}

/// Counts messages by the indexes. Where the messages before a seq were removed, the count before the first one that is left
/// stands for theirs.
struct Counts<'a> {
    account_id: u64,
    texts: CachedStatement<'a>,
    own: CachedStatement<'a>,
    direct: counts::Counts<'a>,
    deleted: CachedStatement<'a>,
    first_seq: CachedStatement<'a>,
    markers: CachedStatement<'a>,
    mentioning: Mentioning<'a>,
}

impl<'a> Counts<'a> {
    fn of(state: &'a Connection, account_id: u64) -> Result<Counts<'a>, StoreError> {
        Ok(Counts {
            account_id,
            mentioning: Mentioning::of(state, account_id)?,
            texts: state.prepare_cached(
                "SELECT coalesce(
                     (SELECT texts FROM room_index WHERE room_id = ?1 AND seq <= ?2
                      ORDER BY seq DESC LIMIT 1),
                     (SELECT i.texts - (m.kind = 1)
                      FROM room_index AS i CROSS JOIN room_messages AS m ON m.lsn = i.lsn
                      WHERE i.room_id = ?1 ORDER BY i.seq LIMIT 1), 0)",
            )?,
            own: state.prepare_cached(
                "SELECT coalesce(
                     (SELECT texts FROM room_senders
                      WHERE room_id = ?1 AND sender_id = ?3 AND seq <= ?2
                      ORDER BY seq DESC LIMIT 1),
                     (SELECT texts - 1 FROM room_senders
                      WHERE room_id = ?1 AND sender_id = ?3 ORDER BY seq LIMIT 1), 0)",
            )?,
            direct: counts::Counts::new(state)?,
            deleted: state.prepare_cached(
                "SELECT count(*) FROM deleted_messages
                 WHERE conversation_id = ?1 AND seq > ?2 AND sender_id <> ?3",
            )?,
            first_seq: state.prepare_cached(
                "SELECT coalesce((SELECT first_seq FROM history_starts WHERE conversation_id = ?1), 1)",
            )?,
            markers: state.prepare_cached(
                "SELECT
                     coalesce((SELECT read_seq FROM markers
                               WHERE conversation_id = ?1 AND account_id = ?2), 0),
                     coalesce((SELECT seen_seq FROM markers
                               WHERE conversation_id = ?1 AND account_id = ?3), 0)",
            )?,
        })
    }

    fn row(
        &mut self,
        found: Found,
        not_indexed: &NotIndexed,
        mut name: impl FnMut(u64) -> Result<(String, bool), StoreError>,
    ) -> Result<ConversationRow, StoreError> {
        let Found {
            id,
            room,
            peer_id,
            last_seq,
            last_lsn,
        } = found;
        let account_id = self.account_id;
        let of_membership = room.as_ref().and_then(|room| room.membership.as_ref());
        let (read_seq, with) = match of_membership {
            Some(membership) => (membership.read_seq, room.map(With::Room)),
            None => {
                let (read_seq, seen_seq) =
                    self.markers.query_row([id, account_id, peer_id], |row| {
                        Ok((row.get(0)?, row.get(1)?))
                    })?;
                let (username, is_deleted) = name(peer_id)?;
                let with = With::Account {
                    account_id: peer_id,
                    username,
                    is_deleted,
                    seen_seq,
                    delivered_seq: 0,
                };
                (read_seq, Some(with))
            }
        };
        let with = with.expect("a room, or an account");
        let mentions = match &with {
            With::Room(_) if read_seq < last_seq => self.mentioning.count(id, read_seq)?,
            _ => 0,
        };
        let first_seq: u64 = self.first_seq.query_row([id], |row| row.get(0))?;
        // Those before the first one are not unread.
        let from = read_seq.max(first_seq - 1);
        let unread = if from >= last_seq {
            0
        } else {
            let indexed = match &with {
                With::Room(_) => {
                    let all = between(&mut self.texts, id, from, None)?;
                    all.saturating_sub(between(&mut self.own, id, from, Some(account_id))?)
                }
                With::Account {
                    account_id: peer, ..
                } if *peer == account_id => 0,
                With::Account {
                    account_id: peer, ..
                } => {
                    let [low_sent, high_sent] = self.direct.after(id, from)?;
                    if *peer < account_id {
                        low_sent
                    } else {
                        high_sent
                    }
                }
            };
            let deleted: u64 = self
                .deleted
                .query_row([id, from, account_id], |row| row.get(0))?;
            let not_indexed = not_indexed.unread(id, account_id, from);
            (indexed + not_indexed).saturating_sub(deleted)
        };
        Ok(ConversationRow {
            id,
            with,
            last_seq,
            last_lsn,
            first_seq,
            read_seq,
            unread,
            mentions,
            level: Level::All,
            last: None,
        })
    }
}

/// Gives the difference of a count at the end of a conversation and at a seq.
fn between(
    count: &mut CachedStatement<'_>,
    id: u64,
    from: u64,
    sender_id: Option<u64>,
) -> Result<u64, StoreError> {
    let mut at = |seq: u64| -> Result<u64, StoreError> {
        let seq = integer(seq);
        let found = match sender_id {
            None => count.query_row(params![id, seq], |row| row.get(0)),
            Some(sender_id) => count.query_row(params![id, seq, sender_id], |row| row.get(0)),
        };
        Ok(found?)
    };
    let end = at(u64::MAX)?;
    match end {
        0 => Ok(0),
        end => Ok(end.saturating_sub(at(from)?)),
    }
}

/// Reads the last message of each conversation.
fn add_last(
    state: &Connection,
    account_id: u64,
    rows: &mut [ConversationRow],
) -> Result<(), StoreError> {
    let (in_rooms, direct): (Vec<&ConversationRow>, Vec<&ConversationRow>) = rows
        .iter()
        .partition(|row| matches!(row.with, With::Room(_)));
    let list = |rows: Vec<&ConversationRow>| {
        let lsns: Vec<u64> = rows.iter().map(|row| row.last_lsn).collect();
        format!("{lsns:?}")
    };
    let limit = PageLimit::of_rows(usize::MAX);
    let (in_rooms, direct) = (list(in_rooms), list(direct));
    let in_rooms = rooms::room_messages(state, account_id, ROOM_MESSAGES_AT, [in_rooms], limit)?;
    let direct = messages::readable_at(state, account_id, &direct)?;
    let mut last: HashMap<u64, FoundRow> = HashMap::new();
    for row in in_rooms.rows {
        last.insert(row.lsn, FoundRow::Room(row));
    }
    for row in direct {
        last.insert(row.lsn, FoundRow::Direct(row));
    }
    for row in rows {
        row.last = last.remove(&row.last_lsn);
    }
    Ok(())
}
