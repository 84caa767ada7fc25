//! Changes of rooms: kicks, bans, roles, topic, name, settings and the end, when they are applied.

use super::*;
use crate::{
    event::MessageKind,
    queries::{BansOf, RoomKey, Step},
    rooms::Denied,
};

impl TestStore {
    pub(super) fn refuses(&mut self, action: Action) -> Refusal {
        refused(&self.act(action))
    }

    /// Has what the writer keeps in memory read again: a deletion clears it.
    pub(super) fn clear_cache(&mut self) {
        let name = format!("gone{}", self.last);
        let gone = self.register(&name);
        self.act(delete(gone));
    }

    /// Gives the kind, the subject and the body of the last message of a room.
    fn told(&self, account_id: u64, room: &str) -> (MessageKind, String, String) {
        let last = self.room(account_id, room).pop().unwrap();
        (last.kind, last.subject.unwrap_or_default(), last.body)
    }

    fn bans(&self, account_id: u64, room: &str) -> Result<Vec<String>, Denied> {
        let query = BansOf {
            account_id,
            room: room.to_owned(),
            after: 0,
            limit: 100,
        };
        let (_, page) = self.readers.read(&query).unwrap()?;
        Ok(page.rows.into_iter().map(|ban| ban.username).collect())
    }

    /// Makes a room whose members have a role each: ann and di own it, bob is an admin, cy a member.
    fn with_roles(is_public: bool) -> (TestStore, [u64; 5]) {
        let mut store = TestStore::new();
        let ids = ["ann", "bob", "cy", "di", "ed"].map(|name| store.register(name));
        let ann = ids[0];
        store.act(create_room(ann, "tea", is_public));
        for name in ["bob", "cy", "di"] {
            store.act(invite(ann, "tea", name));
        }
        store.changed(promote(ann, "tea", "bob", Role::Admin));
        store.changed(promote(ann, "tea", "di", Role::Owner));
        (store, ids)
    }
}

