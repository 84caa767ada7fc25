//! Read markers through the command line and the library, while leaders are killed between the steps.

mod cluster;

use cluster::{
    Cluster, PATIENCE,
    people::{by, change_leader, refused},
};
use tercet_client::{Client, Event, Replicas, Start};

/// Gives the first `count` markers that moved after a cursor, as an account is told.
fn markers(cluster: &Cluster, who: &str, after: u64, count: usize) -> Vec<String> {
    let replicas: Replicas = cluster.list().parse().expect("replicas");
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().expect("start a runtime");
    runtime.block_on(async {
        let client = Client::new(replicas).with_deadline(PATIENCE);
        let session = client.login(who, "correct horse").await.expect("log in");
        let reader = client.with_token(&session.token).expect("a token");
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
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    for name in ["ann", "bob"] {
        cluster.person(name);
    }
    by(&cluster, "ann", &["room", "create", "#tea"]);
    by(&cluster, "bob", &["room", "join", "#tea"]);
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
