//! Replies, edits, deletions and reactions through the command line and the library, while leaders are killed
//! between the steps.

mod cluster;

use cluster::{
    Cluster,
    people::{ann_and_bob_in_tea, by, change_leader, list, log_in, refused},
};
use serde_json::Value;
use tercet_client::{Event, Start};

#[test]
fn messages_are_answered_edited_and_deleted_through_killed_leaders() {
    let mut cluster = ann_and_bob_in_tea();
    let question = by(&cluster, "ann", &["send", "#tea", "green or black?"]);
    assert_eq!(question["seq"], 3);
    change_leader(&mut cluster);

    let reply = by(
        &cluster,
        "bob",
        &["send", "#tea", "balck", "--reply-to", "3"],
    );
    assert_eq!(reply["seq"], 4);
    let nothing = ["send", "#tea", "x", "--reply-to", "9"];
    assert_eq!(refused(&cluster, "bob", &nothing), "UNKNOWN_MESSAGE");
    change_leader(&mut cluster);

    let edited = by(&cluster, "bob", &["edit", "#tea", "4", "black,", "please"]);
    assert!(edited["cursor"].as_u64() > reply["cursor"].as_u64());
    let others = ["edit", "#tea", "3", "x"];
    assert_eq!(refused(&cluster, "bob", &others), "NOT_YOUR_MESSAGE");
    change_leader(&mut cluster);

    by(&cluster, "ann", &["react", "#tea", "4", "\u{1f44d}"]);
    by(&cluster, "bob", &["react", "#tea", "4", "\u{1f44d}"]);
    by(&cluster, "bob", &["unreact", "#tea", "4", "\u{1f44d}"]);
    change_leader(&mut cluster);

    by(&cluster, "bob", &["send", "#tea", "something regrettable"]);
    assert_eq!(
        refused(&cluster, "bob", &["delete", "#tea", "3"]),
        "ROLE_MAY_NOT"
    );
    by(&cluster, "ann", &["delete", "#tea", "5"]);
    change_leader(&mut cluster);

    let history = list(&cluster, "ann", &["history", "#tea", "--after", "2"]);
    assert_eq!(history.len(), 3);
    assert_eq!(history[0]["edited"], false);
    let words = ["history", "#tea", "--thread", "3", "--oldest-first"];
    let thread = list(&cluster, "bob", &words);
    let seqs: Vec<_> = thread.iter().map(|message| &message["seq"]).collect();
    assert_eq!(seqs, [3, 4]);
    assert_eq!(history[1]["reply_to"], 3);
    assert_eq!(history[1]["body"], "black, please");
    assert_eq!(history[1]["edited"], true);
    let reactions = &history[1]["reactions"];
    assert_eq!(reactions.as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&reactions[0]["count"], &reactions[0]["own"]),
        (&1.into(), &true.into())
    );
    assert_eq!(history[2]["deleted"], true);
    assert_eq!(history[2]["body"], "");
    assert_eq!(history[2]["sender"], "bob");
    let found = list(&cluster, "bob", &["search", "regrettable"]);
    assert!(found.is_empty(), "{found:?}");
    let found = list(&cluster, "bob", &["search", "please"]);
    assert_eq!(found.len(), 1);
    let found = list(&cluster, "bob", &["search", "has:reaction"]);
    let seqs: Vec<_> = found.iter().map(|message| &message["seq"]).collect();
    assert_eq!(seqs, [4]);

    // A device that was away gets every change, in order.
    let start = question["cursor"].as_u64().expect("a cursor");
    let (runtime, [ann]) = log_in(&cluster, ["ann"]);
    let events = runtime.block_on(async {
        let mut subscription = ann.subscribe(Start::After(start));
        let mut events = Vec::new();
        while events.len() < 7 {
            match subscription.next().await.expect("an event") {
                Event::Message(message) => events.push(format!("message {}", message.seq)),
                Event::Edited { message, .. } => {
                    events.push(format!("edited {}: {}", message.seq, message.body));
                }
                Event::Deleted {
                    message,
                    deleted_by,
                    ..
                } => events.push(format!("deleted {} by {deleted_by}", message.seq)),
                Event::Reaction {
                    seq,
                    username,
                    removed,
                    ..
                } => events.push(format!("reaction {seq} of {username}: {}", !removed)),
                _ => {}
            }
        }
        events
    });
    assert_eq!(
        events,
        [
            "message 4",
            "edited 4: black, please",
            "reaction 4 of ann: true",
            "reaction 4 of bob: true",
            "reaction 4 of bob: false",
            "message 5",
            "deleted 5 by ann",
        ]
    );
    cluster.wait_until_whole();
    cluster.assert_equal();
}

