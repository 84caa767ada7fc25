//! The profile of a run: its mode, its faults, and the rules that hold under them.

use std::{fmt, str::FromStr};

use tercet_core::config::{Limits, Mode, Timing};

use crate::{mutation::Mutation, rng::Rng};

/// A family of runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    /// Mode available inside its fault model: everything but partitions. Full safety, and a replica serves as long as
    /// an active one is left.
    Available,
    /// Mode available outside its fault model: partitions, and corrupt disks with the only copy. Writes may be lost,
    /// but each loss is reported; [`crate::check`] has the rules.
    Split,
    /// Mode majority and everything: full safety.
    Majority,
    /// Either mode, no partitions, and stores that are gone for good; an operator declares dead the replicas that
    /// others wait for. Full safety until then; afterwards the rules of `split`, and only writes of the lost stores
    /// are lost.
    Recovery,
}

impl Profile {
    pub const ALL: [Profile; 4] = [
        Profile::Available,
        Profile::Split,
        Profile::Majority,
        Profile::Recovery,
    ];

    /// Gives the kinds of fault that a set of runs must have had.
    #[must_use]
    pub fn required(self) -> &'static [&'static str] {
        match self {
            Profile::Available => &[
                "kill",
                "kill all",
                "kill all but one",
                "power loss",
                "torn write",
                "pause short",
                "pause long",
                "clock stood still",
                "pause many",
                "reset",
                "false refusal",
                "replica added",
                "replica removed",
                "log trimmed",
                "snapshot installed",
                "disk slow",
                "disk crawls",
                "disk stall",
                "disk hang",
                "wipe",
                "bit flip",
                "rot read",
                "store refused",
                "fsync error",
                "disk full",
                "disk full alone",
                "clock jump small",
                "clock jump large",
                "graceful stop",
                "trap sprung",
                "message lost",
                "message doubled",
                "message overtaken",
            ],
            Profile::Split => &[
                "kill",
                "torn write",
                "pause long",
                "clock stood still",
                "reset",
                "false refusal",
                "replica added",
                "replica removed",
                "log trimmed",
                "snapshot installed",
                "bit flip",
                "store refused",
                "fsync error",
                "disk full",
                "clock jump small",
                "clock jump large",
                "isolate",
                "halves",
                "cut one way",
                "cut link",
            ],
            Profile::Recovery => &[
                "kill",
                "kill all",
                "kill all but one",
                "power loss",
                "torn write",
                "pause long",
                "clock stood still",
                "reset",
                "false refusal",
                "replica added",
                "replica removed",
                "log trimmed",
                "snapshot installed",
                "graceful stop",
                "trap sprung",
                "store lost",
                "store put back",
                "declared dead",
            ],
            Profile::Majority => &[
                "kill",
                "kill all",
                "power loss",
                "torn write",
                "pause short",
                "pause long",
                "clock stood still",
                "pause many",
                "reset",
                "false refusal",
                "replica added",
                "replica removed",
                "log trimmed",
                "snapshot installed",
                "disk slow",
                "disk crawls",
                "disk stall",
                "disk hang",
                "wipe",
                "bit flip",
                "rot read",
                "store refused",
                "fsync error",
                "disk full",
                "clock jump small",
                "clock jump large",
                "graceful stop",
                "trap sprung",
                "message lost",
                "message doubled",
                "message overtaken",
                "isolate",
                "halves",
                "cut one way",
                "cut link",
                "forged refusal",
                "latency spike",
            ],
        }
    }

    /// Tells whether links may be cut.
    #[must_use]
    pub fn partitions(self) -> bool {
        matches!(self, Profile::Split | Profile::Majority)
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Profile::Available => "available",
            Profile::Split => "split",
            Profile::Majority => "majority",
            Profile::Recovery => "recovery",
        })
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Profile, String> {
        let all = Profile::ALL.into_iter();
        let mut found = all.filter(|profile| profile.to_string() == text);
        found
            .next()
            .ok_or_else(|| format!("no profile {text}: available, split, majority or recovery"))
    }
}

