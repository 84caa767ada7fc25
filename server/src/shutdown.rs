//! Signals, and how long an orderly end may take.

use std::{io, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

/// What open calls get to finish after the replica has left its view.
pub(crate) const DRAIN: Duration = Duration::from_millis(500);

/// Gives one message when SIGTERM or SIGINT arrives. A second signal ends the process at once.
///
/// # Errors
/// When the signals cannot be caught.
pub(crate) fn signals() -> io::Result<mpsc::Receiver<()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (sender, receiver) = mpsc::channel(1);
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
            tracing::info!("stopping: leaving the view first");
            let _ = sender.send(()).await;
        }
    });
    Ok(receiver)
}
