//! The measurements of a run: counts, latencies, errors by reason, and the gaps between answers.
//! Pure: the caller gives the times.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::latency::Latencies;

/// A kind of operation; each is counted separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Send,
    /// A message that was sent in a batch; the latency is that of the call.
    Batch,
    Page,
    Fetch,
    Acknowledgement,
    /// A change of a score.
    Update,
    /// A read of a score.
    Pull,
    /// The way of a message, or of a change, from the start of its send to a subscriber.
    Delivery,
}

impl Kind {
    /// Gives the name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Send => "send",
            Kind::Batch => "batch",
            Kind::Page => "page",
            Kind::Fetch => "fetch",
            Kind::Acknowledgement => "acknowledgement",
            Kind::Update => "update",
            Kind::Pull => "pull",
            Kind::Delivery => "delivery",
        }
    }

    /// True for an operation of its own; a delivery belongs to a send.
    pub fn is_operation(self) -> bool {
        self != Kind::Delivery
    }
}

/// The operations of one kind.
#[derive(Debug, Default)]
pub struct Series {
    pub succeeded: u64,
    pub failed: u64,
    /// Latencies of the operations that succeeded.
    pub latencies: Latencies,
}

/// The counts and latencies of a run.
#[derive(Debug)]
pub struct Measurements {
    /// Operations that are due from `begin` on and before `end` count.
    begin: Instant,
    end: Instant,
    pub series: BTreeMap<Kind, Series>,
    /// The number of failed operations, by the reason of the error.
    pub errors: BTreeMap<String, u64>,
    /// The longest time between two successive answers after `begin`.
    pub longest_gap: Duration,
    /// The longest time between two successive answers since [`Measurements::mark`], beginning at the last answer
    /// before it.
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

    /// Ends the run at this time: operations that are due later do not count.
    pub fn end_at(&mut self, end: Instant) {
        self.end = self.end.min(end);
    }

    pub fn counts(&self, due: Instant) -> bool {
        (self.begin..self.end).contains(&due)
    }

    pub fn succeed(&mut self, kind: Kind, due: Instant, now: Instant) {
        self.succeed_many(kind, due, now, 1);
    }

    /// Counts `count` operations that one answer completed.
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

    /// Counts an error, in the warm-up too, so that none is overlooked.
    pub fn fail(&mut self, kind: Kind, reason: &str) {
        self.series.entry(kind).or_default().failed += 1;
        match self.errors.get_mut(reason) {
            Some(count) => *count += 1,
            None => drop(self.errors.insert(reason.to_owned(), 1)),
        }
    }

    /// Starts [`Measurements::gap_since_mark`] again from zero.
    pub fn mark(&mut self) {
        self.gap_since_mark = Duration::ZERO;
    }

    pub fn gap_since_mark(&self) -> Duration {
        self.gap_since_mark
    }

    pub fn last_answer(&self) -> Option<Instant> {
        self.last_answer
    }

    /// Gives the time from the beginning to the last answer.
    pub fn took(&self) -> Duration {
        let took = |last: Instant| last.saturating_duration_since(self.begin);
        self.last_answer.map_or(Duration::ZERO, took)
    }

    /// Gives the number of operations that succeeded.
    pub fn operations(&self) -> u64 {
        let operations = self.series.iter().filter(|(kind, _)| kind.is_operation());
        operations.map(|(_, series)| series.succeeded).sum()
    }

    pub fn failed(&self) -> u64 {
        self.series.values().map(|series| series.failed).sum()
    }

    /// Gives a count as a rate over the time of the run.
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
