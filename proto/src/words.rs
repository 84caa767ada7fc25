//! Parts of sentences that the server and its clients both use. The rest of this crate is generated.

use std::fmt::Display;

/// Lists replicas by their ids: `replica 2`, `replicas 1, 2 and 3`, `no replica`.
pub fn replicas(ids: impl IntoIterator<Item = impl Display>) -> String {
    let ids: Vec<String> = ids.into_iter().map(|id| id.to_string()).collect();
    match ids.as_slice() {
        [] => "no replica".to_owned(),
        [one] => format!("replica {one}"),
        [others @ .., last] => format!("replicas {} and {last}", others.join(", ")),
    }
}

/// Gives the form of a verb for `count` subjects: `is` or `are`.
#[must_use]
pub fn is_or_are(count: usize) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

/// Describes an offset of clocks in a convenient unit: `40 days ahead of`, `2.5 s behind`.
#[must_use]
pub fn ahead_or_behind(milliseconds: i64) -> String {
    const SECOND: u64 = 1_000;
    const MINUTE: u64 = 60 * SECOND;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let far = milliseconds.unsigned_abs();
    let units = [(DAY, "days"), (HOUR, "hours"), (MINUTE, "minutes")];
    // Rounded, because the clocks were read a moment ago.
    let unit = units
        .into_iter()
        .find(|(unit, _)| far + unit / 2 >= 2 * unit);
    let far = match unit {
        Some((unit, name)) => format!("{} {name}", (far + unit / 2) / unit),
        None => format!("{}.{} s", far / SECOND, far % SECOND / 100),
    };
    match milliseconds < 0 {
        true => format!("{far} behind"),
        false => format!("{far} ahead of"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_are_listed_as_people_list_them() {
        for (ids, text) in [
            (&[][..], "no replica"),
            (&[2], "replica 2"),
            (&[1, 2], "replicas 1 and 2"),
            (&[1, 2, 3], "replicas 1, 2 and 3"),
        ] {
            assert_eq!(replicas(ids), text);
        }
    }

    #[test]
    fn how_far_a_clock_is_out_is_said_in_one_unit() {
        for (milliseconds, text) in [
            (0, "0.0 s ahead of"),
            (2_560, "2.5 s ahead of"),
            (-89_900, "89.9 s behind"),
            (-90_000, "2 minutes behind"),
            (3_600_000, "60 minutes ahead of"),
            (40 * 86_400_000 - 1, "40 days ahead of"),
            (40 * 86_400_000 + 1, "40 days ahead of"),
            (i64::MIN, "106751991167 days behind"),
        ] {
            assert_eq!(ahead_or_behind(milliseconds), text);
        }
    }
}
