//! The summary of a cluster that `cluster status` prints: its fields are those of the JSON
//! (`docs/json-cluster.md`), and `text` makes lines for people of them.

use serde::{Serialize, Serializer};
use tercet_client::{Replica, ReplicaView, Role};

use super::health::Health;
use crate::commands::everybody::{Answers, epoch, is_member, leader, no_answer, reached};

/// The state of a cluster, as far as its replicas answer.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    pub(super) health: Health,
    /// The leader, if it answers.
    pub(super) leader: Option<u32>,
    /// The leader that the answering replicas name.
    pub(super) known_leader: Option<u32>,
    pub(super) epoch: u64,
    /// This and the times are the leader's, or those of the most advanced replica; `None` when none answers.
    pub(super) mode: Option<String>,
    pub(super) time_ms: Option<i64>,
    pub(super) time_agreed: Option<bool>,
    pub(super) stamps_ahead_ms: Option<i64>,
    pub(super) retention_ms: Option<i64>,
    pub(super) replicas: Vec<ReplicaSummary>,
}

/// The state of one replica. Of a replica that does not answer most fields are `None`.
#[derive(Debug, Default, Serialize)]
pub(super) struct ReplicaSummary {
    pub(super) id: u32,
    pub(super) address: String,
    pub(super) reachable: bool,
    #[serde(serialize_with = "role_as_name")]
    pub(super) role: Option<Role>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) serves: Option<bool>,
    /// The leader's view counts; without a leader, the replica's own.
    pub(super) member: Option<bool>,
    pub(super) last_lsn: Option<u64>,
    pub(super) committed_lsn: Option<u64>,
    pub(super) applied_lsn: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) log_start_lsn: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) log_bytes: Option<u64>,
    pub(super) clock_offset_ms: Option<i64>,
    pub(super) clock_error_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) snapshot: Option<SnapshotSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) waiting: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) disk_stalled_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) slow_disk_ms: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) disk_full: bool,
}

/// The part of a snapshot that a replica has fetched.
#[derive(Debug, Serialize)]
pub(super) struct SnapshotSummary {
    pub(super) received_bytes: u64,
    pub(super) total_bytes: u64,
}

impl Summary {
    pub(super) fn of(answers: &Answers<ReplicaView>) -> Summary {
        let leader = leader(answers);
        let best = leader.or_else(|| reached(answers).max_by_key(|view| epoch(view)));
        let replicas = answers.iter().map(|(replica, answer)| {
            let of_one = match answer {
                Ok(view) => ReplicaSummary::of(replica, view, leader),
                Err(error) => ReplicaSummary {
                    id: replica.id,
                    address: replica.address.clone(),
                    member: leader.map(|leader| is_member(leader, replica.id)),
                    error: Some(no_answer(error)),
                    ..ReplicaSummary::default()
                },
            };
            of_one.with_clock(best)
        });
        let leader_id = leader.map(|leader| leader.status.replica_id);
        Summary {
            health: Health::of(answers),
            leader: leader_id,
            known_leader: leader_id.or_else(|| named_leader(answers)),
            epoch: best.map_or(0, epoch),
            mode: best.map(|view| view.status.mode.clone()),
            time_ms: best.map(|view| view.status.time_ms),
            time_agreed: best.map(|view| view.status.time_agreed),
            stamps_ahead_ms: best.map(|view| view.status.stamps_ahead_ms),
            retention_ms: best.map(|view| view.status.retention_ms),
            replicas: replicas.collect(),
        }
    }
}

impl ReplicaSummary {
    fn of(replica: &Replica, view: &ReplicaView, leader: Option<&ReplicaView>) -> ReplicaSummary {
        let status = &view.status;
        let of_leader = leader.map_or(&[][..], |leader| &leader.status.replicas);
        let of_leader = of_leader
            .iter()
            .find(|other| other.replica_id == status.replica_id);
        let positive = |number: u64| (number > 0).then_some(number);
        ReplicaSummary {
            id: replica.id,
            address: replica.address.clone(),
            reachable: true,
            role: Some(status.role),
            serves: Some(view.is_master),
            member: Some(is_member(leader.unwrap_or(view), status.replica_id)),
            last_lsn: Some(status.last_lsn),
            committed_lsn: Some(status.committed_lsn),
            applied_lsn: Some(status.applied_lsn),
            log_start_lsn: Some(status.log_start_lsn),
            log_bytes: Some(status.log_bytes),
            snapshot: (status.snapshot_total_bytes > 0).then_some(SnapshotSummary {
                received_bytes: status.snapshot_received_bytes,
                total_bytes: status.snapshot_total_bytes,
            }),
            waiting: Some(status.waiting.clone()).filter(|waiting| !waiting.is_empty()),
            disk_stalled_seconds: positive(status.disk_stalled_seconds),
            slow_disk_ms: of_leader.and_then(|other| positive(other.slow_disk_ms)),
            disk_full: status.disk_full,
            ..ReplicaSummary::default()
        }
    }

