//! Dialling a lower-numbered replica, and probing a higher-numbered one until it dials.

use std::{
    io,
    time::{Duration, Instant},
};

use tercet_core::id::ReplicaId;
use tercet_proto::peer::{
    DescribeLogRequest, ExchangeRequest, FetchSnapshotRequest, FetchSnapshotResponse,
    peer_service_client::PeerServiceClient,
};
use tercet_store::Lineage;
use tokio::{net::TcpStream, sync::mpsc, time};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::{Request, Streaming, transport::Channel};

use super::{
    LinkContext, LinkEvent, Outgoing, QUEUE_MAX,
    connection::{self, CONNECT_TIMEOUT, DialError},
    frame,
    places::{Place, Search, Source},
    run_session,
};
use crate::log_limit::LogLimit;

const HELLO_TIMEOUT: Duration = Duration::from_secs(1);
/// The time for the peer to read its whole log.
const LINEAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// The time for which a higher-numbered replica may be up without dialling before this replica dials.
const PATIENCE: Duration = Duration::from_secs(1);

/// The pause between attempts: short right after a session ended, when evidence is needed; then longer, and
/// longest for a peer that does not use sessions with this replica.
struct Backoff(Duration);

impl Backoff {
    const FIRST: Duration = Duration::from_micros(500);
    const LONGEST: Duration = Duration::from_millis(64);
    const UNWANTED: Duration = Duration::from_millis(250);

    async fn pause(&mut self) {
        time::sleep(self.0).await;
        self.0 = (2 * self.0).min(Backoff::LONGEST);
    }
}

/// Tells whether this replica dials the peer: the higher-numbered replica does, and the lower-numbered once the
/// peer has been up (`there`) for [`PATIENCE`] without dialling.
fn dials(id: ReplicaId, peer: ReplicaId, there: Option<Duration>) -> bool {
    peer < id || there.is_some_and(|there| there >= PATIENCE)
}

/// Opens a session with `peer`, or reports that it is dead, until the driver aborts the task. Tries each
/// address that the peer may have in turn.
pub(crate) async fn dial(context: LinkContext, peer: ReplicaId) {
    let mut backoff = Backoff(Backoff::FIRST);
    let mut search = Search::new(Instant::now());
    let rejections = LogLimit::default();
    while !context.events.is_closed() {
        let places = context.places.borrow().of(peer);
        if let Some(place) = search.next(&places, Instant::now()) {
            let there = search.there(&place, Instant::now());
            let attempt = match dials(context.id, peer, there) {
                true => {
                    let several = !search.is_last(&place, &places);
                    connect(&context, peer, &place, several).await
                }
                false => probe(&place).await,
            };
            match attempt {
                Ok(Attempt::There) => search.is_there(&place, Instant::now()),
                Ok(Attempt::Session { heard: true }) => {
                    backoff = Backoff(Backoff::FIRST);
                    search = Search::new(Instant::now());
                }
                Ok(Attempt::Session { heard: false }) => {
                    backoff = Backoff(Backoff::UNWANTED);
                    search = Search::new(Instant::now());
                }
                Err(error) => {
                    tracing::debug!(%peer, %error, address = place.address, "dial");
                    let refused = matches!(error, DialError::Refused);
                    search.failed(&place, refused, error.to_string());
                    let told = refused && place.source == Source::Announced;
                    if search.is_refused(&places) {
                        let refused = LinkEvent::Refused { peer, told };
                        if context.events.send(refused).await.is_err() {
                            return;
                        }
                    }
                    if let DialError::Rejected(error) = error {
                        if rejections.allows(error.clone()) {
                            tracing::warn!(%peer, "no session: {error}");
                        }
                        backoff = Backoff(Backoff::UNWANTED);
                    }
                }
            }
        }
        if let Some(report) = search.report(peer, &places, Instant::now()) {
            tracing::warn!("{report}");
        }
        backoff.pause().await;
    }
}

