//! The caller of a request: its token and its address.

use tercet_types::fair::Origin;
use tonic::{Request, metadata::MetadataMap};

use super::scopes::Needs;
use crate::{auth::token, net::Remote};

/// The caller of one request.
pub(super) struct Caller {
    needs: Needs,
    metadata: MetadataMap,
    /// `None` where no connection was accepted, as in tests.
    remote: Option<Remote>,
}

impl Caller {
    /// Splits a request into its caller and its message.
    pub(super) fn of<T>(needs: Needs, request: Request<T>) -> (Caller, T) {
        let (metadata, mut extensions, message) = request.into_parts();
        let remote = extensions.remove();
        let caller = Caller {
            needs,
            metadata,
            remote,
        };
        (caller, message)
    }

    /// Gives what the call needs.
    pub(super) fn needs(&self) -> Needs {
        self.needs
    }

    /// Gives the token of the call.
    pub(super) fn bearer(&self) -> Option<&str> {
        bearer(&self.metadata)
    }

    /// Gives the network that the call comes from.
    pub(super) fn origin(&self) -> Origin {
        let remote = self.remote.as_ref();
        remote.map_or(Origin::UNKNOWN, Remote::origin)
    }

    /// Notes on the connection that the call has shown a valid session.
    pub(super) fn is_proven(&self) {
        if let Some(remote) = &self.remote {
            remote.is_proven();
        }
    }

    /// Gives the hash of the call's token, if the token has a valid form.
    pub(super) fn token_hash(&self) -> Option<[u8; 32]> {
        self.bearer().and_then(token::hash)
    }
}

/// Gives the token in the metadata of a call.
fn bearer(metadata: &MetadataMap) -> Option<&str> {
    let value = metadata.get("authorization")?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_token_is_taken_from_the_authorization_metadata() {
        let with = |value: &'static str| {
            let mut metadata = MetadataMap::new();
            metadata.insert("authorization", value.parse().unwrap());
            bearer(&metadata).map(str::to_owned)
        };
        assert_eq!(with("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(with("bearer  abc").as_deref(), Some("abc"));
        assert_eq!(with("Basic abc"), None);
        assert_eq!(with("abc"), None);
        assert_eq!(bearer(&MetadataMap::new()), None);
    }
}
