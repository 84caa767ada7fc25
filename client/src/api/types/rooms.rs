//! The values of the calls about rooms.

use tercet_proto::v1;

use super::{FromWire, NotificationLevel, list};

/// The kind of a message: a text, or what a message of the system tells of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MessageKind {
    /// A text that somebody sent.
    #[default]
    Text,
    /// The sender made the room.
    Created,
    /// The sender joined the room.
    Joined,
    /// The sender left the room; the subject, if there is one, is the new owner.
    Left,
    /// The sender made the subject a member, by an invitation.
    Invited,
    /// The sender ended the membership of the subject.
    Kicked,
    /// The sender banned the subject, whose membership ended, if there was one.
    Banned,
    /// The sender ended the ban of the subject.
    Unbanned,
    /// The sender made the subject a member without another role.
    MadeMember,
    /// The sender made the subject an admin.
    MadeAdmin,
    /// The sender made the subject an owner.
    MadeOwner,
    /// The sender set the topic, which is the body.
    Topic,
    /// The sender gave the room another name, which is the body.
    Renamed,
    /// The sender made the room public.
    MadePublic,
    /// The sender made the room private.
    MadePrivate,
    /// The sender let only admins and owners send.
    AnnounceOnly,
    /// The sender let all members send.
    Open,
    /// The sender archived the room.
    Archived,
    /// The sender pinned the message whose number is the body.
    Pinned,
    /// The sender took the pin of that message back.
    Unpinned,
    /// The sender had the room keep the earlier texts of edited messages.
    KeepsEdits,
    /// The sender had the room keep them no more.
    ForgetsEdits,
    /// The sender let only admins and owners mention all members.
    MentionsRestricted,
    /// The sender let all members mention all members.
    MentionsOpen,
    /// The sender set how long messages of the room are kept: the milliseconds in the body, `0` for as long as the cluster
    /// says.
    Retention,
    /// A message of the system that this version of the library does not know.
    Other,
}

impl MessageKind {
    /// Returns the name, as in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            MessageKind::Text => "text",
            MessageKind::Created => "created",
            MessageKind::Joined => "joined",
            MessageKind::Left => "left",
            MessageKind::Invited => "invited",
            MessageKind::Kicked => "kicked",
            MessageKind::Banned => "banned",
            MessageKind::Unbanned => "unbanned",
            MessageKind::MadeMember => "made_member",
            MessageKind::MadeAdmin => "made_admin",
            MessageKind::MadeOwner => "made_owner",
            MessageKind::Topic => "topic",
            MessageKind::Renamed => "renamed",
            MessageKind::MadePublic => "made_public",
            MessageKind::MadePrivate => "made_private",
            MessageKind::AnnounceOnly => "announce_only",
            MessageKind::Open => "open",
            MessageKind::Archived => "archived",
            MessageKind::Pinned => "pinned",
            MessageKind::Unpinned => "unpinned",
            MessageKind::KeepsEdits => "keeps_edits",
            MessageKind::ForgetsEdits => "forgets_edits",
            MessageKind::MentionsRestricted => "mentions_restricted",
            MessageKind::MentionsOpen => "mentions_open",
            MessageKind::Retention => "retention",
            MessageKind::Other => "other",
        }
    }
}

impl MessageKind {
    /// Decodes a number of the contract. A server without rooms sends none.
    pub(super) fn of(wire: i32, is_in_room: bool) -> MessageKind {
        match v1::MessageKind::try_from(wire) {
            Ok(v1::MessageKind::Text) => MessageKind::Text,
            Ok(v1::MessageKind::Created) => MessageKind::Created,
            Ok(v1::MessageKind::Joined) => MessageKind::Joined,
            Ok(v1::MessageKind::Left) => MessageKind::Left,
            Ok(v1::MessageKind::Invited) => MessageKind::Invited,
            Ok(v1::MessageKind::Kicked) => MessageKind::Kicked,
            Ok(v1::MessageKind::Banned) => MessageKind::Banned,
            Ok(v1::MessageKind::Unbanned) => MessageKind::Unbanned,
            Ok(v1::MessageKind::MadeMember) => MessageKind::MadeMember,
            Ok(v1::MessageKind::MadeAdmin) => MessageKind::MadeAdmin,
            Ok(v1::MessageKind::MadeOwner) => MessageKind::MadeOwner,
            Ok(v1::MessageKind::Topic) => MessageKind::Topic,
            Ok(v1::MessageKind::Renamed) => MessageKind::Renamed,
            Ok(v1::MessageKind::MadePublic) => MessageKind::MadePublic,
            Ok(v1::MessageKind::MadePrivate) => MessageKind::MadePrivate,
            Ok(v1::MessageKind::AnnounceOnly) => MessageKind::AnnounceOnly,
            Ok(v1::MessageKind::Open) => MessageKind::Open,
            Ok(v1::MessageKind::Archived) => MessageKind::Archived,
            Ok(v1::MessageKind::Pinned) => MessageKind::Pinned,
            Ok(v1::MessageKind::Unpinned) => MessageKind::Unpinned,
            Ok(v1::MessageKind::KeepsEdits) => MessageKind::KeepsEdits,
            Ok(v1::MessageKind::ForgetsEdits) => MessageKind::ForgetsEdits,
            Ok(v1::MessageKind::MentionsRestricted) => MessageKind::MentionsRestricted,
            Ok(v1::MessageKind::MentionsOpen) => MessageKind::MentionsOpen,
            Ok(v1::MessageKind::Retention) => MessageKind::Retention,
            Ok(v1::MessageKind::Unspecified) if !is_in_room => MessageKind::Text,
            Ok(v1::MessageKind::Unspecified) | Err(_) => MessageKind::Other,
        }
    }
}