/// The result of an attempt that did not fail.
enum Attempt {
    /// The address takes connections.
    There,
    /// A session was established and has ended.
    Session {
        /// Whether the peer sent a frame in it.
        heard: bool,
    },
}

/// Tests whether an address accepts connections.
async fn probe(place: &Place) -> Result<Attempt, DialError> {
    let attempt = time::timeout(CONNECT_TIMEOUT, TcpStream::connect(&place.address)).await;
    match attempt {
        Ok(Ok(_)) => Ok(Attempt::There),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Err(DialError::Refused)
        }
        Ok(Err(error)) => Err(DialError::Other(error.to_string())),
        Err(_) => Err(DialError::Other("no answer".into())),
    }
}

/// Runs one session, from the connection to its end. With `several` candidate addresses, the peer must prove
/// that it belongs to this replica's cluster.
async fn connect(
    context: &LinkContext,
    peer: ReplicaId,
    place: &Place,
    several: bool,
) -> Result<Attempt, DialError> {
    let channel = connection::dial(&context.identity(), peer, &place.address).await?;
    let (frames, queue) = mpsc::channel(QUEUE_MAX);
    frames
        .try_send(context.hello_frame())
        .map_err(|_| DialError::Other("queue".into()))?;
    let outgoing = ReceiverStream::new(queue).map(|frame| ExchangeRequest { frame: Some(frame) });
    let mut client = PeerServiceClient::new(channel);
    let opened = time::timeout(HELLO_TIMEOUT, client.exchange(outgoing)).await;
    let response = opened.map_err(|_| DialError::Other("no answer".into()))?;
    let response = response.map_err(|status| match status.code() {
        tonic::Code::FailedPrecondition => DialError::Rejected(status.message().into()),
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
    let introduction = hello.map_err(|error| DialError::Other(error.to_string()))?;
    let hello = &introduction.hello;
    if hello.id != peer {
        return Err(DialError::Rejected(format!(
            "replica {} answers at {place}, where replica {peer} should be: check the lists",
            hello.id
        )));
    }
    let ours = context.hello.borrow().cluster;
    let foreign = ours.is_some() && hello.cluster.is_some() && hello.cluster != ours;
    if several && foreign && place.source != Source::Announced {
        return Err(DialError::Rejected(format!(
            "a replica {peer} of another cluster answers at {place}: check the lists"
        )));
    }
    let outgoing = Outgoing { frames };
    let heard = run_session(context, introduction, outgoing, true, incoming).await;
    Ok(Attempt::Session { heard })
}

/// Requests a snapshot on a connection of its own, so that frames of the session do not wait behind it.
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

/// Asks for the lineage of the log of `peer`.
///
/// # Errors
/// The reason why there is no answer, in words.
pub(crate) async fn ask_lineage(context: &LinkContext, peer: ReplicaId) -> Result<Lineage, String> {
    let asked = async {
        let (mut client, request) = prepare(context, peer, DescribeLogRequest {}).await?;
        let answer = client.describe_log(request).await;
        let answer = answer.map_err(|status| status.message().to_owned())?;
        Lineage::from_wire(answer.into_inner()).map_err(|error| error.to_string())
    };
    let answer = time::timeout(LINEAGE_TIMEOUT, asked).await;
    answer.unwrap_or_else(|_| Err("no answer".into()))
}

/// Makes a connection and a request for one call.
async fn prepare<T>(
    context: &LinkContext,
    peer: ReplicaId,
    message: T,
) -> Result<(PeerServiceClient<Channel>, Request<T>), String> {
    let prepared = async {
        let places = context.places.borrow().of(peer);
        let place = places.first();
        let place = place.ok_or(DialError::Other("no address is known".into()))?;
        let channel = connection::dial(&context.identity(), peer, &place.address).await?;
        Ok((PeerServiceClient::new(channel), Request::new(message)))
    };
    prepared.await.map_err(|error: DialError| error.to_string())
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
