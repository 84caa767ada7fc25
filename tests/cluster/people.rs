//! The actions of people through the command line, while leaders are killed.

use serde_json::Value;
use tercet_client::{Client, Replicas};
use tokio::runtime::{Builder, Runtime};

use super::{Cluster, PATIENCE, wait_until};

/// Kills the leader and starts it again once another one leads.
pub fn change_leader(cluster: &mut Cluster) {
    cluster.wait_until_whole();
    let mut leader = None;
    wait_until("somebody leads", || {
        leader = cluster.leader();
        leader.is_some()
    });
    let killed = leader.expect("it was found");
    cluster.kill(killed);
    wait_until("another replica leads", || {
        cluster.leader().is_some_and(|id| id != killed)
    });
    cluster.restart(killed);
}

/// Starts three replicas, with ann, who made `#tea`, and bob, who joined it.
pub fn ann_and_bob_in_tea() -> Cluster {
    let cluster = Cluster::start(3);
    cluster.wait_until_whole();
    for name in ["ann", "bob"] {
        cluster.person(name);
    }
    by(&cluster, "ann", &["room", "create", "#tea"]);
    by(&cluster, "bob", &["room", "join", "#tea"]);
    cluster
}

/// Runs a command as a person.
pub fn by(cluster: &Cluster, who: &str, words: &[&str]) -> Value {
    cluster.json(&[words, &["--as", who, "--json"]].concat())
}

/// Gives the objects of a list without its end.
pub fn list(cluster: &Cluster, who: &str, words: &[&str]) -> Vec<Value> {
    let lines = cluster.lines(&[words, &["--as", who, "--json"]].concat());
    let lines = lines.as_array().expect("objects").clone();
    let is_end = |line: &Value| line["event"] == "end";
    lines.into_iter().filter(|line| !is_end(line)).collect()
}

/// Runs a command that is refused, and gives its reason.
pub fn refused(cluster: &Cluster, who: &str, words: &[&str]) -> String {
    let (code, errors) = cluster.fails(&[words, &["--as", who, "--json"]].concat());
    assert_eq!(code, 1, "{errors}");
    let last = errors.lines().last().expect("an error");
    let error: Value = serde_json::from_str(last).expect("JSON");
    let reason = error["error"]["reason"].as_str();
    reason.expect("a reason").to_owned()
}

/// Logs people in with the client library; gives their clients, and the runtime that they must be used on.
pub fn log_in<const N: usize>(cluster: &Cluster, names: [&str; N]) -> (Runtime, [Client; N]) {
    let replicas: Replicas = cluster.list().parse().expect("a list");
    let client = Client::new(replicas).with_deadline(PATIENCE);
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_all().build().expect("start a runtime");
    let clients = names.map(|name| {
        let session = runtime.block_on(client.login(name, "correct horse"));
        let session = session.expect("log in");
        client.with_token(&session.token).expect("a token")
    });
    (runtime, clients)
}
