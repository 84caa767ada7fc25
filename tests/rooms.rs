//! Rooms through the command line and the library, while leaders are killed between the steps: who is in, what each
//! sees, and one order without gaps on all replicas.

mod cluster;

use cluster::{
    Cluster,
    people::{ann_and_bob_in_tea, by, change_leader, list, log_in, refused},
    wait_until,
};
use serde_json::Value;
use tercet_client::{Event, Start};

#[test]
fn room_keeps_its_members_and_its_order_through_killed_leaders() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    for name in ["ann", "bob", "cy", "dan"] {
        cluster.person(name);
    }
    let create = ["room", "create", "#Secret", "--private", "--topic", "tea"];
    let room = by(&cluster, "ann", &create);
    let id = room["conversation_id"].as_u64().expect("an id");
    change_leader(&mut cluster);

    // Nobody outside learns of it.
    for (words, other) in [
        (
            vec!["room", "join", "#secret"],
            vec!["room", "join", "#none"],
        ),
        (
            vec!["room", "members", "#secret"],
            vec!["room", "members", "#none"],
        ),
        (vec!["history", "#secret"], vec!["history", "#none"]),
        (vec!["send", "#secret", "x"], vec!["send", "#none", "x"]),
    ] {
        assert_eq!(refused(&cluster, "dan", &words), "UNKNOWN_ROOM");
        assert_eq!(refused(&cluster, "dan", &other), "UNKNOWN_ROOM");
    }
    assert!(list(&cluster, "dan", &["room", "list"]).is_empty());
    let invited = by(&cluster, "ann", &["room", "invite", "#secret", "bob"]);
    assert_eq!(invited["seq"], 2);
    change_leader(&mut cluster);

    let invite = ["room", "invite", "#secret", "cy"];
    assert_eq!(refused(&cluster, "bob", &invite), "ROLE_MAY_NOT");
    by(&cluster, "ann", &invite);
    let mut seq = 3;
    for n in 0..12 {
        let who = ["ann", "bob", "cy"][n % 3];
        let text = format!("number {n}");
        let sent = by(&cluster, who, &["send", "#SECRET", &text]);
        seq += 1;
        assert_eq!(sent["seq"], seq);
        assert_eq!(sent["conversation_id"], id);
        if n % 6 == 3 {
            change_leader(&mut cluster);
        }
    }
    // The owner leaves: the oldest member follows.
    assert_eq!(
        by(&cluster, "ann", &["room", "leave", "#secret"])["seq"],
        16
    );
    change_leader(&mut cluster);
    assert_eq!(
        refused(&cluster, "ann", &["history", "#secret"]),
        "UNKNOWN_ROOM"
    );
    let members = list(&cluster, "cy", &["room", "members", "#secret"]);
    let of = |member: &Value| (member["username"].clone(), member["role"].clone());
    let members: Vec<_> = members.iter().map(of).collect();
    assert_eq!(
        members,
        [
            ("bob".into(), "owner".into()),
            ("cy".into(), "member".into())
        ]
    );
    // Bob's account goes, and its membership with it; cy owns the room then.
    let delete = ["delete-account", "--password", "correct horse"];
    by(&cluster, "bob", &delete);
    wait_until("the deleted account has left", || {
        let conversations = list(&cluster, "cy", &["conversations"]);
        conversations[0]["role"] == "owner"
    });

    let history = list(&cluster, "cy", &["history", "#secret", "--limit", "100"]);
    let seqs: Vec<u64> = history.iter().filter_map(|it| it["seq"].as_u64()).collect();
    assert_eq!(seqs, (1..=17).collect::<Vec<_>>());
    let kinds: Vec<&str> = history
        .iter()
        .filter_map(|it| it["kind"].as_str())
        .collect();
    assert_eq!(kinds[..3], ["created", "invited", "invited"]);
    assert_eq!(kinds[15..], ["left", "left"]);
    assert_eq!(
        (&history[15]["subject"], &history[16]["subject"]),
        (&"bob".into(), &"cy".into())
    );
    assert_eq!(history[14]["body"], "number 11");
    let before = list(&cluster, "cy", &["history", "#secret", "--before", "5"]);
    assert_eq!(before, history[..4]);
    let after = list(
        &cluster,
        "cy",
        &["history", "#secret", "--after", "4", "--limit", "3"],
    );
    assert_eq!(after, history[4..7]);
    let conversations = list(&cluster, "cy", &["conversations"]);
    assert_eq!(conversations[0]["last_seq"], 17);
    assert_eq!(conversations[0]["read_seq"], 3);

    // The same after a change of leader, and the same state everywhere.
    change_leader(&mut cluster);
    let again = list(&cluster, "cy", &["history", "#secret", "--limit", "100"]);
    assert_eq!(again, history);
    cluster.wait_until_whole();
    cluster.assert_equal();
}

