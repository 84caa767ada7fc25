//! Broken stores that are moved out of the way.

use super::*;
use crate::set_aside;

#[test]
fn a_store_set_aside_is_kept_whole_and_a_new_one_can_begin() {
    let mut store = TestStore::new();
    store.register("ann");
    let copy = crashed(store.path());
    let files = ["tercet.db", "tercet.db-wal"];
    let read = |dir: &Path| files.map(|file| fs::read(dir.join(file)).unwrap());
    let before = read(copy.path());
    fs::write(copy.path().join("other"), "stays").unwrap();

    let folder = set_aside(copy.path(), "broken").unwrap();
    assert_eq!(read(&folder), before);
    assert_eq!(folder.parent(), Some(copy.path()));
    let name = folder.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("broken-2"), "{name}");
    assert!(name.ends_with('Z') && !name.contains(':'), "{name}");
    assert!(copy.path().join("other").exists());

    // Twice in a second, too.
    let mut folders = vec![folder];
    for _ in 0..3 {
        let opened = reopen(copy.path()).unwrap();
        assert_eq!(opened.recovered, Recovered::empty());
        drop(opened);
        folders.push(set_aside(copy.path(), "broken").unwrap());
    }
    assert_eq!(read(&folders[0]), before);
    folders.sort();
    folders.dedup();
    assert_eq!(folders.len(), 4);

    // It opens as it was, with its WAL.
    assert_eq!(reopen(&folders[0]).unwrap().recovered.last, Lsn(1));
}

#[test]
fn a_store_in_use_is_not_set_aside() {
    let store = TestStore::new();
    let error = set_aside(store.path(), "broken").err();
    assert!(matches!(error, Some(StoreError::InUse { .. })), "{error:?}");
    assert!(store.path().join("tercet.db").exists());
}

#[test]
fn a_store_set_aside_in_part_is_refused_until_the_rest_is() {
    let mut store = TestStore::new();
    store.register("ann");
    let copy = crashed(store.path());
    fs::rename(copy.path().join("tercet.db"), copy.path().join("gone")).unwrap();
    assert!(matches!(refusal(copy.path()), StoreError::Corrupt(_)));
    set_aside(copy.path(), "broken").unwrap();
    assert_eq!(reopen(copy.path()).unwrap().recovered, Recovered::empty());
}
