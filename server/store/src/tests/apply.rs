//! The effects of each command.

use std::{sync::atomic::AtomicBool, time::Duration};

use super::{
    super::{snapshot, window::Limits},
    *,
};

#[test]
fn an_account_has_the_lsn_of_its_entry_as_id() {
    let mut store = TestStore::new();
    let ann = store.register("Ann");
    assert_eq!(ann, 1);
    let account = store.readers.account_by_name("aNN").unwrap().unwrap();
    assert_eq!(account.id, ann);
    assert_eq!(account.username, "Ann");
    assert_eq!(account.password_hash, "hash of Ann");
    assert_eq!(account.created_at_ms, store.now_ms);
    assert_eq!(store.readers.account_by_id(ann).unwrap(), Some(account));
    assert_eq!(store.readers.account_by_id(2).unwrap(), None);
    assert_eq!(store.readers.account_by_id(u64::MAX).unwrap(), None);
}

#[test]
fn a_name_is_taken_whatever_its_case() {
    let mut store = TestStore::new();
    let ann = store.register("Ann");
    assert_eq!(refused(&store.act(create("aNN"))), Refusal::NameTaken);
    let account = store.readers.account_by_name("ann").unwrap().unwrap();
    assert_eq!((account.id, account.username.as_str()), (ann, "Ann"));
}

#[test]
fn stamps_never_run_backwards() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let mut stamps = Vec::new();
    for stamp_ms in [5_000, 4_000, 6_000, i64::MIN, 5_999] {
        let mut command = store.command(send(ann, "ann", "tick"));
        command.stamp_ms = stamp_ms;
        match result(&store.apply(&command)) {
            outcome::Result::MessageSent(sent) => stamps.push(sent.stamp_ms),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(stamps, [5_000, 5_000, 6_000, 6_000, 6_000]);
    let stored = store.readers.inbox(ann, 0, 10).unwrap();
    let stored: Vec<i64> = stored.iter().map(|row| row.sent_at_ms).collect();
    assert_eq!(stored, stamps);

    // Nor after a restart.
    let copy = crashed(store.path());
    let mut writer = reopen(copy.path()).unwrap().writer;
    let mut late = store.command(send(ann, "ann", "tick"));
    late.stamp_ms = 1;
    let entries = store.entries(&[late]);
    let ops = [persist(entries.clone()), WriteOp::Apply(entries)];
    let executed = writer.execute(&ops).unwrap();
    let outcome::Result::MessageSent(sent) = result(&executed.applied[0]) else {
        panic!("not sent");
    };
    assert_eq!(sent.stamp_ms, 6_000);
}

#[test]
fn a_message_is_stored_and_made_known_with_its_names() {
    let mut store = TestStore::new();
    let ann = store.register("Ann");
    let bob = store.register("Bob");
    let mut command = store.command(send(ann, "bOB", "hello, wörld"));
    if let Some(Action::SendMessage(send)) = &mut command.action {
        send.instant = true;
    }
    let applied = store.apply(&command);

    let [Event::Message(message)] = &applied.events[..] else {
        panic!("{:?}", applied.events);
    };
    assert_eq!(message.lsn, 3);
    assert_eq!(message.id[..], command.request_id[..]);
    assert_eq!((message.sender_id, message.sender.as_str()), (ann, "Ann"));
    assert_eq!(
        (message.recipient_id, message.recipient.as_str()),
        (bob, "Bob")
    );
    assert_eq!(message.body, "hello, wörld");
    assert_eq!(message.sent_at_ms, command.stamp_ms);
    assert!(message.instant && !message.delivered);
    assert!(!message.sender_deleted && !message.recipient_deleted);
    let outcome::Result::MessageSent(sent) = result(&applied) else {
        panic!("{applied:?}");
    };
    assert_eq!(
        (sent.lsn, sent.stamp_ms, sent.instant),
        (3, command.stamp_ms, true)
    );
    // What is stored is what was made known.
    let stored = store.readers.undelivered(bob, 0, 10).unwrap();
    assert_eq!(stored, std::slice::from_ref(message));
    assert_eq!(
        store.readers.messages_after(bob, ann, 0, 10).unwrap(),
        stored
    );
}

#[test]
fn one_may_write_to_oneself() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let (id, _) = store.send(ann, "ann", "milk");
    assert_eq!(store.waiting(ann), ["milk"]);
    assert_eq!(
        store
            .readers
            .messages_before(ann, ann, u64::MAX, 10)
            .unwrap()
            .len(),
        1
    );
    assert_eq!(store.readers.peer_by_name(ann, "ANN").unwrap(), Some(ann));
    assert_eq!(store.acknowledge(ann, &[&id]), 1);
    assert_eq!(store.waiting(ann), [""; 0]);
}

