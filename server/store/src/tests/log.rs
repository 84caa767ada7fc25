//! The log: what is written comes back, and rot is found.

use super::*;

fn epoch(number: u64) -> Epoch {
    Epoch {
        number: number << 24,
        proposer: ReplicaId(1),
    }
}

fn command(text: &'static str) -> Payload {
    Payload::Command(Bytes::from_static(text.as_bytes()))
}

/// Two epochs, three Configs, five entries applied of nine.
fn varied() -> (TestStore, Vec<Entry>) {
    let mut store = TestStore::new();
    let commands: Vec<Payload> = (0..4)
        .map(|n| store.command(create(&format!("user{n}"))))
        .map(|command| Payload::Command(command.encode_to_vec().into()))
        .collect();
    let entries = vec![
        entry(1, epoch(1), Payload::Config(config(&[1, 2]))),
        entry(2, epoch(1), commands[0].clone()),
        entry(3, epoch(1), Payload::Config(config(&[1, 2, 3]))),
        entry(4, epoch(3), commands[1].clone()),
        entry(5, epoch(3), commands[2].clone()),
        entry(6, epoch(3), Payload::Config(config(&[2]))),
        entry(7, epoch(3), commands[3].clone()),
        entry(8, epoch(4), command("not decoded before it is applied")),
        entry(9, epoch(4), Payload::Config(config(&[2, 3]))),
    ];
    let mut promise = write(entries[..4].to_vec());
    promise.promised = Some(epoch(5));
    store
        .writer
        .execute(&[
            WriteOp::Persist(promise),
            WriteOp::Apply(entries[..2].to_vec()),
            persist(entries[4..].to_vec()),
            WriteOp::Apply(entries[2..5].to_vec()),
        ])
        .unwrap();
    (store, entries)
}

#[test]
fn the_tail_is_the_last_entry_applied_or_not() {
    let empty = TestStore::new();
    let nothing = (Lsn::ZERO, Epoch::NONE);
    assert_eq!(empty.readers.log_tail().unwrap(), nothing);
    let (store, _) = varied();
    assert_eq!(store.readers.log_tail().unwrap(), (Lsn(9), epoch(4)));
}

#[test]
fn what_is_settled_is_kept_and_is_not_past_what_is_applied() {
    let (mut store, _) = varied();
    store.writer.execute(&[WriteOp::Settle(Lsn(4))]).unwrap();
    let copy = crashed(store.path());
    assert_eq!(reopen(copy.path()).unwrap().recovered.settled, Lsn(4));
    store.writer.execute(&[WriteOp::Settle(Lsn(9))]).unwrap();
    let copy = crashed(store.path());
    assert_eq!(reopen(copy.path()).unwrap().recovered.settled, Lsn(5));
}

#[test]
fn a_crash_keeps_everything_that_was_executed() {
    let (store, entries) = varied();
    let expected = Recovered {
        promised: epoch(5),
        epochs: EpochHistory::from_iter([
            (Lsn(1), epoch(1)),
            (Lsn(4), epoch(3)),
            (Lsn(8), epoch(4)),
        ]),
        start: Lsn(1),
        last: Lsn(9),
        applied: Lsn(5),
        settled: Lsn::ZERO,
        configs: vec![
            logged_config(3, &[1, 2, 3]),
            logged_config(6, &[2]),
            logged_config(9, &[2, 3]),
        ],
        tail: entries[5..].to_vec(),
    };
    let copy = crashed(store.path());
    let opened = reopen(copy.path()).unwrap();
    assert_eq!(opened.recovered, expected);
    assert_eq!(opened.store, STORE);
    assert!(opened.readers.account_by_name("user2").unwrap().is_some());
    assert!(opened.readers.account_by_name("user3").unwrap().is_none());

    // Closing, and moving the WAL, change nothing of it.
    let TestStore {
        dir, mut writer, ..
    } = store;
    writer.checkpoint().unwrap();
    drop(writer);
    assert_eq!(reopen(dir.path()).unwrap().recovered, expected);
}

#[test]
fn a_new_store_is_empty() {
    let store = TestStore::new();
    assert_eq!(store.recovered, Recovered::empty());
    let copy = crashed(store.path());
    assert_eq!(reopen(copy.path()).unwrap().recovered, Recovered::empty());
}

#[test]
fn a_cut_tail_is_replaced() {
    let (mut store, entries) = varied();
    let mut replace = write(vec![
        entry(7, epoch(6), command("seven")),
        entry(8, epoch(6), command("eight")),
    ]);
    replace.promised = Some(epoch(6));
    replace.truncate_from = Some(Lsn(7));
    let appended = replace.entries.clone();
    store.writer.execute(&[WriteOp::Persist(replace)]).unwrap();
    store
        .writer
        .execute(&[persist(vec![entry(9, epoch(6), command("nine"))])])
        .unwrap();

    let copy = crashed(store.path());
    let recovered = reopen(copy.path()).unwrap().recovered;
    assert_eq!(recovered.promised, epoch(6));
    assert_eq!(recovered.last, Lsn(9));
    assert_eq!(recovered.tail[0], entries[5]);
    assert_eq!(recovered.tail[1..3], appended);
    let begins = [(Lsn(1), epoch(1)), (Lsn(4), epoch(3)), (Lsn(7), epoch(6))];
    assert_eq!(recovered.epochs.starts(), begins);
    let configs: Vec<Lsn> = recovered.configs.iter().map(|logged| logged.lsn).collect();
    assert_eq!(configs, [Lsn(3), Lsn(6)]);
}

