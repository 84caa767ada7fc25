//! The sweep: many seeds of a schedule, on several threads, for a limited time.

use std::{
    ops::Range,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    profile::Profile, schedule::Schedule, shrink::Shape, shrink::report, statistics::Statistics,
    trace::Detail,
};

/// The number of runs of a profile that must have had every kind of fault.
const RUNS_FOR_ALL_FAULTS: u64 = 200;

/// The parameters of a sweep.
#[derive(Clone, Debug)]
pub struct Sweep {
    pub schedule: Schedule,
    pub seeds: Range<u64>,
    pub shape: Shape,
    pub detail: Detail,
    pub time_limit: Duration,
    pub jobs: usize,
    /// True if to continue after a failure.
    pub keep_going: bool,
}

/// The result of a sweep.
#[derive(Clone, Debug, Default)]
pub struct Swept {
    /// The seeds that were run.
    pub seeds: Range<u64>,
    pub statistics: Statistics,
    /// The number of failed runs.
    pub failures: u64,
    /// The kinds of fault that never happened, if there were enough runs.
    pub never_fired: Vec<&'static str>,
}

impl Swept {
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.failures == 0 && self.never_fired.is_empty()
    }
}

impl Sweep {
    /// Makes the sweep of a profile without limits of shape, on every core.
    #[must_use]
    pub fn new(profile: Profile, seeds: Range<u64>, time_limit: Duration) -> Sweep {
        Sweep {
            schedule: Schedule::Random(profile),
            seeds,
            shape: Shape::WHOLE,
            detail: Detail::Outline,
            time_limit,
            jobs: thread::available_parallelism().map_or(2, usize::from),
            keep_going: false,
        }
    }

    /// Runs the seeds; prints each failure when it is found, with the commands that replay it.
    #[must_use]
    pub fn run(&self) -> Swept {
        let began = Instant::now();
        let next = AtomicU64::new(self.seeds.start);
        let stop = AtomicBool::new(false);
        let sum = Mutex::new(Swept::default());
        let job = || {
            while began.elapsed() < self.time_limit && !stop.load(Ordering::Relaxed) {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= self.seeds.end {
                    return;
                }
                let outcome = self.schedule.run(seed, self.detail, &self.shape);
                if self.seeds.end - self.seeds.start == 1 {
                    let hash = outcome.hash;
                    println!("seed {seed} {} hash {hash:016x}", self.schedule);
                }
                let failure = outcome.violation.is_some();
                if failure && !self.keep_going {
                    stop.store(true, Ordering::Relaxed);
                }
                if let Some(words) = report(self.schedule, seed, &self.shape, &outcome) {
                    println!("{words}");
                }
                let mut sum = sum.lock().expect("no job panics with it");
                sum.failures += u64::from(failure);
                sum.statistics.add(&outcome.statistics);
            }
        };
        thread::scope(|scope| {
            for _ in 0..self.jobs {
                scope.spawn(job);
            }
        });
        let mut sum = sum.into_inner().expect("no job panics with it");
        sum.seeds = self.seeds.start..next.into_inner().min(self.seeds.end);
        if sum.statistics.runs >= RUNS_FOR_ALL_FAULTS {
            sum.never_fired = sum.statistics.missing(self.schedule.required());
        }
        self.print(&sum);
        sum
    }

    fn print(&self, sum: &Swept) {
        let (first, end) = (sum.seeds.start, sum.seeds.end);
        println!(
            "{}, seeds {first}..{end}: {}\n",
            self.schedule, sum.statistics
        );
        if !sum.never_fired.is_empty() {
            let kinds = sum.never_fired.join(", ");
            println!("{}, never fired: {kinds}\n", self.schedule);
        }
    }
}
