//! The time that snapshots take and cost concurrent writes; and the time that others wait while an account is
//! deleted. Prints figures:
//! `cargo test --release -p tercet-server --lib store::tests::measure -- --ignored --nocapture`

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::*;
use crate::snapshot;

static NOT_CANCELLED: AtomicBool = AtomicBool::new(false);
const MESSAGES: usize = 200_000;

fn synchronous(store: &TestStore, value: &str) {
    let connection = &store.writer.connection;
    connection
        .pragma_update(None, "synchronous", value)
        .unwrap();
}

fn filled() -> (TestStore, u64) {
    let mut store = TestStore::new();
    synchronous(&store, "OFF");
    store.last += 1;
    let first = vec![entry(1, EPOCH, Payload::Config(config(&[1, 2])))];
    let ops = [persist(first.clone()), WriteOp::Apply(first)];
    store.writer.execute(&ops).unwrap();
    let ann = store.register("ann");
    store.register("bob");
    let body =
        "A message of usual length, which says little and takes a hundred bytes or so. ".repeat(2);
    for _ in 0..MESSAGES / 1_000 {
        let commands: Vec<Command> = (0..1_000)
            .map(|_| store.command(send(ann, "bob", &body[..100])))
            .collect();
        store.apply_all(&commands);
        store.writer.checkpoint().unwrap();
    }
    synchronous(&store, "FULL");
    (store, ann)
}

/// Writes until it is told that something else is done; prints how long writes took.
fn write_until(store: &mut TestStore, ann: u64, what: &str, done: &AtomicBool) {
    let mut took = Vec::new();
    while !done.load(Ordering::Relaxed) {
        let commands: Vec<Command> = (0..8)
            .map(|_| store.command(send(ann, "bob", "a message of usual length")))
            .collect();
        let begun = Instant::now();
        store.apply_all(&commands);
        took.push(begun.elapsed());
        store.writer.checkpoint().unwrap();
    }
    took.sort();
    let at = |part: usize| took[(took.len() - 1) * part / 1_000];
    println!(
        "{what}: {} writes, median {:?}, 99% {:?}, 99.9% {:?}, longest {:?}",
        took.len(),
        at(500),
        at(990),
        at(999),
        at(1_000)
    );
}

#[test]
#[ignore = "prints figures"]
fn snapshots_of_200_000_messages() {
    let (mut store, ann) = filled();
    let size = fs::metadata(store.path().join("tercet.db")).unwrap().len();
    println!(
        "store: {} MB, log {:?}",
        size >> 20,
        store.readers.log_size()
    );
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("snapshot");

    let done = Arc::new(AtomicBool::new(false));
    let ends = Arc::clone(&done);
    thread::spawn(move || {
        thread::park_timeout(Duration::from_secs(5));
        ends.store(true, Ordering::Relaxed);
    });
    write_until(&mut store, ann, "nothing else", &done);

    for (work, pause) in [(u64::MAX, 0), (5, 5), (5, 20), (1, 4)] {
        let done = Arc::new(AtomicBool::new(false));
        let (ends, source, to) = (Arc::clone(&done), store.path().to_owned(), path.clone());
        let taker = thread::spawn(move || {
            let begun = Instant::now();
            let pace = snapshot::Pace {
                work: Duration::from_millis(work),
                pause: Duration::from_millis(pause),
                cancelled: &NOT_CANCELLED,
            };
            snapshot::take(&source, &to, &pace).unwrap();
            println!(
                "taken in {:?}, {work} ms of work and {pause} ms of pause",
                begun.elapsed()
            );
            ends.store(true, Ordering::Relaxed);
        });
        write_until(&mut store, ann, "taking", &done);
        taker.join().unwrap();
    }
    println!("snapshot: {} MB", fs::metadata(&path).unwrap().len() >> 20);

    let begun = Instant::now();
    let at = snapshot::read(&path).unwrap();
    println!("read in {:?}", begun.elapsed());
    for what in ["an empty store", "a full store"] {
        let mut other = match what {
            "an empty store" => TestStore::new(),
            _ => filled().0,
        };
        other
            .writer
            .connection
            .execute("DELETE FROM position", [])
            .unwrap();
        let first = "INSERT INTO position VALUES (1, 0, 0)";
        other.writer.connection.execute(first, []).unwrap();
        other.writer.at.applied = Lsn(0);
        let install = WriteOp::Install {
            write: WriteId(1),
            snapshot: at.clone(),
            path: path.clone(),
        };
        let begun = Instant::now();
        other.writer.execute(&[install]).unwrap();
        println!("installed over {what} in {:?}", begun.elapsed());
        let begun = Instant::now();
        other.writer.checkpoint().unwrap();
        println!("and its WAL moved in {:?}", begun.elapsed());
    }

    let mut took = Vec::new();
    let begun = Instant::now();
    let point = store.readers.trim_point(0).unwrap();
    println!("first trim point {point} in {:?}", begun.elapsed());
    loop {
        let begun = Instant::now();
        let through = Lsn(store.last);
        let executed = store.writer.execute(&[WriteOp::Trim { through }]).unwrap();
        took.push(begun.elapsed());
        if executed.trimmed.unwrap() > through {
            break;
        }
        store.writer.checkpoint().unwrap();
    }
    took.sort();
    let total: Duration = took.iter().sum();
    println!(
        "trimmed in {} pieces, {total:?}: median {:?}, longest {:?}",
        took.len(),
        took[took.len() / 2],
        took[took.len() - 1]
    );
}

