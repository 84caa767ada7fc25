//! Ids of requests: UUIDs of version 7, made by the time of the cluster, so that a machine whose clock is wrong makes
//! ids that are as fresh as anybody's. The servers refuse ids that are so old that an answer may be forgotten.

use std::sync::{
    Mutex,
    atomic::{AtomicI64, Ordering},
};
use std::time::{SystemTime, UNIX_EPOCH};

use tonic::{Request, Response, Status, transport::Channel};
use uuid::{ContextV7, Timestamp, Uuid};

use super::{Client, Error};

/// A clock that is wrong by less is left as it is, milliseconds: answers take a moment to come.
const ERROR_MIN_MS: i64 = 10_000;

/// The reason of a refusal for the age of an id.
pub(super) const TOO_OLD: &str = "REQUEST_TOO_OLD";

/// How far the time of the cluster whose leader answered last is ahead of this machine's clock, milliseconds; 0 where
/// it is about the same. One for the process: ids are made without a client too.
static AHEAD_MS: AtomicI64 = AtomicI64::new(0);

/// Keeps ids of one millisecond in order.
static CONTEXT: Mutex<ContextV7> = Mutex::new(ContextV7::new());

/// A new request id: a UUID that orders by time.
pub fn new_request_id() -> Uuid {
    let ms = made_at_ms(now_ms(), AHEAD_MS.load(Ordering::Relaxed));
    let (seconds, millis) = (ms / 1_000, ms % 1_000);
    let nanos = u32::try_from(millis * 1_000_000).unwrap_or(0);
    Uuid::new_v7(Timestamp::from_unix(&CONTEXT, seconds, nanos))
}

/// Notes the time that a leader said; 0 from a version that says none.
pub(super) fn learn_time(time_ms: i64) {
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

/// This machine's clock, milliseconds since the Unix epoch.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

/// Whether a request under a new id is to be made once more under another one. The first id of a process may be made
/// before the time of the cluster is known, by a clock that is behind: the server then refuses it as too old, and has
/// done nothing.
pub(super) fn was_too_old<T>(answer: &Result<T, Error>) -> bool {
    matches!(answer, Err(error) if error.is_refused_for(TOO_OLD))
}

impl Client {
    /// [`Client::call`] for a write under a new id.
    pub(super) async fn call_with_new_id<M, R, F, Fut>(
        &self,
        make: impl Fn(String) -> M,
        send: F,
    ) -> Result<R, Error>
    where
        M: Clone,
        F: Fn(Channel, Request<M>) -> Fut,
        Fut: Future<Output = Result<Response<R>, Status>>,
    {
        let id = new_request_id();
        let answer = self.call(Some(id), make(id.to_string()), &send).await;
        if !was_too_old(&answer) {
            return answer;
        }
        let id = new_request_id();
        self.call(Some(id), make(id.to_string()), send).await
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
