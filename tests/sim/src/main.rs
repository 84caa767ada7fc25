//! Runs seeds of the simulator: one to replay a failure, or ranges for hours.

use std::{
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tercet_sim::{profile::Profile, run, tally::Tally, trace::Detail};

const USAGE: &str = "\
usage: tercet-sim --profile available|split|majority --seed N [--trace [--from SECONDS]] [--strikes N]
       tercet-sim [--profile P] --seeds A..B [--time-limit SECONDS] [--jobs N] [--keep-going]

The first form replays one run; --strikes ends the faults after so many. The second runs a range
of seeds of one profile, or of all, until the range or the time is over.";

struct Options {
    profiles: Vec<Profile>,
    seeds: (u64, u64),
    detail: Detail,
    strikes: u64,
    time_limit: Duration,
    jobs: usize,
    keep_going: bool,
}

fn parse(args: &[String]) -> Result<Options, String> {
    let mut options = Options {
        profiles: Profile::ALL.to_vec(),
        seeds: (0, 0),
        detail: Detail::Outline,
        strikes: u64::MAX,
        time_limit: Duration::from_secs(u64::MAX / 4),
        jobs: 2,
        keep_going: false,
    };
    let mut args = args.iter();
    let number = |text: &String| text.parse::<u64>().map_err(|e| format!("{text}: {e}"));
    while let Some(flag) = args.next() {
        let mut value = || args.next().ok_or(format!("{flag} needs a value"));
        match flag.as_str() {
            "--profile" => options.profiles = vec![value()?.parse()?],
            "--seed" => {
                let seed = number(value()?)?;
                options.seeds = (seed, seed.saturating_add(1));
            }
            "--seeds" => {
                let range = value()?;
                let (a, b) = range.split_once("..").ok_or("--seeds needs A..B")?;
                options.seeds = (number(&a.to_owned())?, number(&b.to_owned())?);
            }
            "--trace" => options.detail = Detail::Print { from: 0 },
            "--from" => {
                let from = number(value()?)? * 1_000_000;
                options.detail = Detail::Print { from };
            }
            "--strikes" => options.strikes = number(value()?)?,
            "--time-limit" => options.time_limit = Duration::from_secs(number(value()?)?),
            "--jobs" => options.jobs = number(value()?)?.max(1) as usize,
            "--keep-going" => options.keep_going = true,
            _ => return Err(format!("unknown argument {flag}")),
        }
    }
    if options.seeds.0 >= options.seeds.1 {
        return Err("which seeds?".to_owned());
    }
    Ok(options)
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let options = match parse(&args) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    // A panic of the core is reported with its seed; its place would otherwise be lost.
    std::panic::set_hook(Box::new(|panic| eprintln!("panic: {panic}")));
    let mut failed = false;
    for &profile in &options.profiles {
        failed |= !run_range(profile, &options);
    }
    ExitCode::from(u8::from(failed))
}

/// Runs the seeds of one profile. True if all went well.
fn run_range(profile: Profile, options: &Options) -> bool {
    let began = Instant::now();
    let next = AtomicU64::new(options.seeds.0);
    let failed = AtomicBool::new(false);
    let total = Mutex::new(Tally::default());
    let job = || {
        while began.elapsed() < options.time_limit {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let stop = failed.load(Ordering::Relaxed) && !options.keep_going;
            if seed >= options.seeds.1 || stop {
                return;
            }
            let outcome = run(profile, seed, options.detail, options.strikes);
            if options.seeds.1 - options.seeds.0 == 1 {
                println!("seed {seed} profile {profile} hash {:016x}", outcome.hash);
            }
            if let Some(violation) = outcome.violation {
                failed.store(true, Ordering::Relaxed);
                println!(
                    "seed {seed} profile {profile} at {}.{:06}: {}\n  replay: cargo run --release \
                     -p tercet-sim -- --profile {profile} --seed {seed} --trace",
                    outcome.ended / 1_000_000,
                    outcome.ended % 1_000_000,
                    violation.0
                );
            }
            if let Ok(mut total) = total.lock() {
                total.add(&outcome.tally);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..options
            .jobs
            .min((options.seeds.1 - options.seeds.0) as usize)
        {
            scope.spawn(job);
        }
    });
    let total = total.into_inner().unwrap_or_default();
    println!("profile {profile}: {total}");
    let missing = total.missing(profile.required());
    if total.runs >= 200 && !missing.is_empty() {
        println!("never fired: {}", missing.join(", "));
        return false;
    }
    !failed.into_inner()
}
