//! Which stores are opened, and what is said of the others.

use std::{os::unix::fs::PermissionsExt as _, process};

use super::*;
use crate::{open, schema};

#[test]
fn a_store_keeps_its_identity() {
    let dir = TempDir::new().unwrap();
    // Directories on the way are made.
    let path = dir.path().join("a").join("b");
    let opened = reopen(&path).unwrap();
    assert_eq!(opened.store, STORE);
    drop(opened);
    let mut options = options(&path);
    options.new_store = StoreId(1);
    assert_eq!(open(&options).unwrap().store, STORE);
}

/// Changes of the row that says whose store it is, as rot makes them, each of one bit or of a whole field.
const ROT_OF_THE_IDENTITY: [&str; 11] = [
    "UPDATE identity SET replica_id = replica_id | 1",
    "UPDATE identity SET store_id = x'0000000000000000000000000000abcc'",
    "UPDATE identity SET store_id = zeroblob(16)",
    "UPDATE identity SET promised_number = promised_number - 1",
    "UPDATE identity SET promised_number = promised_number | 1 << 40",
    "UPDATE identity SET promised_number = 0, promised_proposer = 0",
    "UPDATE identity SET promised_proposer = promised_proposer + 1",
    "UPDATE identity SET seal = zeroblob(32)",
    "UPDATE identity SET seal = substr(seal, 1, 31)",
    "UPDATE identity SET seal = NULL",
    "DELETE FROM identity",
];

#[test]
fn rot_in_the_identity_is_found_and_the_store_left_as_it_was() {
    let mut store = TestStore::new();
    let mut promise = write(Vec::new());
    for number in [6, 8] {
        promise.promised = Some(Epoch {
            number,
            proposer: ReplicaId(2),
        });
        let op = WriteOp::Persist(promise.clone());
        store.writer.execute(&[op]).unwrap();
    }
    let copy = crashed(store.path());
    let recovered = reopen(copy.path()).unwrap().recovered;
    assert_eq!(Some(recovered.promised), promise.promised);
    for rot in ROT_OF_THE_IDENTITY {
        let copy = crashed(store.path());
        assert_eq!(raw(copy.path()).execute(rot, []).unwrap(), 1, "{rot}");
        let before = fs::read(copy.path().join("tercet.db")).unwrap();
        let error = refusal(copy.path());
        assert!(matches!(error, StoreError::Corrupt(_)), "{rot}: {error:?}");
        assert!(
            error
                .to_string()
                .contains("start this replica on an empty one")
        );
        assert_eq!(fs::read(copy.path().join("tercet.db")).unwrap(), before);
    }
}

#[test]
fn rot_in_the_identity_of_an_open_store_is_not_sealed_by_the_next_promise() {
    let mut store = TestStore::new();
    let rot = "UPDATE identity SET store_id = zeroblob(16)";
    store.writer.connection.execute(rot, []).unwrap();
    let mut promise = write(Vec::new());
    promise.promised = Some(EPOCH);
    let refused = store.writer.execute(&[WriteOp::Persist(promise)]);
    assert!(matches!(refused, Err(StoreError::Corrupt(_))));
    let copy = crashed(store.path());
    assert!(matches!(refusal(copy.path()), StoreError::Corrupt(_)));
}

#[test]
fn a_store_of_an_earlier_version_is_sealed_when_it_is_opened() {
    let mut store = TestStore::new();
    store.version = 0;
    store.register("ann");
    let copy = crashed(store.path());
    raw(copy.path()).execute_batch(AS_IN_SCHEMA_3).unwrap();
    let opened = reopen(copy.path()).unwrap();
    assert_eq!(opened.store, STORE);
    let again = crashed(copy.path());
    drop(opened);
    let rot = "UPDATE identity SET promised_number = 7";
    assert_eq!(raw(again.path()).execute(rot, []).unwrap(), 1);
    assert!(matches!(refusal(again.path()), StoreError::Corrupt(_)));
}

#[test]
fn only_its_owner_may_read_a_store() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("data");
    let opened = reopen(&path).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    for file in ["tercet.db", "tercet.db-wal", "tercet.db-shm"] {
        assert_eq!(mode(&path.join(file)), 0o600, "{file}");
    }
    drop(opened);
}

