//! Searches: what is found, what is not shown, and the index that follows, is deleted, and is built again.

use std::os::unix::fs::PermissionsExt as _;

use tercet_types::fair::Key;

use super::*;
use crate::{
    queries::FoundRow,
    rooms::Denied,
    search::{NotSearched, Search, SearchPage, SearchThread, parse},
};

fn run(
    thread: &SearchThread,
    account_id: u64,
    query: &str,
    (before, limit): (u64, usize),
) -> Result<SearchPage, NotSearched> {
    let search = Search {
        account_id,
        query: parse(query).unwrap(),
        before,
        limit,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let answer = thread.search(Key::account(account_id), search);
    runtime.block_on(answer).unwrap()
}

/// Gives the bodies of all hits; the index has caught up.
fn found(thread: &SearchThread, account_id: u64, query: &str) -> Vec<String> {
    let page = run(thread, account_id, query, (u64::MAX, 100)).unwrap();
    assert!(page.is_complete);
    assert_eq!(page.next, None);
    let bodies = page.hits.iter().map(|hit| hit.row.body().to_owned());
    bodies.collect()
}

fn start(store: &TestStore) -> SearchThread {
    SearchThread::start(store.path(), STORE).unwrap()
}

#[test]
fn words_phrases_prefixes_and_characters_are_found_newest_first() {
    let mut store = TestStore::new();
    let (ann, _) = (store.register("ann"), store.register("bob"));
    let search = start(&store);
    for body in [
        "the quick fox",
        "ok, be quick",
        "Un Café, s'il vous plaît",
        "東京都に行く",
        "see https://tercet.example/quick",
    ] {
        store.send(ann, "bob", body);
    }
    assert_eq!(found(&search, ann, "quick ok"), ["ok, be quick"]);
    assert_eq!(
        found(&search, ann, "QUICK"),
        [
            "see https://tercet.example/quick",
            "ok, be quick",
            "the quick fox"
        ]
    );
    assert_eq!(found(&search, ann, "\"quick fox\""), ["the quick fox"]);
    assert_eq!(found(&search, ann, "\"fox quick\""), [""; 0]);
    assert_eq!(found(&search, ann, "qu* fo*"), ["the quick fox"]);
    assert_eq!(
        found(&search, ann, "cafe plait"),
        ["Un Café, s'il vous plaît"]
    );
    assert_eq!(found(&search, ann, "京都"), ["東京都に行く"]);
    assert_eq!(found(&search, ann, "都"), ["東京都に行く"]);
    assert_eq!(found(&search, ann, "has:link quick").len(), 1);
    assert_eq!(found(&search, ann, "missing"), [""; 0]);
}

#[test]
fn an_account_finds_what_it_may_read_at_that_moment() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let bob = store.register("bob");
    let eve = store.register("eve");
    let search = start(&store);
    store.act(create_room(ann, "tea", false));
    store.act(send_to_room(ann, "tea", "secret in the room"));
    store.send(ann, "bob", "secret between two");
    assert_eq!(found(&search, bob, "secret"), ["secret between two"]);
    assert_eq!(found(&search, eve, "secret"), [""; 0]);
    let in_tea = |account| run(&search, account, "in:#tea secret", (u64::MAX, 10)).err();
    let unknown = NotSearched::Room(Denied::Unknown, "tea".into());
    assert_eq!(in_tea(eve), Some(unknown));
    assert_eq!(in_tea(ann), None);

    // A member reads what was there before, and nothing once it has left.
    store.act(invite(ann, "tea", "eve"));
    assert_eq!(found(&search, eve, "secret"), ["secret in the room"]);
    assert_eq!(found(&search, eve, "in:#tea from:ann secret").len(), 1);
    store.act(leave(eve, "tea"));
    assert_eq!(found(&search, eve, "secret"), [""; 0]);

    // Messages that are hidden are found by their sender alone.
    store.act(block(ann, "bob", false));
    store.send(bob, "ann", "hidden secret");
    let both = ["hidden secret", "secret between two"];
    assert_eq!(found(&search, bob, "secret"), both);
    let seen = ["secret between two", "secret in the room"];
    assert_eq!(found(&search, ann, "secret"), seen);
    assert_eq!(found(&search, ann, "from:bob"), [""; 0]);

    // Messages that were dropped with their recipient are found by nobody.
    store.act(delete(bob));
    assert_eq!(found(&search, ann, "secret"), ["secret in the room"]);
}

