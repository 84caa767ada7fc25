//! Pages, patterns, and reading beside the writer.

use std::thread;

use super::*;

fn names(store: &TestStore, pattern: &str, after: &str, limit: usize) -> Vec<String> {
    let accounts = store.readers.accounts(pattern, after, limit).unwrap();
    accounts
        .into_iter()
        .map(|account| account.username)
        .collect()
}

fn lsns(rows: &[crate::event::MessageRow]) -> Vec<u64> {
    rows.iter().map(|row| row.lsn).collect()
}

#[test]
fn accounts_match_patterns_without_case() {
    let mut store = TestStore::new();
    for name in ["bob", "Anna", "ann", "a.n", "a_n", "a-n", "Zoe"] {
        store.register(name);
    }
    let gone = store.register("annabel");
    store.act(delete(gone));
    assert_eq!(
        names(&store, "*", "", 99),
        ["a-n", "a.n", "a_n", "ann", "Anna", "bob", "Zoe"]
    );
    assert_eq!(names(&store, "ANN*", "", 99), ["ann", "Anna"]);
    assert_eq!(names(&store, "a?n", "", 99), ["a-n", "a.n", "a_n", "ann"]);
    assert_eq!(names(&store, "*o*", "", 99), ["bob", "Zoe"]);
    assert_eq!(names(&store, "?o?", "", 99), ["bob", "Zoe"]);
    assert_eq!(names(&store, "ann", "", 99), ["ann"]);
    assert_eq!(names(&store, "", "", 99), [""; 0]);
}

#[test]
fn only_star_and_question_mark_are_special_in_patterns() {
    let mut store = TestStore::new();
    // The edge allows fewer characters in names; the store does not depend on it.
    for name in [
        "a[b", "a%b", "a_b", "axb", "a]b", "a\\b", "[a-z]", "a^b", "[!",
    ] {
        store.register(name);
    }
    assert_eq!(names(&store, "a[b", "", 99), ["a[b"]);
    assert_eq!(names(&store, "a%b", "", 99), ["a%b"]);
    assert_eq!(names(&store, "a_b", "", 99), ["a_b"]);
    assert_eq!(names(&store, "a]b", "", 99), ["a]b"]);
    assert_eq!(names(&store, "a\\b", "", 99), ["a\\b"]);
    assert_eq!(names(&store, "[A-Z]", "", 99), ["[a-z]"]);
    assert_eq!(names(&store, "*[*", "", 99), ["[!", "[a-z]", "a[b"]);
    assert_eq!(names(&store, "a[^]b", "", 99), [""; 0]);
    assert_eq!(names(&store, "?!", "", 99), ["[!"]);
}

#[test]
fn accounts_are_paged_by_name() {
    let mut store = TestStore::new();
    for n in [3, 1, 4, 0, 2] {
        store.register(&format!("User{n}"));
        store.register(&format!("other{n}"));
    }
    assert_eq!(names(&store, "user*", "", 2), ["User0", "User1"]);
    assert_eq!(names(&store, "user*", "user1", 2), ["User2", "User3"]);
    assert_eq!(names(&store, "user*", "user3", 2), ["User4"]);
    assert_eq!(names(&store, "user*", "user4", 2), [""; 0]);
    assert_eq!(names(&store, "*4", "other4", usize::MAX), ["User4"]);
}

#[test]
fn a_pattern_made_to_be_slow_is_not() {
    let mut store = TestStore::new();
    store.register(&"a".repeat(32));
    let pattern = format!("{}b", "*a".repeat(31));
    let started = std::time::Instant::now();
    assert_eq!(names(&store, &pattern, "", 99), [""; 0]);
    assert!(started.elapsed().as_secs() < 1);
}

#[test]
fn history_is_paged_in_both_directions() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let bob = store.register("bob");
    let eve = store.register("eve");
    let mut sent = Vec::new();
    for n in 0..6 {
        let (from, to) = if n % 2 == 0 {
            (ann, "bob")
        } else {
            (bob, "ann")
        };
        sent.push(store.send(from, to, "x").1);
        store.send(eve, to, "of another conversation");
    }
    let before = |before, limit| {
        lsns(
            &store
                .readers
                .messages_before(bob, ann, before, limit)
                .unwrap(),
        )
    };
    let after = |after, limit| {
        lsns(
            &store
                .readers
                .messages_after(ann, bob, after, limit)
                .unwrap(),
        )
    };
    assert_eq!(before(u64::MAX, 2), sent[4..]);
    assert_eq!(before(5, 3), sent[1..4]);
    assert_eq!(before(1, 3), [0; 0]);
    assert_eq!(after(0, 2), sent[..2]);
    assert_eq!(after(2, 99), sent[2..]);
    assert_eq!(after(u64::MAX, 99), [0; 0]);
    assert_eq!(store.readers.messages_after(ann, 99, 0, 9).unwrap(), []);
}

