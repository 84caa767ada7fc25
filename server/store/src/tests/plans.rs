//! The plans by which SQLite reads the pages of messages.

use rusqlite::{Connection, StatementStatus};

use super::{
    super::{
        queries::{
            INBOX_NOT_INDEXED, INDEXED_AFTER, INDEXED_BEFORE, MESSAGES_AFTER, MESSAGES_BEFORE,
            NOT_INDEXED_AFTER, NOT_INDEXED_BEFORE, PageLimit, ROOM_AFTER, ROOM_BEFORE, Step,
            UNDELIVERED, plain_page,
        },
        schema,
    },
    *,
};

/// Gives the steps of the plan of a statement.
fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    let mut plan = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .unwrap();
    let parameters = vec![1; plan.parameter_count()];
    let steps = plan.query_map(rusqlite::params_from_iter(parameters), |row| {
        row.get("detail")
    });
    steps.unwrap().collect::<Result<_, _>>().unwrap()
}

fn sorts(step: &str) -> bool {
    step.contains("TEMP B-TREE") || step.starts_with("SCAN m")
}

#[test]
fn page_is_found_by_an_index_alone_at_any_depth() {
    let store = TestStore::new();
    let connection = schema::open_reader(store.path()).unwrap();
    for (sql, position) in [
        (MESSAGES_BEFORE, "AND seq"),
        (MESSAGES_AFTER, "AND seq"),
        (UNDELIVERED, "AND lsn"),
        (ROOM_BEFORE, "AND seq"),
        (ROOM_AFTER, "AND seq"),
    ] {
        let steps = plan(&connection, sql);
        let bounded = |what: &str, by: &str| {
            let is = |step: &String| step.starts_with(what) && step.contains(by);
            assert!(steps.iter().any(is), "{steps:#?}");
        };
        bounded("SEARCH i USING PRIMARY KEY", position);
        bounded("SEARCH m USING INTEGER PRIMARY KEY", "rowid>?");
        // The few messages that are not indexed are put into the order of their seqs.
        let steps = match (position, steps.iter().position(|step| step == "RIGHT")) {
            ("AND seq", Some(right)) => &steps[right..],
            _ => &steps[..],
        };
        assert!(
            !steps.iter().any(|step| sorts(step)) && !sql.contains("OFFSET"),
            "{steps:?}"
        );
    }
}

#[test]
fn parts_of_a_plain_page_need_no_order() {
    let store = TestStore::new();
    let connection = schema::open_reader(store.path()).unwrap();
    for (sql, expected) in [
        (INDEXED_BEFORE, "SEARCH i USING PRIMARY KEY"),
        (INDEXED_AFTER, "SEARCH i USING PRIMARY KEY"),
        (NOT_INDEXED_BEFORE, "SEARCH m USING INTEGER PRIMARY KEY"),
        (NOT_INDEXED_AFTER, "SEARCH m USING INTEGER PRIMARY KEY"),
    ] {
        let steps = plan(&connection, sql);
        assert!(steps[0].starts_with(expected), "{steps:?}");
        assert!(!steps.iter().any(|step| sorts(step)), "{steps:?}");
    }
}

