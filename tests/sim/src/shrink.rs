//! The shrinking of a failing run: to the fewest faults, then without the kinds of fault, the clients and the
//! replicas that it does not need. Every step is a run from the same seed, so the result is the same each time.

use std::{collections::BTreeSet, fmt};

use crate::{
    Outcome, fault_kind::FaultKind, mutation::Mutation, schedule::Schedule, trace::Detail,
};

/// The limits of a run; the rest follows from its seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The number of faults after which the faults end.
    pub strikes_max: u64,
    /// The kinds of fault that are counted and do nothing.
    pub without: BTreeSet<FaultKind>,
    pub clients_max: u32,
    pub replicas_max: usize,
    /// The mutation of all replicas; it stays when a run is shrunk.
    pub mutation: Option<Mutation>,
}

impl Shape {
    /// The shape without limits.
    pub const WHOLE: Shape = Shape {
        strikes_max: u64::MAX,
        without: BTreeSet::new(),
        clients_max: u32::MAX,
        replicas_max: usize::MAX,
        mutation: None,
    };
}

/// Prints the shape as arguments of the simulator; nothing for a shape without limits.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.strikes_max < u64::MAX {
            write!(f, " --strikes {}", self.strikes_max)?;
        }
        if !self.without.is_empty() {
            let kinds = self.without.iter().map(ToString::to_string);
            write!(f, " --without {}", kinds.collect::<Vec<_>>().join(","))?;
        }
        if self.clients_max < u32::MAX {
            write!(f, " --clients {}", self.clients_max)?;
        }
        if self.replicas_max < usize::MAX {
            write!(f, " --replicas {}", self.replicas_max)?;
        }
        if let Some(mutation) = self.mutation {
            write!(f, " --mutation {}", mutation.name())?;
        }
        Ok(())
    }
}

/// Gives the command that runs it again.
#[must_use]
pub fn command(schedule: Schedule, seed: u64, shape: &Shape) -> String {
    let features = match shape.mutation {
        Some(_) => " --features mutations",
        None => "",
    };
    format!(
        "cargo run --release -p tercet-sim{features} -- --{schedule} --seed {seed}{shape} --trace"
    )
}

/// Gives the report of a failed run: the broken rule, and the commands that replay the run as it was and, unless it
/// was a script, shrunk. `None` if it did not fail.
#[must_use]
pub fn report(schedule: Schedule, seed: u64, shape: &Shape, outcome: &Outcome) -> Option<String> {
    let violation = outcome.violation.as_ref()?;
    let kind = violation.kind().to_owned();
    let fails = |shape: &Shape| {
        let again = schedule.run(seed, Detail::Outline, shape).violation;
        again.is_some_and(|violation| violation.kind() == kind)
    };
    let (seconds, micros) = (outcome.ended / 1_000_000, outcome.ended % 1_000_000);
    let mut words = format!(
        "seed {seed} {schedule} at {seconds}.{micros:06}: {}\n  replay: {}",
        violation.0,
        command(schedule, seed, shape),
    );
    if let Schedule::Random(_) = schedule {
        let small = shrink(shape, outcome.strikes, fails);
        words += &format!("\n  shrunk: {}", command(schedule, seed, &small));
    }
    Some(words)
}

/// Gives the smallest shape found that still fails. `strikes` is the number of faults of the run.
pub fn shrink(shape: &Shape, strikes: u64, fails: impl Fn(&Shape) -> bool) -> Shape {
    let mut small = least_strikes(shape, strikes, &fails);
    for &kind in FaultKind::ALL {
        let mut less = small.clone();
        if less.without.insert(kind) && fails(&less) {
            small = less;
        }
    }
    for clients_max in 1..4 {
        let less = Shape {
            clients_max,
            ..small.clone()
        };
        if clients_max < small.clients_max && fails(&less) {
            small = less;
            break;
        }
    }
    for replicas_max in 1..4 {
        let less = Shape {
            replicas_max,
            ..small.clone()
        };
        if replicas_max < small.replicas_max && fails(&less) {
            small = less;
            break;
        }
    }
    least_strikes(&small, small.strikes_max, &fails)
}

/// Finds the smallest number of faults with which the run fails. Fewer may fail where more do not, so it tries all
/// numbers, from zero on.
fn least_strikes(shape: &Shape, strikes: u64, fails: impl Fn(&Shape) -> bool) -> Shape {
    let numbers = 0..strikes.min(shape.strikes_max);
    let fewer = numbers.map(|strikes_max| Shape {
        strikes_max,
        ..shape.clone()
    });
    let mut failing = fewer.filter(|less| fails(less));
    failing.next().unwrap_or_else(|| shape.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{profile::Profile, run_shaped};

    fn outcome(seed: u64, shape: &Shape) -> Outcome {
        run_shaped(Profile::Available, seed, Detail::Outline, shape)
    }

    /// Tells whether a disk was wiped and a process killed in one run, in place of a checker.
    fn fires(seed: u64, shape: &Shape) -> bool {
        let faults = outcome(seed, shape).statistics.faults;
        faults.contains_key("wipe") && faults.contains_key("kill")
    }

    #[test]
    fn failing_run_is_shrunk_to_what_it_needs_and_to_the_same_each_time() {
        let seed = (0..100).find(|&seed| fires(seed, &Shape::WHOLE));
        let seed = seed.expect("a seed that shows what is looked for");
        let strikes = outcome(seed, &Shape::WHOLE).strikes;
        let shrunk = || shrink(&Shape::WHOLE, strikes, |shape| fires(seed, shape));
        let small = shrunk();
        assert_eq!(small, shrunk());
        assert!(fires(seed, &small));
        assert!(small.strikes_max < strikes);
        assert!(small.without.contains(&FaultKind::PauseLong));
        assert!(!small.without.contains(&FaultKind::Wipe));
        let fewer = Shape {
            strikes_max: small.strikes_max - 1,
            ..small
        };
        assert!(!fires(seed, &fewer));
    }

    #[test]
    fn shape_is_printed_as_the_arguments_that_make_it() {
        let shape = Shape {
            strikes_max: 3,
            without: [FaultKind::Wipe, FaultKind::PauseLong].into(),
            clients_max: 1,
            replicas_max: 2,
            mutation: None,
        };
        assert_eq!(
            shape.to_string(),
            " --strikes 3 --without pause-long,wipe --clients 1 --replicas 2"
        );
        assert_eq!(Shape::WHOLE.to_string(), "");
    }
}
