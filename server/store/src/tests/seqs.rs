//! The numbers of direct messages.

use super::*;
use crate::event::MessageRow;

/// Makes of a store one of the build before direct messages had numbers.
const AS_WITHOUT_SEQS: &str = "DROP TABLE state;
    DROP TABLE state_totals;
    ALTER TABLE messages DROP COLUMN seq;
    DROP TABLE hidden_index;
    DROP TABLE markers;
    DROP TABLE direct_parts;
    DROP TABLE pins;
    DROP TABLE earlier_texts;
    ALTER TABLE rooms DROP COLUMN keeps_edits;
    DROP TABLE mentions;
    DROP TABLE mention_limits;
    DROP TABLE retention;
    DROP TABLE history_starts;
    DROP TABLE levels;
    DROP TABLE keywords;
    ALTER TABLE rooms DROP COLUMN is_feed;
    DROP INDEX replies_by_message;
    DROP TABLE deleted_messages;
    DROP TABLE room_senders;
    ALTER TABLE room_index DROP COLUMN texts;
    DROP TABLE conversation_messages;
    DROP TABLE conversation_counts;
    DROP INDEX hidden_messages_by_lsn;
    CREATE TABLE conversation_messages (conversation_id INTEGER NOT NULL, lsn INTEGER NOT NULL,
        PRIMARY KEY (conversation_id, lsn)) STRICT, WITHOUT ROWID;
    INSERT INTO conversation_messages
        SELECT conversation_id, lsn FROM messages AS m
        WHERE lsn <= (SELECT through_lsn FROM indexed) AND NOT EXISTS (
            SELECT 1 FROM hidden_messages AS h WHERE h.recipient_id = m.recipient_id
                AND h.sender_id = m.sender_id AND h.lsn = m.lsn);
    UPDATE store_use SET in_use = 0;
    PRAGMA user_version = 22";

fn seq_of(applied: &Applied) -> u64 {
    match result(applied) {
        outcome::Result::MessageSent(sent) => sent.seq,
        other => panic!("{other:?}"),
    }
}

fn seqs(rows: &[MessageRow]) -> Vec<u64> {
    rows.iter().map(|row| row.seq).collect()
}

/// Opens the store again, so that nothing is in the account cache.
fn restarted(store: &mut TestStore) {
    let copy = crashed(store.path());
    let mut opened = reopen(copy.path()).unwrap();
    opened.writer.at.indexed.behind_max = store.writer.at.indexed.behind_max;
    (store.writer, store.readers) = (opened.writer, opened.readers);
    store.dir = copy;
}

#[test]
fn messages_of_a_conversation_are_numbered_without_gaps_whoever_sends() {
    for behind_max in [1, 3, 1_000] {
        let mut store = TestStore::new();
        store.writer.at.indexed.behind_max = behind_max;
        let [ann, bob, eve] = ["ann", "bob", "eve"].map(|name| store.register(name));
        for round in 0..5 {
            let first = 2 * round + 1;
            let one = store.command(send(ann, "bob", "one"));
            let applied = store.apply(&one);
            assert_eq!(seq_of(&applied), first);
            let [Event::Message(row)] = &applied.events[..] else {
                panic!("{:?}", applied.events);
            };
            assert_eq!(row.seq, first);
            assert_eq!(seq_of(&store.act(send(bob, "ann", "two"))), first + 1);
            assert_eq!(seq_of(&store.act(send(eve, "ann", "apart"))), round + 1);
            assert_eq!(seq_of(&store.act(send(eve, "eve", "a note"))), round + 1);
            // A retry repeats the number.
            assert_eq!(seq_of(&store.apply(&one)), first);
            restarted(&mut store);
        }
        let all = store.readers.messages_after(ann, bob, 0, 99).unwrap();
        assert_eq!(seqs(&all), (1..=10).collect::<Vec<_>>());
        let middle = store.readers.messages_before(bob, ann, 8, 3).unwrap();
        assert_eq!(seqs(&middle), [5, 6, 7]);
    }
}

