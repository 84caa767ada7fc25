//! `tercet bench` on three real replicas: what it counts is what they store, and its drill leaves
//! them whole. No speeds.

mod cluster;

use std::{
    fs,
    path::{Path, PathBuf},
};

use cluster::{Cluster, last_json, load::wait_for_lsn, said};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Ends replicas that were started by a bench, whatever becomes of the test.
struct Reaper(PathBuf);

impl Drop for Reaper {
    fn drop(&mut self) {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        for entry in entries {
            let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let is_ours = String::from_utf8_lossy(&command).contains(&*self.0.to_string_lossy());
            let pid = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok());
            if let Some(pid) = pid.and_then(Pid::from_raw)
                && is_ours
            {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

fn start() -> (Reaper, Cluster) {
    let cluster = Cluster::start(3);
    (Reaper(cluster.dir.path().to_owned()), cluster)
}

/// Runs a workload with few accounts; nothing may fail.
fn bench(cluster: &Cluster, workload: &str, more: &[&str]) -> Value {
    let few = [
        "bench",
        workload,
        "--json",
        "--accounts",
        "4",
        "--in-flight",
        "8",
    ];
    let report = cluster.json(&[&few, more].concat());
    assert_eq!(report["workload"], workload);
    assert_eq!(report["failed"], 0, "{report}");
    assert!(report["operations"].as_u64() > Some(0), "{report}");
    let kinds = report["kinds"].as_object().expect("kinds of operations");
    let succeeded = kinds
        .iter()
        .filter(|(kind, _)| *kind != "delivery")
        .map(|(_, of)| of["succeeded"].as_u64().expect("a count"));
    assert_eq!(report["operations"].as_u64(), Some(succeeded.sum()));
    report
}

fn number(report: &Value, name: &str) -> u64 {
    report[name]
        .as_u64()
        .unwrap_or_else(|| panic!("no {name} in {report}"))
}

/// Messages in the state of replica 1.
fn stored(cluster: &Cluster) -> u64 {
    let file = cluster.replicas[&1].data.join("tercet.db");
    let store = rusqlite::Connection::open(Path::new(&file)).expect("open the store");
    let count = store.query_row("SELECT count(*) FROM messages", [], |row| row.get(0));
    count.expect("count messages")
}

#[test]
fn each_workload_counts_what_the_cluster_stores() {
    let (_reaper, cluster) = start();
    let short = ["--duration", "1", "--warm-up", "0.2"];
    let sent = bench(&cluster, "send", &short);
    let mut expected = number(&sent, "stored");
    assert!(expected >= number(&sent, "operations"));
    assert_eq!(stored(&cluster), expected);
    for replica in sent["replicas"].as_array().expect("replicas") {
        let started = &cluster.replicas[&number(replica, "id")];
        assert_eq!(replica["pid"], started.pid);
        assert!(number(replica, "rss_kib") <= number(replica, "peak_rss_kib"));
    }
    assert!(sent["own_cpu_seconds_per_1000"].is_number());

    let paced = bench(&cluster, "send", &[&short[..], &["--rate", "50"]].concat());
    let due = number(&paced, "operations") + number(&paced, "behind");
    assert!((49..=51).contains(&due), "50 were due: {paced}");
    expected += number(&paced, "stored");

    let unary = bench(
        &cluster,
        "send",
        &[&short[..], &["--via", "unary"]].concat(),
    );
    expected += number(&unary, "stored");

    let batch = bench(&cluster, "batch", &[&short[..], &["--batch", "7"]].concat());
    assert_eq!(number(&batch, "operations") % 7, 0, "{batch}");
    expected += number(&batch, "stored");

    let sends = ["--send-rate", "50", "--messages", "50"];
    let history = bench(&cluster, "history", &[&short[..], &sends].concat());
    assert!(history["kinds"]["page"]["succeeded"].as_u64() > Some(0));
    assert!(history["kinds"]["send"]["succeeded"].as_u64() > Some(0));
    expected += number(&history, "stored");

    let mixed = bench(&cluster, "mixed", &short);
    expected += number(&mixed, "stored");

    let load = ["--subscribers", "8", "--send-rate", "100"];
    let subscribe = bench(&cluster, "subscribe", &[&short[..], &load].concat());
    let deliveries = &subscribe["deliveries"];
    assert_eq!(deliveries["missing"], 0, "{subscribe}");
    assert_eq!(deliveries["twice"], 0, "{subscribe}");
    assert_eq!(deliveries["arrived"], subscribe["stored"], "{subscribe}");
    assert!(subscribe["kinds"]["delivery"]["succeeded"].as_u64() > Some(0));
    expected += number(&subscribe, "stored");

    assert_eq!(stored(&cluster), expected);

    let load = ["--clients", "5", "--rate", "30", "--pulls", "20"];
    let score = bench(&cluster, "score", &[&short[..], &load].concat());
    let deliveries = &score["deliveries"];
    assert_eq!(deliveries["missing"], 0, "{score}");
    assert_eq!(deliveries["twice"], 0, "{score}");
    for kind in ["update", "pull", "delivery"] {
        assert!(
            score["kinds"][kind]["succeeded"].as_u64() > Some(0),
            "{kind}: {score}"
        );
    }
    // A second run goes on from the score of the first.
    bench(&cluster, "score", &[&short[..], &load].concat());
    cluster.assert_equal();
}

#[test]
fn the_drill_kills_leaders_and_leaves_the_cluster_whole() {
    let (_reaper, cluster) = start();
    // The two kills end it, not the time.
    let twice = [
        "--kill-leader-every",
        "2",
        "--kills",
        "2",
        "--duration",
        "300",
    ];
    let report = bench(
        &cluster,
        "send",
        &[&twice[..], &["--warm-up", "0"]].concat(),
    );
    let drill = &report["drill"];
    let kills = drill["kills"].as_array().expect("kills");
    assert_eq!(kills.len(), 2, "{report}");
    for kill in kills {
        assert_eq!(kill["leader"], 1);
        assert_eq!(kill["successor"], 2);
        assert!(kill["gap_ms"].as_f64() > Some(0.0));
        assert!(kill["gap_ms"].as_f64() <= drill["worst_gap_ms"].as_f64());
    }
    assert!(number(&report, "failovers") >= 2, "{report}");
    cluster.wait_until_whole();
    assert_eq!(stored(&cluster), number(&report, "stored"));
    cluster.assert_equal();
    // What runs now is not what was started.
    let first = &report["replicas"][0];
    assert_ne!(first["pid"], cluster.replicas[&1].pid);
}

#[test]
fn commands_kill_and_restart_where_the_replicas_are_elsewhere() {
    let (_reaper, cluster) = start();
    let replica = &cluster.replicas[&1];
    let kill = format!("test $TERCET_LEADER_ID = 1 && kill -9 {}", replica.pid);
    let argv: Vec<String> = replica
        .argv
        .iter()
        .map(|word| format!("'{word}'"))
        .collect();
    let again = format!(
        "test $TERCET_LEADER_ADDRESS = {} && {} >{} 2>&1 &",
        replica.address,
        argv.join(" "),
        cluster.by_hand_log(1).display()
    );
    let drill = [
        "--kill-leader-every",
        "1",
        "--kills",
        "1",
        "--duration",
        "300",
    ];
    let commands = ["--kill-command", &kill, "--restart-command", &again];
    let report = bench(&cluster, "send", &[&drill[..], &commands].concat());
    assert_eq!(report["drill"]["kills"][0]["successor"], 2, "{report}");
    assert!(cluster.is_whole());
    // The second time there is no such process.
    let output = cluster.run(&[&["bench", "send", "--json"], &drill[..], &commands].concat());
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let report = last_json(&output).expect("a report all the same");
    let error = report["drill"]["error"].as_str().unwrap_or_default();
    assert!(error.contains("kill -9"), "{report}");
    assert!(number(&report, "operations") > 0);
}

#[test]
fn without_a_cluster_operations_fail_and_it_says_so() {
    let (_reaper, mut cluster) = start();
    let words = [
        "bench",
        "send",
        "--json",
        "--accounts",
        "4",
        "--in-flight",
        "8",
    ];
    let times = ["--warm-up", "0", "--duration", "60", "--timeout", "10"];
    let running = cluster.command(&[&words[..], &times].concat()).spawn();
    let running = running.expect("start the bench");
    wait_for_lsn(&cluster, 30);
    for id in [1, 2, 3] {
        cluster.kill(id);
    }
    // Ctrl-C ends it early, with a report.
    kill_process(Pid::from_child(&running), Signal::INT).expect("signal the bench");
    let output = running.wait_with_output().expect("wait for the bench");
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let report = last_json(&output).expect("a report");
    assert!(number(&report, "failed") > 0, "{report}");
    let errors = report["errors"].as_object().expect("errors by reason");
    let counted = errors.values().filter_map(Value::as_u64).sum::<u64>();
    assert_eq!(counted, number(&report, "failed"), "{report}");
}
