//! A key with a number and a version, which is set by compare-and-set and counted up by a program.

use crate::Model;

/// The key as it is: its version and its number; `None` when it does not exist.
pub type Entry = Option<(u64, u64)>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionedOp {
    Read(Entry),
    /// Set to `value` as `version`, because the key had the expected version; 0: it did not exist.
    Set {
        expected: u64,
        value: u64,
        version: u64,
    },
    /// Not set, because the key was `current` and had another version than the expected one.
    Missed {
        expected: u64,
        current: Entry,
    },
    /// One more than before, with 0 for no key.
    Counted {
        value: u64,
        version: u64,
    },
}

/// A key that does not exist at first. Each change gives it a greater version.
#[derive(Clone, Copy, Debug, Default)]
pub struct Versioned;

impl Model for Versioned {
    type State = Entry;
    type Op = VersionedOp;

    fn initial(&self) -> Entry {
        None
    }

    fn step(&self, state: &Entry, op: &VersionedOp) -> Option<Entry> {
        let (before, number) = state.unwrap_or((0, 0));
        match *op {
            VersionedOp::Read(read) => (read == *state).then_some(*state),
            VersionedOp::Set {
                expected,
                value,
                version,
            } => (expected == before && version > before).then_some(Some((version, value))),
            VersionedOp::Missed { expected, current } => {
                (expected != before && current == *state).then_some(*state)
            }
            VersionedOp::Counted { value, version } => {
                (value == number + 1 && version > before).then_some(Some((version, value)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Operation, check};

    fn is_linearizable(ops: &[(VersionedOp, u64, u64)]) -> bool {
        let history: Vec<Operation<VersionedOp>> = ops
            .iter()
            .map(|(op, invoked, responded)| Operation {
                op: op.clone(),
                invoked: *invoked,
                responded: Some(*responded),
            })
            .collect();
        check(&Versioned, &history, 10_000).is_linearizable()
    }

    fn set(expected: u64, value: u64, version: u64) -> VersionedOp {
        VersionedOp::Set {
            expected,
            value,
            version,
        }
    }

    #[test]
    fn two_that_expect_the_same_version_do_not_both_set_it() {
        let first = (set(0, 7, 3), 0, 10);
        let missed = VersionedOp::Missed {
            expected: 0,
            current: Some((3, 7)),
        };
        assert!(is_linearizable(&[first.clone(), (missed, 1, 9)]));
        assert!(!is_linearizable(&[first.clone(), (set(0, 8, 4), 1, 9)]));
        assert!(!is_linearizable(&[
            first,
            (VersionedOp::Read(None), 11, 12)
        ]));
    }

    #[test]
    fn no_count_is_lost_and_no_version_comes_again() {
        let counted = |value, version| VersionedOp::Counted { value, version };
        let one = (counted(1, 3), 0, 10);
        assert!(is_linearizable(&[one.clone(), (counted(2, 5), 0, 10)]));
        assert!(!is_linearizable(&[one.clone(), (counted(1, 5), 0, 10)]));
        assert!(!is_linearizable(&[one, (counted(2, 3), 0, 10)]));
    }
}