/// The plan of a run: its parameters.
#[derive(Clone, Debug)]
pub struct Plan {
    pub replicas: usize,
    /// The number of further replicas, which may be added later.
    pub spares: usize,
    pub mode: Mode,
    pub timing: Timing,
    pub limits: Limits,
    pub clients: u32,
    /// The longest time between two operations of a client, microseconds.
    pub think: u64,
    /// The number of reads in a thousand operations.
    pub reads: u64,
    /// The times between which faults begin, microseconds.
    pub faults: (u64, u64),
    /// The longest usual time between two faults, microseconds.
    pub pace: u64,
    /// The number of entries that stay when a log is trimmed; `None` for no trimming.
    pub keep: Option<u64>,
    /// The mutation of all replicas.
    pub mutation: Option<Mutation>,
}

impl Plan {
    /// Makes the plan of a run without faults of its own, for scripts.
    #[must_use]
    pub fn quiet(replicas: usize, mode: Mode) -> Plan {
        Plan {
            replicas,
            spares: 0,
            mode,
            timing: Timing::default(),
            limits: Limits::default(),
            clients: 4,
            think: 40_000,
            reads: 300,
            faults: (0, 0),
            pace: 1_000_000,
            keep: None,
            mutation: None,
        }
    }

    /// Reduces the number of clients and replicas.
    pub fn shrink(&mut self, clients_max: u32, replicas_max: usize) {
        self.clients = self.clients.min(clients_max);
        self.replicas = self.replicas.min(replicas_max.max(self.mode.view_min()));
    }

    /// Draws a run of the profile.
    pub fn draw(profile: Profile, rng: &mut Rng) -> Plan {
        let (replicas, mode) = match profile {
            Profile::Available => (rng.pick(&[1, 2, 2, 3, 3, 3, 3, 3, 5]), Mode::Available),
            Profile::Split => (rng.pick(&[2, 3, 3, 3, 5]), Mode::Available),
            Profile::Recovery => {
                let replicas = rng.pick(&[2, 3, 3, 3, 5]);
                let majority = Mode::Majority { min_in_sync: 2 };
                (
                    replicas,
                    rng.pick(&[Mode::Available, Mode::Available, majority]),
                )
            }
            Profile::Majority => {
                let (replicas, min_in_sync) =
                    rng.pick(&[(2, 2), (3, 2), (3, 2), (3, 2), (5, 3), (5, 2)]);
                (replicas, Mode::Majority { min_in_sync })
            }
        };
        let begin = if rng.chance(300) { 0 } else { 3_000_000 };
        Plan {
            spares: rng.pick(&[0, 0, 1, 2]),
            limits: draw_limits(rng),
            keep: rng.pick(&[None, Some(0), Some(5), Some(60), Some(600)]),
            clients: rng.between(1, 6) as u32,
            think: rng.pick(&[10_000, 60_000, 200_000]),
            reads: rng.pick(&[0, 300, 300, 700]),
            faults: (begin, begin + rng.between(10_000_000, 45_000_000)),
            pace: rng.pick(&[300_000, 1_500_000, 4_000_000]),
            ..Plan::quiet(replicas, mode)
        }
    }
}

/// Draws bounds that are small now and then, so that runs reach them.
fn draw_limits(rng: &mut Rng) -> Limits {
    let mut limits = Limits::default();
    if rng.chance(300) {
        limits.batch_entries_max = rng.pick(&[1, 2, 7]);
    }
    if rng.chance(300) {
        limits.batches_in_flight_max = rng.pick(&[1, 2]);
    }
    if rng.chance(400) {
        limits.window_bytes_max = rng.pick(&[0, 40, 400]);
    }
    if rng.chance(300) {
        limits.learner_lag_max = rng.pick(&[5, 20, 60]);
    }
    if rng.chance(150) {
        limits.uncommitted_entries_max = rng.pick(&[1, 3, 10]);
    }
    if rng.chance(150) {
        limits.batch_bytes_max = rng.pick(&[1, 50, 200]);
    }
    limits
}
