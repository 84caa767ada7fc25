//! Times as text. The server gives them as milliseconds since the Unix epoch.

use chrono::{DateTime, Local, NaiveDate, NaiveTime, SecondsFormat, Utc};

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

/// Parses a day, which means its beginning in UTC, or a time as in RFC 3339, to milliseconds since the Unix epoch.
pub fn parse_time(text: &str) -> Option<i64> {
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    let time = match day {
        Some(day) => day.and_time(NaiveTime::MIN).and_utc(),
        None => DateTime::parse_from_rfc3339(text).ok()?.to_utc(),
    };
    Some(time.timestamp_millis())
}

fn local(ms: i64) -> DateTime<Local> {
    let time = DateTime::<Utc>::from_timestamp_millis(ms).unwrap_or_default();
    time.with_timezone(&Local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_day_or_has_a_time_zone() {
        let day = parse_time("2026-11-28");
        assert_eq!(day, Some(1_795_824_000_000));
        assert_eq!(parse_time("2026-11-28T00:00:00Z"), day);
        assert_eq!(parse_time("2026-11-28T01:00:00.000+01:00"), day);
        for text in ["", "12", "2026-11", "2026-11-28T10:00:00", "yesterday"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }
}
