//! A limit on log lines that strangers can cause: a line about one cause is written once a period. Knows
//! nothing of the lines.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The period in which a line about one cause is written once.
pub(crate) const LOG_PERIOD: Duration = Duration::from_secs(60);
/// Causes remembered at once; further causes are not logged until earlier ones are a period old.
const CAUSES_MAX: usize = 256;

/// The causes that were logged in the last period.
pub(crate) struct LogLimit<K> {
    logged: Mutex<BTreeMap<K, Instant>>,
}

impl<K: Ord> Default for LogLimit<K> {
    fn default() -> Self {
        LogLimit {
            logged: Mutex::default(),
        }
    }
}

impl<K: Ord> LogLimit<K> {
    /// Tells whether a line about this cause may be written now.
    pub(crate) fn allows(&self, cause: K) -> bool {
        self.allows_at(cause, Instant::now())
    }

    fn allows_at(&self, cause: K, now: Instant) -> bool {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = |at: &Instant| now.duration_since(*at) < LOG_PERIOD;
        if logged.get(&cause).is_some_and(recent) {
            return false;
        }
        if logged.len() >= CAUSES_MAX {
            logged.retain(|_, at| recent(at));
        }
        let allowed = logged.len() < CAUSES_MAX;
        if allowed {
            logged.insert(cause, now);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_logged_once_a_period() {
        let limit = LogLimit::default();
        let now = Instant::now();
        assert!(limit.allows_at(1, now));
        assert!(!limit.allows_at(1, now) && limit.allows_at(2, now));
        assert!(!limit.allows_at(1, now + LOG_PERIOD / 2));
        assert!(limit.allows_at(1, now + LOG_PERIOD));
    }

    #[test]
    fn causes_are_bounded_and_old_ones_make_room() {
        let limit = LogLimit::default();
        let now = Instant::now();
        let logged = (0..10 * CAUSES_MAX).filter(|&cause| limit.allows_at(cause, now));
        assert_eq!(logged.count(), CAUSES_MAX);
        assert!(limit.allows_at(usize::MAX, now + LOG_PERIOD));
    }
}
