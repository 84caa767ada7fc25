//! This replica's own clocks: a steady clock in microseconds, which counts suspended time and never runs
//! backwards, and the wall clock, which may be set to any time. `cluster_clock.rs` combines the wall clocks of
//! all replicas.

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use tercet_core::id::Time;

/// Reads the steady clock, `CLOCK_BOOTTIME`. A lease must run out while the machine sleeps, and the monotonic
/// clock behind `std::time::Instant` does not count that time.
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
