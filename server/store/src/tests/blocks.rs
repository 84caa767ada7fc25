//! Blocks: what becomes of messages of a blocked account, for either side, and how blocks end.

use tercet_types::limits::BLOCKS_MAX;

use super::*;
use crate::{
    commands::CLEANUP_ROWS,
    queries::{BlockRow, BlocksOf},
};

fn blocked_by(store: &TestStore, account_id: u64) -> Vec<BlockRow> {
    let query = BlocksOf {
        account_id,
        after: String::new(),
        limit: 10_000,
    };
    store.readers.read(&query).unwrap().rows
}

fn names_blocked_by(store: &TestStore, account_id: u64) -> Vec<String> {
    let rows = blocked_by(store, account_id).into_iter();
    rows.map(|row| row.username).collect()
}

/// Gives the texts of the conversation that one side sees, and checks that pages from both ends agree.
fn seen_by(store: &TestStore, account: u64, peer: u64) -> Vec<String> {
    let readers = &store.readers;
    let oldest = readers.messages_after(account, peer, 0, 1_000).unwrap();
    let mut newest = readers
        .messages_before(account, peer, i64::MAX as u64, 1_000)
        .unwrap();
    newest.sort_by_key(|row| row.lsn);
    assert_eq!(oldest, newest);
    let mut paged = Vec::new();
    while let Some(row) = {
        let after = paged
            .last()
            .map_or(0, |row: &crate::event::MessageRow| row.seq);
        readers
            .messages_after(account, peer, after, 1)
            .unwrap()
            .pop()
    } {
        paged.push(row);
    }
    assert_eq!(paged, oldest);
    oldest.into_iter().map(|row| row.body).collect()
}

fn inbox(store: &TestStore, account: u64) -> Vec<String> {
    let rows = store.readers.inbox(account, 0, 1_000).unwrap();
    rows.into_iter().map(|row| row.body).collect()
}

fn is_unblocked(applied: &Applied) -> bool {
    match result(applied) {
        outcome::Result::AccountUnblocked(unblocked) => unblocked.was_blocked,
        other => panic!("{other:?}"),
    }
}

#[test]
fn hidden_messages_are_the_senders_alone_for_good() {
    // With the indexes far behind, and never behind.
    for behind_max in [1, 3, 1_000] {
        let mut store = TestStore::new();
        store.writer.at.indexed.behind_max = behind_max;
        let [ann, bob] = ["Ann", "Bob"].map(|name| store.register(name));
        store.send(ann, "bob", "before");
        store.act(block(bob, "ANN", false));
        let hidden = store.command(send(ann, "bob", "hidden"));
        let sent = store.apply(&hidden);
        assert!(matches!(result(&sent), outcome::Result::MessageSent(_)));
        let [event @ Event::HiddenMessage(_)] = &sent.events[..] else {
            panic!("{:?}", sent.events);
        };
        let only_the_sender = crate::event::Audience::Account(ann);
        assert_eq!(event.audience(), only_the_sender);
        store.send(bob, "ann", "from the blocker");
        assert_eq!(store.acknowledge(bob, &[&hidden.request_id]), 0);

        let look = |store: &TestStore| {
            assert_eq!(
                seen_by(store, ann, bob)[..3],
                ["before", "hidden", "from the blocker"]
            );
            assert_eq!(
                seen_by(store, bob, ann)[..2],
                ["before", "from the blocker"]
            );
            assert_eq!(store.waiting(bob)[0], "before");
            assert_eq!(inbox(store, bob)[0], "before");
            assert_eq!(store.waiting(ann), ["from the blocker"]);
        };
        look(&store);
        assert_eq!(store.waiting(bob).len(), 1);
        assert_eq!(inbox(&store, bob), ["before", "from the blocker"]);
        let of_ann = ["before", "hidden", "from the blocker"];
        assert_eq!(inbox(&store, ann), of_ann);

        assert!(is_unblocked(&store.act(unblock(bob, "ann"))));
        store.send(ann, "bob", "after");
        look(&store);
        assert_eq!(store.waiting(bob), ["before", "after"]);
        assert_eq!(inbox(&store, bob), ["before", "from the blocker", "after"]);
        assert_eq!(seen_by(&store, ann, bob).len(), 4);
        assert_eq!(seen_by(&store, bob, ann).len(), 3);
        let ids = &store.readers.messages_after(ann, bob, 0, 10).unwrap();
        assert!(!ids[1].delivered);
        assert_eq!(store.acknowledge(bob, &[&hidden.request_id]), 0);
    }
}

