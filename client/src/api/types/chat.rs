//! Values of the calls about accounts and messages, as plain types of this library.

use tercet_proto::v1;

use super::list;

/// An account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    pub username: String,
    pub account_id: u64,
    pub created_at_ms: i64,
}

impl From<v1::Account> for Account {
    fn from(wire: v1::Account) -> Self {
        Account {
            username: wire.username,
            account_id: wire.account_id,
            created_at_ms: wire.created_at_ms,
        }
    }
}

/// One page of accounts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountsPage {
    pub accounts: Vec<Account>,
    /// Empty after the last page.
    pub next_page_token: String,
}

impl From<v1::ListAccountsResponse> for AccountsPage {
    fn from(wire: v1::ListAccountsResponse) -> Self {
        AccountsPage {
            accounts: list(wire.accounts),
            next_page_token: wire.next_page_token,
        }
    }
}

/// A direct message, as the server stores it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// UUID, text form.
    pub message_id: String,
    pub cursor: u64,
    pub sender: String,
    pub sender_id: u64,
    pub recipient: String,
    pub recipient_id: u64,
    pub body: String,
    pub sent_at_ms: i64,
    /// Whether the recipient was connected when it was sent.
    pub instant: bool,
    /// Whether the recipient acknowledged it.
    pub delivered: bool,
    /// Whether the sender's account has been deleted since.
    pub sender_deleted: bool,
    /// Whether the recipient's account has been deleted since.
    pub recipient_deleted: bool,
}

impl From<v1::Message> for Message {
    fn from(wire: v1::Message) -> Self {
        Message {
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
        }
    }
}

/// The acknowledgement of a message that was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SentMessage {
    /// The message's id: the request id.
    pub message_id: String,
    /// Its place in the order of all messages.
    pub cursor: u64,
    /// The leader's time; never runs backwards along cursors.
    pub sent_at_ms: i64,
    /// Whether the recipient was connected when it was sent, so that it was pushed at once.
    pub instant: bool,
}

impl From<v1::SendMessageResponse> for SentMessage {
    fn from(wire: v1::SendMessageResponse) -> Self {
        SentMessage {
            message_id: wire.message_id,
            cursor: wire.cursor,
            sent_at_ms: wire.sent_at_ms,
            instant: wire.instant,
        }
    }
}

/// Which page of a conversation is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryRequest {
    /// The other person. A name that no account has now means its last owner, where this account has a
    /// conversation with them.
    pub peer: String,
    /// The other account's id, in place of the name: reaches a deleted account whose name has a new owner.
    /// 0 to use `peer`.
    pub peer_account_id: u64,
    /// At most this many; 0 means 50; above 500 is 500.
    pub page_size: i32,
    /// From an answer for the same conversation; empty for the newest (or, with `oldest_first`, the oldest)
    /// page.
    pub page_token: String,
    /// Without a page token: start at the oldest message instead of the newest. With one it must be as it
    /// was in the call that gave the token.
    pub oldest_first: bool,
}

impl From<HistoryRequest> for v1::ListMessagesRequest {
    fn from(own: HistoryRequest) -> Self {
        v1::ListMessagesRequest {
            peer: own.peer,
            peer_account_id: own.peer_account_id,
            page_size: own.page_size,
            page_token: own.page_token,
            oldest_first: own.oldest_first,
        }
    }
}

/// One page of a conversation's history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryPage {
    /// In ascending order of the cursor, whichever way the pages go.
    pub messages: Vec<Message>,
    /// Towards older messages; empty when there are none.
    pub older_page_token: String,
    /// Towards newer messages; empty when there are none at this moment.
    pub newer_page_token: String,
    /// AIP-158: the token that goes on in the asked direction (older, or newer with `oldest_first`).
    pub next_page_token: String,
    /// The conversation's other account.
    pub peer_account_id: u64,
}

impl From<v1::ListMessagesResponse> for HistoryPage {
    fn from(wire: v1::ListMessagesResponse) -> Self {
        HistoryPage {
            messages: list(wire.messages),
            older_page_token: wire.older_page_token,
            newer_page_token: wire.newer_page_token,
            next_page_token: wire.next_page_token,
            peer_account_id: wire.peer_account_id,
        }
    }
}

/// One page of the messages that wait for an account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UndeliveredPage {
    pub messages: Vec<Message>,
    /// Empty after the last page.
    pub next_page_token: String,
}

impl From<v1::FetchUndeliveredResponse> for UndeliveredPage {
    fn from(wire: v1::FetchUndeliveredResponse) -> Self {
        UndeliveredPage {
            messages: list(wire.messages),
            next_page_token: wire.next_page_token,
        }
    }
}

/// A login session that was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoginSession {
    /// Opaque; for the `authorization` metadata.
    pub token: String,
    /// From then on the token is refused.
    pub expires_at_ms: i64,
    pub account_id: u64,
    /// The name as it was registered.
    pub username: String,
}

impl From<v1::LoginResponse> for LoginSession {
    fn from(wire: v1::LoginResponse) -> Self {
        LoginSession {
            token: wire.token,
            expires_at_ms: wire.expires_at_ms,
            account_id: wire.account_id,
            username: wire.username,
        }
    }
}
