//! The reads of a client that was away for long: the list of its conversations, and the last page of each.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use super::*;
use crate::{
    queries::{
        Conversation, Conversations, PageLimit, Peer, Query, RoomHistory, RoomKey, Step, With,
    },
    schema,
};

const LIMIT: PageLimit = PageLimit {
    rows: 50,
    bytes: 1 << 20,
};

/// Makes a store in which ann is in `count` conversations, half of them rooms, each with `messages` that she has not
/// read; gives her id.
fn away(count: usize, messages: usize) -> (TestStore, u64) {
    let mut store = TestStore::new();
    let connection = &store.writer.connection;
    connection
        .pragma_update(None, "synchronous", "OFF")
        .unwrap();
    let [ann, bob] = ["ann", "bob"].map(|name| store.register(name));
    let half = count / 2;
    let others: Vec<u64> = (0..half)
        .map(|n| store.register(&format!("other{n}")))
        .collect();
    for n in 0..half {
        store.act(create_room(bob, &format!("room{n}"), true));
        store.act(join(ann, &format!("room{n}")));
    }
    for m in 0..messages {
        let commands: Vec<Command> = (0..count)
            .map(|n| {
                let body = format!("Message {m} of a week that ann was away, as long as most.");
                store.command(match n % 2 {
                    0 => send_to_room(bob, &format!("room{}", n / 2), &body),
                    _ => send(others[n / 2], "ann", &body),
                })
            })
            .collect();
        store.apply_all(&commands);
    }
    (store, ann)
}

/// Reads all that a client shows first; gives the number of conversations, unread messages and messages that were read.
fn start(state: &Connection, ann: u64) -> (usize, u64, usize) {
    let list = Conversations {
        account_id: ann,
        before: u64::MAX,
        limit: 1_000,
    };
    let list = list.read(state).unwrap();
    let newest = Step::Before(u64::MAX);
    let mut read = 0;
    for row in &list.rows {
        read += match &row.with {
            With::Room(room) => {
                let page = RoomHistory {
                    account_id: ann,
                    room: RoomKey::Id(room.id),
                    start: newest.into(),
                    limit: LIMIT,
                };
                page.read(state).unwrap().unwrap().messages.rows.len()
            }
            With::Account { account_id, .. } => {
                let page = Conversation {
                    account_id: ann,
                    peer: Peer::Id(*account_id),
                    start: newest.into(),
                    limit: LIMIT,
                };
                page.read(state).unwrap().unwrap().messages.rows.len()
            }
        };
    }
    let unread = list.rows.iter().map(|row| row.unread).sum();
    (list.rows.len(), unread, read)
}

/// Counts the steps of SQLite's machine: they grow with the rows that are looked at, and do not depend on the clock.
fn steps(store: &TestStore, ann: u64) -> (u64, (usize, u64, usize)) {
    let mut state = schema::open_reader(store.path()).unwrap();
    let count = Arc::new(AtomicU64::new(0));
    let counter = count.clone();
    let add = move || {
        counter.fetch_add(1, Ordering::Relaxed);
        false
    };
    state.progress_handler(1, Some(add)).unwrap();
    let read = start(&state, ann);
    (count.load(Ordering::Relaxed), read)
}

#[test]
fn a_client_that_was_away_reads_as_little_after_many_messages_as_after_few() {
    let (few, ann) = away(40, 60);
    let (of_few, read) = steps(&few, ann);
    assert_eq!(read, (40, 40 * 60, 40 * 50));
    let (many, ann) = away(40, 600);
    let (of_many, read) = steps(&many, ann);
    assert_eq!(read, (40, 40 * 600, 40 * 50));
    assert!(
        of_many < of_few + of_few / 5,
        "{of_few} and {of_many} steps"
    );
}

/// Prints what a start costs after a week with 200,000 messages:
/// `cargo test --release -p tercet-store --lib -- --ignored --nocapture time_of_a_start`
#[test]
#[ignore = "prints figures"]
fn time_of_a_start_after_200_000_messages_in_500_conversations() {
    for messages in [50, 400] {
        let (store, ann) = away(500, messages);
        let (steps, read) = steps(&store, ann);
        let state = schema::open_reader(store.path()).unwrap();
        let mut took: Vec<_> = (0..20)
            .map(|_| {
                let begun = Instant::now();
                start(&state, ann);
                begun.elapsed()
            })
            .collect();
        took.sort();
        let of_list = Conversations {
            account_id: ann,
            before: u64::MAX,
            limit: 1_000,
        };
        let begun = Instant::now();
        of_list.read(&state).unwrap();
        println!(
            "{} messages: {read:?} in {steps} steps, median {:?}; the list alone {:?}",
            500 * messages,
            took[10],
            begun.elapsed()
        );
    }
}
