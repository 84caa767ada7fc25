//! Pinned messages: who pins, what the others learn, what takes a pin back, and the list.

use super::*;
use crate::{
    event::MessageKind,
    queries::{FoundRow, NoPins, PinRow, Pins, PinsOf},
    rooms::Denied,
};

fn read(store: &TestStore, account_id: u64, of: PinsOf) -> Result<Vec<PinRow>, NoPins> {
    store.readers.read(&Pins { account_id, of }).unwrap()
}

/// Gives the seqs, texts and pinning accounts of a list.
fn list(rows: &[PinRow]) -> Vec<(u64, &str, &str)> {
    let of = |row: &'_ PinRow| match &row.message {
        FoundRow::Direct(message) => message.seq,
        FoundRow::Room(message) => message.seq,
    };
    rows.iter()
        .map(|row| (of(row), row.message.body(), row.pinned_by.as_str()))
        .collect()
}

fn in_room(store: &TestStore, account_id: u64) -> Vec<PinRow> {
    read(store, account_id, PinsOf::Room("Tea".to_owned())).expect("a member")
}

fn direct(store: &TestStore, account_id: u64, peer: &str) -> Vec<PinRow> {
    read(store, account_id, PinsOf::Account(peer.to_owned())).expect("a peer")
}

/// Counts the rows of pins.
fn rows(store: &TestStore) -> u64 {
    let connection = &store.writer.connection;
    let sql = "SELECT count(*) FROM pins";
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn changed(applied: &Applied) -> (u64, u64) {
    match result(applied) {
        outcome::Result::MessageChanged(changed) => (changed.seq, changed.lsn),
        other => panic!("{other:?}"),
    }
}

#[test]
fn admins_and_owners_pin_in_a_room_whose_members_are_told() {
    let mut store = TestStore::new();
    let [ann, bob, cy, dan] = ["ann", "bob", "cy", "dan"].map(|name| store.register(name));
    store.act(create_room(ann, "tea", true));
    store.act(join(bob, "tea"));
    store.act(join(cy, "tea"));
    store.act(promote(ann, "tea", "bob", Role::Admin));
    store.act(send_to_room(cy, "tea", "the address"));
    store.act(send_to_room(ann, "tea", "the time"));
    for (account, refusal) in [(cy, Refusal::RoleMayNot), (dan, Refusal::NotAMember)] {
        for remove in [false, true] {
            assert_eq!(
                refused(&store.act(pin(account, "#tea", 5, remove))),
                refusal
            );
        }
    }
    let pinned = store.act(pin(bob, "#tea", 5, false));
    assert_eq!(changed(&pinned), (5, store.last));
    let [Event::RoomMessage { row, members, .. }] = &pinned.events[..] else {
        panic!("{:?}", pinned.events);
    };
    assert_eq!(
        (row.kind, row.body.as_str(), row.seq),
        (MessageKind::Pinned, "5", 7)
    );
    assert_eq!(&members[..], [ann, bob, cy]);
    let again = store.act(pin(ann, "#tea", 5, false));
    assert_eq!((changed(&again), again.events.len()), ((5, 0), 0));
    changed(&store.act(pin(ann, "#tea", 6, false)));
    let expected = [(6, "the time", "ann"), (5, "the address", "bob")];
    assert_eq!(list(&in_room(&store, cy)), expected);
    assert_eq!(
        read(&store, dan, PinsOf::Room("tea".to_owned())),
        Err(NoPins::Denied(Denied::NotAMember))
    );

    // An edited message stays pinned, a deleted one does not.
    store.act(edit(ann, "#tea", 6, "at noon"));
    store.act(delete_message(cy, "#tea", 5));
    assert_eq!(list(&in_room(&store, cy)), [(6, "at noon", "ann")]);
    let deleted = store.act(pin(ann, "#tea", 5, false));
    assert_eq!(refused(&deleted), Refusal::MessageDeleted);
    assert_eq!(changed(&store.act(pin(ann, "#tea", 5, true))), (5, 0));
    let of_system = store.act(pin(ann, "#tea", 7, false));
    assert_eq!(refused(&of_system), Refusal::NotAText);
    let unpinned = store.act(pin(bob, "#tea", 6, true));
    let [Event::RoomMessage { row, .. }] = &unpinned.events[..] else {
        panic!("{:?}", unpinned.events);
    };
    assert_eq!((row.kind, row.body.as_str()), (MessageKind::Unpinned, "6"));
    assert_eq!(in_room(&store, ann), []);
}

#[test]
fn both_accounts_pin_in_a_direct_conversation_and_see_what_is_theirs_to_see() {
    let mut store = TestStore::new();
    let [ann, bob, cy] = ["ann", "bob", "cy"].map(|name| store.register(name));
    assert_eq!(direct(&store, ann, "bob"), []);
    store.act(send(ann, "bob", "one"));
    store.act(send(bob, "ann", "two"));
    let pinned = store.act(pin(ann, "bob", 2, false));
    let [Event::Change { row, members }] = &pinned.events[..] else {
        panic!("{:?}", pinned.events);
    };
    assert!(matches!(&row.what, What::PinChanged(pin) if pin.seq == 2 && !pin.removed));
    assert_eq!(&members[..], [ann, bob]);
    changed(&store.act(pin(bob, "ann", 1, false)));
    let expected = [(1, "one", "bob"), (2, "two", "ann")];
    assert_eq!(list(&direct(&store, ann, "bob")), expected);
    assert_eq!(list(&direct(&store, bob, "ann")), expected);
    assert_eq!(direct(&store, cy, "bob"), []);
    let unknown = store.act(pin(cy, "bob", 1, false));
    assert_eq!(refused(&unknown), Refusal::UnknownMessage);
    let nobody = read(&store, ann, PinsOf::Account("nobody".to_owned()));
    assert_eq!(nobody, Err(NoPins::UnknownPeer));
    changed(&store.act(pin(ann, "bob", 1, true)));
    assert_eq!(list(&direct(&store, bob, "ann")), [(2, "two", "ann")]);

    // What is hidden from bob, its sender alone pins and sees; bob is told nothing.
    store.act(block(bob, "ann", false));
    store.act(send(ann, "bob", "hidden"));
    let pinned = store.act(pin(ann, "bob", 3, false));
    assert!(matches!(&pinned.events[..], [Event::Change { members, .. }] if members[..] == [ann]));
    assert_eq!(list(&direct(&store, ann, "bob"))[0].1, "hidden");
    assert_eq!(list(&direct(&store, bob, "ann")), [(2, "two", "ann")]);
    let hidden = store.act(pin(bob, "ann", 3, true));
    assert_eq!(refused(&hidden), Refusal::UnknownMessage);

    // The pins of messages that are dropped go with them.
    changed(&store.act(pin(bob, "ann", 1, false)));
    assert_eq!(rows(&store), 3);
    store.act(delete(bob));
    for _ in 0..5 {
        store.apply(&clean_up());
    }
    assert_eq!(list(&direct(&store, ann, "bob")), [(2, "two", "ann")]);
    assert_eq!(rows(&store), 1);
}

#[test]
fn a_conversation_has_a_limit_of_pins() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    for n in 1..=51 {
        store.act(send(ann, "ann", "a note"));
        if n <= 50 {
            changed(&store.act(pin(ann, "ann", n, false)));
        }
    }
    let full = store.act(pin(ann, "ann", 51, false));
    assert_eq!(refused(&full), Refusal::TooManyPins);
    assert_eq!(changed(&store.act(pin(ann, "ann", 50, false))), (50, 0));
    store.act(delete_message(ann, "ann", 3));
    changed(&store.act(pin(ann, "ann", 51, false)));
    let seqs: Vec<u64> = list(&direct(&store, ann, "ann"))
        .iter()
        .map(|pin| pin.0)
        .collect();
    assert_eq!(seqs.len(), 50);
    assert_eq!((seqs[0], seqs[49]), (51, 1));
}
