//! Runs seeds of the simulator: one to replay a failure, or ranges for hours.

mod options;

use std::{
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use options::Options;
use tercet_sim::{profile::Profile, run_shaped, shrink::report, tally::Tally};

/// So many runs of a profile must have had every kind of fault.
const RUNS_FOR_ALL_FAULTS: u64 = 200;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let options = match options::parse(&args) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\n\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    // A panic of the core is reported with its seed; its place would otherwise be lost. Once is
    // enough: shrinking repeats it.
    let told = AtomicBool::new(false);
    std::panic::set_hook(Box::new(move |panic| {
        if !told.swap(true, Ordering::Relaxed) {
            eprintln!("panic: {panic}");
        }
    }));
    let began = Instant::now();
    let mut total = Tally::default();
    let mut failed = false;
    for (done, &profile) in options.profiles.iter().enumerate() {
        let left = options.time_limit.saturating_sub(began.elapsed());
        let share = left / (options.profiles.len() - done) as u32;
        let (tally, well) = run_range(profile, &options, share);
        total.add(&tally);
        failed |= !well;
    }
    if options.profiles.len() > 1 {
        println!("all profiles: {total}");
    }
    ExitCode::from(u8::from(failed))
}

/// Runs the seeds of one profile, for no longer than its share of the time. True if all went well.
fn run_range(profile: Profile, options: &Options, share: Duration) -> (Tally, bool) {
    let began = Instant::now();
    let (first, end) = options.seeds;
    let next = AtomicU64::new(first);
    let failed = AtomicBool::new(false);
    let total = Mutex::new(Tally::default());
    let job = || {
        while began.elapsed() < share {
            if failed.load(Ordering::Relaxed) && !options.keep_going {
                return;
            }
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return;
            }
            let outcome = run_shaped(profile, seed, options.detail, &options.shape);
            if options.is_one_run() {
                println!("seed {seed} profile {profile} hash {:016x}", outcome.hash);
            }
            if outcome.violation.is_some() {
                failed.store(true, Ordering::Relaxed);
            }
            if let Some(words) = report(profile, seed, &options.shape, &outcome) {
                println!("{words}");
            }
            if let Ok(mut total) = total.lock() {
                total.add(&outcome.tally);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.min((end - first) as usize) {
            scope.spawn(job);
        }
    });
    let total = total.into_inner().unwrap_or_default();
    let end = next.into_inner().min(end);
    println!("profile {profile}, seeds {first}..{end}: {total}\n");
    let missing = total.missing(profile.required());
    let rare = total.runs >= RUNS_FOR_ALL_FAULTS && !missing.is_empty();
    if rare {
        println!("profile {profile}, never fired: {}\n", missing.join(", "));
    }
    (total, !rare && !failed.into_inner())
}
