//! Stores that are copied and put back, and processes that claim the id of a replica that lives: neither
//! takes anything from the replicas that serve.

mod cluster;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use cluster::{Cluster, Replica, TERCET, free_ports, wait_until};
use rustix::process::Signal;

/// Who is merely slow, on a busy machine, stays in the view.
const PATIENT: (&str, &str) = ("TERCET_SILENCE_TIMEOUT_MS", "20000");

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("make a directory");
    for entry in fs::read_dir(from).expect("read a directory") {
        let entry = entry.expect("read a directory");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("it has a type").is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("copy a file");
        }
    }
}

fn send(cluster: &Cluster, text: &str) {
    cluster.json(&["send", "ann", text, "--json"]);
}

fn bodies(cluster: &Cluster) -> Vec<String> {
    let history = cluster.lines(&["history", "ann", "--limit", "500", "--json"]);
    let events = history.as_array().expect("events are listed").iter();
    let messages = events.filter(|event| event["event"] == "message");
    let bodies = messages.map(|message| message["body"].as_str());
    bodies
        .map(|body| body.expect("it has a body").to_owned())
        .collect()
}

/// Whether the next start is told that its data directory is the newest copy.
fn accept_copy(cluster: &mut Cluster, id: u64, accepts: bool) {
    const ACCEPT: &str = "--accept-copied-store";
    let replica = cluster.replicas.get_mut(&id).expect("it is there");
    replica.argv.retain(|word| word != ACCEPT);
    if accepts {
        replica.argv.push(ACCEPT.to_owned());
    }
}

/// Moves a data directory to other files, as to another disk.
fn move_data(cluster: &Cluster, id: u64) {
    let data = &cluster.replicas[&id].data;
    let new = cluster.dir.path().join(format!("moved-{id}"));
    copy(data, &new);
    fs::remove_dir_all(data).expect("remove the old place");
    fs::rename(new, data).expect("put it in the old place");
}

fn wait_for_log(cluster: &Cluster, id: u64, text: &str) {
    wait_until(&format!("replica {id} says {text:?}"), || {
        cluster.log(id).contains(text)
    });
}

/// A process beside the cluster, with a log of its own.
struct Beside {
    child: Child,
    log: PathBuf,
}