#[test]
fn plain_page_is_the_same_if_the_index_has_moved() {
    let mut store = TestStore::new();
    store.writer.at.indexed.behind_max = 5;
    let [ann, bob] = ["ann", "bob"].map(|name| store.register(name));
    for count in 0..12 {
        let (by, to) = [(ann, "bob"), (bob, "ann")][count % 2];
        store.act(send(by, to, &format!("message {count}")));
    }
    let connection = schema::open_reader(store.path()).unwrap();
    let (conversation, through): (i64, u64) = connection
        .query_row(
            "SELECT id, (SELECT through_lsn FROM indexed) FROM conversations",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert!((1..store.last).contains(&through), "some are not indexed");
    for (step, rows) in [
        (Step::Before(u64::MAX), 1),
        (Step::Before(u64::MAX), 7),
        (Step::Before(11), 20),
        (Step::Before(4), 2),
        (Step::After(0), 4),
        (Step::After(2), 20),
        (Step::After(11), 1),
    ] {
        let limit = PageLimit {
            rows,
            bytes: 16 << 10,
        };
        let page = |indexed: u64| {
            plain_page(&connection, conversation, indexed as i64, step, limit).unwrap()
        };
        let now = page(through);
        assert_eq!(page(0), now, "{step:?}");
        let seqs: Vec<u64> = now.rows.iter().map(|row| row.seq).collect();
        let of_all: Vec<u64> = match step {
            Step::Before(end) => (1..end.min(13)).rev().collect(),
            Step::After(seq) => (seq + 1..=12).collect(),
        };
        let expected = &of_all[..rows.min(of_all.len())];
        assert_eq!(seqs, expected, "{step:?}");
        assert_eq!(now.more, of_all.len() > rows, "{step:?}");
    }
}

#[test]
fn statement_is_planned_once_whatever_is_bound() {
    let store = TestStore::new();
    let connection = schema::open_reader(store.path()).unwrap();
    let mut page = connection.prepare(MESSAGES_BEFORE).unwrap();
    for limit in 1..5 {
        let mut rows = page.query([1, 100, limit, 1]).unwrap();
        assert!(rows.next().unwrap().is_none());
    }
    assert_eq!(page.get_status(StatementStatus::RePrepare), 0);
}

#[test]
fn messages_that_are_indexed_are_not_gone_through() {
    let mut store = TestStore::new();
    store.writer.at.indexed.behind_max = 1;
    let [ann, bob] = ["ann", "bob"].map(|name| store.register(name));
    let others: Vec<Command> = (0..2_000)
        .map(|_| store.command(send(bob, "bob", "not on the page")))
        .collect();
    store.apply_all(&others);
    let connection = schema::open_reader(store.path()).unwrap();
    // A conversation without a message on the page.
    let of_ann = [0, 0, 9, ann];
    let newest = [0, store.last + 1, 9, ann];
    for (sql, parameters) in [
        (MESSAGES_BEFORE, &newest[..]),
        (MESSAGES_AFTER, &of_ann[..]),
        (UNDELIVERED, &[ann, 0, 9][..]),
        (INBOX_NOT_INDEXED, &[0, ann, 9][..]),
    ] {
        let mut page = connection.prepare(sql).unwrap();
        let mut rows = page.query(rusqlite::params_from_iter(parameters)).unwrap();
        assert!(rows.next().unwrap().is_none());
        drop(rows);
        let steps = page.get_status(StatementStatus::VmStep);
        assert!(steps < 200, "{steps} steps of {sql}");
    }
}

#[test]
fn hidden_messages_are_not_gone_through() {
    let mut store = TestStore::new();
    store.writer.at.indexed.behind_max = 1;
    let [ann, bob] = ["ann", "bob"].map(|name| store.register(name));
    store.act(block(bob, "ann", false));
    let hidden: Vec<Command> = (0..2_000)
        .map(|_| store.command(send(ann, "bob", "hidden")))
        .collect();
    store.apply_all(&hidden);
    let connection = schema::open_reader(store.path()).unwrap();
    let newest = store.last + 1;
    let conversation = connection
        .query_row("SELECT id FROM conversations", [], |row| row.get(0))
        .unwrap();
    // Pages of the blocker are empty, and those of the sender are full.
    for (sql, parameters, rows) in [
        (MESSAGES_BEFORE, &[conversation, newest, 9, bob][..], 0),
        (MESSAGES_AFTER, &[conversation, 0, 9, bob][..], 0),
        (UNDELIVERED, &[bob, 0, 9][..], 0),
        (INBOX_NOT_INDEXED, &[0, bob, 9][..], 0),
        (MESSAGES_BEFORE, &[conversation, newest, 9, ann][..], 9),
        (MESSAGES_AFTER, &[conversation, 0, 9, ann][..], 9),
    ] {
        let mut page = connection.prepare(sql).unwrap();
        let mut found = page.query(rusqlite::params_from_iter(parameters)).unwrap();
        let mut count = 0;
        while found.next().unwrap().is_some() {
            count += 1;
        }
        drop(found);
        assert_eq!(count, rows, "{sql}");
        let steps = page.get_status(StatementStatus::VmStep);
        assert!(steps < 1_000, "{steps} steps of {sql}");
    }
}
