//! Snapshots: taken beside a writer, refused when they are not what was taken, and installed whole
//! or not at all.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use proptest::{collection::vec, prelude::*, sample::Index};
use tercet_core::log::Snapshot;

use super::{
    state::{KINDS_OF_VERSION_1, leave_room, life, life_of},
    *,
};
use crate::{StateSnapshot, schema, snapshot};

static NOT_CANCELLED: AtomicBool = AtomicBool::new(false);

fn at_once(cancelled: &AtomicBool) -> snapshot::Pace<'_> {
    snapshot::Pace {
        work: Duration::MAX,
        pause: Duration::ZERO,
        cancelled,
    }
}

fn take(store: &Path, to: &Path) -> Snapshot {
    snapshot::take(store, to, &at_once(&NOT_CANCELLED)).unwrap()
}

fn install(snapshot: &Snapshot, path: &Path) -> WriteOp {
    WriteOp::Install {
        write: WriteId(7),
        snapshot: snapshot.clone(),
        path: path.to_owned(),
    }
}

fn state_of(dir: &Path) -> [u8; 32] {
    StateSnapshot::pin(dir).unwrap().hash().unwrap()
}

/// Applies a Config, in an epoch.
fn change_view(store: &mut TestStore, epoch: Epoch, members: &[u32]) {
    store.last += 1;
    let entries = vec![entry(store.last, epoch, Payload::Config(config(members)))];
    let ops = [persist(entries.clone()), WriteOp::Apply(entries)];
    store.writer.execute(&ops).unwrap();
}

fn applied_to(store: &mut TestStore, commands: &[Command]) -> Vec<Entry> {
    let entries = store.entries(commands);
    let ops = [persist(entries.clone()), WriteOp::Apply(entries.clone())];
    store.writer.execute(&ops).unwrap();
    entries
}

/// A store with some of everything, ending with a Config.
fn lived(seed: u64, count: usize) -> TestStore {
    lived_by(&life(seed, count))
}

fn lived_by(commands: &[Command]) -> TestStore {
    let mut store = TestStore::new();
    applied_to(&mut store, commands);
    change_view(&mut store, EPOCH, &[1, 2, 3]);
    store.requests = 1 << 64;
    store
}

/// A snapshot in a directory of its own.
fn taken(store: &TestStore) -> (TempDir, PathBuf, Snapshot) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("snapshot");
    let snapshot = take(store.path(), &path);
    (dir, path, snapshot)
}

#[test]
fn state_after_a_snapshot_and_the_rest_of_the_log_is_that_of_the_whole_log() {
    let commands = life(6, 900);
    let mut whole = TestStore::new();
    applied_to(&mut whole, &commands[..600]);
    change_view(&mut whole, EPOCH, &[1, 2, 3]);
    let (_dir, path, at) = taken(&whole);
    assert_eq!(at.lsn, Lsn(601));
    assert_eq!(at.epochs.starts(), [(Lsn(1), EPOCH)]);
    assert_eq!(at.config, logged_config(601, &[1, 2, 3]));
    assert_eq!(snapshot::read(&path).unwrap(), at);

    let mut joined = TestStore::new();
    let executed = joined.writer.execute(&[install(&at, &path)]).unwrap();
    joined.last = 601;
    let roster = reopen(crashed(whole.path()).path()).unwrap().roster;
    assert!(roster.is_some());
    assert_eq!(executed.roster, roster);
    assert_eq!(joined.state_hash(), whole.state_hash());
    assert_eq!(joined.readers.applied().unwrap(), 601);
    let without = "SELECT count(*) FROM requests WHERE fingerprint IS NULL";
    let without = raw(joined.path()).query_row(without, [], |row| row.get::<_, u64>(0));
    assert_eq!(without, Ok(0));

    let rest = applied_to(&mut whole, &commands[600..]);
    assert_eq!(applied_to(&mut joined, &commands[600..]), rest);
    assert_eq!(joined.state_hash(), whole.state_hash());
    // The chain goes on as everywhere else.
    assert_eq!(joined.writer.at.end, whole.writer.at.end);
    let read = |from| joined.readers.log_entries(from, 9_999, usize::MAX);
    assert_eq!(read(602).unwrap(), rest);
    assert_eq!(read(601).unwrap(), []);

    let expected = reopen(crashed(whole.path()).path()).unwrap().recovered;
    let found = reopen(crashed(joined.path()).path()).unwrap().recovered;
    let start = Lsn(602);
    assert_eq!(found, Recovered { start, ..expected });
}

