//! Parts of sentences that the server and its clients both use: the one part of this crate that is
//! written by hand.

use std::fmt::Display;

/// Replicas by their ids, as a sentence names them: `replica 2`, `replicas 1, 2 and 3`, `no replica`.
pub fn replicas(ids: impl IntoIterator<Item = impl Display>) -> String {
    let ids: Vec<String> = ids.into_iter().map(|id| id.to_string()).collect();
    match ids.as_slice() {
        [] => "no replica".to_owned(),
        [one] => format!("replica {one}"),
        [others @ .., last] => format!("replicas {} and {last}", others.join(", ")),
    }
}

/// The form of a verb that goes with so many: `is` or `are`.
#[must_use]
pub fn is_or_are(count: usize) -> &'static str {
    if count == 1 { "is" } else { "are" }
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
}