#[test]
fn commits_are_fsynced_in_wal_mode() {
    let store = TestStore::new();
    let read = |pragma: &str| -> String {
        let sql = format!("SELECT CAST({pragma} AS TEXT) FROM pragma_{pragma}");
        store
            .writer
            .connection
            .query_row(&sql, [], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(read("synchronous"), "2");
    assert_eq!(read("journal_mode"), "wal");
}

#[test]
fn the_store_of_another_replica_is_refused() {
    let dir = TempDir::new().unwrap();
    drop(reopen(dir.path()).unwrap());
    let mut options = options(dir.path());
    options.replica = ReplicaId(3);
    let error = open(&options).err().unwrap();
    let StoreError::OtherReplica { found, expected } = error else {
        panic!("{error:?}");
    };
    assert_eq!((found, expected), (REPLICA, ReplicaId(3)));
}

#[test]
fn a_store_of_a_newer_version_is_refused_and_left_alone() {
    let dir = TempDir::new().unwrap();
    drop(reopen(dir.path()).unwrap());
    let newer = raw(dir.path());
    let version = schema::version_known();
    newer
        .pragma_update(None, "user_version", version + 1)
        .unwrap();
    // Nothing that this version knows is still there.
    newer.execute("DROP TABLE identity", []).unwrap();
    drop(newer);
    let before = fs::read(dir.path().join("tercet.db")).unwrap();
    let error = refusal(dir.path());
    let StoreError::Newer { found, known } = error else {
        panic!("{error:?}");
    };
    assert_eq!((found, known), (version + 1, version));
    assert_eq!(fs::read(dir.path().join("tercet.db")).unwrap(), before);
}

#[test]
fn a_database_of_another_program_is_refused_and_left_alone() {
    let dir = TempDir::new().unwrap();
    raw(dir.path())
        .execute("CREATE TABLE recipes (name TEXT)", [])
        .unwrap();
    let before = fs::read(dir.path().join("tercet.db")).unwrap();
    let error = refusal(dir.path());
    assert!(error.to_string().contains("another program"), "{error}");
    assert_eq!(fs::read(dir.path().join("tercet.db")).unwrap(), before);
}

#[test]
fn a_directory_in_use_is_refused_with_its_user() {
    let dir = TempDir::new().unwrap();
    let opened = reopen(dir.path()).unwrap();
    let error = refusal(dir.path());
    let StoreError::InUse { dir: found, pid } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(found, dir.path());
    assert_eq!(*pid, Some(process::id()));
    assert!(error.to_string().contains(&process::id().to_string()));
    // The writer holds it, not the readers; and its end frees it.
    let Opened {
        writer, readers, ..
    } = opened;
    drop(writer);
    drop(reopen(dir.path()).unwrap());
    drop(readers);
}

#[test]
fn a_directory_that_may_not_be_written_is_said_to_be_so() {
    let dir = TempDir::new().unwrap();
    drop(reopen(dir.path()).unwrap());
    let allow = |mode| fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
    allow(0o555);
    fs::remove_file(dir.path().join("lock")).unwrap_or_default();
    // The superuser may write anyway: then there is nothing to see here.
    if fs::write(dir.path().join("probe"), "").is_err() {
        fs::set_permissions(dir.path().join("lock"), fs::Permissions::from_mode(0o444)).unwrap();
        let error = refusal(dir.path());
        assert!(matches!(error, StoreError::ReadOnly(_)), "{error:?}");
    }
    allow(0o755);
}

#[test]
fn a_database_that_may_not_be_written_is_said_to_be_so() {
    let mut store = TestStore::new();
    let connection = &store.writer.connection;
    connection.pragma_update(None, "query_only", true).unwrap();
    let entries = entries(1, &[checkpoint()]);
    let error = store.writer.execute(&[persist(entries)]).err().unwrap();
    assert!(matches!(error, StoreError::ReadOnly(_)), "{error:?}");
    // It is not known to pass by itself: nothing more is taken.
    let error = store.writer.execute(&[]).err();
    assert!(matches!(error, Some(StoreError::Stopped)), "{error:?}");
}

#[test]
fn a_path_that_cannot_be_a_directory_is_an_error() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = refusal(&path);
        assert!(
            matches!(&error, StoreError::NotADirectory(it) if *it == file),
            "{error:?}"
        );
        assert!(error.to_string().contains("is not a directory"), "{error}");
    }
    // A file system that nobody may add to.
    let error = refusal(Path::new("/sys/tercet"));
    assert!(
        matches!(error, StoreError::ReadOnly(_) | StoreError::Io(_)),
        "{error:?}"
    );
}