#[test]
#[ignore = "prints figures"]
fn deleting_an_account_for_which_200_000_messages_wait() {
    for version in [0, COMMAND_VERSION] {
        let (mut store, _) = filled();
        store.version = version;
        store.writer.catch_up_index().unwrap();
        let bob = store.readers.account_by_name("bob").unwrap().unwrap().id;
        let mut took = Vec::new();
        let mut command = store.command(delete(bob));
        loop {
            let entries = store.entries(std::slice::from_ref(&command));
            let ops = [persist(entries.clone()), WriteOp::Apply(entries)];
            let begun = Instant::now();
            let executed = store.writer.execute(&ops).unwrap();
            took.push(begun.elapsed());
            store.writer.checkpoint().unwrap();
            if !executed.cleanups_left {
                break;
            }
            command = clean_up();
        }
        let first = took[0];
        took.sort();
        println!(
            "version {version}: {} commands, the first {first:?}, median {:?}, longest {:?}, all {:?}",
            took.len(),
            took[took.len() / 2],
            took[took.len() - 1],
            took.iter().sum::<Duration>(),
        );
    }
}

#[test]
#[ignore = "prints figures"]
fn bytes_that_a_message_of_a_hundred_bytes_writes() {
    const COUNT: usize = 64_000;
    for together in [1, 32, 256] {
        let mut store = TestStore::new();
        synchronous(&store, "OFF");
        store.writer.at.indexed.behind_max = u64::MAX;
        let ann = store.register("ann");
        store.register("bob");
        let wal = |store: &TestStore| {
            let path = store.path().join("tercet.db-wal");
            fs::metadata(path).unwrap().len()
        };
        let before = wal(&store);
        for first in (0..COUNT).step_by(together) {
            // Ids of clients that grow with time, from several clients.
            let commands: Vec<Command> = (first..first + together)
                .map(|number| {
                    let mut command = store.command(send(ann, "bob", &"x".repeat(100)));
                    let id =
                        (number as u128 / 64) << 80 | (number as u128 * 0x9e37_79b9) & 0xffff_ffff;
                    command.request_id = request_id(id);
                    command
                })
                .collect();
            store.apply_all(&commands);
        }
        let written = wal(&store) - before;
        println!(
            "{together} at once: {} bytes of WAL a message",
            written / COUNT as u64
        );
        store
            .writer
            .connection
            .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
            .unwrap();
        let size = fs::metadata(store.path().join("tercet.db")).unwrap().len();
        println!(
            "{together} at once: {} bytes of the file a message",
            size / COUNT as u64
        );
    }
}
