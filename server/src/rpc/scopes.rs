//! The scopes of API tokens, and what a call needs. `methods.rs` says it for each call.

use tercet_store::Scope;

use super::status::Failure;
use crate::auth::Session;

/// The scope that a call needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// No token.
    Nothing,
    /// The admin token.
    AdminToken,
    /// A session, or an API token with this scope.
    Scope(Scope),
    /// A session: what a stolen token must not do, or what is about sessions themselves.
    Session,
}

/// Checks that the token of a call may make it.
///
/// # Errors
/// `ScopeMissing` or `SessionNeeded`, for an API token.
pub(super) fn check(needs: Needs, session: &Session) -> Result<(), Failure> {
    let Some(scopes) = session.scopes else {
        return Ok(());
    };
    match needs {
        Needs::Nothing | Needs::AdminToken => Ok(()),
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
        let may = |needs, scopes| match check(needs, &session(scopes)) {
            Ok(()) => "yes",
            Err(Failure::ScopeMissing(scope)) => scope.name(),
            Err(Failure::SessionNeeded) => "a session",
            Err(other) => panic!("{other}"),
        };
        for (needs, with_none, with_read) in [
            (Needs::Nothing, "yes", "yes"),
            (Needs::Scope(Scope::Read), "read", "yes"),
            (Needs::Scope(Scope::Send), "send", "send"),
            (Needs::Scope(Scope::Account), "account", "account"),
            (Needs::Session, "a session", "a session"),
        ] {
            assert_eq!(may(needs, None), "yes", "{needs:?}");
            assert_eq!(may(needs, Some(0)), with_none, "{needs:?}");
            assert_eq!(may(needs, Some(1)), with_read, "{needs:?}");
        }
        assert_eq!(may(Needs::Scope(Scope::Send), Some(2)), "yes");
        assert_eq!(may(Needs::Session, Some(7)), "a session");
    }
}
