//! Seeds: fixed ones, which cover every kind of fault, and fresh ones, different each time.
//! `TERCET_SIM_SEED` sets where the fresh ones begin, `TERCET_SIM_SECONDS` how long they run.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tercet_sim::{
    Outcome,
    profile::Profile,
    run, run_shaped,
    shrink::{Shape, report},
    tally::Tally,
    trace::Detail,
};

/// Enough for every required kind of fault to fire.
const FIXED: u64 = 60;

fn passed(profile: Profile, seed: u64) -> Tally {
    let outcome = run_shaped(profile, seed, Detail::Outline, &Shape::WHOLE);
    if let Some(words) = report(profile, seed, &Shape::WHOLE, &outcome) {
        panic!("{words}");
    }
    outcome.tally
}

fn fixed(profile: Profile) {
    let mut total = Tally::default();
    for seed in 0..FIXED {
        total.add(&passed(profile, seed));
    }
    println!("profile {profile}: {total}");
    let missing = total.missing(profile.required());
    assert!(missing.is_empty(), "never fired: {missing:?}");
}

fn fresh(profile: Profile) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let clock = SystemTime::now().duration_since(UNIX_EPOCH);
    let first = number("TERCET_SIM_SEED").unwrap_or(clock.map_or(0, |d| d.as_secs() * 1000));
    let seconds = number("TERCET_SIM_SECONDS").unwrap_or(5);
    println!("profile {profile}: fresh seeds from {first}");
    let mut total = Tally::default();
    let began = Instant::now();
    for seed in first.. {
        if began.elapsed() > Duration::from_secs(seconds) {
            break;
        }
        total.add(&passed(profile, seed));
    }
    println!("profile {profile}: {total}");
}

#[test]
fn fixed_seeds_inside_the_model_of_mode_available_keep_every_promise() {
    fixed(Profile::Available);
}

#[test]
fn fixed_seeds_with_partitions_in_mode_available_detect_divergence() {
    fixed(Profile::Split);
}

#[test]
fn fixed_seeds_in_mode_majority_keep_every_promise() {
    fixed(Profile::Majority);
}

#[test]
fn fresh_seeds_of_mode_available_keep_every_promise() {
    fresh(Profile::Available);
}

#[test]
fn fresh_seeds_with_partitions_in_mode_available_detect_divergence() {
    fresh(Profile::Split);
}

#[test]
fn fresh_seeds_in_mode_majority_keep_every_promise() {
    fresh(Profile::Majority);
}

#[test]
fn same_seed_twice_is_the_same_run_to_the_last_word() {
    for profile in Profile::ALL {
        for seed in 0..3 {
            let words = || run(profile, seed, Detail::Words, u64::MAX);
            let (once, twice): (Outcome, Outcome) = (words(), words());
            assert_eq!(once, twice, "seed {seed} profile {profile}");
            println!("seed {seed} profile {profile}: {:016x}", once.hash);
        }
        let [one, other] = [1, 2].map(|seed| run(profile, seed, Detail::Words, u64::MAX));
        assert_ne!(one.hash, other.hash);
    }
}
