//! The layer before the services. It limits the bytes that are held of requests and answers, for each connection
//! and in all, and the time that a request may take to arrive.

use std::{
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep, timeout},
};
use tonic::{
    Status,
    body::Body,
    codegen::{BoxFuture, Service, StdError, http},
};
use tower::Layer;

use super::{BODY_TIME_MAX, REQUEST_BYTES_MAX, refusals::refusal, status::Failure};
use crate::{
    net::{CallGuard, Held, Remote, TooMuch, UnreadGuard},
    reply::Unavailability,
};

/// Bytes of a request without a token, such as a name and a password.
const OPEN_BYTES_MAX: usize = 64 << 10;

/// Bytes that each call counts for beside its messages, on a connection that has shown a session. A busy client
/// has hundreds of calls under way.
const CALL_BYTES: usize = 2 << 10;

/// The same on a connection that has shown no session: the most that a call costs, with its task and headers.
const STRANGERS_CALL_BYTES: usize = 8 << 10;

/// Bytes of a request, and of the first part of an answer, that are counted with the call.
const SHORT_BYTES_MAX: usize = 1 << 10;

/// Bytes of one part of an answer.
const PART_BYTES_MAX: usize = 64 << 10;

/// Bytes that a part counts for beside its content.
const PART_OVERHEAD_BYTES: usize = 512;

/// Bytes that a page counts for until it is encoded. No page is larger.
const PAGE_BYTES: usize = 1 << 20;

/// Bytes before a message: a flag for compression, and the length.
const HEAD_BYTES: usize = 5;

/// Pages that are read from the store at once in this process; more wait.
const PAGES_MAX: usize = 32;

/// The time that a page may wait for others to be read.
const PAGE_WAIT_MAX: Duration = Duration::from_secs(10);

/// The kind of a call, by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    /// The client sends messages without an end.
    streams: bool,
    /// The answer is a page, which may be large.
    pages: bool,
}

impl Kind {
    fn of(path: &str) -> Kind {
        let method = path.strip_prefix("/tercet.v1.ChatService/");
        Kind {
            streams: matches!(method, Some("StreamMessages"))
                || path.starts_with("/grpc.reflection."),
            pages: method.is_some_and(|method| {
                method.starts_with("List")
                    || matches!(
                        method,
                        "FetchUndelivered" | "SearchMessages" | "ExportMessages"
                    )
            }),
        }
    }
}

/// Puts [`Intake`] before services.
#[derive(Clone)]
pub(super) struct IntakeLayer {
    pages: Arc<Semaphore>,
}

impl IntakeLayer {
    pub(super) fn new() -> IntakeLayer {
        IntakeLayer {
            pages: Arc::new(Semaphore::new(PAGES_MAX)),
        }
    }
}

impl<S> Layer<S> for IntakeLayer {
    type Service = Intake<S>;

