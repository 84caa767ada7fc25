//! Stopping a replica: by a signal or an operator's call, and the time limit of an orderly end.

use std::{fs, io, sync::Arc, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{Notify, mpsc},
};

/// The time that open calls have after the replica has left its view.
pub(crate) const DRAIN: Duration = Duration::from_millis(500);

/// Asks the driver to stop. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Stopper {
    driver: mpsc::Sender<()>,
    requested: Arc<Notify>,
}

impl Stopper {
    /// Asks the driver to stop; further calls have no effect.
    pub(crate) fn stop(&self) {
        // A full channel: a stop is already requested. A closed one: the driver has stopped.
        let _ = self.driver.try_send(());
        self.requested.notify_one();
    }

    /// Resolves once a stop was requested, even earlier; for tasks that run after the driver has ended.
    pub(crate) async fn requested(&self) {
        self.requested.notified().await;
    }
}

/// Makes a stopper and the driver's receiver.
pub(crate) fn stopper() -> (Stopper, mpsc::Receiver<()>) {
    let (sender, receiver) = mpsc::channel(1);
    let stopper = Stopper {
        driver: sender,
        requested: Arc::default(),
    };
    (stopper, receiver)
}

/// Stops at SIGTERM, SIGINT, SIGQUIT, and at SIGHUP (the terminal is gone) unless SIGHUP was ignored at the
/// start, as under `nohup`. A second signal ends the process at once with exit code 1. SIGUSR1 and SIGUSR2 have
/// no effect.
///
/// # Errors
/// When the signals cannot be caught.
pub(crate) fn obey_signals(stopper: &Stopper) -> io::Result<()> {
    let (sender, mut received) = mpsc::channel(8);
    let listen = |kind: SignalKind, name: &'static str| -> io::Result<()> {
        let (mut signals, sender) = (signal(kind)?, sender.clone());
        tokio::spawn(async move {
            while signals.recv().await.is_some() && sender.send(name).await.is_ok() {}
        });
        Ok(())
    };
    listen(SignalKind::terminate(), "SIGTERM")?;
    listen(SignalKind::interrupt(), "SIGINT")?;
    listen(SignalKind::quit(), "SIGQUIT")?;
    if !is_ignored(SignalKind::hangup()) {
        listen(SignalKind::hangup(), "SIGHUP")?;
    }
    listen(SignalKind::user_defined1(), UNUSED[0])?;
    listen(SignalKind::user_defined2(), UNUSED[1])?;
    let stopper = stopper.clone();
    tokio::spawn(async move {
        let mut asked = false;
        while let Some(name) = received.recv().await {
            if UNUSED.contains(&name) {
                tracing::warn!("{name} has no effect on a replica: ignored");
                continue;
            }
            if asked {
                tracing::warn!("{name}, the second signal: stopping at once");
                std::process::exit(1);
            }
            tracing::info!("{name}: stopping");
            asked = true;
            stopper.stop();
        }
    });
    Ok(())
}

/// Signals that end other programs and are ignored here.
const UNUSED: [&str; 2] = ["SIGUSR1", "SIGUSR2"];

/// Tells whether the process was started with this signal ignored. False on systems other than Linux, where it
/// is unknown.
fn is_ignored(kind: SignalKind) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignores(&status, kind.as_raw_value())
}

/// Reads a `status` as in proc_pid_status(5): bit 0 of `SigIgn` is signal 1.
fn ignores(status: &str, number: i32) -> bool {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let bit = u32::try_from(number - 1).ok();
    let bit = bit.and_then(|bit| 1_u64.checked_shl(bit));
    mask.zip(bit).is_some_and(|(mask, bit)| mask & bit != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_signal_is_found_in_the_mask_of_the_process() {
        let status =
            "Name:\ttercet\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0\n";
        assert!(ignores(status, 1) && ignores(status, 13));
        assert!(!ignores(status, 2) && !ignores(status, 15));
        for number in [0, -1, 65, i32::MIN + 1] {
            assert!(!ignores(status, number));
        }
        for other in ["", "SigIgn:", "SigIgn:\tzz"] {
            assert!(!ignores(other, 1));
        }
    }
}
