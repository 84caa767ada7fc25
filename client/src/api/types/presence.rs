//! The presence of accounts.

use tercet_proto::v1;

use super::FromWire;

/// Whether an account is connected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PresenceState {
    /// The account has a stream.
    Online,
    /// All streams of the account are of clients that say so.
    Away,
    /// The account has no stream.
    Offline,
    /// This client's account may not see it.
    #[default]
    Hidden,
}

impl PresenceState {
    /// Returns the name, as in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            PresenceState::Online => "online",
            PresenceState::Away => "away",
            PresenceState::Offline => "offline",
            PresenceState::Hidden => "hidden",
        }
    }
}

/// The presence of an account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Presence {
    /// The name, as it was registered.
    pub username: String,
    /// The id of the account.
    pub account_id: u64,
    /// Whether it is connected.
    pub state: PresenceState,
    /// When the last stream of an account that is offline ended, milliseconds since the Unix epoch; 0 when that is not known.
    pub last_seen_ms: i64,
}

impl FromWire<v1::Presence> for Presence {
    fn from_wire(wire: v1::Presence) -> Self {
        Presence {
            state: match wire.state() {
                v1::PresenceState::Online => PresenceState::Online,
                v1::PresenceState::Away => PresenceState::Away,
                v1::PresenceState::Offline => PresenceState::Offline,
                v1::PresenceState::Unspecified => PresenceState::Hidden,
            },
            username: wire.username,
            account_id: wire.account_id,
            last_seen_ms: wire.last_seen_ms,
        }
    }
}
