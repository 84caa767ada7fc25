//! Accounts and sessions that end at once, and the removal of their rows, a few with each command.

use super::*;
use crate::commands::{CLEANUP_ROWS, EXPIRED_ROWS};

/// Rows of SQLite that one command may change: each message has one in four tables and leaves an answer, and
/// there is what every command writes.
const CHANGES_MAX: u64 = 5 * CLEANUP_ROWS as u64 + 20;

fn count(store: &TestStore, table: &str) -> u64 {
    let sql = format!("SELECT count(*) FROM {table}");
    let connection = &store.writer.connection;
    connection.query_row(&sql, [], |row| row.get(0)).unwrap()
}

/// Rows that were ever changed.
fn changes(store: &TestStore) -> u64 {
    let connection = &store.writer.connection;
    connection
        .query_row("SELECT total_changes()", [], |row| row.get(0))
        .unwrap()
}

fn without_fsync() -> TestStore {
    let store = TestStore::new();
    let connection = &store.writer.connection;
    connection
        .pragma_update(None, "synchronous", "OFF")
        .unwrap();
    store
}

fn send_many(store: &mut TestStore, sender: u64, recipient: &str, count: usize) {
    for from in (0..count).step_by(1_000) {
        let commands: Vec<Command> = (from..count.min(from + 1_000))
            .map(|_| store.command(send(sender, recipient, "hello")))
            .collect();
        store.apply_all(&commands);
    }
}

/// Applies the command, which must not change more rows than a command may; gives whether rows are left.
fn apply_bounded(store: &mut TestStore, command: &Command) -> (Applied, bool) {
    let before = changes(store);
    let entries = store.entries(std::slice::from_ref(command));
    let ops = [persist(entries.clone()), WriteOp::Apply(entries)];
    let mut executed = store.writer.execute(&ops).unwrap();
    let changed = changes(store) - before;
    assert!(changed <= CHANGES_MAX, "{changed} rows by {command:?}");
    (executed.applied.remove(0), executed.cleanups_left)
}

fn dropped(applied: &Applied) -> u64 {
    let counts = applied.events.iter().map(|event| match event {
        Event::Change { row, .. } => match &row.what {
            What::MessagesDropped(dropped) => dropped.count,
            _ => 0,
        },
        _ => 0,
    });
    counts.sum()
}

#[test]
fn an_account_for_which_very_much_waits_goes_in_bounded_pieces_and_at_once_for_all_who_look() {
    const MESSAGES: usize = 100_000;
    let mut store = without_fsync();
    store.writer.at.indexed.behind_max = 1_000;
    let [ann, bob] = ["ann", "bob"].map(|name| store.register(name));
    store.act(log_in(bob, 1, 9_000_000));
    let first = store.command(send(ann, "bob", "the first"));
    let answered = store.apply(&first).outcome;
    send_many(&mut store, ann, "bob", MESSAGES - 1);
    // The last are not indexed yet, and stay out of what is measured.
    store.writer.catch_up_index().unwrap();

    let command = store.command(delete(bob));
    let (applied, mut left) = apply_bounded(&mut store, &command);
    let outcome::Result::AccountDeleted(deleted) = result(&applied) else {
        panic!("{applied:?}");
    };
    assert_eq!(deleted.messages_dropped, MESSAGES as u64);
    assert!(left && count(&store, "messages") > 0);
    let mut told = dropped(&applied);
    // A name that is free again has a new owner at once.
    let second = store.register("bob");
    let mut commands = 0;
    while left {
        let readers = &store.readers;
        assert_eq!(readers.messages_after(ann, bob, 0, 9).unwrap(), []);
        assert_eq!(
            readers.messages_before(ann, bob, store.last, 9).unwrap(),
            []
        );
        assert_eq!(readers.session(&[1; 32]).unwrap(), None);
        assert_eq!(readers.peer_by_name(ann, "bob").unwrap(), Some(second));
        let (applied, still) = apply_bounded(&mut store, &clean_up());
        told += dropped(&applied);
        left = still;
        commands += 1;
    }
    assert!((MESSAGES / CLEANUP_ROWS - 1..=MESSAGES / CLEANUP_ROWS).contains(&commands));
    assert_eq!(told, MESSAGES as u64);
    for table in [
        "messages",
        "waiting_messages",
        "conversation_messages",
        "cleanups",
    ] {
        assert_eq!(count(&store, table), 0, "{table}");
    }
    assert_eq!(store.apply(&first).outcome, answered);
    let (applied, left) = apply_bounded(&mut store, &clean_up());
    assert!(applied.events.is_empty() && !left);
}