#[test]
fn a_message_needs_a_sender_and_a_recipient_that_live() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let bob = store.register("bob");
    assert_eq!(
        refused(&store.act(send(ann, "zoe", "?"))),
        Refusal::UnknownRecipient
    );
    store.act(delete(bob));
    assert_eq!(
        refused(&store.act(send(ann, "bob", "?"))),
        Refusal::UnknownRecipient
    );
    assert_eq!(
        refused(&store.act(send(bob, "ann", "?"))),
        Refusal::AccountGone
    );
    assert_eq!(
        refused(&store.act(send(u64::MAX, "ann", "?"))),
        Refusal::AccountGone
    );
}

#[test]
fn acknowledging_marks_only_waiting_messages_of_the_account() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let bob = store.register("bob");
    let (one, _) = store.send(ann, "bob", "one");
    let (two, _) = store.send(ann, "bob", "two");
    let (three, _) = store.send(bob, "ann", "three");
    let unknown = request_id(u128::MAX);
    let short = Bytes::from_static(b"short");

    // Another's, repeated, unknown and misshapen ids are passed over.
    let count = store.acknowledge(bob, &[&one, &three, &one, &unknown, &short]);
    assert_eq!(count, 1);
    assert_eq!(store.waiting(bob), ["two"]);
    assert_eq!(store.waiting(ann), ["three"]);
    assert_eq!(store.acknowledge(bob, &[&one]), 0);
    assert_eq!(store.acknowledge(bob, &[&two, &one]), 1);
    assert_eq!(store.waiting(bob), [""; 0]);
    let inbox = store.readers.inbox(bob, 0, 10).unwrap();
    let delivered: Vec<bool> = inbox.iter().map(|row| row.delivered).collect();
    assert_eq!(delivered, [true, true, false], "the last is bob's own");

    store.act(delete(bob));
    assert_eq!(
        refused(&store.act(acknowledge(bob, &[&one]))),
        Refusal::AccountGone
    );
}

#[test]
fn messages_older_than_the_remembered_requests_are_acknowledged_by_their_lsn() {
    let mut store = TestStore::new();
    store.writer.request_limits = Limits::of_entries(3);
    let ann = store.register("ann");
    let eve = store.register("eve");
    let sent: Vec<(Bytes, u64)> = (0..10)
        .map(|n| store.send(ann, "ann", &n.to_string()))
        .collect();
    store.writer.catch_up_index().unwrap();
    let waiting = store.readers.waiting_ids(ann, 0, 100).unwrap();
    let of_ids = |(id, lsn): &(Bytes, u64)| (*lsn, <[u8; 16]>::try_from(&id[..]).unwrap());
    assert!(waiting.iter().copied().eq(sent.iter().map(of_ids)));
    let page = store.readers.waiting_ids(ann, waiting[3].0, 2).unwrap();
    assert_eq!(page, waiting[4..6]);
    let ids: Vec<&Bytes> = [0, 9, 4].map(|at: usize| &sent[at].0).to_vec();
    let counts = |applied: &Applied| match result(applied) {
        outcome::Result::MessagesAcknowledged(done) => (done.count, done.unknown),
        other => panic!("{other:?}"),
    };
    // The last is remembered; the others are not looked for here.
    let applied = store.act(acknowledge(ann, &ids));
    assert_eq!(counts(&applied), (1, 2));
    let by_lsn = |account, lsns: [u64; 3]| {
        let mut action = acknowledge(account, &ids);
        if let Action::AcknowledgeMessages(acknowledge) = &mut action {
            acknowledge.lsns = lsns.to_vec();
        }
        action
    };
    // Another's, another message's, and none that can be.
    let (first, third) = (sent[0].1, sent[4].1);
    for (account, lsns) in [
        (eve, [first, 0, third]),
        (ann, [third, 0, first]),
        (ann, [u64::MAX, i64::MAX as u64, 1 << 63]),
    ] {
        assert_eq!(counts(&store.act(by_lsn(account, lsns))).0, 0, "{lsns:?}");
    }
    let applied = store.act(by_lsn(ann, [first, 0, third]));
    assert_eq!(counts(&applied).0, 2);
    assert_eq!(counts(&store.act(by_lsn(ann, [first, 0, third]))).0, 0);
    assert_eq!(store.waiting(ann), ["1", "2", "3", "5", "6", "7", "8"]);
}

