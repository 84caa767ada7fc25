//! How SQLite goes about the pages of messages.

use rusqlite::StatementStatus;

use super::{
    super::{
        readers::{MESSAGES_AFTER, MESSAGES_BEFORE, UNDELIVERED},
        schema,
    },
    *,
};

#[test]
fn page_is_found_by_an_index_alone_at_any_depth() {
    let store = TestStore::new();
    let connection = schema::open_reader(store.path()).unwrap();
    for sql in [MESSAGES_BEFORE, MESSAGES_AFTER, UNDELIVERED] {
        let mut plan = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap();
        let parameters = vec![1; plan.parameter_count()];
        let steps = plan
            .query_map(rusqlite::params_from_iter(parameters), |row| {
                row.get::<_, String>("detail")
            })
            .unwrap();
        let steps: Vec<String> = steps.collect::<Result<_, _>>().unwrap();
        let bounded = |what: &str, by: &str| {
            let is = |step: &String| step.starts_with(what) && step.contains(by);
            assert!(steps.iter().any(is), "{steps:#?}");
        };
        bounded("SEARCH i USING PRIMARY KEY", "AND lsn");
        bounded("SEARCH m USING INTEGER PRIMARY KEY", "rowid>?");
        let sorts = |step: &String| step.contains("TEMP B-TREE") || step.starts_with("SCAN m");
        assert!(
            !steps.iter().any(sorts) && !sql.contains("OFFSET"),
            "{steps:?}"
        );
    }
}

#[test]
fn statement_is_planned_once_whatever_is_bound() {
    let store = TestStore::new();
    let connection = schema::open_reader(store.path()).unwrap();
    let mut page = connection.prepare(MESSAGES_BEFORE).unwrap();
    for limit in 1..5 {
        let mut rows = page.query([1, 2, 100, limit]).unwrap();
        assert!(rows.next().unwrap().is_none());
    }
    assert_eq!(page.get_status(StatementStatus::RePrepare), 0);
}