#[test]
fn direct_messages_are_answered_edited_and_deleted_through_killed_leaders() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    for name in ["ann", "bob"] {
        cluster.person(name);
    }
    by(&cluster, "ann", &["send", "bob", "green or black?"]);
    change_leader(&mut cluster);

    let words = ["send", "ann", "balck", "--reply-to", "1"];
    assert_eq!(by(&cluster, "bob", &words)["seq"], 2);
    let nothing = ["send", "ann", "x", "--reply-to", "9"];
    assert_eq!(refused(&cluster, "bob", &nothing), "UNKNOWN_MESSAGE");
    change_leader(&mut cluster);

    by(&cluster, "bob", &["edit", "ann", "2", "black,", "please"]);
    let others = ["edit", "ann", "1", "x"];
    assert_eq!(refused(&cluster, "bob", &others), "NOT_YOUR_MESSAGE");
    let nobody = ["edit", "nobody", "1", "x"];
    assert_eq!(refused(&cluster, "bob", &nobody), "UNKNOWN_ACCOUNT");
    change_leader(&mut cluster);

    by(&cluster, "ann", &["react", "bob", "2", "\u{1f44d}"]);
    by(&cluster, "bob", &["send", "ann", "something regrettable"]);
    let others = ["delete", "bob", "3"];
    assert_eq!(refused(&cluster, "ann", &others), "NOT_YOUR_MESSAGE");
    change_leader(&mut cluster);

    by(&cluster, "bob", &["delete", "ann", "3"]);
    by(&cluster, "bob", &["send", "bob", "buy tee"]);
    by(&cluster, "bob", &["edit", "bob", "1", "buy", "tea"]);
    // What is hidden is its sender's to change, and the other one hears of none of it.
    by(&cluster, "ann", &["block", "bob"]);
    by(&cluster, "bob", &["send", "ann", "why?"]);
    by(&cluster, "bob", &["edit", "ann", "4", "why not?"]);
    assert_eq!(
        refused(&cluster, "ann", &["react", "bob", "4", "?"]),
        "UNKNOWN_MESSAGE"
    );
    change_leader(&mut cluster);

    let history = list(&cluster, "ann", &["history", "bob"]);
    assert_eq!(history.len(), 3, "{history:?}");
    assert_eq!(history[1]["reply_to"], 1);
    assert_eq!(history[1]["body"], "black, please");
    assert_eq!(history[1]["edited"], true);
    assert_eq!(history[1]["reactions"][0]["count"], 1);
    assert_eq!(history[2]["deleted"], true);
    assert_eq!(history[2]["body"], "");
    let history = list(&cluster, "bob", &["history", "ann"]);
    assert_eq!(history[3]["body"], "why not?");
    let thread = list(&cluster, "ann", &["history", "bob", "--thread", "1"]);
    let seqs: Vec<_> = thread.iter().map(|message| &message["seq"]).collect();
    assert_eq!(seqs, [1, 2]);
    assert_eq!(
        list(&cluster, "bob", &["history", "bob"])[0]["body"],
        "buy tea"
    );
    for (words, count) in [("regrettable", 0), ("please", 1), ("why", 0)] {
        let found = list(&cluster, "ann", &["search", words]);
        assert_eq!(found.len(), count, "{words}: {found:?}");
    }

    let (runtime, [ann]) = log_in(&cluster, ["ann"]);
    let events = runtime.block_on(async {
        let mut subscription = ann.subscribe(Start::After(0));
        let mut events = Vec::new();
        loop {
            match subscription.next().await.expect("an event") {
                Event::Message(message) => events.push(format!("message {}", message.seq)),
                Event::Edited { message, .. } => {
                    events.push(format!("edited {}: {}", message.seq, message.body));
                }
                Event::Deleted { message, .. } => events.push(format!("deleted {}", message.seq)),
                Event::Reaction {
                    conversation, seq, ..
                } => events.push(format!("reaction to {seq} of {conversation}")),
                Event::BlockChanged { .. } => return events,
                _ => {}
            }
        }
    });
    assert_eq!(
        events,
        [
            "message 1",
            "message 2",
            "edited 2: black, please",
            "reaction to 2 of bob",
            "message 3",
            "deleted 3",
        ]
    );
    cluster.wait_until_whole();
    cluster.assert_equal();
}

