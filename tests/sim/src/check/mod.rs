//! The checkers. They use the clients' answers and the entries that replicas commit, know nothing of the decisions of
//! the core, and share no code with it.
//!
//! # Why the check of linearizability is complete
//!
//! Every write that takes effect does so at one LSN, and a read answers with the state at one LSN, its position. So
//! only one order has to be checked, the order by position (a write before the reads at its position). The history is
//! linearizable if and only if that order explains every answer and contradicts no clock:
//!
//! - each read returns the value that the writes up to its position leave in the register
//!   ([`history::History::end_read`]), and equal positions mean equal states ([`order::Order::state`]);
//! - if one operation ended before another began, its position is not higher, and it is lower if the other is a
//!   write.
//!
//! The second condition needs only the *floor*: the highest position of any operation that has ended. An operation
//! notes the floor at its beginning; a write must take effect above it, a read must not be below it. Beginnings and
//! ends are taken at the server, where they are closest together, so the check is at least as strict as one at the
//! clients. For a register whose writes had no known order this would be a search; the log makes it unnecessary.
//!
//! The search is made all the same, at the end of a run, over the clients' own observations
//! ([`client_history::ClientHistory`]): it would show a mistake in the argument above.
//!
//! # Outside the fault model
//!
//! In mode available both sides of a partition continue, and a disk may become corrupt that has the only copy of an
//! entry. Then an acknowledged write may be lost, and a read may be stale. Profile `split` checks the weaker rules
//! that still hold:
//!
//! - A replica applies one entry at an LSN and never undoes it (`image`), entries keep their past and equal logs give
//!   equal states ([`lineage`]): the histories of two sides may differ, but no log is a mixture of both.
//! - A store with a flipped bit is refused: at the start, or when the entry is read. A corrupt entry is never sent to
//!   another replica ([`lineage::Lineage::persists`]).
//! - While a replica serves, two live replicas that have applied different entries find it out in time: one of them
//!   halts (`world::watch`).
//! - A read sees all writes that its own leader acknowledged, and those that an earlier leader acknowledged if they
//!   are in the log ([`lineage::Lineage::floor`]).
//! - At the end, after each store of a halted or refusing replica was set aside and replaced, all replicas have the
//!   same log and the same state, and every write that was ever acknowledged is in them or in a store that was set
//!   aside. Or no replica serves, some store is lost, and every live replica reports the replicas that it waits for.
//!
//! Profile `recovery` has the same checks from the first time that an operator declares a replica dead, and those of
//! `world::recovery`.

pub mod client_history;
pub mod history;
pub mod leaders;
pub mod lineage;
pub mod order;

/// A broken rule: its name and a description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub String);

impl Violation {
    /// Gives the name of the rule.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }
}

/// The result of a check; `Err` if a rule was broken.
pub type Verdict = Result<(), Violation>;

pub(crate) fn broken(how: impl Into<String>) -> Verdict {
    Err(Violation(how.into()))
}