#[test]
fn subscription_goes_on_through_a_killed_leader_and_misses_no_message_of_a_room() {
    let mut cluster = ann_and_bob_in_tea();
    let (runtime, [ann, bob]) = log_in(&cluster, ["ann", "bob"]);
    // From the beginning: bob sees what comes since he joined, ann everything, her own messages too.
    let mut of_ann = ann.subscribe(Start::After(0));
    let mut of_bob = bob.subscribe(Start::After(0));
    let mut seen = [Vec::new(), Vec::new()];
    for n in 0..60_u64 {
        if n == 30 {
            change_leader(&mut cluster);
        }
        runtime.block_on(async {
            let sender = if n % 2 == 0 { &ann } else { &bob };
            let sent = sender.send_message("#tea", &format!("{n}")).await;
            assert_eq!(sent.expect("acknowledged").seq, n + 3);
            for (subscription, seen) in [&mut of_ann, &mut of_bob].into_iter().zip(&mut seen) {
                while seen.last() != Some(&(n + 3)) {
                    match subscription.next().await {
                        Ok(Event::Message(message)) => seen.push(message.seq),
                        Ok(_) => {}
                        Err(error) => assert!(error.may_pass(), "{error}"),
                    }
                }
            }
        });
    }
    assert_eq!(seen[0], (1..=62).collect::<Vec<_>>());
    assert_eq!(seen[1], (2..=62).collect::<Vec<_>>());
    cluster.wait_until_whole();
    cluster.assert_equal();
}

/// Gives the names in a list, in its order.
fn names(cluster: &Cluster, who: &str, words: &[&str]) -> Vec<String> {
    let name = |it: &Value| it["username"].as_str().expect("a name").to_owned();
    list(cluster, who, words).iter().map(name).collect()
}

