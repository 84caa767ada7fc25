//! A histogram of latencies.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Longer latencies count as this one.
const LATENCY_MAX: Duration = Duration::from_secs(600);

/// A histogram of microseconds with three digits of precision.
#[derive(Debug)]
pub struct Latencies(Option<Histogram<u64>>);

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies(Histogram::new_with_max(micros(LATENCY_MAX), 3).ok())
    }
}

impl Latencies {
    pub fn record(&mut self, latency: Duration) {
        if let Some(all) = &mut self.0 {
            all.saturating_record(micros(latency));
        }
    }

    /// Gives the latency that this share (0 to 1) of all stayed within, in milliseconds; 0 without any.
    pub fn within_ms(&self, share: f64) -> f64 {
        let all = self.0.as_ref();
        all.map_or(0.0, |all| all.value_at_quantile(share) as f64 / 1000.0)
    }

    /// Gives the longest latency in milliseconds; 0 without any.
    pub fn max_ms(&self) -> f64 {
        let all = self.0.as_ref();
        all.map_or(0.0, |all| all.max() as f64 / 1000.0)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Gives a duration in milliseconds, to the microsecond.
pub fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_latencies_stays_within_its_figure() {
        let mut latencies = Latencies::default();
        for millis in 1..=1_000 {
            latencies.record(Duration::from_millis(millis));
        }
        assert!((latencies.within_ms(0.5) - 500.0).abs() < 1.0);
        assert!((latencies.within_ms(0.999) - 999.0).abs() < 1.0);
        assert!((latencies.max_ms() - 1_000.0).abs() < 1.0);
    }

    #[test]
    fn a_latency_beyond_the_histogram_counts_as_its_longest() {
        let mut latencies = Latencies::default();
        latencies.record(Duration::MAX);
        assert!(latencies.max_ms() >= 600_000.0);
        assert_eq!(Latencies::default().max_ms(), 0.0);
    }
}