#[test]
fn filters_narrow_a_search() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let bob = store.register("bob");
    store.register("carol");
    let search = start(&store);
    let at = |store: &mut TestStore, day: i64| store.now_ms = day * 86_400_000;
    at(&mut store, 10);
    store.send(ann, "bob", "one hello");
    at(&mut store, 11);
    store.send(bob, "ann", "two hello");
    at(&mut store, 12);
    store.send(ann, "carol", "three hello");
    store.act(create_room(ann, "tea", true));
    store.act(send_to_room(ann, "tea", "four hello"));
    assert_eq!(found(&search, ann, "from:BOB"), ["two hello"]);
    assert_eq!(found(&search, ann, "in:carol hello"), ["three hello"]);
    assert_eq!(found(&search, ann, "in:#Tea"), ["four hello"]);
    assert_eq!(
        found(&search, ann, "hello before:1970-01-12"),
        ["one hello"]
    );
    let later = ["four hello", "three hello"];
    assert_eq!(found(&search, ann, "hello after:1970-01-13"), later);
    assert_eq!(
        found(&search, ann, "after:1970-01-12 before:1970-01-13"),
        ["two hello"]
    );
    assert_eq!(found(&search, ann, "after:2000-01-01"), [""; 0]);
    let error = |query| run(&search, ann, query, (u64::MAX, 10)).unwrap_err();
    assert_eq!(
        error("from:nobody x"),
        NotSearched::UnknownAccount("nobody".into())
    );
    assert_eq!(error("in:nobody x"), NotSearched::UnknownPeer);
    // The name of a deleted account means its last owner.
    store.act(delete(bob));
    assert_eq!(found(&search, ann, "from:bob"), ["two hello"]);
}

#[test]
fn pages_go_through_all_hits_once() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    store.register("bob");
    let search = start(&store);
    store.act(create_room(ann, "tea", true));
    for n in 0..30 {
        store.send(ann, "bob", &format!("direct {n} word"));
        store.act(send_to_room(ann, "tea", &format!("room {n} word")));
    }
    let (mut before, mut all) = (u64::MAX, Vec::new());
    loop {
        let page = run(&search, ann, "word", (before, 7)).unwrap();
        assert!(page.hits.len() <= 7);
        all.extend(page.hits.iter().map(|hit| match &hit.row {
            FoundRow::Direct(row) => row.lsn,
            FoundRow::Room(row) => row.lsn,
        }));
        match page.next {
            Some(next) => before = next,
            None => break,
        }
    }
    assert_eq!(all.len(), 60);
    assert!(all.is_sorted_by(|one, next| one > next), "{all:?}");
}

#[test]
fn the_index_is_private_and_is_built_again_when_it_is_gone_damaged_or_of_another_store() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    store.register("bob");
    store.send(ann, "bob", "hello");
    let file = store.path().join("search.db");
    let search = start(&store);
    assert_eq!(found(&search, ann, "hello"), ["hello"]);
    for end in ["", "-wal", "-shm"] {
        let path = store.path().join(format!("search.db{end}"));
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{end}");
    }
    // While the thread runs.
    fs::remove_file(&file).unwrap();
    assert_eq!(found(&search, ann, "hello"), ["hello"]);
    drop(search);

    fs::write(&file, [7; 10_000]).unwrap();
    let search = start(&store);
    assert_eq!(found(&search, ann, "hello"), ["hello"]);
    drop(search);

    let other = SearchThread::start(store.path(), StoreId(7)).unwrap();
    assert_eq!(found(&other, ann, "hello"), ["hello"]);
    let store_id: [u8; 16] = Connection::open(&file)
        .unwrap()
        .query_row("SELECT store_id FROM position", [], |row| row.get(0))
        .unwrap();
    assert_eq!(u128::from_be_bytes(store_id), 7);
}

#[test]
fn the_index_follows_without_another_search_once_there_was_one() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    store.register("bob");
    let search = start(&store);
    let file = store.path().join("search.db");
    assert!(found(&search, ann, "hello").is_empty());
    assert!(file.exists());
    store.send(ann, "bob", "hello");
    let applied = store.readers.applied().unwrap();
    let through = || -> Option<u64> {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let index = Connection::open_with_flags(&file, flags).ok()?;
        let sql = "SELECT through_lsn FROM position";
        index.query_row(sql, [], |row| row.get(0)).ok()
    };
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while through() != Some(applied) {
        assert!(std::time::Instant::now() < until, "it does not follow");
        std::thread::yield_now();
    }
}

#[test]
fn nothing_stays_of_direct_messages_that_were_edited_or_deleted() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let bob = store.register("bob");
    for body in ["the zebra said so", "the walrus said so"] {
        store.send(ann, "bob", body);
    }
    let search = start(&store);
    assert_eq!(found(&search, bob, "zebra"), ["the zebra said so"]);
    store.act(edit(ann, "bob", 1, "the giraffe said so"));
    store.act(delete_message(ann, "bob", 2));
    assert_eq!(found(&search, bob, "giraffe"), ["the giraffe said so"]);
    assert!(found(&search, bob, "zebra").is_empty());
    assert_eq!(found(&search, bob, "from:ann"), ["the giraffe said so"]);
    has_no_words(&store);
}

