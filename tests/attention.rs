//! Mentions, notification levels, keywords, presence and typing through the command line and the library, while leaders are killed between the steps.

mod cluster;

use cluster::{
    Cluster,
    people::{ann_and_bob_in_tea, by, change_leader, list, log_in, refused},
};
use tercet_client::{Event, PresenceState, Start, Subscription};

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
    let mut cluster = ann_and_bob_in_tea();
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

/// Gives the next event of presence or of typing, as text.
async fn next_soft(subscription: &mut Subscription) -> String {
    loop {
        let next = tokio::time::timeout(cluster::PATIENCE, subscription.next());
        let next = next.await.expect("an event in time");
        match next.expect("an event") {
            Event::Presence(one) => return format!("{} {}", one.username, one.state.name()),
            Event::Typing {
                conversation,
                username,
                ..
            } => return format!("{username} types in {conversation}"),
            _ => {}
        }
    }
}

async fn open(subscription: &mut Subscription) {
    while !matches!(
        subscription.next().await.expect("an event"),
        Event::Subscribed { .. }
    ) {}
}

#[test]
fn people_see_who_is_there_and_who_is_writing_also_at_the_next_leader() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    for name in ["ann", "bob", "cy", "eve"] {
        cluster.person(name);
    }
    by(&cluster, "ann", &["room", "create", "#tea"]);
    by(&cluster, "cy", &["room", "join", "#tea"]);
    by(&cluster, "ann", &["send", "bob", "hello"]);
    let (runtime, [ann, bob, cy, eve]) = log_in(&cluster, ["ann", "bob", "cy", "eve"]);
    let mut of_ann = ann.subscribe(Start::Now).with_presence();
    let mut of_eve = eve.subscribe(Start::Now).with_presence();
    runtime.block_on(async {
        open(&mut of_ann).await;
        open(&mut of_eve).await;
        let mut of_bob = bob.subscribe(Start::Now);
        open(&mut of_bob).await;
        assert_eq!(next_soft(&mut of_ann).await, "bob online");
        bob.set_away(true).await.expect("away");
        assert_eq!(next_soft(&mut of_ann).await, "bob away");
        bob.set_typing("ann").await.expect("typing");
        bob.set_typing("ann").await.expect("typing");
        cy.set_typing("#TEA").await.expect("typing");
        assert_eq!(next_soft(&mut of_ann).await, "bob types in bob");
        assert_eq!(next_soft(&mut of_ann).await, "cy types in #TEA");
        let states = async |client: &tercet_client::Client| {
            let all = client.presence(&["ann", "bob", "cy"]).await.expect("them");
            all.iter().map(|one| one.state).collect::<Vec<_>>()
        };
        let (online, away, offline, hidden) = (
            PresenceState::Online,
            PresenceState::Away,
            PresenceState::Offline,
            PresenceState::Hidden,
        );
        assert_eq!(states(&ann).await, [online, away, offline]);
        // Nothing in common.
        assert_eq!(states(&eve).await, [hidden, hidden, hidden]);
        let refused = eve.set_typing("#tea").await.expect_err("not a member");
        assert!(refused.is_refused_for("NOT_A_MEMBER"), "{refused}");
        drop(of_bob);
        assert_eq!(next_soft(&mut of_ann).await, "bob offline");
        let seen = ann.presence(&["bob"]).await.expect("him");
        assert!(seen[0].last_seen_ms > 0);
        ann.block_account("bob", false).await.expect("block");
        assert_eq!(states(&bob).await, [hidden, offline, hidden]);
        ann.unblock_account("bob").await.expect("unblock");
    });
    // It stays away, so that the lead is not handed back meanwhile.
    let leader = cluster.leader().expect("a leader");
    cluster.kill(leader);
    runtime.block_on(async {
        open(&mut of_ann).await;
        let mut of_bob = bob.subscribe(Start::Now);
        open(&mut of_bob).await;
        assert_eq!(next_soft(&mut of_ann).await, "bob online");
        // What was known before is not any more.
        drop(of_bob);
        let cy = ann.presence(&["cy"]).await.expect("her");
        assert_eq!(
            (cy[0].state, cy[0].last_seen_ms),
            (PresenceState::Offline, 0)
        );
    });
    cluster.restart(leader);
    let shown = list(&cluster, "ann", &["presence", "cy", "eve"]);
    assert_eq!(shown[0]["state"], "offline");
    assert_eq!(shown[1]["state"], "hidden");
    cluster.wait_until_whole();
    cluster.assert_equal();
}