#[test]
fn a_snapshot_takes_the_place_of_everything_but_the_identity() {
    let mut source = lived(6, 400);
    let later = Epoch {
        number: 4,
        proposer: ReplicaId(3),
    };
    change_view(&mut source, later, &[3]);
    let (_dir, path, at) = taken(&source);

    let mut other = lived(7, 300);
    let promised = Epoch {
        number: 9,
        proposer: ReplicaId(1),
    };
    let mut lost = write(vec![entry(302, promised, Payload::Config(config(&[1])))]);
    lost.promised = Some(promised);
    let next = vec![entry(403, later, Payload::Config(config(&[2, 3])))];
    let (before, after) = (Lsn(301), at.lsn);
    // In one batch with what comes before and after it.
    let ops = [
        WriteOp::Trim { through: Lsn(100) },
        WriteOp::Persist(lost),
        install(&at, &path),
        WriteOp::Trim { through: after },
        persist(next.clone()),
        WriteOp::Apply(next),
    ];
    assert_eq!(other.writer.at.applied, before);
    let executed = other.writer.execute(&ops).unwrap();
    assert_eq!(executed.trimmed, Some(after.next()));

    let opened = reopen(crashed(other.path()).path()).unwrap();
    assert_eq!(opened.store, STORE);
    let expected = Recovered {
        promised,
        epochs: EpochHistory::from_iter([(Lsn(1), EPOCH), (Lsn(402), later)]),
        start: Lsn(403),
        last: Lsn(403),
        applied: Lsn(403),
        settled: Lsn::ZERO,
        configs: vec![logged_config(403, &[2, 3])],
        tail: Vec::new(),
    };
    assert_eq!(opened.recovered, expected);
    change_view(&mut source, later, &[2, 3]);
    assert_eq!(other.state_hash(), source.state_hash());
}

#[test]
fn a_snapshot_does_not_depend_on_what_was_trimmed() {
    let mut store = lived(8, 200);
    change_view(&mut store, Epoch { number: 2, ..EPOCH }, &[2, 3]);
    let (_dir, path, whole) = taken(&store);
    for through in [1, 150, 201, 202] {
        let through = Lsn(through);
        store.writer.execute(&[WriteOp::Trim { through }]).unwrap();
        let (_dir, trimmed_path, trimmed) = taken(&store);
        assert_eq!(trimmed, whole);
        assert_eq!(fs::read(trimmed_path).unwrap(), fs::read(&path).unwrap());
    }
    // Nor on having been installed.
    let mut other = TestStore::new();
    other.writer.execute(&[install(&whole, &path)]).unwrap();
    let (_dir, again, _) = taken(&other);
    assert_eq!(fs::read(again).unwrap(), fs::read(&path).unwrap());
}

#[test]
fn a_snapshot_holds_nothing_of_the_replica_that_took_it() {
    let mut store = lived(9, 200);
    let secret = Payload::Command(Bytes::from_static(b"not committed, and not to be seen"));
    let mut uncommitted = write(vec![entry(202, EPOCH, secret)]);
    uncommitted.promised = Some(Epoch { number: 9, ..EPOCH });
    store
        .writer
        .execute(&[WriteOp::Persist(uncommitted)])
        .unwrap();
    let (_dir, path, at) = taken(&store);
    assert_eq!(at.lsn, Lsn(201));
    let bytes = fs::read(&path).unwrap();
    let holds = |what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
    assert!(!holds(b"not to be seen"));
    let file = Connection::open(&path).unwrap();
    for table in ["identity", "log"] {
        let sql = format!("SELECT count(*) FROM {table}");
        let count: u64 = file.query_row(&sql, [], |row| row.get(0)).unwrap();
        assert_eq!(count, 0, "{table}");
    }
    let free: u64 = file
        .pragma_query_value(None, "freelist_count", |row| row.get(0))
        .unwrap();
    assert_eq!(free, 0);
}

