//! What clients and operators call: thin tonic services over the handle to the driver, the
//! readers of the store and the fan-out. Holds no replicated state and never sees the core.

mod accounts;
mod caller;
mod chat;
mod cluster;
mod convert;
mod membership;
mod messages;
mod page;
mod passwords;
mod recover;
mod refusals;
mod sends;
mod status;
mod stop;
mod subscribe;

#[cfg(test)]
mod tests;

use std::{convert::Infallible, future::Future, io, sync::Arc, time::Duration};

use tercet_proto::v1::{
    chat_service_server::ChatServiceServer, cluster_service_server::ClusterServiceServer,
};
use tokio::{net::TcpListener, sync::watch};
use tonic::{server::NamedService, transport::Server};
use tonic_health::{ServingStatus, server::HealthReporter};
use tonic_web::GrpcWebLayer;
use tower::util::MapResponseLayer;

use self::{chat::Chat, cluster::Cluster};
use crate::{
    auth::{SessionCache, admin::AdminToken, limits::RateLimits, password::Passwords},
    checkpoints::Checkpoints,
    cluster_clock::ClusterClock,
    fanout::{Ended, Fanout},
    handle::{Handle, ReplicaStatus},
    net::{self, Limits},
    shutdown::Stopper,
    store::Readers,
};

/// Bytes of a request. The largest is 100 messages of 16 KiB.
const REQUEST_BYTES_MAX: usize = 2 << 20;
/// Calls at once on one connection.
const CONNECTION_CALLS_MAX: u32 = 4_096;
/// A connection without traffic is asked for a sign of life this often, and given up after the
/// timeout: the streams of a client that is gone count as connected no longer.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Between asking calls to finish and cutting them off.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// Everything that the services need.
pub struct Services {
    pub handle: Handle,
    pub readers: Readers,
    /// What happens is published to it, as the driver reports it.
    pub fanout: Fanout,
    /// Hears what ended as the driver reports it, and from the driver when the lead changed.
    pub sessions: SessionCache,
    /// Whether this replica leads and serves, see [`serving`].
    pub serving: watch::Receiver<bool>,
    /// The driver hands it the snapshots.
    pub checkpoints: Checkpoints,
    pub passwords: Passwords,
    /// On registering and guessing.
    pub limits: RateLimits,
    /// What operators must show.
    pub admin: AdminToken,
    /// How long a session is good.
    pub session_ttl: Duration,
    /// The time that sessions end by. The driver sets it.
    pub clock: ClusterClock,
    /// Stops this replica.
    pub stopper: Stopper,
    /// How many connections clients may have.
    pub(crate) connections: Limits,
}

impl Services {
    fn into_parts(self) -> io::Result<(Cluster, Chat)> {
        let cluster = Cluster::new(
            self.handle.clone(),
            self.readers.clone(),
            self.checkpoints,
            self.admin,
            self.stopper,
            self.clock.clone(),
        );
        let chat = Chat {
            handle: self.handle,
            reads: self.readers.start_threads()?,
            fanout: self.fanout,
            sessions: self.sessions,
            passwords: self.passwords,
            limits: self.limits,
            session_ttl: self.session_ttl,
            clock: self.clock,
        };
        Ok((cluster, chat))
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("serve clients: {0}")]
    Transport(#[from] tonic::transport::Error),
    #[error("describe the services: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    #[error("start a thread: {0}")]
    Thread(io::Error),
}

/// Serves clients on `listener` until `shutdown` resolves and what is running has finished, or
/// was cut off a little later.
///
/// Health: the server as a whole and `ClusterService` serve from here to the stop, at every
/// replica; `ChatService` serves while this replica leads.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    services: Services,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let serving = services.serving.clone();
    let fanout = services.fanout.clone();
    let connections = services.connections;
    let (cluster, chat) = services.into_parts().map_err(ServeError::Thread)?;
    let (health, health_service) = tonic_health::server::health_reporter();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(tercet_proto::PUBLIC_DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;

    let (drain, draining) = tokio::sync::oneshot::channel::<()>();
    let server = Server::builder()
        .accept_http1(true)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_concurrent_streams(CONNECTION_CALLS_MAX)
        .trace_fn(|request| {
            let path = request.uri().path();
            tracing::debug!(path, "call");
            tracing::debug_span!("rpc", path)
        })
        .layer(GrpcWebLayer::new())
        .layer(MapResponseLayer::new(refusals::explain))
        .add_service(
            ClusterServiceServer::new(cluster).max_decoding_message_size(REQUEST_BYTES_MAX),
        )
        .add_service(ChatServiceServer::new(chat).max_decoding_message_size(REQUEST_BYTES_MAX))
        .add_service(health_service)
        .add_service(reflection)
        .serve_with_incoming_shutdown(net::accept(listener, connections), async {
            // An error is as good: this function is being dropped.
            let _ = draining.await;
        });
    tokio::pin!(server);
    tokio::select! {
        served = &mut server => return Ok(served?),
        never = report_health(&health, serving) => match never {},
        () = shutdown => {}
    }
    stop_health(health).await;
    // Streams have no end of their own, and a graceful shutdown waits for them.
    fanout.close_all(Ended::Stopping);
    let _ = drain.send(());
    match tokio::time::timeout(DRAIN_MAX, server).await {
        Ok(served) => Ok(served?),
        Err(_) => {
            tracing::info!("calls were cut off: they did not finish in time");
            Ok(())
        }
    }
}

const CHAT: &str = ChatServiceServer::<Chat>::NAME;
const CLUSTER: &str = ClusterServiceServer::<Cluster>::NAME;

/// Whether this replica serves, as a value that changes only when that does. The standing moves with every
/// write, and whoever waits on another thread should not be woken for that. For the thread of the driver.
pub(crate) fn serving(mut standing: watch::Receiver<Arc<ReplicaStatus>>) -> watch::Receiver<bool> {
    let (sender, serving) = watch::channel(standing.borrow_and_update().serving);
    tokio::spawn(async move {
        while standing.changed().await.is_ok() {
            let now = standing.borrow_and_update().serving;
            sender.send_if_modified(|serving| std::mem::replace(serving, now) != now);
        }
    });
    serving
}

/// Follows whether the replica serves, without end.
async fn report_health(health: &HealthReporter, mut serving: watch::Receiver<bool>) -> Infallible {
    let of = |serving| match serving {
        true => ServingStatus::Serving,
        false => ServingStatus::NotServing,
    };
    health.set_service_status(CLUSTER, of(true)).await;
    loop {
        let leads = *serving.borrow_and_update();
        health.set_service_status(CHAT, of(leads)).await;
        if serving.changed().await.is_err() {
            // The driver is gone: the process is about to stop.
            health.set_service_status(CHAT, of(false)).await;
            return std::future::pending().await;
        }
    }
}

/// Tells whoever watches that the end has come, and ends their streams.
async fn stop_health(mut health: HealthReporter) {
    for service in ["", CLUSTER, CHAT] {
        health
            .set_service_status(service, ServingStatus::NotServing)
            .await;
        health.clear_service_status(service).await;
    }
}
