//! Stores whose files were harmed, while they were closed or after a crash: opened with what was
//! written, or refused and left as they were.

use std::{collections::BTreeMap, sync::LazyLock};

use proptest::{collection::vec, prelude::*, sample::Index};

use super::*;
use crate::{StateSnapshot, open};

const DATABASE: &str = "tercet.db";
const WAL: &str = "tercet.db-wal";
const PAGE_BYTES: usize = 4096;
/// The id with which a store is made in place of a missing one.
const NEW_STORE: StoreId = StoreId(1);

/// The files of a data directory that hold something.
type Files = BTreeMap<&'static str, Vec<u8>>;

fn files_of(dir: &Path) -> Files {
    let read = [DATABASE, WAL].map(|name| (name, fs::read(dir.join(name)).unwrap_or_default()));
    read.into_iter()
        .filter(|(_, bytes)| !bytes.is_empty())
        .collect()
}

fn directory_with(files: &Files) -> TempDir {
    let dir = TempDir::new().unwrap();
    for (name, bytes) in files {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    dir
}

fn open_with(files: &Files) -> (TempDir, Result<Opened, StoreError>) {
    let dir = directory_with(files);
    let mut options = options(dir.path());
    options.new_store = NEW_STORE;
    let opened = open(&options);
    (dir, opened)
}

/// One store, as the same log and state lie in its files after a stop and after a crash.
struct Original {
    closed: Files,
    /// Half of it is in the WAL, which began anew and is longer than it was before.
    crashed: Files,
    entries: Vec<Entry>,
    recovered: Recovered,
}

/// Entries in the last transaction, and in the last two.
const LAST_TRANSACTION: usize = 8;
const LAST_TWO_TRANSACTIONS: usize = 9;

fn original(names: &str) -> Original {
    let mut store = TestStore::new();
    let first = entry(1, EPOCH, Payload::Config(config(&[1, 2])));
    store.last = 1;
    let ops = [persist(vec![first.clone()]), WriteOp::Apply(vec![first])];
    store.writer.execute(&ops).unwrap();
    let account = store.register(names);
    for n in 0..30 {
        store.send(account, names, &format!("message {n}"));
    }
    let connection = &store.writer.connection;
    let moved = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    moved.unwrap();
    for n in 30..75 {
        store.send(account, names, &format!("message {n}"));
    }
    let unapplied: Vec<Command> = (0..LAST_TRANSACTION)
        .map(|n| store.command(create(&format!("{names}{n}"))))
        .collect();
    let unapplied = store.entries(&unapplied);
    store.writer.execute(&[persist(unapplied)]).unwrap();

    let copy = crashed(store.path());
    let crashed = files_of(copy.path());
    let opened = reopen(copy.path()).unwrap();
    let entries = entries_of(&opened);
    drop(opened.readers);
    opened.writer.close().unwrap();
    let mut closed = files_of(copy.path());
    closed.retain(|_, bytes| !bytes.is_empty());
    assert_eq!((closed.len(), crashed.len()), (1, 2));
    Original {
        closed,
        crashed,
        entries,
        recovered: opened.recovered,
    }
}

fn entries_of(opened: &Opened) -> Vec<Entry> {
    let entries = opened.readers.log_entries(1, u64::MAX, usize::MAX);
    entries.expect("the log was checked")
}

static ANN: LazyLock<Original> = LazyLock::new(|| original("ann"));
static BOB: LazyLock<Original> = LazyLock::new(|| original("bob"));

#[derive(Clone, Debug)]
enum Harm {
    Flip(Index, u8),
    Zero(Index),
    Noise(Index, Vec<u8>),
    Grow(Vec<u8>),
    Cut(Index),
    Empty,
    Remove,
    OfAnother,
}

fn harm() -> impl Strategy<Value = Harm> {
    let place = any::<Index>;
    prop_oneof![
        4 => (place(), 0..8_u8).prop_map(|(at, bit)| Harm::Flip(at, bit)),
        2 => place().prop_map(Harm::Zero),
        2 => (place(), vec(any::<u8>(), 1..200)).prop_map(|(at, noise)| Harm::Noise(at, noise)),
        1 => vec(any::<u8>(), 1..9_000).prop_map(Harm::Grow),
        2 => place().prop_map(Harm::Cut),
        1 => Just(Harm::Empty),
        1 => Just(Harm::Remove),
        1 => Just(Harm::OfAnother),
    ]
}

impl Harm {
    fn do_to(&self, files: &mut Files, file: &'static str, other: &Files) {
        let bytes = files.get_mut(file).expect("it is there");
        match self {
            Harm::Flip(at, bit) => {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
            Harm::Zero(at) => {
                let page = at.index(bytes.len() / PAGE_BYTES) * PAGE_BYTES;
                bytes[page..page + PAGE_BYTES].fill(0);
            }
            Harm::Noise(at, noise) => {
                let at = at.index(bytes.len());
                let harmed = bytes[at..].iter_mut().zip(noise);
                harmed.for_each(|(byte, noise)| *byte = *noise);
            }
            Harm::Grow(noise) => bytes.extend(noise),
            Harm::Cut(at) => bytes.truncate(at.index(bytes.len())),
            Harm::Empty => bytes.clear(),
            Harm::Remove => drop(files.remove(file)),
            Harm::OfAnother => bytes.clone_from(&other[file]),
        }
    }

    /// Entries that a store may have lost from its end when this was done to its WAL.
    fn loses_unseen(&self) -> usize {
        match self {
            Harm::Flip(..) | Harm::Grow(_) => LAST_TRANSACTION,
            Harm::Zero(_) | Harm::Noise(..) => LAST_TWO_TRANSACTIONS,
            Harm::Cut(_) | Harm::Empty | Harm::Remove | Harm::OfAnother => usize::MAX,
        }
    }
}

fn config_of_runs() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: default.cases.max(300),
        ..default
    }
}