#[test]
fn the_inbox_goes_on_after_a_cursor() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let bob = store.register("bob");
    let sent: Vec<(Bytes, u64)> = (0..4).map(|_| store.send(bob, "ann", "x")).collect();
    store.acknowledge(ann, &[&sent[1].0]);
    let inbox = |after, limit| lsns(&store.readers.inbox(ann, after, limit).unwrap());
    let waiting = |after, limit| lsns(&store.readers.undelivered(ann, after, limit).unwrap());
    assert_eq!(inbox(0, 2), [sent[0].1, sent[1].1]);
    assert_eq!(inbox(sent[1].1, 9), [sent[2].1, sent[3].1]);
    assert_eq!(waiting(0, 2), [sent[0].1, sent[2].1]);
    assert_eq!(waiting(sent[2].1, 9), [sent[3].1]);
    let own = lsns(&store.readers.inbox(bob, sent[1].1, 9).unwrap());
    assert_eq!(own, [sent[2].1, sent[3].1]);
}

#[test]
fn more_threads_than_connections_read_while_the_writer_writes() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let commands: Vec<Command> = (0..300)
        .map(|n| store.command(send(ann, "ann", &n.to_string())))
        .collect();
    let readers = store.readers.clone();
    thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                let mut seen = 0;
                while seen < 300 {
                    let now = readers.inbox(ann, 0, 1_000).unwrap().len();
                    assert!(now >= seen && now.is_multiple_of(10), "{now} after {seen}");
                    seen = now;
                }
            });
        }
        for batch in commands.chunks(10) {
            store.apply_all(batch);
            store.writer.checkpoint().unwrap();
        }
    });
    assert_eq!(store.readers.applied().unwrap(), store.last);
}

/// `*` for any letters, `?` for one, all else for itself.
fn matches(pattern: &[char], name: &[char]) -> bool {
    let mut ends: Vec<bool> = (0..=name.len()).map(|end| end == 0).collect();
    for &letter in pattern {
        let before = ends.clone();
        for end in 0..=name.len() {
            ends[end] = match letter {
                '*' => before[end] || (end > 0 && ends[end - 1]),
                _ => end > 0 && before[end - 1] && (letter == '?' || letter == name[end - 1]),
            };
        }
    }
    ends[name.len()]
}

#[test]
fn any_pattern_matches_what_its_letters_say() {
    use proptest::{prelude::*, test_runner::TestRunner};

    let mut store = TestStore::new();
    let mut names: Vec<String> = [
        "a", "b", "ab", "aab", "abab", "b-a", "a_b", "a.b", "bbbbbbbb",
    ]
    .map(String::from)
    .into();
    names.push("a".repeat(32));
    names.iter().for_each(|name| {
        store.register(name);
    });
    names.sort_unstable();
    let default = ProptestConfig::default();
    let cases = default.cases.max(1_000);
    let mut runner = TestRunner::new(ProptestConfig { cases, ..default });
    let patterns = "[abAB*?\\[\\]^._-]{1,12}|(\\*[a?]){1,32}|[ab*]{0,3}[é%\u{10ffff}][ab*]{0,3}";
    let done = runner.run(&patterns, |pattern| {
        let found = store.readers.accounts(&pattern, "", 100).unwrap();
        let found: Vec<String> = found.into_iter().map(|account| account.username).collect();
        let letters: Vec<char> = pattern.to_ascii_lowercase().chars().collect();
        let mut expected = names.clone();
        expected.retain(|name| matches(&letters, &name.chars().collect::<Vec<_>>()));
        prop_assert_eq!(found, expected);
        Ok(())
    });
    done.unwrap_or_else(|failed| panic!("{failed}"));
}

#[test]
fn the_inbox_has_all_conversations_in_one_order_page_by_page() {
    let mut store = TestStore::new();
    let names = ["ann", "bob", "cy", "dan"];
    let ids = names.map(|name| store.register(name));
    let mut expected = Vec::new();
    for number in 0..200_usize {
        let (from, to) = (number * 7 % 4, number * number % 3);
        let (_, lsn) = store.send(ids[from], names[to], &number.to_string());
        if names[to] == "bob" || names[from] == "bob" {
            expected.push(lsn);
        }
    }
    assert!(expected.len() > 20);
    for limit in [1, 3, 1_000] {
        let mut found = Vec::new();
        loop {
            let after = found.last().copied().unwrap_or(0);
            let page = store.readers.inbox(ids[1], after, limit).unwrap();
            assert!(page.len() <= limit);
            if page.is_empty() {
                break;
            }
            found.extend(page.into_iter().map(|row| row.lsn));
        }
        assert_eq!(found, expected, "{limit} a page");
    }
    let outside = store.register("eve");
    assert_eq!(store.readers.inbox(outside, 0, 9).unwrap(), []);
}
