//! The checkers. They see what clients see and what replicas commit, know nothing of how the
//! core decides, and share no code with it.
//!
//! # Why the check of linearizability is complete
//!
//! Every write that takes effect does so at one LSN, and a read answers with the state at one
//! LSN, its position. So there is one order to justify, the one by position (a write before the
//! reads at its position), and the history is linearizable if and only if that order explains
//! every answer and contradicts no clock:
//!
//! - each read returns what the writes up to its position leave in the register
//!   ([`history::History::end_read`]), and equal positions mean equal states
//!   ([`order::Order::state`]);
//! - when one operation ended before another began, its position is not higher, and it is lower
//!   if the other is a write.
//!
//! For the second, all that is needed is the *floor*: the highest position of any operation that
//! has ended. An operation remembers the floor at its beginning; a write must take effect above
//! it, a read must not be below it. Beginnings and ends are taken at the server, where they are
//! closest together, so the check is at least as strict as one at the clients. With a register
//! whose writes had no known order this would be a search; the log spares it.
//!
//! The search is made all the same, at the end of a run, over what the clients alone saw
//! ([`client_history::ClientHistory`]): a mistake in the argument above would show there.
//!
//! # Outside the fault model
//!
//! In mode available a partition makes two sides that both go on, and a disk may rot that has the
//! only copy of something. Then a write may be lost that was acknowledged, and a read may be
//! stale; what is promised instead, and checked in profile `split`, is that it shows:
//!
//! - A replica applies one entry at an LSN and never takes it back (`image`), entries keep their
//!   past and equal logs give equal states ([`lineage`]): two sides may go two ways, but nothing
//!   is ever a mixture of both.
//! - A store with a flipped bit is refused: at the start, or when the entry is read. What is
//!   wrong on one disk is never sent to another ([`lineage::Lineage::persists`]).
//! - While somebody serves, two that are up and have applied different entries find out in time:
//!   one of them halts (`world::watch`).
//! - A read sees what its own leadership acknowledged, and whatever an earlier one did whose log
//!   it has ([`lineage::Lineage::floor`]).
//! - At the end, once what halted or was refused is set aside and began anew, all replicas have
//!   the same log and the same state, and every write that was ever acknowledged is in them or in
//!   a store that was set aside. Or nobody serves, some store is lost, and every replica that is
//!   up says for whom it waits.
//!
//! The same is checked in profile `recovery` from the first time that an operator declares a replica
//! dead, and besides what `world::recovery` says.

pub mod client_history;
pub mod history;
pub mod leaders;
pub mod lineage;
pub mod order;

/// A promise that was broken: which, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub String);

impl Violation {
    /// Which promise, in a word.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }
}

/// `Err` when a promise was broken.
pub type Verdict = Result<(), Violation>;

pub(crate) fn broken(how: impl Into<String>) -> Verdict {
    Err(Violation(how.into()))
}
