//! The list of conversations, and its counts.

use super::{state::life, *};
use crate::{
    event::MessageKind,
    queries::{
        Conversation, ConversationRow, Conversations, ConversationsPage, Membership, PageLimit,
        Peer, RoomHistory, RoomKey, Step, With,
    },
};

fn list(store: &TestStore, account_id: u64) -> ConversationsPage {
    let query = Conversations {
        account_id,
        before: u64::MAX,
        limit: 1_000,
    };
    store.readers.read(&query).unwrap()
}

fn one(store: &TestStore, account_id: u64) -> ConversationRow {
    let mut page = list(store, account_id);
    assert_eq!(page.rows.len(), 1);
    page.rows.remove(0)
}

const ALL: PageLimit = PageLimit {
    rows: usize::MAX >> 1,
    bytes: usize::MAX,
};

/// Counts what is unread by going through the messages.
fn unread_one_by_one(store: &TestStore, account_id: u64, row: &ConversationRow) -> (u64, u64) {
    let step = Step::After(0);
    match &row.with {
        With::Room(room) => {
            assert!(
                matches!(room.membership, Some(Membership { read_seq, .. }) if read_seq == row.read_seq)
            );
            let history = RoomHistory {
                account_id,
                room: RoomKey::Id(room.id),
                start: step.into(),
                limit: ALL,
            };
            let rows = store.readers.read(&history).unwrap().unwrap().messages.rows;
            let unread = rows.iter().filter(|message| {
                message.kind == MessageKind::Text
                    && message.sender_id != account_id
                    && message.parts.deleted_at_ms.is_none()
                    && message.seq > row.read_seq
            });
            // All may have been removed by their age.
            let last = rows.last().map_or(row.last_lsn, |last| last.lsn);
            (unread.count() as u64, last)
        }
        With::Account {
            account_id: peer, ..
        } => {
            let history = Conversation {
                account_id,
                peer: Peer::Id(*peer),
                start: step.into(),
                limit: ALL,
            };
            let rows = store.readers.read(&history).unwrap().unwrap().messages.rows;
            let unread = rows.iter().filter(|message| {
                message.sender_id != account_id
                    && message.parts.deleted_at_ms.is_none()
                    && message.seq > row.read_seq
            });
            (unread.count() as u64, rows.last().map_or(0, |row| row.lsn))
        }
    }
}

#[test]
fn counts_are_those_of_going_through_the_messages_however_far_they_are_indexed() {
    let mut unread = 0;
    for seed in [3, 4] {
        let commands = life(seed, 1_200);
        for behind_max in [1, 40, u64::MAX] {
            let mut store = TestStore::new();
            store.writer.at.indexed.behind_max = behind_max;
            let mut accounts = Vec::new();
            for batch in commands.chunks(150) {
                for applied in store.apply_all(batch) {
                    if let outcome::Result::AccountCreated(created) = result(&applied) {
                        accounts.push(created.account_id);
                    }
                }
                for &account in &accounts {
                    if store.readers.account_by_id(account).unwrap().is_none() {
                        continue;
                    }
                    let page = list(&store, account);
                    assert!(page.rows.is_sorted_by(|a, b| a.last_lsn > b.last_lsn));
                    for row in &page.rows {
                        let (count, last) = unread_one_by_one(&store, account, row);
                        assert_eq!(row.unread, count, "{behind_max} {account} {row:?}");
                        // The last one may be dropped with its recipient a little later.
                        if row.last.is_some() {
                            assert_eq!(row.last_lsn, last, "{row:?}");
                        }
                        unread += count;
                    }
                }
            }
        }
    }
    assert!(unread > 300, "{unread}");
}

/// The counts of a long conversation, after each number, with messages that are hidden, too.
#[test]
fn the_counts_of_a_long_conversation_are_right_after_each_number() {
    for behind_max in [1, 50, 1_000] {
        let mut store = TestStore::new();
        store.writer.at.indexed.behind_max = behind_max;
        let [ann, bob] = ["ann", "bob"].map(|name| store.register(name));
        // Which messages are whose, and which are hidden, with 64 and 128 among them.
        for n in 1..=300_u64 {
            if n == 120 {
                store.act(block(bob, "ann", false));
            }
            if n == 140 {
                store.act(Action::UnblockAccount(UnblockAccount {
                    account_id: bob,
                    username: "ann".to_owned(),
                }));
            }
            let (from, to) = if n * n % 7 < 3 {
                (ann, "bob")
            } else {
                (bob, "ann")
            };
            store.send(from, to, "text");
        }
        for read_seq in 1..=300 {
            store.act(mark_unread(bob, "ann", read_seq));
            let row = one(&store, bob);
            assert_eq!(
                row.unread,
                unread_one_by_one(&store, bob, &row).0,
                "{row:?}"
            );
        }
        let connection = &store.writer.connection;
        let count = "SELECT count(*) FROM conversation_counts";
        let kept: u64 = connection.query_row(count, [], |row| row.get(0)).unwrap();
        assert_eq!(kept, 4, "{behind_max}");
    }
}

