//! Rooms: who may do what when it is applied, the order of their messages, succession, and what each reads.

use super::*;
use crate::{
    event::{MessageKind, RoomMessageRow},
    queries::{
        Backlog, BacklogRow, Conversations, MemberRow, Members, PageLimit, RoomHistory, RoomKey,
        RoomsByPattern, Step, With,
    },
    rooms::Denied,
};

pub(super) const ALL: PageLimit = PageLimit {
    rows: 1_000,
    bytes: usize::MAX,
};

impl TestStore {
    pub(super) fn changed(&mut self, action: Action) -> u64 {
        match result(&self.act(action)) {
            outcome::Result::RoomChanged(changed) => changed.seq,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn say(&mut self, sender: u64, room: &str, body: &str) -> u64 {
        match result(&self.act(send_to_room(sender, room, body))) {
            outcome::Result::RoomMessageSent(sent) => sent.seq,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn history_at(
        &self,
        account_id: u64,
        room: &str,
        step: Step,
        rows: usize,
    ) -> Result<(Vec<u64>, bool), Denied> {
        let limit = PageLimit { rows, ..ALL };
        let query = RoomHistory {
            account_id,
            room: RoomKey::Name(room.to_owned()),
            start: step.into(),
            limit,
        };
        let page = self.readers.read(&query).unwrap()?;
        let seqs = page.messages.rows.iter().map(|row| row.seq).collect();
        Ok((seqs, page.messages.more))
    }

    pub(super) fn room(&self, account_id: u64, room: &str) -> Vec<RoomMessageRow> {
        let query = RoomHistory {
            account_id,
            room: RoomKey::Name(room.to_owned()),
            start: Step::After(0).into(),
            limit: ALL,
        };
        self.readers.read(&query).unwrap().unwrap().messages.rows
    }

    pub(super) fn members(&self, account_id: u64, room: &str) -> Vec<(String, Role)> {
        let query = Members {
            account_id,
            room: room.to_owned(),
            after: 0,
            limit: 100,
        };
        let (_, page) = self.readers.read(&query).unwrap().unwrap();
        let pair = |row: MemberRow| (row.username, row.role);
        page.rows.into_iter().map(pair).collect()
    }

    pub(super) fn rooms(&self, account_id: u64) -> Vec<String> {
        let query = RoomsByPattern {
            account_id,
            feeds_only: false,
            pattern: "*".to_owned(),
            after: String::new(),
            limit: 100,
        };
        let page = self.readers.read(&query).unwrap();
        page.rows.into_iter().map(|row| row.name).collect()
    }

    pub(super) fn backlog(&self, account_id: u64, after: u64, rows: usize) -> (Vec<u64>, bool) {
        let limit = PageLimit { rows, ..ALL };
        let query = Backlog {
            account_id,
            after,
            limit,
        };
        let page = self.readers.read(&query).unwrap();
        let lsn = |row: &BacklogRow| match row {
            BacklogRow::Direct(row) => row.lsn,
            BacklogRow::Room(row) => row.lsn,
            BacklogRow::Change(row) => row.lsn,
        };
        (page.rows.iter().map(lsn).collect(), page.more)
    }
}

#[test]
fn messages_of_a_room_are_numbered_without_gaps_whatever_is_indexed() {
    let mut store = TestStore::new();
    let [ann, bob] = ["ann", "bob"].map(|name| store.register(name));
    assert_eq!(store.changed(create_room(ann, "Tea", true)), 1);
    assert_eq!(store.changed(create_room(ann, "coffee", true)), 1);
    assert_eq!(store.changed(join(bob, "tea")), 2);
    for n in 3..40 {
        store.send(ann, "bob", "in between");
        assert_eq!(store.say(if n % 2 == 0 { ann } else { bob }, "TEA", "x"), n);
        if n % 7 == 0 {
            // The cache is cleared, so that the last seq is read.
            let gone = store.register("gone");
            store.act(delete(gone));
        }
        if n % 11 == 0 {
            store.dir = crashed(store.path());
            let opened = reopen(store.path()).unwrap();
            (store.writer, store.readers) = (opened.writer, opened.readers);
            store.writer.at.indexed.behind_max = 3;
        }
    }
    let rows = store.room(bob, "tea");
    let seqs: Vec<u64> = rows.iter().map(|row| row.seq).collect();
    assert_eq!(seqs, (1..40).collect::<Vec<_>>());
    assert!(rows.is_sorted_by_key(|row| row.lsn));
    assert_eq!(
        rows.iter().take(3).map(|row| row.kind).collect::<Vec<_>>(),
        [MessageKind::Created, MessageKind::Joined, MessageKind::Text]
    );
    let page = |step, rows| store.history_at(ann, "tea", step, rows).unwrap();
    assert_eq!(page(Step::Before(40), 3), (vec![37, 38, 39], true));
    assert_eq!(page(Step::Before(3), 3), (vec![1, 2], false));
    assert_eq!(page(Step::After(20), 3), (vec![21, 22, 23], true));
    assert_eq!(page(Step::After(37), 3), (vec![38, 39], false));
}

#[test]
fn stranger_gets_of_a_private_room_what_a_missing_room_gives() {
    let mut store = TestStore::new();
    let [ann, bob, _cy] = ["ann", "bob", "cy"].map(|name| store.register(name));
    store.act(create_room(ann, "secret", false));
    for room in ["secret", "missing"] {
        for action in [
            join(bob, room),
            leave(bob, room),
            invite(bob, room, "cy"),
            invite(bob, room, "nobody"),
            send_to_room(bob, room, "hello"),
        ] {
            assert_eq!(refused(&store.act(action)), Refusal::UnknownRoom);
        }
        let read = store.history_at(bob, room, Step::After(0), 9);
        assert_eq!(read, Err(Denied::Unknown));
        let members = Members {
            account_id: bob,
            room: room.to_owned(),
            after: 0,
            limit: 9,
        };
        assert_eq!(store.readers.read(&members).unwrap(), Err(Denied::Unknown));
    }
    assert_eq!(store.rooms(bob), [""; 0]);
    assert_eq!(store.rooms(ann), ["secret"]);
    store.changed(invite(ann, "secret", "Bob"));
    assert_eq!(store.rooms(bob), ["secret"]);
    assert_eq!(store.say(bob, "secret", "hello"), 3);
    let may_not = store.act(invite(bob, "secret", "cy"));
    assert_eq!(refused(&may_not), Refusal::RoleMayNot);
}

#[test]
fn public_room_is_found_and_joined_before_it_is_read() {
    let mut store = TestStore::new();
    let [ann, bob] = ["ann", "bob"].map(|name| store.register(name));
    store.act(create_room(ann, "tea", true));
    assert_eq!(
        refused(&store.act(create_room(bob, "TEA", false))),
        Refusal::RoomNameTaken
    );
    assert_eq!(store.rooms(bob), ["tea"]);
    assert_eq!(store.members(bob, "tea"), [("ann".to_owned(), Role::Owner)]);
    assert_eq!(
        store.history_at(bob, "tea", Step::After(0), 9),
        Err(Denied::NotAMember)
    );
    for action in [
        send_to_room(bob, "tea", "x"),
        leave(bob, "tea"),
        invite(bob, "tea", "bob"),
    ] {
        assert_eq!(refused(&store.act(action)), Refusal::NotAMember);
    }
    assert_eq!(store.changed(join(bob, "tea")), 2);
    assert_eq!(store.changed(join(bob, "tea")), 0, "again");
    assert_eq!(store.changed(invite(bob, "tea", "ann")), 0, "a member");
    let nobody = store.act(invite(bob, "tea", "nobody"));
    assert_eq!(refused(&nobody), Refusal::UnknownAccount);
    assert_eq!(
        store.history_at(bob, "tea", Step::After(1), 9).unwrap().0,
        [2]
    );
}

#[test]
fn announce_only_room_is_written_by_its_owner() {
    let mut store = TestStore::new();
    let [ann, bob] = ["ann", "bob"].map(|name| store.register(name));
    let mut create = create_room(ann, "news", true);
    if let Action::CreateRoom(create) = &mut create {
        create.is_announce_only = true;
    }
    store.act(create);
    store.act(join(bob, "news"));
    assert_eq!(
        refused(&store.act(send_to_room(bob, "news", "x"))),
        Refusal::RoleMayNot
    );
    assert_eq!(store.say(ann, "news", "x"), 3);
}

#[test]
fn last_owner_who_leaves_is_followed_by_the_oldest_admin_or_member() {
    let mut store = TestStore::new();
    let [ann, bob, cy] = ["ann", "bob", "cy"].map(|name| store.register(name));
    store.act(create_room(ann, "tea", true));
    store.act(join(cy, "tea"));
    store.act(join(bob, "tea"));
    assert_eq!(store.changed(leave(ann, "tea")), 4);
    let left = store.room(bob, "tea").pop().unwrap();
    assert_eq!(
        (left.kind, left.subject.as_deref()),
        (MessageKind::Left, Some("cy"))
    );
    let owner = |name: &str| (name.to_owned(), Role::Owner);
    let member = |name: &str| (name.to_owned(), Role::Member);
    assert_eq!(store.members(bob, "tea"), [member("bob"), owner("cy")]);
    // An admin comes before an older member.
    store.act(join(ann, "tea"));
    store.act(promote(cy, "tea", "ann", Role::Admin));
    store.act(leave(cy, "tea"));
    assert_eq!(store.members(bob, "tea"), [owner("ann"), member("bob")]);
    store.act(leave(bob, "tea"));
    store.act(leave(ann, "tea"));
    assert_eq!(store.rooms(ann), [""; 0]);
    assert_eq!(refused(&store.act(join(bob, "tea"))), Refusal::UnknownRoom);
    assert_eq!(
        store.changed(create_room(bob, "tea", false)),
        1,
        "free again"
    );
    assert_eq!(
        store.room(bob, "tea").len(),
        1,
        "nothing of the earlier room"
    );
}

#[test]
fn deleted_account_leaves_its_rooms_one_after_the_other() {
    let mut store = TestStore::new();
    let [ann, bob] = ["ann", "bob"].map(|name| store.register(name));
    for n in 0..4 {
        store.act(create_room(ann, &format!("r{n}"), true));
    }
    for n in 1..4 {
        store.act(join(bob, &format!("r{n}")));
    }
    store.act(delete(ann));
    assert!(
        !store
            .members(bob, "r1")
            .contains(&("ann".to_owned(), Role::Owner))
    );
    for _ in 0..4 {
        store.apply(&clean_up());
    }
    let owner = [("bob".to_owned(), Role::Owner)];
    for n in 1..4 {
        let room = format!("r{n}");
        assert_eq!(store.members(bob, &room), owner);
        let left = store.room(bob, &room).pop().unwrap();
        assert_eq!(left.kind, MessageKind::Left);
        assert!(left.sender_deleted);
    }
    assert_eq!(store.rooms(bob), ["r1", "r2", "r3"], "r0 is archived");
    let left = "SELECT count(*) FROM cleanups";
    let left: u64 = store
        .writer
        .connection
        .query_row(left, [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 0);
}

#[test]
fn event_of_a_room_names_its_members() {
    let mut store = TestStore::new();
    let [ann, bob, cy] = ["ann", "bob", "cy"].map(|name| store.register(name));
    let audience = |applied: &Applied| match &applied.events[..] {
        [Event::RoomMessage { row, members, .. }] => {
            assert_eq!(row.lsn, applied.lsn);
            members.to_vec()
        }
        other => panic!("{other:?}"),
    };
    let created = store.act(create_room(ann, "tea", true));
    assert_eq!(audience(&created), [ann]);
    assert_eq!(audience(&store.act(join(cy, "tea"))), [ann, cy]);
    assert_eq!(
        audience(&store.act(invite(ann, "tea", "bob"))),
        [ann, bob, cy]
    );
    let sent = store.act(send_to_room(bob, "tea", "hello"));
    assert_eq!(audience(&sent), [ann, bob, cy]);
    // What is delivered is what is read.
    let stored = store.room(ann, "tea").pop().unwrap();
    assert!(matches!(&sent.events[0], Event::RoomMessage { row, .. } if **row == stored));
    assert_eq!(audience(&store.act(leave(bob, "tea"))), [ann, bob, cy]);
    let sent = store.act(send_to_room(ann, "tea", "hello"));
    assert_eq!(audience(&sent), [ann, cy]);
}

#[test]
fn subscription_catches_up_with_rooms_from_the_joining_on() {
    let mut store = TestStore::new();
    let [ann, bob] = ["ann", "bob"].map(|name| store.register(name));
    store.act(create_room(ann, "tea", true));
    store.act(create_room(ann, "coffee", true));
    for _ in 0..5 {
        store.say(ann, "tea", "before");
    }
    let mut expected = vec![store.act(join(bob, "tea")).lsn];
    for n in 0..30_u32 {
        let room = if n % 5 == 0 { "coffee" } else { "tea" };
        let lsn = store.act(send_to_room(ann, room, "x")).lsn;
        expected.extend((room == "tea").then_some(lsn));
        if n % 3 == 0 {
            expected.push(store.send(ann, "bob", "direct").1);
        }
        if n == 20 {
            expected.push(store.act(join(bob, "coffee")).lsn);
        }
        if n == 25 {
            expected.push(store.last);
        }
    }
    expected.sort_unstable();
    expected.dedup();
    for rows in [1, 3, 7, 100] {
        for start in 0..store.last {
            let mut found = Vec::<u64>::new();
            let mut after = start;
            loop {
                let (lsns, more) = store.backlog(bob, after, rows);
                found.extend(&lsns);
                match lsns.last() {
                    Some(last) if more => after = *last,
                    _ => break,
                }
            }
            let of_start: Vec<u64> = expected
                .iter()
                .copied()
                .filter(|lsn| *lsn > start)
                .collect();
            assert_eq!(found, of_start, "after {start}, {rows} rows");
        }
    }
}

#[test]
fn conversations_say_where_each_room_and_its_reader_are() {
    let mut store = TestStore::new();
    let [ann, bob] = ["ann", "bob"].map(|name| store.register(name));
    for room in ["tea", "coffee", "milk"] {
        store.act(create_room(ann, room, true));
        store.say(ann, room, "x");
    }
    store.act(join(bob, "milk"));
    store.act(join(bob, "tea"));
    store.say(ann, "tea", "x");
    let page = |before, limit| {
        let query = Conversations {
            account_id: bob,
            before,
            limit,
        };
        store.readers.read(&query).unwrap()
    };
    let all = page(u64::MAX, 9);
    let seen = all.rows.iter().map(|row| {
        let With::Room(room) = &row.with else {
            panic!("{row:?}");
        };
        (room.name.as_str(), row.last_seq, row.read_seq, row.unread)
    });
    assert_eq!(
        seen.collect::<Vec<_>>(),
        [("tea", 4, 3, 1), ("milk", 3, 3, 0)]
    );
    let first = page(u64::MAX, 1);
    assert!(first.more);
    assert_eq!(page(first.rows[0].last_lsn, 1).rows, all.rows[1..]);
}

#[test]
fn direct_message_writes_nothing_for_rooms() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    for _ in 0..10 {
        store.send(ann, "ann", "hello");
    }
    for table in ["room_messages", "room_index", "members", "rooms"] {
        let sql = format!("SELECT count(*) FROM {table}");
        let count: u64 = store
            .writer
            .connection
            .query_row(&sql, [], |row| row.get(0))
            .unwrap();
        assert_eq!(count, 0, "{table}");
    }
}

#[test]
fn message_of_a_room_is_described_from_the_log_and_from_the_state() {
    use crate::What;
    let mut store = TestStore::new();
    let ann = store.register("ann");
    store.act(create_room(ann, "Tea", true));
    let lsn = store.act(send_to_room(ann, "tea", "hello")).lsn;
    let described = |store: &TestStore| {
        let mut all = Vec::new();
        let tell = &mut |unseen: crate::Unseen| {
            all.push((unseen.lsn, unseen.what));
            Ok(())
        };
        store.readers.unseen(Lsn(lsn - 1), tell).unwrap();
        all
    };
    for trimmed in [false, true] {
        if trimmed {
            let through = Lsn(lsn);
            store.writer.execute(&[WriteOp::Trim { through }]).unwrap();
        }
        let [
            (
                at,
                What::Message {
                    recipient, body, ..
                },
            ),
        ] = &described(&store)[..]
        else {
            panic!("one message");
        };
        assert_eq!((*at, body.as_str()), (Lsn(lsn), "hello"));
        assert!(recipient.eq_ignore_ascii_case("#tea"), "{recipient}");
    }
}
