//! The admin token: one credential for the whole cluster, from the configuration, never stored.

use std::sync::Arc;

use subtle::ConstantTimeEq as _;

/// The token that operators' calls must carry. Without a token all such calls are refused. Cheap to clone.
#[derive(Clone)]
pub struct AdminToken(Option<Arc<str>>);

/// Why a call does not count as an operator's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmin {
    #[error(
        "this replica has no admin token: start the replicas with --admin-token-file or TERCET_ADMIN_TOKEN_FILE, the same on all (`openssl rand -hex 32` makes one)"
    )]
    NotConfigured,
    #[error("this call needs the admin token of the replicas: send `authorization: Bearer TOKEN`")]
    Wrong,
}

impl AdminToken {
    #[must_use]
    pub fn new(token: Option<&str>) -> AdminToken {
        AdminToken(token.map(Arc::from))
    }

    /// Checks the token that a call carries.
    ///
    /// # Errors
    /// The reason why the call is refused.
    pub fn check(&self, shown: Option<&str>) -> Result<(), NotAdmin> {
        let expected = self.0.as_ref().ok_or(NotAdmin::NotConfigured)?;
        let same = shown.is_some_and(|shown| shown.as_bytes().ct_eq(expected.as_bytes()).into());
        same.then_some(()).ok_or(NotAdmin::Wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_configured_token_opens_and_none_does_without_one() {
        let token = AdminToken::new(Some("a long admin token"));
        assert_eq!(token.check(Some("a long admin token")), Ok(()));
        for wrong in [None, Some(""), Some("a long admin toke"), Some("another")] {
            assert_eq!(token.check(wrong), Err(NotAdmin::Wrong));
        }
        let none = AdminToken::new(None);
        assert_eq!(none.check(Some("")), Err(NotAdmin::NotConfigured));
    }
}