proptest! {
    #![proptest_config(config_of_runs())]

    #[test]
    fn harmed_store_keeps_its_log_or_is_refused_unchanged(
        after_crash in any::<bool>(),
        in_wal in any::<bool>(),
        harm in harm(),
    ) {
        let of = |original: &'static Original| match after_crash {
            true => &original.crashed,
            false => &original.closed,
        };
        let in_wal = in_wal && after_crash;
        let mut files = of(&ANN).clone();
        harm.do_to(&mut files, if in_wal { WAL } else { DATABASE }, of(&BOB));
        let (dir, opened) = open_with(&files);
        files.retain(|_, bytes| !bytes.is_empty());
        match opened {
            Err(error) => {
                prop_assert!(!error.to_string().is_empty());
                prop_assert_eq!(files_of(dir.path()), files, "{} and yet it was changed", error);
            }
            Ok(opened) => {
                let entries = entries_of(&opened);
                let lost = ANN.entries.len().saturating_sub(entries.len());
                // The name of the store has no seal. With another one it is a stranger to the other
                // replicas, as a replaced disk is, and joins anew.
                let is_stranger = !in_wal && opened.store != STORE;
                let kept = ANN.entries.starts_with(&entries)
                    && (opened.store == STORE || is_stranger);
                let is_anothers = matches!(harm, Harm::OfAnother) && entries == BOB.entries;
                let is_new = files.is_empty() && opened.store == NEW_STORE && entries.is_empty();
                let allowed = if in_wal { harm.loses_unseen() } else { 0 };
                prop_assert!(
                    (kept && lost <= allowed) || is_anothers || is_new,
                    "{} entries, {} lost", entries.len(), lost
                );
                // The state has no chain: rot in it may be an error later, and never a panic.
                let _ = opened.readers.accounts("*", "", 10);
                let _ = opened.readers.inbox(2, 0, 100);
                let _ = StateSnapshot::pin(dir.path()).map(StateSnapshot::hash);
            }
        }
    }
}