#[test]
fn changes_of_a_room_hold_through_killed_leaders_and_end_what_the_banned_see() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    for name in ["ann", "bob", "cy", "dan"] {
        cluster.person(name);
    }
    let created = by(&cluster, "ann", &["room", "create", "#tea"]);
    let id = created["conversation_id"].to_string();
    for name in ["bob", "cy"] {
        by(&cluster, name, &["room", "join", "#tea"]);
    }
    let promote = ["room", "promote", "#tea", "bob", "admin"];
    assert_eq!(refused(&cluster, "bob", &promote), "ROLE_MAY_NOT");
    assert_eq!(by(&cluster, "ann", &promote)["seq"], 4);
    change_leader(&mut cluster);

    // The stream of a banned member ends for this room with the message that tells of it. A stream that begins after the
    // ban lacks it, so the lead must not move meanwhile.
    cluster.wait_until_whole();
    let (runtime, [cy]) = log_in(&cluster, ["cy"]);
    let mut of_cy = cy.subscribe(Start::After(0));
    runtime.block_on(async {
        while !matches!(of_cy.next().await, Ok(Event::Message(message)) if message.seq == 4) {}
    });
    let ban = ["room", "ban", "#tea", "cy"];
    assert_eq!(by(&cluster, "bob", &ban)["seq"], 5);
    by(&cluster, "bob", &["send", "#tea", "not for cy"]);
    by(&cluster, "bob", &["send", "cy", "for cy"]);
    runtime.block_on(async {
        let mut seen = Vec::new();
        while seen.last() != Some(&"text".to_owned()) {
            match of_cy.next().await {
                Ok(Event::Message(message)) => seen.push(message.kind.name().to_owned()),
                Ok(_) => {}
                Err(error) => assert!(error.may_pass(), "{error}"),
            }
        }
        assert_eq!(seen, ["banned", "text"]);
    });
    change_leader(&mut cluster);
    assert_eq!(refused(&cluster, "cy", &["room", "join", "#tea"]), "BANNED");
    let invite = ["room", "invite", "#tea", "cy"];
    assert_eq!(refused(&cluster, "ann", &invite), "BANNED");
    assert_eq!(names(&cluster, "bob", &["room", "bans", "#tea"]), ["cy"]);
    let step_down = ["room", "promote", "#tea", "ann", "member"];
    assert_eq!(refused(&cluster, "ann", &step_down), "LAST_OWNER");
    let kick = ["room", "kick", "#tea", "ann"];
    assert_eq!(refused(&cluster, "bob", &kick), "ROLE_MAY_NOT");
    change_leader(&mut cluster);

    by(&cluster, "bob", &["room", "unban", "#tea", "cy"]);
    by(&cluster, "bob", &["room", "topic", "#tea", "leaves"]);
    by(&cluster, "ann", &["room", "rename", "#tea", "#Coffee"]);
    by(&cluster, "ann", &["room", "set", "#coffee", "private"]);
    change_leader(&mut cluster);
    assert_eq!(
        refused(&cluster, "cy", &["room", "join", "#coffee"]),
        "UNKNOWN_ROOM"
    );
    // An account that refuses the messages of bob does not exist for him.
    by(&cluster, "dan", &["block", "bob", "--refuse"]);
    let invite = ["room", "invite", "#coffee", "dan"];
    assert_eq!(refused(&cluster, "bob", &invite), "UNKNOWN_ACCOUNT");
    by(
        &cluster,
        "ann",
        &["room", "set", "#coffee", "announce-only"],
    );
    by(
        &cluster,
        "ann",
        &["room", "promote", "#coffee", "bob", "owner"],
    );
    by(
        &cluster,
        "ann",
        &["room", "promote", "#coffee", "ann", "member"],
    );
    change_leader(&mut cluster);
    let send = ["send", "#coffee", "x"];
    assert_eq!(refused(&cluster, "ann", &send), "ROLE_MAY_NOT");
    by(&cluster, "bob", &["room", "archive", "#coffee"]);
    by(&cluster, "cy", &["room", "create", "#coffee"]);
    assert_eq!(refused(&cluster, "bob", &send), "NOT_A_MEMBER");
    change_leader(&mut cluster);

    let history = ["history", "--conversation-id", &id, "--limit", "100"];
    let told = list(&cluster, "ann", &history);
    let kinds: Vec<&str> = told.iter().filter_map(|it| it["kind"].as_str()).collect();
    assert_eq!(
        kinds,
        [
            "created",
            "joined",
            "joined",
            "made_admin",
            "banned",
            "text",
            "unbanned",
            "topic",
            "renamed",
            "made_private",
            "announce_only",
            "made_owner",
            "made_member",
            "archived"
        ]
    );
    assert_eq!(
        (&told[7]["body"], &told[8]["body"]),
        (&"leaves".into(), &"#Coffee".into())
    );
    assert_eq!(refused(&cluster, "cy", &history), "UNKNOWN_ROOM");
    let conversations = list(&cluster, "bob", &["conversations"]);
    assert_eq!(conversations[0]["archived"], true);
    by(&cluster, "cy", &["room", "leave", "#coffee"]);
    by(&cluster, "bob", &["room", "leave", "#coffee"]);
    let left = list(&cluster, "bob", &["conversations"]);
    assert!(left.iter().all(|it| it["kind"] == "direct"), "{left:?}");
    cluster.wait_until_whole();
    cluster.assert_equal();
}
