//! The parts that the commands about rooms share: finding a room, asking the table of who may do what, posting a
//! message, and ending a membership.

use std::{collections::BTreeMap, sync::Arc};

use rusqlite::{OptionalExtension as _, params};
use tercet_proto::log::{Refusal, RoomChanged, outcome};
use tercet_types::limits::{ACCOUNT_ROOMS_MAX, ROOM_MEMBERS_MAX};

use super::{Applier, Living, StoreError, messages, name_key, set_level, state_rows};
use crate::{
    apply::CachedRoom,
    event::{Event, MessageKind, MessageParts, RoomMessageRow},
    retention,
    rooms::{Act, Denied, Role, Settings, judge},
};

/// A message that a command posts in a room.
pub(super) struct Post<'a> {
    /// `None` in a message of the system.
    pub id: Option<[u8; 16]>,
    pub kind: MessageKind,
    pub sender: &'a Living,
    pub sender_deleted: bool,
    pub subject: Option<&'a Living>,
    /// The seq of the message that it replies to.
    pub reply_to: Option<u64>,
    /// The members that it mentions, their ids ascending.
    pub mentioned: Option<Arc<[u64]>>,
    pub body: &'a str,
}

impl<'a> Post<'a> {
    /// Makes a message of the system.
    pub fn system(kind: MessageKind, sender: &'a Living) -> Post<'a> {
        Post {
            id: None,
            kind,
            sender,
            sender_deleted: false,
            subject: None,
            reply_to: None,
            mentioned: None,
            body: "",
        }
    }
}

/// Finds the open room of that name, and has it in the cache.
pub(super) fn find(state: &mut Applier<'_, '_>, name: &str) -> Result<Option<u64>, StoreError> {
    let key = name_key(name);
    if let Some(id) = state.known.rooms.id_of(&key) {
        return Ok(Some(id));
    }
    let id = state
        .connection
        .prepare_cached("SELECT id FROM rooms WHERE name_key = ?1 AND archived_at_lsn IS NULL")?
        .query_row([&key], |row| row.get(0))
        .optional()?;
    if let Some(id) = id {
        load(state, id)?;
    }
    Ok(id)
}

/// Has an open room in the cache.
pub(super) fn load(state: &mut Applier<'_, '_>, id: u64) -> Result<(), StoreError> {
    if state.known.rooms.get(id).is_some() {
        return Ok(());
    }
    let (name, settings): (Arc<str>, Settings) = state
        .connection
        .prepare_cached(
            "SELECT name, is_public, is_announce_only, keeps_edits,
                 EXISTS (SELECT 1 FROM mention_limits WHERE room_id = ?1), is_feed
             FROM rooms WHERE id = ?1",
        )?
        .query_row([id], |row| {
            let settings = Settings {
                is_public: row.get(1)?,
                is_announce_only: row.get(2)?,
                keeps_edits: row.get(3)?,
                restricts_mentions: row.get(4)?,
                is_feed: row.get(5)?,
            };
            Ok((row.get(0)?, settings))
        })?;
    let roles: BTreeMap<u64, Role> = state
        .connection
        .prepare_cached("SELECT account_id, role FROM members WHERE conversation_id = ?1")?
        .query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    // The writer sees the index and the messages behind it in one state.
    let last_seq: u64 = state
        .connection
        .prepare_cached(crate::queries::LAST_SEQ)?
        .query_row([id], |row| row.get(0))?;
    let first_seq = retention::first_seq(state.connection, id)?;
    let key = name_key(&name);
    let room = CachedRoom::new(id, name, settings, (first_seq, last_seq), roles);
    state.known.rooms.learn(&key, room);
    Ok(())
}

/// Finds a room in which an account wants to act; gives its id and the role of the account, or why it may not.
pub(super) fn permit(
    state: &mut Applier<'_, '_>,
    name: &str,
    account_id: u64,
    act: Act,
) -> Result<Result<(u64, Option<Role>), Refusal>, StoreError> {
    let Some(id) = find(state, name)? else {
        return Ok(Err(Denied::Unknown.refusal()));
    };
    let room = cached(state, id);
    let role = room.role(account_id);
    let permitted = judge(act, room.settings, role);
    Ok(permitted.map(|()| (id, role)).map_err(Denied::refusal))
}

/// Gives a room that is in the cache.
pub(super) fn cached<'s>(state: &'s mut Applier<'_, '_>, id: u64) -> &'s mut CachedRoom {
    state.known.rooms.get(id).expect("the room was loaded")
}