/// The role of a member of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemberRole {
    /// Reads and sends.
    Member,
    /// Also invites to private rooms, sends to announce-only rooms, kicks, bans, and sets the topic.
    Admin,
    /// As an admin, and gives roles, changes the settings, and archives the room.
    Owner,
}

impl MemberRole {
    /// Returns the name, as in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            MemberRole::Member => "member",
            MemberRole::Admin => "admin",
            MemberRole::Owner => "owner",
        }
    }

    fn of(wire: v1::MemberRole) -> Option<MemberRole> {
        match wire {
            v1::MemberRole::Member => Some(MemberRole::Member),
            v1::MemberRole::Admin => Some(MemberRole::Admin),
            v1::MemberRole::Owner => Some(MemberRole::Owner),
            v1::MemberRole::Unspecified => None,
        }
    }
}

/// The settings of a room that is to be made, for [`Client::create_room`](crate::Client::create_room).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewRoom {
    /// The name: `#` and 1 to 32 ASCII letters, digits and `_ . -`, not beginning with a digit or `-`.
    pub name: String,
    /// At most 250 characters; may be empty.
    pub topic: String,
    /// Whether nobody outside finds the room, and nobody joins it without an invitation.
    pub private: bool,
    /// Whether only admins and owners send to it.
    pub announce_only: bool,
    /// Whether it is a feed: admins and owners write to it, others follow it, and followers do not see each other.
    pub feed: bool,
}

/// A room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// The id, never used again for another conversation.
    pub conversation_id: u64,
    /// The name, with its `#`.
    pub name: String,
    /// The topic; may be empty.
    pub topic: String,
    /// Whether nobody outside finds the room, and nobody joins it without an invitation.
    pub private: bool,
    /// Whether only admins and owners send to it.
    pub announce_only: bool,
    /// The time at which it was made, milliseconds since the Unix epoch.
    pub created_at_ms: i64,
    /// The role of this client's account; `None` outside.
    pub role: Option<MemberRole>,
    /// Whether the earlier texts of edited messages are kept, for all members to read.
    pub keeps_edits: bool,
    /// Whether only admins and owners mention all members.
    pub mentions_restricted: bool,
    /// The time for which messages are kept as the owners say, milliseconds; 0: as long as those of the cluster.
    pub retention_ms: i64,
    /// The time for which they are kept: the shorter one of that and the cluster's; 0: for ever.
    pub kept_ms: i64,
    /// Whether it is a feed.
    pub feed: bool,
}

impl FromWire<v1::Room> for Room {
    fn from_wire(wire: v1::Room) -> Self {
        Room {
            role: MemberRole::of(wire.role()),
            conversation_id: wire.conversation_id,
            name: wire.name,
            topic: wire.topic,
            private: wire.private,
            announce_only: wire.announce_only,
            keeps_edits: wire.keeps_edits,
            feed: wire.feed,
            created_at_ms: wire.created_at_ms,
            mentions_restricted: wire.mentions_restricted,
            retention_ms: wire.retention_ms,
            kept_ms: wire.kept_ms,
        }
    }
}

/// One page of rooms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoomsPage {
    /// The rooms, in order of their names without case.
    pub rooms: Vec<Room>,
    /// The token of the next page; empty after the last page.
    pub next_page_token: String,
}

impl FromWire<v1::ListRoomsResponse> for RoomsPage {
    fn from_wire(wire: v1::ListRoomsResponse) -> Self {
        RoomsPage {
            rooms: list(wire.rooms),
            next_page_token: wire.next_page_token,
        }
    }
}

/// A member of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The name, as it was registered.
    pub username: String,
    /// The id of the account.
    pub account_id: u64,
    /// The role; `None` for one that this version of the library does not know.
    pub role: Option<MemberRole>,
    /// The time of the joining, milliseconds since the Unix epoch.
    pub joined_at_ms: i64,
    /// The seq of the message that tells of the joining.
    pub joined_seq: u64,
    /// The display name, chosen by the account; may be empty.
    pub display_name: String,
}

impl FromWire<v1::Member> for Member {
    fn from_wire(wire: v1::Member) -> Self {
        Member {
            role: MemberRole::of(wire.role()),
            username: wire.username,
            account_id: wire.account_id,
            joined_at_ms: wire.joined_at_ms,
            joined_seq: wire.joined_seq,
            display_name: wire.display_name,
        }
    }
}

/// One page of the members of a room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MembersPage {
    /// The members, in order of their account ids.
    pub members: Vec<Member>,
    /// The token of the next page; empty after the last page.
    pub next_page_token: String,
}

