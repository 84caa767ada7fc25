//! The values that options of `tercet bench` accept.

use std::ops::RangeInclusive;
use std::time::Duration;

use clap::builder::RangedU64ValueParser;

/// A prefix leaves room for a number in a name of 32 characters.
const PREFIX_CHARS_MAX: usize = 24;
const DAY: Duration = Duration::from_secs(86_400);
const INSTANT: Duration = Duration::from_millis(10);

pub(super) fn whole(range: RangeInclusive<u64>) -> RangedU64ValueParser<u32> {
    RangedU64ValueParser::new().range(range)
}

pub(super) fn some_time(text: &str) -> Result<Duration, String> {
    seconds(text, INSTANT..=DAY)
}

pub(super) fn any_time(text: &str) -> Result<Duration, String> {
    seconds(text, Duration::ZERO..=DAY)
}

fn seconds(text: &str, range: RangeInclusive<Duration>) -> Result<Duration, String> {
    let seconds: Option<f64> = text.parse().ok();
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration
        .filter(|duration| range.contains(duration))
        .ok_or_else(|| {
            let (least, most) = (range.start().as_secs_f64(), range.end().as_secs());
            format!("not a number of seconds from {least} to {most}")
        })
}

pub(super) fn prefix(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let fits = (1..=PREFIX_CHARS_MAX).contains(&text.len());
    if fits && text.chars().all(plain) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "not 1 to {PREFIX_CHARS_MAX} characters of letters, digits, `_ . -`"
        ))
    }
}
