//! A leader that is paused, replaced and continued acknowledges nothing and answers no stale read.

mod cluster;

use std::process::Child;

use cluster::{Cluster, all_json, said, wait_until};
use rustix::process::Signal;

/// Calls that only ask replica 1, which is paused: they lie in its queues until it wakes.
fn calls_at_the_old_leader(cluster: &Cluster) -> Vec<(&'static str, Child)> {
    let only_one = cluster.list_of(&[1]);
    let commands: [(&str, &[&str]); 2] = [
        (
            "write",
            &[
                "send",
                "ann",
                "to the old leader",
                "--json",
                "--timeout",
                "60",
            ],
        ),
        ("read", &["history", "ann", "--json", "--timeout", "60"]),
    ];
    let spawn = |(kind, arguments): (&'static str, &[&str])| {
        let mut command = cluster.command_at(&only_one, arguments);
        (kind, command.spawn().expect("run tercet"))
    };
    commands.into_iter().cycle().take(8).map(spawn).collect()
}

#[test]
fn paused_leader_is_replaced_and_serves_nothing_stale_when_it_wakes() {
    let cluster = Cluster::start(3);
    cluster.person("ann");
    cluster.json(&["send", "ann", "before the pause", "--json"]);
    cluster.signal(1, Signal::STOP);
    wait_until("replica 2 leads", || cluster.leader() == Some(2));
    let calls = calls_at_the_old_leader(&cluster);
    cluster.json(&["send", "ann", "during the pause", "--json"]);
    cluster.signal(1, Signal::CONT);
    // What lay in the old leader's queues either fails, or is answered later, when the lead was
    // handed back: then with everything that was acknowledged meanwhile.
    for (kind, call) in calls {
        let output = call.wait_with_output().expect("wait for a call");
        if output.status.success() {
            let answer = all_json(&output).to_string();
            let current = kind == "write" || answer.contains("during the pause");
            assert!(current, "a stale {kind} succeeded: {}", said(&output));
        }
    }
    cluster.wait_until_whole();
    let history = cluster.lines(&["history", "ann", "--json"]).to_string();
    let position = |text: &str| history.find(text);
    assert!(position("before the pause") < position("during the pause"));
    if let Some(written) = position("to the old leader") {
        assert!(
            Some(written) > position("during the pause"),
            "it was written after the lead came back"
        );
    }
    assert!(
        cluster.log(1).contains("role=Learner"),
        "the old leader stepped down"
    );
    cluster.assert_equal();
}

#[test]
fn paused_backup_leaves_the_view_and_comes_back() {
    let cluster = Cluster::start(3);
    cluster.person("ann");
    cluster.signal(3, Signal::STOP);
    wait_until("replica 3 is out of the view", || {
        cluster.json(&["send", "ann", "without replica 3", "--json"]);
        cluster.status_of(3)["member"] == false
    });
    cluster.signal(3, Signal::CONT);
    cluster.wait_until_whole();
    cluster.assert_equal();
}
