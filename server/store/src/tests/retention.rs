//! Retention: which messages are removed by their age, and what is left of them.

use super::*;
use crate::{
    queries::{
        Conversations, ConversationsPage, Due, Expired, PageLimit, RoomHistory, RoomKey, Start,
        Step,
    },
    requests::Requests,
};
use tercet_proto::log::ExpiredRemoved;

const HOUR: i64 = 3_600_000;

impl TestStore {
    /// Removes what is too old; gives the number of messages.
    fn expire(&mut self, room_id: u64) -> u64 {
        let command = Command {
            stamp_ms: self.now_ms,
            ..remove_expired(room_id)
        };
        match result(&self.apply(&command)) {
            outcome::Result::ExpiredRemoved(ExpiredRemoved { messages }) => messages,
            other => panic!("{other:?}"),
        }
    }

    fn due(&self, from: u64) -> Due {
        let now_ms = self.now_ms;
        self.readers.read(&Expired { now_ms, from }).unwrap()
    }

    fn list(&self, account_id: u64) -> ConversationsPage {
        let query = Conversations {
            account_id,
            before: u64::MAX,
            limit: 100,
        };
        self.readers.read(&query).unwrap()
    }

    /// Gives the first, the last and the number of unread messages of each conversation of an account, by their ids.
    fn places(&self, account_id: u64) -> Vec<(u64, u64, u64)> {
        let mut rows = self.list(account_id).rows;
        rows.sort_by_key(|row| row.id);
        let place =
            |row: &crate::queries::ConversationRow| (row.first_seq, row.last_seq, row.unread);
        rows.iter().map(place).collect()
    }

    fn room_seqs(&self, account_id: u64, room: &str, start: Start) -> Vec<u64> {
        let query = RoomHistory {
            account_id,
            room: RoomKey::Name(room.to_owned()),
            start,
            limit: PageLimit {
                rows: 100,
                bytes: usize::MAX,
            },
        };
        let page = self.readers.read(&query).unwrap().unwrap();
        page.messages.rows.iter().map(|row| row.seq).collect()
    }

    /// Opens the store again after a power loss.
    fn open_again(&mut self) {
        self.dir = crashed(self.path());
        let opened = reopen(self.path()).unwrap();
        (self.writer, self.readers) = (opened.writer, opened.readers);
    }

    fn count(&self, table: &str) -> u64 {
        let sql = format!("SELECT count(*) FROM {table}");
        let count = self.writer.connection.query_row(&sql, [], |row| row.get(0));
        count.unwrap()
    }
}

#[test]
fn old_messages_go_with_all_that_belongs_to_them_and_their_numbers_stay() {
    for behind_max in [1, 1_000] {
        let mut store = TestStore::new();
        store.writer.at.indexed.behind_max = behind_max;
        let [ann, bob] = ["ann", "bob"].map(|name| store.register(name));
        store.act(create_room(ann, "tea", true));
        let room = store.last;
        store.act(join(bob, "tea"));
        for _ in 0..3 {
            store.act(send_to_room(ann, "tea", "old"));
            store.act(send_to_room(bob, "tea", "old"));
            store.send(ann, "bob", "old");
            store.send(bob, "ann", "old");
        }
        store.act(react(bob, "#tea", 3, "+1", false));
        store.act(pin(ann, "bob", 4, false));
        store.act(edit(ann, "#tea", 5, "old too"));
        store.act(delete_message(ann, "ann", 1));
        store.act(delete_message(ann, "bob", 1));
        store.act(reply_direct(bob, "ann", "old", 2));
        store.act(react(bob, "ann", 3, "+1", false));
        store.act(block(bob, "ann", false));
        store.act(send(ann, "bob", "old and hidden"));
        store.act(unblock(bob, "ann"));
        store.now_ms += 2 * HOUR;
        // Seq 9 and 10 of the room, and 9 and 10 of the direct conversation, are new.
        store.act(reply(bob, "tea", "new", 3));
        store.act(send_to_room(ann, "tea", "new"));
        store.act(reply_direct(bob, "ann", "new", 2));
        store.act(send(ann, "bob", "new"));
        assert_eq!(store.places(ann), [(1, 10, 4), (1, 10, 5)]);

        assert_eq!((store.due(0), store.expire(0)), (Due::Nothing, 0));
        store.act(set_retention(HOUR));
        assert_eq!(store.due(0), Due::By(0));
        assert_eq!(store.expire(0), 16);
        assert_eq!((store.due(0), store.expire(0)), (Due::Nothing, 0));
        assert_eq!(store.places(ann), [(9, 10, 1), (9, 10, 1)]);
        assert_eq!(store.places(bob), [(9, 10, 1), (9, 10, 1)]);
        for (table, count) in [
            ("messages", 2),
            ("room_messages", 2),
            ("edits", 0),
            ("reactions", 0),
            ("deleted_messages", 0),
            ("hidden_messages", 0),
            ("hidden_index", 0),
            ("pins", 0),
            ("replies", 2),
        ] {
            assert_eq!(store.count(table), count, "{table}");
        }
        assert_eq!(store.waiting(bob), ["new"]);
        for start in [
            Start::Seq(Step::After(0)),
            Start::Cursor(Step::After(0)),
            Start::FromTime(0),
            Start::Seq(Step::Before(1_000)),
        ] {
            assert_eq!(store.room_seqs(bob, "tea", start), [9, 10], "{start:?}");
        }
        // What is gone can neither be answered nor changed.
        for action in [
            reply(ann, "tea", "x", 8),
            reply_direct(ann, "bob", "x", 8),
            edit(ann, "#tea", 3, "x"),
            edit(ann, "bob", 3, "x"),
            react(ann, "#tea", 4, "+1", false),
            delete_message(ann, "#tea", 3),
        ] {
            assert_eq!(refused(&store.act(action)), Refusal::UnknownMessage);
        }
        // Marked as unread from the beginning, there is no more than what is left.
        store.act(mark_unread(bob, "#tea", 1));
        store.act(mark_read(ann, "bob", 9));
        assert_eq!(store.places(bob)[0], (9, 10, 1));
        assert_eq!(store.places(ann)[1], (9, 10, 0));

        // All of it goes. The conversations stay, and go on after their last number, after a restart too.
        store.now_ms += 2 * HOUR;
        assert_eq!(store.expire(0), 4);
        assert_eq!(store.list(bob).rows.len(), 2);
        assert_eq!(store.places(bob), [(11, 10, 0), (11, 10, 0)]);
        assert_eq!(store.list(bob).rows[0].last, None);
        assert!(
            store
                .room_seqs(bob, "tea", Start::Seq(Step::After(0)))
                .is_empty()
        );
        store.open_again();
        store.act(send_to_room(ann, "tea", "newest"));
        store.act(send(ann, "bob", "newest"));
        assert_eq!(store.places(bob), [(11, 11, 1), (11, 11, 1)]);
        assert_eq!(store.due(room), Due::Nothing);
    }
}

