//! The state beside conversations: compare-and-set, who may write and read, limits, runs of programs, and what is removed.

use tercet_proto::log::{ProgramRun, StateSet};

use super::*;
use crate::{
    queries::{
        ListState, NoConversation, PageLimit, ProgramStart, StateAt, StateOf, ValueForProgram,
    },
    rooms::Denied,
};

fn done(applied: &Applied) -> StateSet {
    match result(applied) {
        outcome::Result::StateSet(set) => *set,
        other => panic!("{other:?}"),
    }
}

/// Gives the version and the value of a key.
fn get(store: &TestStore, account_id: u64, conversation: &str, key: &str) -> Option<(u64, String)> {
    let query = StateOf {
        account_id,
        conversation: conversation.into(),
        key: key.into(),
    };
    let found = store.readers.read(&query).unwrap().expect("may read");
    found.map(|(_, row)| (row.version, row.value))
}

fn rows(store: &TestStore, table: &str) -> u64 {
    let count = format!("SELECT count(*) FROM {table}");
    raw(store.path())
        .query_row(&count, [], |row| row.get(0))
        .unwrap()
}

#[test]
fn a_value_is_set_only_over_the_version_that_is_expected() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let bob = store.register("Bob");
    store.act(create_room(ann, "Tea", true));
    store.act(join(bob, "tea"));
    let first = done(&store.act(set_state(ann, "#tea", "count", Some(0), Some("1"))));
    assert!(first.matched);
    assert_eq!((first.version, first.lsn), (store.last, store.last));
    assert_eq!(
        get(&store, bob, "#TEA", "count"),
        Some((first.version, "1".into()))
    );

    let missed = done(&store.act(set_state(bob, "#tea", "count", Some(0), Some("9"))));
    assert!(!missed.matched);
    assert_eq!((missed.version, missed.lsn), (first.version, 0));
    let current = missed.current.unwrap();
    assert_eq!((&*current.value, &*current.changed_by), ("1", "ann"));

    let second = done(&store.act(set_state(
        bob,
        "#tea",
        "count",
        Some(first.version),
        Some("2"),
    )));
    assert!(second.version > first.version);
    let gone = done(&store.act(set_state(ann, "#tea", "count", Some(second.version), None)));
    assert!(gone.matched && gone.version == 0 && gone.lsn > second.version);
    assert_eq!(get(&store, ann, "#tea", "count"), None);
    let nothing = done(&store.act(set_state(ann, "#tea", "count", None, None)));
    assert!(nothing.matched && nothing.lsn == 0);
    // A key that was removed never gets an old version again.
    let again = done(&store.act(set_state(ann, "#tea", "count", Some(0), Some("1"))));
    assert!(again.version > second.version);
    let missed = done(&store.act(set_state(ann, "#tea", "other", Some(7), Some("x"))));
    assert!(!missed.matched && missed.version == 0 && missed.current.is_none());
}

#[test]
fn a_retry_gets_the_first_answer_also_when_the_value_has_changed() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let first = store.command(set_state(ann, "ann", "k", Some(0), Some("1")));
    let answered = store.apply(&first);
    let missing = store.command(set_state(ann, "ann", "k", Some(0), Some("2")));
    let missed = store.apply(&missing);
    store.act(set_state(ann, "ann", "k", None, Some("3")));
    assert_eq!(store.apply(&first).outcome, answered.outcome);
    assert_eq!(store.apply(&missing).outcome, missed.outcome);
    let mut other = first.clone();
    other.action = Some(set_state(ann, "ann", "k", None, Some("1")));
    assert_eq!(refused(&store.apply(&other)), Refusal::RequestIdReused);
    assert_eq!(get(&store, ann, "ann", "k").unwrap().1, "3");
}

