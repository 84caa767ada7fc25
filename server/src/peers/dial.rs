//! Dialling a lower-numbered replica, and probing a higher-numbered one until it dials.

use std::{error::Error, io, time::Duration};

use tercet_core::id::ReplicaId;
use tercet_proto::peer::{
    DescribeLogRequest, ExchangeRequest, FetchSnapshotRequest, FetchSnapshotResponse,
    peer_service_client::PeerServiceClient,
};
use tokio::{
    net::TcpStream,
    sync::mpsc,
    time::{self, Instant},
};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::{
    Request, Streaming,
    metadata::MetadataValue,
    transport::{Channel, Endpoint},
};

use super::{LinkContext, LinkEvent, Outgoing, QUEUE_MAX, frame, run_session};
use crate::{store::Lineage, wire::lineage_from_wire};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const HELLO_TIMEOUT: Duration = Duration::from_secs(1);
/// The other looks at all of its log.
const LINEAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a higher-numbered replica may be there without dialling before this one dials.
const PATIENCE: Duration = Duration::from_secs(1);

/// Pauses between attempts: short right after a session ended, when evidence is wanted; then
/// longer, and longest with a peer that has no use for this replica.
struct Backoff(Duration);

impl Backoff {
    const FIRST: Duration = Duration::from_millis(2);
    const LONGEST: Duration = Duration::from_millis(64);
    const UNWANTED: Duration = Duration::from_millis(250);

    async fn pause(&mut self) {
        time::sleep(self.0).await;
        self.0 = (2 * self.0).min(Backoff::LONGEST);
    }
}

/// Whether this replica dials the other, rather than wait for it to dial: the higher-numbered
/// does, and the lower-numbered once the other is `there` for long and has not.
fn dials(id: ReplicaId, peer: ReplicaId, there: Option<Duration>) -> bool {
    peer < id || there.is_some_and(|there| there >= PATIENCE)
}