/// Gives the numbers of messages.
fn seqs(messages: &[Value]) -> Vec<u64> {
    let seqs = messages
        .iter()
        .filter_map(|message| message["seq"].as_u64());
    seqs.collect()
}

#[test]
fn history_is_read_by_time_and_cursor_through_killed_leaders() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    for name in ["ann", "bob"] {
        cluster.person(name);
    }
    by(&cluster, "ann", &["room", "create", "#tea"]);
    for n in 2..=9_u64 {
        assert_eq!(by(&cluster, "ann", &["send", "#tea", "x"])["seq"], n);
        by(&cluster, "ann", &["send", "bob", "x"]);
        if n % 4 == 0 {
            change_leader(&mut cluster);
        }
    }
    for (who, place) in [("ann", "#tea"), ("bob", "ann")] {
        let all = list(&cluster, who, &["history", place]);
        let expected = |is_in: &dyn Fn(&Value) -> bool| {
            let part: Vec<Value> = all.iter().filter(|it| is_in(it)).cloned().collect();
            seqs(&part)
        };
        for message in &all {
            let (time, cursor) = (message["sent_at"].as_str(), message["cursor"].as_u64());
            let (time, cursor) = (time.expect("a time"), cursor.expect("a cursor"));
            let sent_at_ms = message["sent_at_ms"].as_i64();
            let read = |words: &[&str]| {
                let words = [&["history", place][..], words].concat();
                seqs(&list(&cluster, who, &words))
            };
            let before = expected(&|it| it["sent_at_ms"].as_i64() < sent_at_ms);
            assert_eq!(read(&["--before", time]), before);
            let from = expected(&|it| it["sent_at_ms"].as_i64() >= sent_at_ms);
            assert_eq!(read(&["--after", time]), from);
            let cursor = cursor.to_string();
            let at = message["cursor"].as_u64();
            let before = expected(&|it| it["cursor"].as_u64() < at);
            assert_eq!(read(&["--before-cursor", &cursor]), before);
            let after = expected(&|it| it["cursor"].as_u64() > at);
            assert_eq!(read(&["--after-cursor", &cursor]), after);
        }
        let since = ["history", place, "--after", "2020-02-20", "--limit", "3"];
        assert_eq!(seqs(&list(&cluster, who, &since)), seqs(&all[..3]));
        let late = ["history", place, "--after", "2199-01-01T00:00:00Z"];
        assert_eq!(list(&cluster, who, &late), [] as [Value; 0]);
        let late = ["history", place, "--before", "2199-01-01", "--limit", "2"];
        assert_eq!(
            seqs(&list(&cluster, who, &late)),
            seqs(&all[all.len() - 2..])
        );
    }
    let wrong = ["history", "#tea", "--before", "yesterday", "--as", "ann"];
    assert_eq!(cluster.fails(&wrong).0, 2);
}

