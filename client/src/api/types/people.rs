//! The values of the calls about an account's own sessions and API tokens.

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
    /// The name that the client gave itself at its login; may be empty.
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

/// A kind of calls that an API token may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiScope {
    /// Reads messages and accounts, subscribes, and marks messages as delivered.
    Read,
    /// Sends messages.
    Send,
    /// Manages the account's sessions and the list of its tokens.
    Account,
}

impl ApiScope {
    /// Returns the name in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ApiScope::Read => "read",
            ApiScope::Send => "send",
            ApiScope::Account => "account",
        }
    }

    pub(in crate::api) fn into_wire(self) -> i32 {
        let scope = match self {
            ApiScope::Read => v1::ApiScope::Read,
            ApiScope::Send => v1::ApiScope::Send,
            ApiScope::Account => v1::ApiScope::Account,
        };
        scope.into()
    }
}

/// An API token, without the token itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApiToken {
    /// The name, which no other token of the account has.
    pub name: String,
    /// The scopes of the token, without those of later versions.
    pub scopes: Vec<ApiScope>,
    /// When it was made, milliseconds since the Unix epoch.
    pub created_at_ms: i64,
    /// The time from which it is refused, milliseconds since the Unix epoch; `None` without end.
    pub expires_at_ms: Option<i64>,
}

impl FromWire<v1::ApiToken> for ApiToken {
    fn from_wire(wire: v1::ApiToken) -> Self {
        let scopes = wire.scopes.iter();
        let scopes = scopes.filter_map(|&scope| match v1::ApiScope::try_from(scope) {
            Ok(v1::ApiScope::Read) => Some(ApiScope::Read),
            Ok(v1::ApiScope::Send) => Some(ApiScope::Send),
            Ok(v1::ApiScope::Account) => Some(ApiScope::Account),
            Ok(v1::ApiScope::Unspecified) | Err(_) => None,
        });
        ApiToken {
            scopes: scopes.collect(),
            name: wire.name,
            created_at_ms: wire.created_at_ms,
            expires_at_ms: (wire.expires_at_ms != 0).then_some(wire.expires_at_ms),
        }
    }
}

/// An API token that was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewApiToken {
    /// The token, for [`Client::with_token`](crate::Client::with_token). Keep it secret; it is not shown again.
    pub token: String,
    /// Its name, scopes and end.
    pub api_token: ApiToken,
}

impl FromWire<v1::CreateApiTokenResponse> for NewApiToken {
    fn from_wire(wire: v1::CreateApiTokenResponse) -> Self {
        NewApiToken {
            token: wire.token,
            api_token: wire.api_token.map(ApiToken::from_wire).unwrap_or_default(),
        }
    }
}

/// A change of what an account shows of itself. `None` leaves a field as it is; the empty text clears it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfileChange {
    /// The display name: at most 64 characters in NFC, without control characters, characters without width, changes of
    /// direction, and spaces at an end.
    pub display_name: Option<String>,
    /// The status text: at most 140 characters, by the same rules.
    pub status_text: Option<String>,
}
