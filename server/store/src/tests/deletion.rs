//! The deletion of an account: the rows that stay, and those that the next owner of the name sees.

use super::*;

#[test]
fn deleting_drops_what_waits_and_keeps_what_was_delivered() {
    for version in 0..=COMMAND_VERSION {
        delete_and_look(version);
    }
}

fn delete_and_look(version: u32) {
    let mut store = TestStore::new();
    store.version = version;
    let ann = store.register("Ann");
    let bob = store.register("Bob");
    let eve = store.register("Eve");
    store.act(log_in(bob, 1, 9_000));
    store.act(log_in(bob, 2, 9_000));
    store.act(log_in(ann, 3, 9_000));
    let (read, _) = store.send(ann, "bob", "read");
    store.acknowledge(bob, &[&read]);
    store.send(ann, "bob", "waiting 1");
    store.send(eve, "bob", "waiting 2");
    store.send(ann, "bob", "waiting 3");
    store.send(bob, "ann", "from bob");

    let applied = store.act(delete(bob));
    let outcome::Result::AccountDeleted(deleted) = result(&applied) else {
        panic!("{applied:?}");
    };
    assert_eq!(deleted.messages_dropped, 3);
    let dropped = |sender_id, count| {
        let what = What::MessagesDropped(MessagesDropped {
            recipient: "Bob".to_owned(),
            recipient_id: bob,
            count,
        });
        change_event(applied.lsn, sender_id, what)
    };
    let deleted = Event::AccountDeleted {
        lsn: applied.lsn,
        account_id: bob,
    };
    assert_eq!(applied.events, [dropped(ann, 2), dropped(eve, 1), deleted]);

    assert_eq!(store.readers.account_by_name("bob").unwrap(), None);
    assert_eq!(store.readers.account_by_id(bob).unwrap(), None);
    assert_eq!(store.readers.session(&[1; 32]).unwrap(), None);
    assert_eq!(store.readers.session(&[2; 32]).unwrap(), None);
    assert!(store.readers.session(&[3; 32]).unwrap().is_some());
    // Ann still has what Bob read and what he wrote.
    let history = store.readers.messages_after(ann, bob, 0, 10).unwrap();
    let bodies: Vec<&str> = history.iter().map(|row| row.body.as_str()).collect();
    assert_eq!(bodies, ["read", "from bob"]);
    assert!(history[0].recipient_deleted && !history[0].sender_deleted);
    assert!(history[1].sender_deleted && !history[1].recipient_deleted);
    assert_eq!(history[1].sender, "Bob");
    assert_eq!(store.waiting(ann), ["from bob"]);
    assert_eq!(refused(&store.act(delete(bob))), Refusal::AccountGone);
}

#[test]
fn a_deleted_account_has_no_password_hash() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    store.act(delete(ann));
    let hash: String = raw(store.path())
        .query_row("SELECT password_hash FROM users", [], |row| row.get(0))
        .unwrap();
    assert_eq!(hash, "");
}

#[test]
fn the_next_owner_of_a_name_sees_nothing_of_the_last() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let first = store.register("bob");
    store.act(log_in(first, 1, 9_000));
    let (read, _) = store.send(ann, "bob", "to the first");
    store.acknowledge(first, &[&read]);
    store.send(ann, "bob", "waits for the first");
    store.send(first, "ann", "from the first");
    store.act(delete(first));

    let second = store.register("BOB");
    assert_ne!(first, second);
    assert_eq!(store.waiting(second), [""; 0]);
    assert_eq!(store.readers.inbox(second, 0, 10).unwrap(), []);
    assert_eq!(
        store.readers.messages_after(ann, second, 0, 10).unwrap(),
        []
    );
    assert_eq!(store.readers.session(&[1; 32]).unwrap(), None);
    assert_eq!(store.acknowledge(second, &[&read]), 0);
    store.send(ann, "bob", "to the second");
    assert_eq!(store.waiting(second), ["to the second"]);
    // The first one's history is still there for Ann, by id.
    assert_eq!(
        store
            .readers
            .messages_after(ann, first, 0, 10)
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn a_name_resolves_to_its_owner_else_to_the_last_one_known() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let eve = store.register("eve");
    let peer = |store: &TestStore, account| store.readers.peer_by_name(account, "Bob").unwrap();
    assert_eq!(peer(&store, ann), None);

    let first = store.register("bob");
    assert_eq!(peer(&store, ann), Some(first));
    let (read, _) = store.send(ann, "bob", "1");
    store.acknowledge(first, &[&read]);
    store.act(delete(first));
    assert_eq!(peer(&store, ann), Some(first));
    // Eve had no messages with him.
    assert_eq!(peer(&store, eve), None);
    assert_eq!(peer(&store, u64::MAX), None);

    let second = store.register("Bob");
    assert_eq!(peer(&store, ann), Some(second));
    assert_eq!(peer(&store, eve), Some(second));
    // What waits for the second goes with him: no message is left between him and Eve.
    store.send(eve, "bob", "2");
    store.send(second, "ann", "3");
    store.act(delete(second));
    assert_eq!(peer(&store, eve), None);
    assert_eq!(peer(&store, ann), Some(second));

    // A third, whom Ann never wrote to, leaves no trace in what she can name.
    let third = store.register("bob");
    assert_eq!(peer(&store, ann), Some(third));
    store.act(delete(third));
    assert_eq!(peer(&store, ann), Some(second));
}

#[test]
fn an_account_that_wrote_to_itself_can_go() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    store.send(ann, "ann", "note");
    let applied = store.act(delete(ann));
    let outcome::Result::AccountDeleted(deleted) = result(&applied) else {
        panic!("{applied:?}");
    };
    assert_eq!(deleted.messages_dropped, 1);
    assert_eq!(applied.events.len(), 2);
}
