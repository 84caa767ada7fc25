//! The replica's own clock: microseconds that count suspend and never run backwards.

use rustix::time::{ClockId, clock_gettime};
use tercet_core::id::Time;

/// Reads it. `CLOCK_BOOTTIME`: a lease must run out while the machine sleeps, which the
/// monotonic clock behind `std::time::Instant` does not see.
pub(crate) fn now() -> Time {
    let now = clock_gettime(ClockId::Boottime);
    let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
    Time(u64::try_from(micros).unwrap_or(0))
}
