//! A nemesis on real processes: clients talk through the library while replicas are killed,
//! paused, stopped, started again and cut off, their disks full and their stores rotten, as a seed
//! decides. In the end everything is repaired; the replicas hold the same state, each acknowledged
//! message is there once and at the place its sender was told, nothing is there that was surely
//! refused, and what everybody saw is linearizable (`tests/linear`).
//!
//! ```sh
//! cargo test --test nemesis -- --nocapture                       # half a minute each
//! TERCET_NEMESIS_SECONDS=600 cargo test --test nemesis -- --nocapture
//! TERCET_NEMESIS_SEED=7 cargo test --test nemesis -- --nocapture majority
//! ```
//!
//! The seed decides what is struck and the length of every wait; not how the machine schedules,
//! so a run does not repeat to the letter.
//!
//! Partitions need root and `ip netns`; they are for mode majority alone: mode available trusts the
//! network. Disks that get full need root too. What cannot be done is skipped, and said.

#[path = "../cluster/mod.rs"]
mod cluster;

mod clients;
mod disk_days;
mod disks;
mod faults;
mod place;
mod verdict;

use std::{
    env,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clients::{COUNT, Clients, Record};
use faults::Nemesis;
use place::{Network, Place};

const REPLICAS: u64 = 3;
const SECONDS: u64 = 28;

fn setting(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a number")),
    )
}

fn now_nanos() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_nanos() as u64)
}

/// Lets the nemesis at a cluster, and checks all of it.
fn torment(mut place: Place, seed: u64) {
    let seconds = setting("TERCET_NEMESIS_SECONDS").unwrap_or(SECONDS);
    if let Some(why) = &place.disks.unmounted {
        println!("skipped: full disks ({why})");
    }
    place.cluster.wait_until_whole();
    let mut clients = Clients::start(&place.cluster.list(), seed);
    let mut nemesis = Nemesis::new(&mut place, seed);
    nemesis.run(Duration::from_secs(seconds), &clients);
    let records = clients.stop();
    let sum: u64 = nemesis.struck.values().sum();
    println!("{sum:>8} faults in {seconds} s");
    for (what, count) in nemesis.struck.iter().chain(&nemesis.noticed) {
        println!("{count:>8} {what}");
    }
    assert_kept(nemesis.place, &clients, &records);
}

/// Checks what the clients were told against what is there in the end.
fn assert_kept(place: &Place, clients: &Clients, records: &[Record]) {
    verdict::report(records);
    place.cluster.assert_equal();
    verdict::assert_nothing_refused(records);
    let took = verdict::timed(|| {
        for low in 0..COUNT {
            for high in low + 1..COUNT {
                let end = clients.read_whole((low, high));
                let of_these: Vec<_> = records
                    .iter()
                    .filter(|record| record.conversation == (low, high))
                    .collect();
                verdict::assert_kept((low, high), &of_these, &end);
            }
        }
    });
    println!("all kept, and linearizable; checked in {took:.2?}");
}

fn seed_of(mode: &str) -> u64 {
    let seed = setting("TERCET_NEMESIS_SEED").unwrap_or_else(now_nanos);
    println!("mode {mode}: TERCET_NEMESIS_SEED={seed}");
    seed
}

#[test]
fn available_keeps_its_promises_while_replicas_are_killed_and_paused() {
    let seed = seed_of("available");
    torment(Place::start("available", REPLICAS, None), seed);
}

#[test]
fn majority_keeps_its_promises_while_the_network_is_parted_too() {
    let seed = seed_of("majority");
    let network = Network::make(REPLICAS)
        .inspect(Network::enter)
        .inspect_err(|why| println!("skipped: partitions ({why})"));
    torment(Place::start("majority", REPLICAS, network.ok()), seed);
}
