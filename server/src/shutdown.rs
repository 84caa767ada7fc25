//! What tells a replica to stop, a signal or an operator's call, and how long an orderly end may take.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{Notify, mpsc},
};

/// What open calls get to finish after the replica has left its view.
pub(crate) const DRAIN: Duration = Duration::from_millis(500);

/// Tells the driver to stop. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Stopper {
    driver: mpsc::Sender<()>,
    told: Arc<Notify>,
}

impl Stopper {
    /// The driver stops when it comes to it; once told, it need not be told again.
    pub(crate) fn stop(&self) {
        // Full: it was told already. Closed: it has stopped.
        let _ = self.driver.try_send(());
        self.told.notify_one();
    }

    /// Resolves once it was told, earlier too; for whoever goes on without the driver.
    pub(crate) async fn told(&self) {
        self.told.notified().await;
    }
}

/// A way to tell the driver to stop, and what the driver listens to.
pub(crate) fn stopper() -> (Stopper, mpsc::Receiver<()>) {
    let (sender, receiver) = mpsc::channel(1);
    let stopper = Stopper {
        driver: sender,
        told: Arc::default(),
    };
    (stopper, receiver)
}

/// Stops at SIGTERM or SIGINT. A second signal ends the process at once.
///
/// # Errors
/// When the signals cannot be caught.
pub(crate) fn obey_signals(stopper: &Stopper) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stopper = stopper.clone();
    tokio::spawn(async move {
        let mut asked = false;
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if asked {
                tracing::warn!("second signal: stopping at once");
                std::process::exit(1);
            }
            asked = true;
            stopper.stop();
        }
    });
    Ok(())
}