#[test]
fn an_unknown_id_has_no_command_go_through_all_that_waits() {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    let mut store = TestStore::new();
    store.writer.request_limits = Limits::of_entries(3);
    let ann = store.register("ann");
    let commands: Vec<Command> = (0..20_000)
        .map(|_| store.command(send(ann, "ann", "hello")))
        .collect();
    store.apply_all(&commands);
    store.writer.catch_up_index().unwrap();
    let steps = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&steps);
    let count = move || {
        counted.fetch_add(100, Ordering::Relaxed);
        false
    };
    let connection = &mut store.writer.connection;
    connection.progress_handler(100, Some(count)).unwrap();
    let unknown = [request_id(u128::MAX), commands[7].request_id.clone()];
    let mut steps_of = |version| {
        steps.store(0, Ordering::Relaxed);
        store.version = version;
        store.act(acknowledge(ann, &unknown.iter().collect::<Vec<_>>()));
        steps.load(Ordering::Relaxed)
    };
    let (now, before) = (steps_of(COMMAND_VERSION), steps_of(0));
    assert!(now < 10_000, "{now} steps of SQLite");
    assert!(before > 100_000, "{before} steps of SQLite in version 0");
}

#[test]
fn messages_older_than_the_remembered_requests_can_be_acknowledged_in_version_0() {
    let mut store = TestStore::new();
    store.version = 0;
    store.writer.request_limits = Limits::of_entries(3);
    let ann = store.register("ann");
    let ids: Vec<Bytes> = (0..10)
        .map(|n| store.send(ann, "ann", &n.to_string()).0)
        .collect();
    assert_eq!(store.acknowledge(ann, &[&ids[0], &ids[9], &ids[4]]), 3);
    assert_eq!(store.waiting(ann), ["1", "2", "3", "5", "6", "7", "8"]);
    assert_eq!(store.acknowledge(ann, &[&ids[0], &ids[1]]), 1);
}

#[test]
fn ten_thousand_waiting_messages_are_acknowledged_in_bounded_work() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let commands: Vec<Command> = (0..10_000)
        .map(|_| store.command(send(ann, "ann", "hello")))
        .collect();
    store.apply_all(&commands);
    let ids: Vec<&Bytes> = commands[4_000..4_500]
        .iter()
        .map(|c| &c.request_id)
        .collect();
    // Each id is found by its index: rows looked at do not grow with what waits.
    let command = store.command(acknowledge(ann, &ids));
    let started = std::time::Instant::now();
    let applied = store.apply(&command);
    let took = started.elapsed();
    let outcome::Result::MessagesAcknowledged(acknowledged) = result(&applied) else {
        panic!("{applied:?}");
    };
    assert_eq!(acknowledged.count, 500);
    assert!(took.as_millis() < 1_000, "took {took:?}");
    assert_eq!(
        store.readers.undelivered(ann, 0, 20_000).unwrap().len(),
        9_500
    );
}

#[test]
fn a_session_opens_and_ends() {
    let mut store = TestStore::new();
    let ann = store.register("Ann");
    let applied = store.act(log_in(ann, 7, 9_000));
    let outcome::Result::SessionCreated(created) = result(&applied) else {
        panic!("{applied:?}");
    };
    assert_eq!(created.expires_at_ms, 9_000);
    assert_eq!(applied.events, []);
    let session = store.readers.session(&[7; 32]).unwrap().unwrap();
    assert_eq!(
        (session.account_id, session.username.as_str()),
        (ann, "Ann")
    );
    assert_eq!(session.expires_at_ms, 9_000);

    // Only its own account ends it.
    assert_eq!(store.act(log_out(ann + 1, 7)).events, []);
    assert!(store.readers.session(&[7; 32]).unwrap().is_some());
    let applied = store.act(log_out(ann, 7));
    let ended = Event::SessionEnded {
        lsn: applied.lsn,
        token_hash: [7; 32],
    };
    assert_eq!(applied.events, [ended]);
    assert_eq!(store.readers.session(&[7; 32]).unwrap(), None);
    // Ending it again is no error, and no news.
    let applied = store.act(log_out(ann, 7));
    assert!(matches!(result(&applied), outcome::Result::SessionEnded(_)));
    assert_eq!(applied.events, []);
    assert_eq!(
        refused(&store.act(log_in(99, 8, 9_000))),
        Refusal::AccountGone
    );
}

