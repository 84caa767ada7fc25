//! The values of the calls about accounts and messages.

use tercet_proto::v1;

use super::{FromWire, MessageKind, Reaction, list};

/// An account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// The name, as it was registered.
    pub username: String,
    /// The id: no other account ever gets it.
    pub account_id: u64,
    /// The time of the registration, milliseconds since the Unix epoch.
    pub created_at_ms: i64,
    /// The display name, chosen by the account. It may be empty, and several accounts may have the same one.
    pub display_name: String,
    /// The status text, chosen by the account; may be empty.
    pub status_text: String,
}

impl FromWire<v1::Account> for Account {
    fn from_wire(wire: v1::Account) -> Self {
        Account {
            username: wire.username,
            account_id: wire.account_id,
            created_at_ms: wire.created_at_ms,
            display_name: wire.display_name,
            status_text: wire.status_text,
        }
    }
}

/// One page of accounts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountsPage {
    /// The accounts, in order of their names without case.
    pub accounts: Vec<Account>,
    /// The token of the next page; empty after the last page.
    pub next_page_token: String,
}

impl FromWire<v1::ListAccountsResponse> for AccountsPage {
    fn from_wire(wire: v1::ListAccountsResponse) -> Self {
        AccountsPage {
            accounts: list(wire.accounts),
            next_page_token: wire.next_page_token,
        }
    }
}

/// A message, direct or in a room, as the server stores it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// The id: the request id of the send, a UUID in text form. Empty in messages of the system.
    pub message_id: String,
    /// The position in the one order of all messages.
    pub cursor: u64,
    /// The sender's name.
    pub sender: String,
    /// The id of the sender's account.
    pub sender_id: u64,
    /// The recipient's name; of a message in a room, as `conversation`.
    pub recipient: String,
    /// The id of the recipient's account; 0 in rooms.
    pub recipient_id: u64,
    /// The text; empty in messages of the system.
    pub body: String,
    /// The stamp, by cluster time: milliseconds since the Unix epoch. It never runs backwards along cursors.
    pub sent_at_ms: i64,
    /// Whether the recipient was connected when the message was sent.
    pub instant: bool,
    /// Whether the recipient has acknowledged the message.
    pub delivered: bool,
    /// Whether the sender's account has been deleted since.
    pub sender_deleted: bool,
    /// Whether the recipient's account has been deleted since.
    pub recipient_deleted: bool,
    /// The name of the room, with its `#`; empty for direct messages.
    pub conversation: String,
    /// The id of the room; 0 for direct messages.
    pub conversation_id: u64,
    /// The number of the message in its conversation, from 1 on without gaps; in a direct conversation a message that was
    /// dropped or that this account does not see leaves one.
    pub seq: u64,
    /// A text, or what a message of the system tells of.
    pub kind: MessageKind,
    /// The account that a message of the system is about, beside its sender; empty when there is none.
    pub subject: String,
    /// The id of that account; 0 when there is none.
    pub subject_id: u64,
    /// Of a message in a room: the number of the message that it replies to; 0 for none.
    pub reply_to: u64,
    /// When the text last changed, milliseconds since the Unix epoch; 0 for never.
    pub edited_at_ms: i64,
    /// When the message was deleted, so that `body` is empty; 0 when it was not.
    pub deleted_at_ms: i64,
    /// The reactions, in order of their text. Empty in an [`Event::Message`](crate::Event::Message).
    pub reactions: Vec<Reaction>,
    /// Whether it mentions this client's account. Notify of it in an [`Event::Message`](crate::Event::Message) only: elsewhere
    /// it is so after an edit, too.
    pub mentions_me: bool,
}

impl FromWire<v1::Message> for Message {
    fn from_wire(wire: v1::Message) -> Self {
        Message {
            kind: MessageKind::of(wire.kind, wire.conversation_id > 0),
            message_id: wire.message_id,
            cursor: wire.cursor,
            sender: wire.sender,
            sender_id: wire.sender_id,
            recipient: wire.recipient,
            recipient_id: wire.recipient_id,
            body: wire.body,
            sent_at_ms: wire.sent_at_ms,
            instant: wire.instant,
            delivered: wire.delivered,
            sender_deleted: wire.sender_deleted,
            recipient_deleted: wire.recipient_deleted,
            conversation: wire.conversation,
            conversation_id: wire.conversation_id,
            seq: wire.seq,
            subject: wire.subject,
            subject_id: wire.subject_id,
            reply_to: wire.reply_to,
            edited_at_ms: wire.edited_at_ms,
            deleted_at_ms: wire.deleted_at_ms,
            reactions: list(wire.reactions),
            mentions_me: wire.mentions_me,
        }
    }
}

/// The acknowledgement of a message that was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SentMessage {
    /// The id of the message: its request id, a UUID in text form.
    pub message_id: String,
    /// The position in the one order of all messages.
    pub cursor: u64,
    /// The stamp, by cluster time: milliseconds since the Unix epoch. It never runs backwards along cursors.
    pub sent_at_ms: i64,
    /// Whether the recipient was connected when the message was sent, so that it was pushed at once.
    pub instant: bool,
    /// The number of the message in its conversation.
    pub seq: u64,
    /// Of a message to a room: the id of the room. 0 for direct messages.
    pub conversation_id: u64,
}

