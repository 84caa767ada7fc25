//! Texts of `cluster status` about the clocks of the replicas.

use tercet_proto::words::ahead_or_behind;

use super::summary::{ReplicaSummary, Summary};

/// A clock that is out by more than this, and by more than the error of the measurement, gets a remark. Replicas
/// warn from the same bound on. Milliseconds.
const OFFSET_MAX: i64 = 1_000;
/// Stamps that are ahead of time by more get a remark, milliseconds: no load and no takeover leads to so much.
const STAMPS_AHEAD_MAX: i64 = 10_000;

/// Gives the offset of a clock for the table.
pub(super) fn cell(offset_ms: i64) -> String {
    if offset_ms.unsigned_abs() < 1_000 {
        return format!("{offset_ms:+} ms");
    }
    let sign = if offset_ms < 0 { '-' } else { '+' };
    let far = ahead_or_behind(offset_ms);
    let far = far
        .trim_end_matches(" ahead of")
        .trim_end_matches(" behind");
    format!("{sign}{far}")
}

/// Gives a remark about the clock of a replica if it is wrong.
pub(super) fn remark(summary: &Summary, replica: &ReplicaSummary) -> Option<String> {
    let offset = replica.clock_offset_ms?;
    let error = replica.clock_error_ms.unwrap_or(0);
    if offset.saturating_abs() <= error.saturating_add(OFFSET_MAX) {
        return None;
    }
    let far = ahead_or_behind(offset);
    let what = match summary.time_agreed {
        Some(true) => "what most replicas' clocks say, and is not followed: set it",
        _ => "the time that stamps follow; too few clocks are known to say which is right",
    };
    Some(format!("its clock is {far} {what}"))
}

/// Gives a remark about stamps that are ahead of cluster time.
pub(super) fn stamps_ahead(summary: &Summary) -> Option<String> {
    let ahead = summary.stamps_ahead_ms?;
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
    use super::*;

    const DAY: i64 = 86_400_000;

    fn replica(clock_offset_ms: Option<i64>, clock_error_ms: i64) -> ReplicaSummary {
        ReplicaSummary {
            clock_offset_ms,
            clock_error_ms: Some(clock_error_ms),
            ..ReplicaSummary::default()
        }
    }

    fn summary(time_agreed: bool, stamps_ahead_ms: Option<i64>) -> Summary {
        Summary {
            time_agreed: Some(time_agreed),
            stamps_ahead_ms,
            ..Summary::of(&Vec::new())
        }
    }

    #[test]
    fn a_clock_that_is_out_gets_a_remark_and_a_small_offset_none() {
        for (offset, in_table) in [
            (0, "+0 ms"),
            (-12, "-12 ms"),
            (2_500, "+2.5 s"),
            (-40 * DAY, "-40 days"),
        ] {
            assert_eq!(cell(offset), in_table);
        }
        let agreed = summary(true, None);
        let told = |offset, error| remark(&agreed, &replica(Some(offset), error));
        assert_eq!(told(900, 1), None);
        assert_eq!(told(2_500, 2_000), None, "it may be well");
        assert_eq!(remark(&agreed, &replica(None, 0)), None);
        let text = "its clock is 40 days ahead of what most replicas' clocks say";
        assert!(told(40 * DAY, 1).is_some_and(|told| told.starts_with(text)));
        let alone = remark(&summary(false, None), &replica(Some(-DAY * 3), 1));
        assert!(
            alone.is_some_and(|told| told.contains("3 days behind the time that stamps follow"))
        );
    }

    #[test]
    fn stamps_that_are_ahead_are_told_of() {
        let told = |ahead| stamps_ahead(&summary(true, ahead));
        assert_eq!(told(Some(9_000)), None);
        assert_eq!(told(None), None);
        assert!(
            told(Some(40 * DAY)).is_some_and(|told| told.contains("40 days ahead of the time"))
        );
    }
}
