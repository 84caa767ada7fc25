//! The values of the calls about state.

use tercet_proto::v1;

use super::{FromWire, list};

/// A key of the state beside a conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateEntry {
    /// The key.
    pub key: String,
    /// The version grows with each change, also over a removal.
    pub version: u64,
    /// The value, at most 16 KiB.
    pub value: String,
    /// The time of the change, milliseconds since the Unix epoch.
    pub changed_at_ms: i64,
    /// The name of the account that set the key, which may be deleted.
    pub changed_by: String,
}

impl FromWire<v1::StateEntry> for StateEntry {
    fn from_wire(wire: v1::StateEntry) -> StateEntry {
        StateEntry {
            key: wire.key,
            version: wire.version,
            value: wire.value,
            changed_at_ms: wire.changed_at_ms,
            changed_by: wire.changed_by,
        }
    }
}

/// A page of keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatePage {
    /// The keys, in order of their bytes.
    pub entries: Vec<StateEntry>,
    /// The token of the next page; empty on the last one.
    pub next_page_token: String,
    /// The id of the conversation; 0 for two accounts without one.
    pub conversation_id: u64,
}

impl FromWire<v1::ListStateResponse> for StatePage {
    fn from_wire(wire: v1::ListStateResponse) -> StatePage {
        StatePage {
            entries: list(wire.entries),
            next_page_token: wire.next_page_token,
            conversation_id: wire.conversation_id,
        }
    }
}

/// The version that a key must have to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Any version, and none.
    Any,
    /// The key must not exist.
    Absent,
    /// This version.
    Version(u64),
}

/// The answer to a change of a key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Whether the key had the expected version, and now is as asked.
    pub matched: bool,
    /// The version of the key now; 0: it does not exist.
    pub version: u64,
    /// The cursor of the change; 0 when nothing changed.
    pub cursor: u64,
    /// The id of the conversation; 0 for two accounts without one.
    pub conversation_id: u64,
    /// Without a match: the key as it is, if it exists.
    pub current: Option<StateEntry>,
}

impl FromWire<v1::CompareAndSetResponse> for Written {
    fn from_wire(wire: v1::CompareAndSetResponse) -> Written {
        Written {
            matched: wire.matched,
            version: wire.version,
            cursor: wire.cursor,
            conversation_id: wire.conversation_id,
            current: wire.current.map(StateEntry::from_wire),
        }
    }
}

/// The answer to a program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Submitted {
    /// The value of the program's last expression, or the new value where that is `()`; as JSON.
    pub answer: String,
    /// The version of the key now; 0: it does not exist.
    pub version: u64,
    /// The cursor of the change; 0 when the value stayed as it was.
    pub cursor: u64,
    /// The id of the conversation; 0 for two accounts without one.
    pub conversation_id: u64,
}

impl FromWire<v1::SubmitResponse> for Submitted {
    fn from_wire(wire: v1::SubmitResponse) -> Submitted {
        Submitted {
            answer: wire.answer,
            version: wire.version,
            cursor: wire.cursor,
            conversation_id: wire.conversation_id,
        }
    }
}
