//! The scopes of API tokens: the one table of the scope that each call needs.

use tercet_store::Scope;

use super::status::Failure;
use crate::auth::Session;

/// A call of ChatService.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    CreateAccount,
    Login,
    Logout,
    EndOtherSessions,
    BlockAccount,
    UnblockAccount,
    ListBlocks,
    CreateRoom,
    JoinRoom,
    LeaveRoom,
    InviteToRoom,
    ChangeRoom,
    ListBans,
    ListRooms,
    ListMembers,
    ListConversations,
    ListSessions,
    EndSession,
    CreateApiToken,
    ListApiTokens,
    RevokeApiToken,
    ChangePassword,
    DeleteAccount,
    GetProfile,
    UpdateProfile,
    ListAccounts,
    SendMessage,
    BatchSendMessages,
    StreamMessages,
    EditMessage,
    DeleteMessage,
    SetReaction,
    ListMessages,
    SearchMessages,
    ExportMessages,
    FetchUndelivered,
    AcknowledgeMessages,
    Subscribe,
}

/// What a call needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    /// No token.
    Nothing,
    /// A session, or an API token with this scope.
    Scope(Scope),
    /// A session: what a stolen token must not do, or what is about sessions themselves.
    Session,
}

/// The table. `docs/api.md` has it too.
fn needs(call: Call) -> Needs {
    match call {
        Call::CreateAccount | Call::Login => Needs::Nothing,
        Call::GetProfile
        | Call::ListAccounts
        | Call::ListRooms
        | Call::ListMembers
        | Call::ListBans
        | Call::ListConversations
        | Call::ListMessages
        | Call::SearchMessages
        | Call::ExportMessages
        | Call::FetchUndelivered
        | Call::AcknowledgeMessages
        | Call::Subscribe => Needs::Scope(Scope::Read),
        Call::CreateRoom
        | Call::JoinRoom
        | Call::LeaveRoom
        | Call::InviteToRoom
        | Call::ChangeRoom
        | Call::SendMessage
        | Call::BatchSendMessages
        | Call::EditMessage
        | Call::DeleteMessage
        | Call::SetReaction
        | Call::StreamMessages => Needs::Scope(Scope::Send),
        Call::BlockAccount
        | Call::UnblockAccount
        | Call::ListBlocks
        | Call::UpdateProfile
        | Call::ListSessions
        | Call::EndSession
        | Call::ListApiTokens
        | Call::RevokeApiToken => Needs::Scope(Scope::Account),
        Call::Logout
        | Call::EndOtherSessions
        | Call::CreateApiToken
        | Call::ChangePassword
        | Call::DeleteAccount => Needs::Session,
    }
}

/// Checks that the token of a call may make it.
///
/// # Errors
/// `ScopeMissing` or `SessionNeeded`, for an API token.
pub(super) fn check(call: Call, session: &Session) -> Result<(), Failure> {
    let Some(scopes) = session.scopes else {
        return Ok(());
    };
    match needs(call) {
        Needs::Nothing => Ok(()),
        Needs::Scope(scope) if scopes.includes(scope) => Ok(()),
        Needs::Scope(scope) => Err(Failure::ScopeMissing(scope)),
        Needs::Session => Err(Failure::SessionNeeded),
    }
}

#[cfg(test)]
mod tests {
    use tercet_store::Scopes;

    use super::*;

    fn session(scopes: Option<u32>) -> Session {
        Session {
            account_id: 7,
            username: "ann".into(),
            token_hash: [1; 32],
            expires_at_ms: 1,
            scopes: scopes.map(Scopes),
        }
    }

    #[test]
    fn a_session_may_make_every_call_and_a_token_those_of_its_scopes() {
        let may = |call, scopes| match check(call, &session(scopes)) {
            Ok(()) => "yes",
            Err(Failure::ScopeMissing(scope)) => scope.name(),
            Err(Failure::SessionNeeded) => "a session",
            Err(other) => panic!("{other}"),
        };
        for (call, with_none, with_read) in [
            (Call::ListMessages, "read", "yes"),
            (Call::SendMessage, "send", "send"),
            (Call::EndSession, "account", "account"),
            (Call::ChangePassword, "a session", "a session"),
            (Call::CreateApiToken, "a session", "a session"),
        ] {
            assert_eq!(may(call, None), "yes", "{call:?}");
            assert_eq!(may(call, Some(0)), with_none, "{call:?}");
            assert_eq!(may(call, Some(1)), with_read, "{call:?}");
        }
        assert_eq!(may(Call::SendMessage, Some(2)), "yes");
        assert_eq!(may(Call::DeleteAccount, Some(7)), "a session");
    }
}
