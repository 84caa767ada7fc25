//! Signals that a terminal or a supervisor sends to a replica, and who may read its files.

mod cluster;

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use cluster::{Cluster, wait_until};
use rustix::process::Signal;

#[test]
fn a_replica_whose_terminal_is_closed_leaves_the_view_first() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    for (id, signal, name) in [(3, Signal::HUP, "SIGHUP"), (2, Signal::QUIT, "SIGQUIT")] {
        cluster.kill(id);
        // These tests may themselves run under nohup.
        let argv = &mut cluster.replicas.get_mut(&id).expect("it exists").argv;
        let env = ["env", "--default-signal=HUP"];
        argv.splice(0..0, env.map(String::from));
        cluster.restart(id);
        cluster.wait_until_whole();
        cluster.signal(id, signal);
        assert_eq!(cluster.wait_for_exit(id), Some(0), "{}", cluster.log(id));
        let log = cluster.log(id);
        assert!(log.contains(&format!("{name}: stopping")), "{log}");
        assert!(log.contains("stopping: leaving the view first"), "{log}");
        assert!(!log.contains("without leaving the view"), "{log}");
        cluster.restart(id);
        cluster.wait_until_whole();
    }
}

#[test]
fn a_replica_under_nohup_outlives_its_terminal() {
    let mut cluster = Cluster::start(3);
    cluster.wait_until_whole();
    cluster.kill(3);
    let argv = &mut cluster.replicas.get_mut(&3).expect("it exists").argv;
    let shell = ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh"];
    argv.splice(0..0, shell.map(String::from));
    cluster.restart(3);
    cluster.wait_until_whole();
    cluster.signal(3, Signal::HUP);
    cluster.signal(3, Signal::USR1);
    wait_until("the second signal is noted", || {
        cluster.log(3).contains("SIGUSR1 has no effect")
    });
    assert!(cluster.is_whole());
    assert!(!cluster.log(3).contains("SIGHUP"), "{}", cluster.log(3));
}

/// Everything below `path` that others may read, write or enter.
fn open_to_others(path: &Path) -> Vec<String> {
    let metadata = fs::symlink_metadata(path).expect("look at a file");
    let mode = metadata.permissions().mode() & 0o777;
    let mut open = Vec::new();
    if mode & 0o077 != 0 {
        open.push(format!("{} {mode:o}", path.display()));
    }
    if metadata.is_dir() {
        for entry in fs::read_dir(path).expect("read a directory") {
            open.extend(open_to_others(&entry.expect("read a directory").path()));
        }
    }
    open
}

#[test]
fn what_replicas_keep_is_for_their_user_alone() {
    let mut cluster = Cluster::start(2);
    cluster.wait_until_whole();
    cluster.person("ann");
    let data = cluster.dir.path().join("data");
    assert_eq!(open_to_others(&data), Vec::<String>::new());

    // As earlier versions left them.
    cluster.kill(2);
    let replica = cluster.replicas[&2].data.clone();
    for (name, mode) in [("snapshots", 0o755), ("lock", 0o644), ("tercet.db", 0o640)] {
        let changed = fs::set_permissions(replica.join(name), Permissions::from_mode(mode));
        changed.expect("change a mode");
    }
    cluster.restart(2);
    cluster.wait_until_whole();
    assert_eq!(open_to_others(&replica), Vec::<String>::new());
    let log = cluster.log(2);
    assert!(log.contains("could be read by other users"), "{log}");
}
