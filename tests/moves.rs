//! Replicas that come back at other addresses, all at once, find one another by the lists that their
//! operator gives; and a monitor can tell by an exit code how the cluster is.

mod cluster;

use cluster::{Cluster, json_lines, said, wait_until};

/// The addresses that the leader gives out are those of the replicas as they are now.
fn assert_addresses_are_known(cluster: &Cluster) {
    wait_until("the cluster's own list has the new addresses", || {
        let members = cluster.run(&["cluster", "members", "--json"]);
        let mut listed = json_lines(&members);
        listed.retain(|line| line["event"] == "replica");
        listed.len() == cluster.replicas.len()
            && listed.iter().all(|listed| {
                let id = listed["id"].as_u64().expect("it has an id");
                let replica = &cluster.replicas[&id];
                listed["address"] == replica.address
                    && listed["peer_address"] == replica.peer_address
            })
    });
}

#[test]
fn three_replicas_that_come_back_at_new_addresses_meet() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    cluster.person("ann");
    cluster.json(&["send", "ann", "before the move", "--json"]);
    let old = cluster.list();
    for id in [1, 2, 3] {
        cluster.kill(id);
    }
    cluster.move_in_lists(&[1, 2, 3]);
    cluster.restart(1);
    // While it is alone, it is shown where it answers, and so are the addresses that were tried.
    wait_until("replica 1 answers", || {
        cluster.status_of(1)["reachable"] == true
    });
    let alone = cluster.status_of(2)["error"].to_string();
    let tried = [&cluster.replicas[&2].address, " (from TERCET_REPLICAS)"];
    assert!(tried.iter().all(|part| alone.contains(*part)), "{alone}");
    assert!(alone.contains("(from the cluster's own list)"), "{alone}");
    wait_until("its log says which addresses were tried", || {
        cluster
            .log(1)
            .contains("(from the cluster's own list): connection refused; nor at")
    });
    let log = cluster.log(1);
    assert!(log.contains("(from --peers): connection refused"), "{log}");
    assert!(log.contains("both are tried"), "{log}");
    for id in [2, 3] {
        cluster.restart(id);
    }
    cluster.wait_until_whole();
    assert_addresses_are_known(&cluster);
    let inbox = cluster.run(&["inbox", "--json", "--keep"]);
    assert!(said(&inbox).contains("before the move"), "{}", said(&inbox));
    cluster.assert_equal();
    assert_ne!(cluster.list(), old);
}

#[test]
fn two_replicas_that_come_back_at_new_addresses_meet_the_third_and_one_another() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    for id in [1, 2] {
        cluster.kill(id);
    }
    cluster.move_in_lists(&[1, 2]);
    for id in [1, 2] {
        cluster.restart(id);
    }
    cluster.wait_until_whole();
    assert_addresses_are_known(&cluster);
    // The third, which ran on, is killed too: the lists of the two say where it was.
    cluster.kill(3);
    cluster.wait_for_leader(1);
    cluster.restart(3);
    cluster.wait_until_whole();
    cluster.assert_equal();
}

#[test]
fn the_exit_code_of_status_says_whether_all_is_well() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    let code = |cluster: &Cluster| cluster.run(&["cluster", "status"]).status.code();
    // Once in a while, on a busy machine, a lease is lost for a moment.
    wait_until("all is well", || code(&cluster) == Some(0));
    cluster.kill(3);
    wait_until("a replica is missed", || code(&cluster) == Some(3));
    for id in [1, 2] {
        cluster.kill(id);
    }
    assert_eq!(code(&cluster), Some(1));
    let nobody = said(&cluster.run(&["cluster", "status"]));
    let words = "no replica answers, so it is not known who leads";
    assert!(nobody.contains(words), "{nobody}");
}
