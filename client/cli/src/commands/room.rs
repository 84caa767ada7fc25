//! The commands `room` and `conversations`.

use serde_json::{Value, json};
use tercet_client::{
    Conversation, ConversationKind, Member, MemberRole, MessageKind, MessagePreview, NewRoom,
    NotificationLevel, RoomChange,
};

use super::connect::Connect;
use super::identity::Identity;
use super::retention;
use super::room_changes::{self, Change};
use crate::failure::Failure;
use crate::messages::event_json;
use crate::output::{notice, object, print};
use crate::spans;
use crate::times::rfc3339;

/// The number of rooms, members or conversations that a page has at most.
const PAGE_MAX: u32 = 1_000;

#[derive(Debug, clap::Subcommand)]
pub enum Room {
    /// Make a room; you are its owner
    Create(Create),
    /// Join a public room
    Join(Named),
    /// Leave a room; the last owner hands it on, and the last member closes it
    Leave(Named),
    /// Make another account a member of a room
    Invite(Invite),
    #[command(flatten)]
    Change(Change),
    /// Set how long messages are kept (owners), or show it
    Retention(retention::OfRoom),
    /// List the public rooms and your own
    List(List),
    /// List the members of a room
    Members(Members),
}

#[derive(Debug, clap::Args)]
pub struct Create {
    /// '#' and 1 to 32 letters, digits, `_`, `.` or `-`, not beginning with a digit or `-`
    room: String,
    /// The topic, at most 250 characters
    #[arg(long, default_value = "", hide_default_value = true)]
    topic: String,
    /// Hide the room from everybody outside; joining it takes an invitation
    #[arg(long)]
    private: bool,
    /// Only admins and owners send to it
    #[arg(long)]
    announce_only: bool,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, clap::Args)]
pub struct Named {
    /// The name, with its '#'
    room: String,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, clap::Args)]
pub struct Invite {
    /// The name, with its '#'
    room: String,
    /// The account
    #[arg(allow_hyphen_values = true)]
    account: String,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, clap::Args)]
pub struct List {
    /// `*` stands for any run of characters, `?` for one [default: *]
    pattern: Option<String>,
    #[command(flatten)]
    pages: Pages,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, clap::Args)]
pub struct Members {
    /// The name, with its '#'
    room: String,
    #[command(flatten)]
    pages: Pages,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, clap::Args)]
pub struct Conversations {
    #[command(flatten)]
    pages: Pages,
    #[command(flatten)]
    identity: Identity,
}

/// The options of a list that comes in pages.
#[derive(Debug, clap::Args)]
pub(super) struct Pages {
    /// The most to list
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Continue after an earlier answer
    #[arg(long, default_value = "", hide_default_value = true)]
    pub page_token: String,
}

impl Pages {
    /// Tells whether another page is wanted after one of `count`; notes its token.
    pub fn go_on(&mut self, count: usize, next_page_token: String) -> bool {
        self.limit = self
            .limit
            .saturating_sub(u32::try_from(count).unwrap_or(u32::MAX));
        self.page_token = next_page_token;
        self.limit > 0 && !self.page_token.is_empty()
    }

    pub fn page_size(&self) -> u32 {
        self.limit.min(PAGE_MAX)
    }

    /// Prints the end of the list.
    pub fn end(self, as_json: bool) -> Result<(), Failure> {
        let token = self.page_token;
        if as_json {
            return object(&event_json("end", json!({ "next_page_token": token })));
        }
        if !token.is_empty() {
            notice(&format!("there are more: --page-token {token}"));
        }
        Ok(())
    }
}

pub async fn run(command: Room, connect: &Connect) -> Result<(), Failure> {
    match command {
        Room::Create(args) => create(args, connect).await,
        Room::Join(args) => {
            let me = args.identity.logged_in(connect).await?.client;
            let change = me.join_room(&args.room).await?;
            let text = match change.seq {
                0 => format!("you are in {} already", args.room),
                _ => format!("joined {}", args.room),
            };
            print(connect.json, &change_json(&args.room, change), &text)
        }
        Room::Leave(args) => {
            let me = args.identity.logged_in(connect).await?.client;
            let change = me.leave_room(&args.room).await?;
            let text = format!("left {}", args.room);
            print(connect.json, &change_json(&args.room, change), &text)
        }
        Room::Invite(args) => invite(args, connect).await,
        Room::Change(command) => room_changes::run(command, connect).await,
        Room::Retention(args) => retention::of_room(args, connect).await,
        Room::List(args) => list(args, connect).await,
        Room::Members(args) => members(args, connect).await,
    }
}

async fn create(args: Create, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?.client;
    let room = NewRoom {
        name: args.room.clone(),
        topic: args.topic,
        private: args.private,
        announce_only: args.announce_only,
        feed: false,
    };
    let conversation_id = me.create_room(room).await?;
    let made = json!({"conversation": args.room, "conversation_id": conversation_id});
    print(connect.json, &made, &format!("made {}", args.room))
}

async fn invite(args: Invite, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?.client;
    let change = me.invite_to_room(&args.room, &args.account).await?;
    let text = match change.seq {
        0 => format!("{} is in {} already", args.account, args.room),
        _ => format!("{} is in {} now", args.account, args.room),
    };
    print(connect.json, &change_json(&args.room, change), &text)
}