    /// Adds the offset of the replica's clock, as the replica `asked` measured it.
    fn with_clock(mut self, asked: Option<&ReplicaView>) -> ReplicaSummary {
        let mut measured = asked.into_iter().flat_map(|view| &view.status.replicas);
        if let Some(measured) = measured.find(|measured| measured.replica_id == self.id) {
            self.clock_offset_ms = measured.clock_offset_ms;
            self.clock_error_ms = measured.clock_error_ms;
        }
        self
    }
}

/// Gives the leader that the most advanced of the other replicas names.
fn named_leader(answers: &Answers<ReplicaView>) -> Option<u32> {
    let naming = reached(answers).filter(|view| {
        let named = view.status.leader_id;
        named > 0 && named != view.status.replica_id
    });
    let newest = naming.max_by_key(|view| epoch(view))?;
    Some(newest.status.leader_id)
}

pub(super) fn role_name(role: Role) -> &'static str {
    match role {
        Role::Leader => "leader",
        Role::Backup => "backup",
        Role::Learner => "learner",
        Role::Candidate => "candidate",
        Role::Waiting => "waiting",
        Role::Unknown => "unknown",
    }
}

fn role_as_name<S: Serializer>(role: &Option<Role>, serializer: S) -> Result<S::Ok, S::Error> {
    role.map(role_name).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::super::test_answers::{of_cluster, silent, view};
    use super::*;
    use crate::output::json_line;

    #[test]
    fn the_leader_of_the_highest_epoch_counts() {
        let summary = Summary::of(&vec![view(1, true, 3), view(2, true, 4), silent(3)]);
        assert_eq!(summary.leader, Some(2));
        assert_eq!(summary.epoch, 4);
        assert_eq!(summary.mode.as_deref(), Some("available"));
        assert_eq!(summary.replicas[0].member, Some(true));
        assert!(!summary.replicas[2].reachable);
        assert_eq!(summary.replicas[2].last_lsn, None);
    }

    #[test]
    fn without_a_leader_the_rest_is_told_all_the_same() {
        let summary = Summary::of(&vec![view(1, false, 3), silent(2)]);
        assert_eq!(summary.leader, None);
        assert_eq!(summary.epoch, 3);
        assert_eq!(summary.replicas[0].role, Some(Role::Backup));
    }

    #[test]
    fn the_json_has_the_documented_fields() {
        let mut answers = vec![of_cluster(1, 1, &[1, 2]), silent(2)];
        let status = &mut answers[0].1.as_mut().expect("it answers").status;
        status.snapshot_received_bytes = 1;
        status.snapshot_total_bytes = 2;
        status.waiting = "waiting for replica 2".to_owned();
        status.disk_stalled_seconds = 6;
        status.disk_full = true;
        status.replicas[0].slow_disk_ms = 1_500;
        status.replicas[0].clock_offset_ms = Some(-3);
        status.replicas[0].clock_error_ms = Some(1);
        let expected = [
            r#"{"epoch":3,"health":"degraded","known_leader":1,"leader":1,"mode":"available","replicas":["#,
            r#"{"address":"host:1","applied_lsn":0,"clock_error_ms":1,"clock_offset_ms":-3,"#,
            r#""committed_lsn":0,"disk_full":true,"disk_stalled_seconds":6,"id":1,"last_lsn":5,"#,
            r#""log_bytes":0,"log_start_lsn":0,"member":true,"reachable":true,"role":"leader","#,
            r#""serves":true,"slow_disk_ms":1500,"snapshot":{"received_bytes":1,"total_bytes":2},"#,
            r#""waiting":"waiting for replica 2"},"#,
            r#"{"address":"host:2","applied_lsn":null,"clock_error_ms":null,"clock_offset_ms":null,"#,
            r#""committed_lsn":null,"error":"no answer in time (gone)","id":2,"last_lsn":null,"member":true,"#,
            r#""reachable":false,"role":null}],"#,
            r#""retention_ms":0,"stamps_ahead_ms":0,"time_agreed":false,"time_ms":0}"#,
        ];
        assert_eq!(json_line(&Summary::of(&answers)), expected.concat());
    }
}