#[test]
fn rot_in_the_wal_is_found_wherever_a_transaction_follows() {
    let wal = &ANN.crashed[WAL];
    // Every byte would take long: a step that is coprime to the size of a frame.
    let unseen = (0..wal.len()).step_by(2_003).filter(|&at| {
        let mut files = ANN.crashed.clone();
        files.get_mut(WAL).unwrap()[at] ^= 0x10;
        let (_dir, opened) = open_with(&files);
        match opened {
            Err(error) => {
                assert!(error.to_string().contains(WAL), "byte {at}: {error}");
                false
            }
            Ok(opened) => {
                let lost = ANN.entries.len() - entries_of(&opened).len();
                assert!(lost <= LAST_TRANSACTION, "byte {at}: {lost} entries lost");
                true
            }
        }
    });
    let unseen: Vec<usize> = unseen.collect();
    // The last transaction is a few pages.
    let first = wal.len() - 8 * PAGE_BYTES;
    assert!(
        unseen.iter().all(|&at| at > first),
        "{unseen:?} of {}",
        wal.len()
    );
}

/// The salts of a frame say that it is of this WAL. The frames that end a transaction matter most: the next one begins
/// after them.
#[test]
fn rot_in_the_salts_of_a_frame_is_found() {
    let frame_bytes = 24 + PAGE_BYTES;
    let wal = &ANN.crashed[WAL];
    let salts = &wal[16..24];
    let size = |at: usize| u32::from_be_bytes(wal[at + 4..at + 8].try_into().unwrap());
    let last_frames: Vec<usize> = (32..wal.len())
        .step_by(frame_bytes)
        .take_while(|&at| wal[at + 8..at + 16] == *salts)
        .filter(|&at| size(at) != 0)
        .collect();
    let (_, followed) = last_frames.split_last().unwrap();
    assert!(followed.len() > 8);
    for at in followed {
        for byte in [at + 8, at + 15] {
            let mut files = ANN.crashed.clone();
            files.get_mut(WAL).unwrap()[byte] ^= 0x10;
            let (_dir, opened) = open_with(&files);
            let error = opened.err().expect("rot that is found").to_string();
            assert!(error.contains(WAL), "byte {byte}: {error}");
        }
    }
}

#[test]
fn a_torn_last_transaction_is_a_crash_and_no_rot() {
    let frame = PAGE_BYTES + 24;
    for torn in 1..frame {
        if torn % 499 == 0 {
            let mut files = ANN.crashed.clone();
            let wal = files.get_mut(WAL).unwrap();
            wal.truncate(wal.len() - torn);
            let (_dir, opened) = open_with(&files);
            let entries = entries_of(&opened.unwrap());
            assert_eq!(entries.len(), ANN.entries.len() - LAST_TRANSACTION);
        }
    }
}

#[test]
fn a_wal_without_its_database_is_refused_and_kept() {
    for empty in [true, false] {
        let mut files = ANN.crashed.clone();
        match empty {
            true => files.insert(DATABASE, Vec::new()),
            false => files.remove(DATABASE),
        };
        let (dir, opened) = open_with(&files);
        let error = opened.err().expect("refused").to_string();
        assert!(error.contains("tercet.db is missing or empty"), "{error}");
        assert_eq!(files_of(dir.path())[WAL], files[WAL]);
    }
}

#[test]
fn a_refused_store_keeps_its_wal() {
    let dir = directory_with(&ANN.crashed);
    let mut options = options(dir.path());
    options.replica = ReplicaId(3);
    let error = open(&options).err().expect("refused");
    assert!(
        matches!(error, StoreError::OtherReplica { .. }),
        "{error:?}"
    );
    assert_eq!(files_of(dir.path()), ANN.crashed);
}

#[test]
fn a_page_that_says_it_has_fewer_entries_is_found() {
    const LEAF: u8 = 13;
    let database = &ANN.closed[DATABASE];
    let mut refused = 0;
    for page in (PAGE_BYTES..database.len()).step_by(PAGE_BYTES) {
        // The count of rows is at 3 and 4 of the page; the last one goes.
        if database[page] != LEAF || database[page + 4] == 0 {
            continue;
        }
        let mut files = ANN.closed.clone();
        files.get_mut(DATABASE).unwrap()[page + 4] -= 1;
        let (_dir, opened) = open_with(&files);
        match opened {
            Ok(opened) => assert_eq!(opened.recovered, ANN.recovered, "byte {page}"),
            Err(error) => {
                assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
                refused += 1;
            }
        }
    }
    assert!(refused > 1, "the log has more than one page");
}
