//! Stores that are another file than they were.

use super::*;
use crate::{place, set_aside};

#[test]
fn a_copied_store_is_told_from_one_that_stayed() {
    let store = TestStore::new();
    let dir = store.path();
    // One of an earlier version has no note.
    assert!(!place::is_copied(dir, STORE, false).unwrap());
    assert!(
        place::is_copied(dir, STORE, true).unwrap(),
        "it was left behind"
    );
    place::note(dir, STORE).unwrap();
    assert!(!place::is_copied(dir, STORE, false).unwrap());

    let copy = crashed(dir);
    fs::copy(dir.join("place"), copy.path().join("place")).unwrap();
    assert!(place::is_copied(copy.path(), STORE, false).unwrap());
    assert!(place::is_copied(copy.path(), STORE, false).unwrap());
    place::note(copy.path(), STORE).unwrap();
    assert!(!place::is_copied(copy.path(), STORE, false).unwrap());
    assert!(!place::is_copied(dir, STORE, false).unwrap());
}

#[test]
fn an_older_copy_that_was_put_back_is_told() {
    let mut store = TestStore::new();
    place::note(store.path(), STORE).unwrap();
    let older = crashed(store.path());
    store.register("ann");
    let dir = crashed(store.path());
    place::note(dir.path(), STORE).unwrap();
    // The place of the file may be used again: its birth time is another.
    fs::remove_file(dir.path().join("tercet.db")).unwrap();
    fs::copy(older.path().join("tercet.db"), dir.path().join("tercet.db")).unwrap();
    assert!(place::is_copied(dir.path(), STORE, false).unwrap());
}

#[test]
fn a_copy_that_was_written_into_the_files_that_are_there_is_told() {
    let mut store = TestStore::new();
    place::note(store.path(), STORE).unwrap();
    let older = crashed(store.path());
    fs::copy(store.path().join("place"), older.path().join("place")).unwrap();
    store.register("ann");
    let dir = crashed(store.path());
    place::note(dir.path(), STORE).unwrap();
    // The next start.
    place::note(dir.path(), STORE).unwrap();
    for file in ["tercet.db", "tercet.db-wal", "place"] {
        let older = fs::read(older.path().join(file)).unwrap();
        fs::write(dir.path().join(file), older).unwrap();
    }
    assert!(place::is_copied(dir.path(), STORE, true).unwrap());
}

#[test]
fn a_store_is_expected_to_have_a_note_once_a_build_that_makes_notes_ran_on_it() {
    let store = TestStore::new();
    assert!(!store.expects_note, "a new one");
    let copy = crashed(store.path());
    assert!(reopen(copy.path()).unwrap().expects_note);
    let old = crashed(store.path());
    raw(old.path()).execute_batch(AS_IN_SCHEMA_3).unwrap();
    assert!(!reopen(old.path()).unwrap().expects_note);
}

#[test]
fn a_new_store_is_no_copy_of_the_one_set_aside() {
    let copy = crashed(TestStore::new().path());
    place::note(copy.path(), STORE).unwrap();
    set_aside(copy.path(), "broken").unwrap();
    let mut options = options(copy.path());
    options.new_store = StoreId(1);
    let opened = crate::open(&options).unwrap();
    assert!(!place::is_copied(copy.path(), opened.store, opened.expects_note).unwrap());
}

#[test]
fn a_note_that_is_not_one_counts_as_none() {
    let store = TestStore::new();
    let note = store.path().join("place");
    for bytes in [&b""[..], &[0xff; 4], &[b' '; 100_000]] {
        fs::write(&note, bytes).unwrap();
        assert!(!place::is_copied(store.path(), STORE, false).unwrap());
        place::note(store.path(), STORE).unwrap();
        assert!(fs::read(&note).unwrap().starts_with(b"store "));
    }
}
