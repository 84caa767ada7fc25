//! The values that options of `tercet bench` accept.

use std::ops::RangeInclusive;
use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use tercet_types::{limits::USERNAME_CHARS_MAX, name::is_name};

/// A prefix leaves room for a number in a name.
const PREFIX_CHARS_MAX: usize = USERNAME_CHARS_MAX - 8;
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
    if text.len() <= PREFIX_CHARS_MAX && is_name(text) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "not 1 to {PREFIX_CHARS_MAX} characters of letters, digits, `_ . -`"
        ))
    }
}
