//! Bad days of a disk, one at a time.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rustix::process::Signal;

use crate::{
    REPLICAS, assert_kept,
    clients::Clients,
    cluster::{said, wait_until},
    place::Place,
};

/// The space that a replica keeps free by default.
const RESERVE: u64 = 16 << 20;

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

/// The same, of which replica 3 alone is left, and its disk is full.
fn with_a_last_replica_on_a_full_disk() -> Option<Place> {
    let mut place = with_a_message()?;
    for id in [1, 2] {
        place.cluster.kill(id);
    }
    place.cluster.wait_for_leader(3);
    fill(&place, 3);
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

/// Replica `id` has its reserve, and then no room besides.
fn fill(place: &Place, id: u64) {
    wait_for_reserve(place, id);
    place.disks.fill(id);
}

fn wait_for_reserve(place: &Place, id: u64) {
    let reserve = place.disks.data(id).join("reserve");
    wait_until("the reserve is made", || {
        fs::metadata(&reserve).is_ok_and(|file| file.len() == RESERVE)
    });
}

/// Replica `id`, still the same process, waits for room and takes no part.
fn wait_until_it_waits(place: &Place, id: u64) {
    wait_until("the replica waits for room", || {
        place
            .cluster
            .log(id)
            .contains("waits until 32 MiB are free")
    });
    assert!(place.cluster.is_up(id));
    let standing = place.cluster.status_of(id);
    assert_eq!(standing["reachable"], false, "{standing}");
    assert_eq!(standing["member"], false, "{standing}");
}

#[test]
fn leader_whose_disk_is_full_hands_over_and_returns_by_itself() {
    let Some(place) = with_a_message() else {
        return;
    };
    fill(&place, 1);
    wait_until("the leader's disk is found to be full", || {
        send(&place, "while it filled");
        place
            .cluster
            .log(1)
            .contains("the disk is full: this replica leaves")
    });
    wait_until_it_waits(&place, 1);
    send(&place, "while it was full");
    place.disks.free(1);
    finish(
        &place,
        &["before it happened", "while it filled", "while it was full"],
    );
    wait_for_reserve(&place, 1);
}

#[test]
fn backup_whose_disk_fills_under_load_leaves_and_returns_by_itself() {
    let Some(place) = with_a_message() else {
        return;
    };
    let mut clients = Clients::start(&place.cluster.list(), 7);
    let acknowledge_more = |clients: &Clients| {
        let goal = clients.acknowledged() + 200;
        wait_until("messages are acknowledged", || {
            clients.acknowledged() >= goal
        });
    };
    acknowledge_more(&clients);
    fill(&place, 3);
    wait_until_it_waits(&place, 3);
    acknowledge_more(&clients);
    place.disks.free(3);
    place.cluster.wait_until_whole();
    acknowledge_more(&clients);
    let records = clients.stop();
    assert_kept(&place, &clients, &records);
    wait_for_reserve(&place, 3);
    // It is the same as ever: it stops when it is told to.
    place.cluster.signal(3, Signal::TERM);
    let mut place = place;
    assert_eq!(place.cluster.wait_for_exit(3), Some(0));
}

#[test]
fn last_replica_on_a_full_disk_reads_and_writes_again_when_there_is_room() {
    let Some(mut place) = with_a_last_replica_on_a_full_disk() else {
        return;
    };
    wait_until("it refuses what is too much", || {
        let sent = place.cluster.run(&["send", "ann", "too much"]);
        assert!(
            sent.status.success() || said(&sent).contains("the disk is full"),
            "{}",
            said(&sent)
        );
        !sent.status.success()
    });
    assert_eq!(place.cluster.status_of(3)["disk_full"], true);
    assert!(has(&place, "before it happened"), "it still reads");
    place.disks.free(3);
    wait_until("it writes again", || {
        place
            .cluster
            .run(&["send", "ann", "there is room"])
            .status
            .success()
    });
    wait_for_reserve(&place, 3);
    for id in [1, 2] {
        place.cluster.restart(id);
    }
    finish(&place, &["before it happened", "there is room"]);
}

#[test]
fn last_replica_on_a_full_disk_leaves_when_others_have_come_back() {
    let Some(mut place) = with_a_last_replica_on_a_full_disk() else {
        return;
    };
    wait_until("its disk is found to be full", || {
        !place
            .cluster
            .run(&["send", "ann", "too much"])
            .status
            .success()
    });
    place.cluster.restart(1);
    wait_until_it_waits(&place, 3);
    send(&place, "while it was full");
    place.disks.free(3);
    place.cluster.restart(2);
    finish(&place, &["before it happened", "while it was full"]);
}

#[test]
fn backup_without_a_reserve_leaves_without_a_word_and_returns_by_itself() {
    let Some(mut place) = with_a_message() else {
        return;
    };
    wait_for_reserve(&place, 3);
    place.cluster.kill(3);
    let replica = place.cluster.replicas.get_mut(&3).expect("it exists");
    let none = ["--disk-reserve-mib", "0"].map(String::from);
    replica.argv.extend(none);
    fs::remove_file(place.disks.data(3).join("reserve")).expect("remove the reserve");
    place.cluster.restart(3);
    place.cluster.wait_until_whole();
    place.disks.fill(3);
    wait_until("its disk is found to be full", || {
        send(&place, "while it filled");
        let log = place.cluster.log(3);
        log.contains("waits until 4 MiB are free")
    });
    assert!(place.cluster.is_up(3));
    place.disks.free(3);
    finish(&place, &["before it happened", "while it filled"]);
}

#[test]
fn replica_that_waits_for_room_stops_when_it_is_told_to() {
    let Some(mut place) = with_a_message() else {
        return;
    };
    fill(&place, 2);
    wait_until("its disk is found to be full", || {
        send(&place, "while it filled");
        place
            .cluster
            .log(2)
            .contains("the disk is full: this replica leaves")
    });
    wait_until_it_waits(&place, 2);
    place.cluster.signal(2, Signal::TERM);
    assert_eq!(place.cluster.wait_for_exit(2), Some(0));
}

#[test]
fn store_in_which_a_message_rotted_is_set_aside_and_filled_anew() {
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
    place.cluster.wait_until_whole();
    let log = place.cluster.log(2);
    let (_, kept) = log.split_once("it was set aside in ").expect("it says so");
    let kept = kept.split(',').next().expect("a directory");
    for (path, bytes) in rotten {
        let path = Path::new(kept).join(path.file_name().expect("a file"));
        let now = fs::read(&path).expect("read a store");
        assert!(now == bytes, "{} was changed", path.display());
    }
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
