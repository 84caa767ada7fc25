//! The scripts: particular orders of events that chance hardly ever produces. Each finds one mistake of the protocol
//! (`tests/gate.rs`), and a sound core passes all of them.
//!
//! A script decides on the faults and their times; the rest comes from the seed: latencies, clients, the place of the
//! first tick in the inbox of a replica that wakes. So one seed may miss a mistake that the next one finds.

mod plays;
mod recoveries;

use tercet_core::config::Mode;

use crate::{
    Outcome,
    mutation::Mutation,
    profile::Plan,
    trace::{Detail, Trace},
    world::World,
};

const SECOND: u64 = 1_000_000;
const AVAILABLE: Mode = Mode::Available;
const MAJORITY: Mode = Mode::Majority { min_in_sync: 2 };

/// A particular order of events.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    /// The name on a command line.
    pub name: &'static str,
    replicas: usize,
    mode: Mode,
    play: fn(&mut World),
    /// True if it leaves the fault model: losses are allowed if they are reported.
    splits: bool,
}

impl Script {
    const fn new(name: &'static str, replicas: usize, mode: Mode, play: fn(&mut World)) -> Script {
        Script {
            name,
            replicas,
            mode,
            play,
            splits: false,
        }
    }

    const fn that_splits(self) -> Script {
        Script {
            splits: true,
            ..self
        }
    }
}

/// The list of all scripts.
pub const ALL: &[Script] = &[
    Script::new(
        "shrinks-that-nobody-heard",
        5,
        AVAILABLE,
        plays::shrinks_that_nobody_heard,
    ),
    Script::new(
        "long-tail-of-a-leader-cut-off",
        3,
        MAJORITY,
        plays::long_tail_of_a_leader_cut_off,
    ),
    Script::new(
        "outage-that-the-last-outlasts",
        3,
        AVAILABLE,
        plays::outage_that_the_last_outlasts,
    ),
    Script::new(
        "outage-amid-a-join",
        3,
        AVAILABLE,
        plays::outage_amid_a_join,
    ),
    Script::new(
        "join-never-committed",
        3,
        AVAILABLE,
        plays::join_never_committed,
    ),
    Script::new("wiped-behind-a-cut", 3, MAJORITY, plays::wiped_behind_a_cut),
    Script::new("short-cut-of-two", 2, AVAILABLE, plays::short_cut_of_two),
    Script::new(
        "sleeper-beside-the-dead",
        2,
        AVAILABLE,
        plays::sleeper_beside_the_dead,
    ),
    Script::new(
        "dropped-for-a-slow-disk",
        2,
        AVAILABLE,
        plays::dropped_for_a_slow_disk,
    ),
    Script::new(
        "left-out-for-a-crawling-disk",
        3,
        AVAILABLE,
        plays::left_out_for_a_crawling_disk,
    ),
    Script::new(
        "led-on-beside-a-stalled-disk",
        2,
        AVAILABLE,
        plays::led_on_beside_a_stalled_disk,
    ),
    Script::new(
        "removed-amid-a-reset",
        2,
        AVAILABLE,
        plays::removed_amid_a_reset,
    ),
    Script::new(
        "removed-amid-overtaking",
        2,
        AVAILABLE,
        plays::removed_amid_overtaking,
    ),
    Script::new(
        "outage-behind-a-removal",
        3,
        MAJORITY,
        plays::outage_behind_a_removal,
    ),
    Script::new("epoch-led-twice", 3, AVAILABLE, plays::epoch_led_twice).that_splits(),
    Script::new(
        "join-lost-by-its-leader",
        2,
        AVAILABLE,
        plays::join_lost_by_its_leader,
    ),
    Script::new(
        "two-sleepers-and-the-dead",
        3,
        AVAILABLE,
        plays::two_sleepers_and_the_dead,
    ),
    Script::new(
        "sleeper-with-old-mail",
        3,
        AVAILABLE,
        plays::sleeper_with_old_mail,
    ),
    Script::new(
        "shrink-that-few-know",
        5,
        MAJORITY,
        plays::shrink_that_few_know,
    ),
    Script::new(
        "restarts-behind-a-firewall",
        3,
        MAJORITY,
        plays::restarts_behind_a_firewall,
    ),
    Script::new(
        "refusals-at-the-end-of-a-lease",
        3,
        MAJORITY,
        plays::refusals_at_the_end_of_a_lease,
    ),
    Script::new(
        "clock-that-stood-still",
        3,
        AVAILABLE,
        plays::clock_that_stood_still,
    ),
    Script::new(
        "refused-by-another",
        2,
        AVAILABLE,
        plays::refused_by_another,
    ),
    Script::new(
        "cut-off-amid-a-hand-over",
        3,
        MAJORITY,
        plays::cut_off_amid_a_hand_over,
    ),
    Script::new(
        "promise-lost-in-a-crash",
        3,
        MAJORITY,
        plays::promise_lost_in_a_crash,
    ),
    Script::new(
        "acknowledged-on-one-side",
        3,
        AVAILABLE,
        plays::acknowledged_on_one_side,
    )
    .that_splits(),
    Script::new(
        "one-of-two-declared",
        3,
        AVAILABLE,
        recoveries::one_of_two_declared,
    )
    .that_splits(),
    Script::new(
        "dead-with-high-epochs",
        3,
        AVAILABLE,
        recoveries::dead_with_high_epochs,
    )
    .that_splits(),
    Script::new(
        "declared-dead-long-ago",
        3,
        AVAILABLE,
        recoveries::declared_dead_long_ago,
    )
    .that_splits(),
    Script::new("old-copy-leads", 3, AVAILABLE, recoveries::old_copy_leads).that_splits(),
    Script::new("old-copy-votes", 3, MAJORITY, recoveries::old_copy_votes),
    Script::new(
        "old-copy-that-nobody-knows",
        3,
        MAJORITY,
        recoveries::old_copy_that_nobody_knows,
    ),
    Script::new(
        "old-copy-beside-an-old-leader",
        3,
        MAJORITY,
        recoveries::old_copy_beside_an_old_leader,
    ),
    Script::new(
        "dead-backup-returns",
        3,
        AVAILABLE,
        recoveries::dead_backup_returns,
    )
    .that_splits(),
];

