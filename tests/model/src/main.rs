//! The command line of the checker: a mode or a mutation, bounds, and a verdict.

use std::{process::ExitCode, time::Duration};

use tercet_model::{
    actions::Spec,
    check::{Effort, Report, Search, Verdict, check},
    mutation::Mutation,
    properties::{DIVERGENCE_IS_NOTICED, Property, asked_of},
    scope::{Mode, Scope},
};

const USAGE: &str = "\
usage: tercet-model --mode available|majority [--mutation NAME] [bounds] [--threads N]
                    [--time-limit SECONDS] [--search shortest|deep]
bounds: --replicas 2|3, --writes N, --crashes N, --wipes N, --ballots N, --suspicions N,
        --dismissals N, --pre_vote 0|1, --late-sessions 0|1, --parts 0|1

Visits every state that the protocol can reach within the bounds, and checks its promises in each.
With a mutation, one rule is changed, and what is sought is how an acknowledged write is lost; the
bounds are then, unless given, ones that are known to suffice.
Exit codes: 0 everything holds; 1 something does not, or the time was over first; 2 wrong usage.";

#[derive(Debug)]
struct Options {
    spec: Spec,
    effort: Effort,
}

fn parse(args: &[String]) -> Result<Options, String> {
    let mut given = Vec::new();
    let mut words = args.iter();
    while let Some(flag) = words.next() {
        let value = words.next().ok_or(format!("{flag} needs a value"))?;
        given.push((flag.as_str(), value.as_str()));
    }
    let value_of = |name: &str| given.iter().rev().find(|(flag, _)| *flag == name);
    let mutation = match value_of("--mutation") {
        Some((_, name)) => Some(mutation_named(name)?),
        None => None,
    };
    let mode = match (value_of("--mode"), mutation) {
        (Some((_, "available")), _) => Mode::Available,
        (Some((_, "majority")), _) => Mode::Majority,
        (Some((_, other)), _) => return Err(format!("no mode is called {other}")),
        (None, Some(mutation)) => mutation.scope().mode,
        (None, None) => return Err("which mode?".to_owned()),
    };
    let mut scope = match mutation.map(Mutation::scope) {
        Some(scope) if scope.mode == mode => scope,
        _ => Scope::standard(mode),
    };
    let mut search = mutation.map_or(Search::Deep, |_| Search::Shortest);
    let mut effort = Effort {
        search,
        threads: 1,
        time_limit: None,
    };
    for (flag, value) in given {
        match flag {
            "--mode" | "--mutation" => {}
            "--replicas" => scope.replicas = number(flag, value, 2, 3)?,
            "--writes" => scope.writes = number(flag, value, 0, 4)?,
            "--crashes" => scope.crashes = number(flag, value, 0, 8)?,
            "--wipes" => scope.wipes = number(flag, value, 0, 3)?,
            "--ballots" => scope.ballots = number(flag, value, 0, 8)?,
            "--suspicions" => scope.suspicions = number(flag, value, 0, 4)?,
            "--dismissals" => scope.dismissals = number(flag, value, 0, 4)?,
            "--pre_vote" => scope.pre_vote = number(flag, value, 0, 1)? == 1,
            "--late-sessions" => scope.late_sessions = number(flag, value, 0, 1)? == 1,
            "--parts" => scope.parts = number(flag, value, 0, 1)? == 1,
            "--threads" => effort.threads = usize::from(number(flag, value, 1, 64)?),
            "--time-limit" => {
                let seconds = value.parse().map_err(|e| format!("{flag} {value}: {e}"))?;
                effort.time_limit = Some(Duration::from_secs(seconds));
            }
            "--search" => {
                search = match value {
                    "shortest" => Search::Shortest,
                    "deep" => Search::Deep,
                    _ => return Err(format!("no search is called {value}")),
                }
            }
            _ => return Err(format!("unknown argument {flag}")),
        }
    }
    effort.search = search;
    let spec = Spec { scope, mutation };
    Ok(Options { spec, effort })
}

fn mutation_named(name: &str) -> Result<Mutation, String> {
    let found = Mutation::ALL
        .into_iter()
        .find(|mutation| mutation.name() == name);
    found.ok_or_else(|| {
        let names = Mutation::ALL.map(Mutation::name).join(", ");
        format!("no mutation is called {name}; there are {names}")
    })
}

fn number(flag: &str, value: &str, least: u8, most: u8) -> Result<u8, String> {
    let number: u8 = value.parse().map_err(|e| format!("{flag} {value}: {e}"))?;
    match (least..=most).contains(&number) {
        true => Ok(number),
        false => Err(format!("{flag} {value}: from {least} to {most}")),
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Options { spec, effort } = match parse(&args) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    println!("{:?}", spec.scope);
    let mut fine = run(spec, asked_of(spec.mutation), effort);
    if spec.mutation == Some(Mutation::LiveSuspected) {
        let deep = Effort {
            search: Search::Deep,
            ..effort
        };
        fine &= run(spec, &[DIVERGENCE_IS_NOTICED], deep);
    }
    ExitCode::from(u8::from(!fine))
}

/// Runs and prints one check. True if everything asked holds in every state.
fn run(spec: Spec, asked: &'static [Property], effort: Effort) -> bool {
    for property in asked {
        println!("asked: {}", property.name);
    }
    let Report {
        unique,
        total,
        depth,
        elapsed,
        verdict,
    } = check(spec, asked, effort);
    println!(
        "{unique} states, {total} steps, depth {depth}, {:.1} s",
        elapsed.as_secs_f64()
    );
    match verdict {
        Verdict::Holds => println!("holds in every state"),
        Verdict::Unfinished => println!("unfinished: the time is over"),
        Verdict::Refuted(ref counterexample) => {
            println!("refuted in {} steps:", counterexample.steps.len());
            println!("{}", counterexample.tell());
        }
    }
    matches!(verdict, Verdict::Holds)
}
