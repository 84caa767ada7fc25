//! The values of the calls that change a message.

use tercet_proto::v1;

use super::{FromWire, Message};

/// A change of a message of a room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MessageChange {
    /// The id of the room.
    pub conversation_id: u64,
    /// The number of the message there.
    pub seq: u64,
    /// The cursor of the event of the change; 0 when there was nothing to change.
    pub cursor: u64,
}

/// Takes a change from the responses of the calls that change a message: all have the same fields.
macro_rules! changes_of {
    ($($response:ident),*) => {$(
        impl FromWire<v1::$response> for MessageChange {
            fn from_wire(wire: v1::$response) -> Self {
                MessageChange {
                    conversation_id: wire.conversation_id,
                    seq: wire.seq,
                    cursor: wire.cursor,
                }
            }
        }
    )*};
}

changes_of!(
    EditMessageResponse,
    DeleteMessageResponse,
    SetReactionResponse,
    PinMessageResponse,
    UnpinMessageResponse
);

/// The marker of an account in a conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MarkedRead {
    /// The id of the conversation; 0 for a direct one without messages.
    pub conversation_id: u64,
    /// The account has read all messages up to this seq, as it is now.
    pub read_seq: u64,
    /// The cursor of the event of the change; 0 when the marker stays where it was.
    pub cursor: u64,
}

/// A reaction to a message, of all accounts that have it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reaction {
    /// An emoji, or a short text.
    pub reaction: String,
    /// The number of accounts.
    pub count: u32,
    /// Whether this client's account is one of them.
    pub own: bool,
}

/// A text that a message had.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EarlierText {
    /// The text.
    pub body: String,
    /// When it was written, milliseconds since the Unix epoch.
    pub written_at_ms: i64,
    /// When another one replaced it.
    pub replaced_at_ms: i64,
}

impl FromWire<v1::EarlierText> for EarlierText {
    fn from_wire(wire: v1::EarlierText) -> Self {
        EarlierText {
            body: wire.body,
            written_at_ms: wire.written_at_ms,
            replaced_at_ms: wire.replaced_at_ms,
        }
    }
}

/// A pinned message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pin {
    /// The message as it is now.
    pub message: Message,
    /// The name of the account that pinned it, which may be deleted.
    pub pinned_by: String,
    /// The id of that account.
    pub pinned_by_id: u64,
    /// When it was pinned, milliseconds since the Unix epoch.
    pub pinned_at_ms: i64,
}

impl FromWire<v1::Pin> for Pin {
    fn from_wire(wire: v1::Pin) -> Self {
        Pin {
            message: wire.message.map(Message::from_wire).unwrap_or_default(),
            pinned_by: wire.pinned_by,
            pinned_by_id: wire.pinned_by_id,
            pinned_at_ms: wire.pinned_at_ms,
        }
    }
}

impl FromWire<v1::Reaction> for Reaction {
    fn from_wire(wire: v1::Reaction) -> Self {
        Reaction {
            reaction: wire.reaction,
            count: wire.count,
            own: wire.own,
        }
    }
}
