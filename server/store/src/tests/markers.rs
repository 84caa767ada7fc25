//! Markers of how far accounts have read.

use super::*;
use tercet_proto::log::MarkedRead;

impl TestStore {
    /// Moves a marker; gives where it is, and the accounts that are told.
    fn marks(&mut self, action: Action) -> (u64, Vec<u64>) {
        let applied = self.act(action);
        let outcome::Result::MarkedRead(MarkedRead { read_seq, lsn, .. }) = result(&applied) else {
            panic!("{applied:?}");
        };
        match &applied.events[..] {
            [] => {
                assert_eq!(lsn, 0);
                (read_seq, Vec::new())
            }
            [Event::Change { row, members }] => {
                assert_eq!(lsn, row.lsn);
                let What::MarkersMoved(MarkersMoved { read_seq: told, .. }) = &row.what else {
                    panic!("{row:?}");
                };
                assert_eq!(*told, read_seq);
                (read_seq, members.to_vec())
            }
            others => panic!("{others:?}"),
        }
    }
}

#[test]
fn a_marker_of_a_room_moves_forward_and_back_only_by_wish() {
    let mut store = TestStore::new();
    let [ann, bob] = ["ann", "bob"].map(|name| store.register(name));
    store.act(create_room(ann, "tea", true));
    store.act(join(bob, "tea"));
    for _ in 0..3 {
        store.act(send_to_room(ann, "tea", "x"));
    }
    assert_eq!(store.marks(mark_read(bob, "#TEA", 4)), (4, vec![bob]));
    assert_eq!(store.marks(mark_read(bob, "#tea", 3)), (4, vec![]));
    assert_eq!(
        store.marks(mark_read(bob, "#tea", u64::MAX)),
        (5, vec![bob])
    );
    assert_eq!(store.marks(mark_unread(bob, "#tea", 3)), (2, vec![bob]));
    assert_eq!(store.marks(mark_unread(bob, "#tea", 3)), (2, vec![]));
    assert_eq!(store.marks(mark_unread(bob, "#tea", 99)), (5, vec![bob]));
    let eve = store.register("eve");
    assert_eq!(
        refused(&store.act(mark_read(eve, "#tea", 1))),
        Refusal::NotAMember
    );
    assert_eq!(
        refused(&store.act(mark_read(eve, "#no", 1))),
        Refusal::UnknownRoom
    );
    // An archived room is read by its members.
    store.act(change_room(ann, "tea", Change::Archive(true)));
    assert_eq!(
        store.marks(mark_read(bob, "#tea", u64::MAX)),
        (6, vec![bob])
    );
    assert_eq!(
        refused(&store.act(mark_read(eve, "#tea", 1))),
        Refusal::UnknownRoom
    );
}

#[test]
fn the_other_account_of_a_direct_conversation_learns_how_far_one_has_read_and_nothing_of_a_move_back()
 {
    for behind_max in [1, 1_000] {
        let mut store = TestStore::new();
        store.writer.at.indexed.behind_max = behind_max;
        let [ann, bob] = ["ann", "bob"].map(|name| store.register(name));
        assert_eq!(store.marks(mark_read(ann, "bob", 1)), (0, vec![]));
        for _ in 0..4 {
            store.act(send(bob, "ann", "x"));
        }
        assert_eq!(store.marks(mark_read(ann, "BOB", 3)), (3, vec![ann, bob]));
        assert_eq!(store.marks(mark_unread(ann, "bob", 2)), (1, vec![ann]));
        assert_eq!(store.marks(mark_read(ann, "bob", 3)), (3, vec![ann]));
        assert_eq!(store.marks(mark_read(ann, "bob", 9)), (4, vec![ann, bob]));
        assert_eq!(store.marks(mark_read(bob, "ann", 2)), (2, vec![ann, bob]));
        // Notes to oneself.
        store.act(send(ann, "ann", "x"));
        assert_eq!(store.marks(mark_read(ann, "ann", 1)), (1, vec![ann]));
        // Who blocks is told nothing of the blocked one.
        store.act(send(bob, "ann", "x"));
        store.act(block(bob, "ann", false));
        assert_eq!(store.marks(mark_read(ann, "bob", 5)), (5, vec![ann]));
        assert_eq!(
            refused(&store.act(mark_read(ann, "eve", 1))),
            Refusal::UnknownAccount
        );
    }
}

#[test]
fn a_marker_is_found_by_the_id_of_its_conversation() {
    let mut store = TestStore::new();
    let [ann, bob, eve] = ["ann", "bob", "eve"].map(|name| store.register(name));
    store.act(send(bob, "ann", "x"));
    let direct = store.last;
    store.act(create_room(ann, "tea", true));
    let room = store.last;
    let by_id = |account_id, conversation_id| {
        Action::MarkRead(MarkRead {
            account_id,
            conversation_id,
            seq: 1,
            ..MarkRead::default()
        })
    };
    assert_eq!(store.marks(by_id(ann, direct)), (1, vec![ann, bob]));
    assert_eq!(store.marks(by_id(ann, room)), (1, vec![]));
    for (account, id) in [(eve, direct), (eve, room), (ann, 9_999), (ann, u64::MAX)] {
        assert_eq!(
            refused(&store.act(by_id(account, id))),
            Refusal::UnknownRoom
        );
    }
    // The account whose messages are marked is gone, and its name belongs to another one.
    store.act(delete(bob));
    store.register("bob");
    store.act(mark_unread(ann, "bob", 1));
    assert_eq!(store.marks(by_id(ann, direct)), (1, vec![]));
}
