//! Logs whose beginning was let go: what is left is checked as before, and goes on.

use super::*;
use crate::trim::TRIM_ENTRIES_MAX;

fn epoch(number: u64) -> Epoch {
    Epoch {
        number: number << 24,
        proposer: ReplicaId(1),
    }
}

/// Three epochs and three Configs, all applied; commands between.
pub(super) fn several_epochs(store: &mut TestStore) -> Vec<Entry> {
    let mut entries = Vec::new();
    for number in [1, 3, 4] {
        store.last += 1;
        let members = config(&[1, 2, number as u32 + 2]);
        entries.push(entry(store.last, epoch(number), Payload::Config(members)));
        for n in 0..3 {
            store.last += 1;
            let command = store.command(create(&format!("user{number}{n}")));
            let payload = Payload::Command(command.encode_to_vec().into());
            entries.push(entry(store.last, epoch(number), payload));
        }
    }
    let ops = [persist(entries.clone()), WriteOp::Apply(entries.clone())];
    store.writer.execute(&ops).unwrap();
    entries
}

fn trim(store: &mut TestStore, through: u64) -> Lsn {
    let through = Lsn(through);
    let executed = store.writer.execute(&[WriteOp::Trim { through }]).unwrap();
    executed.trimmed.expect("a Trim was asked")
}

#[test]
fn a_trimmed_store_recovers_and_goes_on() {
    for through in 0..=12 {
        let mut store = TestStore::new();
        let entries = several_epochs(&mut store);
        let copy = crashed(store.path());
        let whole = reopen(copy.path()).unwrap().recovered;
        assert_eq!(trim(&mut store, through), Lsn(through + 1));
        // Again, and less: nothing more is to be done.
        assert_eq!(trim(&mut store, through), Lsn(through + 1));
        assert_eq!(trim(&mut store, 0), Lsn(through + 1));

        let expected = Recovered {
            start: Lsn(through + 1),
            ..whole
        };
        let copy = crashed(store.path());
        let mut opened = reopen(copy.path()).unwrap();
        assert_eq!(opened.recovered, expected, "through {through}");
        assert_eq!(opened.readers.log_tail().unwrap(), (Lsn(12), epoch(4)));
        let read = |from| opened.readers.log_entries(from, 99, usize::MAX).unwrap();
        assert_eq!(read(through + 1), entries[through as usize..]);
        assert_eq!(read(12), entries[11.max(through as usize)..]);
        if through > 0 {
            assert_eq!(read(through), []);
            assert_eq!(read(1), []);
        }

        // Cut back to the base, and on from there, by a leader of a later epoch.
        let lost = entry(13, epoch(4), Payload::Command(Bytes::from_static(b"lost")));
        opened.writer.execute(&[persist(vec![lost])]).unwrap();
        let tail = entry(13, epoch(6), Payload::Config(config(&[2, 3])));
        let mut replace = write(vec![tail.clone()]);
        replace.truncate_from = Some(Lsn(13));
        let ops = [
            WriteOp::Persist(replace),
            WriteOp::Apply(vec![tail.clone()]),
        ];
        opened.writer.execute(&ops).unwrap();
        let copy = crashed(copy.path());
        let again = reopen(copy.path()).unwrap().recovered;
        let mut epochs = expected.epochs;
        epochs.append(Lsn(13), epoch(6));
        assert_eq!(again.epochs, epochs);
        assert_eq!(again.configs, [logged_config(13, &[2, 3])]);
        assert_eq!(again.start, Lsn(through + 1));
    }
}

#[test]
fn a_log_that_is_trimmed_step_by_step_knows_all_of_its_epochs() {
    let mut store = TestStore::new();
    several_epochs(&mut store);
    let copy = crashed(store.path());
    let whole = reopen(copy.path()).unwrap().recovered;
    for through in 1..=12 {
        assert_eq!(trim(&mut store, through), Lsn(through + 1));
        let copy = crashed(store.path());
        let recovered = reopen(copy.path()).unwrap().recovered;
        assert_eq!(recovered.epochs, whole.epochs);
        assert_eq!(recovered.configs, whole.configs);
    }
}