#[test]
fn a_login_of_an_earlier_build_removes_the_expired_sessions_of_its_account() {
    let mut store = TestStore::new();
    store.version = 0;
    let ann = store.register("ann");
    let bob = store.register("bob");
    store.act(log_in(ann, 1, 2_000));
    store.act(log_in(ann, 2, 2_001));
    store.act(log_in(bob, 3, 2_000));
    let mut command = store.command(log_in(ann, 4, 9_000));
    command.stamp_ms = 2_000;
    store.apply(&command);
    let open = |token: u8| store.readers.session(&[token; 32]).unwrap().is_some();
    assert_eq!(
        [open(1), open(2), open(3), open(4)],
        [false, true, true, true]
    );
}

#[test]
fn a_command_that_cannot_be_understood_stops_the_store() {
    let cases: [&[u8]; 5] = [
        // Not protobuf; no action; an action of a later version; short ids.
        b"\xff\xff\xff",
        b"",
        b"\xfa\x07\x00",
        &{
            let mut command = checkpoint();
            command.request_id = Bytes::from_static(b"short");
            command.encode_to_vec()
        },
        &{
            let mut command = checkpoint();
            command.action = Some(Action::EndSession(EndSession {
                account_id: 1,
                token_hash: Bytes::from_static(b"short"),
            }));
            command.encode_to_vec()
        },
    ];
    for bytes in cases {
        let mut store = TestStore::new();
        store.register("ann");
        let payload = Payload::Command(Bytes::copy_from_slice(bytes));
        let entries = vec![entry(2, EPOCH, payload)];
        store.writer.execute(&[persist(entries.clone())]).unwrap();
        let error = store.writer.execute(&[WriteOp::Apply(entries)]).err();
        assert!(
            matches!(error, Some(StoreError::UnknownCommand { lsn: 2, .. })),
            "{error:?}"
        );
        assert_eq!(store.readers.applied().unwrap(), 1);
        let error = store.writer.execute(&[]).err();
        assert!(matches!(error, Some(StoreError::Stopped)));
        assert!(matches!(
            store.writer.checkpoint(),
            Err(StoreError::Stopped)
        ));
    }
}

#[test]
fn what_is_followed_is_applied_and_not_told() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let commands = [store.command(send(ann, "ann", "hello"))];
    let entries = store.entries(&commands);
    let ops = [persist(entries.clone()), WriteOp::Follow(entries)];
    let executed = store.writer.execute(&ops).unwrap();
    assert_eq!(executed.applied, []);
    assert_eq!(store.readers.inbox(ann, 0, 9).unwrap().len(), 1);
    assert_eq!(store.readers.applied().unwrap(), 2);
}

#[test]
fn a_name_that_has_a_new_owner_is_the_new_owners() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let bob = store.register("bob");
    store.send(ann, "bob", "to the first");
    store.act(delete(bob));
    let refusal = refused(&store.act(send(ann, "bob", "to nobody")));
    assert_eq!(refusal, Refusal::UnknownRecipient);
    let refusal = refused(&store.act(send(bob, "ann", "from nobody")));
    assert_eq!(refusal, Refusal::AccountGone);
    let second = store.register("bob");
    store.send(ann, "bob", "to the second");
    let inbox = store.readers.inbox(second, 0, 9).unwrap();
    assert_eq!(inbox.len(), 1);
    assert_eq!(inbox[0].body, "to the second");
}

#[test]
fn a_retry_is_found_whatever_the_order_of_the_ids() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let mut sent = Vec::new();
    for id in [50_u128, 90, 60, 70, 95] {
        let mut command = store.command(send(ann, "ann", "hello"));
        command.request_id = request_id(id);
        sent.push((command.clone(), store.apply(&command).outcome));
    }
    for (command, outcome) in sent {
        assert_eq!(store.apply(&command).outcome, outcome);
    }
    assert_eq!(store.readers.inbox(ann, 0, 9).unwrap().len(), 5);
}