    fn layer(&self, inner: S) -> Intake<S> {
        Intake {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service behind the limits.
#[derive(Clone)]
pub(super) struct Intake<S> {
    inner: S,
    layer: IntakeLayer,
}

impl<S, B> Service<http::Request<Body>> for Intake<S>
where
    S: Service<http::Request<Body>, Response = http::Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<StdError>,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<Self::Response, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        // The one that was polled, not its clone.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let layer = self.layer.clone();
        Box::pin(async move {
            let Some(remote) = request.extensions().get::<Remote>() else {
                return Ok(Status::internal("a connection without an address").into_http());
            };
            let call = remote.call();
            let held = call.holds();
            let bytes = match call.is_proven() {
                true => CALL_BYTES,
                false => STRANGERS_CALL_BYTES,
            };
            let kind = Kind::of(request.uri().path());
            if held.set(bytes).is_err() {
                return Ok(busy().into_http());
            }
            let call = Arc::new(Call {
                held,
                bytes,
                guard: call,
            });
            let page = match kind.pages {
                true => match layer.page(&call).await {
                    Ok(page) => Some(page),
                    Err(status) => return Ok(status.into_http()),
                },
                false => None,
            };
            let shows_token = request.headers().contains_key(http::header::AUTHORIZATION);
            let bytes_max = match shows_token {
                true => usize::MAX,
                false => OPEN_BYTES_MAX,
            };
            let taken = |body| Body::new(Taken::new(body, kind, bytes_max, Arc::clone(&call)));
            let response = inner.call(request.map(taken)).await?;
            // The page is read. It counts as bytes until the client takes it: a client that does not read would keep
            // others waiting if it kept the permit so long.
            drop(page);
            let given = Given::prepare(kind, call);
            Ok(match given {
                Ok(given) => response.map(|body| Body::new(given.with(body))),
                Err(TooMuch) => busy().into_http(),
            })
        })
    }
}

/// Permits to read a page from the store.
type Page = [OwnedSemaphorePermit; 2];

impl IntakeLayer {
    /// Waits for permits: first for one of the connection, so that a page never waits for all pages of another
    /// connection.
    async fn page(&self, call: &Call) -> Result<Page, Status> {
        let permits = async {
            let of_connection = call.guard.pages().acquire_owned().await.ok()?;
            let of_process = Arc::clone(&self.pages).acquire_owned().await.ok()?;
            Some([of_connection, of_process])
        };
        let permits = timeout(PAGE_WAIT_MAX, permits).await.ok().flatten();
        permits.ok_or_else(busy)
    }
}

fn busy() -> Status {
    refusal(&Unavailability::Busy.into())
}

/// A call under way, with its share of the budget.
struct Call {
    held: Held,
    /// Bytes that the call counts for without its messages.
    bytes: usize,
    guard: CallGuard,
}

/// The limits of the messages in the bytes of a request.
#[derive(Default)]
struct Bounds {
    head: [u8; HEAD_BYTES],
    head_bytes: usize,
    /// Bytes of the message that have come, with its head.
    come: usize,
    /// Bytes of the message that have not come.
    left: usize,
}

impl Bounds {
    /// Takes bytes that arrived, and returns the size of the messages that are complete with them.
    fn pass(&mut self, mut data: &[u8]) -> usize {
        let mut complete = 0;
        while !data.is_empty() {
            if self.head_bytes < HEAD_BYTES {
                self.head[self.head_bytes] = data[0];
                self.head_bytes += 1;
                self.come += 1;
                data = &data[1..];
                if self.head_bytes == HEAD_BYTES {
                    self.left = self.length();
                }
            } else {
                let part = self.left.min(data.len());
                self.left -= part;
                self.come += part;
                data = &data[part..];
            }
            if self.head_bytes == HEAD_BYTES && self.left == 0 {
                complete += self.open();
                *self = Bounds::default();
            }
        }
        complete
    }

    fn length(&self) -> usize {
        let [_, length @ ..] = self.head;
        u32::from_be_bytes(length) as usize
    }

    /// Bytes of the message that is not complete: all that it will have, since the decoder reserves memory for all
    /// of them when it has read the head. It refuses a message that is too large, and reserves nothing. In the text
    /// form of gRPC-web the head is something else; what has come counts in any case.
    fn open(&self) -> usize {
        let has_length = self.head_bytes == HEAD_BYTES && self.length() <= REQUEST_BYTES_MAX;
        let declared = if has_length {
            HEAD_BYTES + self.length()
        } else {
            0
        };
        declared.max(self.come)
    }
}

/// The body of a request. Its bytes count until the call is answered.
struct Taken {
    body: Body,
    streams: bool,
    bytes_max: usize,
    call: Arc<Call>,
    bounds: Bounds,
    /// Bytes of the complete messages, of a request that does not stream.
    complete: usize,
    /// Runs while a message is not complete.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Taken {
    fn new(body: Body, kind: Kind, bytes_max: usize, call: Arc<Call>) -> Taken {
        Taken {
            body,
            streams: kind.streams,
            bytes_max,
            call,
            bounds: Bounds::default(),
            complete: 0,
            deadline: None,
        }
    }

    fn take(&mut self, data: &[u8]) -> Result<(), Status> {
        let complete = self.bounds.pass(data);
        if !self.streams {
            self.complete += complete;
        }
        let bytes = self.complete + self.bounds.open();
        if bytes > self.bytes_max {
            return Err(refusal(&Failure::InvalidToken));
        }
        let long = bytes.saturating_sub(SHORT_BYTES_MAX);
        let held = self.call.held.set(self.call.bytes + long);
        held.map_err(|_| busy())
    }

