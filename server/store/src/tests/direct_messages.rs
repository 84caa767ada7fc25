//! Direct messages after they were sent: replies, edits, deletions and reactions.

use super::*;
use crate::{
    event::{MessageRow, Reaction},
    queries::{Conversation, FoundRow, Inbox, MessageAt, PageLimit, Peer, Step, Undelivered},
};

const LIMIT: PageLimit = PageLimit {
    rows: 1_000,
    bytes: 1 << 20,
};

fn people() -> (TestStore, [u64; 3]) {
    let mut store = TestStore::new();
    let people = ["ann", "bob", "cy"].map(|name| store.register(name));
    (store, people)
}

fn history(store: &TestStore, account_id: u64, peer: &str) -> Vec<MessageRow> {
    let query = Conversation {
        account_id,
        peer: Peer::Name(peer.to_owned()),
        start: Step::After(0).into(),
        limit: LIMIT,
    };
    let page = store.readers.read(&query).unwrap();
    page.expect("a peer").messages.rows
}

fn changed(applied: &Applied) -> (u64, u64) {
    match result(applied) {
        outcome::Result::MessageChanged(changed) => (changed.seq, changed.lsn),
        other => panic!("{other:?}"),
    }
}

/// Gives the accounts that learn of the one change of an entry.
fn told(applied: &Applied) -> &[u64] {
    let [Event::Change { members, .. }] = &applied.events[..] else {
        panic!("{:?}", applied.events);
    };
    members
}

/// Gives the id of the conversation of two accounts, the first of which has the lower id.
fn conversation(store: &TestStore, low: u64, high: u64) -> u64 {
    let sql = "SELECT id FROM conversations WHERE low_account = ?1 AND high_account = ?2";
    let connection = &store.writer.connection;
    connection
        .query_row(sql, [low, high], |row| row.get(0))
        .unwrap()
}

/// Counts the rows in which a text occurs.
fn rows_with(store: &TestStore, text: &str) -> u64 {
    let sql = "SELECT (SELECT count(*) FROM messages WHERE body LIKE ?1)
                    + (SELECT count(*) FROM changes WHERE CAST(payload AS TEXT) LIKE ?1)
                    + (SELECT count(*) FROM answers WHERE CAST(outcome AS TEXT) LIKE ?1)";
    let like = format!("%{text}%");
    let connection = &store.writer.connection;
    connection.query_row(sql, [like], |row| row.get(0)).unwrap()
}

