//! One logical request: sent to the leader, and sent again, with the same request id, until it
//! is answered or the deadline has passed.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::error::{Verdict, judge};
use super::search::{Leader, pause};
use super::{Client, Error};

impl Client {
    /// The answer of the leader to `message`. `write` is the request id of a write, for the
    /// error that says that its fate is unknown.
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
        let deadline = Instant::now() + self.deadline;
        let mut failed: Option<Failed> = None;
        loop {
            let leader = match self.shared.leader(deadline).await {
                Ok(leader) => leader,
                Err(error) => return Err(give_up(write, failed, error)),
            };
            if let Some(failed) = &failed {
                self.shared.count_retries(1);
                sleep(failed.pause_before(&leader)).await;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(give_up(write, failed, self.shared.roster.no_leader()));
            }
            let limit = left.min(self.shared.options.attempt_timeout);
            let request = self.request(message.clone(), limit);
            let verdict = match timeout(limit, send(leader.link.channel(), request)).await {
                Ok(Ok(response)) => return Ok(response.into_inner()),
                Ok(Err(status)) => judge(&status),
                Err(_) => Verdict::Again {
                    after: None,
                    what: format!("no answer within {limit:.1?}"),
                },
            };
            match verdict {
                Verdict::Refused(error) if error.settles_nothing() => {
                    return Err(give_up(write, failed, error));
                }
                Verdict::Refused(error) => return Err(error),
                Verdict::NotLeader { hint } => {
                    if let Some((id, address)) = hint {
                        self.shared.roster.hear_of(id, address);
                    }
                    let what = format!("replica {} does not lead any more", leader.id);
                    Failed::note(&mut failed, &leader, None, what, false);
                }
                Verdict::Again { after, what } => {
                    Failed::note(&mut failed, &leader, after, what, true);
                }
            }
            self.shared.forget(&leader);
        }
    }

    /// A request with this client's token and a time limit that the server sees.
    pub(super) fn request<M>(&self, message: M, limit: Duration) -> Request<M> {
        let mut request = self.request_without_limit(message);
        request.set_timeout(limit);
        request
    }

    pub(super) fn request_without_limit<M>(&self, message: M) -> Request<M> {
        request(self.bearer.as_ref(), message)
    }
}

/// A request with a token.
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

/// What is known of the attempts so far.
pub(super) struct Failed {
    first: Instant,
    attempts: u32,
    /// The replica and epoch that failed last, and the delay it asked for.
    replica: u32,
    epoch: u64,
    after: Option<Duration>,
    last: String,
    /// Whether an attempt may have been carried out.
    maybe_done: bool,
}

impl Failed {
    pub(super) fn note(
        failed: &mut Option<Failed>,
        leader: &Arc<Leader>,
        after: Option<Duration>,
        last: String,
        maybe_done: bool,
    ) {
        let before = failed.as_ref();
        *failed = Some(Failed {
            first: before.map_or_else(Instant::now, |failed| failed.first),
            attempts: before.map_or(0, |failed| failed.attempts) + 1,
            replica: leader.id,
            epoch: leader.epoch,
            after,
            last,
            maybe_done: maybe_done || before.is_some_and(|failed| failed.maybe_done),
        });
    }

    /// None after the first failure when somebody else leads: that was found out by asking.
    pub(super) fn pause_before(&self, leader: &Leader) -> Duration {
        let same = self.replica == leader.id && self.epoch == leader.epoch;
        let own = match (same, self.attempts) {
            (false, 1) => Duration::ZERO,
            _ => pause(self.first.elapsed()),
        };
        match self.after {
            Some(after) if same => own.max(after),
            _ => own,
        }
    }
}

/// The error of a call that ends with `last`, after the attempts that failed.
fn give_up(write: Option<Uuid>, failed: Option<Failed>, last: Error) -> Error {
    match (write, failed) {
        (Some(request_id), Some(failed)) if failed.maybe_done => Error::OutcomeUnknown {
            request_id,
            last: format!("{}; {last}", failed.last),
        },
        (None, Some(failed)) if !matches!(last, Error::Refused { .. }) => Error::Unanswered {
            last: format!("{}; {last}", failed.last),
        },
        _ => last,
    }
}