#[test]
fn of_two_retentions_the_shorter_counts_and_a_room_tells_of_its_own() {
    let mut store = TestStore::new();
    let [ann, bob] = ["ann", "bob"].map(|name| store.register(name));
    store.act(create_room(ann, "tea", true));
    let tea = store.last;
    store.act(create_room(ann, "milk", true));
    store.act(join(bob, "tea"));
    let set = |by, ms| change_room(by, "tea", Change::RetentionMs(ms));
    assert_eq!(refused(&store.act(set(bob, HOUR))), Refusal::RoleMayNot);
    let told = store.act(set(ann, 3 * HOUR));
    let [Event::RoomMessage { row, .. }] = &told.events[..] else {
        panic!("{told:?}");
    };
    assert_eq!(row.kind, crate::event::MessageKind::Retention);
    assert_eq!(row.body, (3 * HOUR).to_string());
    assert_eq!(
        store.act(set(ann, 3 * HOUR)).events,
        [],
        "nothing to change"
    );
    store.send(ann, "bob", "x");

    store.now_ms += 2 * HOUR;
    assert_eq!((store.due(0), store.expire(tea)), (Due::Nothing, 0));
    store.act(send_to_room(ann, "tea", "x"));
    store.now_ms += 2 * HOUR;
    assert_eq!(store.due(0), Due::By(tea));
    assert_eq!(store.expire(tea), 3, "of that room alone");
    assert_eq!(store.count("messages"), 1);
    // That of the cluster is shorter.
    store.act(set_retention(HOUR));
    assert_eq!(store.due(0), Due::By(0));
    assert_eq!(store.expire(0), 3);
    store.act(send_to_room(ann, "tea", "x"));
    assert_eq!(refused(&store.act(set(bob, 0))), Refusal::RoleMayNot);
    store.act(set(ann, 0));
    store.act(set_retention(0));
    store.now_ms += 100 * HOUR;
    assert_eq!((store.due(0), store.expire(0)), (Due::Nothing, 0));
    assert_eq!(store.expire(tea), 0);
}

#[test]
fn a_retry_gets_the_first_answer_after_its_message_is_gone() {
    let mut store = TestStore::new();
    let [ann, _] = ["ann", "bob"].map(|name| store.register(name));
    store.act(create_room(ann, "tea", true));
    store.act(set_retention(HOUR));
    let commands = [
        send(ann, "bob", "x"),
        send_to_room(ann, "tea", "x"),
        send(ann, "bob", "edited"),
    ]
    .map(|action| store.command(action));
    let first: Vec<Applied> = commands
        .iter()
        .map(|command| store.apply(command))
        .collect();
    store.act(edit(ann, "bob", 2, "another"));
    store.now_ms += 2 * HOUR;
    assert_eq!(store.expire(0), 4);
    for (command, first) in commands.iter().zip(&first) {
        assert_eq!(store.apply(command).outcome, first.outcome);
        let mut other = command.clone();
        other.action = Some(send(ann, "bob", "of another request"));
        assert_eq!(refused(&store.apply(&other)), Refusal::RequestIdReused);
    }
    assert_eq!(store.count("messages"), 0);
    // Of a forgotten request nothing stays.
    store.writer.request_limits.entries_min = 4;
    store.writer.request_limits.entries_max = 4;
    for _ in 0..9 {
        store.send(ann, "bob", "x");
    }
    store.now_ms += 2 * HOUR;
    store.expire(0);
    assert!(store.count("requests") <= 5, "{}", store.count("requests"));
    let before = Requests::before(&store.writer.connection, store.last + 1).unwrap();
    assert!(before.find(&commands[0].request_id).unwrap().is_none());
}