/// Brings about a session with `peer`, or tells that it is dead, for as long as the driver wants.
pub(crate) async fn seek(context: LinkContext, peer: ReplicaId) {
    let mut backoff = Backoff(Backoff::FIRST);
    // Since when the peer's address takes connections, without a session.
    let mut there: Option<Instant> = None;
    while !context.events.is_closed() {
        let attempt = match dials(context.id, peer, there.map(|since| since.elapsed())) {
            true => connect(&context, peer).await,
            false => probe(&context, peer).await,
        };
        match attempt {
            Ok(Attempt::There) => _ = there.get_or_insert_with(Instant::now),
            Ok(Attempt::Session { heard: true }) => {
                backoff = Backoff(Backoff::FIRST);
                there = None;
            }
            Ok(Attempt::Session { heard: false }) => backoff = Backoff(Backoff::UNWANTED),
            Err(DialError::Refused) => {
                there = None;
                let refused = LinkEvent::Refused { peer };
                if context.events.send(refused).await.is_err() {
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

/// What came of an attempt that did not fail.
enum Attempt {
    /// The address takes connections.
    There,
    /// A session stood, and has ended.
    Session {
        /// Whether the peer said anything in it.
        heard: bool,
    },
}

/// Sees whether the address of `peer` takes connections.
async fn probe(context: &LinkContext, peer: ReplicaId) -> Result<Attempt, DialError> {
    let address = address(context, peer)?;
    let attempt = time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
    match attempt {
        Ok(Ok(_)) => Ok(Attempt::There),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Err(DialError::Refused)
        }
        Ok(Err(error)) => Err(DialError::Other(error.to_string())),
        Err(_) => Err(DialError::Other("no answer".into())),
    }
}

fn address(context: &LinkContext, peer: ReplicaId) -> Result<String, DialError> {
    let addresses = context.addresses.borrow();
    let known = addresses.get(&peer).cloned();
    known.ok_or(DialError::Other("no address is known".into()))
}

enum DialError {
    Refused,
    Rejected(String),
    Other(String),
}

/// One session, from the connection to its end.
async fn connect(context: &LinkContext, peer: ReplicaId) -> Result<Attempt, DialError> {
    let address = address(context, peer)?;
    let channel = open(&address).await?;
    let (frames, queue) = mpsc::channel(QUEUE_MAX);
    let hello = context.hello.borrow().clone();
    frames
        .try_send(frame::hello_to_frame(&hello, &context.me))
        .map_err(|_| DialError::Other("queue".into()))?;
    let outgoing = ReceiverStream::new(queue).map(|frame| ExchangeRequest { frame: Some(frame) });
    let mut request = Request::new(outgoing);
    show_secret(context, &mut request)?;
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
    let (hello, at) = hello.map_err(|error| DialError::Other(error.to_string()))?;
    if hello.id != peer {
        return Err(DialError::Rejected(format!(
            "replica {} answers at {address}, the address of replica {peer}: check the lists",
            hello.id
        )));
    }
    let outgoing = Outgoing { frames };
    let heard = run_session(context, (hello, at), outgoing, true, incoming).await;
    Ok(Attempt::Session { heard })
}

async fn open(address: &str) -> Result<Channel, DialError> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|error| DialError::Other(error.to_string()))?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(8 << 20);
    endpoint.connect().await.map_err(classify)
}

fn show_secret<T>(context: &LinkContext, request: &mut Request<T>) -> Result<(), DialError> {
    let bearer: MetadataValue<_> = format!("Bearer {}", context.secret).parse().map_err(|_| {
        DialError::Other("the peer secret has characters that cannot be sent".into())
    })?;
    request.metadata_mut().insert("authorization", bearer);
    Ok(())
}

/// A request for a snapshot, on a connection of its own: what the session carries must not wait.
pub(super) async fn ask_snapshot(
    context: &LinkContext,
    peer: ReplicaId,
    request: FetchSnapshotRequest,
) -> Result<Streaming<FetchSnapshotResponse>, String> {
    let (mut client, request) = prepare(context, peer, request).await?;
    let answer = client.fetch_snapshot(request).await;
    let answer = answer.map_err(|status| status.message().to_owned())?;
    Ok(answer.into_inner())
}

/// Asks what the log of `peer` is made of.
///
/// # Errors
/// Why there is no answer, in words.
pub(crate) async fn ask_lineage(context: &LinkContext, peer: ReplicaId) -> Result<Lineage, String> {
    let asked = async {
        let (mut client, request) = prepare(context, peer, DescribeLogRequest {}).await?;
        let answer = client.describe_log(request).await;
        let answer = answer.map_err(|status| status.message().to_owned())?;
        lineage_from_wire(answer.into_inner()).map_err(|error| error.to_string())
    };
    let answer = time::timeout(LINEAGE_TIMEOUT, asked).await;
    answer.unwrap_or_else(|_| Err("no answer".into()))
}

/// A connection for one call, and what is said on it.
async fn prepare<T>(
    context: &LinkContext,
    peer: ReplicaId,
    message: T,
) -> Result<(PeerServiceClient<Channel>, Request<T>), String> {
    let prepared = async {
        let channel = open(&address(context, peer)?).await?;
        let mut request = Request::new(message);
        show_secret(context, &mut request)?;
        Ok((PeerServiceClient::new(channel), request))
    };
    prepared.await.map_err(|error: DialError| match error {
        DialError::Refused => "connection refused".into(),
        DialError::Rejected(why) | DialError::Other(why) => why,
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_higher_numbered_dials_and_the_lower_numbered_once_that_fails_to() {
        let (low, high) = (ReplicaId(1), ReplicaId(2));
        assert!(dials(high, low, None));
        assert!(!dials(low, high, None));
        assert!(!dials(low, high, Some(PATIENCE / 2)));
        assert!(dials(low, high, Some(PATIENCE)));
    }
}
