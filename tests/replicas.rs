//! Replicas are added, removed, replaced and moved while the cluster serves, and clients that know
//! only the first three find whoever is left.

mod cluster;

use cluster::{
    Cluster, json_lines,
    load::{assert_completes, replay, wait_for_lsn},
    said, wait_until,
};
use rustix::process::Signal;

fn wait_for_log(cluster: &Cluster, id: u64, text: &str) {
    wait_until(&format!("replica {id} says: {text}"), || {
        cluster.log(id).contains(text)
    });
}

fn remove(cluster: &mut Cluster, id: u64) {
    let removed = cluster.json(&["cluster", "remove-replica", &id.to_string(), "--json"]);
    assert_eq!(removed["left_view"], true, "{removed}");
}

/// A replica that was removed ends by itself, and says why.
fn assert_dismissed(cluster: &mut Cluster, id: u64) {
    assert_eq!(cluster.exit_code(id), Some(4));
    let log = cluster.log(id);
    let why = format!("replica {id} was removed from the cluster");
    assert!(log.contains(&why), "{log}");
    if cluster.replicas[&id].argv.contains(&"--join".to_owned()) {
        cluster.replicas.remove(&id);
        return;
    }
    // As a supervisor would: it says so again, and asks nobody.
    let sessions = |log: &str| log.matches("session with replica").count();
    let before = sessions(&log);
    cluster.restart(id);
    assert_eq!(cluster.exit_code(id), Some(4));
    let log = cluster.log(id);
    assert!(
        log.contains("was removed from the cluster earlier"),
        "{log}"
    );
    assert_eq!(sessions(&log), before, "{log}");
    cluster.replicas.remove(&id);
}

#[test]
fn a_fourth_replica_joins_under_load_and_serves_when_the_first_three_are_dead() {
    let mut cluster = Cluster::start(3);
    let first_three = cluster.list();
    let replay = replay(&cluster);
    wait_for_lsn(&cluster, 500);
    cluster.describe(4);
    cluster.restart(4);
    wait_for_log(&cluster, 4, "does not belong to the cluster yet; add it");
    cluster.add(4);
    wait_until("replica 4 is a member", || {
        cluster.status_of(4)["member"] == true
    });
    for id in [1, 2, 3] {
        wait_until("all who are left know that they are members", || {
            (id..=4).all(|left| cluster.status_of(left)["member"] == true)
        });
        cluster.kill(id);
        cluster.wait_for_leader(id + 1);
    }
    assert_completes(replay);
    let members = cluster
        .command_at(&first_three, &["cluster", "members", "--json"])
        .output()
        .expect("run tercet");
    assert!(members.status.success(), "{}", said(&members));
    let members = json_lines(&members);
    let leads = |id: usize| members[id - 1]["leader"] == true;
    assert!(leads(4) && !leads(1), "{members:?}");
    for id in [1, 2, 3] {
        cluster.restart(id);
    }
    cluster.wait_until_whole();
    cluster.assert_equal();
}

#[test]
fn a_join_outlives_the_leader_and_then_a_backup_the_leader_and_a_dead_one_are_removed() {
    let mut cluster = Cluster::start(3);
    assert_completes(replay(&cluster));
    cluster.describe(4);
    cluster.add(4);
    cluster.restart(4);
    wait_for_log(&cluster, 4, "session with replica");
    cluster.signal(4, Signal::STOP);
    assert_eq!(cluster.status_of(4)["member"], false, "it has just begun");
    cluster.kill(1);
    cluster.wait_for_leader(2);
    cluster.signal(4, Signal::CONT);
    wait_until("replica 4 is a member", || {
        cluster.status_of(4)["member"] == true
    });
    cluster.restart(1);
    cluster.wait_until_whole();
    cluster.assert_equal();

    remove(&mut cluster, 4);
    assert_dismissed(&mut cluster, 4);
    remove(&mut cluster, 1);
    assert_dismissed(&mut cluster, 1);
    cluster.wait_until_whole();
    cluster.kill(3);
    remove(&mut cluster, 3);
    let (code, why) = cluster.fails(&["cluster", "remove-replica", "2"]);
    assert_eq!(code, 1);
    assert!(why.contains("too few replicas would be left"), "{why}");
    cluster.restart(3);
    assert_dismissed(&mut cluster, 3);
    assert_eq!(cluster.leader(), Some(2));
}

#[test]
fn a_replica_returns_at_another_address_and_another_with_an_empty_disk() {
    let mut cluster = Cluster::start(3);
    cluster.person("ann");
    cluster.json(&["send", "ann", "a note to myself", "--json"]);
    let first_addresses = cluster.list();
    cluster.kill(3);
    cluster.move_to_free_ports(3);
    cluster.restart(3);
    cluster.wait_until_whole();
    cluster.kill(2);
    cluster.wipe(2);
    cluster.restart(2);
    cluster.wait_until_whole();
    cluster.assert_equal();
    for id in [1, 2] {
        cluster.kill(id);
    }
    cluster.wait_for_leader(3);
    let inbox = cluster
        .command_at(&first_addresses, &["inbox", "--json", "--keep"])
        .output()
        .expect("run tercet");
    assert!(
        said(&inbox).contains("a note to myself"),
        "{}",
        said(&inbox)
    );
}

#[test]
fn a_removed_replica_stays_away_until_it_is_added_again() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    cluster.describe(4);
    cluster.add(4);
    cluster.restart(4);
    wait_until("replica 4 is a member", || {
        cluster.status_of(4)["member"] == true
    });
    let described = cluster.replicas[&4].clone();
    remove(&mut cluster, 4);
    // It is started with --join: it waits, and does not take part.
    assert_eq!(cluster.exit_code(4), Some(4));
    cluster.restart(4);
    wait_for_log(
        &cluster,
        4,
        "replica 4 was removed, and does not belong to the cluster; add it",
    );
    cluster.add(4);
    wait_until("replica 4 is a member again", || {
        cluster.status_of(4)["member"] == true
    });
    assert!(!described.data.join("removed").exists());
    cluster.assert_equal();
}
