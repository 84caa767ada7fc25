//! A limit on repeated lines of the log: a replica that dials another one which rejects it has the same
//! warning several times a second.

use std::{
    collections::HashMap,
    fmt::{self, Write as _},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

/// The number of times that the same line is written without a limit.
const AT_ONCE: u32 = 3;
/// The time for which a line is written only once after that, with the number of its repeats.
const PERIOD: Duration = Duration::from_secs(30);
/// The number of different lines that are remembered. Beyond it, lines of more than a period ago are
/// forgotten, and if there are none, all.
const LINES_MAX: usize = 256;
/// The number of bytes of a line that distinguish it from others.
const LINE_BYTES_MAX: usize = 512;

/// A formatter that leaves out events that repeat too often, and gives the others to another formatter.
pub(crate) struct WithoutRepeats<F> {
    inner: F,
    repeats: Mutex<Repeats>,
}

impl<F> WithoutRepeats<F> {
    pub(crate) fn new(inner: F) -> WithoutRepeats<F> {
        WithoutRepeats {
            inner,
            repeats: Mutex::default(),
        }
    }
}

impl<S, N, F> FormatEvent<S, N> for WithoutRepeats<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Line(event.metadata().target().to_owned());
        event.record(&mut line);
        let mut repeats = self.repeats.lock().unwrap_or_else(PoisonError::into_inner);
        let verdict = repeats.judge(line.0, Instant::now());
        drop(repeats);
        let Some(left_out) = verdict else {
            return Ok(());
        };
        self.inner.format_event(context, writer.by_ref(), event)?;
        match left_out {
            0 => Ok(()),
            count => writeln!(
                writer,
                "    (the line above was repeated {count} times before)"
            ),
        }
    }
}

/// The text of an event, cut at a limit.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if self.0.len() < LINE_BYTES_MAX {
            let _ = write!(self.0, " {}={value:?}", field.name());
        }
    }
}

/// The recent lines, and how often each was written or left out.
#[derive(Default)]
struct Repeats(HashMap<String, Repeat>);

struct Repeat {
    written: u32,
    at: Instant,
    left_out: u64,
}

impl Repeats {
    /// Decides whether to write a line now: gives the number of repeats that were left out before, or
    /// `None` to leave it out.
    fn judge(&mut self, line: String, now: Instant) -> Option<u64> {
        if self.0.len() >= LINES_MAX && !self.0.contains_key(&line) {
            let is_recent = |repeat: &Repeat| now.saturating_duration_since(repeat.at) < PERIOD;
            self.0.retain(|_, repeat| is_recent(repeat));
            if self.0.len() >= LINES_MAX {
                self.0.clear();
            }
        }
        let repeat = self.0.entry(line).or_insert(Repeat {
            written: 0,
            at: now,
            left_out: 0,
        });
        let elapsed = now.saturating_duration_since(repeat.at);
        if elapsed >= 2 * PERIOD && repeat.left_out == 0 {
            repeat.written = 0;
        }
        if repeat.written >= AT_ONCE && elapsed < PERIOD {
            repeat.left_out += 1;
            return None;
        }
        repeat.written = repeat.written.saturating_add(1);
        repeat.at = now;
        Some(std::mem::take(&mut repeat.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_line_is_written_a_few_times_and_then_once_in_a_period_with_its_number() {
        let mut repeats = Repeats::default();
        let start = Instant::now();
        let mut written = Vec::new();
        for tenth in 0..700_u32 {
            let now = start + Duration::from_millis(100) * tenth;
            if let Some(left_out) = repeats.judge("the secrets differ".to_owned(), now) {
                written.push(left_out);
            }
        }
        assert_eq!(written, [0, 0, 0, 299, 299]);
        // Another line is another matter.
        assert_eq!(repeats.judge("another".to_owned(), start), Some(0));
    }

    #[test]
    fn a_line_that_is_rare_is_always_written() {
        let mut repeats = Repeats::default();
        let start = Instant::now();
        for round in 0..10_u32 {
            let now = start + 2 * PERIOD * round;
            assert_eq!(repeats.judge("session ended".to_owned(), now), Some(0));
        }
    }

    #[test]
    fn lines_that_all_differ_cost_bounded_memory_and_are_written() {
        let mut repeats = Repeats::default();
        let now = Instant::now();
        for number in 0..10 * LINES_MAX {
            assert_eq!(repeats.judge(format!("line {number}"), now), Some(0));
            assert!(repeats.0.len() <= LINES_MAX);
        }
    }

    /// The lines that a subscriber with the limit writes.
    #[derive(Clone, Default)]
    struct Written(std::sync::Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no panic").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_subscriber_leaves_out_the_repeats() {
        let written = Written::default();
        let to = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || to.clone())
            .with_ansi(false)
            .event_format(WithoutRepeats::new(tracing_subscriber::fmt::format()))
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            for peer in [1, 1, 1, 1, 1, 2] {
                tracing::warn!(peer, "the replica rejected this one");
            }
        });
        let text = String::from_utf8(written.0.lock().expect("no panic").clone()).expect("text");
        assert_eq!(text.lines().count(), 4, "{text}");
        assert_eq!(text.matches("peer=1").count(), 3, "{text}");
    }
}
