//! The wishes of accounts for notifications: levels of conversations, and keywords.

use super::*;
use crate::queries::{Conversations, KeywordsOf};
use tercet_proto::log::{KeywordSet, LevelSet};

impl TestStore {
    /// Gives the levels of an account as the list of conversations has them, by conversation.
    fn levels(&self, account_id: u64) -> Vec<Level> {
        let query = Conversations {
            account_id,
            before: u64::MAX,
            limit: 100,
        };
        let mut rows = self.readers.read(&query).unwrap().rows;
        rows.sort_by_key(|row| row.id);
        rows.into_iter().map(|row| row.level).collect()
    }

    /// Sets a level; tells whether that changed it, of which the account alone is told.
    fn level(&mut self, account_id: u64, conversation: &str, level: Level) -> bool {
        let applied = self.act(set_level(account_id, conversation, level));
        let outcome::Result::LevelSet(LevelSet { lsn, .. }) = result(&applied) else {
            panic!("{applied:?}");
        };
        match &applied.events[..] {
            [] => assert_eq!(lsn, 0),
            [Event::Change { row, members }] => {
                assert_eq!((row.lsn, &members[..]), (lsn, &[account_id][..]));
                assert!(matches!(row.what, What::LevelChanged(_)), "{row:?}");
            }
            others => panic!("{others:?}"),
        }
        lsn > 0
    }

    fn keywords(&self, account_id: u64) -> Vec<String> {
        self.readers.read(&KeywordsOf { account_id }).unwrap()
    }

    fn keyword(&mut self, account_id: u64, keyword: &str, remove: bool) -> bool {
        let applied = self.act(set_keyword(account_id, keyword, remove));
        let outcome::Result::KeywordSet(KeywordSet { lsn }) = result(&applied) else {
            panic!("{applied:?}");
        };
        assert_eq!(applied.events.len(), usize::from(lsn > 0));
        lsn > 0
    }

    fn rows_of_levels(&self) -> u64 {
        let sql = "SELECT (SELECT count(*) FROM levels) + (SELECT count(*) FROM keywords)";
        raw(self.path())
            .query_row(sql, [], |row| row.get(0))
            .unwrap()
    }
}

#[test]
fn a_level_is_of_one_account_in_one_conversation_and_goes_with_the_membership() {
    let mut store = TestStore::new();
    let [ann, bob, eve] = ["ann", "bob", "eve"].map(|name| store.register(name));
    store.act(create_room(ann, "tea", true));
    store.act(join(bob, "tea"));
    store.send(ann, "bob", "hello");
    assert!(store.level(bob, "#TEA", Level::Mentions));
    assert!(!store.level(bob, "#tea", Level::Mentions));
    assert!(store.level(bob, "Ann", Level::None));
    assert_eq!(store.levels(bob), [Level::Mentions, Level::None]);
    assert_eq!(store.levels(ann), [Level::All, Level::All]);
    assert!(store.level(bob, "ann", Level::All));
    assert_eq!(store.rows_of_levels(), 1);
    store.act(leave(bob, "tea"));
    store.act(join(bob, "tea"));
    assert_eq!(store.levels(bob), [Level::All, Level::All]);
    let mut refuses = |action| refused(&store.act(action));
    let level = Level::None;
    assert_eq!(refuses(set_level(eve, "#tea", level)), Refusal::NotAMember);
    assert_eq!(refuses(set_level(eve, "#no", level)), Refusal::UnknownRoom);
    assert_eq!(
        refuses(set_level(eve, "no", level)),
        Refusal::UnknownAccount
    );
    assert_eq!(
        refuses(set_level(eve, "ann", level)),
        Refusal::UnknownConversation
    );
}

#[test]
fn keywords_are_few_and_without_case() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    assert!(store.keyword(ann, "Tea", false));
    assert!(!store.keyword(ann, "TEA", false));
    assert!(store.keyword(ann, "green", false));
    assert_eq!(store.keywords(ann), ["green", "Tea"]);
    assert!(!store.keyword(ann, "black", true));
    assert!(store.keyword(ann, "tea", true));
    for n in 1..50 {
        assert!(store.keyword(ann, &format!("word {n}"), false));
    }
    let more = store.act(set_keyword(ann, "more", false));
    assert_eq!(refused(&more), Refusal::TooManyKeywords);
    assert!(!store.keyword(ann, "GREEN", false));
}

#[test]
fn a_deleted_account_leaves_neither_levels_nor_keywords() {
    let mut store = TestStore::new();
    let [ann, bob] = ["ann", "bob"].map(|name| store.register(name));
    store.send(ann, "bob", "hello");
    store.act(create_room(ann, "tea", true));
    store.act(join(bob, "tea"));
    for conversation in ["#tea", "ann"] {
        store.level(bob, conversation, Level::None);
    }
    store.keyword(bob, "tea", false);
    assert_eq!(store.rows_of_levels(), 3);
    store.act(delete(bob));
    for _ in 0..3 {
        store.apply(&clean_up());
    }
    assert_eq!(store.rows_of_levels(), 0);
}
