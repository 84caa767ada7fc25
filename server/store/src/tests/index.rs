//! Messages are found whether they are indexed or not.

use super::{
    state::{KINDS_WITHOUT_ROOMS, life_of},
    *,
};
use crate::index::UnindexedReads;

/// Everything that is found by an index, of all accounts that there ever were.
fn pages(readers: &Readers, accounts: &[u64], middle: u64) -> Vec<Vec<u64>> {
    let lsns = |rows: Vec<crate::event::MessageRow>| rows.iter().map(|row| row.lsn).collect();
    let mut pages = Vec::new();
    for &a in accounts {
        for after in [0, middle] {
            pages.push(lsns(readers.undelivered(a, after, 7).unwrap()));
            pages.push(lsns(readers.inbox(a, after, 7).unwrap()));
        }
        for &b in accounts.iter().filter(|&&b| b >= a) {
            for limit in [3, 1_000] {
                pages.push(lsns(readers.messages_before(a, b, middle, limit).unwrap()));
                pages.push(lsns(
                    readers.messages_before(a, b, u64::MAX, limit).unwrap(),
                ));
                pages.push(lsns(readers.messages_after(a, b, middle, limit).unwrap()));
                pages.push(lsns(readers.messages_after(a, b, 0, limit).unwrap()));
            }
        }
    }
    pages
}

fn rows(store: &TestStore, table: &str) -> u64 {
    let sql = format!("SELECT count(*) FROM {table}");
    raw(store.path())
        .query_row(&sql, [], |row| row.get(0))
        .unwrap()
}

#[test]
fn pages_do_not_depend_on_how_far_messages_are_indexed() {
    // Of direct messages and blocks: so many that some messages are hidden at the end.
    let commands = life_of(KINDS_WITHOUT_ROOMS, 21, 600);
    let mut stores = [1, 7, 100, u64::MAX].map(|behind_max| {
        let mut store = TestStore::new();
        store.writer.at.indexed.behind_max = behind_max;
        // The reads of this test do not count.
        store.writer.at.indexed.unindexed_reads = UnindexedReads::default();
        store
    });
    let mut accounts = Vec::new();
    for batch in commands.chunks(9) {
        for store in &mut stores {
            let applied = store.apply_all(batch);
            if store.writer.at.indexed.behind_max == 1 {
                let created = |applied: &Applied| match result(applied) {
                    outcome::Result::AccountCreated(created) => Some(created.account_id),
                    _ => None,
                };
                accounts.extend(applied.iter().filter_map(created));
            }
        }
        let middle = stores[0].last.saturating_sub(30);
        let [indexed, others @ ..] = &stores;
        let expected = pages(&indexed.readers, &accounts, middle);
        for store in others {
            assert_eq!(pages(&store.readers, &accounts, middle), expected);
            assert_eq!(store.state_hash(), indexed.state_hash());
        }
    }
    let [indexed, .., late] = &stores;
    assert!(indexed.writer.at.indexed.through > late.writer.at.indexed.through);
    // Nothing is left of what is gone, or was acknowledged.
    let hidden = rows(indexed, "hidden_messages");
    assert!(hidden > 0);
    assert_eq!(
        rows(indexed, "conversation_messages"),
        rows(indexed, "messages") - hidden
    );
    let waiting = rows(indexed, "messages WHERE delivered = 0") - hidden;
    assert!(waiting > 0);
    assert_eq!(rows(indexed, "waiting_messages"), waiting);
}

#[test]
fn reads_have_the_index_catch_up_with_the_next_commit() {
    let mut store = TestStore::new();
    store.writer.at.indexed.behind_max = u64::MAX;
    let ann = store.register("ann");
    store.send(ann, "ann", "one");
    let read = |store: &TestStore| store.waiting(ann).len();
    assert_eq!(read(&store), 1);
    store.send(ann, "ann", "two");
    assert_eq!(rows(&store, "waiting_messages"), 0);
    while rows(&store, "waiting_messages") == 0 {
        assert_eq!(read(&store) as u64, rows(&store, "messages"));
        store.send(ann, "ann", "more");
    }
    assert_eq!(rows(&store, "waiting_messages"), rows(&store, "messages"));
}

#[test]
fn index_catches_up_when_there_is_time_and_goes_on_from_there_after_a_start() {
    let mut store = TestStore::new();
    store.writer.at.indexed.behind_max = u64::MAX;
    let ann = store.register("ann");
    store.send(ann, "ann", "one");
    assert!(store.writer.is_index_behind());
    store.writer.catch_up_index().unwrap();
    assert!(!store.writer.is_index_behind());
    assert_eq!(rows(&store, "conversation_messages"), 1);
    store.send(ann, "ann", "two");

    let copy = crashed(store.path());
    let mut opened = reopen(copy.path()).unwrap();
    assert!(opened.writer.is_index_behind());
    assert_eq!(opened.readers.inbox(ann, 0, 9).unwrap().len(), 2);
    opened.writer.catch_up_index().unwrap();
    assert_eq!(opened.readers.inbox(ann, 0, 9).unwrap().len(), 2);
}

#[test]
fn index_that_says_more_than_was_applied_is_refused() {
    let mut store = TestStore::new();
    store.register("ann");
    let copy = crashed(store.path());
    raw(copy.path())
        .execute("UPDATE indexed SET through_lsn = 9", [])
        .unwrap();
    assert!(matches!(refusal(copy.path()), StoreError::Corrupt(_)));
}
