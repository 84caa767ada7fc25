//! Queries of rooms: lists of them, their members, and their messages. Each asks the table of who may do what in the
//! state that it reads.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Params, Row, params};

use super::{
    super::{StoreError, name_key},
    NamePattern, Page, PageLimit, Query, Start, Step, integer, message_parts,
    messages::name,
    one_more,
};
use crate::{
    event::{MessageParts, RoomMessageRow},
    rooms::{Act, Denied, Role, Settings, judge},
};

/// Selects the seq of the last message of a room, 0 before the first.
pub(crate) const LAST_SEQ: &str = "SELECT max(
        coalesce((SELECT max(seq) FROM room_index WHERE room_id = ?1), 0),
        coalesce((SELECT max(seq) FROM room_messages NOT INDEXED
                  WHERE lsn > (SELECT through_lsn FROM indexed) AND room_id = ?1), 0),
        coalesce((SELECT first_seq - 1 FROM history_starts WHERE conversation_id = ?1), 0))";

/// Selects the newest archived room of a name that an account is a member of.
pub(crate) const ARCHIVED_ROOM_OF: &str = "SELECT r.id
     FROM members AS m INDEXED BY members_by_account CROSS JOIN rooms AS r ON r.id = m.conversation_id
     WHERE m.account_id = ?1 AND r.name_key = ?2 AND r.archived_at_lsn IS NOT NULL
     ORDER BY r.archived_at_lsn DESC LIMIT 1";

/// The columns of a [`RoomMessageRow`] without the names.
macro_rules! select_room_message {
    () => {
        "SELECT m.seq, m.lsn, m.id, m.room_id, m.kind, m.sender_id, m.subject_id, m.body, m.sent_at_ms "
    };
}

/// Selects a page of the messages of a room, in the order of their seq: those that are not indexed yet, and the others
/// by the index, so that a page costs the same at any depth.
macro_rules! select_room {
    ($bound:literal, $order:literal) => {
        concat!(
            select_room_message!(),
            "FROM room_messages AS m NOT INDEXED
             WHERE m.lsn > (SELECT through_lsn FROM indexed) AND m.room_id = ?1 AND m.seq ",
            $bound,
            " UNION ALL ",
            "SELECT i.seq, m.lsn, m.id, m.room_id, m.kind, m.sender_id, m.subject_id, m.body,
                 m.sent_at_ms
             FROM room_index AS i CROSS JOIN room_messages AS m ON m.lsn = i.lsn
             WHERE i.room_id = ?1 AND i.seq ",
            $bound,
            " ORDER BY 1 ",
            $order
        )
    };
}

pub(crate) const ROOM_BEFORE: &str = select_room!("< ?2", "DESC LIMIT ?3");

pub(crate) const ROOM_AFTER: &str = select_room!("> ?2", "LIMIT ?3");

pub(super) const ROOM_MESSAGES_AT: &str = concat!(
    select_room_message!(),
    "FROM room_messages AS m NOT INDEXED
     WHERE m.lsn IN (SELECT value FROM json_each(?1)) ORDER BY m.lsn"
);

/// Selects the texts at LSNs in rooms of account `?2`. Every member may read them (`judge`).
const READABLE_AT: &str = concat!(
    select_room_message!(),
    "FROM room_messages AS m NOT INDEXED
     WHERE m.lsn IN (SELECT value FROM json_each(?1)) AND m.kind = 1 AND m.body <> ''
         AND EXISTS (SELECT 1 FROM members WHERE conversation_id = m.room_id AND account_id = ?2)"
);

/// A room, as an account sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomRow {
    pub id: u64,
    /// Without the `#`.
    pub name: String,
    pub topic: String,
    pub settings: Settings,
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: i64,
    /// Whether nobody writes there any more.
    pub is_archived: bool,
    /// The room's own retention, milliseconds.
    pub retention_ms: Option<i64>,
    /// The shorter one of that and the cluster's.
    pub kept_ms: Option<i64>,
    /// The membership of the account that asks.
    pub membership: Option<Membership>,
}

/// A membership of an account in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    pub role: Role,
    pub joined_seq: u64,
    /// Milliseconds since the Unix epoch.
    pub joined_at_ms: i64,
    pub read_seq: u64,
}