fn audience(applied: &Applied) -> Vec<u64> {
    match &applied.events[..] {
        [Event::RoomMessage { members, .. }] => members.to_vec(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn kicked_member_gets_the_message_that_tells_of_it_and_nothing_after_it() {
    let (mut store, [ann, bob, cy, di, ed]) = TestStore::with_roles(true);
    assert_eq!(store.refuses(kick(cy, "tea", "bob")), Refusal::RoleMayNot);
    assert_eq!(store.refuses(kick(ed, "tea", "bob")), Refusal::NotAMember);
    assert_eq!(store.refuses(kick(bob, "tea", "ann")), Refusal::RoleMayNot);
    assert_eq!(store.refuses(kick(bob, "tea", "bob")), Refusal::RoleMayNot);
    assert_eq!(store.refuses(kick(ann, "tea", "di")), Refusal::RoleMayNot);
    assert_eq!(
        store.refuses(kick(ann, "tea", "ed")),
        Refusal::UnknownMember
    );
    let nobody = kick(ann, "tea", "nobody");
    assert_eq!(store.refuses(nobody), Refusal::UnknownAccount);
    let kicked = store.act(kick(bob, "tea", "Cy"));
    assert_eq!(audience(&kicked), [ann, bob, cy, di]);
    let sent = store.act(send_to_room(ann, "tea", "x"));
    assert_eq!(audience(&sent), [ann, bob, di]);
    let kind = |row: &crate::event::RoomMessageRow| row.kind;
    let kinds: Vec<MessageKind> = store.room(ann, "tea").iter().map(kind).collect();
    assert_eq!(kinds[6..], [MessageKind::Kicked, MessageKind::Text]);
    let read = store.history_at(cy, "tea", Step::After(0), 9);
    assert_eq!(read, Err(Denied::NotAMember));
    assert_eq!(store.backlog(cy, 0, 100).0, [0; 0]);
    assert!(store.changed(join(cy, "tea")) > 0, "a kick is no ban");
}

#[test]
fn banned_account_neither_joins_nor_is_invited_until_the_ban_ends() {
    let (mut store, [ann, bob, cy, di, ed]) = TestStore::with_roles(true);
    assert_eq!(store.refuses(ban(cy, "tea", "ed")), Refusal::RoleMayNot);
    assert_eq!(store.refuses(ban(ann, "tea", "di")), Refusal::RoleMayNot);
    let banned = store.act(ban(bob, "tea", "cy"));
    assert_eq!(audience(&banned), [ann, bob, cy, di]);
    let told = (MessageKind::Banned, "cy".to_owned(), String::new());
    assert_eq!(store.told(ann, "tea"), told);
    assert_eq!(store.changed(ban(ann, "tea", "cy")), 0, "again");
    assert!(store.changed(ban(ann, "tea", "ed")) > 0, "no member");
    assert_eq!(store.bans(bob, "tea"), Ok(vec!["cy".into(), "ed".into()]));
    assert_eq!(store.bans(cy, "tea"), Err(Denied::NotAMember));
    for id in [cy, ed] {
        assert_eq!(store.refuses(join(id, "tea")), Refusal::Banned);
    }
    assert_eq!(store.refuses(invite(di, "tea", "cy")), Refusal::Banned);
    store.changed(unban(di, "tea", "cy"));
    assert_eq!(store.changed(unban(di, "tea", "cy")), 0, "again");
    assert_eq!(store.told(ann, "tea").0, MessageKind::Unbanned);
    assert!(store.changed(join(cy, "tea")) > 0);
    assert_eq!(store.bans(cy, "tea"), Err(Denied::RoleMayNot));

    // Of a private room a banned stranger learns nothing.
    store.changed(change_room(ann, "tea", Change::IsPublic(false)));
    assert_eq!(store.refuses(join(ed, "tea")), Refusal::UnknownRoom);
    // A ban goes with its account.
    store.act(delete(ed));
    assert_eq!(store.bans(bob, "tea"), Ok(vec![]));
    for _ in 0..3 {
        store.apply(&clean_up());
    }
    let count = "SELECT count(*) FROM bans";
    let count: u64 = store
        .writer
        .connection
        .query_row(count, [], |row| row.get(0))
        .unwrap();
    assert_eq!(count, 0);
}

#[test]
fn bans_members_and_rooms_have_limits() {
    let (mut store, [ann, _, cy, ..]) = TestStore::with_roles(true);
    // Rows of other accounts: the limit counts those that live.
    let fill = |store: &TestStore, sql: &str| {
        store.writer.connection.execute_batch(sql).unwrap();
    };
    fill(
        &store,
        "CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS
             (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) SELECT i FROM n;
         INSERT INTO users (id, username, username_key, password_hash, created_at_ms,
                            session_generation)
             SELECT 100000 + i, 'n' || i, 'n' || i, '', 0, 0 FROM n;
         INSERT INTO bans SELECT 6, 100000 + i, 1, 0 FROM n WHERE i < 1000;",
    );
    assert!(store.changed(ban(ann, "tea", "n1000")) > 0);
    assert_eq!(
        store.refuses(ban(ann, "tea", "n1001")),
        Refusal::TooManyBans
    );
    store.changed(unban(ann, "tea", "n1"));
    assert!(store.changed(ban(ann, "tea", "n1001")) > 0);

    fill(
        &store,
        "INSERT INTO members SELECT 6, 100000 + i, 1, 2, 0, 2, 2 FROM n WHERE i <= 9995",
    );
    store.clear_cache();
    assert!(store.changed(invite(ann, "tea", "ed")) > 0, "the 10,000th");
    assert_eq!(
        store.refuses(invite(ann, "tea", "n9999")),
        Refusal::TooManyMembers
    );

    fill(
        &store,
        "INSERT INTO rooms (id, name, name_key, topic, is_public, is_announce_only, created_at_ms)
             SELECT 200000 + i, 'r' || i, 'r' || i, '', 1, 0, 0 FROM n
             WHERE i < 1000;
         INSERT INTO members SELECT 200000 + i, 3, 3, 1, 0, 1, 1 FROM n WHERE i < 1000;",
    );
    assert_eq!(store.refuses(join(cy, "r1000")), Refusal::UnknownRoom);
    let made = store.act(create_room(cy, "one-more", true));
    assert_eq!(refused(&made), Refusal::TooManyRooms);
}

#[test]
fn owners_give_roles_and_one_of_several_may_step_down() {
    let (mut store, [ann, bob, cy, di, _]) = TestStore::with_roles(false);
    let as_admin = promote(bob, "tea", "cy", Role::Admin);
    assert_eq!(store.refuses(as_admin), Refusal::RoleMayNot);
    let other_owner = promote(ann, "tea", "di", Role::Admin);
    assert_eq!(store.refuses(other_owner), Refusal::RoleMayNot);
    let stranger = promote(ann, "tea", "ed", Role::Admin);
    assert_eq!(store.refuses(stranger), Refusal::UnknownMember);
    assert_eq!(store.changed(promote(ann, "tea", "bob", Role::Admin)), 0);
    store.changed(promote(ann, "tea", "cy", Role::Admin));
    let told = (MessageKind::MadeAdmin, "cy".to_owned(), String::new());
    assert_eq!(store.told(bob, "tea"), told);
    store.changed(promote(di, "tea", "di", Role::Member));
    assert_eq!(store.told(bob, "tea").0, MessageKind::MadeMember);
    assert_eq!(
        store.refuses(promote(di, "tea", "di", Role::Owner)),
        Refusal::RoleMayNot
    );
    let last = promote(ann, "tea", "ann", Role::Member);
    assert_eq!(store.refuses(last), Refusal::LastOwner);
    store.changed(promote(ann, "tea", "cy", Role::Owner));
    store.changed(promote(ann, "tea", "ann", Role::Admin));
    assert!(store.changed(kick(cy, "tea", "ann")) > 0);
    store.changed(promote(cy, "tea", "bob", Role::Member));
    let roles = [
        ("bob", Role::Member),
        ("cy", Role::Owner),
        ("di", Role::Member),
    ];
    assert_eq!(
        store.members(bob, "tea"),
        roles.map(|(name, role)| (name.to_owned(), role))
    );
}

#[test]
fn topic_name_and_settings_are_told_and_count_from_their_message_on() {
    let (mut store, [ann, bob, cy, _, ed]) = TestStore::with_roles(true);
    let topic = |text: &str| Change::Topic(text.to_owned());
    let name = |text: &str| Change::Name(text.to_owned());
    assert_eq!(
        store.refuses(change_room(cy, "tea", topic("x"))),
        Refusal::RoleMayNot
    );
    assert!(store.changed(change_room(bob, "tea", topic("leaves"))) > 0);
    assert_eq!(store.changed(change_room(bob, "tea", topic("leaves"))), 0);
    let told = (MessageKind::Topic, String::new(), "leaves".to_owned());
    assert_eq!(store.told(cy, "tea"), told);

    store.act(create_room(ed, "milk", true));
    assert_eq!(
        store.refuses(change_room(ann, "tea", name("Milk"))),
        Refusal::RoomNameTaken
    );
    assert_eq!(
        store.refuses(change_room(bob, "tea", name("coffee"))),
        Refusal::RoleMayNot
    );
    store.changed(change_room(ann, "tea", name("TEA")));
    store.changed(change_room(ann, "tea", name("Coffee")));
    let told = (MessageKind::Renamed, String::new(), "#Coffee".to_owned());
    assert_eq!(store.told(cy, "coffee"), told);
    let old = store.refuses(send_to_room(cy, "tea", "x"));
    assert_eq!(old, Refusal::UnknownRoom);
    assert_eq!(
        store.changed(create_room(ed, "tea", true)),
        1,
        "free at once"
    );
    store.clear_cache();
    store.say(cy, "COFFEE", "x");

    let private = Change::IsPublic(false);
    assert_eq!(
        store.refuses(change_room(bob, "coffee", private.clone())),
        Refusal::RoleMayNot
    );
    store.changed(change_room(ann, "coffee", private.clone()));
    assert_eq!(store.changed(change_room(ann, "coffee", private)), 0);
    assert_eq!(store.told(cy, "coffee").0, MessageKind::MadePrivate);
    assert_eq!(store.refuses(join(ed, "coffee")), Refusal::UnknownRoom);
    store.changed(change_room(ann, "coffee", Change::IsAnnounceOnly(true)));
    assert_eq!(store.told(cy, "coffee").0, MessageKind::AnnounceOnly);
    let may_not = store.refuses(send_to_room(cy, "coffee", "x"));
    assert_eq!(may_not, Refusal::RoleMayNot);
    store.say(bob, "coffee", "admins do");
    for cleared in [false, true] {
        store.changed(change_room(ann, "coffee", Change::IsAnnounceOnly(cleared)));
        if cleared {
            store.clear_cache();
        }
        let sent = store.act(send_to_room(cy, "coffee", "x"));
        let is_refused = matches!(result(&sent), outcome::Result::Refused(_));
        assert_eq!(is_refused, cleared);
    }
}

#[test]
fn archived_room_is_read_by_its_members_and_its_name_is_free() {
    let (mut store, [ann, bob, cy, di, ed]) = TestStore::with_roles(true);
    let archive = || Change::Archive(true);
    assert_eq!(
        store.refuses(change_room(bob, "tea", archive())),
        Refusal::RoleMayNot
    );
    let archived = store.act(change_room(di, "tea", archive()));
    assert_eq!(audience(&archived), [ann, bob, cy, di]);
    for action in [
        send_to_room(ann, "tea", "x"),
        join(ed, "tea"),
        kick(ann, "tea", "cy"),
        change_room(ann, "tea", archive()),
    ] {
        assert_eq!(store.refuses(action), Refusal::UnknownRoom);
    }
    assert_eq!(store.told(cy, "tea").0, MessageKind::Archived);
    assert_eq!(
        store.history_at(ed, "tea", Step::After(0), 9),
        Err(Denied::Unknown)
    );
    assert_eq!(store.rooms(ann), [""; 0]);
    let old = store.backlog(cy, 0, 100).0;

    // Another room has the name: the id reaches the old one.
    assert_eq!(store.changed(create_room(ed, "Tea", true)), 1);
    let read = |store: &TestStore, account_id, room| {
        let query = crate::queries::RoomHistory {
            account_id,
            room,
            start: Step::After(0).into(),
            limit: super::rooms::ALL,
        };
        let page = store.readers.read(&query).unwrap();
        page.map(|page| page.messages.rows.len())
    };
    let by_name = || RoomKey::Name("tea".to_owned());
    assert_eq!(read(&store, ed, by_name()), Ok(1));
    assert_eq!(read(&store, cy, by_name()), Err(Denied::NotAMember));
    assert_eq!(read(&store, cy, RoomKey::Id(6)), Ok(7));
    assert_eq!(read(&store, ed, RoomKey::Id(6)), Err(Denied::Unknown));
    assert_eq!(store.backlog(cy, 0, 100).0, old);

    // Who is deleted leaves it without a word, and so does who wants to.
    store.act(delete(ann));
    for _ in 0..4 {
        store.apply(&clean_up());
    }
    assert_eq!(read(&store, cy, RoomKey::Id(6)), Ok(7));
    assert_eq!(store.changed(leave(cy, "tea")), 0);
    assert_eq!(read(&store, cy, RoomKey::Id(6)), Err(Denied::Unknown));
    assert_eq!(store.refuses(leave(cy, "tea")), Refusal::NotAMember);
}

#[test]
fn account_that_refuses_messages_of_somebody_is_not_invited_by_them() {
    let (mut store, [ann, bob, _, di, ed]) = TestStore::with_roles(true);
    store.act(block(ed, "bob", true));
    store.act(block(ed, "di", false));
    let blocked = store.refuses(invite(bob, "tea", "ed"));
    assert_eq!(blocked, Refusal::UnknownAccount);
    // Before the rule: another version invites.
    let command = store.command(invite(ann, "tea", "ed"));
    store.apply(&Command {
        version: 2,
        ..command
    });
    assert_eq!(store.changed(invite(bob, "tea", "ed")), 0, "a member");
    store.act(kick(ann, "tea", "ed"));
    assert!(store.changed(invite(di, "tea", "ed")) > 0, "only hidden");
}
