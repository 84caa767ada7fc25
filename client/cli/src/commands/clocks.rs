//! Texts of `cluster status` about the clocks of the replicas.

use serde_json::Value;
use tercet_proto::words::ahead_or_behind;

/// A clock that is out by more than this, and by more than the error of the measurement, gets a remark. Replicas
/// warn from the same bound on. Milliseconds.
const OFFSET_MAX: i64 = 1_000;
/// Stamps that are ahead of time by more get a remark, milliseconds: no load and no takeover leads to so much.
const STAMPS_AHEAD_MAX: i64 = 10_000;

/// How far the clock of a replica is ahead, for the table.
pub(super) fn cell(replica: &Value) -> String {
    let Some(offset) = replica["clock_offset_ms"].as_i64() else {
        return "-".to_owned();
    };
    let sign = if offset < 0 { '-' } else { '+' };
    let far = ahead_or_behind(offset);
    let far = far
        .trim_end_matches(" ahead of")
        .trim_end_matches(" behind");
    match offset.unsigned_abs() {
        ..1_000 => format!("{offset:+} ms"),
        _ => format!("{sign}{far}"),
    }
}

/// Text about a replica's clock that is wrong.
pub(super) fn remark(summary: &Value, replica: &Value) -> Option<String> {
    let offset = replica["clock_offset_ms"].as_i64()?;
    let error = replica["clock_error_ms"].as_i64().unwrap_or(0);
    if offset.saturating_abs() <= error.saturating_add(OFFSET_MAX) {
        return None;
    }
    let far = ahead_or_behind(offset);
    let what = match summary["time_agreed"].as_bool() {
        Some(true) => "what most replicas' clocks say, and is not followed: set it",
        _ => "the time that stamps follow; too few clocks are known to say which is right",
    };
    Some(format!(
        "replica {}: its clock is {far} {what}",
        replica["id"]
    ))
}

/// Text about stamps that are ahead of cluster time.
pub(super) fn stamps_ahead(summary: &Value) -> Option<String> {
    let ahead = summary["stamps_ahead_ms"].as_i64()?;
    (ahead > STAMPS_AHEAD_MAX).then(|| {
        format!(
            "the last stamp is {} the time: a wrong clock was followed once. Stamps go on from there, at half the \
             speed of time at most, until time has caught up",
            ahead_or_behind(ahead)
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const DAY: i64 = 86_400_000;

    #[test]
    fn a_clock_that_is_out_gets_a_remark_and_a_small_offset_none() {
        let replica = |offset: Option<i64>, error: i64| json!({"id": 2, "clock_offset_ms": offset, "clock_error_ms": error});
        for (offset, in_table) in [
            (None, "-"),
            (Some(0), "+0 ms"),
            (Some(-12), "-12 ms"),
            (Some(2_500), "+2.5 s"),
            (Some(-40 * DAY), "-40 days"),
        ] {
            assert_eq!(cell(&replica(offset, 1)), in_table);
        }
        let agreed = json!({"time_agreed": true});
        let told = |offset, error| remark(&agreed, &replica(Some(offset), error));
        assert_eq!(told(900, 1), None);
        assert_eq!(told(2_500, 2_000), None, "it may be well");
        assert_eq!(remark(&agreed, &replica(None, 0)), None);
        let text = "replica 2: its clock is 40 days ahead of what most replicas' clocks say";
        assert!(told(40 * DAY, 1).is_some_and(|told| told.starts_with(text)));
        let alone = remark(&json!({"time_agreed": false}), &replica(Some(-DAY * 3), 1));
        assert!(
            alone.is_some_and(|told| told.contains("3 days behind the time that stamps follow"))
        );
    }

    #[test]
    fn stamps_that_are_ahead_are_told_of() {
        assert_eq!(stamps_ahead(&json!({"stamps_ahead_ms": 9_000})), None);
        assert_eq!(stamps_ahead(&json!({"stamps_ahead_ms": null})), None);
        let told = stamps_ahead(&json!({"stamps_ahead_ms": 40 * DAY}));
        assert!(told.is_some_and(|told| told.contains("40 days ahead of the time")));
    }
}