fn count(store: &TestStore, table: &str) -> u64 {
    let sql = format!("SELECT count(*) FROM {table}");
    let connection = &store.writer.connection;
    connection.query_row(&sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_reply_names_a_message_that_its_sender_sees() {
    let (mut store, [ann, bob, cy]) = people();
    store.send(ann, "bob", "who is there?");
    let reply = store.act(reply_direct(bob, "Ann", "me", 1));
    let [Event::Message(row)] = &reply.events[..] else {
        panic!("{:?}", reply.events);
    };
    assert_eq!((row.seq, row.parts.reply_to), (2, Some(1)));
    for seq in [3, 4, u64::MAX] {
        let refusal = refused(&store.act(reply_direct(bob, "ann", "to nothing", seq)));
        assert_eq!(refusal, Refusal::UnknownMessage, "{seq}");
    }
    let other = refused(&store.act(reply_direct(cy, "ann", "not mine", 1)));
    assert_eq!(other, Refusal::UnknownMessage);
    store.send(ann, "ann", "a note");
    store.act(reply_direct(ann, "ann", "about it", 1));
    let replies = |account, peer| -> Vec<_> {
        let rows = history(&store, account, peer);
        rows.iter().map(|row| row.parts.reply_to).collect()
    };
    assert_eq!(replies(ann, "bob"), [None, Some(1)]);
    assert_eq!(replies(ann, "ann"), [None, Some(1)]);
    // The other reads of messages have it too.
    let inbox = Inbox {
        account_id: ann,
        after: 0,
        limit: LIMIT,
    };
    let rows = store.readers.read(&inbox).unwrap().rows;
    assert_eq!(rows[1].parts.reply_to, Some(1));
}

#[test]
fn the_sender_edits_a_text_and_both_accounts_are_told() {
    let (mut store, [ann, bob, cy]) = people();
    let sending = store.command(send(bob, "ann", "the frist text"));
    let sent = store.apply(&sending);
    // Of the indexed messages, and of those that are not yet.
    for n in 0..5 {
        let applied = store.act(edit(bob, "Ann", 1, &format!("text {n}")));
        assert_eq!(changed(&applied), (1, applied.lsn));
        assert_eq!(told(&applied), [ann, bob]);
        for (reader, peer) in [(ann, "bob"), (bob, "ann")] {
            let row = history(&store, reader, peer).remove(0);
            assert_eq!(row.body, format!("text {n}"));
            assert_eq!(row.parts.edited_at_ms, Some(store.now_ms));
        }
        store.send(ann, "bob", "more");
    }
    assert_eq!(store.apply(&sending).outcome, sent.outcome);
    assert_eq!(rows_with(&store, "frist"), 0);
    for (by, peer, seq, refusal) in [
        (ann, "bob", 1, Refusal::NotYourMessage),
        (bob, "ann", 7, Refusal::UnknownMessage),
        (bob, "ann", 0, Refusal::UnknownMessage),
        (cy, "ann", 1, Refusal::UnknownMessage),
        (bob, "bob", 1, Refusal::UnknownMessage),
        (bob, "nobody", 1, Refusal::UnknownAccount),
    ] {
        assert_eq!(refused(&store.act(edit(by, peer, seq, "x"))), refusal);
    }
    store.send(ann, "ann", "a ntoe");
    let applied = store.act(edit(ann, "ann", 1, "a note"));
    assert_eq!(told(&applied), [ann]);
    assert_eq!(history(&store, ann, "ann")[0].body, "a note");
}

#[test]
fn a_deleted_message_keeps_its_place_and_nothing_of_its_text() {
    let (mut store, [ann, bob, _]) = people();
    let sending = store.command(send(bob, "ann", "a secret"));
    let sent = store.apply(&sending);
    store.act(edit(bob, "ann", 1, "still a secret"));
    store.act(react(ann, "bob", 1, "+1", false));
    let others = refused(&store.act(delete_message(ann, "bob", 1)));
    assert_eq!(others, Refusal::NotYourMessage);
    let applied = store.act(delete_message(bob, "ann", 1));
    assert_eq!((changed(&applied).0, told(&applied)), (1, &[ann, bob][..]));
    let again = store.act(delete_message(bob, "ann", 1));
    assert_eq!((changed(&again), again.events.len()), ((1, 0), 0));
    let row = history(&store, ann, "bob").remove(0);
    assert_eq!(
        (row.seq, row.sender.as_str(), row.body.as_str()),
        (1, "bob", "")
    );
    assert!(row.parts.deleted_at_ms.is_some() && row.parts.reactions.is_empty());
    assert_eq!(rows_with(&store, "secret"), 0);
    assert_eq!(store.apply(&sending).outcome, sent.outcome);
    for action in [
        edit(bob, "ann", 1, "again"),
        react(ann, "bob", 1, "+1", false),
    ] {
        assert_eq!(refused(&store.act(action)), Refusal::MessageDeleted);
    }
    // It still waits for its recipient, who acknowledges it as any other.
    let waiting = Undelivered {
        account_id: ann,
        after: 0,
        limit: LIMIT,
    };
    let waiting = store.readers.read(&waiting).unwrap().rows;
    assert_eq!(waiting.len(), 1);
    assert!(waiting[0].parts.deleted_at_ms.is_some());
    assert_eq!(store.acknowledge(ann, &[&sending.request_id]), 1);
}

#[test]
fn reactions_of_both_accounts_are_counted() {
    let (mut store, [ann, bob, cy]) = people();
    store.send(ann, "bob", "cake?");
    for (by, peer) in [(bob, "ann"), (ann, "bob"), (bob, "ann")] {
        store.act(react(by, peer, 1, "+1", false));
    }
    let refusal = refused(&store.act(react(cy, "ann", 1, "+1", false)));
    assert_eq!(refusal, Refusal::UnknownMessage);
    let seen = |store: &TestStore, by, peer| history(store, by, peer).remove(0).parts.reactions;
    let both = Reaction {
        reaction: "+1".to_owned(),
        count: 2,
        own: true,
    };
    assert_eq!(seen(&store, ann, "bob"), std::slice::from_ref(&both));
    let removed = store.act(react(ann, "bob", 1, "+1", true));
    assert_eq!(told(&removed), [ann, bob]);
    let one = Reaction {
        count: 1,
        own: false,
        ..both
    };
    assert_eq!(seen(&store, ann, "bob"), [one]);
    assert_eq!(store.act(react(ann, "bob", 1, "+1", true)).events, []);
}

#[test]
fn an_account_that_blocks_another_one_is_told_of_none_of_its_changes() {
    let (mut store, [ann, bob, _]) = people();
    store.send(bob, "ann", "seen");
    store.act(block(ann, "bob", false));
    store.send(bob, "ann", "hidden");
    // The hidden message is its sender's alone, whether it is indexed or not.
    for n in 0..4 {
        let applied = store.act(edit(bob, "ann", 2, &format!("still hidden {n}")));
        assert_eq!(told(&applied), [bob]);
        store.act(reply_direct(bob, "ann", "hidden too", 2));
        for action in [
            edit(ann, "bob", 2, "x"),
            react(ann, "bob", 2, "+1", false),
            delete_message(ann, "bob", 2),
            reply_direct(ann, "bob", "to what?", 2),
        ] {
            assert_eq!(refused(&store.act(action)), Refusal::UnknownMessage);
        }
        let place = MessageAt {
            account_id: ann,
            conversation_id: conversation(&store, ann, bob),
            seq: 2,
        };
        assert_eq!(store.readers.read(&place).unwrap(), None);
    }
    // The message from before the block changes for both; only its sender is told.
    let applied = store.act(edit(bob, "ann", 1, "changed"));
    assert_eq!(told(&applied), [bob]);
    assert_eq!(history(&store, ann, "bob")[0].body, "changed");
    assert_eq!(
        told(&store.act(react(ann, "bob", 1, "+1", false))),
        [ann, bob]
    );
    let applied = store.act(delete_message(bob, "ann", 2));
    assert_eq!(told(&applied), [bob]);
    store.act(unblock(ann, "bob"));
    assert_eq!(told(&store.act(edit(bob, "ann", 1, "again"))), [ann, bob]);
    assert_eq!(told(&store.act(edit(bob, "ann", 3, "still mine"))), [bob]);
}

#[test]
fn messages_that_are_dropped_take_their_parts_with_them() {
    let (mut store, [ann, bob, _]) = people();
    let (first, _) = store.send(ann, "bob", "delivered");
    store.acknowledge(bob, &[&first]);
    store.send(ann, "bob", "waiting");
    store.act(reply_direct(ann, "bob", "waiting too", 2));
    store.act(react(ann, "bob", 1, "kept", false));
    store.act(react(bob, "ann", 2, "dropped", false));
    store.act(edit(ann, "bob", 2, "waiting, changed"));
    store.act(delete(bob));
    let tables = ["replies", "edits", "reactions"].map(|table| count(&store, table));
    assert_eq!(tables, [0, 0, 1]);
    // The one that was delivered is there for its sender, by the name of the deleted account.
    let refusal = refused(&store.act(edit(ann, "bob", 2, "x")));
    assert_eq!(refusal, Refusal::UnknownMessage);
    let applied = store.act(edit(ann, "bob", 1, "for nobody else"));
    assert_eq!(told(&applied), [ann]);
    let place = MessageAt {
        account_id: ann,
        conversation_id: conversation(&store, ann, bob),
        seq: 1,
    };
    let Some(FoundRow::Direct(row)) = store.readers.read(&place).unwrap() else {
        panic!("the message is there");
    };
    assert_eq!(
        (row.body.as_str(), row.recipient_deleted),
        ("for nobody else", true)
    );
}

#[test]
fn a_plain_conversation_has_no_rows_of_parts() {
    let (mut store, [ann, _, _]) = people();
    for _ in 0..3 {
        store.send(ann, "bob", "plain");
    }
    store.send(ann, "cy", "liked");
    store.act(react(ann, "cy", 1, "+1", false));
    for table in ["replies", "edits"] {
        assert_eq!(count(&store, table), 0, "{table}");
    }
    assert_eq!(count(&store, "direct_parts"), 1);
}
