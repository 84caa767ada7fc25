//! The list of an account's own sessions, and the end of one of them.

use bytes::Bytes;
use tercet_proto::{log, v1};
use tercet_store::{
    commands::Request as _,
    fields,
    queries::{OpenSession, OpenSessions, RecordedOutcome},
};
use tercet_types::{fair::Key, limits::SESSIONS_LISTED_MAX};

use super::{caller::Caller, chat::Chat, status::Failure};
use crate::{auth::Session, auth::token};

impl Chat {
    pub(super) async fn do_list_sessions(
        &self,
        caller: &Caller,
        _: v1::ListSessionsRequest,
    ) -> Result<v1::ListSessionsResponse, Failure> {
        let session = self.session(caller).await?;
        let open = self.open_sessions(&session).await?;
        let sessions = open.into_iter().map(|one| v1::OpenSession {
            session_id: token::session_id(&one.token_hash),
            created_at_ms: one.created_at_ms,
            expires_at_ms: one.expires_at_ms,
            current: one.token_hash == session.token_hash,
            label: one.label,
        });
        Ok(v1::ListSessionsResponse {
            sessions: sessions.collect(),
        })
    }

    async fn open_sessions(&self, session: &Session) -> Result<Vec<OpenSession>, Failure> {
        let query = OpenSessions {
            account_id: session.account_id,
            now_ms: self.clock.now_ms(),
            limit: SESSIONS_LISTED_MAX,
        };
        self.read(Key::account(session.account_id), query).await
    }

    /// Ends a session of the caller's account. A retry finds the session gone, and gets the first answer by its
    /// request id.
    pub(super) async fn do_end_session(
        &self,
        caller: &Caller,
        request: v1::EndSessionRequest,
    ) -> Result<v1::EndSessionResponse, Failure> {
        let request_id = fields::request_id(&request.request_id)?;
        let Some(session) = self.session_unless_ended(caller, request_id).await? else {
            return Ok(v1::EndSessionResponse {});
        };
        let key = Key::account(session.account_id);
        let open = self.open_sessions(&session).await?;
        let is_meant =
            |one: &&OpenSession| token::session_id(&one.token_hash) == request.session_id;
        let Some(meant) = open.iter().find(is_meant) else {
            let recorded = self.read(key, RecordedOutcome { request_id }).await?;
            let recorded = recorded.and_then(|outcome| outcome.result);
            return match recorded.and_then(log::EndSession::outcome) {
                Some(_) => Ok(v1::EndSessionResponse {}),
                None => Err(Failure::UnknownSession),
            };
        };
        let command = log::EndSession {
            account_id: session.account_id,
            token_hash: Bytes::copy_from_slice(&meant.token_hash),
        };
        self.submit(key, request_id, command).await?;
        Ok(v1::EndSessionResponse {})
    }
}
