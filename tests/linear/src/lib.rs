//! Decides whether what concurrent clients saw can be explained by one thing at a time: whether a
//! history is linearizable (Herlihy and Wing, 1990).
//!
//! A history is a list of [`Operation`]s: what was asked and answered, when it was asked and when
//! answered. A [`Model`] says what an operation does, done alone. [`check`] looks for an order of
//! the operations that the model permits and that contradicts no clock: what was answered before
//! another was asked comes before it. An operation whose outcome is unknown may take effect at any
//! time after it was asked, or never.
//!
//! The search is that of Wing and Gong (1993) with Lowe's memory (2017): whoever placed the same
//! operations and reached the same state has the same future, so it is tried once. It is
//! exponential all the same, and so bounded: beyond a number of states the verdict is
//! [`Verdict::Unknown`], which is not [`Verdict::Linearizable`].
//!
//! A history of independent objects is linearizable if and only if each object's is; checking
//! each alone is far cheaper ([`by_key`]).

mod placed;
mod search;

pub mod list;
pub mod register;
pub mod versioned;

use std::{collections::BTreeMap, fmt, hash::Hash};

pub use search::check;

/// The effect of operations that are done one at a time.
pub trait Model {
    type State: Clone + Eq + Hash;
    /// An operation with its answer.
    type Op;

    fn initial(&self) -> Self::State;

    /// The state after `op`; `None` when `op` cannot be answered like this in `state`.
    fn step(&self, state: &Self::State, op: &Self::Op) -> Option<Self::State>;
}

/// One operation of a client. Times are of one monotonic clock, in any unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<Op> {
    pub op: Op,
    pub invoked: u64,
    /// `None` when the outcome is unknown. An operation that has no effect is better left out then.
    pub responded: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Linearizable,
    /// There is no such order. Numbers are positions in the history that was given.
    Violation {
        /// A longest order that was found.
        prefix: Vec<usize>,
        /// The operation that had to be next, as it was answered first, and that fits nowhere.
        stuck: usize,
    },
    /// The search was given up after so many states.
    Unknown {
        states: usize,
    },
}

impl Verdict {
    #[must_use]
    pub fn is_linearizable(&self) -> bool {
        *self == Verdict::Linearizable
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Linearizable => write!(f, "linearizable"),
            Verdict::Violation { prefix, stuck } => write!(
                f,
                "not linearizable: after {} operations, operation {stuck} fits nowhere",
                prefix.len()
            ),
            Verdict::Unknown { states } => {
                write!(f, "unknown: given up after {states} states")
            }
        }
    }
}

/// Parts a history by the object that each operation is on, keeping the order.
pub fn by_key<Op, K: Ord>(
    history: impl IntoIterator<Item = Operation<Op>>,
    key: impl Fn(&Op) -> K,
) -> BTreeMap<K, Vec<Operation<Op>>> {
    let mut parts: BTreeMap<K, Vec<Operation<Op>>> = BTreeMap::new();
    for operation in history {
        parts.entry(key(&operation.op)).or_default().push(operation);
    }
    parts
}
