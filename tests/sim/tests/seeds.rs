//! Seeds: fixed ones, which cover every kind of fault, and fresh ones, different each time.
//! `TERCET_SIM_SEED` sets where the fresh ones begin, `TERCET_SIM_SECONDS` how long they run, all
//! profiles together.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tercet_sim::{Outcome, profile::Profile, run, sweep::Sweep, trace::Detail};

/// Enough for every required kind of fault to fire.
const FIXED: u64 = 200;

/// With the fixed seeds, about three minutes on two cores.
const FRESH_SECONDS: u64 = 150;

fn fixed(profile: Profile) {
    let swept = Sweep::new(profile, 0..FIXED, Duration::MAX).run();
    assert_eq!(swept.failures, 0, "see the seeds above");
    assert!(swept.never_fired.is_empty(), "{:?}", swept.never_fired);
    assert_eq!(swept.statistics.runs, FIXED);
}

#[test]
fn fixed_seeds_inside_the_model_of_mode_available_keep_every_promise() {
    fixed(Profile::Available);
}

#[test]
fn fixed_seeds_outside_the_model_of_mode_available_lose_nothing_in_silence() {
    fixed(Profile::Split);
}

#[test]
fn fixed_seeds_in_mode_majority_keep_every_promise() {
    fixed(Profile::Majority);
}

#[test]
fn fixed_seeds_with_stores_lost_for_good_give_up_only_what_was_on_them() {
    fixed(Profile::Recovery);
}

#[test]
fn fresh_seeds_of_every_profile_keep_its_promises() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let clock = SystemTime::now().duration_since(UNIX_EPOCH);
    let first = number("TERCET_SIM_SEED").unwrap_or(clock.map_or(0, |d| d.as_secs() * 100_000));
    let seconds = number("TERCET_SIM_SECONDS").unwrap_or(FRESH_SECONDS);
    println!("fresh seeds from {first}");
    for profile in Profile::ALL {
        let share = Duration::from_secs(seconds) / Profile::ALL.len() as u32;
        let swept = Sweep::new(profile, first..u64::MAX, share).run();
        assert!(swept.is_well(), "see the seeds above");
        assert!(swept.statistics.runs > 0);
    }
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
