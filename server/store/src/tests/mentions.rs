//! Mentions: whom a text means when it is applied, their rows, and what each reads of them.

use std::collections::BTreeMap;

use super::{
    rooms::ALL,
    state::{Numbers, mention_action},
    *,
};
use crate::{
    mentions::MentionKind,
    queries::{
        Backlog, BacklogRow, ConnectedMembers, Conversations, Mentions, PageLimit, RoomHistory,
        RoomKey, Step,
    },
};

impl TestStore {
    /// Gives the seqs of the messages that mention an account, the newest first, as each read has them: the list, the
    /// count, and the history.
    fn mentions(&self, account_id: u64) -> Vec<(u64, MentionKind)> {
        let query = Mentions {
            account_id,
            before: u64::MAX,
            limit: ALL,
        };
        let page = self.readers.read(&query).unwrap();
        assert!(!page.more);
        assert!(page.rows.iter().all(|row| row.message.parts.mentions_me));
        let list: Vec<(u64, MentionKind)> = page
            .rows
            .iter()
            .map(|row| (row.message.seq, row.kind))
            .collect();
        let conversations = Conversations {
            account_id,
            before: u64::MAX,
            limit: 1_000,
        };
        let conversations = self.readers.read(&conversations).unwrap().rows;
        let unread = |row: &&crate::queries::MentionRow| {
            let of = conversations
                .iter()
                .find(|one| one.id == row.message.room_id);
            row.message.seq > of.unwrap().read_seq
        };
        let counted: u64 = conversations.iter().map(|row| row.mentions).sum();
        assert_eq!(counted, page.rows.iter().filter(unread).count() as u64);
        let mut in_history = 0;
        for one in conversations {
            let history = RoomHistory {
                account_id,
                room: RoomKey::Id(one.id),
                start: Step::After(0).into(),
                limit: ALL,
            };
            if let Ok(page) = self.readers.read(&history).unwrap() {
                let rows = page.messages.rows.iter();
                in_history += rows.filter(|row| row.parts.mentions_me).count();
            }
        }
        assert_eq!(in_history, list.len());
        list
    }

    fn seqs_of_mentions(&self, account_id: u64) -> Vec<u64> {
        let mentions = self.mentions(account_id).into_iter();
        mentions.map(|(seq, _)| seq).collect()
    }

    /// Sends a text to the room tea; gives the accounts that its event mentions.
    fn mention(&mut self, sender: u64, body: &str, here: &[u64]) -> Vec<u64> {
        let applied = self.act(send_while_here(sender, "tea", body, here));
        match &applied.events[..] {
            [Event::RoomMessage { mentioned, .. }] => {
                mentioned.as_deref().unwrap_or_default().to_vec()
            }
            other => panic!("{other:?}"),
        }
    }

    fn rows_of_mentions(&self) -> u64 {
        raw(self.path())
            .query_row("SELECT count(*) FROM mentions", [], |row| row.get(0))
            .unwrap()
    }
}

/// A store with the room tea: ann owns it, bob is an admin, cy and di are members, ed is not.
fn tea() -> (TestStore, [u64; 5]) {
    let mut store = TestStore::new();
    let ids = ["ann", "bob", "cy", "di", "ed"].map(|name| store.register(name));
    store.act(create_room(ids[0], "tea", true));
    for name in ["bob", "cy", "di"] {
        store.act(invite(ids[0], "tea", name));
    }
    store.act(promote(ids[0], "tea", "bob", Role::Admin));
    (store, ids)
}

#[test]
fn a_name_mentions_the_member_that_has_it_and_nobody_else() {
    let (mut store, [ann, bob, cy, di, ed]) = tea();
    assert_eq!(
        store.mention(ann, "@BOB and @di, not @ed or @nobody", &[]),
        [bob, di]
    );
    assert_eq!(store.mention(bob, "@bob, you are @bobby", &[]), []);
    assert_eq!(store.mention(cy, "see `@bob` or a@bob", &[]), []);
    assert_eq!(store.mention(di, "@cy. @cy @cy", &[]), [cy]);
    assert_eq!(store.seqs_of_mentions(bob), [6]);
    assert_eq!(store.seqs_of_mentions(cy), [9]);
    assert_eq!(store.seqs_of_mentions(di), [6]);
    assert_eq!(store.seqs_of_mentions(ann), []);
    assert_eq!(store.seqs_of_mentions(ed), []);
    // A name with a dot at its end is another one.
    let dot = store.register("cy.");
    store.act(join(dot, "tea"));
    assert_eq!(store.mention(ann, "@cy.", &[]), [dot]);
    store.act(delete(dot));
    assert_eq!(store.mention(ann, "@cy.", &[]), [cy]);
    // Direct messages mention nobody.
    let before = store.rows_of_mentions();
    store.send(ann, "bob", "@bob @room");
    assert_eq!(store.rows_of_mentions(), before);
}

