//! Real conversations as load: `tercet replay` beside a test.

use std::{
    path::Path,
    process::{Child, Command, Output},
};

use serde_json::Value;

use super::{Cluster, last_json, said, wait_until};

/// A part of the real conversations that goes with the project; a longer file can be named.
pub fn conversations() -> String {
    std::env::var("TERCET_TEST_CONVERSATIONS").unwrap_or_else(|_| {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        data.join("conversations.jsonl.gz")
            .to_string_lossy()
            .into_owned()
    })
}

pub fn replay(cluster: &Cluster) -> Child {
    let mut command: Command = cluster.command(&["replay", &conversations(), "--json"]);
    command.spawn().expect("start the replay")
}

/// Highest LSN that the cluster has committed, as far as anybody says.
fn committed(cluster: &Cluster) -> u64 {
    let status = cluster.status();
    let replicas = status["replicas"].as_array().cloned().unwrap_or_default();
    let positions = replicas
        .iter()
        .filter_map(|replica| replica["committed_lsn"].as_u64());
    positions.max().unwrap_or(0)
}

pub fn wait_for_lsn(cluster: &Cluster, lsn: u64) {
    wait_until(&format!("LSN {lsn} is committed"), || {
        committed(cluster) >= lsn
    });
}

/// Waits for the replay, which must come to its end as [`assert_complete`] says.
pub fn assert_completes(replay: Child) -> Value {
    assert_complete(&replay.wait_with_output().expect("wait for the replay"))
}

/// The replay came to its end, and found every message it sent once and in order.
pub fn assert_complete(output: &Output) -> Value {
    assert!(output.status.success(), "{}", said(output));
    let result = last_json(output).expect("a replay ends with one object");
    for wrong in ["missing", "duplicated", "out_of_order"] {
        assert_eq!(result[wrong], 0, "{result}");
    }
    assert_eq!(result["sent"], result["acknowledged"], "{result}");
    assert!(result["sent"].as_u64() > Some(1_000), "{result}");
    result
}
