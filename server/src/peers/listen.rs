//! The service that other replicas dial.

use std::{pin::Pin, time::Duration};

use subtle::ConstantTimeEq as _;
use tercet_proto::peer::{
    DescribeLogRequest, DescribeLogResponse, ExchangeRequest, ExchangeResponse,
    FetchSnapshotRequest, FetchSnapshotResponse,
    peer_service_server::{PeerService, PeerServiceServer},
};
use tokio::{net::TcpListener, sync::mpsc, task::spawn_blocking, time};
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
use tonic::{
    Request, Response, Status, Streaming,
    metadata::MetadataMap,
    transport::{Server, server::TcpIncoming},
};

use super::{LinkContext, Outgoing, QUEUE_MAX, frame, run_session, snapshot};
use crate::{snapshots::Shelf, store::Readers, wire::lineage_to_wire};

const HELLO_TIMEOUT: Duration = Duration::from_secs(1);

/// Accepts sessions until the process ends.
///
/// # Errors
/// When the listener fails.
pub(crate) async fn serve(
    listener: TcpListener,
    context: LinkContext,
    shelf: Shelf,
    readers: Readers,
) -> Result<(), tonic::transport::Error> {
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Server::builder()
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(8 << 20)
        .add_service(PeerServiceServer::new(Listener {
            context,
            shelf,
            readers,
        }))
        .serve_with_incoming(incoming)
        .await
}

struct Listener {
    context: LinkContext,
    shelf: Shelf,
    readers: Readers,
}

#[tonic::async_trait]
impl PeerService for Listener {
    type ExchangeStream = Pin<Box<dyn Stream<Item = Result<ExchangeResponse, Status>> + Send>>;

    async fn exchange(
        &self,
        request: Request<Streaming<ExchangeRequest>>,
    ) -> Result<Response<Self::ExchangeStream>, Status> {
        self.authenticate(request.metadata())?;
        let (frames, queue) = mpsc::channel(QUEUE_MAX);
        let hello = self.context.hello.borrow().clone();
        frames
            .try_send(frame::hello_to_frame(&hello, &self.context.me))
            .map_err(|_| Status::internal("queue"))?;
        let context = self.context.clone();
        let incoming = request.into_inner();
        tokio::spawn(async move { accept(context, incoming, Outgoing { frames }).await });
        let outgoing =
            ReceiverStream::new(queue).map(|frame| Ok(ExchangeResponse { frame: Some(frame) }));
        Ok(Response::new(Box::pin(outgoing)))
    }

    type FetchSnapshotStream =
        Pin<Box<dyn Stream<Item = Result<FetchSnapshotResponse, Status>> + Send>>;

    async fn fetch_snapshot(
        &self,
        request: Request<FetchSnapshotRequest>,
    ) -> Result<Response<Self::FetchSnapshotStream>, Status> {
        self.authenticate(request.metadata())?;
        let parts = snapshot::send(&self.shelf, request.into_inner()).await?;
        Ok(Response::new(Box::pin(parts)))
    }

    async fn describe_log(
        &self,
        request: Request<DescribeLogRequest>,
    ) -> Result<Response<DescribeLogResponse>, Status> {
        self.authenticate(request.metadata())?;
        let readers = self.readers.clone();
        let lineage = spawn_blocking(move || readers.lineage()).await;
        let lineage = lineage.map_err(|error| Status::internal(error.to_string()))?;
        let lineage = lineage.map_err(|error| Status::internal(error.to_string()))?;
        Ok(Response::new(lineage_to_wire(&lineage)))
    }
}

impl Listener {
    fn authenticate(&self, metadata: &MetadataMap) -> Result<(), Status> {
        let expected = format!("Bearer {}", self.context.secret);
        let shown = metadata.get("authorization").map(|value| value.as_bytes());
        let same = shown.is_some_and(|shown| shown.ct_eq(expected.as_bytes()).into());
        match same {
            true => Ok(()),
            false => Err(Status::unauthenticated(
                "the peer secrets differ: give all replicas the same one",
            )),
        }
    }
}

async fn accept(context: LinkContext, incoming: Streaming<ExchangeRequest>, outgoing: Outgoing) {
    let mut incoming = incoming
        .map(|request| request.and_then(|r| r.frame.ok_or(Status::invalid_argument("no frame"))));
    let first = time::timeout(HELLO_TIMEOUT, incoming.next()).await;
    let Ok(Some(Ok(frame))) = first else {
        return;
    };
    let hello = match frame::hello_from_frame(frame) {
        Ok(hello) => hello,
        Err(error) => return tracing::warn!(%error, "malformed hello: session closed"),
    };
    if hello.0.id == context.id {
        return tracing::warn!("a replica with this one's own id dialled it: session closed");
    }
    run_session(&context, hello, outgoing, false, incoming).await;
}