#[test]
fn rot_in_what_a_trim_left_is_found_at_the_start() {
    let harm = [
        "UPDATE log_base SET lsn = 5",
        "UPDATE log_base SET lsn = 7",
        "UPDATE log_base SET lsn = 0",
        "UPDATE log_base SET lsn = -1",
        "UPDATE log_base SET hash = zeroblob(32)",
        "UPDATE log_base SET config_lsn = 4",
        "UPDATE log_base SET config_lsn = 0",
        "UPDATE log_base SET config = zeroblob(length(config))",
        "UPDATE log_base SET config = x''",
        "UPDATE log_base SET seal = zeroblob(32)",
        "DELETE FROM log_base",
        "UPDATE base_epochs SET epoch_number = 2 WHERE first_lsn = 5",
        "UPDATE base_epochs SET epoch_proposer = 2 WHERE first_lsn = 1",
        "UPDATE base_epochs SET first_lsn = 4 WHERE first_lsn = 5",
        "DELETE FROM base_epochs WHERE first_lsn = 5",
        "DELETE FROM base_epochs",
        "INSERT INTO base_epochs VALUES (6, 4, 1)",
        "UPDATE log SET payload = zeroblob(length(payload)) WHERE lsn = 7",
        "UPDATE log SET hash = zeroblob(32) WHERE lsn = 12",
        "DELETE FROM log WHERE lsn = 7",
        "DELETE FROM log WHERE lsn = 12",
        "DELETE FROM log",
        "UPDATE position SET applied_lsn = 5",
        "UPDATE position SET applied_lsn = 13",
    ];
    let mut store = TestStore::new();
    several_epochs(&mut store);
    trim(&mut store, 6);
    for sql in harm {
        let copy = crashed(store.path());
        assert!(raw(copy.path()).execute(sql, []).unwrap() > 0, "{sql}");
        let error = refusal(copy.path());
        assert!(matches!(error, StoreError::Corrupt(_)), "{sql}: {error:?}");
    }
    // An entry that should be gone is as wrong as one that is missing.
    let copy = crashed(store.path());
    let back = "INSERT INTO log SELECT 6, epoch_number, epoch_proposer, kind, payload, hash
                FROM log WHERE lsn = 7";
    raw(copy.path()).execute(back, []).unwrap();
    let error = refusal(copy.path());
    assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
}

#[test]
fn what_has_rotted_is_not_let_go() {
    for harm in [
        "UPDATE log SET epoch_number = 2 WHERE lsn = 5",
        "UPDATE log SET payload = zeroblob(length(payload)) WHERE lsn = 2",
        "DELETE FROM log WHERE lsn = 3",
    ] {
        let mut store = TestStore::new();
        several_epochs(&mut store);
        raw(store.path()).execute(harm, []).unwrap();
        let through = Lsn(7);
        let error = store.writer.execute(&[WriteOp::Trim { through }]).err();
        assert!(matches!(error, Some(StoreError::Corrupt(_))), "{error:?}");
    }
}

