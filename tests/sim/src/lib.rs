//! Tercet's deterministic simulator: the real replication core runs with simulated disks, links, clocks and clients,
//! and with faults. One seed decides everything.
//!
//! # A run
//!
//! A seed and a [`profile::Profile`] give a [`profile::Plan`] (the number of replicas, the bounds, the load of the
//! clients) and a mix of faults. The [`world::World`] then goes from event to event. First faults happen; then all
//! faults end and the cluster has to become whole by itself; then the clients finish and the last checks are made:
//! every acknowledged write is there once, and all logs and states are equal. During the run every answer to a
//! client, every commit and every lease is checked ([`check`]). The same seed gives the same run, bit for bit, and
//! [`Outcome::hash`] shows it.
//!
//! # What is modelled
//!
//! - **Disk** ([`disk`], [`image`]): writes become durable in their order, some together, each after a random time; a
//!   crash leaves any prefix of those in progress. Disks get slow, stall, and are replaced by empty ones. An fsync
//!   fails: the process ends. A disk is full: the process ends, or, as the last of its view, only reads. Bits of the
//!   log flip: the store is refused when it is opened or read, and the operator sets it aside.
//! - **Links** ([`network`]): sessions with messages in order. A process that dies ends its sessions, and connections
//!   to it are refused; a host without power is silent. Sessions are reset. Messages are lost, doubled and overtaken;
//!   real sessions do not do that, but the core must survive it. Links are cut, one way or both; a firewall refuses
//!   connections.
//! - **Time**: each replica has its own clock, a little fast or slow, that jumps ahead now and then. A paused process
//!   does nothing while its clock goes on and its inbox fills; when it wakes, a tick comes before, between or after
//!   the waiting messages.
//! - **Roster** (`world::roster`): an operator adds replicas, with empty disks or with their old ones, and removes
//!   them, leader or not, dead or alive.
//! - **Trimming and snapshots** (`world::snapshots`): logs are trimmed, and a replica that needs trimmed entries gets
//!   a snapshot instead.
//! - **Recovery** (`world::recovery`): stores are gone for good, and the operator declares dead the replicas that
//!   others wait for. One that was only down returns later, and halts.
//! - **Service** (`world::service`): the work of the production driver around the core: it proposes in batches,
//!   acknowledges an entry that is applied in the same leadership, and permits a read if the lease holds both before
//!   and after.
//!
//! # The gate
//!
//! A checker that never reported a fault proves nothing. With the feature `mutations` the core can be broken in each
//! of the ways that are known to lose writes ([`mutation`]), and `tests/gate.rs` fails unless each of them is caught
//! within a fixed number of runs, most by a profile, some by a [`script`] for an order of events that chance hardly
//! ever produces; the sound core passes the same runs. `--mutation NAME` replays a catch.
//!
//! # Left out
//!
//! Corruption outside the log: the store finds it only where SQLite does.

pub mod check;
pub mod client;
pub mod disk;
pub mod fault_kind;
pub mod image;
pub mod machine;
pub mod mutation;
pub mod nemesis;
pub mod network;
pub mod node;
pub mod profile;
pub mod rng;
pub mod schedule;
pub mod script;
pub mod shrink;
pub mod statistics;
pub mod sweep;
pub mod trace;
mod trap;
pub mod world;

use check::Violation;
use profile::{Plan, Profile};
use rng::Rng;
use shrink::Shape;
use statistics::Statistics;
use trace::{Detail, Trace};
use world::World;

/// The limit of a run in simulated microseconds: faults end, and the phases after them have deadlines.
const SIMULATED_MAX: u64 = 600_000_000;

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub violation: Option<Violation>,
    /// The simulated time at which the run ended, microseconds.
    pub ended: u64,
    /// The number of faults that began.
    pub strikes: u64,
    /// The hash of everything that happened.
    pub hash: u64,
    pub statistics: Statistics,
}

/// Runs one seed of a profile, with at most `strikes_max` faults.
#[must_use]
pub fn run(profile: Profile, seed: u64, detail: Detail, strikes_max: u64) -> Outcome {
    let shape = Shape {
        strikes_max,
        ..Shape::WHOLE
    };
    run_shaped(profile, seed, detail, &shape)
}

/// Runs one seed of a profile, reduced to this shape.
#[must_use]
pub fn run_shaped(profile: Profile, seed: u64, detail: Detail, shape: &Shape) -> Outcome {
    let mut rng = Rng::new(seed ^ 0x7e2c_e700_0000_0000 ^ profile as u64);
    let mut plan = Plan::draw(profile, &mut rng);
    plan.shrink(shape.clients_max, shape.replicas_max);
    plan.mutation = shape.mutation;
    let mut trace = Trace::new(detail);
    trace.line(0, || format!("## {plan:?}"));
    let mut world = World::new(rng.bits(), Some(profile), plan, trace);
    world.nemesis.strikes_left = shape.strikes_max;
    world.nemesis.without.clone_from(&shape.without);
    world.run_until(SIMULATED_MAX);
    let strikes = shape.strikes_max - world.nemesis.strikes_left;
    Outcome::of(world, strikes)
}

impl Outcome {
    /// Makes the outcome of a world that ran to its end.
    fn of(mut world: World, strikes: u64) -> Outcome {
        if world.violation.is_none() && world.statistics.runs == 0 {
            world.violation = Some(Violation(format!("sim: no end\n{}", world.describe())));
        }
        Outcome {
            violation: world.violation,
            ended: world.now,
            strikes,
            hash: world.trace.hash(),
            statistics: world.statistics,
        }
    }
}
