//! The services that clients and operators call: thin tonic services over the handle to the driver, the readers
//! of the store and the fan-out. They hold no replicated state and never step the core.

mod accounts;
mod blocks;
mod caller;
mod chat;
mod cluster;
mod command_refusals;
mod conversations;
mod convert;
mod export;
mod intake;
mod levels;
mod markers;
mod membership;
mod mentions;
mod message_changes;
mod messages;
mod methods;
mod page;
mod passwords;
mod pins;
mod presence;
mod profiles;
mod recover;
mod refusals;
mod responses;
mod rooms;
mod scopes;
mod search;
mod sends;
mod sessions;
mod state;
mod status;
mod stop;
mod subscribe;
mod tokens;

#[cfg(test)]
mod tests;

use std::{convert::Infallible, future::Future, io, sync::Arc, time::Duration};

use tercet_store::{Readers, search::SearchThread};
use tokio::{net::TcpListener, sync::watch};
use tonic::transport::Server;
use tonic_health::{ServingStatus, server::HealthReporter};
use tonic_web::GrpcWebLayer;
use tower::util::MapResponseLayer;

use self::{
    chat::Chat, cluster::Cluster, intake::IntakeLayer, methods::Methods, presence::Presence,
};
use crate::{
    auth::{SessionCache, admin::AdminToken, limits::RateLimits, password::Passwords},
    checkpoints::Checkpoints,
    cluster_clock::ClusterClock,
    fanout::{Ended, Fanout},
    handle::{Handle, ReplicaStatus},
    net::{self, Limits},
    programs::Programs,
    shutdown::Stopper,
};

/// Bytes of a request. The largest holds 100 messages of 16 KiB.
const REQUEST_BYTES_MAX: usize = 2 << 20;
/// The time in which a request, or one message of a stream, must arrive.
const BODY_TIME_MAX: Duration = Duration::from_secs(20);
/// Concurrent calls on one connection; its client has more of them wait. The calls of one connection that are
/// under way have their turn before the next call of another.
const CONNECTION_CALLS_MAX: u32 = 1_024;
/// Bytes of one call that may arrive before a service reads them.
const STREAM_WINDOW_BYTES: u32 = 64 << 10;
/// The interval of HTTP/2 pings on an idle connection. Without an answer it is closed, so that the
/// subscriptions of a client that is gone no longer count as connected.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// The time that open calls have to finish at a stop.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// The parts that the services need.
pub struct Services {
    pub handle: Handle,
    pub readers: Readers,
    /// The thread that searches messages.
    pub search: SearchThread,
    /// The threads that run programs beside state.
    pub programs: Programs,
    /// The subscriptions, fed by the driver's reports.
    pub fanout: Fanout,
    /// The session cache. Reports remove ended sessions; the driver clears it when the lead changes.
    pub sessions: SessionCache,
    /// Whether this replica leads and serves, see [`serving`].
    pub serving: watch::Receiver<bool>,
    /// The state-hash marks; the driver passes the snapshots.
    pub checkpoints: Checkpoints,
    pub passwords: Passwords,
    /// Limits on registrations and guessed passwords.
    pub limits: RateLimits,
    /// The token of operators' calls.
    pub admin: AdminToken,
    /// The time for which a login session is valid.
    pub session_ttl: Duration,
    /// The time by which sessions end. The driver sets it.
    pub clock: ClusterClock,
    /// Stops this replica.
    pub stopper: Stopper,
    /// Limits on clients' connections.
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
            search: self.search,
            programs: self.programs,
            fanout: self.fanout,
            sessions: self.sessions,
            passwords: self.passwords,
            limits: self.limits,
            session_ttl: self.session_ttl,
            clock: self.clock,
            presence: Presence::default(),
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

/// Serves clients on `listener` until `shutdown` resolves and open calls have finished, or were cut off a
/// little later.
///
/// Health: the server as a whole and `ClusterService` are healthy from here to the stop, on every replica;
/// `ChatService` is healthy while this replica leads.
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
    let telling = chat.clone().tell_of_presence();
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
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .trace_fn(|request| {
            let path = request.uri().path();
            tracing::debug!(path, "call");
            tracing::debug_span!("rpc", path)
        })
        .layer(IntakeLayer::new())
        .layer(GrpcWebLayer::new())
        .layer(MapResponseLayer::new(refusals::explain))
        .add_service(methods::Server::new(cluster))
        .add_service(methods::Server::new(chat))
        .add_service(health_service)
        .add_service(reflection)
        .serve_with_incoming_shutdown(net::accept(listener, connections), async {
            // An error has the same effect: this function is being dropped.
            let _ = draining.await;
        });
    tokio::pin!(server);
    tokio::select! {
        served = &mut server => return Ok(served?),
        never = report_health(&health, serving) => match never {},
        never = telling => match never {},
        () = shutdown => {}
    }
    stop_health(health).await;
    // Streams do not end by themselves, and a graceful shutdown waits for them.
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

const CHAT: &str = <Chat as Methods>::NAME;
const CLUSTER: &str = <Cluster as Methods>::NAME;

/// Makes a receiver of whether this replica serves. The full status changes with every write, which would wake
/// the other thread each time. Runs on the driver's thread.
pub(crate) fn serving(mut status: watch::Receiver<Arc<ReplicaStatus>>) -> watch::Receiver<bool> {
    let (sender, serving) = watch::channel(status.borrow_and_update().serving);
    tokio::spawn(async move {
        while status.changed().await.is_ok() {
            let now = status.borrow_and_update().serving;
            sender.send_if_modified(|serving| std::mem::replace(serving, now) != now);
        }
    });
    serving
}

/// Sets the health of `ChatService` whenever the replica begins or stops serving.
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

/// Sets all services to not serving, and ends the streams that watch health.
async fn stop_health(mut health: HealthReporter) {
    for service in ["", CLUSTER, CHAT] {
        health
            .set_service_status(service, ServingStatus::NotServing)
            .await;
        health.clear_service_status(service).await;
    }
}