/// Gives the ids of the members of a loaded room, ascending.
pub(crate) fn audience(state: &mut Applier<'_, '_>, id: u64) -> Result<Arc<[u64]>, StoreError> {
    load(state, id)?;
    Ok(cached(state, id).audience())
}

/// Tells whether a loaded room has a message of that seq.
pub(super) fn has_message(state: &mut Applier<'_, '_>, id: u64, seq: u64) -> bool {
    let room = cached(state, id);
    (room.first_seq..=room.last_seq).contains(&seq)
}

/// Notes the seq of the first message of a conversation that is left, if it is a room in the cache.
pub(super) fn note_start(state: &mut Applier<'_, '_>, id: u64, first_seq: u64) {
    if let Some(room) = state.known.rooms.get(id) {
        room.first_seq = first_seq;
    }
}

/// Posts a message in a loaded room; gives its seq. An entry posts one message at most.
pub(super) fn post(
    state: &mut Applier<'_, '_>,
    room_id: u64,
    post: &Post<'_>,
) -> Result<u64, StoreError> {
    let room = cached(state, room_id);
    room.last_seq += 1;
    let seq = room.last_seq;
    state
        .connection
        .prepare_cached(
            "INSERT INTO room_messages
                 (lsn, id, room_id, seq, sender_id, kind, subject_id, body, sent_at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            state.lsn,
            post.id,
            room_id,
            seq,
            post.sender.id,
            post.kind,
            post.subject.map(|subject| subject.id),
            post.body,
            state.stamp_ms
        ])?;
    if let Some(reply_to) = post.reply_to {
        messages::insert_reply(state, room_id, seq, reply_to)?;
    }
    if state.is_heard {
        let room = cached(state, room_id);
        let (name, members) = (room.name.to_string(), room.audience());
        let row = RoomMessageRow {
            lsn: state.lsn,
            id: post.id,
            room_id,
            room: name,
            seq,
            kind: post.kind,
            sender_id: post.sender.id,
            sender: post.sender.username.to_string(),
            sender_deleted: post.sender_deleted,
            subject_id: post.subject.map(|subject| subject.id),
            subject: post.subject.map(|subject| subject.username.to_string()),
            body: post.body.to_owned(),
            sent_at_ms: state.stamp_ms,
            parts: MessageParts {
                reply_to: post.reply_to,
                ..MessageParts::default()
            },
        };
        state.effects.events.push(Event::RoomMessage {
            row: Arc::new(row),
            members,
            mentioned: post.mentioned.clone(),
        });
    }
    Ok(seq)
}

/// Checks that an account may become a member of one more room.
pub(super) fn has_place(
    state: &Applier<'_, '_>,
    account_id: u64,
) -> Result<Result<(), Refusal>, StoreError> {
    let rooms: usize = state
        .connection
        .prepare_cached("SELECT count(*) FROM members WHERE account_id = ?1")?
        .query_row([account_id], |row| row.get(0))?;
    Ok(match rooms < ACCOUNT_ROOMS_MAX {
        true => Ok(()),
        false => Err(Refusal::TooManyRooms),
    })
}

