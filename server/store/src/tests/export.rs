//! Exports: every message once, up to the LSN that the first page sets.

use super::*;
use crate::{
    queries::{Export, ExportPage, PageLimit},
    rooms::Denied,
};

fn page(
    store: &TestStore,
    (account_id, room): (u64, Option<&str>),
    place: Option<crate::queries::ExportPlace>,
    rows: usize,
) -> Result<ExportPage, Denied> {
    let query = Export {
        account_id,
        room: room.map(str::to_owned),
        place,
        limit: PageLimit {
            rows,
            bytes: 1 << 20,
        },
    };
    store.readers.read(&query).unwrap()
}

/// Gives the bodies of a whole export; runs `between` after the first page.
fn export(
    store: &mut TestStore,
    whose: (u64, Option<&str>),
    rows: usize,
    between: impl FnOnce(&mut TestStore),
) -> Vec<String> {
    let first = page(store, whose, None, rows).unwrap();
    between(store);
    let (mut place, through) = (first.next, first.through);
    let mut all = first.messages;
    while let Some(at) = place {
        let next = page(store, whose, Some(at), rows).unwrap();
        assert!(next.messages.len() <= rows);
        assert_eq!(next.through, through);
        all.extend(next.messages);
        place = next.next;
    }
    let texts = all.iter().filter(|row| !row.body().is_empty());
    texts.map(|row| row.body().to_owned()).collect()
}

#[test]
fn an_export_has_each_message_of_each_conversation_once() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let bob = store.register("bob");
    store.register("carol");
    let eve = store.register("eve");
    store.act(create_room(ann, "tea", true));
    store.act(create_room(eve, "other", true));
    let mut of_tea = Vec::new();
    let (mut with_bob, mut with_carol) = (Vec::new(), Vec::new());
    for n in 0..12 {
        store.send(ann, "bob", &format!("to bob {n}"));
        store.send(bob, "ann", &format!("from bob {n}"));
        with_bob.extend([format!("to bob {n}"), format!("from bob {n}")]);
        store.send(ann, "carol", &format!("to carol {n}"));
        with_carol.push(format!("to carol {n}"));
        store.act(send_to_room(ann, "tea", &format!("in tea {n}")));
        of_tea.push(format!("in tea {n}"));
        store.act(send_to_room(eve, "other", &format!("in other {n}")));
        store.send(eve, "bob", &format!("eve to bob {n}"));
    }
    let expected = [of_tea.clone(), with_bob, with_carol].concat();
    for rows in [1, 2, 5, 7, 500] {
        let all = export(&mut store, (ann, None), rows, |_| ());
        assert_eq!(all, expected, "{rows}");
        let room = export(&mut store, (ann, Some("Tea")), rows, |_| ());
        assert_eq!(room, of_tea, "{rows}");
    }
    // What comes after the first page is not in the export.
    let all = export(&mut store, (ann, None), 3, |store| {
        store.send(ann, "bob", "later");
        store.send(ann, "eve", "a new conversation");
        store.act(send_to_room(ann, "tea", "later"));
    });
    assert_eq!(all, expected);
}

#[test]
fn a_room_is_exported_by_those_who_lead_it() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let bob = store.register("bob");
    let eve = store.register("eve");
    store.act(create_room(ann, "tea", false));
    store.act(invite(ann, "tea", "bob"));
    store.act(send_to_room(bob, "tea", "hello"));
    assert!(page(&store, (ann, Some("tea")), None, 10).is_ok());
    let denied = |account| page(&store, (account, Some("tea")), None, 10).err();
    assert_eq!(denied(bob), Some(Denied::RoleMayNot));
    assert_eq!(denied(eve), Some(Denied::Unknown));
    // As a member it has the messages in the export of its own data.
    assert_eq!(export(&mut store, (bob, None), 2, |_| ()), ["hello"]);
    store.act(leave(bob, "tea"));
    assert_eq!(export(&mut store, (bob, None), 2, |_| ()), [""; 0]);
}
