//! The calls of ChatService about an account's own sessions.

use tercet_proto::v1::{EndSessionRequest, ListSessionsRequest};

use super::chat::service;
use super::types::list;
use super::{Client, Error, OpenSession};

impl Client {
    /// Lists the open sessions of this client's account, at most 1,000: those that end last, latest first.
    ///
    /// # Errors
    /// The token is not valid; no leader until the deadline.
    pub async fn list_sessions(&self) -> Result<Vec<OpenSession>, Error> {
        let send = |channel, request| async move { service(channel).list_sessions(request).await };
        let answer = self.call(None, ListSessionsRequest {}, send).await?;
        Ok(list(answer.sessions))
    }

    /// Ends one session of this client's account, by its id in [`Client::list_sessions`].
    ///
    /// # Errors
    /// `UNKNOWN_SESSION`; the token is not valid; [`Error::OutcomeUnknown`]; no leader until the deadline.
    pub async fn end_session(&self, session_id: &str) -> Result<(), Error> {
        let make = |request_id| EndSessionRequest {
            request_id,
            session_id: session_id.to_owned(),
        };
        let send = |channel, request| async move { service(channel).end_session(request).await };
        self.call_with_new_id(make, send).await?;
        Ok(())
    }
}
