//! `tercet.v1.ChatService`: the parts that its calls share. The calls are listed in `methods.rs`, and are in `accounts.rs`, `blocks.rs`, `message_changes.rs`, `messages.rs`, `rooms.rs`, `sends.rs`, `state.rs` and `subscribe.rs`.

use std::time::Duration;

use bytes::Bytes;
use tercet_proto::log::{Command, outcome};
use tercet_store::{
    ReadThreads, command,
    commands::{Request, Subject},
    queries::{Query, SessionByToken},
    search::SearchThread,
};
use tercet_types::fair::{Key, Origin};

use super::{caller::Caller, presence::Presence, scopes, status::Failure};
use crate::{
    auth::{Found, Session, SessionCache, limits::RateLimits, password::Passwords},
    cluster_clock::ClusterClock,
    fanout::Fanout,
    handle::{Handle, ReadPermit},
    programs::Programs,
    reply::Answer,
};

/// The service. Cheap to clone.
#[derive(Clone)]
pub(super) struct Chat {
    pub handle: Handle,
    pub reads: ReadThreads,
    pub search: SearchThread,
    pub programs: Programs,
    pub fanout: Fanout,
    pub sessions: SessionCache,
    pub passwords: Passwords,
    pub limits: RateLimits,
    pub session_ttl: Duration,
    pub clock: ClusterClock,
    pub presence: Presence,
}

/// Makes the command of a client's write.
pub(super) fn command(request_id: [u8; 16], request: impl Request) -> Command {
    command::proposal(Bytes::copy_from_slice(&request_id), request.into_action())
}

impl Chat {
    /// Reads the store under a permit, in turn with other callers. The rows were current while the call ran.
    pub async fn read<Q: Query>(&self, key: Key, query: Q) -> Result<Q::Rows, Failure> {
        let permit = self.handle.read().await?;
        self.read_under(permit, key, query).await
    }

    /// Reads the store under a permit that the call has.
    pub async fn read_under<Q: Query>(
        &self,
        permit: ReadPermit,
        key: Key,
        query: Q,
    ) -> Result<Q::Rows, Failure> {
        let rows = self.reads.read(key, query).await;
        permit.confirm()?;
        Ok(rows?)
    }

    /// Gives permission to read for the account of the call's token. The session is looked up under the permit,
    /// because a cached session proves nothing on a replica that was replaced without noticing.
    pub async fn permit(&self, caller: &Caller) -> Result<(ReadPermit, Session), Failure> {
        let permit = self.handle.read().await?;
        Ok((permit, self.session(caller).await?))
    }

    /// Finds the session of the call's token, or its API token, which must have the scope of the call.
    pub async fn session(&self, caller: &Caller) -> Result<Session, Failure> {
        let token_hash = caller.token_hash().ok_or(Failure::InvalidToken)?;
        let session = self.session_of(caller.origin(), token_hash).await?;
        caller.is_proven();
        scopes::check(caller.needs(), &session)?;
        Ok(session)
    }

    /// Finds the session of a token with that hash, for a call from `origin`.
    pub async fn session_of(
        &self,
        origin: Origin,
        token_hash: [u8; 32],
    ) -> Result<Session, Failure> {
        let session = match self.sessions.get(&token_hash) {
            Found::Session(session) => session,
            Found::Absent(revision) => {
                let stored = self
                    .read(Key::origin(origin), SessionByToken { token_hash })
                    .await?;
                let session = Session::new(token_hash, stored.ok_or(Failure::InvalidToken)?);
                self.sessions.insert(revision, session.clone());
                session
            }
        };
        if session.expires_at_ms <= self.clock.now_ms() {
            return Err(Failure::ExpiredToken);
        }
        Ok(session)
    }

    /// Proposes a change, in turn with other callers.
    pub async fn submit<R: Request>(
        &self,
        key: Key,
        request_id: [u8; 16],
        request: R,
    ) -> Result<R::Outcome, Failure> {
        let subject = request.subject();
        let command = command(request_id, request);
        let answer = self.handle.propose(key, command).await;
        done::<R>(answer, subject)
    }
}

/// Gives the outcome of a proposal, unless it was refused.
pub(super) fn done<R: Request>(answer: Answer, subject: Subject) -> Result<R::Outcome, Failure> {
    let (lsn, outcome) = answer?;
    match outcome.result {
        Some(outcome::Result::Refused(refused)) => Err(Failure::of_refusal(refused, subject, lsn)),
        Some(result) => R::outcome(result).ok_or_else(|| {
            Failure::Internal(format!("an outcome of another command at LSN {lsn}"))
        }),
        None => Err(Failure::Internal(format!("empty outcome at LSN {lsn}"))),
    }
}

/// Makes the failure for an outcome of another kind than the command, which means that the store is wrong.
pub(super) fn unexpected(outcome: &outcome::Result) -> Failure {
    Failure::Internal(format!("unexpected outcome {outcome:?}"))
}
