//! Changes: the events that are no messages, as a subscription finds them in the store.

use super::*;
use crate::{
    queries::{Backlog, BacklogRow, KeptEvents, PageLimit},
    window::Limits,
};

impl TestStore {
    /// Gives the LSNs of all events after a cursor, with the changes among them, read in pages of that many rows.
    fn events(&self, account_id: u64, mut after: u64, rows: usize) -> Vec<(u64, Option<What>)> {
        let mut events = Vec::new();
        loop {
            let limit = PageLimit {
                rows,
                bytes: 1 << 20,
            };
            let query = Backlog {
                account_id,
                after,
                limit,
            };
            let page = self.readers.read(&query).unwrap();
            events.extend(page.rows.into_iter().map(|row| match row {
                BacklogRow::Direct(row) => (row.lsn, None),
                BacklogRow::Room(row) => (row.lsn, None),
                BacklogRow::Change(row) => (row.lsn, Some(row.what)),
            }));
            if !page.more {
                return events;
            }
            after = events.last().unwrap().0;
        }
    }
}

fn blocked(username: &str, account_id: u64, refuse: bool) -> Option<What> {
    Some(What::BlockChanged(BlockChanged {
        username: username.to_owned(),
        account_id,
        blocked: true,
        refuse,
    }))
}

#[test]
fn changes_and_messages_come_in_the_order_of_the_log_on_pages_of_any_size() {
    let mut store = TestStore::new();
    let [ann, bob] = ["ann", "bob"].map(|name| store.register(name));
    let (_, first) = store.send(bob, "ann", "hello");
    let hidden = store.act(block(ann, "bob", false)).lsn;
    let made = store.act(create_room(ann, "tea", true)).lsn;
    let refused = store.act(block(ann, "bob", true)).lsn;
    let (_, note) = store.send(ann, "ann", "note");
    let all = [
        (first, None),
        (hidden, blocked("bob", bob, false)),
        (made, None),
        (refused, blocked("bob", bob, true)),
        (note, None),
    ];
    for rows in 1..=6 {
        assert_eq!(store.events(ann, 0, rows), all, "{rows}");
        assert_eq!(store.events(ann, hidden, rows), all[2..], "{rows}");
    }
    // The other one has its own message, and not the changes.
    assert_eq!(store.events(bob, 0, 10), [(first, None)]);
}

#[test]
fn commands_of_earlier_versions_tell_of_changes_and_store_none() {
    let mut store = TestStore::new();
    let [ann, bob] = ["ann", "bob"].map(|name| store.register(name));
    store.version = 2;
    let applied = store.act(block(ann, "bob", false));
    let what = blocked("bob", bob, false).unwrap();
    assert_eq!(applied.events, [change_event(applied.lsn, ann, what)]);
    assert_eq!(store.events(ann, 0, 10), []);
}

#[test]
fn changes_are_forgotten_with_requests_and_the_newest_forgotten_one_is_known() {
    let mut store = TestStore::new();
    store.writer.request_limits = Limits::of_entries(100);
    let [ann, bob] = ["ann", "bob"].map(|name| store.register(name));
    let first = store.act(block(ann, "bob", false)).lsn;
    for _ in 0..50 {
        store.send(ann, "ann", "note");
    }
    let second = store.act(block(ann, "bob", true)).lsn;
    let kept = |store: &TestStore| store.readers.read(&KeptEvents).unwrap();
    assert_eq!(kept(&store).forgotten, 0);
    for _ in 0..60 {
        store.send(ann, "ann", "note");
    }
    assert_eq!(kept(&store).forgotten, first);
    assert_eq!(kept(&store).applied, store.last);
    let changes = |store: &TestStore| {
        let events = store.events(ann, 0, 1_000).into_iter();
        events.filter_map(|(_, what)| what).collect::<Vec<_>>()
    };
    assert_eq!(changes(&store), [blocked("bob", bob, true).unwrap()]);
    for _ in 0..100 {
        store.send(ann, "ann", "note");
    }
    assert_eq!(kept(&store).forgotten, second);
    assert_eq!(changes(&store), []);
}

#[test]
fn the_end_of_an_account_makes_one_event_with_each_entry_for_each_account() {
    let mut store = TestStore::new();
    let [ann, bob] = ["ann", "bob"].map(|name| store.register(name));
    store.act(create_room(bob, "tea", true));
    store.act(join(ann, "tea"));
    store.send(ann, "bob", "waits");
    let start = store.last;
    store.act(delete(bob));
    while store.writer.at.cleanups_left {
        let command = Command {
            version: COMMAND_VERSION,
            ..clean_up()
        };
        store.apply(&command);
    }
    let events = store.events(ann, start, 10);
    assert_eq!(events.len(), 2, "dropped messages, and left the room");
    assert!(events[0].1.is_some() && events[1].1.is_none());
    assert!(events[0].0 < events[1].0);
}