/// Makes an account a member of a loaded room, with a message that tells of it; in a feed only that of its making is
/// posted.
pub(super) fn admit(
    state: &mut Applier<'_, '_>,
    room_id: u64,
    account: &Living,
    role: Role,
    message: &Post<'_>,
) -> Result<Result<RoomChanged, Refusal>, StoreError> {
    if cached(state, room_id).member_count() >= ROOM_MEMBERS_MAX {
        return Ok(Err(Refusal::TooManyMembers));
    }
    if let Err(refusal) = has_place(state, account.id)? {
        return Ok(Err(refusal));
    }
    cached(state, room_id).set_role(account.id, role);
    state.known.rooms.count_member();
    let is_silent = cached(state, room_id).settings.is_feed && message.kind != MessageKind::Created;
    let (seq, read_seq, joined_seq) = if is_silent {
        let last = cached(state, room_id).last_seq;
        (0, last, last + 1)
    } else {
        let seq = post(state, room_id, message)?;
        (seq, seq, seq)
    };
    state
        .connection
        .prepare_cached(
            "INSERT INTO members (conversation_id, account_id, role, joined_seq, joined_at_ms,
                                  read_seq, delivered_seq)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
        )?
        .execute(params![
            room_id,
            account.id,
            role,
            joined_seq,
            state.stamp_ms,
            read_seq
        ])?;
    Ok(Ok(RoomChanged {
        room_id,
        seq,
        lsn: if seq > 0 { state.lsn } else { 0 },
    }))
}

/// Ends the membership of an account in a loaded room; gives the seq of the message that tells of it, 0 for none. A feed
/// without owners and admins is archived.
pub(super) fn leave(
    state: &mut Applier<'_, '_>,
    room_id: u64,
    account: &Living,
    is_deleted: bool,
) -> Result<u64, StoreError> {
    let is_feed = cached(state, room_id).settings.is_feed;
    let role = cached(state, room_id).role(account.id);
    if is_feed && role == Some(Role::Member) {
        remove(state, room_id, account.id)?;
        return Ok(0);
    }
    let next = match role {
        Some(Role::Owner) => first_of_others(state, room_id, account.id)?,
        _ => None,
    };
    // Nobody becomes the owner of a feed by following it.
    let closes = is_feed
        && role == Some(Role::Owner)
        && next.as_ref().is_none_or(|(_, role)| *role == Role::Member);
    let successor = next.and_then(|(next, role)| (role != Role::Owner && !closes).then_some(next));
    let kind = if closes {
        MessageKind::Archived
    } else {
        MessageKind::Left
    };
    let message = Post {
        sender_deleted: is_deleted,
        subject: successor.as_ref(),
        ..Post::system(kind, account)
    };
    // The one who leaves is still in the audience.
    let seq = post(state, room_id, &message)?;
    if let Some(successor) = successor {
        set_role(state, room_id, successor.id, Role::Owner)?;
    }
    remove(state, room_id, account.id)?;
    if closes || cached(state, room_id).member_count() == 0 {
        archive(state, room_id)?;
    }
    Ok(seq)
}

/// Gives a member of a loaded room another role.
pub(super) fn set_role(
    state: &mut Applier<'_, '_>,
    room_id: u64,
    account_id: u64,
    role: Role,
) -> Result<(), StoreError> {
    state
        .connection
        .prepare_cached(
            "UPDATE members SET role = ?3 WHERE conversation_id = ?1 AND account_id = ?2",
        )?
        .execute(params![room_id, account_id, role])?;
    cached(state, room_id).set_role(account_id, role);
    Ok(())
}

/// Removes a member from a loaded room.
pub(super) fn remove(
    state: &mut Applier<'_, '_>,
    room_id: u64,
    account_id: u64,
) -> Result<(), StoreError> {
    delete_member(state, room_id, account_id)?;
    cached(state, room_id).remove(account_id);
    Ok(())
}

fn delete_member(state: &Applier<'_, '_>, room_id: u64, account_id: u64) -> Result<(), StoreError> {
    state
        .connection
        .prepare_cached("DELETE FROM members WHERE conversation_id = ?1 AND account_id = ?2")?
        .execute([room_id, account_id])?;
    set_level::remove(state, account_id, room_id)
}

