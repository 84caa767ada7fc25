//! The task that proposes RemoveExpired commands while this replica leads and messages are older than their retention. It
//! decides when; the messages are chosen where the command is applied.

use std::time::Duration;

use bytes::Bytes;
use tercet_proto::log::{ExpiredRemoved, RemoveExpired, command::Action, outcome};
use tercet_store::{
    Readers, command,
    queries::{Due, Expired},
};
use tercet_types::fair::Key;
use tokio::time::{self, Instant};

use crate::{cluster_clock::ClusterClock, handle::Handle};

/// The interval at which it looks for old messages.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// The pause after each command, as a multiple of the time that the command took.
const PAUSE_FACTOR: u32 = 3;
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Proposes RemoveExpired commands while this replica leads and there are messages to remove; ends with the driver.
pub(crate) async fn run(handle: Handle, readers: Readers, clock: ClusterClock) {
    let mut status = handle.watch_status();
    let mut removed = 0;
    let mut from = 0;
    loop {
        let may = status.wait_for(|now| now.serving && !now.disk_full);
        if may.await.is_err() {
            return;
        }
        let query = Expired {
            now_ms: clock.now_ms(),
            from,
        };
        let readers = readers.clone();
        let found = tokio::task::spawn_blocking(move || readers.read(&query)).await;
        let pause = match found {
            Ok(Ok(Due::By(room_id))) => {
                from = room_id;
                let begun = Instant::now();
                match remove(&handle, room_id).await {
                    Some(messages) => {
                        removed += messages;
                        begun.elapsed() * PAUSE_FACTOR
                    }
                    // Another replica is about to lead, the queue is full, or a replica has an older build.
                    None => PAUSE_MAX,
                }
            }
            Ok(Ok(Due::From(next))) => {
                from = next;
                Duration::ZERO
            }
            Ok(Ok(Due::Nothing) | Err(_)) | Err(_) => {
                if removed > 0 {
                    tracing::info!(messages = removed, "removed messages by their age");
                }
                (removed, from) = (0, 0);
                time::sleep(LOOK_INTERVAL).await;
                continue;
            }
        };
        time::sleep(pause.min(PAUSE_MAX)).await;
    }
}

/// Removes a piece; gives the number of its messages.
async fn remove(handle: &Handle, room_id: u64) -> Option<u64> {
    let action = Action::RemoveExpired(RemoveExpired { room_id });
    let command = command::proposal(Bytes::new(), action);
    let (_, outcome) = handle.propose(Key::REPLICA, command).await.ok()?;
    match outcome.result {
        Some(outcome::Result::ExpiredRemoved(ExpiredRemoved { messages })) => Some(messages),
        _ => None,
    }
}