async fn list(args: List, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?.client;
    let pattern = args.pattern.as_deref().unwrap_or("*");
    let mut pages = args.pages;
    loop {
        let page = me.list_rooms(pattern, pages.page_size(), &pages.page_token);
        let page = page.await?;
        for room in &page.rooms {
            let of_me = room
                .role
                .map_or_else(String::new, |role| format!(" ({})", role.name()));
            let private = if room.private { " (private)" } else { "" };
            let kept = match room.kept_ms {
                0 => String::new(),
                ms => format!(" (kept for {})", spans::text(ms)),
            };
            let text = format!("{}{private}{of_me}{kept} {}", room.name, room.topic);
            print(
                connect.json,
                &event_json("room", room_json(room)),
                text.trim_end(),
            )?;
        }
        if !pages.go_on(page.rooms.len(), page.next_page_token) {
            return pages.end(connect.json);
        }
    }
}

pub(super) async fn members(args: Members, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?.client;
    let mut pages = args.pages;
    loop {
        let page = me.list_members(&args.room, pages.page_size(), &pages.page_token);
        let page = page.await?;
        for member in &page.members {
            let text = match member.role {
                Some(MemberRole::Member) | None => member.username.clone(),
                Some(role) => format!("{} ({})", member.username, role.name()),
            };
            print(
                connect.json,
                &event_json("member", member_json(member)),
                &text,
            )?;
        }
        if !pages.go_on(page.members.len(), page.next_page_token) {
            return pages.end(connect.json);
        }
    }
}

pub async fn conversations(args: Conversations, connect: &Connect) -> Result<(), Failure> {
    let me = args.identity.logged_in(connect).await?.client;
    let mut pages = args.pages;
    let mut first_cursor = None;
    loop {
        let page = me.list_conversations(pages.page_size(), &pages.page_token);
        let page = page.await?;
        for one in &page.conversations {
            let kind = match one.kind {
                ConversationKind::Room => "room",
                ConversationKind::Feed => "feed",
                ConversationKind::Direct => "direct",
                _ => "other",
            };
            let fields = json!({
                "kind": kind,
                "name": one.name,
                "conversation_id": one.conversation_id,
                "topic": one.topic,
                "first_seq": one.first_seq,
                "last_seq": one.last_seq,
                "read_seq": one.read_seq,
                "unread": one.unread,
                "mentions": one.mentions,
                "level": one.level.name(),
                "muted": one.level == NotificationLevel::None,
                "role": role(one.role),
                "archived": one.archived,
                "peer_account_id": one.peer_account_id,
                "peer_deleted": one.peer_deleted,
                "peer_read_seq": one.peer_read_seq,
                "peer_delivered_seq": one.peer_delivered_seq,
                "last_message": one.last_message.as_ref().map(preview_json),
            });
            let text = conversation_text(one);
            print(connect.json, &event_json("conversation", fields), &text)?;
        }
        first_cursor = first_cursor.or(Some(page.cursor));
        if pages.go_on(page.conversations.len(), page.next_page_token) {
            continue;
        }
        if connect.json {
            let end = json!({"next_page_token": pages.page_token, "cursor": first_cursor});
            return object(&event_json("end", end));
        }
        return pages.end(false);
    }
}

fn preview_json(last: &MessagePreview) -> Value {
    json!({
        "seq": last.seq,
        "cursor": last.cursor,
        "sender": last.sender,
        "sender_id": last.sender_id,
        "kind": last.kind.name(),
        "text": last.text,
        "sent_at_ms": last.sent_at_ms,
        "sent_at": rfc3339(last.sent_at_ms),
        "deleted": last.deleted,
    })
}

/// Gives a conversation as text: `#tea, 3 unread: bob: the last text`.
fn conversation_text(one: &Conversation) -> String {
    let mut text = one.name.clone();
    if one.level == NotificationLevel::None {
        text.push_str(" (muted)");
    }
    if one.archived {
        text.push_str(" (archived)");
    }
    if one.peer_deleted {
        text.push_str(" (deleted)");
    }
    if one.unread > 0 {
        text.push_str(&format!(", {} unread", one.unread));
    }
    match one.mentions {
        0 => {}
        1 => text.push_str(", 1 mentions you"),
        count => text.push_str(&format!(", {count} mention you")),
    }
    match &one.last_message {
        Some(last) if last.deleted => text.push_str(&format!(": {}: (deleted)", last.sender)),
        Some(last) if last.kind == MessageKind::Text => {
            text.push_str(&format!(": {}: {}", last.sender, last.text));
        }
        _ => {}
    }
    text
}

/// Gives a room as an object.
pub fn room_json(room: &tercet_client::Room) -> Value {
    json!({
        "conversation": room.name,
        "conversation_id": room.conversation_id,
        "topic": room.topic,
        "private": room.private,
        "announce_only": room.announce_only,
        "keeps_edits": room.keeps_edits,
        "mentions_restricted": room.mentions_restricted,
        "retention_ms": room.retention_ms,
        "kept_ms": room.kept_ms,
        "feed": room.feed,
        "created_at_ms": room.created_at_ms,
        "created_at": rfc3339(room.created_at_ms),
        "role": role(room.role),
    })
}

/// Gives a member of a room as an object.
pub fn member_json(member: &Member) -> Value {
    json!({
        "username": member.username,
        "account_id": member.account_id,
        "role": role(member.role),
        "joined_at_ms": member.joined_at_ms,
        "joined_at": rfc3339(member.joined_at_ms),
        "joined_seq": member.joined_seq,
        "display_name": member.display_name,
    })
}

/// Gives a role as in JSON: `null` outside of the room.
fn role(role: Option<MemberRole>) -> Value {
    json!(role.map(MemberRole::name))
}

pub(super) fn change_json(room: &str, change: RoomChange) -> Value {
    json!({
        "conversation": room,
        "conversation_id": change.conversation_id,
        "seq": change.seq,
    })
}