#[test]
fn what_is_not_applied_is_not_let_go() {
    let mut store = TestStore::new();
    let mut entries = several_epochs(&mut store);
    let next = entry(13, epoch(4), Payload::Config(config(&[1])));
    entries.push(next.clone());
    let through = Lsn(13);
    let ops = [persist(vec![next.clone()]), WriteOp::Trim { through }];
    let error = store.writer.execute(&ops).err().expect("refused");
    let StoreError::TrimNotApplied { applied, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(applied, Lsn(12));
    // Nothing of that call was done, and the store goes on.
    assert_eq!(store.readers.log_size().last, Lsn(12));
    let ops = [
        persist(vec![next.clone()]),
        WriteOp::Apply(vec![next]),
        WriteOp::Trim { through },
    ];
    let executed = store.writer.execute(&ops).unwrap();
    assert_eq!(executed.trimmed, Some(Lsn(14)));
}

#[test]
fn a_long_log_is_let_go_piece_by_piece() {
    let mut store = TestStore::new();
    let count = TRIM_ENTRIES_MAX + 500;
    let commands: Vec<Command> = (0..count).map(|_| store.command(delete(1))).collect();
    store.apply_all(&commands);
    assert_eq!(trim(&mut store, count), Lsn(TRIM_ENTRIES_MAX + 1));
    assert_eq!(trim(&mut store, count), Lsn(count + 1));
    let size = store.readers.log_size();
    assert_eq!((size.start, size.bytes), (Lsn(count + 1), 0));
}

#[test]
fn the_size_of_the_log_is_known_through_every_change() {
    let mut store = TestStore::new();
    several_epochs(&mut store);
    let check = |store: &TestStore| {
        let sql = "SELECT coalesce(min(lsn), 0), coalesce(sum(length(payload)), 0) FROM log";
        let connection = &store.writer.connection;
        let (start, bytes): (u64, u64) = connection
            .query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        let size = store.readers.log_size();
        assert_eq!(size.bytes, bytes);
        if start > 0 {
            assert_eq!(size.start, Lsn(start));
        }
        let copy = crashed(store.path());
        assert_eq!(reopen(copy.path()).unwrap().readers.log_size(), size);
        size
    };
    assert_eq!(check(&store).last, Lsn(12));
    let commands: Vec<Command> = (0..5).map(|_| store.command(delete(1))).collect();
    let mut more = entries(13, &commands);
    more.iter_mut().for_each(|entry| entry.epoch = epoch(4));
    store.writer.execute(&[persist(more)]).unwrap();
    assert_eq!(check(&store).last, Lsn(17));
    trim(&mut store, 6);
    assert_eq!(check(&store).start, Lsn(7));
    let mut cut = write(Vec::new());
    cut.truncate_from = Some(Lsn(14));
    store.writer.execute(&[WriteOp::Persist(cut)]).unwrap();
    assert_eq!(check(&store).last, Lsn(13));
    trim(&mut store, 12);
    assert_eq!(check(&store).start, Lsn(13));
}

#[test]
fn trimming_to_the_trim_point_leaves_what_is_to_be_kept() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    for n in 0..40 {
        store.send(ann, "ann", &"x".repeat(n * 10));
    }
    let whole = store.readers.log_size();
    assert_eq!(store.readers.trim_point(whole.bytes).unwrap(), Lsn::ZERO);
    assert_eq!(store.readers.trim_point(u64::MAX).unwrap(), Lsn::ZERO);
    for keep in [whole.bytes - 1, whole.bytes / 2, 1_000, 1, 0] {
        let point = store.readers.trim_point(keep).unwrap();
        trim(&mut store, point.0);
        let left = store.readers.log_size().bytes;
        assert!(left >= keep, "{left} of {keep}");
        // One entry more would have been too much.
        assert!(left < keep + 600, "{left} of {keep}");
        assert_eq!(store.readers.trim_point(keep).unwrap(), point);
    }
    // What is not applied stays, however little is to be kept.
    let command = store.command(delete(ann));
    let waiting = store.entries(&[command]);
    store.writer.execute(&[persist(waiting)]).unwrap();
    assert_eq!(store.readers.trim_point(0).unwrap(), Lsn(41));
}

#[test]
fn a_file_whose_log_is_trimmed_stops_growing() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let body = "x".repeat(10_000);
    let pages = |store: &TestStore| -> u64 {
        let connection = &store.writer.connection;
        connection
            .pragma_query_value(None, "page_count", |row| row.get(0))
            .unwrap()
    };
    let mut after_two = 0;
    for round in 0..10 {
        let commands: Vec<Command> = (0..50)
            .map(|_| store.command(send(ann, "nobody", &body)))
            .collect();
        store.apply_all(&commands);
        let last = store.last;
        trim(&mut store, last);
        if round == 1 {
            after_two = pages(&store);
        }
    }
    // The requests' outcomes stay; the 5 MB of bodies do not.
    assert!(pages(&store) < after_two + 40, "{}", pages(&store));
}

#[test]
fn a_store_of_schema_2_keeps_everything_and_can_be_trimmed_then() {
    let mut store = TestStore::new();
    store.version = 0;
    let entries = several_epochs(&mut store);
    let hash = store.state_hash();
    let copy = crashed(store.path());
    let whole = reopen(copy.path()).unwrap().recovered;
    let as_before = "DROP TABLE log_base; DROP TABLE base_epochs; PRAGMA user_version = 2";
    let raw = raw(copy.path());
    raw.execute_batch(AS_IN_SCHEMA_3).unwrap();
    raw.execute_batch(as_before).unwrap();
    drop(raw);
    let mut opened = reopen(copy.path()).unwrap();
    assert_eq!(opened.recovered, whole);
    let migrated = crate::StateSnapshot::pin(copy.path()).unwrap();
    assert_eq!(migrated.hash().unwrap(), hash);
    let read = opened.readers.log_entries(1, 99, usize::MAX).unwrap();
    assert_eq!(read, entries);
    let through = Lsn(6);
    opened.writer.execute(&[WriteOp::Trim { through }]).unwrap();
    let copy = crashed(copy.path());
    let recovered = reopen(copy.path()).unwrap().recovered;
    let start = Lsn(7);
    assert_eq!(recovered, Recovered { start, ..whole });
}
