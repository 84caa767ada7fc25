//! The deletion of an account for which much waits: it counts at once, and what is left of it goes in pieces,
//! whichever replica leads meanwhile.

mod cluster;

use std::{fs, path::Path};

use cluster::{Cluster, PATIENCE, wait_until};
use rusqlite::{Connection, OpenFlags};
use tercet_client::{Client, Replicas};
use tokio::task::JoinSet;

const PASSWORD: &str = "correct horse";
const MESSAGES: usize = 12_000;
const IN_FLIGHT: usize = 256;

async fn send_all(client: &Client) {
    let mut under_way = JoinSet::new();
    for _ in 0..MESSAGES {
        if under_way.len() >= IN_FLIGHT {
            under_way.join_next().await.expect("one").expect("it ran");
        }
        let client = client.clone();
        under_way.spawn(async move {
            let sent = client.send_message("bob", "hello").await;
            sent.expect("acknowledged");
        });
    }
    under_way.join_all().await;
}

fn messages_in(database: &Path) -> u64 {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let store = Connection::open_with_flags(database, flags).expect("open the store");
    let sql = "SELECT count(*) FROM messages";
    store.query_row(sql, [], |row| row.get(0)).expect("count")
}

#[test]
fn a_deletion_goes_on_where_a_leader_that_was_killed_amid_it_left_it() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    let replicas: Replicas = cluster.list().parse().expect("a list");
    let client = Client::new(replicas).with_deadline(PATIENCE);
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().expect("start a runtime");
    runtime.block_on(async {
        let mut people = Vec::new();
        for name in ["ann", "bob"] {
            client.create_account(name, PASSWORD).await.expect("create");
            let session = client.login(name, PASSWORD).await.expect("log in");
            people.push(client.with_token(&session.token).expect("a token"));
        }
        send_all(&people[0]).await;
        let dropped = people[1].delete_account(PASSWORD).await.expect("delete");
        assert_eq!(dropped, MESSAGES as u64);
    });
    cluster.kill(1);

    // A copy: closing the original would move its WAL.
    let copy = tempfile::tempdir().expect("make a directory");
    for file in ["tercet.db", "tercet.db-wal"] {
        let from = cluster.replicas[&1].data.join(file);
        fs::copy(from, copy.path().join(file)).expect("copy a store");
    }
    let left = messages_in(&copy.path().join("tercet.db"));
    assert!(left > 0, "it was killed too late");
    let ann = ["--password", PASSWORD, "--json"];
    cluster.json(&[&["login", "ann"][..], &ann].concat());
    let history = cluster.run(&["history", "bob", "--json"]);
    assert!(!history.status.success(), "nothing is left between them");
    let next = cluster.replicas[&2].data.join("tercet.db");
    wait_until("all messages are gone", || messages_in(&next) == 0);
    wait_until("the next leader says so", || {
        cluster.log(2).contains("removed rows of ended accounts")
    });
    cluster.restart(1);
    cluster.wait_until_whole();
    cluster.assert_equal();
    let first = cluster.replicas[&1].data.join("tercet.db");
    assert_eq!(messages_in(&first), 0);
}