#[test]
fn nothing_stays_of_texts_that_were_edited_or_deleted() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    store.act(create_room(ann, "tea", true));
    for body in ["the zebra said so", "the walrus said so"] {
        store.act(send_to_room(ann, "tea", body));
    }
    let search = start(&store);
    assert_eq!(found(&search, ann, "zebra"), ["the zebra said so"]);
    store.act(edit(ann, "#tea", 2, "the giraffe said so"));
    store.act(delete_message(ann, "#tea", 3));
    assert_eq!(found(&search, ann, "giraffe"), ["the giraffe said so"]);
    assert!(found(&search, ann, "zebra").is_empty());
    assert_eq!(found(&search, ann, "from:ann"), ["the giraffe said so"]);
    has_no_words(&store);
}

/// Asserts that nothing of the words is in the files of the index.
fn has_no_words(store: &TestStore) {
    for file in ["search.db", "search.db-wal"] {
        let bytes = fs::read(store.path().join(file)).unwrap();
        for word in [&b"zebra"[..], b"walrus"] {
            let mut parts = bytes.windows(word.len());
            assert!(!parts.any(|part| part == word), "{word:?} in {file}");
        }
    }
}

#[test]
fn texts_that_are_removed_by_their_age_are_erased_from_the_index_in_bounded_pieces() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    store.register("bob");
    store.act(create_room(ann, "tea", true));
    for n in 0..600 {
        store.send(ann, "bob", &format!("outdated number {n}"));
    }
    store.act(send_to_room(ann, "tea", "outdated in zanzibar"));
    let search = start(&store);
    while !run(&search, ann, "outdated", (u64::MAX, 1))
        .unwrap()
        .is_complete
    {}
    assert_eq!(found(&search, ann, "outdated zanzibar").len(), 1);
    // Words share their beginnings in the file.
    let is_in_files = |store: &TestStore| {
        ["search.db", "search.db-wal"].iter().any(|file| {
            let bytes = fs::read(store.path().join(file)).unwrap();
            bytes.windows(6).any(|at| at == b"nzibar")
        })
    };
    assert!(is_in_files(&store));
    store.now_ms += 7_200_000;
    store.send(ann, "bob", "not outdated");
    store.act(set_retention(3_600_000));
    for _ in 0..5 {
        let command = Command {
            stamp_ms: store.now_ms,
            ..remove_expired(0)
        };
        store.apply(&command);
    }
    // Each call erases and indexes for a second at most.
    while !run(&search, ann, "outdated", (u64::MAX, 1))
        .unwrap()
        .is_complete
    {}
    assert_eq!(found(&search, ann, "outdated"), ["not outdated"]);
    assert!(!is_in_files(&store));
}

#[test]
fn messages_are_found_by_their_reactions_and_pins_as_these_are_now() {
    let mut store = TestStore::new();
    let [ann, bob] = ["ann", "bob"].map(|name| store.register(name));
    store.act(create_room(ann, "tea", true));
    store.act(join(bob, "tea"));
    for body in ["green tea", "black tea", "white tea"] {
        store.act(send_to_room(ann, "tea", body));
        store.act(send(ann, "bob", body));
    }
    let search = start(&store);
    let none: [&str; 0] = [];
    assert_eq!(found(&search, bob, "has:pin tea"), none);
    store.act(pin(ann, "#tea", 3, false));
    store.act(pin(bob, "ann", 2, false));
    store.act(react(bob, "#tea", 3, "+1", false));
    store.act(react(bob, "ann", 3, "+1", false));
    assert_eq!(found(&search, bob, "has:pin"), ["black tea", "green tea"]);
    assert_eq!(found(&search, ann, "has:pin in:#tea"), ["green tea"]);
    assert_eq!(
        found(&search, bob, "HAS:Reaction tea"),
        ["white tea", "green tea"]
    );
    assert_eq!(found(&search, bob, "has:reaction has:pin"), ["green tea"]);
    assert_eq!(found(&search, bob, "has:reaction black"), none);
    store.act(pin(ann, "#tea", 3, true));
    store.act(react(bob, "ann", 3, "+1", true));
    assert_eq!(found(&search, bob, "has:pin"), ["black tea"]);
    assert_eq!(found(&search, bob, "has:reaction"), ["green tea"]);
    // Nobody finds more than may be read.
    let eve = store.register("eve");
    assert_eq!(found(&search, eve, "has:pin"), none);
}