impl FromWire<v1::ListMembersResponse> for MembersPage {
    fn from_wire(wire: v1::ListMembersResponse) -> Self {
        MembersPage {
            members: list(wire.members),
            next_page_token: wire.next_page_token,
        }
    }
}

/// The kind of a conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConversationKind {
    /// A room.
    Room,
    /// A room that is a feed.
    Feed,
    /// The messages with one other account, or notes to oneself.
    Direct,
    /// A kind that this version of the library does not know.
    #[default]
    Other,
}

/// A conversation of this client's account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conversation {
    /// The id.
    pub conversation_id: u64,
    /// The kind.
    pub kind: ConversationKind,
    /// The name: of a room with its `#`, or of the other account.
    pub name: String,
    /// The seq of the first message that was not removed by its age.
    pub first_seq: u64,
    /// The seq of the last message that the account sees.
    pub last_seq: u64,
    /// The account has read all messages up to this seq.
    pub read_seq: u64,
    /// The role of the account.
    pub role: Option<MemberRole>,
    /// The topic; may be empty.
    pub topic: String,
    /// Whether nobody writes there any more. Another room may have the name.
    pub archived: bool,
    /// The number of texts of others after `read_seq`, without deleted ones.
    pub unread: u64,
    /// The last message that the account sees; `None` when it was dropped with its recipient, or removed.
    pub last_message: Option<MessagePreview>,
    /// Of a direct conversation: the id of the other account; else 0.
    pub peer_account_id: u64,
    /// Of a direct conversation: whether the other account has been deleted.
    pub peer_deleted: bool,
    /// Of a direct conversation: the other account has read all messages up to this seq, as far as it shows.
    pub peer_read_seq: u64,
    /// The number of messages after `read_seq` that mention the account, 1,000 when there are more; 0 in a direct
    /// conversation.
    pub mentions: u64,
    /// The level of the account: the messages of which it wants to be notified.
    pub level: NotificationLevel,
    /// Of a direct conversation: the other account has acknowledged all messages of this client's account up to this seq.
    pub peer_delivered_seq: u64,
}

/// A message in a list of conversations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessagePreview {
    /// Its number in the conversation.
    pub seq: u64,
    /// Its position in the order of all messages.
    pub cursor: u64,
    /// The name of the account that sent it.
    pub sender: String,
    /// The id of that account.
    pub sender_id: u64,
    /// A text, or what a message of the system tells of.
    pub kind: MessageKind,
    /// The first 100 characters of the text, in one line.
    pub text: String,
    /// When it was sent, milliseconds since the Unix epoch.
    pub sent_at_ms: i64,
    /// Whether it was deleted.
    pub deleted: bool,
}

impl FromWire<v1::MessagePreview> for MessagePreview {
    fn from_wire(wire: v1::MessagePreview) -> Self {
        MessagePreview {
            kind: MessageKind::of(wire.kind, true),
            seq: wire.seq,
            cursor: wire.cursor,
            sender: wire.sender,
            sender_id: wire.sender_id,
            text: wire.text,
            sent_at_ms: wire.sent_at_ms,
            deleted: wire.deleted,
        }
    }
}

impl FromWire<v1::Conversation> for Conversation {
    fn from_wire(wire: v1::Conversation) -> Self {
        Conversation {
            kind: match wire.kind() {
                v1::ConversationKind::Room => ConversationKind::Room,
                v1::ConversationKind::Direct => ConversationKind::Direct,
                v1::ConversationKind::Feed => ConversationKind::Feed,
                v1::ConversationKind::Unspecified => ConversationKind::Other,
            },
            level: NotificationLevel::of(wire.level()),
            role: MemberRole::of(wire.role()),
            conversation_id: wire.conversation_id,
            name: wire.name,
            first_seq: wire.first_seq,
            last_seq: wire.last_seq,
            read_seq: wire.read_seq,
            topic: wire.topic,
            archived: wire.archived,
            unread: wire.unread,
            last_message: wire.last_message.map(MessagePreview::from_wire),
            peer_account_id: wire.peer_account_id,
            peer_deleted: wire.peer_deleted,
            peer_read_seq: wire.peer_read_seq,
            mentions: wire.mentions,
            peer_delivered_seq: wire.peer_delivered_seq,
        }
    }
}

/// One page of conversations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConversationsPage {
    /// The conversations, those with the newest messages first.
    pub conversations: Vec<Conversation>,
    /// The token of the next page; empty after the last page.
    pub next_page_token: String,
    /// The position that this page is of. A subscription after that of the first page misses nothing.
    pub cursor: u64,
}

impl FromWire<v1::ListConversationsResponse> for ConversationsPage {
    fn from_wire(wire: v1::ListConversationsResponse) -> Self {
        ConversationsPage {
            conversations: list(wire.conversations),
            next_page_token: wire.next_page_token,
            cursor: wire.cursor,
        }
    }
}

/// A change of a room that is over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RoomChange {
    /// The id of the room.
    pub conversation_id: u64,
    /// The seq of the message that tells of the change; 0 when there was nothing to change.
    pub seq: u64,
}
