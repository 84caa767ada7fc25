//! Feeds through the command line and the library, while leaders are killed between the steps: who writes, who sees whom, and
//! what followers get.

mod cluster;

use cluster::{
    Cluster,
    people::{by, change_leader, list, log_in, refused},
};
use serde_json::Value;
use tercet_client::{Event, Start, Subscription};

/// Gives the names in a list, in its order.
fn names(cluster: &Cluster, who: &str, words: &[&str]) -> Vec<String> {
    let name = |it: &Value| it["username"].as_str().expect("a name").to_owned();
    list(cluster, who, words).iter().map(name).collect()
}

/// Reads a subscription up to the message of that seq; gives the seqs of all.
async fn read_to(subscription: &mut Subscription, last: u64) -> Vec<u64> {
    let mut seen = Vec::new();
    while seen.last() != Some(&last) {
        match subscription.next().await {
            Ok(Event::Message(message)) => seen.push(message.seq),
            Ok(_) => {}
            Err(error) => assert!(error.may_pass(), "{error}"),
        }
    }
    seen
}

#[test]
fn a_feed_is_followed_without_a_word_through_killed_leaders() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    for name in ["ann", "bob", "cy", "dan"] {
        cluster.person(name);
    }
    let create = ["feed", "create", "#news", "--topic", "what is new"];
    by(&cluster, "ann", &create);
    by(&cluster, "ann", &["room", "create", "#tea"]);
    assert_eq!(refused(&cluster, "bob", &create), "ROOM_NAME_TAKEN");
    change_leader(&mut cluster);

    assert_eq!(by(&cluster, "bob", &["feed", "follow", "#news"])["seq"], 0);
    by(&cluster, "cy", &["feed", "follow", "#News"]);
    by(&cluster, "cy", &["feed", "follow", "#news"]);
    let (runtime, [cy]) = log_in(&cluster, ["cy"]);
    let mut of_cy = cy.subscribe(Start::After(0));
    assert_eq!(by(&cluster, "ann", &["send", "#news", "one"])["seq"], 2);
    assert_eq!(runtime.block_on(read_to(&mut of_cy, 2)), [2]);
    change_leader(&mut cluster);

    // Followers do not write, and do not see each other.
    for words in [
        vec!["send", "#news", "mine"],
        vec!["room", "topic", "#news", "mine"],
        vec!["room", "invite", "#news", "dan"],
        vec!["pin", "#news", "2"],
        vec!["state", "set", "#news", "k", "v"],
    ] {
        assert_eq!(
            refused(&cluster, "bob", &words),
            "ROLE_MAY_NOT",
            "{words:?}"
        );
    }
    let followers = ["feed", "followers", "#news"];
    assert_eq!(names(&cluster, "ann", &followers), ["ann", "bob", "cy"]);
    assert_eq!(names(&cluster, "bob", &followers), ["ann", "bob"]);
    assert_eq!(names(&cluster, "dan", &followers), ["ann"]);
    let open = ["room", "set", "#news", "open"];
    assert_eq!(refused(&cluster, "ann", &open), "IS_A_FEED");
    change_leader(&mut cluster);

    by(
        &cluster,
        "ann",
        &["room", "promote", "#news", "bob", "admin"],
    );
    by(&cluster, "bob", &["send", "#news", "two"]);
    by(&cluster, "bob", &["room", "kick", "#news", "cy"]);
    by(&cluster, "cy", &["feed", "follow", "#news"]);
    by(&cluster, "ann", &["send", "#news", "three"]);
    change_leader(&mut cluster);

    let history = list(&cluster, "cy", &["history", "#news"]);
    let kinds: Vec<_> = history
        .iter()
        .filter_map(|it| it["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["created", "text", "made_admin", "text", "text"]);
    let conversations = list(&cluster, "cy", &["conversations"]);
    let one = &conversations[0];
    assert_eq!(
        (&one["kind"], &one["name"], &one["unread"]),
        (&"feed".into(), &"#news".into(), &1.into())
    );
    let feeds = list(&cluster, "dan", &["feed", "list"]);
    assert_eq!(feeds.len(), 1);
    assert_eq!(
        (&feeds[0]["conversation"], &feeds[0]["feed"]),
        (&"#news".into(), &true.into())
    );
    assert_eq!(runtime.block_on(read_to(&mut of_cy, 5)).last(), Some(&5));

    // An admin follows the owner who goes; without one the feed is closed.
    by(&cluster, "ann", &["feed", "unfollow", "#news"]);
    change_leader(&mut cluster);
    by(&cluster, "bob", &["feed", "unfollow", "#news"]);
    change_leader(&mut cluster);
    let follow = ["feed", "follow", "#news"];
    assert_eq!(refused(&cluster, "dan", &follow), "UNKNOWN_ROOM");
    let history = list(&cluster, "cy", &["history", "#news", "--after", "5"]);
    let kinds: Vec<_> = history
        .iter()
        .filter_map(|it| it["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["left", "archived"]);
    by(&cluster, "cy", &["feed", "unfollow", "#news"]);
    assert!(list(&cluster, "cy", &["conversations"]).is_empty());
    cluster.wait_until_whole();
    cluster.assert_equal();
}
