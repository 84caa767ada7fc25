//! The gate: a checker that never reported a fault proves nothing. Every known way to break the core is switched on
//! in turn, and the simulator must notice it within a fixed number of runs; the sound core passes the same runs.
//!
//! `cargo test --release -p tercet-sim --features mutations --test gate -- --nocapture`.
//! `TERCET_GATE_SEED` sets the first seed: the gate must hold with any.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use tercet_core::mutation::Mutation;
use tercet_sim::{
    check::Violation, profile::Profile::*, schedule::Schedule, script, shrink::Shape, trace::Detail,
};

/// The number of runs in which a mutation must be caught: ten times the median of the slowest one.
const RUNS_MAX: u64 = 1000;

/// The least number of runs of each schedule that the sound core passes.
const CONTROL_MIN: u64 = 20;

/// Gives the schedule in which a mutation must be caught: a random one if that is quick, else the script that was
/// written for it.
fn schedule(mutation: Mutation) -> Schedule {
    let script = |name| Schedule::Script(script::named(name).expect("the script is there"));
    match mutation {
        Mutation::NumberBesideTheLog
        | Mutation::ActiveSurvivesRestart
        | Mutation::AcknowledgedBeforeFsync
        | Mutation::LeaseOutlivesSleep => Schedule::Random(Available),
        Mutation::WipedDiskKeepsItsName => script("wiped-behind-a-cut"),
        Mutation::LongestLogWins => script("long-tail-of-a-leader-cut-off"),
        Mutation::AnyRefusalIsDeath => script("refused-by-another"),
        Mutation::LostTimeIgnored => script("clock-that-stood-still"),
        Mutation::MinorityTakesOver => Schedule::Random(Majority),
        Mutation::DivergenceHidden => Schedule::Random(Split),
        Mutation::EpochWithoutPromises => script("shrinks-that-nobody-heard"),
        Mutation::RestartByMajority => script("outage-that-the-last-outlasts"),
        Mutation::OwnLogIsEnough => script("outage-amid-a-join"),
        Mutation::ActiveWhenAppended => script("join-never-committed"),
        Mutation::LiveMemberSuspected => script("short-cut-of-two"),
        Mutation::SleeperShrinks | Mutation::EvidenceBeforeTick => {
            script("sleeper-beside-the-dead")
        }
        Mutation::DroppedUntold => script("dropped-for-a-slow-disk"),
        Mutation::SlowDroppedUntold => script("left-out-for-a-crawling-disk"),
        Mutation::StalledStaysActive => script("led-on-beside-a-stalled-disk"),
        Mutation::DismissalUndone => script("removed-amid-overtaking"),
        Mutation::ViewThatNobodyMeets => script("join-lost-by-its-leader"),
        Mutation::RemovedUntold => script("removed-amid-a-reset"),
        Mutation::EpochOfAnyStore => script("epoch-led-twice"),
        Mutation::OldStoreWelcome => script("old-copy-votes"),
        Mutation::CopyVotes => script("old-copy-that-nobody-knows"),
        Mutation::ConfirmedByOne => script("old-copy-beside-an-old-leader"),
        Mutation::ReleasedEarly => script("outage-behind-a-removal"),
        Mutation::SleeperVouches => script("two-sleepers-and-the-dead"),
        Mutation::ActiveWithoutRoundTrip => script("sleeper-with-old-mail"),
        Mutation::NewestConfigOnly | Mutation::ViewOfAnySize => script("shrink-that-few-know"),
        Mutation::NoVeto | Mutation::LeaseForgotten => script("restarts-behind-a-firewall"),
        Mutation::NoLeaseMargin => script("refusals-at-the-end-of-a-lease"),
        Mutation::LeaseOutlivesHandOver => script("cut-off-amid-a-hand-over"),
        Mutation::PromisedBeforeFsync => script("promise-lost-in-a-crash"),
        Mutation::ToldOnOneSide => script("acknowledged-on-one-side"),
        Mutation::RecoveryWithoutAll => script("one-of-two-declared"),
        Mutation::RecoveryNearby => script("dead-with-high-epochs"),
        Mutation::DeclarationOutlives => script("declared-dead-long-ago"),
        Mutation::DeadWelcome => script("dead-backup-returns"),
    }
}

/// Tells whether a violation shows a loss. A run that hangs may hang for any reason, so it proves nothing; nor does a
/// core that stops itself, except over the loss itself.
fn is_loss(violation: &Violation) -> bool {
    match violation.kind() {
        "liveness" | "service" | "sim" => false,
        "core" => violation.0.contains("what is committed is never cut"),
        _ => true,
    }
}

/// Finds the lowest seed from `first` on whose run breaks a rule, and the violation.
fn first_catch(
    schedule: Schedule,
    mutation: Option<Mutation>,
    first: u64,
    runs: u64,
) -> Option<(u64, String)> {
    let next = AtomicU64::new(first);
    let caught: Mutex<Option<(u64, String)>> = Mutex::new(None);
    let shape = Shape {
        mutation,
        ..Shape::WHOLE
    };
    let job = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let mut guard = caught.lock().unwrap_or_else(PoisonError::into_inner);
            let done = guard.as_ref().is_some_and(|(lowest, _)| *lowest < seed);
            if seed >= first + runs || done {
                return;
            }
            drop(guard);
            let outcome = schedule.run(seed, Detail::Outline, &shape);
            let Some(violation) = outcome
                .violation
                .filter(|v| mutation.is_none() || is_loss(v))
            else {
                continue;
            };
            guard = caught.lock().unwrap_or_else(PoisonError::into_inner);
            if guard.as_ref().is_none_or(|(lowest, _)| seed < *lowest) {
                *guard = Some((seed, violation.0));
            }
        }
    };
    let jobs = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| (0..jobs).for_each(|_| drop(scope.spawn(job))));
    caught.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Runs every mutation until it is caught, then the sound core with the same seeds. Gives the failures.
fn gate(first: u64) -> Vec<String> {
    let mut failures = Vec::new();
    let mut needed: BTreeMap<String, (Schedule, u64)> = BTreeMap::new();
    println!("mutation | caught in | seed | runs | violation");
    for &mutation in Mutation::ALL {
        let schedule = schedule(mutation);
        let Some((seed, how)) = first_catch(schedule, Some(mutation), first, RUNS_MAX) else {
            failures.push(format!(
                "{mutation} is not caught in {RUNS_MAX} runs of {schedule}"
            ));
            continue;
        };
        let runs = seed - first + 1;
        let how = how.lines().next().unwrap_or_default();
        println!("{mutation} | {schedule} | {seed} | {runs} | {how}");
        let (_, most) = needed.entry(schedule.to_string()).or_insert((schedule, 0));
        *most = runs.max(*most);
    }
    for (schedule, runs) in needed.into_values() {
        let runs = runs.max(CONTROL_MIN);
        match first_catch(schedule, None, first, runs) {
            None => println!("sound | {schedule} | | {runs} | none"),
            Some((seed, how)) => failures.push(format!("the sound core, {schedule} {seed}: {how}")),
        }
    }
    failures
}

#[test]
fn every_mutation_is_caught_and_the_sound_core_passes_the_same_runs() {
    let first = std::env::var("TERCET_GATE_SEED").map_or(0, |text| {
        text.parse().expect("TERCET_GATE_SEED is a number")
    });
    // A broken core may panic, which is a catch, in a hundred runs: that is too much to print.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let failures = gate(first);
    std::panic::set_hook(hook);
    println!(
        "replay: cargo run --release -p tercet-sim --features mutations -- --mutation NAME \
         --profile NAME|--script NAME --seed N --trace"
    );
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
