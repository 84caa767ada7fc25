//! Events: the committed facts that applying an entry publishes to the leader's subscriptions and caches. Backups
//! drop them. Subscriptions and caches ask an event for its audience and for what it ends.

use std::sync::Arc;

use crate::changes::ChangeRow;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

/// One committed fact, in the order of LSNs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A direct message, for its sender and its recipient.
    Message(MessageRow),
    /// A direct message that is hidden from its recipient, for its sender.
    HiddenMessage(MessageRow),
    /// A message in a room, to its members, whose ids ascend. One copy for all subscriptions.
    RoomMessage {
        row: Arc<RoomMessageRow>,
        members: Arc<[u64]>,
        /// The members that it mentions, their ids ascending; `None` when it mentions nobody.
        mentioned: Option<Arc<[u64]>>,
    },
    /// A change that is no message, to accounts whose ids ascend. One copy for all subscriptions.
    Change {
        row: Arc<ChangeRow>,
        members: Arc<[u64]>,
    },
    /// A session or an API token was revoked.
    SessionEnded { lsn: u64, token_hash: [u8; 32] },
    /// Every login session of an account except the one with that token hash was revoked. API tokens stay.
    OtherSessionsEnded {
        lsn: u64,
        account_id: u64,
        kept: [u8; 32],
    },
    /// An account was deleted, and every session of it ended.
    AccountDeleted { lsn: u64, account_id: u64 },
}

/// The sessions of clients that an event concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience<'a> {
    /// All sessions of an account.
    Account(u64),
    /// All sessions of two accounts, which may be the same one.
    Pair(u64, u64),
    /// All sessions of these accounts, whose ids ascend.
    Accounts(&'a [u64]),
    /// The session with this token hash.
    Session([u8; 32]),
    /// All sessions of an account except the one with this token hash.
    OtherSessions { account_id: u64, kept: [u8; 32] },
}

impl Audience<'_> {
    /// Tells whether a session belongs to the audience.
    #[must_use]
    pub fn includes(&self, account: u64, token_hash: &[u8; 32]) -> bool {
        match self {
            Audience::Account(account_id) => account == *account_id,
            Audience::Pair(one, other) => account == *one || account == *other,
            Audience::Accounts(ids) => ids.binary_search(&account).is_ok(),
            Audience::Session(token) => token_hash == token,
            Audience::OtherSessions { account_id, kept } => {
                account == *account_id && token_hash != kept
            }
        }
    }
}

/// Why an event ends the sessions of its audience.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    SessionRevoked,
    AccountDeleted,
}

impl Event {
    /// Gives the sessions that the event concerns.
    #[must_use]
    pub fn audience(&self) -> Audience<'_> {
        match self {
            Event::Message(message) => Audience::Pair(message.sender_id, message.recipient_id),
            Event::HiddenMessage(message) => Audience::Account(message.sender_id),
            Event::RoomMessage { members, .. } | Event::Change { members, .. } => {
                Audience::Accounts(members)
            }
            Event::SessionEnded { token_hash, .. } => Audience::Session(*token_hash),
            &Event::OtherSessionsEnded {
                account_id, kept, ..
            } => Audience::OtherSessions { account_id, kept },
            Event::AccountDeleted { account_id, .. } => Audience::Account(*account_id),
        }
    }

    /// Gives the reason why the event ends the sessions of its audience; `None` when it is delivered to them.
    #[must_use]
    pub fn ends(&self) -> Option<Ending> {
        match self {
            Event::Message(_)
            | Event::HiddenMessage(_)
            | Event::RoomMessage { .. }
            | Event::Change { .. } => None,
            Event::SessionEnded { .. } | Event::OtherSessionsEnded { .. } => {
                Some(Ending::SessionRevoked)
            }
            Event::AccountDeleted { .. } => Some(Ending::AccountDeleted),
        }
    }
}

/// A message as it is stored, with the names that go with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRow {
    /// The LSN, which is the cursor of its event.
    pub lsn: u64,
    /// The message's id, a UUID.
    pub id: [u8; 16],
    /// The number of the message in its conversation, from 1 on.
    pub seq: u64,
    pub sender_id: u64,
    pub sender: String,
    pub sender_deleted: bool,
    pub recipient_id: u64,
    pub recipient: String,
    pub recipient_deleted: bool,
    pub body: String,
    /// Milliseconds since the Unix epoch.
    pub sent_at_ms: i64,
    pub instant: bool,
    pub delivered: bool,
    pub parts: MessageParts,
}

