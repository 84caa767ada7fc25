//! The call of the leader: a request is sent, and sent again with the same request id, until it is answered or the
//! deadline has passed.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use tercet_proto::method::{BytesCodec, Method};
use tokio::time::{Instant, timeout};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::chat::ANSWER_BYTES_MAX;
use super::retry::RetryState;
use super::search::Leader;
use super::verdict::{Verdict, judge};
use super::{Client, Error};

/// A call under way. It is boxed, so that the code below is compiled in this crate, once, and not in every crate that
/// waits for a call.
type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl Client {
    /// Returns the leader's answer to `message`. `write` is the request id of a write, for
    /// [`Error::OutcomeUnknown`].
    pub(super) async fn call<M: Method>(
        &self,
        write: Option<Uuid>,
        message: M,
    ) -> Result<M::Response, Error> {
        let mut retry = RetryState::new(Instant::now() + self.deadline);
        let (answer, _) = self.call_again(&mut retry, write, message).await?;
        Ok(answer)
    }

    /// As [`Client::call`], after the attempts of `retry`. Also returns the leader that answered.
    pub(super) async fn call_again<M: Method>(
        &self,
        retry: &mut RetryState,
        write: Option<Uuid>,
        message: M,
    ) -> Result<(M::Response, Arc<Leader>), Error> {
        let message = message.encode_to_vec().into();
        let (answer, leader) = self.call_encoded(retry, write, M::PATH, message).await?;
        Ok((decode::<M>(answer)?, leader))
    }

    fn call_encoded<'a>(
        &'a self,
        retry: &'a mut RetryState,
        write: Option<Uuid>,
        path: &'static str,
        message: Bytes,
    ) -> Pending<'a, Result<(Bytes, Arc<Leader>), Error>> {
        Box::pin(async move {
            loop {
                let leader = match retry.leader(&self.shared).await {
                    Ok(leader) => leader,
                    Err(error) => return Err(retry.give_up(write, error)),
                };
                let Some(limit) = retry.attempt_limit(&self.shared) else {
                    return Err(retry.give_up(write, self.shared.roster.no_leader()));
                };
                let request = self.request(message.clone(), limit);
                let answer = send(leader.link.channel(), path, request);
                let verdict = match timeout(limit, answer).await {
                    Ok(Ok(answer)) => return Ok((answer, leader)),
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
        })
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

/// Sends one encoded request to a replica, and returns the encoded answer.
pub(super) fn send(
    channel: Channel,
    path: &'static str,
    request: Request<Bytes>,
) -> Pending<'static, Result<Bytes, Status>> {
    Box::pin(async move {
        let mut grpc = Grpc::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
        (grpc.ready().await)
            .map_err(|error| Status::unknown(format!("Service was not ready: {error}")))?;
        let path = PathAndQuery::from_static(path);
        let response = grpc.unary(request, path, BytesCodec).await;
        response.map(Response::into_inner)
    })
}

/// Decodes the answer to a request.
///
/// # Errors
/// [`Error::Protocol`] for bytes that are no such answer.
pub(super) fn decode<M: Method>(answer: Bytes) -> Result<M::Response, Error> {
    M::Response::decode(answer).map_err(|error| {
        let path = M::PATH;
        Error::Protocol(format!("the answer to {path} cannot be read: {error}"))
    })
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
