//! Spans of time, as people write them: `30d`, `36h`.

/// Milliseconds of each unit, the longest first; a year has 365 days.
const UNITS: [(&str, &str, i64); 4] = [
    ("y", "year", 365 * 86_400_000),
    ("w", "week", 7 * 86_400_000),
    ("d", "day", 86_400_000),
    ("h", "hour", 3_600_000),
];

/// Reads a number with its unit (`h`, `d`, `w`, `y`), or `off`, which is 0; gives milliseconds.
///
/// # Errors
/// A sentence for people when it is neither.
pub fn span(text: &str) -> Result<i64, String> {
    if text == "off" {
        return Ok(0);
    }
    let of_unit = |(letter, _, ms): (&str, &str, i64)| {
        let number = text.strip_suffix(letter)?;
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number: i64 = digits.then(|| number.parse().ok())??;
        number.checked_mul(ms).filter(|ms| *ms > 0)
    };
    let found = UNITS.into_iter().find_map(of_unit);
    found.ok_or_else(|| {
        "write a number with h, d, w or y (hours, days, weeks, years), or `off`".to_owned()
    })
}

/// Gives a span as text in the longest unit that fits: `30 days`; what is no number of hours in milliseconds.
pub fn text(ms: i64) -> String {
    let fits = |(_, _, unit): &(&str, &str, i64)| ms > 0 && ms % unit == 0;
    match UNITS.into_iter().find(fits) {
        Some((_, name, unit)) if ms == unit => format!("1 {name}"),
        Some((_, name, unit)) => format!("{} {name}s", ms / unit),
        None => format!("{ms} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_written_and_others_refused() {
        for (written, ms, shown) in [
            ("1h", 3_600_000, "1 hour"),
            ("36h", 129_600_000, "36 hours"),
            ("30d", 2_592_000_000, "30 days"),
            ("14d", 1_209_600_000, "2 weeks"),
            ("10y", 315_360_000_000, "10 years"),
        ] {
            assert_eq!((span(written), text(ms).as_str()), (Ok(ms), shown));
        }
        assert_eq!(span("off"), Ok(0));
        assert_eq!(text(5), "5 ms");
        for wrong in [
            "",
            "h",
            "0h",
            "-1h",
            "+1h",
            "1",
            "1m",
            "1.5h",
            "99999999999999y",
            "1 h",
            "١h",
        ] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
