//! The thread that serves clients, with a runtime of its own. The driver and the peer sessions stay on the main
//! thread, so that leases and heartbeats do not wait for clients. Knows nothing of the services.

use std::{future::Future, io, net::TcpListener as StdListener, thread, time::Duration};

use tokio::{net::TcpListener, runtime::Builder, sync::oneshot};

use crate::{
    auth::SessionCache,
    fanout::Fanout,
    proposals::Proposals,
    reports::Reported,
    rpc::{self, ServeError, Services},
};

/// The longest wait for tasks that still run when the services have ended.
const SHUTDOWN_MAX: Duration = Duration::from_millis(100);

/// The running services for clients.
pub(crate) struct Clients {
    /// Resolves when the services have ended; without a value when their thread panicked. Dropping it ends the
    /// services.
    pub(crate) end: oneshot::Receiver<Result<(), ServeError>>,
    thread: thread::JoinHandle<()>,
}

impl Clients {
    /// Ends the services if they have not ended, and waits for their thread. Blocks.
    pub(crate) fn join(self) {
        drop(self.end);
        // The panic handler has already reported a panic.
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
                // The owner dropped the receiver.
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
    // The listener must be registered with this runtime, not with the driver's.
    let listener = TcpListener::from_std(listener).map_err(ServeError::Thread)?;
    let (fanout, sessions): (Fanout, SessionCache) =
        (services.fanout.clone(), services.sessions.clone());
    tokio::spawn(reported.deliver(fanout, sessions));
    let proposals: Proposals = services.handle.proposals.clone();
    tokio::spawn(proposals.gather());
    drop(proposals);
    rpc::serve(listener, services, shutdown).await
}
