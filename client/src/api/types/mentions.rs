//! The values of the list of mentions.

use tercet_proto::v1;

use super::{FromWire, Message, list};

/// The way in which a message mentions an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MentionKind {
    /// By its name.
    Name,
    /// By `@here`, as one that was connected.
    Here,
    /// By `@room`.
    Room,
    /// In a way that this version of the library does not know.
    #[default]
    Other,
}

impl MentionKind {
    /// Returns the name, as in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            MentionKind::Name => "name",
            MentionKind::Here => "here",
            MentionKind::Room => "room",
            MentionKind::Other => "other",
        }
    }
}

/// A message that mentions this client's account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mention {
    /// The message, of a room.
    pub message: Message,
    /// The way in which it mentions the account.
    pub kind: MentionKind,
}

impl FromWire<v1::Mention> for Mention {
    fn from_wire(wire: v1::Mention) -> Self {
        Mention {
            kind: match wire.kind() {
                v1::MentionKind::Name => MentionKind::Name,
                v1::MentionKind::Here => MentionKind::Here,
                v1::MentionKind::Room => MentionKind::Room,
                v1::MentionKind::Unspecified => MentionKind::Other,
            },
            message: wire.message.map(Message::from_wire).unwrap_or_default(),
        }
    }
}

/// One page of mentions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MentionsPage {
    /// The mentions, the newest first.
    pub mentions: Vec<Mention>,
    /// The token of the next page; empty after the last page.
    pub next_page_token: String,
}

impl FromWire<v1::ListMentionsResponse> for MentionsPage {
    fn from_wire(wire: v1::ListMentionsResponse) -> Self {
        MentionsPage {
            mentions: list(wire.mentions),
            next_page_token: wire.next_page_token,
        }
    }
}