#[test]
fn what_is_no_snapshot_is_refused() {
    let store = lived(10, 300);
    let (dir, path, at) = taken(&store);
    let refused = |path: &Path| {
        let error = snapshot::read(path).expect_err("refused");
        assert!(matches!(error, StoreError::Snapshot(_)), "{error:?}");
        assert!(error.to_string().contains("fetched again"), "{error}");
    };
    let copy = |name: &str, sql: &str| {
        let to = dir.path().join(name);
        fs::copy(&path, &to).unwrap();
        Connection::open(&to).unwrap().execute_batch(sql).unwrap();
        to
    };
    for (name, bytes) in [
        ("empty", &b""[..]),
        ("noise", &[7; 9_000]),
        ("short", &[7; 3]),
    ] {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        refused(&path);
    }
    let missing = snapshot::read(&dir.path().join("missing"));
    assert!(matches!(missing, Err(StoreError::Io(_))), "{missing:?}");
    // A store is none, and a snapshot is no store.
    let closed = crashed(store.path());
    let folded = "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE";
    raw(closed.path()).execute_batch(folded).unwrap();
    refused(&closed.path().join("tercet.db"));
    let as_store = TempDir::new().unwrap();
    fs::copy(&path, as_store.path().join("tercet.db")).unwrap();
    assert!(
        refusal(as_store.path())
            .to_string()
            .contains("another program")
    );

    refused(&copy(
        "changed",
        "UPDATE users SET username = username || '!'",
    ));
    refused(&copy(
        "less",
        "DELETE FROM requests WHERE lsn = (SELECT min(lsn) FROM requests)",
    ));
    refused(&copy("more", "CREATE TABLE more (n INTEGER)"));
    refused(&copy(
        "trigger",
        "CREATE TRIGGER t AFTER DELETE ON log BEGIN SELECT 1; END",
    ));
    refused(&copy(
        "view",
        "DROP TABLE sessions; CREATE VIEW sessions AS SELECT 1",
    ));
    refused(&copy("without", "DROP TABLE snapshot"));
    refused(&copy("moved", "UPDATE position SET applied_lsn = 5"));
    refused(&copy("older", "PRAGMA user_version = 2"));
    let version = schema::version_known() + 1;
    let newer = snapshot::read(&copy("newer", &format!("PRAGMA user_version = {version}")));
    assert!(matches!(newer, Err(StoreError::Newer { .. })), "{newer:?}");
    assert_eq!(snapshot::read(&copy("same", "SELECT 1")).unwrap(), at);

    // Another than was fetched is not installed, and the store stays as it was.
    let mut other = TestStore::new();
    let wrong = Snapshot { lsn: Lsn(99), ..at };
    let error = other.writer.execute(&[install(&wrong, &path)]).err();
    assert!(matches!(error, Some(StoreError::Snapshot(_))), "{error:?}");
    let recovered = reopen(crashed(other.path()).path()).unwrap().recovered;
    assert_eq!(recovered, Recovered::empty());
}

