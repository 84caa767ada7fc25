//! Mentions, notification levels and keywords through the command line and the library, while leaders are killed between the steps.

mod cluster;

use cluster::{
    Cluster,
    people::{by, change_leader, list, log_in, refused},
};
use tercet_client::{Event, Start};

/// Gives the mentions of a person: the number of the message, how, and the text.
fn mentions(cluster: &Cluster, who: &str) -> Vec<String> {
    let text = |one: &serde_json::Value| {
        let (how, body) = (one["mentioned_by"].as_str(), one["body"].as_str());
        assert_eq!(one["mentions_me"], true);
        format!("{} {}: {}", one["seq"], how.unwrap(), body.unwrap())
    };
    list(cluster, who, &["mentions"]).iter().map(text).collect()
}

fn count_in(cluster: &Cluster, who: &str, name: &str) -> u64 {
    let conversations = list(cluster, who, &["conversations"]);
    let found = conversations.iter().find(|one| one["name"] == name);
    found.expect("a conversation")["mentions"]
        .as_u64()
        .expect("a number")
}

#[test]
fn mentions_are_decided_when_they_are_sent_and_counted_through_killed_leaders() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    for name in ["ann", "bob", "cy"] {
        cluster.person(name);
    }
    by(&cluster, "ann", &["room", "create", "#tea"]);
    for name in ["bob", "cy"] {
        by(&cluster, name, &["room", "join", "#tea"]);
    }
    let said = by(
        &cluster,
        "ann",
        &["send", "#tea", "@bob: not `@cy`, nor a@cy"],
    );
    let start = said["cursor"].as_u64().expect("a cursor");
    change_leader(&mut cluster);
    by(&cluster, "cy", &["send", "#tea", "@room, it is ready"]);
    assert_eq!(count_in(&cluster, "bob", "#tea"), 2);
    assert_eq!(count_in(&cluster, "cy", "#tea"), 0);
    by(&cluster, "bob", &["read", "#tea", "4"]);
    change_leader(&mut cluster);
    assert_eq!(count_in(&cluster, "bob", "#tea"), 1);
    assert_eq!(
        mentions(&cluster, "bob"),
        [
            "5 room: @room, it is ready",
            "4 name: @bob: not `@cy`, nor a@cy"
        ]
    );
    assert_eq!(mentions(&cluster, "cy"), [""; 0]);

    let set = ["room", "set", "#tea", "mentions-restricted"];
    assert_eq!(refused(&cluster, "bob", &set), "ROLE_MAY_NOT");
    by(&cluster, "ann", &set);
    by(&cluster, "bob", &["send", "#tea", "@room and @here"]);
    by(&cluster, "ann", &["edit", "#tea", "4", "@cy, I meant you"]);
    change_leader(&mut cluster);
    assert_eq!(mentions(&cluster, "bob"), ["5 room: @room, it is ready"]);
    assert_eq!(mentions(&cluster, "cy"), ["4 name: @cy, I meant you"]);
    assert_eq!(mentions(&cluster, "ann"), ["5 room: @room, it is ready"]);
    by(&cluster, "cy", &["delete", "#tea", "5"]);
    assert_eq!(mentions(&cluster, "ann"), [""; 0]);
    let rooms = list(&cluster, "ann", &["room", "list"]);
    assert_eq!(rooms[0]["mentions_restricted"], true);

    // Those who are connected when it is sent.
    let (runtime, [bob]) = log_in(&cluster, ["bob"]);
    runtime.block_on(async {
        let mut subscription = bob.subscribe(Start::After(start - 1));
        let mut seen = Vec::new();
        let mut next = async || loop {
            match subscription.next().await.expect("an event") {
                Event::Subscribed { .. } => return None,
                Event::Message(message) => return Some((message.seq, message.mentions_me)),
                _ => {}
            }
        };
        assert_eq!(next().await, None);
        while seen.len() < 4 {
            seen.extend(next().await);
        }
        // As the messages are now: edited, deleted, of the system, and not allowed.
        assert_eq!(seen, [(4, false), (5, false), (6, false), (7, false)]);
        by(&cluster, "ann", &["send", "#tea", "@here, now"]);
        by(&cluster, "ann", &["send", "#tea", "nobody"]);
        assert_eq!(next().await, Some((8, true)));
        assert_eq!(next().await, Some((9, false)));
    });
    drop(bob);
    change_leader(&mut cluster);
    assert_eq!(mentions(&cluster, "bob"), ["8 here: @here, now"]);
    assert_eq!(mentions(&cluster, "cy"), ["4 name: @cy, I meant you"]);
    cluster.wait_until_whole();
    cluster.assert_equal();
}

#[test]
fn levels_and_keywords_are_those_of_the_account_through_killed_leaders() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    for name in ["ann", "bob"] {
        cluster.person(name);
    }
    by(&cluster, "ann", &["room", "create", "#tea"]);
    by(&cluster, "bob", &["room", "join", "#tea"]);
    let sent = by(&cluster, "ann", &["send", "bob", "hello"]);
    let start = sent["cursor"].as_u64().expect("a cursor");
    change_leader(&mut cluster);
    by(&cluster, "bob", &["level", "#tea", "mentions"]);
    let none = ["level", "ann", "none"];
    assert!(by(&cluster, "bob", &none)["cursor"].as_u64() > Some(start));
    by(&cluster, "bob", &["keywords", "add", "Tea time"]);
    change_leader(&mut cluster);
    assert_eq!(by(&cluster, "bob", &none)["cursor"], 0);
    let conversations = list(&cluster, "bob", &["conversations"]);
    let level =
        |one: &serde_json::Value| format!("{} {} {}", one["name"], one["level"], one["muted"]);
    let levels: Vec<String> = conversations.iter().map(level).collect();
    assert_eq!(
        levels,
        ["\"ann\" \"none\" true", "\"#tea\" \"mentions\" false"]
    );
    assert_eq!(
        refused(&cluster, "bob", &["level", "#no", "all"]),
        "UNKNOWN_ROOM"
    );
    by(&cluster, "bob", &["keywords", "add", "oolong"]);
    by(&cluster, "bob", &["keywords", "remove", "OOLONG"]);
    let keywords = list(&cluster, "bob", &["keywords"]);
    assert_eq!(keywords.len(), 1);
    assert_eq!(keywords[0]["keyword"], "Tea time");
    change_leader(&mut cluster);

    // The other devices of the account are told, and nobody else is.
    let (runtime, [bob]) = log_in(&cluster, ["bob"]);
    let mut subscription = bob.subscribe(Start::After(start));
    let told = runtime.block_on(async {
        let mut told = Vec::new();
        while told.len() < 5 {
            match subscription.next().await.expect("an event") {
                Event::LevelChanged {
                    conversation,
                    level,
                    ..
                } => told.push(format!("{conversation} {}", level.name())),
                Event::KeywordsChanged { .. } => told.push("keywords".to_owned()),
                _ => {}
            }
        }
        told
    });
    assert_eq!(
        told,
        [
            "#tea mentions",
            "ann none",
            "keywords",
            "keywords",
            "keywords"
        ]
    );
    cluster.wait_until_whole();
    cluster.assert_equal();
}
