//! The values of the calls that change a message.

use tercet_proto::v1;

use super::FromWire;

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

/// How far an account has read in a conversation.
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

impl FromWire<v1::Reaction> for Reaction {
    fn from_wire(wire: v1::Reaction) -> Self {
        Reaction {
            reaction: wire.reaction,
            count: wire.count,
            own: wire.own,
        }
    }
}
