//! Feeds: following without a message, who sees whom, what an owner who goes leaves behind, and what cannot be set.

use super::*;
use crate::{event::MessageKind, queries::RoomsByPattern};

/// A feed `news` of ann, with the admin bob and the followers cy and dan; the messages begin with seq 3.
fn feed() -> (TestStore, [u64; 5]) {
    let mut store = TestStore::new();
    let people = ["ann", "bob", "cy", "dan", "eve"].map(|name| store.register(name));
    let [ann, bob, cy, dan, _] = people;
    let mut create = create_room(ann, "news", true);
    if let Action::CreateRoom(create) = &mut create {
        create.is_feed = true;
    }
    store.changed(create);
    for account in [bob, cy, dan] {
        assert_eq!(store.changed(join(account, "news")), 0);
    }
    assert_eq!(store.changed(promote(ann, "news", "bob", Role::Admin)), 2);
    (store, people)
}

fn kinds(store: &TestStore, account_id: u64) -> Vec<MessageKind> {
    let rows = store.room(account_id, "news");
    rows.iter().map(|row| row.kind).collect()
}

fn names(store: &TestStore, account_id: u64) -> Vec<String> {
    let members = store.members(account_id, "news").into_iter();
    members.map(|(name, _)| name).collect()
}

#[test]
fn nobody_is_told_who_follows_a_feed_but_those_who_write_it() {
    let (mut store, [ann, bob, cy, dan, eve]) = feed();
    assert_eq!(names(&store, ann), ["ann", "bob", "cy", "dan"]);
    assert_eq!(names(&store, bob), ["ann", "bob", "cy", "dan"]);
    assert_eq!(names(&store, cy), ["ann", "bob", "cy"]);
    assert_eq!(names(&store, eve), ["ann", "bob"]);

    // Going, kicks and bans tell nobody either.
    let before = kinds(&store, ann);
    for action in [
        leave(dan, "news"),
        kick(bob, "news", "cy"),
        ban(ann, "news", "eve"),
        unban(ann, "news", "eve"),
        ban(ann, "news", "dan"),
    ] {
        let applied = store.act(action);
        assert!(applied.events.is_empty(), "{applied:?}");
    }
    assert_eq!(kinds(&store, ann), before);
    assert_eq!(before, [MessageKind::Created, MessageKind::MadeAdmin]);
    assert_eq!(names(&store, ann), ["ann", "bob"]);
    assert_eq!(store.refuses(join(dan, "news")), Refusal::Banned);
    let again = store.act(leave(cy, "news"));
    assert_eq!(refused(&again), Refusal::NotAMember);
}

#[test]
fn a_follower_reads_everything_and_has_read_what_was_there_before() {
    let (mut store, [ann, bob, cy, _, eve]) = feed();
    assert_eq!(store.say(ann, "news", "one"), 3);
    store.changed(join(eve, "news"));
    assert_eq!(store.say(bob, "news", "two"), 4);
    assert_eq!(
        store.refuses(send_to_room(cy, "news", "me")),
        Refusal::RoleMayNot
    );
    assert_eq!(
        store.refuses(invite(cy, "news", "eve")),
        Refusal::RoleMayNot
    );
    store.act(react(cy, "#news", 4, "+1", false));
    let list = |store: &TestStore, account_id| {
        let query = crate::queries::Conversations {
            account_id,
            before: u64::MAX,
            limit: 9,
        };
        let row = store.readers.read(&query).unwrap().rows.remove(0);
        (row.last_seq, row.read_seq, row.unread)
    };
    assert_eq!(list(&store, eve), (4, 3, 1));
    assert_eq!(list(&store, cy), (4, 1, 2));
    assert_eq!(store.room(eve, "news").len(), 4);
    // A subscription has what came since.
    let query = crate::queries::Backlog {
        account_id: eve,
        after: 0,
        limit: super::rooms::ALL,
    };
    let rows = store.readers.read(&query).unwrap().rows;
    let seqs: Vec<u64> = rows
        .iter()
        .filter_map(|row| match row {
            crate::queries::BacklogRow::Room(row) => Some(row.seq),
            _ => None,
        })
        .collect();
    assert_eq!(seqs, [4]);
}

#[test]
fn a_feed_stays_one_and_is_listed_as_one() {
    let (mut store, [ann, _, cy, ..]) = feed();
    for only in [false, true] {
        let set = change_room(ann, "news", Change::IsAnnounceOnly(only));
        assert_eq!(store.refuses(set), Refusal::IsAFeed);
    }
    store.act(create_room(cy, "tea", true));
    let list = |feeds_only| {
        let query = RoomsByPattern {
            account_id: cy,
            feeds_only,
            pattern: "*".to_owned(),
            after: String::new(),
            limit: 9,
        };
        let rows = store.readers.read(&query).unwrap().rows;
        let named = rows
            .into_iter()
            .map(|room| (room.name, room.settings.is_feed));
        named.collect::<Vec<_>>()
    };
    assert_eq!(list(true), [("news".to_owned(), true)]);
    assert_eq!(list(false).len(), 2);
    // A private feed is unknown outside, and its followers are invited.
    store.changed(change_room(ann, "news", Change::IsPublic(false)));
    store.changed(kick(ann, "news", "cy"));
    assert_eq!(store.refuses(join(cy, "news")), Refusal::UnknownRoom);
    assert_eq!(store.changed(invite(ann, "news", "cy")), 0);
    assert_eq!(names(&store, cy), ["ann", "bob", "cy"]);
}

#[test]
fn an_admin_follows_the_owner_who_goes_and_a_feed_without_any_is_archived() {
    let (mut store, [ann, bob, cy, ..]) = feed();
    assert_eq!(store.changed(leave(ann, "news")), 3);
    let told = store.room(cy, "news").remove(2);
    assert_eq!((told.kind, told.subject_id), (MessageKind::Left, Some(bob)));
    assert_eq!(
        store.members(cy, "news"),
        [
            ("bob".to_owned(), Role::Owner),
            ("cy".to_owned(), Role::Member)
        ]
    );
    // The account of the last one who writes is deleted.
    store.act(delete(bob));
    for _ in 0..5 {
        store.apply(&clean_up());
    }
    assert_eq!(kinds(&store, cy).last(), Some(&MessageKind::Archived));
    assert_eq!(store.refuses(join(ann, "news")), Refusal::UnknownRoom);
    assert_eq!(store.changed(leave(cy, "news")), 0);
}
