//! The operator's credential: one token for the whole cluster, configured, never stored.

use std::sync::Arc;

use subtle::ConstantTimeEq as _;

/// What operators must show; or nothing, and then their calls are refused. Cheap to clone.
#[derive(Clone)]
pub struct AdminToken(Option<Arc<str>>);

/// Why a caller is not taken for an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmin {
    #[error(
        "this replica has no admin token: start the replicas with --admin-token-file or TERCET_ADMIN_TOKEN_FILE, the same on all (`openssl rand -hex 32` makes one)"
    )]
    NotConfigured,
    #[error("this call wants the admin token of the replicas: send `authorization: Bearer TOKEN`")]
    Wrong,
}

impl AdminToken {
    #[must_use]
    pub fn new(token: Option<&str>) -> AdminToken {
        AdminToken(token.map(Arc::from))
    }

    /// Whether the caller showed the token.
    ///
    /// # Errors
    /// Why not.
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