#[test]
fn own_messages_deleted_ones_and_those_of_the_system_are_not_unread() {
    for behind_max in [1, 1_000] {
        let mut store = TestStore::new();
        store.writer.at.indexed.behind_max = behind_max;
        let [ann, bob] = ["ann", "bob"].map(|name| store.register(name));
        store.act(create_room(ann, "tea", true));
        store.act(join(bob, "tea"));
        for sender in [ann, bob, ann, ann] {
            store.act(send_to_room(sender, "tea", "x"));
        }
        store.act(change_room(ann, "tea", Change::Topic("green".to_owned())));
        let of_bob = one(&store, bob);
        assert_eq!((of_bob.last_seq, of_bob.read_seq, of_bob.unread), (7, 2, 3));
        assert_eq!(one(&store, ann).unread, 1);
        store.act(delete_message(ann, "#tea", 5));
        store.act(delete_message(ann, "#tea", 4));
        assert_eq!(one(&store, bob).unread, 2);
        assert_eq!(one(&store, ann).unread, 0);
        store.act(mark_read(bob, "#tea", 5));
        assert_eq!(one(&store, bob).unread, 1);
        store.act(mark_read(bob, "#tea", 7));
        assert_eq!(one(&store, bob).unread, 0);
        store.act(mark_unread(bob, "#tea", 1));
        assert_eq!(one(&store, bob).unread, 2);
    }
}

#[test]
fn a_direct_conversation_is_listed_for_both_sides_without_what_is_hidden() {
    for behind_max in [1, 1_000] {
        let mut store = TestStore::new();
        store.writer.at.indexed.behind_max = behind_max;
        let [ann, bob] = ["ann", "bob"].map(|name| store.register(name));
        store.act(block(bob, "ann", false));
        store.act(send(ann, "bob", "hidden"));
        assert!(list(&store, bob).rows.is_empty());
        assert_eq!(one(&store, ann).last_seq, 1);
        store.act(unblock(bob, "ann"));
        store.act(send(ann, "bob", "shown"));
        store.act(send(ann, "bob", "shown"));
        let of_bob = one(&store, bob);
        assert_eq!((of_bob.last_seq, of_bob.unread), (3, 2));
        assert_eq!(one(&store, ann).unread, 0);
        store.act(mark_read(bob, "ann", 2));
        assert_eq!(one(&store, bob).unread, 1);
        let With::Account {
            username, seen_seq, ..
        } = one(&store, ann).with
        else {
            panic!("a room");
        };
        assert_eq!((username.as_str(), seen_seq), ("bob", 2));
        for seq in [1, 3] {
            store.act(delete_message(ann, "bob", seq));
        }
        assert_eq!(one(&store, bob).unread, 0);
        store.act(send(ann, "bob", "more"));
        assert_eq!(one(&store, bob).unread, 1);
        store.act(send(ann, "ann", "a note"));
        assert_eq!(list(&store, ann).rows[0].unread, 0);
    }
}