/// The parts of a message that few messages have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageParts {
    /// The seq of the message that it replies to.
    pub reply_to: Option<u64>,
    /// When the text last changed, milliseconds since the Unix epoch.
    pub edited_at_ms: Option<i64>,
    /// When the message was deleted; its body is empty.
    pub deleted_at_ms: Option<i64>,
    /// In order of the reaction.
    pub reactions: Vec<Reaction>,
    /// Whether it mentions the account that asks. False in an event, which says whom it mentions.
    pub mentions_me: bool,
}

/// The kind of a message in a room: a text, or what a message of the system tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    Text = 1,
    /// The sender made the room.
    Created = 2,
    /// The sender joined.
    Joined = 3,
    /// The sender left; the subject, if there is one, is the new owner.
    Left = 4,
    /// The sender made the subject a member, by an invitation.
    Invited = 5,
    /// The sender ended the membership of the subject.
    Kicked = 6,
    /// The sender banned the subject, whose membership ended, if there was one.
    Banned = 7,
    Unbanned = 8,
    /// The sender gave the subject this role.
    MadeMember = 9,
    MadeAdmin = 10,
    MadeOwner = 11,
    /// The sender set the topic, which is the body.
    Topic = 12,
    /// The sender gave the room the name in the body, with its `#`.
    Renamed = 13,
    MadePublic = 14,
    MadePrivate = 15,
    /// Only admins and owners send from here on.
    AnnounceOnly = 16,
    /// All members send from here on.
    Open = 17,
    /// The room is closed: the last message.
    Archived = 18,
    /// The sender set how long messages are kept; the body has the milliseconds, 0 for no retention of the room's own.
    Retention = 70,
    /// The sender pinned the message whose seq is the body.
    Pinned = 100,
    Unpinned = 101,
    /// Earlier texts of messages are kept from here on.
    KeepsEdits = 102,
    ForgetsEdits = 103,
    /// Only admins and owners mention all members from here on.
    MentionsRestricted = 130,
    /// All members mention all members from here on.
    MentionsOpen = 131,
}

impl MessageKind {
    const ALL: [MessageKind; 25] = [
        MessageKind::Text,
        MessageKind::Created,
        MessageKind::Joined,
        MessageKind::Left,
        MessageKind::Invited,
        MessageKind::Kicked,
        MessageKind::Banned,
        MessageKind::Unbanned,
        MessageKind::MadeMember,
        MessageKind::MadeAdmin,
        MessageKind::MadeOwner,
        MessageKind::Topic,
        MessageKind::Renamed,
        MessageKind::MadePublic,
        MessageKind::MadePrivate,
        MessageKind::AnnounceOnly,
        MessageKind::Open,
        MessageKind::Archived,
        MessageKind::Pinned,
        MessageKind::Unpinned,
        MessageKind::KeepsEdits,
        MessageKind::ForgetsEdits,
        MessageKind::MentionsRestricted,
        MessageKind::MentionsOpen,
        MessageKind::Retention,
    ];
}

impl FromSql for MessageKind {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<MessageKind> {
        let number = value.as_i64()?;
        let kind = MessageKind::ALL
            .into_iter()
            .find(|kind| *kind as i64 == number);
        kind.ok_or(FromSqlError::OutOfRange(number))
    }
}

impl ToSql for MessageKind {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok((*self as i64).into())
    }
}

/// A message of a room as it is stored, with the names that go with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomMessageRow {
    /// The LSN, which is the cursor of its event.
    pub lsn: u64,
    /// The message's id, a UUID; `None` in a message of the system.
    pub id: Option<[u8; 16]>,
    pub room_id: u64,
    /// The name of the room, without the `#`.
    pub room: String,
    /// The number of the message in its room, from 1 on.
    pub seq: u64,
    pub kind: MessageKind,
    pub sender_id: u64,
    pub sender: String,
    pub sender_deleted: bool,
    /// The account that a message of the system is about, beside its sender.
    pub subject_id: Option<u64>,
    pub subject: Option<String>,
    /// In a message of the system: the new topic or name, or the seq of a message, else empty.
    pub body: String,
    /// Milliseconds since the Unix epoch.
    pub sent_at_ms: i64,
    pub parts: MessageParts,
}

/// A reaction to a message, of all accounts that have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reaction {
    pub reaction: String,
    /// The number of accounts.
    pub count: u32,
    /// Whether the account that asks is one of them.
    pub own: bool,
}
