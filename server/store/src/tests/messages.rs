//! Messages of rooms after they were sent: replies, edits, deletions and reactions.

use super::{state::Numbers, *};
use crate::{
    event::{Reaction, RoomMessageRow},
    queries::{MessageAt, PageLimit, RoomHistory, Step},
};

/// Makes a command about a message, of any kind, for the random life of all commands.
pub(super) fn action(numbers: &mut Numbers, account: u64, n: usize) -> Action {
    let room = format!("Room{}", numbers.below(3));
    let seq = numbers.below(12);
    let is_direct = (n / 2).is_multiple_of(2);
    let (place, seq) = match is_direct {
        true => (format!("User{}", seq / 2), seq % 4),
        false => (format!("#{room}"), seq),
    };
    match numbers.below(10) {
        0 | 1 => edit(account, &place, seq, &format!("edited {n}")),
        2 => delete_message(account, &place, seq),
        3 => react(
            account,
            &place,
            seq,
            ["+1", "-1"][n % 2],
            n.is_multiple_of(3),
        ),
        6 if is_direct => reply_direct(account, &place, &format!("body {n}"), seq),
        4 | 5 => join(account, &room),
        6 => reply(account, &room, &format!("body {n}"), seq),
        7 | 8 => pin(account, &place, seq, n.is_multiple_of(3)),
        _ => send_to_room(account, &room, &format!("body {n}")),
    }
}

/// A room `tea` of an owner and two members: the messages begin with seq 4.
fn room() -> (TestStore, [u64; 3]) {
    let mut store = TestStore::new();
    let people = ["ann", "bob", "cy"].map(|name| store.register(name));
    store.act(create_room(people[0], "tea", true));
    store.act(join(people[1], "tea"));
    store.act(join(people[2], "tea"));
    (store, people)
}

fn history(store: &TestStore, account_id: u64) -> Vec<RoomMessageRow> {
    let query = RoomHistory {
        account_id,
        room: crate::queries::RoomKey::Name("tea".to_owned()),
        start: Step::After(3).into(),
        limit: PageLimit {
            rows: 1_000,
            bytes: 1 << 20,
        },
    };
    store.readers.read(&query).unwrap().unwrap().messages.rows
}

fn changed(applied: &Applied) -> (u64, u64) {
    match result(applied) {
        outcome::Result::MessageChanged(changed) => (changed.seq, changed.lsn),
        other => panic!("{other:?}"),
    }
}

/// Counts the rows of a table in which a text occurs.
fn rows_with(store: &TestStore, text: &str) -> u64 {
    let sql = "SELECT (SELECT count(*) FROM room_messages WHERE body LIKE ?1)
                    + (SELECT count(*) FROM changes WHERE CAST(payload AS TEXT) LIKE ?1)
                    + (SELECT count(*) FROM answers WHERE CAST(outcome AS TEXT) LIKE ?1)";
    let like = format!("%{text}%");
    let connection = &store.writer.connection;
    connection.query_row(sql, [like], |row| row.get(0)).unwrap()
}

#[test]
fn a_reply_names_a_message_of_its_room() {
    let (mut store, [ann, bob, _]) = room();
    store.act(send_to_room(ann, "tea", "who is there?"));
    store.act(reply(bob, "Tea", "me", 4));
    for seq in [6, 7, u64::MAX] {
        let refusal = refused(&store.act(reply(bob, "tea", "to nothing", seq)));
        assert_eq!(refusal, Refusal::UnknownMessage, "{seq}");
    }
    let replies: Vec<_> = history(&store, ann)
        .iter()
        .map(|row| row.parts.reply_to)
        .collect();
    assert_eq!(replies, [None, Some(4)]);
}

#[test]
fn the_sender_edits_a_text_and_a_retry_of_the_sending_gets_its_answer() {
    let (mut store, [ann, bob, _]) = room();
    let sending = store.command(send_to_room(bob, "tea", "the frist text"));
    let sent = store.apply(&sending);
    // Of the indexed messages, and of those that are not yet.
    for n in 0..5 {
        let applied = store.act(edit(bob, "#tea", 4, &format!("text {n}")));
        assert_eq!(changed(&applied), (4, applied.lsn));
        let what = What::MessageEdited(tercet_proto::log::MessageEdited {
            conversation_id: 4,
            seq: 4,
        });
        let [Event::Change { row, members }] = &applied.events[..] else {
            panic!("{:?}", applied.events);
        };
        assert_eq!((&row.what, members.len()), (&what, 3));
        let row = history(&store, ann).remove(0);
        assert_eq!(row.body, format!("text {n}"));
        assert_eq!(row.parts.edited_at_ms, Some(store.now_ms));
        store.act(send_to_room(ann, "tea", "more"));
    }
    assert_eq!(store.apply(&sending).outcome, sent.outcome);
    assert_eq!(rows_with(&store, "frist"), 0);
    for (by, seq, refusal) in [
        (ann, 4, Refusal::NotYourMessage),
        (bob, 3, Refusal::NotAText),
        (bob, 10, Refusal::UnknownMessage),
        (bob, 0, Refusal::UnknownMessage),
    ] {
        assert_eq!(refused(&store.act(edit(by, "#tea", seq, "x"))), refusal);
    }
}

