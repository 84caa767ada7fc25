//! Stores that are another file than they were.

use super::*;
use crate::store::{place, set_aside};

#[test]
fn a_copied_store_is_told_from_one_that_stayed() {
    let store = TestStore::new();
    let dir = store.path();
    // One of an earlier version has no note.
    assert!(!place::is_copied(dir, STORE).unwrap());
    place::note(dir, STORE).unwrap();
    assert!(!place::is_copied(dir, STORE).unwrap());

    let copy = crashed(dir);
    fs::copy(dir.join("place"), copy.path().join("place")).unwrap();
    assert!(place::is_copied(copy.path(), STORE).unwrap());
    assert!(place::is_copied(copy.path(), STORE).unwrap());
    place::note(copy.path(), STORE).unwrap();
    assert!(!place::is_copied(copy.path(), STORE).unwrap());
    assert!(!place::is_copied(dir, STORE).unwrap());
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
    assert!(place::is_copied(dir.path(), STORE).unwrap());
}

#[test]
fn a_new_store_is_no_copy_of_the_one_set_aside() {
    let copy = crashed(TestStore::new().path());
    place::note(copy.path(), STORE).unwrap();
    set_aside(copy.path(), "broken").unwrap();
    let mut options = options(copy.path());
    options.new_store = StoreId(1);
    let opened = crate::store::open(&options).unwrap();
    assert!(!place::is_copied(copy.path(), opened.store).unwrap());
}

#[test]
fn a_note_that_is_not_one_counts_as_none() {
    let store = TestStore::new();
    let note = store.path().join("place");
    for bytes in [&b""[..], &[0xff; 4], &[b' '; 100_000]] {
        fs::write(&note, bytes).unwrap();
        assert!(!place::is_copied(store.path(), STORE).unwrap());
        place::note(store.path(), STORE).unwrap();
        assert!(fs::read(&note).unwrap().starts_with(b"store "));
    }
}