/// A replica that installs a snapshot counts from the first message that is left, one that did not from the first ever.
#[test]
fn a_replica_with_rebuilt_indexes_answers_and_goes_on_as_the_others() {
    let mut store = TestStore::new();
    let [ann, bob] = ["ann", "bob"].map(|name| store.register(name));
    store.act(create_room(ann, "tea", true));
    store.act(join(bob, "tea"));
    let talk = |store: &mut TestStore| {
        for n in 0..70 {
            store.act(send_to_room([ann, bob][n % 2], "tea", "x"));
            store.send([ann, bob][n % 2], ["bob", "ann"][n % 2], "x");
        }
    };
    talk(&mut store);
    store.now_ms += 2 * HOUR;
    talk(&mut store);
    store.act(set_retention(HOUR));
    assert_eq!((store.expire(0), store.expire(0)), (128, 14));
    let compare = |store: &mut TestStore| {
        let before = [ann, bob].map(|id| store.places(id));
        let applied = store.writer.at.applied;
        let writer = &mut store.writer;
        writer
            .at
            .indexed
            .rebuild(&writer.connection, applied)
            .unwrap();
        store.open_again();
        assert_eq!([ann, bob].map(|id| store.places(id)), before);
        before
    };
    let before = compare(&mut store);
    assert_eq!(before[0], [(73, 142, 35), (71, 140, 35)]);
    assert_eq!(before[1], [(73, 142, 35), (71, 140, 35)]);
    store.act(mark_read(ann, "#tea", 100));
    store.act(mark_read(ann, "bob", 100));
    talk(&mut store);
    let marked = compare(&mut store);
    assert_eq!(marked[0], [(73, 212, 56), (71, 210, 55)]);
}

#[test]
fn a_piece_is_bounded_by_messages_and_by_bytes() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    store.act(set_retention(HOUR));
    let large = "x".repeat(16 * 1024);
    for _ in 0..20 {
        store.send(ann, "ann", &large);
    }
    for _ in 0..600 {
        store.send(ann, "ann", "x");
    }
    store.now_ms += 2 * HOUR;
    let mut pieces = Vec::new();
    while store.due(0) == Due::By(0) {
        pieces.push(store.expire(0));
    }
    assert_eq!(pieces, [16, 128, 128, 128, 128, 92]);
}

/// Prints how long a piece holds the writer, while 200,000 messages of two accounts are removed:
/// `cargo test --release -p tercet-store --lib -- --ignored --nocapture time_of_a_piece`
#[test]
#[ignore = "prints figures"]
fn time_of_a_piece_of_200_000_messages() {
    let mut store = TestStore::new();
    store.writer.at.indexed.behind_max = crate::index::BEHIND_MAX;
    let set_synchronous = |store: &TestStore, value: &str| {
        let connection = &store.writer.connection;
        connection
            .pragma_update(None, "synchronous", value)
            .unwrap();
    };
    set_synchronous(&store, "OFF");
    let ann = store.register("ann");
    store.act(create_room(ann, "tea", true));
    let others: Vec<u64> = (0..250)
        .map(|n| store.register(&format!("other{n}")))
        .collect();
    for n in 0..200 {
        let commands: Vec<Command> = (0..1_000)
            .map(|m| {
                let body = format!("Message {m} of {n}, with about a hundred bytes, as people write them: ok, see you there at ten");
                let action = match m % 4 {
                    0 => send_to_room(ann, "tea", &body),
                    _ => send(others[(n * 7 + m) % 250], "ann", &body),
                };
                store.command(action)
            })
            .collect();
        store.apply_all(&commands);
        store.writer.checkpoint().unwrap();
    }
    store.act(set_retention(HOUR));
    store.now_ms += 2 * HOUR;
    set_synchronous(&store, "FULL");
    let mut took = Vec::new();
    loop {
        let begun = std::time::Instant::now();
        let messages = store.expire(0);
        took.push(begun.elapsed());
        store.writer.checkpoint().unwrap();
        if messages == 0 {
            break;
        }
    }
    took.sort();
    println!(
        "{} pieces: median {:?}, 99% {:?}, longest {:?}, all {:?}",
        took.len(),
        took[took.len() / 2],
        took[took.len() * 99 / 100],
        took[took.len() - 1],
        took.iter().sum::<std::time::Duration>()
    );
}