/// Selects the columns of a [`RoomRow`].
pub(super) const ROOM: &str =
    "SELECT r.id, r.name, r.topic, r.is_public, r.is_announce_only, r.created_at_ms,
        m.role, m.joined_seq, m.joined_at_ms, m.read_seq, r.archived_at_lsn IS NOT NULL,
        r.keeps_edits, EXISTS (SELECT 1 FROM mention_limits WHERE room_id = r.id),
        (SELECT keep_ms FROM retention WHERE conversation_id = r.id),
        (SELECT min(keep_ms) FROM retention WHERE conversation_id IN (0, r.id)),
        r.is_feed";

pub(super) fn room_row(row: &Row<'_>) -> rusqlite::Result<RoomRow> {
    let role: Option<Role> = row.get(6)?;
    let membership = match role {
        None => None,
        Some(role) => Some(Membership {
            role,
            joined_seq: row.get(7)?,
            joined_at_ms: row.get(8)?,
            read_seq: row.get(9)?,
        }),
    };
    Ok(RoomRow {
        id: row.get(0)?,
        name: row.get(1)?,
        topic: row.get(2)?,
        settings: Settings {
            is_public: row.get(3)?,
            is_announce_only: row.get(4)?,
            keeps_edits: row.get(11)?,
            restricts_mentions: row.get(12)?,
            is_feed: row.get(15)?,
        },
        created_at_ms: row.get(5)?,
        is_archived: row.get(10)?,
        retention_ms: row.get(13)?,
        kept_ms: row.get(14)?,
        membership,
    })
}

/// Open rooms whose names match a pattern, public ones and those of the account, ascending by lower-cased name.
#[derive(Clone, Debug)]
pub struct RoomsByPattern {
    pub account_id: u64,
    /// `*` stands for any characters and `?` for one; without case, and without the `#`.
    pub pattern: String,
    /// Whether only feeds are listed.
    pub feeds_only: bool,
    /// The name, lower-cased, that the page comes after; "" for the first page.
    pub after: String,
    pub limit: usize,
}

impl Query for RoomsByPattern {
    type Rows = Page<RoomRow>;

    fn read(&self, state: &Connection) -> Result<Page<RoomRow>, StoreError> {
        let NamePattern {
            prefix,
            prefix_end,
            glob,
        } = NamePattern::of(&self.pattern);
        let mut select = state.prepare_cached(&format!(
            "{ROOM} FROM rooms AS r INDEXED BY rooms_open
                 LEFT JOIN members AS m ON m.conversation_id = r.id AND m.account_id = ?1
             WHERE r.archived_at_lsn IS NULL AND r.name_key > ?2 AND r.name_key >= ?3
                 AND r.name_key < ?4 AND r.name_key GLOB ?5
                 AND (r.is_public OR m.role IS NOT NULL) AND (r.is_feed OR NOT ?7)
             ORDER BY r.name_key LIMIT ?6"
        ))?;
        let after = name_key(&self.after);
        let found = params![
            integer(self.account_id),
            after,
            prefix,
            prefix_end,
            glob,
            one_more(self.limit),
            self.feeds_only
        ];
        Page::fill(
            select.query_map(found, room_row)?,
            PageLimit::of_rows(self.limit),
            |_| 0,
        )
    }
}

/// A member of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRow {
    pub account_id: u64,
    pub username: String,
    pub role: Role,
    pub joined_seq: u64,
    /// Milliseconds since the Unix epoch.
    pub joined_at_ms: i64,
    /// "" for none.
    pub display_name: String,
}

/// The members of a room that an account may see, ascending by account id: of a feed the admins and owners, and the account
/// itself, unless it is one of them.
#[derive(Clone, Debug)]
pub struct Members {
    pub account_id: u64,
    /// The name of the room, without the `#`.
    pub room: String,
    /// The account id that the page comes after.
    pub after: u64,
    pub limit: usize,
}

impl Query for Members {
    /// The id of the room and a page of its members.
    type Rows = Result<(u64, Page<MemberRow>), Denied>;