#[test]
fn a_hidden_message_has_a_number_and_its_sender_sees_no_gap() {
    for behind_max in [1, 1_000] {
        let mut store = TestStore::new();
        store.writer.at.indexed.behind_max = behind_max;
        let [ann, bob] = ["ann", "bob"].map(|name| store.register(name));
        store.act(send(ann, "bob", "shown"));
        store.act(block(bob, "ann", false));
        for seq in [2, 3] {
            assert_eq!(seq_of(&store.act(send(ann, "bob", "hidden"))), seq);
            restarted(&mut store);
        }
        assert_eq!(seq_of(&store.act(send(bob, "ann", "shown"))), 4);
        let (own, other) = (&store.readers, &store.readers);
        let of_ann = own.messages_after(ann, bob, 0, 9).unwrap();
        let of_bob = other.messages_after(bob, ann, 0, 9).unwrap();
        assert_eq!(seqs(&of_ann), [1, 2, 3, 4]);
        assert_eq!(seqs(&of_bob), [1, 4]);
        // A subscription of each goes on from any place in the same way.
        for after in 0..=store.last {
            let backlog = |account| seqs(&store.readers.inbox(account, after, 9).unwrap());
            let expected = |rows: &[MessageRow]| {
                let later = rows.iter().filter(|row| row.lsn > after);
                later.map(|row| row.seq).collect::<Vec<_>>()
            };
            assert_eq!(backlog(ann), expected(&of_ann));
            assert_eq!(backlog(bob), expected(&of_bob));
        }
    }
}

/// Applies version-2 commands in which messages are sent, hidden, delivered, and dropped with a deleted account.
fn conversations_with_a_deleted_account(store: &mut TestStore) -> [u64; 3] {
    store.version = 2;
    let [ann, bob, eve] = ["ann", "bob", "eve"].map(|name| store.register(name));
    store.act(block(bob, "eve", false));
    for _ in 0..3 {
        let (kept, _) = store.send(ann, "bob", "delivered");
        store.acknowledge(bob, &[&kept]);
        store.send(ann, "bob", "dropped");
        store.send(bob, "ann", "from the deleted one");
        store.send(eve, "bob", "hidden, then dropped");
        store.send(bob, "eve", "to the blocked one");
        store.send(ann, "eve", "of the living");
    }
    store.act(delete(bob));
    store.act(Action::CleanUp(CleanUp {}));
    [ann, bob, eve]
}

#[test]
fn replicas_that_number_before_and_after_messages_are_dropped_come_to_agree() {
    for behind_max in [1, 1_000] {
        let mut early = TestStore::new();
        early.writer.at.indexed.behind_max = behind_max;
        let mut late = TestStore::new();
        let [ann, bob, eve] = conversations_with_a_deleted_account(&mut early);
        conversations_with_a_deleted_account(&mut late);
        let copy = crashed(late.path());
        raw(copy.path()).execute_batch(AS_WITHOUT_SEQS).unwrap();
        let opened = reopen(copy.path()).unwrap();
        (late.writer, late.readers, late.dir) = (opened.writer, opened.readers, copy);

        let pages = |store: &TestStore| {
            [(ann, bob), (eve, bob), (ann, eve)].map(|(one, other)| {
                let rows = store.readers.messages_after(one, other, 0, 99).unwrap();
                seqs(&rows)
            })
        };
        assert_ne!(pages(&early), pages(&late));
        // The numbers are not in the state hash yet: the builds before have none.
        assert_eq!(early.state_hash(), late.state_hash());

        for store in [&mut early, &mut late] {
            store.version = COMMAND_VERSION;
            assert_eq!(seq_of(&store.act(send(eve, "ann", "new"))), 4);
        }
        assert_eq!(pages(&early), pages(&late));
        assert_eq!(pages(&early)[0], [1, 2, 3, 4, 5, 6]);
        assert_eq!(early.state_hash(), late.state_hash());
        // From here on they are.
        let other = "UPDATE messages SET seq = seq + 1 WHERE lsn = 5";
        late.writer.connection.execute(other, []).unwrap();
        assert_ne!(early.state_hash(), late.state_hash());
    }
}
