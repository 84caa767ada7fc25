//! The command line of the simulator.

use std::time::Duration;

use tercet_sim::{
    fault_kind::FaultKind, mutation, profile::Profile, schedule::Schedule, script, shrink::Shape,
    trace::Detail,
};

pub(crate) const USAGE: &str = "\
usage: tercet-sim --profile P --seed N [--trace [--from SECONDS]] [what to leave out]
       tercet-sim [--profile P] --seeds A..B [--time-limit SECONDS] [--jobs N] [--keep-going]

P is available, split, majority, recovery, or all, which is the default; --script NAME takes its place. The first form replays one run. The
second runs a range of seeds until the range or the time is over; profiles share the time.

To leave something out of a run: --strikes N ends the faults after so many; --without KIND,KIND
skips those of these kinds; --clients N and --replicas N are bounds. To break every replica in a
known way, in a build with --features mutations: --mutation NAME. `?` in place of a NAME lists them.";

pub(crate) struct Options {
    pub(crate) schedules: Vec<Schedule>,
    /// The first seed, and the one after the last.
    pub(crate) seeds: (u64, u64),
    pub(crate) detail: Detail,
    pub(crate) shape: Shape,
    pub(crate) time_limit: Duration,
    pub(crate) jobs: usize,
    pub(crate) keep_going: bool,
}

pub(crate) fn parse(args: &[String]) -> Result<Options, String> {
    let mut options = Options {
        schedules: Profile::ALL.map(Schedule::Random).to_vec(),
        seeds: (0, 0),
        detail: Detail::Outline,
        shape: Shape::WHOLE,
        time_limit: Duration::from_secs(u64::MAX / 4),
        jobs: 2,
        keep_going: false,
    };
    let mut args = args.iter();
    while let Some(flag) = args.next() {
        let mut value = || args.next().ok_or(format!("{flag} needs a value"));
        match flag.as_str() {
            "--profile" => match value()?.as_str() {
                "all" => options.schedules = Profile::ALL.map(Schedule::Random).to_vec(),
                one => options.schedules = vec![Schedule::Random(one.parse()?)],
            },
            "--script" => options.schedules = vec![Schedule::Script(script::named(value()?)?)],
            "--mutation" => options.shape.mutation = Some(mutation::named(value()?)?),
            "--seed" => {
                let seed: u64 = number(value()?)?;
                options.seeds = (seed, seed.saturating_add(1));
            }
            "--seeds" => {
                let (a, b) = value()?.split_once("..").ok_or("--seeds needs A..B")?;
                options.seeds = (number(a)?, number(b)?);
            }
            "--trace" => options.detail = Detail::Print { from: 0 },
            "--from" => {
                let from = number::<u64>(value()?)? * 1_000_000;
                options.detail = Detail::Print { from };
            }
            "--strikes" => options.shape.strikes_max = number(value()?)?,
            "--without" => {
                let kinds = value()?.split(',').map(str::parse::<FaultKind>);
                options.shape.without = kinds.collect::<Result<_, _>>()?;
            }
            "--clients" => options.shape.clients_max = number(value()?)?,
            "--replicas" => options.shape.replicas_max = number::<usize>(value()?)?.max(1),
            "--time-limit" => options.time_limit = Duration::from_secs(number(value()?)?),
            "--jobs" => options.jobs = number::<usize>(value()?)?.max(1),
            "--keep-going" => options.keep_going = true,
            _ => return Err(format!("unknown argument {flag}")),
        }
    }
    if options.seeds.0 >= options.seeds.1 {
        return Err("which seeds?".to_owned());
    }
    Ok(options)
}

fn number<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("{text}: {error}"))
}
