//! Dialling a lower-numbered replica, and probing a higher-numbered one.

use std::{error::Error, io, time::Duration};

use tercet_core::id::ReplicaId;
use tercet_proto::peer::{ExchangeRequest, peer_service_client::PeerServiceClient};
use tokio::{net::TcpStream, sync::mpsc, time};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::{Request, metadata::MetadataValue, transport::Endpoint};

use super::{LinkContext, LinkEvent, Outgoing, QUEUE_MAX, frame, run_session};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const HELLO_TIMEOUT: Duration = Duration::from_secs(1);

/// Pauses between attempts: short right after a session ended, when evidence is wanted; then
/// longer.
struct Backoff(Duration);

impl Backoff {
    const FIRST: Duration = Duration::from_millis(2);
    const LONGEST: Duration = Duration::from_millis(64);

    async fn pause(&mut self) {
        time::sleep(self.0).await;
        self.0 = (2 * self.0).min(Backoff::LONGEST);
    }
}

/// Keeps a session with `peer`, for as long as the driver listens.
pub(crate) async fn dial(context: LinkContext, peer: ReplicaId) {
    let mut backoff = Backoff(Backoff::FIRST);
    while !context.events.is_closed() {
        match connect(&context, peer).await {
            Ok(()) => backoff = Backoff(Backoff::FIRST),
            Err(DialError::Refused) => {
                if context
                    .events
                    .send(LinkEvent::Refused { peer })
                    .await
                    .is_err()
                {
                    return;
                }
            }
            Err(DialError::Other(error)) => tracing::debug!(%peer, %error, "dial"),
            Err(DialError::Rejected(error)) => {
                tracing::warn!(%peer, %error, "the replica rejected this one");
                backoff = Backoff(Backoff::LONGEST);
            }
        }
        backoff.pause().await;
    }
}

/// Tries the address of `peer` until dropped: reports each refusal.
pub(crate) async fn probe(context: LinkContext, peer: ReplicaId) {
    let mut backoff = Backoff(Backoff::FIRST);
    let Some(address) = context.addresses.get(&peer) else {
        return;
    };
    loop {
        let attempt = time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
        if let Ok(Err(error)) = attempt
            && error.kind() == io::ErrorKind::ConnectionRefused
            && context
                .events
                .send(LinkEvent::Refused { peer })
                .await
                .is_err()
        {
            return;
        }
        backoff.pause().await;
    }
}

enum DialError {
    Refused,
    Rejected(String),
    Other(String),
}

/// One session, from the connection to its end.
async fn connect(context: &LinkContext, peer: ReplicaId) -> Result<(), DialError> {
    let address = context
        .addresses
        .get(&peer)
        .ok_or(DialError::Other("no address".into()))?;
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|error| DialError::Other(error.to_string()))?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(8 << 20);
    let channel = endpoint.connect().await.map_err(classify)?;
    let (frames, queue) = mpsc::channel(QUEUE_MAX);
    let hello = context.hello.borrow().clone();
    frames
        .try_send(frame::hello_to_frame(&hello))
        .map_err(|_| DialError::Other("queue".into()))?;
    let outgoing = ReceiverStream::new(queue).map(|frame| ExchangeRequest { frame: Some(frame) });
    let mut request = Request::new(outgoing);
    let bearer: MetadataValue<_> = format!("Bearer {}", context.secret).parse().map_err(|_| {
        DialError::Other("the peer secret has characters that cannot be sent".into())
    })?;
    request.metadata_mut().insert("authorization", bearer);
    let mut client = PeerServiceClient::new(channel);
    let opened = time::timeout(HELLO_TIMEOUT, client.exchange(request)).await;
    let response = opened.map_err(|_| DialError::Other("no answer".into()))?;
    let response = response.map_err(|status| match status.code() {
        tonic::Code::Unauthenticated | tonic::Code::FailedPrecondition => {
            DialError::Rejected(status.message().into())
        }
        _ => DialError::Other(status.to_string()),
    })?;
    let mut incoming = response.into_inner().map(|response| {
        response.and_then(|r| r.frame.ok_or(tonic::Status::invalid_argument("no frame")))
    });
    let first = time::timeout(HELLO_TIMEOUT, incoming.next()).await;
    let hello = match first {
        Ok(Some(Ok(frame))) => frame::hello_from_frame(frame),
        Ok(Some(Err(status))) => return Err(DialError::Other(status.to_string())),
        Ok(None) | Err(_) => return Err(DialError::Other("no hello".into())),
    };
    let hello = hello.map_err(|error| DialError::Other(error.to_string()))?;
    if hello.id != peer {
        return Err(DialError::Rejected(format!(
            "replica {} answers at {address}, the address of replica {peer}: check the lists",
            hello.id
        )));
    }
    run_session(context, hello, Outgoing { frames }, true, incoming).await;
    Ok(())
}

/// Looks for "connection refused" behind what the transport says.
fn classify(error: tonic::transport::Error) -> DialError {
    let mut source: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>()
            && io.kind() == io::ErrorKind::ConnectionRefused
        {
            return DialError::Refused;
        }
        source = cause.source();
    }
    DialError::Other(format!("{error:?}"))
}
