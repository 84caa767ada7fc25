//! The call of the leader: a request is sent, and sent again with the same request id, until it is answered or the
//! deadline has passed.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::retry::RetryState;
use super::search::Leader;
use super::verdict::{Verdict, judge};
use super::{Client, Error};

impl Client {
    /// Returns the leader's answer to `message`. `write` is the request id of a write, for
    /// [`Error::OutcomeUnknown`].
    pub(super) async fn call<M, R, F, Fut>(
        &self,
        write: Option<Uuid>,
        message: M,
        send: F,
    ) -> Result<R, Error>
    where
        M: Clone,
        F: Fn(Channel, Request<M>) -> Fut,
        Fut: Future<Output = Result<Response<R>, Status>>,
    {
        let mut retry = RetryState::new(Instant::now() + self.deadline);
        let (answer, _) = self.call_again(&mut retry, write, message, send).await?;
        Ok(answer)
    }

    /// As [`Client::call`], after the attempts of `retry`. Also returns the leader that answered.
    pub(super) async fn call_again<M, R, F, Fut>(
        &self,
        retry: &mut RetryState,
        write: Option<Uuid>,
        message: M,
        send: F,
    ) -> Result<(R, Arc<Leader>), Error>
    where
        M: Clone,
        F: Fn(Channel, Request<M>) -> Fut,
        Fut: Future<Output = Result<Response<R>, Status>>,
    {
        loop {
            let leader = match retry.leader(&self.shared).await {
                Ok(leader) => leader,
                Err(error) => return Err(retry.give_up(write, error)),
            };
            let Some(limit) = retry.attempt_limit(&self.shared) else {
                return Err(retry.give_up(write, self.shared.roster.no_leader()));
            };
            let request = self.request(message.clone(), limit);
            let verdict = match timeout(limit, send(leader.link.channel(), request)).await {
                Ok(Ok(response)) => return Ok((response.into_inner(), leader)),
                Ok(Err(status)) => judge(&status),
                Err(_) => Verdict::no_answer_within(limit),
            };
            if let Err(error) = retry.failed(&self.shared, &leader, verdict, 1) {
                return Err(if error.settles_nothing() {
                    retry.give_up(write, error)
                } else {
                    error
                });
            }
        }
    }

    /// Makes a request with this client's token and a time limit that the server sees.
    pub(super) fn request<M>(&self, message: M, limit: Duration) -> Request<M> {
        let mut request = self.request_without_limit(message);
        request.set_timeout(limit);
        request
    }

    pub(super) fn request_without_limit<M>(&self, message: M) -> Request<M> {
        request(self.bearer.as_ref(), message)
    }
}

/// Makes a request with a token.
pub(super) fn request<M>(bearer: Option<&Bearer>, message: M) -> Request<M> {
    let mut request = Request::new(message);
    if let Some(Bearer(bearer)) = bearer {
        let bearer = bearer.clone();
        request.metadata_mut().insert("authorization", bearer);
    }
    request
}

/// The `authorization` value of a token.
#[derive(Clone)]
pub(super) struct Bearer(MetadataValue<Ascii>);

impl Bearer {
    pub(super) fn new(token: &str) -> Result<Bearer, Error> {
        let value = format!("Bearer {token}");
        let mut value: MetadataValue<Ascii> = value
            .parse()
            .map_err(|_| Error::Protocol("the token has characters that no token has".into()))?;
        value.set_sensitive(true);
        Ok(Bearer(value))
    }
}