/// Prints how long the list takes with much unread and with little:
/// `cargo test --release -p tercet-store --lib -- --ignored --nocapture time_of_the_list`
#[test]
#[ignore = "prints figures"]
fn time_of_the_list_of_500_conversations() {
    for messages in [2_000, 100_000] {
        let mut store = TestStore::new();
        let connection = &store.writer.connection;
        connection
            .pragma_update(None, "synchronous", "OFF")
            .unwrap();
        let [ann, bob] = ["ann", "bob"].map(|name| store.register(name));
        let room = |n: usize| format!("room{}", n % 250);
        let other = |n: usize| format!("other{}", n % 250);
        for n in 0..250 {
            store.act(create_room(bob, &room(n), true));
            store.act(join(ann, &room(n)));
        }
        let others: Vec<u64> = (0..250).map(|n| store.register(&other(n))).collect();
        for start in (0..messages).step_by(1_000) {
            let commands: Vec<Command> = (start..start + 1_000)
                .map(|n| {
                    let body =
                        format!("Message {n} of those that ann has not read, and no shorter.");
                    store.command(match n % 2 {
                        0 => send_to_room(if n % 20 == 0 { ann } else { bob }, &room(n / 2), &body),
                        _ => send(others[n / 2 % 250], "ann", &body),
                    })
                })
                .collect();
            store.apply_all(&commands);
        }
        for (what, limit) in [("all", 500), ("the first 50", 50), ("all, half read", 500)] {
            if what == "all, half read" {
                for row in store
                    .readers
                    .read(&Conversations {
                        account_id: ann,
                        before: u64::MAX,
                        limit: 500,
                    })
                    .unwrap()
                    .rows
                {
                    let name = match row.with {
                        With::Room(room) => format!("#{}", room.name),
                        With::Account { username, .. } => username,
                    };
                    store.act(mark_read(ann, &name, row.last_seq / 2));
                }
            }
            let query = Conversations {
                account_id: ann,
                before: u64::MAX,
                limit,
            };
            let mut took: Vec<_> = (0..200)
                .map(|_| {
                    let begun = std::time::Instant::now();
                    store.readers.read(&query).unwrap();
                    begun.elapsed()
                })
                .collect();
            took.sort();
            let page = store.readers.read(&query).unwrap();
            let unread: u64 = page.rows.iter().map(|row| row.unread).sum();
            println!(
                "{messages} messages, {what} of 500 conversations with {unread} unread: median {:?}, 99% {:?}",
                took[100], took[198]
            );
        }
    }
}

/// Gives how far the other account has received the messages of one, by the list and by going through the messages.
fn delivered(store: &TestStore, account_id: u64) -> Vec<(u64, u64)> {
    let rows = list(store, account_id).rows.into_iter();
    let of = |row: ConversationRow| match row.with {
        With::Account {
            account_id: peer,
            delivered_seq,
            ..
        } if peer != account_id => Some((row.id, peer, delivered_seq)),
        _ => None,
    };
    rows.filter_map(of)
        .map(|(id, peer, by_list)| {
            let mut select = store
                .writer
                .connection
                .prepare(
                    "SELECT m.seq, m.sender_id = ?2 AND m.delivered = 0 FROM messages AS m
                     WHERE m.conversation_id = ?1 AND ?2 <> ?3
                         AND NOT EXISTS (SELECT 1 FROM hidden_messages AS h WHERE h.lsn = m.lsn)
                     ORDER BY m.seq",
                )
                .unwrap();
            let messages: Vec<(u64, bool)> = select
                .query_map([id, account_id, peer], |row| Ok((row.get(0)?, row.get(1)?)))
                .unwrap()
                .map(Result::unwrap)
                .collect();
            let first_waiting = messages.iter().find(|(_, waits)| *waits);
            let last = messages.last().map_or(0, |(seq, _)| *seq);
            (by_list, first_waiting.map_or(last, |(seq, _)| seq - 1))
        })
        .collect()
}

#[test]
fn what_is_delivered_follows_from_what_waits_wherever_the_index_ends() {
    for behind_max in [1, 7, 1_000] {
        let mut store = TestStore::new();
        store.writer.at.indexed.behind_max = behind_max;
        let [ann, bob, cy] = ["ann", "bob", "cy"].map(|name| store.register(name));
        let mut sent: Vec<Bytes> = Vec::new();
        for n in 0..60_usize {
            match n % 6 {
                0 => sent.push(store.send(cy, "bob", "x").0),
                1 | 2 => sent.push(store.send(ann, "bob", "x").0),
                3 => sent.push(store.send(bob, "ann", "x").0),
                // Some are hidden from bob.
                4 if (20..40).contains(&n) => {
                    store.act(block(bob, "ann", false));
                }
                4 => {
                    store.act(unblock(bob, "ann"));
                }
                _ => {
                    let ids: Vec<&Bytes> = sent[..n / 2].iter().collect();
                    store.acknowledge(bob, &ids);
                    store.acknowledge(ann, &ids);
                }
            }
            for account in [ann, bob, cy] {
                for (by_list, one_by_one) in delivered(&store, account) {
                    assert_eq!(by_list, one_by_one, "{n} of {account}");
                }
            }
        }
        assert!(delivered(&store, ann)[0].0 > 10);
        let ids: Vec<&Bytes> = sent.iter().collect();
        store.acknowledge(bob, &ids);
        store.act(send(ann, "bob", "last"));
        let (all, _) = delivered(&store, ann)[0];
        let last = list(&store, ann).rows[0].last_seq;
        assert_eq!(all, last - 1);
    }
}
