//! The values of the calls that change rooms.

use tercet_proto::v1::{self, change_room_request::Change};

use super::{FromWire, MemberRole, list};

/// A change of a room, for [`Client::change_room`](crate::Client::change_room). Accounts are named by their names.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoomEdit {
    /// Ends the membership of an account, which may join again.
    Kick(String),
    /// Keeps an account out: its membership ends, and it can neither join nor be invited.
    Ban(String),
    /// Ends a ban. The account is not made a member.
    Unban(String),
    /// Gives a member another role.
    Role(String, MemberRole),
    /// Sets the topic: at most 250 characters; may be empty.
    Topic(String),
    /// Gives the room another name, with its `#`. The old one is free at once.
    Name(String),
    /// Sets whether nobody outside finds the room, and nobody joins it without an invitation.
    Private(bool),
    /// Sets whether only admins and owners send to the room.
    AnnounceOnly(bool),
    /// Sets whether the earlier texts of messages that are edited from then on are kept, for all members to read.
    KeepsEdits(bool),
    /// Sets whether only admins and owners mention all members.
    MentionsRestricted(bool),
    /// Sets how long messages of the room are kept, milliseconds, from an hour to 10 years; 0: as long as those of the
    /// cluster. The shorter of the two counts.
    Retention(i64),
    /// Closes the room for good: members read it, nobody writes, and its name is free.
    Archive,
}

impl RoomEdit {
    pub(in crate::api) fn into_wire(self) -> Change {
        match self {
            RoomEdit::Kick(name) => Change::Kick(name),
            RoomEdit::Ban(name) => Change::Ban(name),
            RoomEdit::Unban(name) => Change::Unban(name),
            RoomEdit::Role(username, role) => {
                let role = match role {
                    MemberRole::Member => v1::MemberRole::Member,
                    MemberRole::Admin => v1::MemberRole::Admin,
                    MemberRole::Owner => v1::MemberRole::Owner,
                };
                let role = role.into();
                Change::Role(v1::MemberRoleChange { username, role })
            }
            RoomEdit::Topic(topic) => Change::Topic(topic),
            RoomEdit::Name(name) => Change::Name(name),
            RoomEdit::Private(private) => Change::Private(private),
            RoomEdit::AnnounceOnly(only) => Change::AnnounceOnly(only),
            RoomEdit::KeepsEdits(keeps) => Change::KeepsEdits(keeps),
            RoomEdit::MentionsRestricted(only) => Change::MentionsRestricted(only),
            RoomEdit::Retention(ms) => Change::RetentionMs(ms),
            RoomEdit::Archive => Change::Archive(true),
        }
    }
}

/// An account that is banned from a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    /// The name, as it was registered.
    pub username: String,
    /// The id of the account.
    pub account_id: u64,
    /// The name of the account that banned it.
    pub banned_by: String,
    /// The time of the ban, milliseconds since the Unix epoch.
    pub banned_at_ms: i64,
}

impl FromWire<v1::Ban> for Ban {
    fn from_wire(wire: v1::Ban) -> Self {
        Ban {
            username: wire.username,
            account_id: wire.account_id,
            banned_by: wire.banned_by,
            banned_at_ms: wire.banned_at_ms,
        }
    }
}

/// One page of the bans of a room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BansPage {
    /// The bans, in order of the account ids.
    pub bans: Vec<Ban>,
    /// The token of the next page; empty after the last page.
    pub next_page_token: String,
}

impl FromWire<v1::ListBansResponse> for BansPage {
    fn from_wire(wire: v1::ListBansResponse) -> Self {
        BansPage {
            bans: list(wire.bans),
            next_page_token: wire.next_page_token,
        }
    }
}