#[test]
fn a_retry_of_a_message_gets_its_answer_before_and_after_its_row_goes() {
    let mut store = without_fsync();
    let [ann, bob] = ["ann", "bob"].map(|name| store.register(name));
    let sends: Vec<Command> = (0..3 * CLEANUP_ROWS)
        .map(|_| store.command(send(ann, "bob", "hello")))
        .collect();
    let answered = store.apply_all(&sends);
    store.act(delete(bob));
    loop {
        for at in [0, CLEANUP_ROWS, 3 * CLEANUP_ROWS - 1] {
            assert_eq!(store.apply(&sends[at]).outcome, answered[at].outcome);
        }
        if !apply_bounded(&mut store, &clean_up()).1 {
            break;
        }
    }
    assert_eq!(count(&store, "messages"), 0);
    assert_eq!(store.apply(&sends[700]).outcome, answered[700].outcome);
}

#[test]
fn history_shows_nothing_that_a_deletion_dropped_whoever_is_asked_by_whatever_page() {
    let mut store = without_fsync();
    let [ann, bob] = ["ann", "bob"].map(|name| store.register(name));
    let (read, _) = store.send(ann, "bob", "read");
    store.acknowledge(bob, &[&read]);
    send_many(&mut store, ann, "bob", 2 * CLEANUP_ROWS);
    store.send(bob, "ann", "from bob");
    store.act(delete(bob));
    assert!(count(&store, "cleanups") == 1);
    let bodies = |rows: Vec<crate::event::MessageRow>| -> Vec<String> {
        rows.into_iter().map(|row| row.body).collect()
    };
    let end = store.last + 1;
    let after = store.readers.messages_after(ann, bob, 0, 10).unwrap();
    assert_eq!(bodies(after), ["read", "from bob"]);
    let before = store.readers.messages_before(bob, ann, end, 10).unwrap();
    assert_eq!(bodies(before), ["read", "from bob"]);
    assert_eq!(store.readers.peer_by_name(ann, "bob").unwrap(), Some(bob));
}

#[test]
fn pieces_go_on_after_a_restart_and_by_a_snapshot_with_one_state() {
    let mut store = without_fsync();
    let base = vec![entry(1, EPOCH, Payload::Config(config(&[2])))];
    store.last = 1;
    let ops = [persist(base.clone()), WriteOp::Apply(base)];
    store.writer.execute(&ops).unwrap();
    let [ann, bob] = ["ann", "bob"].map(|name| store.register(name));
    for token in 0..=255 {
        store.act(log_in(bob, token, 9_000_000));
    }
    store.act(log_in(ann, 0, 9_000_000));
    send_many(&mut store, ann, "bob", 4 * CLEANUP_ROWS);
    store.act(delete(bob));
    assert!(apply_bounded(&mut store, &clean_up()).1);

    // As after a power loss, and as a replica that is filled anew.
    let copy = crashed(store.path());
    let mut again = reopen(copy.path()).unwrap();
    assert!(again.writer.at.cleanups_left);
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("snapshot");
    let pace = crate::snapshot::Pace {
        work: std::time::Duration::from_secs(60),
        pause: std::time::Duration::ZERO,
        cancelled: &std::sync::atomic::AtomicBool::new(false),
    };
    let snapshot = crate::snapshot::take(store.path(), &file, &pace).unwrap();
    let fresh = TempDir::new().unwrap();
    let mut filled = reopen(fresh.path()).unwrap();
    let install = WriteOp::Install {
        write: WriteId(1),
        snapshot,
        path: file,
    };
    assert!(filled.writer.execute(&[install]).unwrap().cleanups_left);

    let rest = store.entries(&vec![clean_up(); 9]);
    let last = |entries: &[Entry]| [persist(entries.to_vec()), WriteOp::Apply(entries.to_vec())];
    // One after the other, all at once, and followed without anybody who waits.
    for entry in &rest {
        store
            .writer
            .execute(&last(std::slice::from_ref(entry)))
            .unwrap();
    }
    let executed = again.writer.execute(&last(&rest)).unwrap();
    assert!(!executed.cleanups_left);
    let ops = [persist(rest.clone()), WriteOp::Follow(rest)];
    assert!(!filled.writer.execute(&ops).unwrap().cleanups_left);
    assert_eq!(count(&store, "messages"), 0);
    assert_eq!(count(&store, "sessions"), 1);
    let hash = |dir: &Path| {
        let state = crate::StateSnapshot::pin(dir).unwrap();
        state.hash().unwrap()
    };
    assert_eq!(hash(copy.path()), store.state_hash());
    assert_eq!(hash(fresh.path()), store.state_hash());
}

