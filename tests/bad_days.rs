//! Bad input and bad days of an operator: a clear error that says what to do, and nothing lost.

mod cluster;

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Output, Stdio},
};

use cluster::{Cluster, TERCET, free_ports, said, wait_until};
use rustix::process::Signal;

/// `tercet serve` for a cluster of its own on free ports, in the foreground, until it ends.
fn serve(data: &Path, id: u32, ports: u16) -> Command {
    let mut command = Command::new(TERCET);
    let list = |offset: u16| {
        let pairs = (1..=3).map(|id| format!("{id}=127.0.0.1:{}", ports + offset + id));
        pairs.collect::<Vec<_>>().join(",")
    };
    command
        .args(["serve", "--id", &id.to_string(), "--data"])
        .arg(data)
        .args(["--replicas", &list(0), "--peers", &list(3)])
        .args(["--peer-secret", "a secret of sixteen bytes or more"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn refused(output: &Output, code: i32, words: &[&str]) {
    let text = said(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

/// Data directories of a cluster that was stopped, and its processes gone.
fn stopped_cluster() -> Cluster {
    let mut cluster = Cluster::start(3);
    cluster.person("ann");
    assert_eq!(cluster.stop(), Some(0));
    for id in 1..=3 {
        cluster.wait_until_gone(id);
    }
    cluster
}

/// Starts a replica of a stopped cluster by its own command, which must end by itself.
fn start_by_hand(cluster: &Cluster, id: u64) -> Output {
    let argv = &cluster.replicas[&id].argv;
    let mut command = Command::new(&argv[0]);
    command.args(&argv[1..]).stdin(Stdio::null());
    command.output().expect("run a replica")
}

#[test]
fn a_taken_port_is_named() {
    let ports = free_ports(8);
    let _taken = TcpListener::bind(("127.0.0.1", ports + 1)).expect("take a port");
    let dir = tempfile::tempdir().expect("make a directory");
    let output = serve(dir.path(), 1, ports).output().expect("run a replica");
    refused(&output, 1, &[&format!("127.0.0.1:{}", ports + 1), "in use"]);
    let local = Command::new(TERCET)
        .args([
            "local",
            "--no-chat",
            "--base-port",
            &(ports + 1).to_string(),
            "--data",
        ])
        .arg(dir.path().join("local"))
        .stdin(Stdio::null())
        .output()
        .expect("run tercet local");
    refused(&local, 1, &[&(ports + 1).to_string(), "--base-port"]);
}

#[test]
fn wrong_settings_are_wrong_usage() {
    let dir = tempfile::tempdir().expect("make a directory");
    let ports = free_ports(8);
    let unknown = serve(dir.path(), 7, ports).output().expect("run a replica");
    refused(&unknown, 1, &["replica 7", "list"]);
    let mut short = serve(dir.path(), 1, ports);
    let short = short
        .args(["--log", "info"])
        .env("TERCET_LONE_TIMEOUT_MS", "soon");
    refused(&short.output().expect("run a replica"), 2, &["never"]);
    let nothing = Command::new(TERCET)
        .arg("sing")
        .output()
        .expect("run tercet");
    refused(&nothing, 2, &["sing"]);
}

#[test]
fn a_data_directory_of_another_replica_is_refused() {
    let cluster = stopped_cluster();
    let data = cluster.replicas[&2].data.clone();
    let output = serve(&data, 1, free_ports(8))
        .output()
        .expect("run a replica");
    refused(&output, 1, &["replica 2", "replica 1"]);
}

#[test]
fn two_processes_on_one_data_directory_are_refused() {
    let cluster = Cluster::start(3);
    let data = cluster.replicas[&1].data.clone();
    let output = serve(&data, 1, free_ports(8))
        .output()
        .expect("run a replica");
    refused(
        &output,
        1,
        &["in use", &cluster.replicas[&1].pid.to_string()],
    );
    assert_eq!(cluster.leader(), Some(1), "the first is not disturbed");
}

#[test]
fn a_damaged_store_is_refused_and_left_alone() {
    let cluster = stopped_cluster();
    let data = &cluster.replicas[&2].data;
    let file = data.join("tercet.db");
    let store = rusqlite::Connection::open(&file).expect("open the store");
    let changed = store.execute(
        "UPDATE log SET payload = zeroblob(length(payload)) WHERE lsn = 2",
        [],
    );
    assert_eq!(changed.expect("damage the log"), 1);
    drop(store);
    let before = fs::read(&file).expect("read the store");
    let output = start_by_hand(&cluster, 2);
    let named = data.display().to_string();
    refused(&output, 1, &["damaged", "keep", &named]);
    assert!(
        before == fs::read(&file).expect("read the store"),
        "the store was changed"
    );
    fs::write(
        &file,
        b"this is no database, and longer than a header would be",
    )
    .expect("write");
    let _ = fs::remove_file(data.join("tercet.db-wal"));
    refused(&start_by_hand(&cluster, 2), 1, &["damaged"]);
}

#[test]
fn a_store_of_a_newer_version_is_refused() {
    let cluster = stopped_cluster();
    let file = cluster.replicas[&3].data.join("tercet.db");
    let store = rusqlite::Connection::open(&file).expect("open the store");
    store
        .pragma_update(None, "user_version", 999)
        .expect("pretend");
    drop(store);
    refused(&start_by_hand(&cluster, 3), 1, &["newer", "999"]);
}

#[test]
fn a_state_made_by_commands_of_a_newer_version_is_refused_and_left_whole() {
    let cluster = stopped_cluster();
    let file = cluster.replicas[&3].data.join("tercet.db");
    let store = rusqlite::Connection::open(&file).expect("open the store");
    let sql = "UPDATE position SET command_version = 99";
    store.execute(sql, []).expect("pretend");
    drop(store);
    let before = fs::read(&file).expect("read the store");
    let words = ["version 99", "versions up to", "Upgrade this replica"];
    refused(&start_by_hand(&cluster, 3), 1, &words);
    assert!(
        before == fs::read(&file).expect("read the store"),
        "the store was changed"
    );
}

#[test]
fn a_mode_that_is_not_the_clusters_is_refused_and_a_default_is_not() {
    let mut cluster = Cluster::start(2);
    cluster.wait_until_whole();
    cluster.kill(2);
    let argv = cluster.replicas[&2].argv.clone();
    let start = |more: &[&str]| {
        let mut command = Command::new(&argv[0]);
        let command = command.args(&argv[1..]).args(more);
        command
            .stdin(Stdio::null())
            .output()
            .expect("run a replica")
    };
    let words = [
        "is in mode available",
        "in mode majority with 2 in sync",
        "leave --mode",
    ];
    refused(&start(&["--mode", "majority"]), 1, &words);
    let everywhere = start(&["--address", "0.0.0.0:5001"]);
    refused(
        &everywhere,
        1,
        &["0.0.0.0:5001 (--address)", "with --listen"],
    );
    cluster.restart(2);
    cluster.wait_until_whole();
}

#[test]
fn a_replica_of_another_cluster_says_so_and_stops() {
    let stranger = stopped_cluster();
    let mut cluster = Cluster::start(3);
    cluster.kill(3);
    let replica = cluster.replicas[&3].clone();
    let mut argv = replica.argv.clone();
    let data = argv
        .iter()
        .position(|word| word == "--data")
        .expect("it has a data directory");
    argv[data + 1] = stranger.replicas[&3].data.to_string_lossy().into_owned();
    let output = Command::new(&argv[0])
        .args(&argv[1..])
        .stdin(Stdio::null())
        .output();
    refused(&output.expect("run a replica"), 1, &["belongs to cluster"]);
    cluster.wait_for_leader(1);
    cluster.restart(3);
    cluster.wait_until_whole();
}

/// As when the log is on the same disk as the data, and that is full.
#[test]
fn a_replica_whose_log_takes_no_more_goes_on_without_it() {
    let mut cluster = Cluster::start(3);
    cluster.person("ann");
    cluster.kill(1);
    symlink("/dev/full", cluster.by_hand_log(1)).expect("link a full log");
    cluster.restart(1);
    cluster.wait_until_whole();
    cluster.json(&["send", "ann", "hello", "--json"]);
    cluster.kill(1);
    // What it says last goes nowhere either, and its exit code is still its own.
    let data = cluster.replicas[&1].data.clone();
    fs::remove_dir_all(&data).expect("remove a store");
    fs::write(&data, "no directory").expect("put a file in its place");
    cluster.restart(1);
    assert_eq!(cluster.wait_for_exit(1), Some(1));
}

#[test]
fn a_damaged_store_is_set_aside_and_filled_anew_while_others_serve() {
    let mut cluster = Cluster::start(3);
    cluster.person("ann");
    cluster.json(&["send", "ann", "hello", "--json"]);
    cluster.kill(2);
    let data = cluster.replicas[&2].data.clone();
    let store = rusqlite::Connection::open(data.join("tercet.db")).expect("open the store");
    let changed = store.execute(
        "UPDATE log SET payload = zeroblob(length(payload)) WHERE lsn = 2",
        [],
    );
    assert_eq!(changed.expect("damage the log"), 1);
    drop(store);
    cluster.restart(2);
    cluster.wait_until_whole();
    cluster.assert_equal();
    let log = cluster.log(2);
    assert!(log.contains("it was set aside in"), "{log}");
    let kept = fs::read_dir(&data).expect("read the directory");
    let kept = kept.filter_map(|file| {
        let path = file.expect("read the directory").path();
        let name = path.file_name()?.to_str()?;
        name.starts_with("broken-").then(|| path.join("tercet.db"))
    });
    let kept: Vec<_> = kept.collect();
    assert!(kept.len() == 1 && kept[0].is_file(), "{kept:?}");
}

#[test]
fn a_wiped_replica_comes_back_as_a_stranger_and_gets_everything() {
    let mut cluster = Cluster::start(3);
    cluster.person("ann");
    for text in ["one", "two", "three"] {
        cluster.json(&["send", "ann", text, "--json"]);
    }
    cluster.kill(1);
    cluster.wait_for_leader(2);
    fs::remove_dir_all(&cluster.replicas[&1].data).expect("wipe the disk");
    fs::create_dir_all(&cluster.replicas[&1].data).expect("a new disk");
    cluster.restart(1);
    cluster.wait_until_whole();
    cluster.assert_equal();
}

#[test]
fn a_client_says_what_it_tried() {
    let cluster = stopped_cluster();
    let (code, errors) = cluster.fails(&["accounts", "--token", "x", "--timeout", "1"]);
    assert_eq!(code, 1);
    for replica in cluster.replicas.values() {
        assert!(errors.contains(&replica.address), "{errors}");
    }
    for (list, code) in [
        ("", 2),
        ("1=nowhere", 2),
        ("one=127.0.0.1:1", 2),
        ("1=127.0.0.1:1,1=127.0.0.1:2", 2),
    ] {
        let mut command = cluster.command_at(list, &["accounts", "--token", "x", "--timeout", "1"]);
        let output = command.output().expect("run tercet");
        assert_eq!(
            output.status.code(),
            Some(code),
            "{list:?}: {}",
            said(&output)
        );
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn a_backup_neither_writes_nor_reads() {
    let cluster = Cluster::start(3);
    cluster.person("ann");
    for arguments in [
        &["send", "ann", "hello", "--timeout", "1"][..],
        &["accounts", "--timeout", "1"][..],
    ] {
        let mut command = cluster.command_at(&cluster.list_of(&[2]), arguments);
        let output = command.output().expect("run tercet");
        // It may follow the hint to the leader, which it was told by a replica; it must not be
        // answered by the backup. Which of the two happened the leader's log position tells.
        let text = said(&output);
        assert!(output.status.success() || text.contains("lead"), "{text}");
    }
    cluster.signal(1, Signal::STOP);
    wait_until("replica 2 leads", || cluster.leader() == Some(2));
    let mut command = cluster.command_at(&cluster.list_of(&[3]), &["accounts", "--timeout", "5"]);
    let output = command.output().expect("run tercet");
    let text = said(&output);
    assert!(output.status.success() || text.contains("lead"), "{text}");
    cluster.signal(1, Signal::CONT);
}

#[test]
fn passwords_that_were_checked_leave_no_memory_behind() {
    let cluster = Cluster::start(3);
    cluster.wait_until_whole();
    // 97 people, each with a password to hash and to check, in 19 MiB each time.
    let data = "tests/data/conversations.jsonl.gz";
    cluster.json(&["replay", data, "--limit", "4000", "--json"]);
    let status = format!("/proc/{}/status", cluster.replicas[&1].pid);
    let status = fs::read_to_string(status).expect("read what the kernel says of a replica");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident = resident.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: u64 = resident.expect("a size").parse().expect("a number");
    assert!(kib < 250 * 1024, "replica 1 holds {kib} KiB");
}
