//! The gRPC service that other replicas dial.

use std::{pin::Pin, sync::Arc, time::Duration};

use tercet_proto::{
    peer::peer_service_server::{PeerService, PeerServiceServer},
    peer::{
        ClusterReplica, DescribeClusterRequest, DescribeClusterResponse, DescribeLogRequest,
        DescribeLogResponse, ExchangeRequest, ExchangeResponse, FetchSnapshotRequest,
        FetchSnapshotResponse,
    },
};
use tercet_store::{Readers, wire::id_to_wire};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::spawn_blocking,
    time,
};
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming, transport::Server};

use super::{
    LinkContext, Outgoing, QUEUE_MAX, connection, frame, handshake::Proven, run_session, snapshot,
};
use crate::{handle::ReplicaStatus, snapshots::SnapshotCache};

const HELLO_TIMEOUT: Duration = Duration::from_secs(1);

/// The data that the service answers from, beside the sessions.
pub(crate) struct Sources {
    pub(crate) snapshot_cache: SnapshotCache,
    pub(crate) readers: Readers,
    pub(crate) status: watch::Receiver<Arc<ReplicaStatus>>,
}

/// Accepts sessions until the process ends.
///
/// # Errors
/// When the listener fails.
pub(crate) async fn serve(
    listener: TcpListener,
    context: LinkContext,
    sources: Sources,
) -> Result<(), tonic::transport::Error> {
    let (accepted, incoming) = mpsc::channel(1);
    let server = Server::builder()
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(8 << 20)
        .add_service(PeerServiceServer::new(Listener {
            context: context.clone(),
            sources,
        }))
        .serve_with_incoming(ReceiverStream::new(incoming));
    tokio::select! {
        served = server => served,
        () = connection::accept_all(listener, &context, accepted) => Ok(()),
    }
}

struct Listener {
    context: LinkContext,
    sources: Sources,
}

#[tonic::async_trait]
impl PeerService for Listener {
    type ExchangeStream = Pin<Box<dyn Stream<Item = Result<ExchangeResponse, Status>> + Send>>;

    async fn exchange(
        &self,
        request: Request<Streaming<ExchangeRequest>>,
    ) -> Result<Response<Self::ExchangeStream>, Status> {
        let peer = peer(&request)?;
        let (frames, queue) = mpsc::channel(QUEUE_MAX);
        frames
            .try_send(self.context.hello_frame())
            .map_err(|_| Status::internal("queue"))?;
        let context = self.context.clone();
        let incoming = request.into_inner();
        tokio::spawn(async move { accept(context, peer, incoming, Outgoing { frames }).await });
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
        self.is_of_this_cluster(&request)?;
        let parts = snapshot::send(&self.sources.snapshot_cache, request.into_inner()).await?;
        Ok(Response::new(Box::pin(parts)))
    }

    async fn describe_log(
        &self,
        request: Request<DescribeLogRequest>,
    ) -> Result<Response<DescribeLogResponse>, Status> {
        self.is_of_this_cluster(&request)?;
        let readers = self.sources.readers.clone();
        let lineage = spawn_blocking(move || readers.lineage()).await;
        let lineage = lineage.map_err(|error| Status::internal(error.to_string()))?;
        let lineage = lineage.map_err(|error| Status::internal(error.to_string()))?;
        Ok(Response::new(lineage.to_wire()))
    }

    async fn describe_cluster(
        &self,
        request: Request<DescribeClusterRequest>,
    ) -> Result<Response<DescribeClusterResponse>, Status> {
        self.is_of_this_cluster(&request)?;
        let status = self.sources.status.borrow().clone();
        let replicas = status.roster.iter().map(|(id, at)| ClusterReplica {
            replica_id: id.0,
            address: at.address.clone(),
            peer_address: at.peer_address.clone(),
        });
        Ok(Response::new(DescribeClusterResponse {
            cluster_id: status.cluster.map(id_to_wire).unwrap_or_default(),
            leader_id: status.leader.map_or(0, |leader| leader.0),
            applied_lsn: status.applied.0,
            replicas: replicas.collect(),
        }))
    }
}

impl Listener {
    fn is_of_this_cluster<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let ours = self.context.hello.borrow().cluster;
        match (peer(request)?.cluster, ours) {
            (Some(theirs), Some(ours)) if theirs != ours => Err(Status::failed_precondition(
                "this replica belongs to another cluster",
            )),
            _ => Ok(()),
        }
    }
}

/// Gives the replica that proved its identity in the handshake.
fn peer<T>(request: &Request<T>) -> Result<Proven, Status> {
    let peer = request.extensions().get::<Proven>().copied();
    peer.ok_or_else(|| Status::unauthenticated("the connection has no handshake"))
}

async fn accept(
    context: LinkContext,
    peer: Proven,
    incoming: Streaming<ExchangeRequest>,
    outgoing: Outgoing,
) {
    let mut incoming = incoming
        .map(|request| request.and_then(|r| r.frame.ok_or(Status::invalid_argument("no frame"))));
    let first = time::timeout(HELLO_TIMEOUT, incoming.next()).await;
    let Ok(Some(Ok(frame))) = first else {
        return;
    };
    let introduction = match frame::hello_from_frame(frame) {
        Ok(introduction) => introduction,
        Err(error) => return tracing::warn!(%error, "malformed hello: session closed"),
    };
    if introduction.hello.id == context.id {
        return tracing::warn!("a replica with this one's own id dialled it: session closed");
    }
    if introduction.hello.id != peer.id {
        return tracing::warn!(
            "replica {} dialled, and said in its hello that it is replica {}: session closed",
            peer.id,
            introduction.hello.id
        );
    }
    run_session(&context, introduction, outgoing, false, incoming).await;
}
