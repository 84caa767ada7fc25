//! Earlier texts of edited messages, in rooms that keep them.

use super::*;
use crate::{
    event::MessageKind,
    queries::{EarlierText, Edits},
    rooms::Denied,
};

fn read(store: &TestStore, account_id: u64, seq: u64) -> Result<Option<Vec<EarlierText>>, Denied> {
    let query = Edits {
        account_id,
        room: "tea".to_owned(),
        seq,
    };
    store.readers.read(&query).unwrap()
}

fn texts(store: &TestStore, account_id: u64, seq: u64) -> Vec<String> {
    let found = read(store, account_id, seq).unwrap();
    let texts = found.expect("a message").into_iter();
    texts.map(|text| text.body).collect()
}

/// Counts the rows with a text.
fn rows_with(store: &TestStore, text: &str) -> u64 {
    let sql = "SELECT (SELECT count(*) FROM room_messages WHERE body LIKE ?1)
                    + (SELECT count(*) FROM messages WHERE body LIKE ?1)
                    + (SELECT count(*) FROM earlier_texts WHERE body LIKE ?1)
                    + (SELECT count(*) FROM changes WHERE CAST(payload AS TEXT) LIKE ?1)
                    + (SELECT count(*) FROM answers WHERE CAST(outcome AS TEXT) LIKE ?1)";
    let connection = &store.writer.connection;
    let like = format!("%{text}%");
    connection.query_row(sql, [like], |row| row.get(0)).unwrap()
}

#[test]
fn a_room_keeps_earlier_texts_only_while_its_owner_has_it_so() {
    let mut store = TestStore::new();
    let [ann, bob, cy] = ["ann", "bob", "cy"].map(|name| store.register(name));
    store.act(create_room(ann, "tea", true));
    store.act(join(bob, "tea"));
    store.act(send_to_room(bob, "tea", "first"));
    store.act(edit(bob, "#tea", 3, "second"));
    assert_eq!(rows_with(&store, "first"), 0);
    let keep = |account, keeps| change_room(account, "tea", Change::KeepsEdits(keeps));
    store.act(promote(ann, "tea", "bob", Role::Admin));
    assert_eq!(refused(&store.act(keep(bob, true))), Refusal::RoleMayNot);
    assert_eq!(store.changed(keep(ann, true)), 5);
    assert_eq!(store.changed(keep(ann, true)), 0);
    store.act(edit(bob, "#tea", 3, "third"));
    store.clear_cache();
    store.act(edit(bob, "#tea", 3, "fourth"));
    assert_eq!(texts(&store, ann, 3), ["second", "third"]);
    assert_eq!(store.changed(keep(ann, false)), 6);
    store.act(edit(bob, "#tea", 3, "fifth"));
    assert_eq!(texts(&store, ann, 3), ["second", "third"]);
    assert_eq!(rows_with(&store, "fourth"), 0);
    let told: Vec<MessageKind> = store.room(ann, "tea")[4..]
        .iter()
        .map(|row| row.kind)
        .collect();
    assert_eq!(told, [MessageKind::KeepsEdits, MessageKind::ForgetsEdits]);

    // Each text has the times at which it was written and replaced.
    let kept = read(&store, ann, 3).unwrap().expect("a message");
    assert_eq!(kept[0].replaced_at_ms, kept[1].written_at_ms);
    assert!(kept[0].written_at_ms < kept[0].replaced_at_ms);
    for (account, seq, expected) in [
        (ann, 9, Ok(None)),
        (ann, 1, Ok(Some(Vec::new()))),
        (cy, 3, Err(Denied::NotAMember)),
    ] {
        assert_eq!(read(&store, account, seq), expected);
    }
}

#[test]
fn a_deletion_erases_earlier_texts() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    store.act(create_room(ann, "tea", true));
    store.changed(change_room(ann, "tea", Change::KeepsEdits(true)));
    store.act(send_to_room(ann, "tea", "secret"));
    store.act(edit(ann, "#tea", 3, "another secret"));
    store.act(edit(ann, "#tea", 3, "last secret"));
    assert_eq!(rows_with(&store, "secret"), 3);
    store.act(delete_message(ann, "#tea", 3));
    assert_eq!(rows_with(&store, "secret"), 0);
    assert_eq!(texts(&store, ann, 3), [""; 0]);
    // A direct message keeps none.
    store.act(send(ann, "ann", "a note"));
    store.act(edit(ann, "ann", 1, "another"));
    assert_eq!(rows_with(&store, "a note"), 0);
}

#[test]
fn a_message_keeps_its_newest_earlier_texts() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    store.act(create_room(ann, "tea", true));
    store.changed(change_room(ann, "tea", Change::KeepsEdits(true)));
    store.act(send_to_room(ann, "tea", "0"));
    for n in 1..=52 {
        store.act(edit(ann, "#tea", 3, &n.to_string()));
    }
    let expected: Vec<String> = (2..=51).map(|n| n.to_string()).collect();
    assert_eq!(texts(&store, ann, 3), expected);
}