#[test]
fn a_deleted_message_keeps_its_place_and_nothing_of_its_text() {
    let (mut store, [ann, bob, cy]) = room();
    let sending = store.command(send_to_room(bob, "tea", "a secret"));
    let sent = store.apply(&sending);
    store.act(send_to_room(bob, "tea", "another secret"));
    store.act(edit(bob, "#tea", 4, "still a secret"));
    store.act(react(cy, "#tea", 4, "+1", false));
    assert_eq!(
        refused(&store.act(delete_message(cy, "#tea", 4))),
        Refusal::RoleMayNot
    );
    assert_eq!(changed(&store.act(delete_message(bob, "#tea", 4))).0, 4);
    // The owner deletes those of others.
    assert_eq!(changed(&store.act(delete_message(ann, "#tea", 5))).0, 5);
    let again = store.act(delete_message(ann, "#tea", 4));
    assert_eq!((changed(&again), again.events.len()), ((4, 0), 0));
    let rows = history(&store, cy);
    for row in &rows {
        assert_eq!((row.body.as_str(), row.sender.as_str()), ("", "bob"));
        assert!(row.parts.deleted_at_ms.is_some() && row.parts.reactions.is_empty());
    }
    assert_eq!(rows.len(), 2);
    assert_eq!(rows_with(&store, "secret"), 0);
    assert_eq!(store.apply(&sending).outcome, sent.outcome);
    for action in [
        edit(bob, "#tea", 4, "again"),
        react(cy, "#tea", 4, "+1", false),
    ] {
        assert_eq!(refused(&store.act(action)), Refusal::MessageDeleted);
    }
}

#[test]
fn reactions_are_counted_once_for_each_account_and_are_of_few_kinds() {
    let (mut store, [ann, bob, cy]) = room();
    store.act(send_to_room(ann, "tea", "cake?"));
    for by in [bob, cy, bob] {
        store.act(react(by, "#tea", 4, "+1", false));
    }
    store.act(react(cy, "#tea", 4, "no", false));
    let seen = |store: &TestStore, by| history(store, by).remove(0).parts.reactions;
    let reaction = |reaction: &str, count, own| Reaction {
        reaction: reaction.to_owned(),
        count,
        own,
    };
    assert_eq!(
        seen(&store, bob),
        [reaction("+1", 2, true), reaction("no", 1, false)]
    );
    let removed = store.act(react(bob, "#tea", 4, "+1", true));
    assert_eq!(removed.events.len(), 1);
    assert_eq!(store.act(react(bob, "#tea", 4, "+1", true)).events, []);
    assert_eq!(seen(&store, bob)[0], reaction("+1", 1, false));
    for n in 2..20 {
        changed(&store.act(react(ann, "#tea", 4, &format!("kind {n}"), false)));
    }
    let one_more = store.act(react(ann, "#tea", 4, "one more", false));
    assert_eq!(refused(&one_more), Refusal::TooManyReactions);
    changed(&store.act(react(ann, "#tea", 4, "+1", false)));
}

#[test]
fn only_members_find_a_message() {
    let (mut store, [ann, bob, _]) = room();
    store.act(send_to_room(ann, "tea", "hello"));
    let at = |store: &TestStore, account_id, seq| {
        let query = MessageAt {
            account_id,
            conversation_id: 4,
            seq,
        };
        let found = store.readers.read(&query).unwrap();
        found.map(|row| row.body().to_owned())
    };
    assert_eq!(at(&store, bob, 4).as_deref(), Some("hello"));
    assert_eq!(at(&store, bob, 5), None);
    store.act(leave(bob, "tea"));
    assert_eq!(at(&store, bob, 4), None);
    let refusal = refused(&store.act(react(bob, "#tea", 4, "+1", false)));
    assert_eq!(refusal, Refusal::NotAMember);
}