impl FromWire<v1::SendMessageResponse> for SentMessage {
    fn from_wire(wire: v1::SendMessageResponse) -> Self {
        SentMessage {
            message_id: wire.message_id,
            cursor: wire.cursor,
            sent_at_ms: wire.sent_at_ms,
            instant: wire.instant,
            seq: wire.seq,
            conversation_id: wire.conversation_id,
        }
    }
}

/// The choice of a page of a conversation, for [`Client::list_messages`](crate::Client::list_messages).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryRequest {
    /// The name of the other account. A name that no account has now means its last owner, if this account has a
    /// conversation with that owner. Or the name of a room, with its `#`.
    pub peer: String,
    /// The id of the other account, in place of the name: also reaches a deleted account whose name has a new owner.
    /// 0 to use `peer`.
    pub peer_account_id: u64,
    /// At most this many messages; 0 means 50; above 500 is 500.
    pub page_size: i32,
    /// The token of a page of the same conversation; empty for the newest page (or, with `oldest_first`, the oldest).
    pub page_token: String,
    /// Without a page token: start at the oldest message instead of the newest. With a page token: the same value as
    /// in the call that gave the token.
    pub oldest_first: bool,
    /// The id of a room, in place of the name: also reaches an archived room whose name another one has. 0 to use `peer`.
    pub conversation_id: u64,
    /// Without a page token: start with the newest messages below this seq. 0 for none.
    pub before_seq: u64,
    /// Without a page token: start with the oldest messages above this seq, as with `oldest_first`. 0 for none.
    pub after_seq: u64,
    /// Only the message of this seq and the messages that reply to it. With a page token: the same value as in the call
    /// that gave the token. 0 for all messages.
    pub thread_seq: u64,
    /// Without a page token: start with the newest messages sent before this time, milliseconds since the Unix epoch.
    /// 0 for none. Of all fields that say where to start at most one is given.
    pub before_ms: i64,
    /// Without a page token: start with the oldest messages sent at this time or later. 0 for none.
    pub after_ms: i64,
    /// Without a page token: start with the newest messages before this cursor. 0 for none.
    pub before_cursor: u64,
    /// Without a page token: start with the oldest messages after this cursor. 0 for none.
    pub after_cursor: u64,
}

impl HistoryRequest {
    pub(in crate::api) fn into_wire(self) -> v1::ListMessagesRequest {
        v1::ListMessagesRequest {
            peer: self.peer,
            peer_account_id: self.peer_account_id,
            page_size: self.page_size,
            page_token: self.page_token,
            oldest_first: self.oldest_first,
            before_seq: self.before_seq,
            after_seq: self.after_seq,
            conversation_id: self.conversation_id,
            thread_seq: self.thread_seq,
            before_ms: self.before_ms,
            after_ms: self.after_ms,
            before_cursor: self.before_cursor,
            after_cursor: self.after_cursor,
        }
    }
}

/// One page of a conversation's history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryPage {
    /// The messages in ascending order of the cursor, in both directions of paging.
    pub messages: Vec<Message>,
    /// The token of the page with older messages; empty when there are none.
    pub older_page_token: String,
    /// The token of the page with newer messages; empty when there are none now.
    pub newer_page_token: String,
    /// The token of the next page in the requested direction (older, or newer with `oldest_first`), as in AIP-158.
    pub next_page_token: String,
    /// The id of the conversation's other account; 0 for a room.
    pub peer_account_id: u64,
    /// The id of the room; 0 for a direct conversation.
    pub conversation_id: u64,
}

impl FromWire<v1::ListMessagesResponse> for HistoryPage {
    fn from_wire(wire: v1::ListMessagesResponse) -> Self {
        HistoryPage {
            messages: list(wire.messages),
            older_page_token: wire.older_page_token,
            newer_page_token: wire.newer_page_token,
            next_page_token: wire.next_page_token,
            peer_account_id: wire.peer_account_id,
            conversation_id: wire.conversation_id,
        }
    }
}

/// One page of the messages that wait for an account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UndeliveredPage {
    /// The messages, oldest first.
    pub messages: Vec<Message>,
    /// The token of the next page; empty after the last page.
    pub next_page_token: String,
}

impl FromWire<v1::FetchUndeliveredResponse> for UndeliveredPage {
    fn from_wire(wire: v1::FetchUndeliveredResponse) -> Self {
        UndeliveredPage {
            messages: list(wire.messages),
            next_page_token: wire.next_page_token,
        }
    }
}

/// A login session that was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoginSession {
    /// The token, for [`Client::with_token`](crate::Client::with_token). Keep it secret.
    pub token: String,
    /// The time from which the token is refused, milliseconds since the Unix epoch.
    pub expires_at_ms: i64,
    /// The id of the account.
    pub account_id: u64,
    /// The name of the account, as it was registered.
    pub username: String,
}

impl FromWire<v1::LoginResponse> for LoginSession {
    fn from_wire(wire: v1::LoginResponse) -> Self {
        LoginSession {
            token: wire.token,
            expires_at_ms: wire.expires_at_ms,
            account_id: wire.account_id,
            username: wire.username,
        }
    }
}