#[test]
fn two_accounts_can_block_each_other() {
    let mut store = TestStore::new();
    let [ann, bob] = ["ann", "bob"].map(|name| store.register(name));
    store.act(block(bob, "ann", false));
    store.act(block(ann, "bob", false));
    store.send(ann, "bob", "1");
    store.send(bob, "ann", "2");
    store.send(ann, "bob", "3");
    assert_eq!(seen_by(&store, ann, bob), ["1", "3"]);
    assert_eq!(seen_by(&store, bob, ann), ["2"]);
    assert_eq!(store.waiting(ann), [""; 0]);
    assert_eq!(store.waiting(bob), [""; 0]);
}

#[test]
fn a_refusal_of_a_blocked_sender_is_that_of_an_unknown_name() {
    let mut store = TestStore::new();
    let [ann, bob, eve] = ["ann", "bob", "eve"].map(|name| store.register(name));
    let early = store.command(send(ann, "bob", "accepted before"));
    let accepted = store.apply(&early);
    store.act(block(bob, "ann", true));
    let unknown = store.command(send(ann, "nobody", "hello"));
    let blocked = store.command(send(ann, "bob", "hello"));
    let (of_unknown, of_blocked) = (store.apply(&unknown), store.apply(&blocked));
    assert_eq!(of_unknown.outcome, of_blocked.outcome);
    assert_eq!(refused(&of_blocked), Refusal::UnknownRecipient);
    assert_eq!(of_unknown.events, of_blocked.events);

    // A retry gets the first answer, whatever is blocked by now.
    assert_eq!(store.apply(&early).outcome, accepted.outcome);
    store.send(eve, "bob", "of another");
    assert!(is_unblocked(&store.act(unblock(bob, "ann"))));
    assert_eq!(refused(&store.apply(&blocked)), Refusal::UnknownRecipient);
    store.send(ann, "bob", "after");
    assert_eq!(seen_by(&store, ann, bob), ["accepted before", "after"]);
    assert_eq!(
        store.waiting(bob),
        ["accepted before", "of another", "after"]
    );
}

#[test]
fn the_blockers_devices_get_each_change_once() {
    let mut store = TestStore::new();
    let [ann, bob] = ["Ann", "Bob"].map(|name| store.register(name));
    let changed = |lsn, blocked, refuse| {
        let what = What::BlockChanged(BlockChanged {
            username: "Ann".to_owned(),
            account_id: ann,
            blocked,
            refuse,
        });
        change_event(lsn, bob, what)
    };
    for (action, event) in [
        (block(bob, "ann", false), Some((true, false))),
        (block(bob, "ann", false), None),
        (block(bob, "ann", true), Some((true, true))),
        (unblock(bob, "ann"), Some((false, false))),
        (unblock(bob, "ann"), None),
    ] {
        let applied = store.act(action);
        let expected: Vec<Event> = event
            .map(|(blocked, refuse)| changed(applied.lsn, blocked, refuse))
            .into_iter()
            .collect();
        assert_eq!(applied.events, expected);
    }
}

#[test]
fn a_block_that_cannot_be_is_refused() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    assert_eq!(
        refused(&store.act(block(ann, "ANN", true))),
        Refusal::OwnName
    );
    for action in [block(ann, "nobody", true), unblock(ann, "nobody")] {
        assert_eq!(refused(&store.act(action)), Refusal::UnknownAccount);
    }
    for action in [block(99, "ann", true), unblock(99, "ann")] {
        assert_eq!(refused(&store.act(action)), Refusal::AccountGone);
    }
    assert_eq!(blocked_by(&store, ann), []);
}

#[test]
fn blocks_are_bounded_and_those_with_deleted_accounts_do_not_count() {
    let mut store = TestStore::new();
    let connection = &store.writer.connection;
    let off = connection.pragma_update(None, "synchronous", "OFF");
    off.unwrap();
    let ann = store.register("ann");
    let names: Vec<String> = (0..=BLOCKS_MAX).map(|n| format!("p{n:04}")).collect();
    let creates: Vec<Command> = names
        .iter()
        .map(|name| store.command(create(name)))
        .collect();
    store.apply_all(&creates);
    let blocks: Vec<Command> = names
        .iter()
        .map(|name| store.command(block(ann, name, false)))
        .collect();
    let applied = store.apply_all(&blocks);
    assert_eq!(refused(&applied[BLOCKS_MAX]), Refusal::TooManyBlocks);
    assert_eq!(names_blocked_by(&store, ann), names[..BLOCKS_MAX]);
    // One that exists can be changed.
    store.act(block(ann, &names[7], true));
    let row = &blocked_by(&store, ann)[7];
    assert!(row.refuse && row.blocked_at_ms == store.now_ms);

    store.act(delete(row.account_id));
    assert_eq!(blocked_by(&store, ann).len(), BLOCKS_MAX - 1);
    store.act(block(ann, &names[BLOCKS_MAX], false));
    assert_eq!(blocked_by(&store, ann).len(), BLOCKS_MAX);
}

