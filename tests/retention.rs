//! Messages are removed by their age, on all replicas alike, while leaders are killed.

mod cluster;

use cluster::{
    Cluster,
    people::{by, list, log_in, refused},
    wait_until, wrong_clock,
};
use serde_json::Value;
use tercet_client::Client;

const HOURS: i64 = 3_600;
/// Two thousand messages are sixteen pieces.
const OLD: usize = 2_000;

/// Sends many messages at once.
async fn send_many(client: &Client, to: &str, count: usize, body: &str) {
    let mut sends = tokio::task::JoinSet::new();
    for _ in 0..count {
        let (client, to, body) = (client.clone(), to.to_owned(), body.to_owned());
        sends.spawn(async move { client.send_message(&to, &body).await });
        if sends.len() > 50 {
            sends
                .join_next()
                .await
                .expect("one")
                .expect("no panic")
                .expect("sent");
        }
    }
    while let Some(sent) = sends.join_next().await {
        sent.expect("no panic").expect("sent");
    }
}

/// The conversation of that name, as a person sees it.
fn conversation(cluster: &Cluster, who: &str, name: &str) -> Value {
    let all = list(cluster, who, &["conversations"]);
    let found = all.into_iter().find(|one| one["name"] == name);
    found.expect("it is listed")
}

fn number(of: &Value, field: &str) -> u64 {
    of[field].as_u64().expect("a number")
}

fn operator(cluster: &Cluster, words: &[&str]) -> Value {
    cluster.json(&[&["cluster", "retention"], words, &["--json"]].concat())
}

#[test]
fn old_messages_are_removed_on_all_replicas_while_leaders_are_killed() {
    let wrong = [1, 2, 3].map(|id| (id, -3 * HOURS));
    let mut cluster = wrong_clock::start(3, &wrong);
    for name in ["ann", "bob"] {
        cluster.person(name);
    }
    by(&cluster, "ann", &["room", "create", "#tea"]);
    by(&cluster, "bob", &["room", "join", "#tea"]);
    {
        let (runtime, [ann]) = log_in(&cluster, ["ann"]);
        runtime.block_on(async {
            send_many(&ann, "#tea", OLD / 2, "an outdated text").await;
            send_many(&ann, "bob", OLD / 2, "an outdated text").await;
        });
    }
    let last_old = 2 + OLD as u64 / 2;
    assert_eq!(
        number(&conversation(&cluster, "bob", "#tea"), "last_seq"),
        last_old
    );
    assert_eq!(
        list(&cluster, "bob", &["search", "outdated", "--limit", "1"]).len(),
        1
    );
    // A clock that is set while a replica runs counts after minutes, so they start again.
    for id in [1, 2, 3] {
        cluster.kill(id);
        wrong_clock::set(&cluster, id, 0);
    }
    for id in [1, 2, 3] {
        cluster.restart(id);
    }
    cluster.wait_until_whole();
    by(&cluster, "ann", &["send", "#tea", "a new text"]);
    by(&cluster, "ann", &["send", "bob", "a new text"]);
    assert_eq!(operator(&cluster, &[])["retention_ms"], 0);

    // Who may: the owner of a room, and the operator.
    let of_room = ["room", "retention", "#tea", "2h"];
    assert_eq!(refused(&cluster, "bob", &of_room), "ROLE_MAY_NOT");
    assert_eq!(
        refused(&cluster, "ann", &["room", "retention", "#tea", "11y"]),
        "INVALID_RETENTION"
    );
    let (code, why) = cluster.fails(&[
        "cluster",
        "retention",
        "2h",
        "--admin-token",
        "no",
        "--json",
    ]);
    assert!(code == 1 && why.contains("WRONG_ADMIN_TOKEN"), "{why}");
    assert!(cluster.fails(&["cluster", "retention", "2m"]).0 == 2);
    assert_eq!(operator(&cluster, &["2h"])["retention_ms"], 7_200_000);

    // The leader is killed twice on the way, if it is still on its way.
    let mut kills = 0;
    wait_until("the old messages are gone", || {
        let left = |name| last_old_left(&cluster, name);
        let (room, direct) = (left("#tea"), left("bob"));
        if kills < 2
            && direct < OLD as u64 / 2
            && room > 0
            && let Some(leader) = cluster.leader()
        {
            cluster.kill(leader);
            cluster.restart(leader);
            kills += 1;
            println!("killed {leader} with {room} and {direct} left");
        }
        (room, direct) == (0, 0)
    });
    cluster.wait_until_whole();
    let tea = conversation(&cluster, "bob", "#tea");
    assert_eq!(
        (number(&tea, "first_seq"), number(&tea, "last_seq")),
        (last_old + 1, last_old + 1)
    );
    assert_eq!(number(&tea, "unread"), 1);
    let direct = conversation(&cluster, "bob", "ann");
    assert_eq!(number(&direct, "first_seq"), last_old - 1);
    assert_eq!(number(&direct, "unread"), 1);
    for (who, name) in [("bob", "#tea"), ("ann", "bob"), ("bob", "ann")] {
        let history = list(&cluster, who, &["history", name, "--oldest-first"]);
        let bodies: Vec<&Value> = history.iter().map(|message| &message["body"]).collect();
        assert_eq!(bodies, ["a new text"], "{who} {name}");
    }
    assert!(list(&cluster, "bob", &["search", "outdated"]).is_empty());
    assert_eq!(
        refused(&cluster, "ann", &["edit", "#tea", "5", "x"]),
        "UNKNOWN_MESSAGE"
    );
    let inbox = list(&cluster, "bob", &["inbox"]);
    assert_eq!(inbox.len(), 1, "{inbox:?}");

    // A room has its own, and tells of it; the shorter counts.
    let set = by(&cluster, "ann", &of_room);
    assert_eq!(number(&set, "seq"), last_old + 2);
    by(&cluster, "ann", &["room", "retention", "#tea", "1y"]);
    let room = &list(&cluster, "bob", &["room", "list", "#tea"])[0];
    assert_eq!(number(room, "retention_ms"), 31_536_000_000);
    assert_eq!(number(room, "kept_ms"), 7_200_000);
    let told = list(&cluster, "bob", &["history", "#tea", "--limit", "1"]);
    assert_eq!(
        (&told[0]["kind"], &told[0]["body"]),
        (&"retention".into(), &"31536000000".into())
    );
    assert_eq!(cluster.status()["retention_ms"], 7_200_000);
    assert_eq!(operator(&cluster, &["off"])["retention_ms"], 0);
    cluster.assert_equal();
    for id in [1, 2, 3] {
        assert!(!cluster.log(id).contains("panicked"));
    }
}

/// The number of old messages that ann still has in a conversation.
fn last_old_left(cluster: &Cluster, name: &str) -> u64 {
    let one = conversation(cluster, "ann", name);
    number(&one, "last_seq") - number(&one, "first_seq")
}