#[test]
fn messages_are_pinned_through_killed_leaders() {
    let mut cluster = ann_and_bob_in_tea();
    by(&cluster, "bob", &["send", "#tea", "the address"]);
    by(&cluster, "ann", &["send", "#tea", "the time"]);
    by(&cluster, "ann", &["send", "bob", "the key"]);
    change_leader(&mut cluster);

    let pin = ["pin", "#tea", "3"];
    assert_eq!(refused(&cluster, "bob", &pin), "ROLE_MAY_NOT");
    let pinned = by(&cluster, "ann", &pin);
    assert!(pinned["cursor"].as_u64() > Some(0));
    change_leader(&mut cluster);

    assert_eq!(by(&cluster, "ann", &pin)["cursor"], 0);
    by(&cluster, "ann", &["pin", "#tea", "4"]);
    let direct = by(&cluster, "bob", &["pin", "ann", "1"]);
    let pins = list(&cluster, "bob", &["pins", "#tea"]);
    assert_eq!(seqs(&pins), [4, 3]);
    let found = list(&cluster, "bob", &["search", "has:pin", "in:#tea"]);
    assert_eq!(seqs(&found), [4, 3]);
    assert_eq!(
        (&pins[1]["body"], &pins[1]["pinned_by"]),
        (&"the address".into(), &"ann".into())
    );
    change_leader(&mut cluster);

    by(&cluster, "ann", &["unpin", "#tea", "4"]);
    by(&cluster, "bob", &["delete", "#tea", "3"]);
    assert!(list(&cluster, "bob", &["pins", "#tea"]).is_empty());
    let pins = list(&cluster, "ann", &["pins", "bob"]);
    assert_eq!(seqs(&pins), [1]);
    assert_eq!(pins[0]["pinned_by"], "bob");
    let deleted = ["pin", "#tea", "3"];
    assert_eq!(refused(&cluster, "ann", &deleted), "MESSAGE_DELETED");
    assert_eq!(
        refused(&cluster, "ann", &["pins", "nobody"]),
        "UNKNOWN_PEER"
    );
    let history = list(&cluster, "bob", &["history", "#tea", "--after", "4"]);
    let told: Vec<_> = history
        .iter()
        .map(|it| (&it["kind"], &it["body"]))
        .collect();
    assert_eq!(
        told,
        [
            (&"pinned".into(), &"3".into()),
            (&"pinned".into(), &"4".into()),
            (&"unpinned".into(), &"4".into())
        ]
    );
    change_leader(&mut cluster);

    // Both learn of a pin in their conversation, also after a break.
    let cursor = direct["cursor"].as_u64().expect("a cursor");
    let (runtime, clients) = log_in(&cluster, ["ann", "bob"]);
    for client in clients {
        runtime.block_on(async {
            let mut subscription = client.subscribe(Start::After(cursor - 1));
            loop {
                if let Event::Pin {
                    message,
                    username,
                    removed,
                    ..
                } = subscription.next().await.expect("an event")
                {
                    assert_eq!((message.seq, username.as_str(), removed), (1, "bob", false));
                    break;
                }
            }
        });
    }
    cluster.wait_until_whole();
    cluster.assert_equal();
}

#[test]
fn earlier_texts_are_kept_through_killed_leaders_where_the_owner_wants_it() {
    let mut cluster = ann_and_bob_in_tea();
    by(&cluster, "bob", &["send", "#tea", "one"]);
    by(&cluster, "bob", &["edit", "#tea", "3", "two"]);
    let keep = ["room", "set", "#tea", "keep-edits"];
    assert_eq!(refused(&cluster, "bob", &keep), "ROLE_MAY_NOT");
    assert_eq!(by(&cluster, "ann", &keep)["seq"], 4);
    change_leader(&mut cluster);

    assert_eq!(by(&cluster, "ann", &keep)["seq"], 0);
    by(&cluster, "bob", &["edit", "#tea", "3", "three"]);
    change_leader(&mut cluster);

    by(&cluster, "bob", &["edit", "#tea", "3", "four"]);
    let rooms = list(&cluster, "bob", &["room", "list"]);
    assert_eq!(rooms[0]["keeps_edits"], true);
    let edits = ["edits", "#tea", "3"];
    let texts = list(&cluster, "ann", &edits);
    let bodies: Vec<_> = texts.iter().map(|text| &text["body"]).collect();
    assert_eq!(bodies, ["two", "three"]);
    assert_eq!(texts[0]["replaced_at"], texts[1]["written_at"]);
    let unknown = ["edits", "#tea", "9"];
    assert_eq!(refused(&cluster, "ann", &unknown), "UNKNOWN_MESSAGE");
    change_leader(&mut cluster);

    by(&cluster, "ann", &["room", "set", "#tea", "forget-edits"]);
    by(&cluster, "bob", &["edit", "#tea", "3", "five"]);
    assert_eq!(list(&cluster, "bob", &edits), texts);
    by(&cluster, "ann", &["delete", "#tea", "3"]);
    change_leader(&mut cluster);

    assert!(list(&cluster, "bob", &edits).is_empty());
    let history = list(&cluster, "bob", &["history", "#tea", "--after", "3"]);
    let kinds: Vec<_> = history.iter().map(|it| &it["kind"]).collect();
    assert_eq!(kinds, ["keeps_edits", "forgets_edits"]);
    cluster.wait_until_whole();
    cluster.assert_equal();
}
