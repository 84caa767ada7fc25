//! The pause between attempts.

use std::time::Duration;

const PAUSE_MIN: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// Returns the pause before the next attempt: a sixteenth of the time spent so far, so that the pauses add little to
/// a takeover of any length, within 2 and 50 ms, less up to a quarter by chance.
pub(super) fn backoff(spent: Duration) -> Duration {
    let pause = (spent / 16).clamp(PAUSE_MIN, PAUSE_MAX);
    pause.mul_f64(1.0 - fastrand::f64() / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_from_two_to_fifty_milliseconds() {
        let at = |ms| backoff(Duration::from_millis(ms));
        assert!(at(0) <= PAUSE_MIN && at(0) >= PAUSE_MIN * 3 / 4);
        assert!(at(160) <= Duration::from_millis(10));
        assert!(at(10_000) <= PAUSE_MAX && at(10_000) >= PAUSE_MAX * 3 / 4);
    }
}
