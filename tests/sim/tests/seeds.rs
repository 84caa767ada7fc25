//! The seeds: fixed ones, which cover every kind of fault, and fresh ones, which follow from the source of the core
//! and of the simulator: others after every change of it, the same in every run of one change. `TERCET_SIM_SEED` sets
//! the first fresh one.

use std::{
    fs,
    hash::{Hash as _, Hasher as _},
    path::{Path, PathBuf},
    time::Duration,
};

use tercet_sim::{Outcome, profile::Profile, run, sweep::Sweep, trace::Detail};

/// The number of fixed seeds, enough for every required kind of fault to happen.
const FIXED: u64 = 200;

/// The number of fresh seeds of each profile. With the fixed seeds, about three minutes on two cores.
const FRESH: u64 = 1_500;

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
    let given = std::env::var("TERCET_SIM_SEED").ok();
    let first = given.map_or_else(seed_of_the_source, |text| text.parse().expect("a number"));
    println!("fresh seeds from {first}");
    for profile in Profile::ALL {
        let swept = Sweep::new(profile, first..first + FRESH, Duration::MAX).run();
        assert_eq!(swept.failures, 0, "see the seeds above");
        assert_eq!(swept.statistics.runs, FRESH);
    }
}

/// Gives a number below 2^48 that follows from the text of the core and of the simulator.
fn seed_of_the_source() -> u64 {
    let sim = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for dir in ["src", "../../server/core/src"] {
        list(&sim.join(dir), &mut files);
    }
    files.sort();
    assert!(
        files.len() > 20,
        "the source is not where it was: {files:?}"
    );
    // The hasher has fixed keys: the same in every process.
    let mut hasher = std::hash::DefaultHasher::new();
    for file in files {
        fs::read(file).expect("read the source").hash(&mut hasher);
    }
    hasher.finish() >> 16
}

fn list(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("list the source") {
        let path = entry.expect("list the source").path();
        match path.is_dir() {
            true => list(&path, files),
            false => files.push(path),
        }
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
