//! The task that proposes CleanUp commands while this replica leads, each of which removes a few rows of ended
//! sessions and deleted accounts. It decides when; the rows are chosen where the command is applied.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tercet_proto::log::{CleanUp, CleanedUp, command::Action, outcome};
use tercet_store::{Readers, command};
use tercet_types::fair::Key;
use tokio::time::{self, Instant};

use crate::{
    cluster_clock::ClusterClock,
    handle::{Handle, ReplicaStatus},
    retention,
};

/// The pause after each command, as a multiple of the time that the command took. Three quarters of the store
/// writer's time remain for others, and 300,000 messages are removed within half a minute.
const PAUSE_FACTOR: u32 = 3;
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Starts the tasks that remove rows, of this file and of `retention`.
pub(crate) fn spawn(handle: &Handle, readers: &Readers, clock: &ClusterClock) {
    tokio::spawn(run(handle.clone()));
    let (handle, readers, clock) = (handle.clone(), readers.clone(), clock.clone());
    tokio::spawn(retention::run(handle, readers, clock));
}

/// Proposes CleanUp commands while this replica leads and its state has rows to remove; ends with the driver.
async fn run(handle: Handle) {
    let mut status = handle.watch_status();
    let mut removed = 0;
    loop {
        let is_due = |now: &Arc<ReplicaStatus>| now.serving && now.cleanups_left && !now.disk_full;
        if status.wait_for(is_due).await.is_err() {
            return;
        }
        let action = Action::CleanUp(CleanUp {});
        let command = command::proposal(Bytes::new(), action);
        let begun = Instant::now();
        let answer = handle.propose(Key::REPLICA, command).await;
        let pause = match answer.map(|(_, outcome)| outcome.result) {
            Ok(result) => {
                if let Some(outcome::Result::CleanedUp(CleanedUp { rows })) = result {
                    removed += rows;
                }
                begun.elapsed() * PAUSE_FACTOR
            }
            // Another replica is about to lead, or the queue is full.
            Err(_) => PAUSE_MAX,
        };
        time::sleep(pause.min(PAUSE_MAX)).await;
        if !status.borrow().cleanups_left {
            tracing::info!(
                rows = removed,
                "removed rows of ended accounts and sessions"
            );
            removed = 0;
        }
    }
}
