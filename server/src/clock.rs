//! The replica's own clocks: a steady one, in microseconds that count suspend and never run backwards, and the
//! wall clock, which may be set to anything. What most replicas' wall clocks say is in `cluster_clock.rs`.

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use tercet_core::id::Time;

/// Reads the steady one. `CLOCK_BOOTTIME`: a lease must run out while the machine sleeps, which the
/// monotonic clock behind `std::time::Instant` does not see.
pub(crate) fn now() -> Time {
    let now = clock_gettime(ClockId::Boottime);
    let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
    Time(u64::try_from(micros).unwrap_or(0))
}

/// Reads the wall clock: microseconds since the Unix epoch, 0 before it.
pub(crate) fn wall_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    })
}
