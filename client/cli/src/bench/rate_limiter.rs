//! A rate limiter starts operations at a fixed rate.
//!
//! A thread of its own releases operations as they become due: the runtime's timer counts whole
//! milliseconds, and that would show in the latencies.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// Operations that become due within this time are released together.
const STEP: Duration = Duration::from_micros(500);

pub struct RateLimiter {
    start: Instant,
    per_second: f64,
    /// One permit for each operation that is due and was not taken.
    due: Arc<Semaphore>,
    taken: Cell<u64>,
}

impl RateLimiter {
    /// Starts the clock; the first operation is due at once.
    ///
    /// # Errors
    /// When the system starts no thread.
    pub fn start(per_second: u32) -> io::Result<RateLimiter> {
        let limiter = RateLimiter {
            start: Instant::now(),
            per_second: per_second.into(),
            due: Arc::new(Semaphore::new(0)),
            taken: Cell::new(0),
        };
        let (start, per_second, due) = (limiter.start, limiter.per_second, limiter.due.clone());
        thread::Builder::new()
            .name("limiter".to_owned())
            .spawn(move || hand_out(start, per_second, &due))?;
        Ok(limiter)
    }

    /// Waits until the next operation is due; gives the time at which it was due, or `None` after a stop.
    pub async fn next(&self) -> Option<Instant> {
        self.due.acquire().await.ok()?.forget();
        let number = self.taken.get();
        self.taken.set(number + 1);
        Some(self.start + due_after(number, self.per_second))
    }

    pub fn stop(&self) {
        self.due.close();
    }

    /// Gives the number of operations that are due and were not taken.
    pub fn behind(&self) -> u64 {
        self.due.available_permits() as u64
    }
}

impl Drop for RateLimiter {
    fn drop(&mut self) {
        self.stop();
    }
}

fn hand_out(start: Instant, per_second: f64, due: &Semaphore) {
    let mut handed = 0;
    while !due.is_closed() {
        let count = due_within(start.elapsed(), per_second);
        due.add_permits(usize::try_from(count - handed).unwrap_or(0));
        handed = count;
        let next = start + due_after(handed, per_second);
        thread::sleep(next.saturating_duration_since(Instant::now()).max(STEP));
    }
}

/// Gives the number of operations that are due after this time.
fn due_within(elapsed: Duration, per_second: f64) -> u64 {
    (elapsed.as_secs_f64() * per_second) as u64 + 1
}

/// Gives the time at which the operation with this number, from 0, is due.
fn due_after(number: u64, per_second: f64) -> Duration {
    Duration::from_secs_f64(number as f64 / per_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_due_at_once_and_then_as_many_as_the_rate_says() {
        assert_eq!(due_within(Duration::ZERO, 1_000.0), 1);
        assert_eq!(due_within(Duration::from_millis(10), 1_000.0), 11);
        assert_eq!(due_within(Duration::from_secs(2), 0.4), 1);
        assert_eq!(due_after(0, 1_000.0), Duration::ZERO);
        assert_eq!(due_after(250, 1_000.0), Duration::from_millis(250));
    }

    #[tokio::test]
    async fn what_is_due_and_not_taken_is_told() {
        let limiter = RateLimiter::start(1_000_000).unwrap();
        assert_eq!(limiter.next().await, Some(limiter.start));
        // A millionth of a second later the next is due, taken or not.
        let second = limiter.next().await.unwrap();
        assert_eq!(second, limiter.start + Duration::from_micros(1));
        drop(limiter.due.acquire_many(3).await.unwrap());
        limiter.stop();
        assert!(limiter.behind() >= 3);
        assert_eq!(limiter.next().await, None);
    }
}
