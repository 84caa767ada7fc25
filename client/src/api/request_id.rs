//! The ids of requests: UUIDs of version 7, made by the time of the cluster, so that a wrong clock of this machine
//! makes no old ids. A server refuses an id that is so old that its answer may be forgotten.

use std::sync::{
    Mutex,
    atomic::{AtomicI64, Ordering},
};
use std::time::{SystemTime, UNIX_EPOCH};

use tercet_proto::method::Method;
use uuid::{ContextV7, Timestamp, Uuid};

use super::{Client, Error};

/// The smallest error of this machine's clock that is corrected, milliseconds: an answer takes a moment to arrive.
const ERROR_MIN_MS: i64 = 10_000;

/// The reason with which a server refuses an old id.
pub(super) const TOO_OLD: &str = "REQUEST_TOO_OLD";

/// The time by which the clock of the cluster whose leader answered last is ahead of this machine's clock, milliseconds; 0 for
/// less than [`ERROR_MIN_MS`]. There is one for the process, because ids are made without a client, too.
static AHEAD_MS: AtomicI64 = AtomicI64::new(0);

/// The counter that keeps the ids of one millisecond in order.
static CONTEXT: Mutex<ContextV7> = Mutex::new(ContextV7::new());

/// Makes a request id: a UUID of version 7, by the time of the cluster whose leader answered last, or else by this
/// machine's clock. Later ids of a process are greater.
pub fn new_request_id() -> Uuid {
    let ms = made_at_ms(now_ms(), AHEAD_MS.load(Ordering::Relaxed));
    let (seconds, millis) = (ms / 1_000, ms % 1_000);
    let nanos = u32::try_from(millis * 1_000_000).unwrap_or(0);
    Uuid::new_v7(Timestamp::from_unix(&CONTEXT, seconds, nanos))
}

/// Takes the time of the cluster from an answer of the leader; 0 from a version without it.
pub(super) fn update_time(time_ms: i64) {
    AHEAD_MS.store(ahead_ms(time_ms, now_ms()), Ordering::Relaxed);
}

fn ahead_ms(time_ms: i64, now_ms: i64) -> i64 {
    let ahead_ms = time_ms.saturating_sub(now_ms);
    if time_ms > 0 && ahead_ms.abs() >= ERROR_MIN_MS {
        ahead_ms
    } else {
        0
    }
}

fn made_at_ms(now_ms: i64, ahead_ms: i64) -> u64 {
    u64::try_from(now_ms.saturating_add(ahead_ms)).unwrap_or(0)
}

/// Reads this machine's clock, milliseconds since the Unix epoch.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

/// Tells whether a request under a new id must be made once more under another one. The first id of a process is made
/// before the time of the cluster is known. If this machine's clock is behind, the server refuses the id as too old,
/// and does nothing.
pub(super) fn was_too_old<T>(answer: &Result<T, Error>) -> bool {
    matches!(answer, Err(error) if error.is_refused_for(TOO_OLD))
}

impl Client {
    /// Makes a [`Client::call`] for a write under a new id.
    pub(super) async fn call_with_new_id<M: Method>(
        &self,
        make: impl Fn(String) -> M,
    ) -> Result<M::Response, Error> {
        let id = new_request_id();
        let answer = self.call(Some(id), make(id.to_string())).await;
        if !was_too_old(&answer) {
            return answer;
        }
        let id = new_request_id();
        self.call(Some(id), make(id.to_string())).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_wrong_is_corrected_and_one_that_is_about_right_is_not() {
        assert_eq!(ahead_ms(5_000_000, 1_400_000), 3_600_000);
        assert_eq!(ahead_ms(1_400_000, 5_000_000), -3_600_000);
        assert_eq!(ahead_ms(1_409_999, 1_400_000), 0);
        assert_eq!(ahead_ms(0, 1_400_000), 0, "it says none");
        assert_eq!(made_at_ms(1_400_000, 3_600_000), 5_000_000);
        assert_eq!(made_at_ms(1_000, -3_600_000), 0);
    }

    #[test]
    fn ids_are_of_version_7_and_grow() {
        let ids: Vec<Uuid> = (0..1_000).map(|_| new_request_id()).collect();
        assert!(ids.is_sorted());
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
    }
}