#[test]
fn very_many_sessions_end_at_once_and_their_rows_in_bounded_pieces() {
    const SESSIONS: u64 = 3_000;
    let mut store = without_fsync();
    let ann = store.register("ann");
    let token = |number: u64| {
        let mut token = [0x80; 32];
        token[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        token
    };
    let log_ins: Vec<Command> = (0..SESSIONS)
        .map(|number| store.command(log_in_with(ann, token(number), 9_000_000)))
        .collect();
    store.apply_all(&log_ins);
    store.act(log_in(ann, 7, 9_000_000));
    let command = store.command(end_others(ann, 7));
    let (applied, mut left) = apply_bounded(&mut store, &command);
    let outcome::Result::OtherSessionsEnded(ended) = result(&applied) else {
        panic!("{applied:?}");
    };
    assert_eq!(ended.sessions_ended, SESSIONS);
    let told = Event::OtherSessionsEnded {
        lsn: applied.lsn,
        account_id: ann,
        kept: [7; 32],
    };
    assert_eq!(applied.events, [told]);
    store.act(log_in(ann, 8, 9_000_000));
    let mut commands = 0;
    while left {
        for number in [0, SESSIONS / 2, SESSIONS - 1] {
            assert_eq!(store.readers.session(&token(number)).unwrap(), None);
        }
        left = apply_bounded(&mut store, &clean_up()).1;
        commands += 1;
    }
    assert!(commands > 3);
    assert_eq!(count(&store, "sessions"), 2);
    for kept in [7, 8] {
        assert!(store.readers.session(&[kept; 32]).unwrap().is_some());
    }
    // Who was ended does not end others.
    let refused = refused(&store.act(end_others(ann, 9)));
    assert_eq!(refused, Refusal::SessionEnded);
}

#[test]
fn one_login_removes_a_bounded_number_of_expired_sessions() {
    let mut store = without_fsync();
    let ann = store.register("ann");
    let token = |number: u64| {
        let mut token = [0; 32];
        token[..8].copy_from_slice(&number.to_be_bytes());
        token
    };
    let count_of = 3 * EXPIRED_ROWS as u64;
    let log_ins: Vec<Command> = (0..count_of)
        .map(|number| store.command(log_in_with(ann, token(number), 2_000)))
        .collect();
    store.now_ms = 3_000;
    store.apply_all(&log_ins);
    // A hundred stay in any case.
    for rest in [201, 101, 100, 100] {
        store.act(log_in(ann, 99, 9_000_000));
        assert_eq!(count(&store, "sessions"), rest);
    }
    // Earlier builds removed all of them, and so do their commands.
    let log_ins = log_ins_anew(&mut store, ann, token, count_of);
    store.apply_all(&log_ins);
    store.now_ms = 1_000_000;
    store.version = 0;
    store.act(log_in(ann, 99, 9_000_000));
    assert_eq!(count(&store, "sessions"), 1);
}

/// Logins that have expired by the time of the next.
fn log_ins_anew(
    store: &mut TestStore,
    account: u64,
    token: impl Fn(u64) -> [u8; 32],
    count: u64,
) -> Vec<Command> {
    (0..count)
        .map(|number| store.command(log_in_with(account, token(number), 4_000 + count as i64)))
        .collect()
}

#[test]
fn a_password_that_was_changed_meanwhile_opens_no_session_and_changes_nothing() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let log_in_checked = |password: &str, token: u8| {
        Action::CreateSession(CreateSession {
            label: String::new(),
            account_id: ann,
            token_hash: Bytes::copy_from_slice(&[token; 32]),
            expires_at_ms: 9_000,
            password_digest: Bytes::copy_from_slice(&crate::password_digest(password)),
            made_at_ms: 0,
        })
    };
    store.act(log_in_checked("hash of ann", 1));
    store.act(log_in_checked("hash of ann", 2));
    let applied = store.act(change_password(ann, 1, "hash of ann", "new"));
    let outcome::Result::PasswordChanged(changed) = result(&applied) else {
        panic!("{applied:?}");
    };
    assert_eq!((changed.account_id, changed.sessions_ended), (ann, 1));
    let account = store.readers.account_by_id(ann).unwrap().unwrap();
    assert_eq!(account.password_hash, "new");
    assert!(store.readers.session(&[1; 32]).unwrap().is_some());
    assert_eq!(store.readers.session(&[2; 32]).unwrap(), None);

    let late = store.act(log_in_checked("hash of ann", 3));
    assert_eq!(refused(&late), Refusal::PasswordChanged);
    assert_eq!(store.readers.session(&[3; 32]).unwrap(), None);
    let late = store.act(change_password(ann, 1, "hash of ann", "newer"));
    assert_eq!(refused(&late), Refusal::PasswordChanged);
    let ended = store.act(change_password(ann, 2, "new", "newer"));
    assert_eq!(refused(&ended), Refusal::SessionEnded);
    let account = store.readers.account_by_id(ann).unwrap().unwrap();
    assert_eq!(account.password_hash, "new");
    store.act(log_in_checked("new", 4));
    assert!(store.readers.session(&[4; 32]).unwrap().is_some());
}