#[test]
fn a_command_of_a_version_that_is_not_known_stops_the_writer_and_leaves_the_store_whole() {
    let dir = {
        let mut store = TestStore::new();
        let ann = store.register("ann");
        let known = store.command(send(ann, "ann", "known"));
        let newer = Command {
            version: 99,
            ..store.command(send(ann, "ann", "newer"))
        };
        // In one batch, as a backup may get them.
        let entries = store.entries(&[known, newer]);
        store.writer.execute(&[persist(entries.clone())]).unwrap();
        let error = store.writer.execute(&[WriteOp::Follow(entries)]).err();
        let error = error.expect("refused");
        assert!(
            matches!(
                error,
                StoreError::NewerCommands {
                    found: 99,
                    known: COMMAND_VERSION,
                    ..
                }
            ),
            "{error:?}"
        );
        let text = error.to_string();
        for words in [
            "entry 3 of the log",
            "version 99",
            &format!("versions up to {COMMAND_VERSION}"),
            "Upgrade this replica",
        ] {
            assert!(text.contains(words), "{text}");
        }
        assert_eq!(store.readers.applied().unwrap(), 1);
        assert!(matches!(
            store.writer.execute(&[]),
            Err(StoreError::Stopped)
        ));
        crashed(store.path())
    };
    // The next start has all of the log, and stops at the same entry.
    let mut opened = reopen(dir.path()).expect("the store is whole");
    assert_eq!(opened.recovered.last, Lsn(3));
    assert_eq!(opened.recovered.applied, Lsn(1));
    let entries = opened.readers.log_entries(2, 3, usize::MAX).unwrap();
    let (first, newer) = entries.split_at(1);
    opened
        .writer
        .execute(&[WriteOp::Apply(first.to_vec())])
        .expect("what is known is applied");
    let error = opened.writer.execute(&[WriteOp::Apply(newer.to_vec())]);
    assert!(matches!(error, Err(StoreError::NewerCommands { .. })));
    assert_eq!(opened.readers.applied().unwrap(), 2);
}

#[test]
fn an_action_that_only_a_newer_version_has_is_said_to_be_of_that_version() {
    let mut store = TestStore::new();
    // Field 3, the version, and field 100, which no action has today.
    let bytes = Bytes::from_static(&[0x18, 99, 0xa2, 0x06, 0x00]);
    let entries = vec![entry(1, EPOCH, Payload::Command(bytes))];
    store.writer.execute(&[persist(entries.clone())]).unwrap();
    let error = store.writer.execute(&[WriteOp::Apply(entries)]).err();
    assert!(
        matches!(error, Some(StoreError::NewerCommands { found: 99, .. })),
        "{error:?}"
    );
}

#[test]
fn a_store_remembers_the_highest_version_of_its_commands() {
    let mut store = TestStore::new();
    for version in [0, 1, 0] {
        let mut command = store.command(create(&format!("name{}", store.last)));
        command.version = version;
        store.apply(&command);
    }
    let sql = "SELECT command_version FROM position";
    let version = || -> u32 {
        raw(store.path())
            .query_row(sql, [], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(version(), 1);
    store.last += 1;
    let entries = vec![entry(store.last, EPOCH, Payload::Config(config(&[2])))];
    let ops = [persist(entries.clone()), WriteOp::Apply(entries)];
    store.writer.execute(&ops).unwrap();

    let newer = "UPDATE position SET command_version = 99";
    raw(store.path()).execute(newer, []).unwrap();
    let error = refusal(crashed(store.path()).path()).to_string();
    let words = "the state of the store was made by a newer Tercet";
    assert!(error.contains(words), "{error}");

    let to = store.path().join("snapshot");
    let pace = snapshot::Pace {
        work: Duration::MAX,
        pause: Duration::ZERO,
        cancelled: &AtomicBool::new(false),
    };
    snapshot::take(store.path(), &to, &pace).unwrap();
    let error = snapshot::read(&to).expect_err("refused");
    let words = "the state in the snapshot was made by a newer Tercet";
    assert!(error.to_string().contains(words), "{error}");
}