impl Beside {
    /// Starts what a replica was started with, but for its directory and its own addresses.
    fn start(cluster: &Cluster, like: &Replica, data: &Path, lists: &[(&str, String)]) -> Beside {
        let log = cluster.dir.path().join(format!(
            "beside-{}.log",
            data.file_name().expect("a name").to_string_lossy()
        ));
        let mut argv = like.argv[1..].to_vec();
        let data = data.display().to_string();
        for (flag, value) in [("--data", data)].iter().chain(lists) {
            match argv.iter().position(|word| word == flag) {
                Some(at) => argv[at + 1].clone_from(value),
                None => argv.extend([(*flag).to_owned(), value.clone()]),
            }
        }
        let child = Command::new(TERCET)
            .args(argv)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).expect("make a log"))
            .spawn()
            .expect("start a replica");
        Beside { child, log }
    }

    fn says(&self, texts: &[&str]) -> bool {
        let log = fs::read_to_string(&self.log).expect("read a log");
        texts.iter().any(|text| log.contains(text))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_old_copy_that_leads_again_is_set_aside_and_the_newer_stores_lose_nothing() {
    let mut cluster = Cluster::start_with(&[PATIENT], 3);
    cluster.wait_until_whole();
    cluster.person("ann");
    send(&cluster, "before the copy");
    for id in [3, 2, 1] {
        cluster.signal(id, Signal::TERM);
        cluster.wait_until_gone(id);
    }
    let data = cluster.replicas[&1].data.clone();
    let old = cluster.dir.path().join("old-copy");
    copy(&data, &old);

    for id in [1, 2, 3] {
        cluster.restart(id);
    }
    cluster.wait_until_whole();
    let mut expected = vec!["before the copy".to_owned()];
    for number in 0..30 {
        expected.push(format!("number {number}"));
        send(&cluster, &expected[number + 1]);
    }
    for id in [1, 2, 3] {
        cluster.signal(id, Signal::STOP);
    }
    for id in [1, 2, 3] {
        cluster.kill(id);
    }
    fs::remove_dir_all(&data).expect("remove the newer state");
    copy(&old, &data);

    cluster.restart(1);
    wait_for_log(&cluster, 1, "may be an older copy");
    wait_until("replica 1 waits, and says for what", || {
        let status = cluster.status_of(1);
        let waiting = status["waiting"].as_str();
        waiting.is_some_and(|waiting| waiting.contains("--accept-copied-store"))
    });
    cluster.signal(1, Signal::TERM);
    cluster.wait_until_gone(1);
    // The operator is wrong.
    accept_copy(&mut cluster, 1, true);
    cluster.restart(1);
    accept_copy(&mut cluster, 1, false);
    cluster.wait_for_leader(1);
    send(&cluster, "acknowledged by the old copy alone");
    cluster.restart(2);
    cluster.restart(3);
    wait_for_log(&cluster, 1, "is an older state of itself");
    for id in [2, 3] {
        wait_until(&format!("replica {id} waits for replica 1"), || {
            let status = cluster.status_of(id);
            let waiting = status["waiting"].as_str();
            waiting.is_some_and(|waiting| waiting.contains("waiting for replica 1"))
        });
    }
    cluster.recover("1");
    cluster.wait_until_whole();
    assert_eq!(bodies(&cluster), expected);
    cluster.assert_equal();

    // Both are kept: the old copy, and what it acknowledged.
    let names = fs::read_dir(&data).expect("read the data directory");
    let names = names.map(|entry| entry.expect("read the data directory").file_name());
    let names: Vec<String> = names
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    assert!(
        names.iter().any(|name| name.starts_with("went-back-")),
        "{names:?}"
    );
    let unseen = names.iter().find(|name| name.starts_with("unseen-"));
    let unseen = data.join(unseen.unwrap_or_else(|| panic!("{names:?}")));
    let unseen = fs::read_to_string(unseen).expect("read what only the copy had");
    assert!(
        unseen.contains("acknowledged by the old copy alone"),
        "{unseen}"
    );
}

#[test]
fn an_old_copy_and_a_replica_that_missed_the_rest_are_no_majority() {
    const SETTINGS: &[(&str, &str)] = &[PATIENT, ("TERCET_MODE", "majority")];
    let mut cluster = Cluster::start_with(SETTINGS, 3);
    cluster.wait_until_whole();
    cluster.person("ann");
    send(&cluster, "before the copy");
    let data = cluster.replicas[&1].data.clone();
    let old = cluster.dir.path().join("old-copy");
    for id in [1, 2, 3] {
        cluster.signal(id, Signal::STOP);
    }
    copy(&data, &old);
    cluster.kill(3);
    for id in [1, 2] {
        cluster.signal(id, Signal::CONT);
    }
    let mut expected = vec!["before the copy".to_owned()];
    for number in 0..20 {
        expected.push(format!("number {number}"));
        send(&cluster, &expected[number + 1]);
    }
    for id in [1, 2] {
        cluster.signal(id, Signal::STOP);
    }
    for id in [1, 2] {
        cluster.kill(id);
    }
    fs::remove_dir_all(&data).expect("remove the newer state");
    copy(&old, &data);

    cluster.restart(1);
    cluster.restart(3);
    wait_for_log(&cluster, 1, "may be an older copy");
    wait_until("replica 3 has met the copy, and waits for both", || {
        let status = cluster.status_of(3);
        let waiting = status["waiting"].as_str();
        waiting.is_some_and(|waiting| waiting.contains("waiting for replicas 1 and 2"))
    });
    assert_eq!(cluster.leader(), None);

    // The other one that has it all comes back, and tells the copy what it lacks.
    cluster.restart(2);
    wait_for_log(&cluster, 1, "is an older state of itself");
    cluster.recover("1");
    cluster.wait_until_whole();
    assert_eq!(bodies(&cluster), expected);
    cluster.assert_equal();
}

#[test]
fn a_data_directory_that_was_moved_is_confirmed_by_the_others() {
    let mut cluster = Cluster::start_with(&[PATIENT], 3);
    cluster.wait_until_whole();
    cluster.person("ann");
    cluster.signal(3, Signal::TERM);
    cluster.wait_until_gone(3);
    send(&cluster, "while 3 is down");
    move_data(&cluster, 3);
    cluster.restart(3);
    wait_for_log(
        &cluster,
        3,
        "the other replicas confirm that data directory",
    );
    cluster.wait_until_whole();
    // The next start is an ordinary one.
    cluster.signal(3, Signal::TERM);
    cluster.wait_until_gone(3);
    cluster.restart(3);
    cluster.wait_until_whole();
    assert_eq!(cluster.log(3).matches("may be an older copy").count(), 1);
    assert_eq!(bodies(&cluster), ["while 3 is down"]);
    cluster.assert_equal();
}

#[test]
fn where_all_were_moved_the_operator_says_that_they_are_the_newest() {
    let mut cluster = Cluster::start_with(&[PATIENT], 3);
    cluster.wait_until_whole();
    cluster.person("ann");
    send(&cluster, "before the move");
    for id in [3, 2, 1] {
        cluster.signal(id, Signal::TERM);
        cluster.wait_until_gone(id);
        move_data(&cluster, id);
    }
    for id in [1, 2, 3] {
        cluster.restart(id);
    }
    for id in [1, 2, 3] {
        wait_until(&format!("replica {id} says what to do"), || {
            let status = cluster.status_of(id);
            let waiting = status["waiting"].as_str();
            waiting.is_some_and(|waiting| waiting.contains("--accept-copied-store"))
        });
    }
    assert_eq!(cluster.leader(), None);
    // Replica 1 stopped last. The others are confirmed by it.
    cluster.signal(1, Signal::TERM);
    cluster.wait_until_gone(1);
    accept_copy(&mut cluster, 1, true);
    cluster.restart(1);
    cluster.wait_until_whole();
    assert_eq!(bodies(&cluster), ["before the move"]);
    cluster.assert_equal();
}

#[test]
fn strangers_with_the_ids_of_living_replicas_are_refused_and_harm_nobody() {
    let cluster = Cluster::start_with(&[PATIENT], 3);
    cluster.wait_until_whole();
    cluster.person("ann");
    let third = &cluster.replicas[&3];
    let port = free_ports(4);
    let at = |offset: u16| format!("127.0.0.1:{}", port + offset);
    let lists = [
        (
            "--replicas",
            format!("1={},2={},3={}", at(0), at(1), third.address),
        ),
        (
            "--peers",
            format!("1={},2={},3={}", at(2), at(3), third.peer_address),
        ),
    ];
    let strangers = [1_u64, 2].map(|id| {
        let data = cluster.dir.path().join(format!("stranger-{id}"));
        Beside::start(&cluster, &cluster.replicas[&id], &data, &lists)
    });
    for (number, stranger) in strangers.iter().enumerate() {
        wait_until(&format!("stranger {} is told", number + 1), || {
            send(&cluster, "while strangers knock");
            stranger.says(&["refuses a session"])
        });
    }
    for id in [1, 2] {
        let refused = format!("a session is refused: replica {id} was heard a moment ago");
        wait_until(&format!("replica 3 names stranger {id}"), || {
            cluster.log(3).contains(&refused)
        });
    }
    let sent = bodies(&cluster).len();
    send(&cluster, "after all");
    assert_eq!(bodies(&cluster).len(), sent + 1);
    for id in cluster.ids() {
        assert!(cluster.is_up(id), "replica {id} goes on");
        assert_eq!(
            cluster.status_of(id)["epoch"],
            cluster.status_of(1)["epoch"]
        );
    }
    assert!(cluster.is_whole());
    cluster.assert_equal();
}

#[test]
fn a_copy_that_runs_beside_the_original_is_refused_and_both_logs_say_so() {
    let mut cluster = Cluster::start_with(&[PATIENT], 3);
    cluster.wait_until_whole();
    cluster.person("ann");
    cluster.signal(3, Signal::TERM);
    cluster.wait_until_gone(3);
    let twin = cluster.dir.path().join("twin");
    copy(&cluster.replicas[&3].data, &twin);
    cluster.restart(3);
    cluster.wait_until_whole();
    let port = free_ports(2);
    let own = [
        ("--address", format!("127.0.0.1:{port}")),
        ("--peer-address", format!("127.0.0.1:{}", port + 1)),
    ];
    let twin = Beside::start(&cluster, &cluster.replicas[&3], &twin, &own);
    wait_until("the copy is told", || {
        send(&cluster, "while a copy knocks");
        twin.says(&["refuses a session", "an older state of itself"])
    });
    wait_until("replica 1 names the copy", || {
        let log = cluster.log(1);
        log.contains("a session is refused: replica 3 ")
    });
    send(&cluster, "after all");
    assert!(cluster.is_whole());
    cluster.assert_equal();
}

#[test]
fn stores_whose_wal_was_taken_away_are_refused_and_a_clean_stop_needs_none() {
    const WAL: &str = "tercet.db-wal";
    let mut cluster = Cluster::start_with(&[PATIENT], 3);
    cluster.wait_until_whole();
    cluster.person("ann");
    let expected: Vec<String> = (0..20).map(|number| format!("number {number}")).collect();
    for text in &expected {
        send(&cluster, text);
    }
    for id in [1, 2, 3] {
        cluster.signal(id, Signal::STOP);
    }
    for id in [1, 2, 3] {
        cluster.kill(id);
        let wal = cluster.replicas[&id].data.join(WAL);
        fs::rename(&wal, cluster.dir.path().join(format!("wal-{id}"))).expect("take it away");
    }
    for id in [1, 2, 3] {
        cluster.restart(id);
        assert_eq!(cluster.exit_code(id), Some(1));
        wait_for_log(&cluster, id, "tercet.db-wal is missing or empty");
    }
    for id in [1, 2, 3] {
        let wal = cluster.replicas[&id].data.join(WAL);
        fs::rename(cluster.dir.path().join(format!("wal-{id}")), wal).expect("put it back");
        cluster.restart(id);
    }
    cluster.wait_until_whole();
    assert_eq!(bodies(&cluster), expected);

    for id in [3, 2, 1] {
        cluster.signal(id, Signal::TERM);
        cluster.wait_until_gone(id);
        let wal = cluster.replicas[&id].data.join(WAL);
        assert_eq!(fs::metadata(&wal).map_or(0, |wal| wal.len()), 0);
        let _ = fs::remove_file(wal);
        let _ = fs::remove_file(cluster.replicas[&id].data.join("tercet.db-shm"));
    }
    for id in [1, 2, 3] {
        cluster.restart(id);
    }
    cluster.wait_until_whole();
    assert_eq!(bodies(&cluster), expected);
}