/// Archives a loaded room: no command finds it any more, its name is free, and its state is removed.
pub(super) fn archive(state: &mut Applier<'_, '_>, room_id: u64) -> Result<(), StoreError> {
    state
        .connection
        .prepare_cached("UPDATE rooms SET archived_at_lsn = ?2 WHERE id = ?1")?
        .execute([room_id, state.lsn])?;
    state_rows::remove_all(state, room_id)?;
    state.known.rooms.forget(room_id);
    Ok(())
}

/// Ends the membership of an account in the archived room of that name, the newest of them. Nobody is told.
pub(super) fn leave_archived(
    state: &Applier<'_, '_>,
    name: &str,
    account_id: u64,
) -> Result<Option<RoomChanged>, StoreError> {
    let room_id: Option<u64> = state
        .connection
        .prepare_cached(crate::queries::ARCHIVED_ROOM_OF)?
        .query_row(params![account_id, name_key(name)], |row| row.get(0))
        .optional()?;
    let Some(room_id) = room_id else {
        return Ok(None);
    };
    delete_member(state, room_id, account_id)?;
    Ok(Some(RoomChanged {
        room_id,
        ..RoomChanged::default()
    }))
}

/// Finds the first of the other members of a room, in the order of who becomes the owner when `leaver` goes: owners, the
/// oldest admin, the oldest member.
fn first_of_others(
    state: &mut Applier<'_, '_>,
    room_id: u64,
    leaver: u64,
) -> Result<Option<(Living, Role)>, StoreError> {
    let first = state
        .connection
        .prepare_cached(
            "SELECT u.id, u.username, m.role
             FROM members AS m CROSS JOIN users AS u ON u.id = m.account_id
             WHERE m.conversation_id = ?1 AND m.account_id <> ?2 AND u.deleted_at_lsn IS NULL
             ORDER BY m.role DESC, m.joined_seq, m.account_id LIMIT 1",
        )?
        .query_row([room_id, leaver], |row| {
            Ok((Living::of_row(row)?, row.get(2)?))
        })
        .optional()?;
    Ok(first)
}

/// Tells whether an account is a member of a room.
pub(super) fn is_in_any(state: &Applier<'_, '_>, account_id: u64) -> Result<bool, StoreError> {
    Ok(state
        .connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM members WHERE account_id = ?1)")?
        .query_row([account_id], |row| row.get(0))?)
}

/// Leaves one room of a deleted account, if it is in any; tells whether it was.
pub(super) fn leave_one(state: &mut Applier<'_, '_>, account: &Living) -> Result<bool, StoreError> {
    let room: Option<u64> = state
        .connection
        .prepare_cached("SELECT min(conversation_id) FROM members WHERE account_id = ?1")?
        .query_row([account.id], |row| row.get(0))?;
    let Some(room) = room else {
        return Ok(false);
    };
    let is_archived: bool = state
        .connection
        .prepare_cached("SELECT archived_at_lsn IS NOT NULL FROM rooms WHERE id = ?1")?
        .query_row([room], |row| row.get(0))?;
    if is_archived {
        // Nobody writes there, also not the system.
        delete_member(state, room, account.id)?;
        return Ok(true);
    }
    load(state, room)?;
    leave(state, room, account, true)?;
    Ok(true)
}

/// Tells whether an account is a member of a loaded room.
pub(super) fn is_member(state: &mut Applier<'_, '_>, room_id: u64, account_id: u64) -> bool {
    cached(state, room_id).role(account_id).is_some()
}

/// Takes the outcome of the commands that change who is in a room.
pub(super) fn changed(result: outcome::Result) -> Option<RoomChanged> {
    match result {
        outcome::Result::RoomChanged(changed) => Some(changed),
        _ => None,
    }
}
