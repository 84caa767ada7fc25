//! The thread that serves clients, with a runtime of its own. The driver and the links to the other
//! replicas stay on the thread that started it: leases and heartbeats do not wait for clients. Knows
//! nothing of what is served.

use std::{future::Future, io, net::TcpListener as StdListener, thread, time::Duration};

use tokio::{net::TcpListener, runtime::Builder, sync::oneshot};

use crate::{
    auth::SessionCache,
    fanout::Fanout,
    proposals::Proposals,
    reports::Reported,
    rpc::{self, ServeError, Services},
};

/// What still runs when the services have ended is waited for at most this long.
const SHUTDOWN_MAX: Duration = Duration::from_millis(100);

/// The services for clients, running.
pub(crate) struct Clients {
    /// Resolves when the services have ended; without a value, when their thread panicked. Dropped, it ends
    /// them.
    pub(crate) end: oneshot::Receiver<Result<(), ServeError>>,
    thread: thread::JoinHandle<()>,
}

impl Clients {
    /// Ends the services if they have not ended, and waits for their thread. Blocks.
    pub(crate) fn join(self) {
        drop(self.end);
        // A panic was told when it happened.
        let _ = self.thread.join();
    }
}

/// Serves clients on a thread of its own until `shutdown` resolves.
///
/// # Errors
/// When the listener cannot be moved, or the thread cannot be started.
pub(crate) fn serve(
    listener: TcpListener,
    services: Services,
    reported: Reported,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<Clients> {
    let listener = listener.into_std()?;
    let (mut ended, end) = oneshot::channel();
    let thread = thread::Builder::new().name("clients".into());
    let thread = thread.spawn(move || {
        let runtime = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                let _ = ended.send(Err(ServeError::Thread(error)));
                return;
            }
        };
        let served = runtime.block_on(async {
            tokio::select! {
                served = run(listener, services, reported, shutdown) => served,
                // Nobody waits any more.
                () = ended.closed() => Ok(()),
            }
        });
        runtime.shutdown_timeout(SHUTDOWN_MAX);
        let _ = ended.send(served);
    })?;
    Ok(Clients { end, thread })
}

async fn run(
    listener: StdListener,
    services: Services,
    reported: Reported,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    // Registered with this runtime, not with that of the driver.
    let listener = TcpListener::from_std(listener).map_err(ServeError::Thread)?;
    let (fanout, sessions): (Fanout, SessionCache) =
        (services.fanout.clone(), services.sessions.clone());
    tokio::spawn(reported.tell(fanout, sessions));
    let proposals: Proposals = services.handle.proposals.clone();
    tokio::spawn(proposals.gather());
    drop(proposals);
    rpc::serve(listener, services, shutdown).await
}
