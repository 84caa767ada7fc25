//! The load: writers that each have one write under way, and the tally of what was acknowledged.
//! Closed loop: a writer begins its next write when the last is answered.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::peer::Peer;

/// 100 bytes.
const BODY: &str = "the quick brown fox jumps over the lazy dog, again and again, \
                    until the log has a hundred bytes more";
/// So that a server that refuses at once does not cost the processor that the others need.
const AFTER_ERROR: Duration = Duration::from_millis(5);

/// For microseconds up to an hour, beyond which they count as an hour.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(3_600_000_000, 3).expect("the bounds are allowed")
}

/// A load that runs until this is dropped, on the current thread's `LocalSet`.
pub struct Load {
    tally: Rc<RefCell<Tally>>,
    _writers: JoinSet<()>,
}

pub struct Tally {
    /// Microseconds from the begin of a write to its acknowledgement.
    latencies: Histogram<u64>,
    failed: u64,
    first_error: Option<String>,
    last_acknowledged: Instant,
    longest_gap: Duration,
}

impl Load {
    /// `attempt_limit`: how long a write may take before it is given up and begun anew.
    pub fn begin<P: Peer>(writers: Vec<P>, attempt_limit: Duration) -> Load {
        let tally = Rc::new(RefCell::new(Tally::new()));
        let ids = Rc::new(Cell::new(first_id()));
        let mut all = JoinSet::new();
        for writer in writers {
            all.spawn_local(write(writer, tally.clone(), ids.clone(), attempt_limit));
        }
        Load {
            tally,
            _writers: all,
        }
    }

    /// Begins to count: what was acknowledged before counts for nothing. What failed does.
    pub fn count(&self) {
        let mut tally = self.tally.borrow_mut();
        tally.latencies.reset();
        tally.last_acknowledged = Instant::now();
        tally.longest_gap = Duration::ZERO;
    }

    pub fn silent_for(&self) -> Duration {
        self.tally.borrow().last_acknowledged.elapsed()
    }

    pub fn end(self) -> Tally {
        self.tally.replace(Tally::new())
    }
}

impl Tally {
    fn new() -> Tally {
        Tally {
            latencies: histogram(),
            failed: 0,
            first_error: None,
            last_acknowledged: Instant::now(),
            longest_gap: Duration::ZERO,
        }
    }

    pub fn acknowledged(&self) -> u64 {
        self.latencies.len()
    }

    pub fn failed(&self) -> u64 {
        self.failed
    }

    pub fn first_error(&self) -> Option<&str> {
        self.first_error.as_deref()
    }

    /// The longest time between two acknowledgements.
    pub fn longest_gap(&self) -> Duration {
        self.longest_gap
    }

    pub fn within_ms(&self, share: f64) -> f64 {
        self.latencies.value_at_quantile(share) as f64 / 1e3
    }

    pub fn max_ms(&self) -> f64 {
        self.latencies.max() as f64 / 1e3
    }

    fn succeeded(&mut self, begun: Instant) {
        let now = Instant::now();
        self.longest_gap = self.longest_gap.max(now - self.last_acknowledged);
        self.last_acknowledged = now;
        let took = u64::try_from((now - begun).as_micros()).unwrap_or(u64::MAX);
        self.latencies.saturating_record(took);
    }

    fn fail(&mut self, error: &anyhow::Error) {
        self.failed += 1;
        self.first_error.get_or_insert_with(|| format!("{error:#}"));
    }
}

async fn write<P: Peer>(
    mut writer: P,
    tally: Rc<RefCell<Tally>>,
    ids: Rc<Cell<i64>>,
    attempt_limit: Duration,
) {
    loop {
        let begun = Instant::now();
        match attempt(&mut writer, ids.replace(ids.get() + 1), attempt_limit).await {
            Ok(()) => tally.borrow_mut().succeeded(begun),
            Err(error) => {
                tally.borrow_mut().fail(&error);
                sleep(AFTER_ERROR).await;
            }
        }
    }
}

async fn attempt(writer: &mut impl Peer, id: i64, limit: Duration) -> Result<()> {
    match timeout(limit, writer.write(id, BODY)).await {
        Ok(written) => written,
        Err(_) => bail!("no answer within {limit:?}"),
    }
}

/// No load before this one has used it, or one above, unless it wrote more than a million a second.
fn first_id() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    let micros = since_epoch.unwrap_or_default().as_micros();
    i64::try_from(micros).expect("the year is before 290000")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_100_bytes() {
        assert_eq!(BODY.len(), 100);
    }

    #[test]
    fn a_latency_is_kept_however_long_it_is() {
        let mut tally = Tally::new();
        tally.succeeded(Instant::now() - Duration::from_secs(30));
        // Three digits are kept.
        assert!(tally.within_ms(0.5) >= 29_900.0);
        assert!(tally.max_ms() >= 29_900.0);
    }

    #[test]
    fn the_longest_gap_is_that_between_two_acknowledgements() {
        let mut tally = Tally::new();
        let before = Duration::from_secs(3);
        tally.last_acknowledged -= before;
        tally.succeeded(Instant::now());
        tally.succeeded(Instant::now());
        assert_eq!(tally.acknowledged(), 2);
        assert!(tally.longest_gap() >= before);
    }
}