#[test]
fn two_accounts_share_the_state_of_their_conversation() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let bob = store.register("bob");
    let eve = store.register("eve");
    assert_eq!(get(&store, ann, "bob", "plan"), None);
    // The conversation is made with its first key, and found by messages.
    let set = done(&store.act(set_state(ann, "bob", "plan", None, Some("lunch"))));
    store.send(bob, "ann", "hello");
    assert_eq!(rows(&store, "conversations"), 1);
    assert_eq!(
        get(&store, bob, "ann", "plan"),
        Some((set.version, "lunch".into()))
    );
    assert_eq!(get(&store, eve, "ann", "plan"), None);
    assert_eq!(get(&store, ann, "ann", "plan"), None);
    store.act(set_state(ann, "ann", "plan", None, Some("mine")));
    assert_eq!(get(&store, ann, "ann", "plan").unwrap().1, "mine");

    store.act(block(bob, "ann", true));
    let refusal = |store: &mut TestStore, to: &str| {
        refused(&store.act(set_state(ann, to, "plan", None, Some("x"))))
    };
    assert_eq!(refusal(&mut store, "bob"), Refusal::UnknownAccount);
    assert_eq!(refusal(&mut store, "nobody"), Refusal::UnknownAccount);

    // The state goes with either account, and with no other.
    store.act(delete(bob));
    while rows(&store, "cleanups") > 0 {
        store.apply(&clean_up());
    }
    assert_eq!(
        (rows(&store, "state"), rows(&store, "state_totals")),
        (1, 1)
    );
    assert_eq!(get(&store, ann, "ann", "plan").unwrap().1, "mine");
}

#[test]
fn members_write_and_nobody_outside_reads() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let bob = store.register("bob");
    let eve = store.register("eve");
    store.act(create_room(ann, "open", true));
    store.act(create_room(ann, "shut", false));
    let mut news = create_room(ann, "news", true);
    if let Action::CreateRoom(room) = &mut news {
        room.is_announce_only = true;
    }
    store.act(news);
    store.act(join(bob, "news"));
    let set = done(&store.act(set_state(ann, "#news", "score", None, Some("1:0"))));
    let room_id = set.conversation_id;
    for (who, room, refusal) in [
        (eve, "#open", Refusal::NotAMember),
        (eve, "#shut", Refusal::UnknownRoom),
        (eve, "#none", Refusal::UnknownRoom),
        (bob, "#news", Refusal::RoleMayNot),
    ] {
        let tried = store.act(set_state(who, room, "score", None, Some("9:9")));
        assert_eq!(refused(&tried), refusal, "{room}");
    }
    assert_eq!(get(&store, bob, "#news", "score").unwrap().1, "1:0");
    let read = |account_id, room: &str| {
        let query = StateOf {
            account_id,
            conversation: room.into(),
            key: "score".into(),
        };
        store.readers.read(&query).unwrap().unwrap_err()
    };
    let denied = |denied, room: &str| NoConversation::Room(denied, room.into());
    assert_eq!(read(eve, "#open"), denied(Denied::NotAMember, "open"));
    assert_eq!(read(eve, "#shut"), denied(Denied::Unknown, "shut"));
    // Who reads no more gets no value with an event either.
    let at = |store: &TestStore, account_id| {
        let query = StateAt {
            account_id,
            conversation_id: room_id,
            key: "score".into(),
        };
        let found = store.readers.read(&query).unwrap();
        found.map(|(name, row)| (name, row.unwrap().value))
    };
    let seen = Some(("#news".to_owned(), "1:0".to_owned()));
    assert_eq!(at(&store, bob), seen);
    assert_eq!(at(&store, eve), None);
    // The last member takes the state along, and a room that is archived has none.
    store.act(leave(bob, "news"));
    assert_eq!(at(&store, bob), None);
    store.act(leave(ann, "news"));
    store.act(set_state(ann, "#open", "score", None, Some("1:0")));
    assert_eq!(rows(&store, "state"), 1);
    store.act(change_room(ann, "open", Change::Archive(true)));
    assert_eq!(
        (rows(&store, "state"), rows(&store, "state_totals")),
        (0, 0)
    );
}

#[test]
fn keys_are_listed_by_prefix_in_pages() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    for key in ["b", "a/2", "a/1", "a", "a:", "A", "ab"] {
        store.act(set_state(ann, "ann", key, None, Some("x")));
    }
    let list = |prefix: &str, after: &str, rows, bytes| {
        let query = ListState {
            account_id: ann,
            conversation: "ann".into(),
            prefix: prefix.into(),
            after: after.into(),
            limit: PageLimit { rows, bytes },
        };
        let page = store.readers.read(&query).unwrap().unwrap().page;
        let keys = page.rows.into_iter().map(|row| row.key);
        (keys.collect::<Vec<_>>(), page.more)
    };
    let all = ["A", "a", "a/1", "a/2", "a:", "ab", "b"].map(str::to_owned);
    assert_eq!(list("", "", 10, 1_000), (all.to_vec(), false));
    assert_eq!(list("a", "", 10, 1_000).0, all[1..6]);
    assert_eq!(list("a/", "", 1, 1_000), (all[2..3].to_vec(), true));
    assert_eq!(list("a/", "a/1", 1, 1_000), (all[3..4].to_vec(), false));
    assert_eq!(list("", "", 10, 4), (all[..2].to_vec(), true));
    assert_eq!(list("z", "", 10, 4), (Vec::new(), false));
}

