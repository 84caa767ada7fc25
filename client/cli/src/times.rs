//! Times as text. The server gives them as milliseconds since the Unix epoch.

use chrono::{DateTime, Local, SecondsFormat, Utc};

/// Formats a time as RFC 3339, in UTC, to the millisecond; `None` if the calendar has no such time.
pub fn rfc3339(ms: i64) -> Option<String> {
    let time = DateTime::<Utc>::from_timestamp_millis(ms)?;
    Some(time.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// Formats a time in the reader's time zone, to the second.
pub fn local_time(ms: i64) -> String {
    local(ms).format("%Y-%m-%d %H:%M:%S").to_string()
}

/// Formats a time of today as hours and minutes, and another time with its date, in the reader's time zone.
pub fn chat_time(ms: i64) -> String {
    let time = local(ms);
    let is_today = time.date_naive() == Local::now().date_naive();
    let format = if is_today { "%H:%M" } else { "%Y-%m-%d %H:%M" };
    time.format(format).to_string()
}

fn local(ms: i64) -> DateTime<Local> {
    let time = DateTime::<Utc>::from_timestamp_millis(ms).unwrap_or_default();
    time.with_timezone(&Local)
}
