//! The values of the calls about an account's own sessions.

use tercet_proto::v1;

use super::FromWire;

/// An open session of an account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenSession {
    /// The id, for [`Client::end_session`](crate::Client::end_session): 16 hexadecimal digits. Not secret.
    pub session_id: String,
    /// When it was opened, milliseconds since the Unix epoch.
    pub created_at_ms: i64,
    /// The time from which its token is refused, milliseconds since the Unix epoch.
    pub expires_at_ms: i64,
    /// What the client called itself at its login; may be empty.
    pub label: String,
    /// Whether this is the session of the client that asked.
    pub current: bool,
}

impl FromWire<v1::OpenSession> for OpenSession {
    fn from_wire(wire: v1::OpenSession) -> Self {
        OpenSession {
            session_id: wire.session_id,
            created_at_ms: wire.created_at_ms,
            expires_at_ms: wire.expires_at_ms,
            label: wire.label,
            current: wire.current,
        }
    }
}
