//! Read markers and the list of conversations through the command line and the library, while leaders are killed between the steps.

mod cluster;

use cluster::{
    Cluster,
    people::{ann_and_bob_in_tea, by, change_leader, list, log_in, refused},
};
use tercet_client::{Event, Start};

/// Gives the first `count` markers that moved after a cursor, as an account is told.
fn markers(cluster: &Cluster, who: &str, after: u64, count: usize) -> Vec<String> {
    let (runtime, [reader]) = log_in(cluster, [who]);
    runtime.block_on(async {
        let mut subscription = reader.subscribe(Start::After(after));
        let mut events = Vec::new();
        while events.len() < count {
            if let Event::Read {
                conversation,
                username,
                read_seq,
                ..
            } = subscription.next().await.expect("an event")
            {
                events.push(format!("{username} read {conversation} up to {read_seq}"));
            }
        }
        events
    })
}

#[test]
fn markers_move_from_any_device_through_killed_leaders() {
    let mut cluster = ann_and_bob_in_tea();
    let first = by(&cluster, "ann", &["send", "bob", "one"]);
    let start = first["cursor"].as_u64().expect("a cursor");
    for text in ["two", "three"] {
        by(&cluster, "ann", &["send", "bob", text]);
        by(&cluster, "ann", &["send", "#tea", text]);
    }
    change_leader(&mut cluster);

    let marked = by(&cluster, "bob", &["read", "#tea", "3"]);
    assert_eq!(marked["read_seq"], 3);
    let again = by(&cluster, "bob", &["read", "#tea", "2"]);
    assert_eq!(
        (&again["read_seq"], &again["cursor"]),
        (&3.into(), &0.into())
    );
    change_leader(&mut cluster);

    assert_eq!(by(&cluster, "bob", &["read", "#tea"])["read_seq"], 4);
    assert_eq!(by(&cluster, "bob", &["read", "ann", "2"])["read_seq"], 2);
    change_leader(&mut cluster);

    let unread = ["read", "ann", "--unread-from", "1"];
    assert_eq!(by(&cluster, "bob", &unread)["read_seq"], 0);
    assert_eq!(by(&cluster, "bob", &["read", "ann"])["read_seq"], 3);
    assert_eq!(refused(&cluster, "bob", &["read", "cy"]), "UNKNOWN_ACCOUNT");
    assert_eq!(refused(&cluster, "bob", &["read", "#no"]), "UNKNOWN_ROOM");
    change_leader(&mut cluster);

    assert_eq!(
        markers(&cluster, "bob", start, 5),
        [
            "bob read #tea up to 3",
            "bob read #tea up to 4",
            "bob read ann up to 2",
            "bob read ann up to 0",
            "bob read ann up to 3",
        ]
    );
    // The other side is told of progress alone.
    assert_eq!(
        markers(&cluster, "ann", start, 2),
        ["bob read ann up to 2", "bob read ann up to 3"]
    );
    cluster.wait_until_whole();
    cluster.assert_equal();
}

/// Gives the conversations of a person: name, last seq, unread, and the text of the last message.
fn conversations(cluster: &Cluster, who: &str) -> Vec<String> {
    let listed = list(cluster, who, &["conversations"]);
    let text = |one: &serde_json::Value| {
        let (name, last) = (one["name"].as_str(), &one["last_message"]);
        format!(
            "{} {} {}: {}",
            name.expect("a name"),
            one["last_seq"],
            one["unread"],
            last["text"].as_str().expect("a text")
        )
    };
    listed.iter().map(text).collect()
}

#[test]
fn conversations_are_listed_with_what_is_unread_through_killed_leaders() {
    let mut cluster = ann_and_bob_in_tea();
    by(&cluster, "ann", &["send", "#tea", "one"]);
    by(&cluster, "ann", &["send", "bob", "hello"]);
    by(&cluster, "ann", &["send", "#tea", "two"]);
    change_leader(&mut cluster);
    assert_eq!(
        conversations(&cluster, "bob"),
        ["#tea 4 2: two", "ann 1 1: hello"]
    );
    assert_eq!(
        conversations(&cluster, "ann"),
        ["#tea 4 0: two", "bob 1 0: hello"]
    );
    by(&cluster, "ann", &["delete", "#tea", "3"]);
    by(&cluster, "bob", &["read", "ann"]);
    change_leader(&mut cluster);
    by(
        &cluster,
        "ann",
        &["send", "bob", &format!("long\n{}", "x".repeat(200))],
    );
    let lines = cluster.lines(&["conversations", "--as", "bob", "--json"]);
    let end = lines
        .as_array()
        .and_then(|lines| lines.last())
        .expect("an end");
    let cursor = end["cursor"].as_u64().expect("a cursor");
    change_leader(&mut cluster);
    let text = format!("ann 2 1: long {}", "x".repeat(95));
    assert_eq!(conversations(&cluster, "bob"), [&text, "#tea 4 1: two"]);
    by(&cluster, "bob", &["read", "#tea"]);
    by(&cluster, "bob", &["read", "ann", "--unread-from", "1"]);
    let text = text.replace("ann 2 1", "ann 2 2");
    assert_eq!(conversations(&cluster, "bob"), [&text, "#tea 4 0: two"]);
    let of_ann = list(&cluster, "ann", &["conversations"]);
    assert_eq!(of_ann[0]["peer_read_seq"], 1);
    assert_eq!(of_ann[0]["peer_delivered_seq"], 0);
    by(&cluster, "ann", &["send", "bob", "one more"]);
    change_leader(&mut cluster);
    assert_eq!(list(&cluster, "bob", &["inbox"]).len(), 3);
    let of_ann = list(&cluster, "ann", &["conversations"]);
    assert_eq!(of_ann[0]["peer_delivered_seq"], 3);
    // The cursor of a list is where its subscription goes on.
    assert_eq!(
        markers(&cluster, "bob", cursor, 2),
        ["bob read #tea up to 4", "bob read ann up to 0"]
    );
    cluster.wait_until_whole();
    cluster.assert_equal();
}