    fn read(&self, state: &Connection) -> Result<Self::Rows, StoreError> {
        let room_id = match find(state, &self.room, self.account_id, Act::See)? {
            Ok(id) => id,
            Err(denied) => return Ok(Err(denied)),
        };
        let mut select = state.prepare_cached(
            "SELECT u.id, u.username, m.role, m.joined_seq, m.joined_at_ms,
                 ifnull(p.display_name, '')
             FROM members AS m CROSS JOIN users AS u ON u.id = m.account_id
             LEFT JOIN profiles AS p ON p.account_id = u.id
             WHERE m.conversation_id = ?1 AND m.account_id > ?2 AND u.deleted_at_lsn IS NULL
                 AND (?4 OR m.role > 1 OR m.account_id = ?5)
             ORDER BY m.account_id LIMIT ?3",
        )?;
        let sees_all = find(state, &self.room, self.account_id, Act::SeeMembers)?.is_ok();
        let of_page = params![
            integer(room_id),
            integer(self.after),
            one_more(self.limit),
            sees_all,
            integer(self.account_id)
        ];
        let found = select.query_map(of_page, |row| {
            Ok(MemberRow {
                account_id: row.get(0)?,
                username: row.get(1)?,
                role: row.get(2)?,
                joined_seq: row.get(3)?,
                joined_at_ms: row.get(4)?,
                display_name: row.get(5)?,
            })
        })?;
        let page = Page::fill(found, PageLimit::of_rows(self.limit), |_| 0)?;
        Ok(Ok((room_id, page)))
    }
}

/// The name or the id of a room in a read.
#[derive(Clone, Debug)]
pub enum RoomKey {
    /// The name, without the `#`: of the open room, or else of the newest archived one that the account is in.
    Name(String),
    /// The id, which also reaches an archived room whose name another one has.
    Id(u64),
}

/// Messages of a room, for a member.
#[derive(Clone, Debug)]
pub struct RoomHistory {
    pub account_id: u64,
    pub room: RoomKey,
    pub start: Start,
    pub limit: PageLimit,
}

/// A page of a room, ascending by seq.
#[derive(Clone, Debug)]
pub struct RoomPage {
    pub room_id: u64,
    /// The start of the page among seqs.
    pub step: Step,
    pub messages: Page<RoomMessageRow>,
}

impl Query for RoomHistory {
    type Rows = Result<RoomPage, Denied>;

    const SCANS_UNINDEXED: bool = true;

    fn read(&self, state: &Connection) -> Result<Self::Rows, StoreError> {
        let room_id = match self.find(state)? {
            Ok(id) => id,
            Err(denied) => return Ok(Err(denied)),
        };
        let step = self.start.in_room(state, room_id)?;
        let (sql, seq) = match step {
            Step::Before(seq) => (ROOM_BEFORE, seq),
            Step::After(seq) => (ROOM_AFTER, seq),
        };
        let of_page = params![integer(room_id), integer(seq), one_more(self.limit.rows)];
        let mut messages = room_messages(state, self.account_id, sql, of_page, self.limit)?;
        if let Step::Before(_) = step {
            messages.rows.reverse();
        }
        Ok(Ok(RoomPage {
            room_id,
            step,
            messages,
        }))
    }
}

impl RoomHistory {
    /// Finds the id of the room, and asks whether the account may read it.
    pub(super) fn find(&self, state: &Connection) -> Result<Result<u64, Denied>, StoreError> {
        match &self.room {
            RoomKey::Name(name) => find(state, name, self.account_id, Act::Read),
            RoomKey::Id(id) => find_by_id(state, *id, self.account_id, Act::Read),
        }
    }
}

/// Reads the messages of rooms at the LSNs in a list in JSON, by their LSNs in either order.
pub(super) fn room_at(
    state: &Connection,
    account_id: u64,
    lsns: &str,
    is_ascending: bool,
) -> Result<Vec<RoomMessageRow>, StoreError> {
    let limit = PageLimit::of_rows(usize::MAX);
    let mut rows = room_messages(state, account_id, ROOM_MESSAGES_AT, [lsns], limit)?.rows;
    if !is_ascending {
        rows.reverse();
    }
    Ok(rows)
}

/// Reads a page of the messages of a room after a seq, without asking who may read it.
pub(super) fn messages_after(
    state: &Connection,
    account_id: u64,
    room_id: u64,
    seq: u64,
    limit: PageLimit,
) -> Result<Page<RoomMessageRow>, StoreError> {
    let of_page = params![integer(room_id), integer(seq), one_more(limit.rows)];
    room_messages(state, account_id, ROOM_AFTER, of_page, limit)
}

