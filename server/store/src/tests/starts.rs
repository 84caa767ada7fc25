//! Pages of conversations that start at a time or a cursor.

use super::{rooms::ALL, *};
use crate::queries::{
    Conversation, ConversationThread, Peer, RoomHistory, RoomKey, RoomThread, Start, Step,
};

/// The seq, the cursor and the time of each message of a page, ascending.
type Places = Vec<(u64, u64, i64)>;

fn direct(store: &TestStore, account_id: u64, peer: &str, start: Start) -> Places {
    let query = Conversation {
        account_id,
        peer: Peer::Name(peer.to_owned()),
        start,
        limit: ALL,
    };
    let page = store.readers.read(&query).unwrap().expect("a peer");
    let rows = page.messages.rows.iter();
    rows.map(|row| (row.seq, row.lsn, row.sent_at_ms)).collect()
}

fn in_room(store: &TestStore, account_id: u64, start: Start) -> Places {
    let query = RoomHistory {
        account_id,
        room: RoomKey::Name("tea".to_owned()),
        start,
        limit: ALL,
    };
    let page = store.readers.read(&query).unwrap().expect("a member");
    let rows = page.messages.rows.iter();
    rows.map(|row| (row.seq, row.lsn, row.sent_at_ms)).collect()
}

/// Compares the pages that start at each time and cursor with the parts of the whole.
fn check(read: impl Fn(Start) -> Places) {
    let all = read(Step::After(0).into());
    let (last, latest) = all.last().map_or((0, 0), |(_, lsn, ms)| (*lsn, *ms));
    let part = |is_in: &dyn Fn(&(u64, u64, i64)) -> bool| -> Places {
        all.iter().copied().filter(is_in).collect()
    };
    for ms in 990..latest + 10 {
        assert_eq!(read(Start::BeforeTime(ms)), part(&|place| place.2 < ms));
        assert_eq!(read(Start::FromTime(ms)), part(&|place| place.2 >= ms));
    }
    for lsn in (0..last + 10).chain([u64::MAX]) {
        let before = Start::Cursor(Step::Before(lsn));
        assert_eq!(read(before), part(&|place| place.1 < lsn));
        let after = Start::Cursor(Step::After(lsn));
        assert_eq!(read(after), part(&|place| place.1 > lsn));
    }
}

#[test]
fn pages_start_at_times_and_cursors_wherever_the_index_ends() {
    for behind_max in [1, 7, 1_000] {
        let mut store = TestStore::new();
        store.writer.at.indexed.behind_max = behind_max;
        let [ann, bob, cy] = ["ann", "bob", "cy"].map(|name| store.register(name));
        let read_all = |store: &TestStore| {
            for (account, peer) in [(ann, "bob"), (bob, "ann"), (ann, "ann"), (cy, "bob")] {
                check(|start| direct(store, account, peer, start));
            }
        };
        read_all(&store);
        store.act(create_room(ann, "tea", true));
        store.act(join(bob, "tea"));
        for n in 0..30_u64 {
            match n % 7 {
                0 => store.act(send_to_room(bob, "tea", "x")),
                1 => store.act(send(ann, "bob", "x")),
                2 => store.act(send(ann, "ann", "a note")),
                3 => store.act(send(bob, "ann", "x")),
                // Some are hidden from ann.
                4 if n < 14 => store.act(block(ann, "bob", false)),
                4 => store.act(unblock(ann, "bob")),
                5 => store.act(send(cy, "ann", "x")),
                _ => store.act(send_to_room(ann, "tea", "x")),
            };
        }
        read_all(&store);
        check(|start| in_room(&store, bob, start));
    }
}

#[test]
fn a_thread_starts_at_a_time() {
    let mut store = TestStore::new();
    let [ann, bob] = ["ann", "bob"].map(|name| store.register(name));
    store.act(create_room(ann, "tea", true));
    store.act(send_to_room(ann, "tea", "which?"));
    store.act(send(ann, "bob", "which?"));
    for n in 0..5 {
        store.act(reply(ann, "tea", &format!("{n}"), 2));
        store.act(send_to_room(ann, "tea", "no reply"));
        store.act(reply_direct(bob, "ann", &format!("{n}"), 1));
    }
    check(|start| {
        let of = RoomHistory {
            account_id: ann,
            room: RoomKey::Name("tea".to_owned()),
            start,
            limit: ALL,
        };
        let page = store.readers.read(&RoomThread { of, seq: 2 });
        let page = page.unwrap().expect("a member").messages;
        assert!(page.rows.len() <= 6);
        let rows = page.rows.iter();
        rows.map(|row| (row.seq, row.lsn, row.sent_at_ms)).collect()
    });
    check(|start| {
        let of = Conversation {
            account_id: ann,
            peer: Peer::Id(bob),
            start,
            limit: ALL,
        };
        let page = store.readers.read(&ConversationThread { of, seq: 1 });
        let page = page.unwrap().expect("a peer").messages;
        let rows = page.rows.iter();
        rows.map(|row| (row.seq, row.lsn, row.sent_at_ms)).collect()
    });
}
