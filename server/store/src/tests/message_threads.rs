//! Threads: a message and the messages that reply to it.

use super::*;
use crate::queries::{
    Conversation, ConversationThread, PageLimit, Peer, RoomHistory, RoomKey, RoomThread, Step,
};

/// The seqs on a page of a thread, and whether more follow.
type Found = (Vec<u64>, bool);

fn limit(rows: usize) -> PageLimit {
    PageLimit {
        rows,
        bytes: 1 << 20,
    }
}

fn direct(
    store: &TestStore,
    account_id: u64,
    peer: &str,
    seq: u64,
    step: Step,
    rows: usize,
) -> Found {
    let of = Conversation {
        account_id,
        peer: Peer::Name(peer.to_owned()),
        start: step.into(),
        limit: limit(rows),
    };
    let found = store.readers.read(&ConversationThread { of, seq }).unwrap();
    let page = found.expect("a peer").messages;
    (page.rows.iter().map(|row| row.seq).collect(), page.more)
}

fn in_room(store: &TestStore, account_id: u64, seq: u64, step: Step, rows: usize) -> Found {
    let of = RoomHistory {
        account_id,
        room: RoomKey::Name("tea".to_owned()),
        start: step.into(),
        limit: limit(rows),
    };
    let found = store.readers.read(&RoomThread { of, seq }).unwrap();
    let page = found.expect("a member").messages;
    (page.rows.iter().map(|row| row.seq).collect(), page.more)
}

const FIRST: Step = Step::After(0);
const LAST: Step = Step::Before(u64::MAX);

#[test]
fn a_thread_of_a_room_has_a_message_and_its_replies_in_pages_both_ways() {
    // Indexed at once, and not at all.
    for behind_max in [1, 1_000] {
        let mut store = TestStore::new();
        store.writer.at.indexed.behind_max = behind_max;
        let ann = store.register("ann");
        store.act(create_room(ann, "tea", true));
        store.act(send_to_room(ann, "tea", "the question"));
        for n in 0..5 {
            store.act(send_to_room(ann, "tea", "something else"));
            store.act(reply(ann, "tea", &format!("answer {n}"), 2));
        }
        store.act(reply(ann, "tea", "a reply to a reply", 4));
        let page = |step, rows| in_room(&store, ann, 2, step, rows);
        assert_eq!(page(FIRST, 10), (vec![2, 4, 6, 8, 10, 12], false));
        assert_eq!(page(FIRST, 3), (vec![2, 4, 6], true));
        assert_eq!(page(Step::After(6), 3), (vec![8, 10, 12], false));
        assert_eq!(page(LAST, 2), (vec![10, 12], true));
        assert_eq!(page(Step::Before(10), 4), (vec![2, 4, 6, 8], false));
        assert_eq!(in_room(&store, ann, 4, FIRST, 10), (vec![4, 13], false));
        assert_eq!(in_room(&store, ann, 99, FIRST, 10), (vec![], false));
    }
}

#[test]
fn a_thread_of_a_direct_conversation_leaves_out_what_is_hidden_or_dropped() {
    for behind_max in [1, 1_000] {
        let mut store = TestStore::new();
        store.writer.at.indexed.behind_max = behind_max;
        let (ann, bob) = (store.register("ann"), store.register("bob"));
        store.send(ann, "bob", "the question");
        let (first, _) = store.send(ann, "bob", "something else");
        store.act(reply_direct(bob, "ann", "seen", 1));
        store.act(block(ann, "bob", false));
        for _ in 0..5 {
            store.act(reply_direct(bob, "ann", "hidden", 1));
        }
        store.act(unblock(ann, "bob"));
        store.act(reply_direct(bob, "ann", "seen again", 1));
        let all = (vec![1, 3, 4, 5, 6, 7, 8, 9], false);
        assert_eq!(direct(&store, bob, "ann", 1, FIRST, 10), all);
        assert_eq!(direct(&store, bob, "ann", 1, LAST, 2), (vec![8, 9], true));
        // Pages go over what is hidden, however much it is.
        assert_eq!(direct(&store, ann, "bob", 1, FIRST, 2), (vec![1, 3], true));
        assert_eq!(
            direct(&store, ann, "bob", 1, Step::After(3), 2),
            (vec![9], false)
        );
        assert_eq!(direct(&store, ann, "bob", 1, LAST, 2), (vec![3, 9], true));
        assert_eq!(
            direct(&store, ann, "bob", 1, Step::Before(3), 2),
            (vec![1], false)
        );
        // A deletion drops what waits: only the message that was delivered stays.
        store.acknowledge(bob, &[&first]);
        store.act(reply_direct(ann, "bob", "never read", 2));
        store.act(delete(bob));
        assert_eq!(direct(&store, ann, "bob", 2, FIRST, 10), (vec![2], false));
        assert_eq!(direct(&store, ann, "bob", 1, FIRST, 10).0, [3, 9]);
    }
}
