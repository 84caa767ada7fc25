//! The mentions in a message of a room: whom its words mean when it is applied, and their rows. Direct messages have none:
//! each is for its reader already.
//!
//! - A name means the member that has it. Anybody else is not mentioned.
//! - `@here` means the members who were connected when the message was sent, and `@room` all members, where the room lets the
//!   sender mention them (`judge`). Otherwise they are text like any other. An account of such a name is not meant.
//! - Nobody mentions itself.

use std::{collections::BTreeMap, sync::Arc};

use rusqlite::params;
use tercet_types::name::is_name;

use super::{
    Applier, StoreError,
    messages::{Conversation, Found},
    rooms::{self, cached},
};
use crate::{
    mentions::{MentionKind, Word, words},
    rooms::{Act, judge},
};

/// The version from which messages mention anybody.
const VERSION: u32 = 3;
/// The account of the row that is for all members.
const ALL: u64 = 0;

/// The members of the room that `@here` means.
#[derive(Clone, Copy, Default)]
pub(super) struct Here<'a> {
    pub ids: &'a [u64],
    /// They are too many for a row each, so that all members are mentioned.
    pub are_many: bool,
}

/// The members whom a message mentions.
#[derive(Default)]
pub(super) struct Mentions {
    /// Each of them, unless all are.
    single: BTreeMap<u64, MentionKind>,
    /// The way in which all are mentioned.
    all: Option<MentionKind>,
}

impl Mentions {
    /// Decides whom a text of a member mentions in a loaded room, which is loaded afterwards, too.
    pub fn of(
        state: &mut Applier<'_, '_>,
        room_id: u64,
        sender_id: u64,
        text: &str,
        here: Here<'_>,
    ) -> Result<Mentions, StoreError> {
        let mut mentions = Mentions::default();
        if state.version < VERSION {
            return Ok(mentions);
        }
        let words = words(text);
        if words.is_empty() {
            return Ok(mentions);
        }
        let room = cached(state, room_id);
        let may_mention_all = judge(Act::MentionAll, room.settings, room.role(sender_id)).is_ok();
        let mut ids = Vec::new();
        for word in words {
            if word.is_room() || word.is_here() {
                let kind = match word.is_room() {
                    true => MentionKind::Room,
                    false => MentionKind::Here,
                };
                match kind {
                    _ if !may_mention_all => {}
                    MentionKind::Here if !here.are_many => {
                        ids.extend(here.ids.iter().map(|id| (*id, kind)));
                    }
                    _ => mentions.all = mentions.all.max(Some(kind)),
                }
            } else if let Some(id) = named(state, word)? {
                ids.push((id, MentionKind::Name));
            }
        }
        // Finding names may have cleared the cache.
        rooms::load(state, room_id)?;
        if mentions.all.is_some() {
            return Ok(mentions);
        }
        let room = cached(state, room_id);
        for (id, kind) in ids {
            if id != sender_id && room.role(id).is_some() {
                let known = mentions.single.entry(id).or_insert(kind);
                *known = kind.min(*known);
            }
        }
        Ok(mentions)
    }

    /// Gives the ids of the members that an event of the message mentions, ascending, without those who block the sender.
    pub fn audience(
        &self,
        state: &mut Applier<'_, '_>,
        room_id: u64,
        sender_id: u64,
    ) -> Result<Option<Arc<[u64]>>, StoreError> {
        if !state.is_heard || (self.all.is_none() && self.single.is_empty()) {
            return Ok(None);
        }
        let mut ids: Vec<u64> = match self.all {
            Some(_) => cached(state, room_id).audience().to_vec(),
            None => self.single.keys().copied().collect(),
        };
        let blockers: Vec<u64> = state
            .connection
            .prepare_cached(
                "SELECT blocker_id FROM blocks INDEXED BY blocks_by_blocked
                 WHERE blocked_id = ?1 ORDER BY blocker_id",
            )?
            .query_map([sender_id], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        ids.retain(|id| *id != sender_id && blockers.binary_search(id).is_err());
        Ok((!ids.is_empty()).then(|| ids.into()))
    }

    /// Stores the mentions of a message.
    pub fn insert(
        &self,
        state: &Applier<'_, '_>,
        room_id: u64,
        seq: u64,
        lsn: u64,
        sender_id: u64,
    ) -> Result<(), StoreError> {
        let all = self.all.map(|kind| (ALL, kind));
        let single = self.single.iter().map(|(id, kind)| (*id, *kind));
        let rows: Vec<(u64, MentionKind)> = all.into_iter().chain(single).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let mut insert = state.connection.prepare_cached(
            "INSERT INTO mentions (account_id, conversation_id, seq, lsn, sender_id, kind)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        for (account_id, kind) in rows {
            insert.execute(params![
                account_id,
                room_id,
                seq,
                lsn,
                sender_id,
                kind as i64
            ])?;
        }
        Ok(())
    }
}

/// Finds the account that a word names.
fn named(state: &mut Applier<'_, '_>, word: Word<'_>) -> Result<Option<u64>, StoreError> {
    for name in word.names().filter(|name| is_name(name)) {
        if let Some(account) = state.living_by_name(name)? {
            return Ok(Some(account.id));
        }
    }
    Ok(None)
}

/// Decides anew whom a message mentions whose text was replaced. `@here` keeps those whom it mentioned, and adds nobody:
/// nobody was connected when the message was sent who is not in it already.
pub(super) fn decide_again(
    state: &mut Applier<'_, '_>,
    found: &Found,
    text: &str,
) -> Result<(), StoreError> {
    if found.conversation != Conversation::Room {
        return Ok(());
    }
    let (room_id, seq) = (found.conversation_id, found.seq);
    let before: Vec<u64> = state
        .connection
        .prepare_cached(
            "SELECT account_id FROM mentions INDEXED BY mentions_by_message
             WHERE conversation_id = ?1 AND seq = ?2 AND kind = ?3 ORDER BY account_id",
        )?
        .query_map(params![room_id, seq, MentionKind::Here as i64], |row| {
            row.get(0)
        })?
        .collect::<Result<_, _>>()?;
    remove(state, room_id, seq)?;
    let here = Here {
        are_many: before.first() == Some(&ALL),
        ids: &before,
    };
    let mentions = Mentions::of(state, room_id, found.sender_id, text, here)?;
    mentions.insert(state, room_id, seq, found.lsn, found.sender_id)
}

/// Removes the mentions of a message.
pub(super) fn remove(
    state: &Applier<'_, '_>,
    conversation_id: u64,
    seq: u64,
) -> Result<(), StoreError> {
    state
        .connection
        .prepare_cached("DELETE FROM mentions WHERE conversation_id = ?1 AND seq = ?2")?
        .execute([conversation_id, seq])?;
    Ok(())
}

/// Removes mentions of a deleted account, see [`remove_of_deleted`](super::clean_up::remove_of_deleted).
pub(super) const OF_DELETED: &str =
    "DELETE FROM mentions WHERE (account_id, conversation_id, seq) IN (
         SELECT account_id, conversation_id, seq FROM mentions
         WHERE account_id = ?1 ORDER BY conversation_id, seq LIMIT ?2)";