fn rows(store: &TestStore) -> (u64, u64) {
    let count = |table| {
        let sql = format!("SELECT count(*) FROM {table}");
        let connection = &store.writer.connection;
        connection.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    (count("blocks"), count("hidden_messages"))
}

#[test]
fn blocks_end_with_either_account_and_hidden_messages_with_the_recipient() {
    for version in [0, 1, COMMAND_VERSION] {
        let mut store = TestStore::new();
        let [ann, bob, eve] = ["ann", "bob", "eve"].map(|name| store.register(name));
        store.act(block(bob, "ann", false));
        store.act(block(eve, "bob", false));
        store.act(block(bob, "eve", false));
        let hidden = store.command(send(ann, "bob", "hidden"));
        let sent = store.apply(&hidden);
        store.send(eve, "bob", "hidden 1");
        store.send(eve, "bob", "hidden 2");
        store.send(bob, "eve", "hidden from eve");

        store.version = version;
        let applied = store.act(delete(bob));
        store.version = COMMAND_VERSION;
        // The sender hears of messages that are dropped as if they had waited.
        let dropped = |sender_id, count| {
            let what = What::MessagesDropped(MessagesDropped {
                recipient: "bob".to_owned(),
                recipient_id: bob,
                count,
            });
            change_event(applied.lsn, sender_id, what)
        };
        assert_eq!(applied.events[..2], [dropped(ann, 1), dropped(eve, 2)]);
        assert_eq!(seen_by(&store, ann, bob), [""; 0]);
        assert_eq!(store.apply(&hidden).outcome, sent.outcome);
        assert_eq!(rows(&store), (0, 1), "version {version}");
        assert_eq!(names_blocked_by(&store, eve), [""; 0]);

        // The next owner of the name is somebody else.
        let second = store.register("bob");
        store.send(ann, "bob", "to the second");
        store.send(second, "eve", "from the second");
        assert_eq!(store.waiting(second), ["to the second"]);
        assert_eq!(store.waiting(eve), ["from the second"]);
        store.act(delete(eve));
        assert_eq!(rows(&store), (0, 0));
    }
}

#[test]
fn a_deletion_removes_many_blocks_and_hidden_messages_piece_by_piece() {
    let mut store = TestStore::new();
    let off = store
        .writer
        .connection
        .pragma_update(None, "synchronous", "OFF");
    off.unwrap();
    let [ann, bob] = ["ann", "bob"].map(|name| store.register(name));
    store.act(block(bob, "ann", false));
    let count = 2 * CLEANUP_ROWS;
    let creates: Vec<Command> = (0..count)
        .map(|n| store.command(create(&format!("p{n}"))))
        .collect();
    let created = store.apply_all(&creates);
    let mut commands = Vec::new();
    for one in &created {
        commands.push(store.command(block(one.lsn, "bob", false)));
        commands.push(store.command(send(ann, "bob", "hidden")));
    }
    store.apply_all(&commands);
    assert_eq!(rows(&store), (count as u64 + 1, count as u64));

    store.act(delete(bob));
    assert!(rows(&store).0 > 0);
    // Nobody sees what is left.
    assert_eq!(seen_by(&store, ann, bob), [""; 0]);
    assert_eq!(blocked_by(&store, created[0].lsn), []);
    let mut commands = 0;
    let left = |store: &TestStore| {
        let sql = "SELECT count(*) FROM cleanups";
        let connection = &store.writer.connection;
        connection
            .query_row(sql, [], |row| row.get::<_, u64>(0))
            .unwrap()
    };
    while left(&store) > 0 {
        store.apply(&clean_up());
        commands += 1;
        assert!(commands < 10);
    }
    assert!(commands > 2, "{commands}");
    assert_eq!(rows(&store), (0, 0));
    let messages: u64 = store
        .writer
        .connection
        .query_row("SELECT count(*) FROM messages", [], |row| row.get(0))
        .unwrap();
    assert_eq!(messages, 0);
}

#[test]
fn a_plain_send_reads_no_blocks_once_the_recipient_is_known() {
    let mut store = TestStore::new();
    let [ann, bob, eve] = ["ann", "bob", "eve"].map(|name| store.register(name));
    store.send(ann, "bob", "learns it");
    // The cache alone says so: the table has a block that no command made.
    let sneaked = store
        .writer
        .connection
        .execute("INSERT INTO blocks VALUES (?1, ?2, 1, 0)", [bob, ann]);
    assert_eq!(sneaked.unwrap(), 1);
    store.send(ann, "bob", "still read from the cache");
    // A command that changes the account's blocks counts at once.
    store.act(block(bob, "eve", false));
    assert_eq!(
        refused(&store.act(send(ann, "bob", "now read"))),
        Refusal::UnknownRecipient
    );
    store.send(eve, "bob", "hidden");
    assert_eq!(store.waiting(bob).len(), 2);
}