#[test]
fn a_store_in_which_nothing_was_applied_gives_no_snapshot() {
    let store = TestStore::new();
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("snapshot");
    let error = snapshot::take(store.path(), &path, &at_once(&NOT_CANCELLED)).err();
    assert!(matches!(error, Some(StoreError::Snapshot(_))), "{error:?}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_cancelled_snapshot_leaves_nothing() {
    let store = lived(11, 500);
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("snapshot");
    // What a crash left is no hindrance.
    fs::write(dir.path().join("snapshot.part"), "left").unwrap();
    let cancelled = AtomicBool::new(true);
    let error = snapshot::take(store.path(), &path, &at_once(&cancelled)).err();
    assert!(matches!(error, Some(StoreError::Cancelled)), "{error:?}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    take(store.path(), &path);
    // One that is there is replaced.
    take(store.path(), &path);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn snapshots_beside_a_busy_writer_are_each_of_one_entry() {
    let mut store = lived(12, 300);
    let mut twin = lived(12, 300);
    let dir = TempDir::new().unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let source = store.path().to_owned();
    let folder = dir.path().to_owned();
    let ended = Arc::clone(&done);
    let taker = thread::spawn(move || {
        let mut taken = Vec::new();
        while taken.len() < 3 || !ended.load(Ordering::Relaxed) {
            let path = folder.join(taken.len().to_string());
            // As slow as can be, so that much is written meanwhile.
            let pace = snapshot::Pace {
                work: Duration::ZERO,
                pause: Duration::from_millis(1),
                cancelled: &NOT_CANCELLED,
            };
            let at = snapshot::take(&source, &path, &pace).unwrap();
            taken.push((at, path));
        }
        taken
    });
    let mut hashes = std::collections::BTreeMap::from([(store.last, store.state_hash())]);
    for n in 0..120 {
        let commands: Vec<Command> = life(100 + n, 10);
        applied_to(&mut store, &commands);
        if n % 10 == 0 {
            let through = Lsn(store.last / 2);
            store.writer.execute(&[WriteOp::Trim { through }]).unwrap();
        }
        // A Checkpoint in a batch is committed before what follows it.
        for command in commands {
            applied_to(&mut twin, &[command]);
            hashes.insert(twin.last, twin.state_hash());
        }
    }
    done.store(true, Ordering::Relaxed);
    for (at, path) in taker.join().unwrap() {
        let mut joined = TestStore::new();
        joined.writer.execute(&[install(&at, &path)]).unwrap();
        assert_eq!(joined.state_hash(), hashes[&at.lsn.0], "at {}", at.lsn);
    }
}

#[test]
fn a_crash_in_the_middle_of_an_installation_leaves_the_old_state_or_the_new() {
    let source = lived(13, 600);
    let (_dir, path, at) = taken(&source);
    let mut store = lived(14, 300);
    let old = store.state_hash();
    let old_recovered = reopen(crashed(store.path()).path()).unwrap().recovered;

    let copies = Arc::new(Mutex::new(Vec::new()));
    let connection = &mut store.writer.connection;
    // Nothing stays in memory for long: much is in the WAL before it is committed.
    connection.pragma_update(None, "cache_size", 5).unwrap();
    connection.pragma_update(None, "cache_spill", true).unwrap();
    let (dir, to, mut rows) = (store.dir.path().to_owned(), Arc::clone(&copies), 0);
    let while_it_copies = move |_: rusqlite::hooks::Action, _: &str, _: &str, _: i64| {
        rows += 1;
        if rows % 97 == 1 {
            to.lock().unwrap().push(crashed(&dir));
        }
    };
    connection.update_hook(Some(while_it_copies)).unwrap();
    let (dir, to) = (store.dir.path().to_owned(), Arc::clone(&copies));
    let before_the_commit = move || {
        to.lock().unwrap().push(crashed(&dir));
        false
    };
    connection.commit_hook(Some(before_the_commit)).unwrap();
    let wal = |dir: &Path| fs::metadata(dir.join("tercet.db-wal")).unwrap().len();
    let wal_before = wal(store.path());
    store.writer.execute(&[install(&at, &path)]).unwrap();

    let copies = copies.lock().unwrap();
    assert!(copies.len() > 5, "{}", copies.len());
    let last = copies.last().unwrap();
    assert!(
        wal(last.path()) > wal_before + 40_000,
        "{}",
        wal(last.path())
    );
    for copy in copies.iter() {
        assert_eq!(reopen(copy.path()).unwrap().recovered, old_recovered);
        assert_eq!(state_of(copy.path()), old);
    }
    // As it is reported it is durable.
    let copy = crashed(store.path());
    let recovered = reopen(copy.path()).unwrap().recovered;
    assert_eq!(
        (recovered.applied, recovered.start),
        (at.lsn, at.lsn.next())
    );
    assert_eq!(state_of(copy.path()), source.state_hash());
}

#[test]
fn readers_see_the_old_state_or_the_new() {
    let source = lived(15, 600);
    let (_dir, path, at) = taken(&source);
    let mut store = lived(16, 300);
    let new = source.state_hash();
    let old = store.state_hash();
    let done = Arc::new(AtomicBool::new(false));
    let (dir, ended) = (store.path().to_owned(), Arc::clone(&done));
    let reader = thread::spawn(move || {
        let mut seen = Vec::new();
        while !ended.load(Ordering::Relaxed) {
            seen.push(state_of(&dir));
        }
        seen
    });
    store.writer.execute(&[install(&at, &path)]).unwrap();
    assert_eq!(state_of(store.path()), new);
    done.store(true, Ordering::Relaxed);
    let seen = reader.join().unwrap();
    assert!(seen.iter().all(|hash| *hash == old || *hash == new));
}

#[test]
fn a_snapshot_for_which_there_is_no_room_is_installed_when_there_is() {
    let source = lived(17, 600);
    let (_dir, path, at) = taken(&source);
    let mut store = TestStore::new();
    leave_room(&store, 4);
    let ops = [install(&at, &path)];
    for _ in 0..2 {
        let error = store.writer.execute(&ops).err();
        assert!(matches!(error, Some(StoreError::Full)), "{error:?}");
        assert_eq!(store.readers.applied().unwrap(), 0);
    }
    leave_room(&store, 10_000);
    store.writer.execute(&ops).unwrap();
    assert_eq!(store.state_hash(), source.state_hash());
}

#[derive(Clone, Debug)]
enum Harm {
    Flip(Index, u8),
    Zero(Index),
    Noise(Index, Vec<u8>),
    Grow(Vec<u8>),
    Cut(Index),
}

fn harm() -> impl Strategy<Value = Harm> {
    let place = any::<Index>;
    prop_oneof![
        8 => (place(), 0..8_u8).prop_map(|(at, bit)| Harm::Flip(at, bit)),
        2 => place().prop_map(Harm::Zero),
        3 => (place(), vec(any::<u8>(), 1..200)).prop_map(|(at, noise)| Harm::Noise(at, noise)),
        1 => vec(any::<u8>(), 1..9_000).prop_map(Harm::Grow),
        2 => place().prop_map(Harm::Cut),
    ]
}

fn do_harm(harm: &Harm, bytes: &mut Vec<u8>) {
    match harm {
        Harm::Flip(at, bit) => {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        Harm::Zero(at) => {
            let page = at.index(bytes.len() / 4096) * 4096;
            bytes[page..page + 4096].fill(0);
        }
        Harm::Noise(at, noise) => {
            let at = at.index(bytes.len());
            let harmed = bytes[at..].iter_mut().zip(noise);
            harmed.for_each(|(byte, noise)| *byte = *noise);
        }
        Harm::Grow(noise) => bytes.extend(noise),
        Harm::Cut(at) => bytes.truncate(at.index(bytes.len())),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.max(400),
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_harmed_snapshot_is_refused_or_installs_the_same(harm in harm()) {
        static GOOD: std::sync::LazyLock<(Vec<u8>, Snapshot, [u8; 32])> =
            std::sync::LazyLock::new(|| {
                let store = lived(18, 120);
                let (_dir, path, at) = taken(&store);
                (fs::read(path).unwrap(), at, store.state_hash())
            });
        let (bytes, at, state) = &*GOOD;
        let mut bytes = bytes.clone();
        do_harm(&harm, &mut bytes);
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("snapshot");
        fs::write(&path, bytes).unwrap();
        match snapshot::read(&path) {
            Err(StoreError::Snapshot(_) | StoreError::Newer { .. }) => {
                prop_assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
            }
            Err(error) => prop_assert!(false, "{:?}", error),
            Ok(found) => {
                prop_assert_eq!(&found, at);
                let mut store = TestStore::new();
                store.writer.execute(&[install(&found, &path)]).unwrap();
                prop_assert_eq!(store.state_hash(), *state);
            }
        }
    }
}

#[test]
fn a_snapshot_of_schema_3_is_installed() {
    let mut commands = life_of(KINDS_OF_VERSION_1, 14, 300);
    // As builds with that schema made them.
    commands.retain(|command| {
        !matches!(
            command.action,
            Some(Action::ChangePassword(_) | Action::EndOtherSessions(_) | Action::CleanUp(_))
        )
    });
    for command in &mut commands {
        command.version = 0;
    }
    let store = lived_by(&commands);
    let (_dir, path, at) = taken(&store);
    let older = Connection::open(&path).unwrap();
    older.execute_batch(AS_IN_SCHEMA_3).unwrap();
    let seal = snapshot::content(&older, &mut snapshot::Pacer::new(None)).unwrap();
    older
        .execute("UPDATE snapshot SET hash = ?1", [seal])
        .unwrap();
    drop(older);
    let bytes = fs::read(&path).unwrap();
    assert_eq!(snapshot::read(&path).unwrap(), at);
    let mut other = TestStore::new();
    other.writer.execute(&[install(&at, &path)]).unwrap();
    assert_eq!(other.state_hash(), store.state_hash());
    assert_eq!(fs::read(&path).unwrap(), bytes);
}