#[test]
fn room_means_all_members_and_here_those_who_were_connected_at_one_row() {
    let (mut store, [ann, bob, cy, di, ed]) = tea();
    assert_eq!(store.mention(cy, "@room!", &[]), [ann, bob, di]);
    assert_eq!(store.rows_of_mentions(), 1);
    assert_eq!(store.mention(cy, "@here", &[ann, cy, ed]), [ann]);
    assert_eq!(store.rows_of_mentions(), 2);
    assert_eq!(store.mention(cy, "@here @bob", &[ann, bob]), [ann, bob]);
    assert_eq!(
        store.mentions(bob),
        [(8, MentionKind::Name), (6, MentionKind::Room)]
    );
    assert_eq!(
        store.mentions(ann),
        [
            (8, MentionKind::Here),
            (7, MentionKind::Here),
            (6, MentionKind::Room)
        ]
    );
    assert_eq!(store.mentions(cy), []);
    // More than have a row each.
    let many = Action::SendToRoom(SendToRoom {
        sender_id: ann,
        room: "tea".to_owned(),
        body: "@here".to_owned(),
        here_are_many: true,
        ..SendToRoom::default()
    });
    let before = store.rows_of_mentions();
    store.act(many);
    assert_eq!(store.rows_of_mentions(), before + 1);
    assert_eq!(store.mentions(di)[0], (9, MentionKind::Here));
    // One who joins later was not meant.
    store.act(join(ed, "tea"));
    assert_eq!(store.mentions(ed), []);
    store.act(leave(di, "tea"));
    assert_eq!(store.mentions(di), []);
    store.act(join(di, "tea"));
    assert_eq!(store.mentions(di), []);
}

#[test]
fn text_of_a_member_who_may_not_mention_all_mentions_those_it_names() {
    let (mut store, [ann, bob, cy, di, _]) = tea();
    let restrict = |only| Change::RestrictsMentions(only);
    assert_eq!(
        refused(&store.act(change_room(cy, "tea", restrict(true)))),
        Refusal::RoleMayNot
    );
    assert_eq!(store.changed(change_room(bob, "tea", restrict(true))), 6);
    assert_eq!(store.changed(change_room(ann, "tea", restrict(true))), 0);
    for (sender, may) in [(ann, true), (bob, true), (cy, false)] {
        let text = "@room @here @di";
        let found = store.mention(sender, text, &[ann, bob, cy]);
        let all = [ann, bob, cy, di].into_iter().filter(|id| *id != sender);
        assert_eq!(found, if may { all.collect() } else { vec![di] });
    }
    assert_eq!(store.changed(change_room(bob, "tea", restrict(false))), 10);
    assert_eq!(store.mention(cy, "@room", &[]), [ann, bob, di]);
    // The setting is found again when the cache is cleared.
    store.changed(change_room(bob, "tea", restrict(true)));
    store.dir = crashed(store.path());
    let opened = reopen(store.path()).unwrap();
    (store.writer, store.readers) = (opened.writer, opened.readers);
    assert_eq!(store.mention(cy, "@room", &[]), []);
}

#[test]
fn mentions_of_a_blocked_account_do_not_count_while_it_is_blocked() {
    let (mut store, [ann, bob, cy, _, _]) = tea();
    store.mention(ann, "@bob", &[]);
    store.mention(ann, "@room", &[]);
    assert_eq!(store.seqs_of_mentions(bob), [7, 6]);
    store.act(block(bob, "ann", false));
    assert_eq!(store.seqs_of_mentions(bob), []);
    assert_eq!(store.mention(ann, "@bob @cy", &[]), [cy]);
    assert!(!store.mention(ann, "@room", &[]).contains(&bob));
    store.act(unblock(bob, "ann"));
    assert_eq!(store.seqs_of_mentions(bob), [9, 8, 7, 6]);
}

#[test]
fn an_edit_decides_again_and_here_adds_nobody() {
    let (mut store, [ann, bob, cy, di, _]) = tea();
    store.mention(ann, "@here @bob", &[cy]);
    let edited = store.act(edit(ann, "#tea", 6, "@here and @di"));
    assert!(matches!(&edited.events[..], [Event::Change { .. }]));
    assert_eq!(store.seqs_of_mentions(bob), []);
    assert_eq!(store.mentions(cy), [(6, MentionKind::Here)]);
    assert_eq!(store.mentions(di), [(6, MentionKind::Name)]);
    store.act(edit(ann, "#tea", 6, "nobody"));
    assert_eq!(store.rows_of_mentions(), 0);
    store.act(edit(ann, "#tea", 6, "@here"));
    assert_eq!(store.rows_of_mentions(), 0);
    store.act(edit(ann, "#tea", 6, "@room"));
    assert_eq!(store.seqs_of_mentions(bob), [6]);
    store.act(delete_message(ann, "#tea", 6));
    assert_eq!(store.rows_of_mentions(), 0);
    // Direct messages mention nobody after an edit, either.
    store.send(ann, "bob", "hello");
    store.act(edit(ann, "bob", 1, "@bob"));
    assert_eq!(store.rows_of_mentions(), 0);
}