    /// Whether the rest must arrive within a time.
    fn is_timed(&self) -> bool {
        !self.streams || self.bounds.open() > 0
    }
}

impl HttpBody for Taken {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let taken = frame.data_ref().map_or(Ok(()), |data| self.take(data));
                if !self.is_timed() {
                    self.deadline = None;
                }
                Poll::Ready(Some(taken.map(|()| frame)))
            }
            Poll::Pending if self.is_timed() => {
                let started = || Box::pin(sleep(BODY_TIME_MAX));
                let deadline = self.deadline.get_or_insert_with(started);
                ready!(deadline.as_mut().poll(context));
                Poll::Ready(Some(Err(refusal(&Failure::RequestTooSlow))))
            }
            other => other,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer. It goes to the transport in parts, and each part counts until it is written to the
/// connection.
struct Given<B> {
    body: Pin<Box<B>>,
    call: Arc<Call>,
    /// Set until the transport asks for the first part, which it does when the client has room for a byte.
    unread: Option<UnreadGuard>,
    /// The rest of a frame that is longer than a part.
    rest: Bytes,
    /// The share of the rest in the budget.
    held: Held,
    is_first: bool,
}

impl Given<()> {
    fn prepare(kind: Kind, call: Arc<Call>) -> Result<Self, TooMuch> {
        let held = call.guard.holds();
        if kind.pages {
            held.set(PAGE_BYTES)?;
        }
        Ok(Given {
            body: Box::pin(()),
            held,
            unread: Some(call.guard.unread()),
            call,
            rest: Bytes::new(),
            is_first: true,
        })
    }

    fn with<B>(self, body: B) -> Given<B> {
        Given {
            body: Box::pin(body),
            call: self.call,
            rest: self.rest,
            held: self.held,
            unread: self.unread,
            is_first: self.is_first,
        }
    }
}

impl<B> Given<B> {
    /// Takes the next part of the rest.
    fn part(&mut self) -> Bytes {
        let part = self.rest.split_to(self.rest.len().min(PART_BYTES_MAX));
        let held = match self.rest.is_empty() {
            true => self.held.split(usize::MAX),
            false => self.held.split(part.len()),
        };
        Bytes::from_owner(Part {
            part,
            _held: held,
            _unread: self.call.guard.unread(),
            _call: Arc::clone(&self.call),
        })
    }
}

/// A part of an answer. The transport drops it when it is written.
struct Part {
    part: Bytes,
    _held: Held,
    _unread: UnreadGuard,
    _call: Arc<Call>,
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.part
    }
}

impl<B> HttpBody for Given<B>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<StdError>,
{
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(self.part()))));
        }
        self.unread = None;
        let frame = match ready!(self.body.as_mut().poll_frame(context)) {
            Some(Ok(frame)) => frame,
            other => return Poll::Ready(other.map(|frame| frame.map_err(Into::into))),
        };
        match frame.into_data() {
            Ok(data) if !data.is_empty() => {
                // The bytes of a short first part were counted with the call.
                let is_counted = mem::take(&mut self.is_first) && data.len() <= SHORT_BYTES_MAX;
                if !is_counted
                    && let Err(too_much) = self.held.set(data.len() + PART_OVERHEAD_BYTES)
                {
                    return Poll::Ready(Some(Err(too_much.into())));
                }
                self.rest = data;
                Poll::Ready(Some(Ok(Frame::data(self.part()))))
            }
            Ok(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Err(frame) => Poll::Ready(Some(Ok(frame))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_message_that_is_not_complete_is_open() {
        let mut bounds = Bounds::default();
        let stream = [0, 0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 9, 9];
        let open: Vec<usize> = stream
            .iter()
            .map(|byte| {
                bounds.pass(&[*byte]);
                bounds.open()
            })
            .collect();
        let expected = [1, 2, 3, 4, 8, 8, 8, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 7, 7, 0];
        assert_eq!(open, expected);
        assert_eq!(bounds.pass(&stream[..7]), 0);
        assert_eq!(bounds.open(), 8);
        assert_eq!(bounds.pass(&stream[7..]), 8 + 5 + 7);
        assert_eq!(bounds.open(), 0);
    }

    #[test]
    fn bytes_without_a_length_that_makes_sense_count_as_they_come() {
        let mut bounds = Bounds::default();
        // The text form of gRPC-web.
        assert_eq!(bounds.pass(&[b'A'; 100_000]), 0);
        assert_eq!(bounds.open(), 100_000);
    }
}