#[test]
fn writer_readers_and_snapshots_may_move_between_threads() {
    fn check<T: Send>() {}
    check::<Writer>();
    check::<Opened>();
    check::<WriteOp>();
    check::<crate::Executed>();
    fn check_shared<T: Send + Sync + Clone>() {}
    check_shared::<Readers>();
}

#[test]
fn a_store_of_schema_3_is_migrated_with_everything_in_it() {
    let mut store = TestStore::new();
    store.version = 0;
    let ann = store.register("ann");
    let bob = store.register("bob");
    store.send(ann, "bob", "one");
    store.send(bob, "ann", "two");
    let hash = store.state_hash();
    let copy = crashed(store.path());
    raw(copy.path()).execute_batch(AS_IN_SCHEMA_3).unwrap();
    let opened = reopen(copy.path()).unwrap();
    let migrated = crate::StateSnapshot::pin(copy.path()).unwrap();
    assert_eq!(migrated.hash().unwrap(), hash);
    for account in [ann, bob] {
        let inbox = opened.readers.inbox(account, 0, 9).unwrap();
        let found = inbox.iter().map(|row| (row.seq, row.body.as_str()));
        assert!(found.eq([(1, "one"), (2, "two")]));
    }
}

/// The store as it is without its WAL.
fn without_wal(dir: &Path) -> TempDir {
    let copy = crashed(dir);
    fs::remove_file(copy.path().join("tercet.db-wal")).unwrap();
    copy
}

#[test]
fn a_store_in_use_is_refused_without_its_wal_and_one_that_was_closed_is_not() {
    let mut store = TestStore::new();
    for number in 0..20 {
        store.register(&format!("user{number}"));
    }
    let last = store.last;
    let missing = without_wal(store.path());
    for refusal in [refusal(missing.path()), refusal(missing.path())] {
        let StoreError::Corrupt(why) = refusal else {
            panic!("{refusal:?}");
        };
        assert!(why.contains("--accept-missing-wal"), "{why}");
    }
    let emptied = crashed(store.path());
    fs::write(emptied.path().join("tercet.db-wal"), b"").unwrap();
    assert!(matches!(refusal(emptied.path()), StoreError::Corrupt(_)));
    let accepted = OpenOptions {
        accept_missing_wal: true,
        ..options(missing.path())
    };
    assert!(open(&accepted).unwrap().recovered.last.0 < last);

    // A crash before anything is written leaves no WAL, and needs none; nor does a clean end.
    let copy = crashed(store.path());
    assert_eq!(reopen(copy.path()).unwrap().recovered.last.0, last);
    let unused = without_wal(copy.path());
    assert_eq!(reopen(unused.path()).unwrap().recovered.last.0, last);
    let copy = crashed(copy.path());
    let opened = reopen(copy.path()).unwrap();
    opened.writer.close().unwrap();
    let copy = without_wal(copy.path());
    assert_eq!(reopen(copy.path()).unwrap().recovered.last.0, last);
}

#[test]
fn a_reader_from_outside_delays_the_mark_of_a_store_in_use_and_nothing_else() {
    let mut store = TestStore::new();
    store.register("ann");
    let copy = crashed(store.path());
    let mut opened = reopen(copy.path()).unwrap();
    let outside = raw(copy.path());
    outside.execute_batch("BEGIN; SELECT * FROM users").unwrap();
    let settle = || [WriteOp::Settle(Lsn(1))];
    opened.writer.execute(&settle()).unwrap();
    outside.execute_batch("COMMIT").unwrap();
    opened.writer.execute(&settle()).unwrap();
    assert!(matches!(
        refusal(without_wal(copy.path()).path()),
        StoreError::Corrupt(_)
    ));
}