#[test]
fn read_mentions_are_listed_and_not_counted() {
    let (mut store, [ann, bob, ..]) = tea();
    for _ in 0..5 {
        store.mention(ann, "@bob", &[]);
        store.mention(ann, "@room", &[]);
    }
    let count = |store: &TestStore| {
        let query = Conversations {
            account_id: bob,
            before: u64::MAX,
            limit: 10,
        };
        store.readers.read(&query).unwrap().rows[0].mentions
    };
    assert_eq!(count(&store), 10);
    store.act(mark_read(bob, "#tea", 8));
    assert_eq!(count(&store), 7);
    assert_eq!(store.seqs_of_mentions(bob).len(), 10);
    // Marked unread from before the joining: what came before is not for bob.
    store.act(mark_unread(bob, "#tea", 1));
    assert_eq!(count(&store), 10);
    let mut before = u64::MAX;
    let mut seqs = Vec::new();
    loop {
        let query = Mentions {
            account_id: bob,
            before,
            limit: PageLimit { rows: 3, ..ALL },
        };
        let page = store.readers.read(&query).unwrap();
        seqs.extend(page.rows.iter().map(|row| row.message.seq));
        before = page.rows.last().unwrap().message.lsn;
        if !page.more {
            break;
        }
    }
    assert_eq!(seqs, (6..16).rev().collect::<Vec<_>>());
}

#[test]
fn a_deleted_account_has_no_rows_of_mentions_in_the_end() {
    let (mut store, [ann, bob, ..]) = tea();
    for _ in 0..3 {
        store.mention(ann, "@bob @cy", &[]);
    }
    store.act(delete(bob));
    for _ in 0..4 {
        store.apply(&clean_up());
    }
    assert_eq!(store.rows_of_mentions(), 3);
}

#[test]
fn a_message_of_an_older_version_mentions_nobody() {
    let (mut store, [ann, ..]) = tea();
    store.version = 2;
    assert_eq!(store.mention(ann, "@bob @room", &[]), []);
    assert_eq!(store.rows_of_mentions(), 0);
}

#[test]
fn those_who_are_here_are_members_and_not_too_many() {
    let (store, [ann, bob, cy, di, ed]) = tea();
    let find = |account_id, limit| {
        let query = ConnectedMembers {
            account_id,
            room: "TEA".to_owned(),
            connected: vec![bob, di, ed],
            limit,
        };
        store.readers.read(&query).unwrap()
    };
    assert_eq!(find(ann, 2), Some(vec![bob, di]));
    assert_eq!(find(cy, 1), None);
    assert_eq!(find(ed, 2), Some(vec![]));
}

/// Checks that an event and later reads agree, whatever happens in between; and so do the list, the count and the
/// history.
#[test]
fn events_mention_those_who_read_that_they_are_mentioned() {
    let mut numbers = Numbers(7);
    let mut store = TestStore::new();
    let names = (0..7).map(|n| format!("User{n}"));
    let mut ids: Vec<u64> = names.map(|name| store.register(&name)).collect();
    for room in ["Room0", "Room1", "Room2"] {
        store.act(create_room(ids[0], room, true));
        for id in &ids {
            store.act(join(*id, room));
        }
    }
    let mut told = BTreeMap::new();
    for n in 0..400 {
        let account = ids[numbers.below(ids.len() as u64) as usize];
        let room = &format!("Room{}", numbers.below(3));
        let action = match numbers.below(40) {
            0 => leave(account, room),
            1 | 2 => join(account, room),
            3 => mark_read(account, &format!("#{room}"), numbers.below(90)),
            4 => delete_message(account, &format!("#{room}"), numbers.below(90)),
            _ => mention_action(&mut numbers, account, n),
        };
        let applied = store.act(action);
        for event in &applied.events {
            if let Event::RoomMessage { row, mentioned, .. } = event {
                let mentioned = mentioned.as_deref().unwrap_or_default();
                told.insert(row.lsn, mentioned.to_vec());
            }
        }
        if n == 300 {
            store.act(delete(ids.pop().unwrap()));
        }
    }
    let mut count = 0;
    for account_id in ids {
        let listed = store.mentions(account_id).len();
        count += listed;
        let query = Backlog {
            account_id,
            after: 0,
            limit: PageLimit {
                rows: 5_000,
                bytes: usize::MAX,
            },
        };
        let mut in_backlog = 0;
        for row in store.readers.read(&query).unwrap().rows {
            if let BacklogRow::Room(row) = row {
                in_backlog += usize::from(row.parts.mentions_me);
                if row.parts.edited_at_ms.is_none() && row.parts.deleted_at_ms.is_none() {
                    let told: Option<&Vec<u64>> = told.get(&row.lsn);
                    let was_told = told.is_some_and(|ids| ids.contains(&account_id));
                    assert_eq!(row.parts.mentions_me, was_told, "{row:?}");
                }
            }
        }
        assert_eq!(in_backlog, listed);
    }
    assert!(count > 50, "{count}");
}
