//! Searching messages with a leader that dies between the steps.

mod cluster;

use cluster::{Cluster, said};
use serde_json::Value;

/// Gives the hits of a search that looked at everything.
fn hits(cluster: &Cluster, arguments: &[&str]) -> Vec<Value> {
    let lines = cluster.lines(&[&["search"], arguments, &["--json"]].concat());
    let mut lines = lines.as_array().expect("objects").clone();
    let end = lines.pop().expect("an end");
    assert_eq!(end["event"], "end");
    assert_eq!(end["complete"], true, "{end}");
    assert!(lines.iter().all(|line| line["event"] == "hit"), "{lines:?}");
    lines
}

fn bodies(hits: &[Value]) -> Vec<&str> {
    let texts = hits.iter().map(|hit| hit["body"].as_str().expect("a text"));
    texts.collect()
}

#[test]
fn what_was_sent_is_found_at_every_leader_by_those_who_may_read_it() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    for name in ["bob", "eve", "ann"] {
        cluster.person(name);
    }
    cluster.json(&["room", "create", "#tea", "--private", "--json"]);
    cluster.json(&["room", "invite", "#tea", "bob", "--json"]);
    cluster.json(&["send", "#tea", "A quick Café, ok?", "--json"]);
    cluster.json(&["send", "bob", "be quick, 東京都", "--json"]);
    let all = hits(&cluster, &["quick"]);
    assert_eq!(bodies(&all), ["be quick, 東京都", "A quick Café, ok?"]);
    assert_eq!(all[1]["conversation"], "#tea");
    assert_eq!(
        all[0]["spans"],
        serde_json::json!([{"start": 3, "length": 5}])
    );

    cluster.kill(1);
    // The next leader makes an index of its own, and finds all of it at once.
    assert_eq!(hits(&cluster, &["quick"]), all);
    assert_eq!(
        bodies(&hits(&cluster, &["quick ok"])),
        ["A quick Café, ok?"]
    );
    assert_eq!(bodies(&hits(&cluster, &["cafe in:#tea from:ann"])).len(), 1);
    assert_eq!(bodies(&hits(&cluster, &["京都", "--as", "bob"])).len(), 1);
    assert_eq!(hits(&cluster, &["quick", "--as", "eve"]), [Value::Null; 0]);
    let output = cluster.run(&["search", "cafe"]);
    assert!(
        said(&output).contains("A quick **Café**, ok?"),
        "{}",
        said(&output)
    );
    let (code, error) = cluster.fails(&["search", "x in:#tea", "--as", "eve", "--json"]);
    assert_eq!(code, 1);
    assert!(error.contains("UNKNOWN_ROOM"), "{error}");
    cluster.json(&["room", "leave", "#tea", "--as", "bob", "--json"]);
    assert_eq!(hits(&cluster, &["cafe", "--as", "bob"]), [Value::Null; 0]);

    cluster.kill(2);
    cluster.json(&["send", "bob", "quick quick slow", "--json"]);
    let newest = hits(&cluster, &["quick", "--limit", "3"]);
    assert_eq!(newest.len(), 3);
    assert_eq!(newest[0]["body"], "quick quick slow");
    assert_eq!(newest[0]["spans"].as_array().expect("places").len(), 2);
    let first = cluster.lines(&["search", "quick", "--limit", "1", "--json"]);
    let token = first[1]["next_page_token"].as_str().expect("a token");

    cluster.restart(1);
    cluster.restart(2);
    cluster.wait_until_whole();
    // The page after it, at another leader.
    let second = hits(&cluster, &["quick", "--limit", "2", "--page-token", token]);
    assert_eq!(second, newest[1..]);
    // An index that somebody deleted is built again.
    let index = cluster.replicas[&1].data.join("search.db");
    std::fs::remove_file(index).expect("there is an index");
    assert_eq!(hits(&cluster, &["quick"]), newest);
    cluster.assert_equal();
}