#[test]
fn a_conversation_has_a_limit_of_keys_and_of_bytes() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let large = "x".repeat(16_384);
    let keys = (1 << 20) / (16_384 + 5);
    let set =
        |n: usize, value: Option<&str>| set_state(ann, "ann", &format!("k{n:04}"), None, value);
    let full: Vec<Command> = (0..keys)
        .map(|n| store.command(set(n, Some(&large))))
        .collect();
    assert!(
        store
            .apply_all(&full)
            .iter()
            .all(|applied| done(applied).matched)
    );
    assert_eq!(
        refused(&store.act(set(keys, Some(&large)))),
        Refusal::StateFull
    );
    assert_eq!(get(&store, ann, "ann", &format!("k{keys:04}")), None);
    // Less of one makes room for another, and removing is always possible.
    assert!(done(&store.act(set(0, Some("")))).matched);
    assert!(done(&store.act(set(keys, Some(&large)))).matched);
    let remove: Vec<Command> = (0..=keys).map(|n| store.command(set(n, None))).collect();
    store.apply_all(&remove);
    assert_eq!(rows(&store, "state_totals"), 0);

    let many: Vec<Command> = (0..1_000)
        .map(|n| store.command(set(n, Some(""))))
        .collect();
    store.apply_all(&many);
    assert_eq!(
        refused(&store.act(set(1_000, Some("")))),
        Refusal::TooManyKeys
    );
    assert!(done(&store.act(set(999, Some("1")))).matched);
}

/// A run of a program that read `expected` and makes `value` of it.
fn run(account_id: u64, expected: u64, value: &str, program: u8) -> Action {
    let mut action = set_state(account_id, "ann", "k", Some(expected), Some(value));
    if let Action::SetState(set) = &mut action {
        set.program_run = Some(ProgramRun {
            digest: Bytes::copy_from_slice(&[program; 32]),
            answer: format!("answer {value}"),
            unchanged: false,
        });
    }
    action
}

#[test]
fn a_program_that_ran_on_an_old_value_runs_again_for_the_same_request() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let set = done(&store.act(set_state(ann, "ann", "k", None, Some("1"))));
    let mut command = store.command(run(ann, set.version - 1, "2", 1));
    let input = |store: &TestStore, command: &Command| {
        let Some(Action::SetState(set)) = command.action.clone() else {
            panic!("another command");
        };
        let query = ValueForProgram {
            request_id: command.request_id[..].try_into().unwrap(),
            command: set,
        };
        store.readers.read(&query).unwrap().unwrap()
    };
    let before = store.state_hash();
    let missed = done(&store.apply(&command));
    assert!(!missed.matched && missed.current.is_none());
    assert_ne!(store.state_hash(), before, "the position moved");
    let start = ProgramStart::Value(set.version, Some("1".into()));
    assert_eq!(input(&store, &command), start);
    assert_eq!(rows(&store, "requests"), 2);

    command.action = Some(run(ann, set.version, "2", 1));
    let ran = store.apply(&command);
    assert!(done(&ran).matched);
    assert_eq!(done(&ran).answer, "answer 2");
    // A retry that another leader ran on the newer value gets the first answer, and changes nothing.
    command.action = Some(run(ann, done(&ran).version, "3", 1));
    assert_eq!(store.apply(&command).outcome, ran.outcome);
    assert_eq!(
        input(&store, &command),
        ProgramStart::Answered(ran.outcome.clone())
    );
    assert_eq!(get(&store, ann, "ann", "k").unwrap().1, "2");
    // Another program with the same id is none.
    command.action = Some(run(ann, done(&ran).version, "3", 2));
    assert_eq!(refused(&store.apply(&command)), Refusal::RequestIdReused);

    let mut reads = run(ann, done(&ran).version, "", 3);
    if let Action::SetState(set) = &mut reads {
        set.program_run.as_mut().unwrap().unchanged = true;
    }
    let reads = done(&store.act(reads));
    assert!(reads.matched && reads.lsn == 0);
    assert_eq!(
        get(&store, ann, "ann", "k"),
        Some((done(&ran).version, "2".into()))
    );
}
