//! The log is trimmed while the cluster serves, and whoever lacks what is gone gets a snapshot: after
//! a long absence, on an empty disk, as a replica that is added, and whoever dies on the way.

mod cluster;

use cluster::{
    Cluster,
    load::{assert_completes, replay, wait_for_lsn},
    wait_until,
};

/// As little as there can be.
const SHORT_LOG: &[(&str, &str)] = &[("TERCET_LOG_KEEP_MIB", "0"), ("TERCET_LOG_MAX_MIB", "0")];

/// Waits until the log of a replica begins after that LSN.
fn wait_until_trimmed(cluster: &Cluster, id: u64, lsn: u64) {
    wait_until(&format!("the log of {id} begins after {lsn}"), || {
        cluster.status_of(id)["log_start_lsn"].as_u64() > Some(lsn)
    });
}

fn assert_installed(cluster: &Cluster, id: u64) {
    let log = cluster.log(id);
    let said = "a snapshot replaces the state";
    assert!(log.contains(said), "{log}");
}

#[test]
fn a_replica_that_was_away_for_longer_than_the_log_goes_back_gets_a_snapshot() {
    let mut cluster = Cluster::start_with(SHORT_LOG, 3);
    cluster.wait_until_whole();
    cluster.kill(3);
    let replay = replay(&cluster);
    wait_for_lsn(&cluster, 3_000);
    for id in [1, 2] {
        wait_until_trimmed(&cluster, id, 1_000);
    }
    cluster.restart(3);
    assert_completes(replay);
    cluster.wait_until_whole();
    cluster.assert_equal();
    assert_installed(&cluster, 3);
    // What it holds is its own: it serves alone, and starts again on it.
    for id in [1, 2, 3] {
        cluster.kill(id);
    }
    for id in [1, 2, 3] {
        cluster.restart(id);
    }
    cluster.wait_until_whole();
    for id in [1, 2] {
        cluster.kill(id);
    }
    cluster.wait_for_leader(3);
}

#[test]
fn the_log_waits_for_a_replica_that_is_away_and_no_longer() {
    let keep_nothing: &[_] = &[("TERCET_LOG_KEEP_MIB", "0")];
    let mut cluster = Cluster::start_with(keep_nothing, 3);
    // Longer than it takes until the length of the log is looked at.
    let load = |cluster: &Cluster| {
        cluster.json(&["bench", "batch", "--duration", "3", "--json"]);
    };
    let lsn = |cluster: &Cluster, name| cluster.status_of(1)[name].as_u64().expect("it leads");
    load(&cluster);
    let before = lsn(&cluster, "last_lsn");
    // But for the last, which are not worth a trim.
    for id in [1, 2, 3] {
        wait_until_trimmed(&cluster, id, before.saturating_sub(2_000));
    }
    cluster.kill(3);
    load(&cluster);
    assert!(lsn(&cluster, "last_lsn") > before + 3_000);
    assert!(lsn(&cluster, "log_start_lsn") <= before + 1);
    cluster.restart(3);
    cluster.wait_until_whole();
    let log = cluster.log(3);
    assert!(!log.contains("a snapshot is needed"), "{log}");
    cluster.assert_equal();
    for id in [1, 2, 3] {
        wait_until_trimmed(&cluster, id, before + 1_000);
    }
}

#[test]
fn an_empty_disk_and_an_added_replica_are_filled_by_snapshots_though_the_leader_dies() {
    let mut cluster = Cluster::start_with(SHORT_LOG, 3);
    assert_completes(replay(&cluster));
    for id in [1, 2, 3] {
        wait_until_trimmed(&cluster, id, 1_000);
    }
    cluster.kill(2);
    cluster.wipe(2);
    cluster.restart(2);
    cluster.wait_until_whole();
    assert_installed(&cluster, 2);

    cluster.describe(4);
    cluster.add(4);
    cluster.restart(4);
    wait_until("replica 4 is told that it needs a snapshot", || {
        cluster.log(4).contains("a snapshot is needed")
    });
    cluster.kill(1);
    cluster.wait_for_leader(2);
    wait_until("replica 4 is a member", || {
        cluster.status_of(4)["member"] == true
    });
    assert_installed(&cluster, 4);
    cluster.restart(1);
    cluster.wait_until_whole();
    cluster.assert_equal();
}
