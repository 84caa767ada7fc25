//! Bad days of a disk, one at a time.

use std::{fs, path::PathBuf};

use rustix::process::Signal;

use crate::{
    REPLICAS,
    cluster::{said, wait_until},
    place::Place,
};

/// A cluster with an account that has a message; `None`, and said, where no disk can be filled.
fn with_a_message() -> Option<Place> {
    let place = Place::start("available", REPLICAS, None);
    if let Some(why) = &place.disks.unmounted {
        println!("skipped: full disks ({why})");
        return None;
    }
    begin(&place);
    Some(place)
}

fn begin(place: &Place) {
    place.cluster.wait_until_whole();
    place.cluster.person("ann");
    send(place, "before it happened");
}

fn send(place: &Place, body: &str) {
    let sent = place.cluster.run(&["send", "ann", body]);
    assert!(sent.status.success(), "{}", said(&sent));
}

/// Whether ann's conversation with herself has this message.
fn has(place: &Place, body: &str) -> bool {
    let history = place.cluster.run(&["history", "ann"]);
    String::from_utf8_lossy(&history.stdout).contains(body)
}

fn finish(place: &Place, bodies: &[&str]) {
    place.cluster.wait_until_whole();
    place.cluster.assert_equal();
    for body in bodies {
        assert!(has(place, body), "{body:?} is lost");
    }
}

#[test]
fn leader_whose_disk_is_full_ends_and_another_takes_the_message() {
    let Some(mut place) = with_a_message() else {
        return;
    };
    place.disks.fill(1);
    send(&place, "while it was full");
    assert_eq!(place.cluster.wait_for_exit(1), Some(1));
    assert!(place.cluster.log(1).contains("the disk is full"));
    place.disks.free(1);
    place.cluster.restart(1);
    finish(&place, &["before it happened", "while it was full"]);
}

#[test]
fn last_replica_on_a_full_disk_reads_and_writes_again_when_there_is_room() {
    let Some(mut place) = with_a_message() else {
        return;
    };
    for id in [1, 2] {
        place.cluster.kill(id);
    }
    place.cluster.wait_for_leader(3);
    place.disks.fill(3);
    let sent = place.cluster.run(&["send", "ann", "too much"]);
    assert!(!sent.status.success(), "{}", said(&sent));
    assert!(said(&sent).contains("the disk is full"), "{}", said(&sent));
    assert!(has(&place, "before it happened"), "it still reads");
    place.disks.free(3);
    wait_until("it writes again", || {
        place
            .cluster
            .run(&["send", "ann", "there is room"])
            .status
            .success()
    });
    for id in [1, 2] {
        place.cluster.restart(id);
    }
    finish(&place, &["before it happened", "there is room"]);
}

#[test]
fn store_in_which_a_message_rotted_is_refused_and_an_empty_one_rejoins() {
    let mut place = Place::start("available", REPLICAS, None);
    begin(&place);
    place.cluster.signal(2, Signal::TERM);
    assert_eq!(place.cluster.wait_for_exit(2), Some(0));
    let data = place.disks.data(2);
    let rotten: Vec<(PathBuf, Vec<u8>)> = ["tercet.db", "tercet.db-wal"]
        .iter()
        .filter_map(|name| rot(data.join(name), b"before it happened"))
        .collect();
    assert!(!rotten.is_empty(), "the store has the message");
    place.cluster.restart(2);
    assert_eq!(place.cluster.wait_for_exit(2), Some(1));
    let log = place.cluster.log(2);
    assert!(log.contains(data.to_str().expect("UTF-8")), "{log}");
    for (path, bytes) in rotten {
        let now = fs::read(&path).expect("read a store");
        assert!(now == bytes, "{} was changed", path.display());
    }
    place.disks.set_aside(2);
    place.cluster.restart(2);
    finish(&place, &["before it happened"]);
}

/// Flips a bit of these words wherever a file has them: the file, and what it now holds.
fn rot(path: PathBuf, words: &[u8]) -> Option<(PathBuf, Vec<u8>)> {
    let mut bytes = fs::read(&path).ok()?;
    let found: Vec<usize> = (0..bytes.len())
        .filter(|at| bytes[*at..].starts_with(words))
        .collect();
    for at in &found {
        bytes[*at] ^= 1;
    }
    fs::write(&path, &bytes).expect("write a store");
    (!found.is_empty()).then_some((path, bytes))
}