#[test]
fn a_log_that_is_cut_whole_begins_again() {
    let mut store = TestStore::new();
    let one = entry(1, epoch(1), command("one"));
    store.writer.execute(&[persist(vec![one])]).unwrap();
    let mut replace = write(vec![entry(1, epoch(2), command("other"))]);
    replace.truncate_from = Some(Lsn(1));
    let appended = replace.entries.clone();
    store.writer.execute(&[WriteOp::Persist(replace)]).unwrap();
    let copy = crashed(store.path());
    assert_eq!(reopen(copy.path()).unwrap().recovered.tail, appended);
}

#[test]
fn entries_are_read_back_within_bounds() {
    let (store, entries) = varied();
    let read = |from, through, bytes| store.readers.log_entries(from, through, bytes).unwrap();
    assert_eq!(read(1, 9, usize::MAX), entries);
    assert_eq!(read(1, u64::MAX, usize::MAX), entries);
    assert_eq!(read(3, 5, usize::MAX), entries[2..5]);
    // At least one; then no more once the bytes are reached.
    assert_eq!(read(4, 9, 0), entries[3..4]);
    assert_eq!(read(4, 9, 1), entries[3..4]);
    let two = entries[3].payload.bytes() + 1;
    assert_eq!(read(4, 9, two), entries[3..5]);
    assert_eq!(read(10, 20, usize::MAX), []);
    assert_eq!(read(11, 20, usize::MAX), []);
    assert_eq!(read(u64::MAX, u64::MAX, usize::MAX), []);
}

#[test]
fn rot_in_any_field_of_an_entry_is_found_at_the_start() {
    let harm = [
        "UPDATE log SET payload = CAST(payload || 'x' AS BLOB) WHERE lsn = 4",
        "UPDATE log SET payload = zeroblob(length(payload)) WHERE lsn = 9",
        "UPDATE log SET epoch_number = 2 WHERE lsn = 4",
        "UPDATE log SET epoch_proposer = 2 WHERE lsn = 1",
        "UPDATE log SET kind = 2 WHERE lsn = 3",
        "UPDATE log SET hash = zeroblob(32) WHERE lsn = 9",
        "UPDATE log SET hash = zeroblob(31) WHERE lsn = 9",
        "UPDATE log SET lsn = -1 WHERE lsn = 9",
        "DELETE FROM log WHERE lsn = 2",
        "DELETE FROM log WHERE lsn = 1",
        "DELETE FROM log WHERE lsn >= 5",
        "DELETE FROM position",
        "UPDATE position SET applied_lsn = -1",
        "DELETE FROM identity",
    ];
    let (store, _) = varied();
    for sql in harm {
        let copy = crashed(store.path());
        assert_eq!(raw(copy.path()).execute(sql, []).unwrap().min(1), 1);
        let error = refusal(copy.path());
        assert!(matches!(error, StoreError::Corrupt(_)), "{sql}: {error:?}");
        assert!(
            error
                .to_string()
                .contains("start this replica on an empty one")
        );
    }
}

#[test]
fn rot_is_found_when_an_entry_is_read_for_a_peer() {
    let (store, entries) = varied();
    let TestStore {
        dir,
        writer,
        readers,
        ..
    } = store;
    drop((writer, readers));
    let opened = reopen(dir.path()).unwrap();
    raw(dir.path())
        .execute("UPDATE log SET payload = x'00' WHERE lsn = 5", [])
        .unwrap();
    let good = opened.readers.log_entries(1, 4, usize::MAX).unwrap();
    assert_eq!(good, entries[..4]);
    let error = opened.readers.log_entries(4, 9, usize::MAX).err();
    assert!(matches!(error, Some(StoreError::Corrupt(_))), "{error:?}");
}

#[test]
fn a_file_of_zeros_or_noise_is_found() {
    for fill in [0_u8, 0x5a] {
        let (store, _) = varied();
        let TestStore {
            dir,
            writer,
            readers,
            ..
        } = store;
        drop(readers);
        writer.close().unwrap();
        let path = dir.path().join("tercet.db");
        let mut bytes = fs::read(&path).unwrap();
        // The header stays; a page behind it is lost.
        bytes[4096..8192].fill(fill);
        fs::write(&path, &bytes).unwrap();
        let error = refusal(dir.path());
        assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
        fs::write(&path, [0x5a; 8192]).unwrap();
        let error = refusal(dir.path());
        assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
    }
}

#[test]
#[should_panic(expected = "append of entry 11")]
fn a_gap_in_the_log_is_a_programmers_error() {
    let (mut store, _) = varied();
    let gap = vec![entry(11, epoch(4), command("eleven"))];
    let _ = store.writer.execute(&[persist(gap)]);
}

#[test]
#[should_panic(expected = "cut from 5 on")]
fn cutting_what_is_applied_is_a_programmers_error() {
    let (mut store, _) = varied();
    let mut cut = write(Vec::new());
    cut.truncate_from = Some(Lsn(5));
    let _ = store.writer.execute(&[WriteOp::Persist(cut)]);
}

#[test]
#[should_panic(expected = "apply of 7")]
fn skipping_an_entry_is_a_programmers_error() {
    let (mut store, entries) = varied();
    let _ = store
        .writer
        .execute(&[WriteOp::Apply(entries[6..7].to_vec())]);
}

#[test]
#[should_panic(expected = "promise of 4.1")]
fn taking_back_a_promise_is_a_programmers_error() {
    let (mut store, _) = varied();
    let mut lower = write(Vec::new());
    lower.promised = Some(epoch(4));
    let _ = store.writer.execute(&[WriteOp::Persist(lower)]);
}
