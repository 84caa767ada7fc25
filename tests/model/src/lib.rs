//! The replication protocol of Tercet as a specification small enough to read in one sitting, and a
//! checker that visits every state it can reach within bounds. It shares no code with the core.
//!
//! - `state.rs` (with `log.rs`): what there is: replicas, their logs and disks, what was committed.
//! - `actions.rs`: what can happen; the rules are in `leading.rs` (commit, shrink, grow),
//!   `takeover.rs` (promises, rules (i) and (ii), majorities) and `faults.rs` (crashes, starts,
//!   replaced disks, and who is believed dead).
//! - `properties.rs`: what is promised, as things that hold in every state.
//! - `mutation.rs`: the mistakes the protocol avoids, each the specification with one rule changed.
//! - `scope.rs`: the bounds. `check.rs`: runs the checker, tells a counterexample.
//!
//! # What is left out
//!
//! - *Channels.* A message of an epoch may arrive at any time or not at all, so there are no queues:
//!   an Append is the leader's log, up to some position, reaching a replica now, later or never. A
//!   promise and its answer are one step, and so are an Append and its acknowledgement: an answer
//!   that is late only lets somebody do less. A leader that dies before it hears the answer is a
//!   step of its own (`LastWords`).
//! - *Time.* No clocks, no timeouts, no leases: whatever a timeout could start may happen at any
//!   time. So nothing is said here of reads; that is the simulator's.
//! - *False suspicion in mode available.* A crash is known at once to all who run, and nobody else
//!   is suspected, but for the mutation of that name. In mode majority anybody may stand, or be put
//!   out of a view, at any time: that is every partition.
//! - *Snapshots, batches, the roster, graceful stops, the operator's recovery.* They decide when a
//!   rule is applied, or carry the log in another form.
//!
//! The number of each kind of event is bounded (`scope.rs`): an error that needs more faults than a scope
//! allows is not found in it.

pub mod actions;
pub mod check;
pub mod log;
pub mod mutation;
pub mod properties;
pub mod scope;
pub mod state;

mod faults;
mod leading;
mod takeover;