/// Finds the script with that name.
///
/// # Errors
/// If there is none: the error lists the names.
pub fn named(name: &str) -> Result<Script, String> {
    let found = ALL.iter().find(|script| script.name == name).copied();
    found.ok_or_else(|| {
        let names: Vec<_> = ALL.iter().map(|script| script.name).collect();
        format!("no script {name}: one of {}", names.join(", "))
    })
}

/// Runs a script in a whole cluster, then ends all faults and makes the last checks.
#[must_use]
pub fn run(script: Script, mutation: Option<Mutation>, seed: u64, detail: Detail) -> Outcome {
    let plan = Plan {
        mutation,
        clients: 8,
        ..Plan::quiet(script.replicas, script.mode)
    };
    let mut world = World::new(seed, None, plan, Trace::new(detail));
    world.order.tolerated = script.splits;
    world.passes_until(20 * SECOND, World::is_whole);
    (script.play)(&mut world);
    world.settle();
    for _ in 0..900 {
        world.pass(SECOND / 10);
        if script.splits {
            world.operate();
        }
    }
    Outcome::of(world, 0)
}

impl World {
    fn pass(&mut self, micros: u64) {
        self.run_until(self.now + micros);
    }

    /// Runs until `holds` gives true, and for at most `micros` microseconds.
    fn passes_until(&mut self, micros: u64, holds: impl Fn(&World) -> bool) {
        let end = self.now + micros;
        while self.now < end && self.violation.is_none() && !holds(self) {
            self.pass(50);
        }
    }
}
