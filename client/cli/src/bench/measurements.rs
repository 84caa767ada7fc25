//! The measurements of a run: counts, latencies, errors by reason, and the gaps between answers.
//! Pure: the caller gives the times.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::latency::Latencies;

/// What is counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Send,
    /// Messages sent in batches; a latency is that of a call.
    Batch,
    Page,
    Fetch,
    Acknowledgement,
    /// From the begin of a send to its arrival at a subscriber.
    Delivery,
}

impl Kind {
    /// As the report names it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Send => "send",
            Kind::Batch => "batch",
            Kind::Page => "page",
            Kind::Fetch => "fetch",
            Kind::Acknowledgement => "acknowledgement",
            Kind::Delivery => "delivery",
        }
    }

    /// Whether it is an operation of its own; an arrival is the end of a send.
    pub fn is_operation(self) -> bool {
        self != Kind::Delivery
    }
}

/// The operations of one kind.
#[derive(Debug, Default)]
pub struct Series {
    pub succeeded: u64,
    pub failed: u64,
    /// Of those that succeeded.
    pub latencies: Latencies,
}

/// Everything that was counted.
#[derive(Debug)]
pub struct Measurements {
    /// What is due from here on, and before `end`, counts.
    begin: Instant,
    end: Instant,
    pub series: BTreeMap<Kind, Series>,
    /// Failed operations by the reason of their error.
    pub errors: BTreeMap<String, u64>,
    /// The longest time between two answers that followed one another, both after `begin`.
    pub longest_gap: Duration,
    /// The same since the drill asked for it, from the last answer before on.
    gap_since_mark: Duration,
    last_answer: Option<Instant>,
}

impl Measurements {
    pub fn new(begin: Instant, end: Instant) -> Measurements {
        Measurements {
            begin,
            end,
            series: BTreeMap::new(),
            errors: BTreeMap::new(),
            longest_gap: Duration::ZERO,
            gap_since_mark: Duration::ZERO,
            last_answer: None,
        }
    }

    /// Nothing that is due later counts.
    pub fn end_at(&mut self, end: Instant) {
        self.end = self.end.min(end);
    }

    pub fn counts(&self, due: Instant) -> bool {
        (self.begin..self.end).contains(&due)
    }

    pub fn succeed(&mut self, kind: Kind, due: Instant, now: Instant) {
        self.succeed_many(kind, due, now, 1);
    }

    /// An answer to so many operations at once.
    pub fn succeed_many(&mut self, kind: Kind, due: Instant, now: Instant, count: u64) {
        if kind.is_operation() && now >= self.begin {
            if let Some(last) = self.last_answer {
                let gap = now.saturating_duration_since(last);
                self.longest_gap = self.longest_gap.max(gap);
                self.gap_since_mark = self.gap_since_mark.max(gap);
            }
            self.last_answer = Some(now);
        }
        if self.counts(due) {
            let series = self.series.entry(kind).or_default();
            series.succeeded += count;
            series.latencies.record(now.saturating_duration_since(due));
        }
    }

    /// An error counts in the warm-up too: it must not pass unseen.
    pub fn fail(&mut self, kind: Kind, reason: &str) {
        self.series.entry(kind).or_default().failed += 1;
        match self.errors.get_mut(reason) {
            Some(count) => *count += 1,
            None => drop(self.errors.insert(reason.to_owned(), 1)),
        }
    }

    /// From here on [`Measurements::gap_since_mark`] counts anew.
    pub fn mark(&mut self) {
        self.gap_since_mark = Duration::ZERO;
    }

    pub fn gap_since_mark(&self) -> Duration {
        self.gap_since_mark
    }

    pub fn last_answer(&self) -> Option<Instant> {
        self.last_answer
    }

    /// From the begin to the last answer.
    pub fn took(&self) -> Duration {
        let took = |last: Instant| last.saturating_duration_since(self.begin);
        self.last_answer.map_or(Duration::ZERO, took)
    }

    /// Operations that succeeded.
    pub fn operations(&self) -> u64 {
        let operations = self.series.iter().filter(|(kind, _)| kind.is_operation());
        operations.map(|(_, series)| series.succeeded).sum()
    }

    pub fn failed(&self) -> u64 {
        self.series.values().map(|series| series.failed).sum()
    }

    /// A count as a rate over the time that the run took.
    pub fn per_second(&self, count: u64) -> f64 {
        match self.took().as_secs_f64() {
            seconds if seconds > 0.0 => (count as f64 / seconds * 10.0).round() / 10.0,
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A measurements of a second that begins at 100 ms, and the instant of a millisecond.
    fn measurements() -> (Measurements, impl Fn(u64) -> Instant) {
        let start = Instant::now();
        let at = move |ms| start + Duration::from_millis(ms);
        (Measurements::new(at(100), at(1_100)), at)
    }

    #[test]
    fn what_was_due_in_the_warm_up_or_after_the_end_does_not_count() {
        let (mut measurements, at) = measurements();
        measurements.succeed(Kind::Send, at(99), at(150));
        measurements.succeed(Kind::Send, at(100), at(160));
        measurements.succeed(Kind::Send, at(1_099), at(1_300));
        measurements.succeed(Kind::Send, at(1_100), at(1_200));
        assert_eq!(measurements.operations(), 2);
        let latencies = &measurements.series[&Kind::Send].latencies;
        assert!((latencies.max_ms() - 201.0).abs() < 1.0);
    }

    #[test]
    fn gaps_are_between_answers_of_any_kind_but_arrivals() {
        let (mut measurements, at) = measurements();
        measurements.succeed(Kind::Send, at(0), at(90)); // of the warm-up
        measurements.succeed(Kind::Send, at(110), at(200));
        measurements.succeed(Kind::Delivery, at(110), at(210));
        measurements.succeed(Kind::Page, at(110), at(230));
        assert_eq!(measurements.longest_gap, Duration::from_millis(30));
        measurements.mark();
        measurements.succeed(Kind::Page, at(230), at(240));
        assert_eq!(measurements.gap_since_mark(), Duration::from_millis(10));
        assert_eq!(measurements.longest_gap, Duration::from_millis(30));
    }

    #[test]
    fn a_gap_that_a_mark_falls_into_is_told_whole() {
        let (mut measurements, at) = measurements();
        measurements.succeed(Kind::Send, at(110), at(200));
        measurements.mark(); // at 300, say
        measurements.succeed(Kind::Send, at(110), at(700));
        assert_eq!(measurements.gap_since_mark(), Duration::from_millis(500));
    }

    #[test]
    fn failures_are_counted_by_kind_and_in_the_warm_up_too() {
        let (mut measurements, at) = measurements();
        measurements.fail(Kind::Send, "NO_LEADER");
        measurements.fail(Kind::Page, "NO_ANSWER");
        measurements.fail(Kind::Page, "NO_ANSWER");
        measurements.succeed(Kind::Page, at(100), at(600));
        assert_eq!(measurements.failed(), 3);
        assert_eq!(measurements.errors["NO_ANSWER"], 2);
        assert_eq!(measurements.operations(), 1);
        assert_eq!(measurements.per_second(measurements.operations()), 2.0);
    }

    #[test]
    fn without_an_answer_every_figure_is_zero() {
        let (measurements, _) = measurements();
        assert_eq!(measurements.per_second(measurements.operations()), 0.0);
        assert_eq!(measurements.took(), Duration::ZERO);
    }
}