/// Reads the texts at the LSNs in a list in JSON that are in rooms of an account, without deleted ones.
pub(super) fn readable_at(
    state: &Connection,
    account_id: u64,
    lsns: &str,
) -> Result<Vec<RoomMessageRow>, StoreError> {
    let at = params![lsns, integer(account_id)];
    let limit = PageLimit::of_rows(usize::MAX);
    Ok(room_messages(state, account_id, READABLE_AT, at, limit)?.rows)
}

/// Finds the id of a room by its name, and asks whether the account may do the act there.
pub(super) fn find(
    state: &Connection,
    room: &str,
    account_id: u64,
    act: Act,
) -> Result<Result<u64, Denied>, StoreError> {
    let found = state
        .prepare_cached(&format!(
            "{ROOM} FROM rooms AS r
                 LEFT JOIN members AS m ON m.conversation_id = r.id AND m.account_id = ?2
             WHERE r.name_key = ?1 AND r.archived_at_lsn IS NULL"
        ))?
        .query_row(params![name_key(room), integer(account_id)], room_row)
        .optional()?;
    let judged = found.map_or(Err(Denied::Unknown), |room| may(act, room));
    if judged != Err(Denied::Unknown) {
        return Ok(judged);
    }
    let archived: Option<u64> = state
        .prepare_cached(ARCHIVED_ROOM_OF)?
        .query_row(params![integer(account_id), name_key(room)], |row| {
            row.get(0)
        })
        .optional()?;
    match archived {
        Some(id) => find_by_id(state, id, account_id, act),
        None => Ok(judged),
    }
}

/// Finds a room by its id, and asks whether the account may do the act there.
fn find_by_id(
    state: &Connection,
    id: u64,
    account_id: u64,
    act: Act,
) -> Result<Result<u64, Denied>, StoreError> {
    let found = state
        .prepare_cached(&format!(
            "{ROOM} FROM rooms AS r
                 LEFT JOIN members AS m ON m.conversation_id = r.id AND m.account_id = ?2
             WHERE r.id = ?1"
        ))?
        .query_row(params![integer(id), integer(account_id)], room_row)
        .optional()?;
    Ok(found.map_or(Err(Denied::Unknown), |room| may(act, room)))
}

/// Decides whether an account may do an act in a room. Outside nobody learns of an archived one.
fn may(act: Act, room: RoomRow) -> Result<u64, Denied> {
    let role = room.membership.map(|membership| membership.role);
    if room.is_archived && role.is_none() {
        return Err(Denied::Unknown);
    }
    judge(act, room.settings, role).map(|()| room.id)
}

/// Reads a page of messages of rooms, in the order of `sql`, and adds the names.
pub(super) fn room_messages(
    state: &Connection,
    account_id: u64,
    sql: &str,
    params: impl Params,
    limit: PageLimit,
) -> Result<Page<RoomMessageRow>, StoreError> {
    let mut select = state.prepare_cached(sql)?;
    let rows = select.query_map(params, nameless)?;
    let mut page = Page::fill(rows, limit, |row| row.body.len())?;
    message_parts::add(state, account_id, &mut page.rows)?;
    let mut names = BTreeMap::new();
    let mut rooms: BTreeMap<u64, String> = BTreeMap::new();
    for row in &mut page.rows {
        (row.sender, row.sender_deleted) = name(state, &mut names, row.sender_id)?;
        if let Some(subject) = row.subject_id {
            row.subject = Some(name(state, &mut names, subject)?.0);
        }
        if let Some(known) = rooms.get(&row.room_id) {
            row.room.clone_from(known);
            continue;
        }
        row.room = state
            .prepare_cached("SELECT name FROM rooms WHERE id = ?1")?
            .query_row([row.room_id], |row| row.get(0))?;
        rooms.insert(row.room_id, row.room.clone());
    }
    Ok(page)
}

fn nameless(row: &Row<'_>) -> rusqlite::Result<RoomMessageRow> {
    Ok(RoomMessageRow {
        lsn: row.get(1)?,
        id: row.get(2)?,
        room_id: row.get(3)?,
        room: String::new(),
        seq: row.get(0)?,
        kind: row.get(4)?,
        sender_id: row.get(5)?,
        sender: String::new(),
        sender_deleted: false,
        subject_id: row.get(6)?,
        subject: None,
        body: row.get(7)?,
        sent_at_ms: row.get(8)?,
        parts: MessageParts::default(),
    })
}
