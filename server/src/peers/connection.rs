//! Connections between replicas, dialled or accepted. The handshake is complete before gRPC uses a connection.

use std::{
    collections::VecDeque,
    error::Error,
    future::{Ready, ready},
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use tercet_core::id::ReplicaId;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time,
};
use tonic::{
    codegen::{Service, http::Uri},
    transport::{Channel, Endpoint, server::Connected},
};

use super::{
    LinkContext,
    handshake::{self, HandshakeError, Identity, Proven},
};
use crate::log_limit::LogLimit;

pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The time from a connection to the end of its handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(1);
/// Concurrent handshakes on the listener; with more, the oldest is dropped. A handshake takes one round trip,
/// so a replica succeeds while strangers hold all the others open.
const HANDSHAKES_MAX: usize = 256;
/// The pause after a failed accept, for example for lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why a connection to a replica failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    /// Nothing listens at the address.
    #[error("connection refused")]
    Refused,
    /// One side refused the handshake, and an operator must act.
    #[error("{0}")]
    Rejected(String),
    #[error("{0}")]
    Other(String),
}

/// Dials `peer` at `address`. The channel uses one connection whose handshake is complete, and ends with it.
pub(super) async fn dial(
    own: &Identity<'_>,
    peer: ReplicaId,
    address: &str,
) -> Result<Channel, DialError> {
    let other = |error: &dyn Error| DialError::Other(error.to_string());
    let connected = time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
    let mut stream = match connected {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            return Err(DialError::Refused);
        }
        Ok(Err(error)) => return Err(other(&error)),
        Err(_) => return Err(DialError::Other("no answer".into())),
    };
    stream.set_nodelay(true).map_err(|error| other(&error))?;
    let shaken = handshake::dial(&mut stream, own, peer);
    match time::timeout(HANDSHAKE_TIMEOUT, shaken).await {
        Ok(Ok(_)) => {}
        // The peer may be stopping or starting.
        Ok(Err(error @ (HandshakeError::Io(_) | HandshakeError::Random(_)))) => {
            return Err(other(&error));
        }
        Ok(Err(error)) => {
            let place = format!("dial replica {peer} at {address}: {error}");
            return Err(DialError::Rejected(place));
        }
        Err(_) => return Err(DialError::Other("no answer to the handshake".into())),
    }
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|error| other(&error))?
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(8 << 20);
    let channel = endpoint.connect_with_connector(OneConnection(Some(stream)));
    channel.await.map_err(|error| other(&error))
}

/// Gives a channel its one connection; a second one would need its own handshake.
struct OneConnection(Option<TcpStream>);

impl Service<Uri> for OneConnection {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Ready<io::Result<TokioIo<TcpStream>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let stream = self.0.take().map(TokioIo::new);
        ready(stream.ok_or(io::ErrorKind::NotConnected.into()))
    }
}

/// An accepted connection from a replica that has proved its identity.
pub(super) struct Accepted {
    stream: TcpStream,
    peer: Proven,
}

/// Every request on such a connection carries the proven identity.
impl Connected for Accepted {
    type ConnectInfo = Proven;

    fn connect_info(&self) -> Proven {
        self.peer
    }
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Accepts connections and passes on those whose handshake succeeds, until the receiver is dropped.
pub(super) async fn accept_all(
    listener: TcpListener,
    context: &LinkContext,
    accepted: mpsc::Sender<io::Result<Accepted>>,
) {
    let refusals = std::sync::Arc::new(LogLimit::default());
    let mut handshakes = JoinSet::new();
    let mut newest: VecDeque<AbortHandle> = VecDeque::with_capacity(HANDSHAKES_MAX);
    while !accepted.is_closed() {
        while handshakes.try_join_next().is_some() {}
        let (stream, from) = match listener.accept().await {
            Ok(connection) => connection,
            Err(error) => {
                if refusals.allows((Refusal::Accept, None)) {
                    tracing::warn!(%error, "accept a connection of a replica");
                }
                time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if newest.len() == HANDSHAKES_MAX
            && let Some(oldest) = newest.pop_front()
        {
            oldest.abort();
        }
        let (context, accepted) = (context.clone(), accepted.clone());
        let refusals = refusals.clone();
        newest.push_back(handshakes.spawn(async move {
            match shake(stream, &context).await {
                Ok(connection) => _ = accepted.send(Ok(connection)).await,
                Err(error) => refuse(&error, from, &refusals),
            }
        }));
    }
}

async fn shake(mut stream: TcpStream, context: &LinkContext) -> Result<Accepted, HandshakeError> {
    stream.set_nodelay(true)?;
    let identity = context.identity();
    let shaken = handshake::accept(&mut stream, &identity);
    let peer = time::timeout(HANDSHAKE_TIMEOUT, shaken).await;
    let peer = peer.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    Ok(Accepted { stream, peer })
}

/// The causes of log lines about connections that were not accepted, each logged once a period for each
/// address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Refusal {
    Accept,
    Handshake,
}

fn refuse(
    error: &HandshakeError,
    from: SocketAddr,
    refusals: &LogLimit<(Refusal, Option<IpAddr>)>,
) {
    match error {
        // Other replicas probe this one by connecting and closing.
        HandshakeError::Io(error) => tracing::debug!(%from, %error, "handshake"),
        error if refusals.allows((Refusal::Handshake, Some(from.ip()))) => {
            tracing::warn!(%from, "refused a connection to the address for replicas: {error}");
        }
        error => tracing::debug!(%from, %error, "handshake"),
    }
}
