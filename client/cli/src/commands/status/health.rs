//! The health of a cluster, in the three steps that a monitor tells apart.

use serde::Serialize;
use tercet_client::{Replica, ReplicaView};

use crate::commands::everybody::{Answers, is_member, leader};

/// The health of a cluster, as its replicas answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Health {
    /// A leader serves, and every replica of the cluster answers and is in step.
    Whole,
    /// A leader serves; a replica is missing, not in step, or on a disk that is full or does not answer.
    Degraded,
    /// No leader is found from here.
    #[serde(rename = "unserved")]
    Unavailable,
}

impl Health {
    pub(super) fn of(answers: &Answers<ReplicaView>) -> Health {
        let Some(leader) = leader(answers) else {
            return Health::Unavailable;
        };
        // A replica that is listed but not in the cluster does not count.
        let belongs = |id: u32| {
            let mut replicas = leader.status.replicas.iter();
            leader.status.replicas.is_empty() || replicas.any(|replica| replica.replica_id == id)
        };
        let is_well = |(replica, answer): &(Replica, _)| match answer {
            Ok(ReplicaView { status, .. }) => {
                let disk_is_well = !status.disk_full && status.disk_stalled_seconds == 0;
                is_member(leader, replica.id) && disk_is_well && status.waiting.is_empty()
            }
            Err(_) => false,
        };
        let mut concerned = answers.iter().filter(|(replica, _)| belongs(replica.id));
        if concerned.all(is_well) {
            Health::Whole
        } else {
            Health::Degraded
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_answers::{of_cluster, silent};
    use super::*;

    #[test]
    fn a_monitor_tells_a_whole_cluster_from_a_degraded_one_and_one_without_a_leader() {
        let health = |answers: Vec<_>| Health::of(&answers);
        let two = [1, 2];
        let whole = || vec![of_cluster(1, 1, &two), of_cluster(2, 1, &two)];
        assert_eq!(health(whole()), Health::Whole);
        let mut listed_and_removed = whole();
        listed_and_removed.push(silent(3));
        assert_eq!(health(listed_and_removed), Health::Whole);
        let three = [1, 2, 3];
        let not_a_member = vec![
            of_cluster(1, 1, &three),
            of_cluster(2, 1, &three),
            of_cluster(3, 1, &three),
        ];
        assert_eq!(health(not_a_member), Health::Degraded);
        assert_eq!(
            health(vec![of_cluster(1, 1, &two), silent(2)]),
            Health::Degraded
        );
        let mut full = whole();
        full[1].1.as_mut().expect("it answers").status.disk_full = true;
        assert_eq!(health(full), Health::Degraded);
        let mut stalled = whole();
        stalled[1]
            .1
            .as_mut()
            .expect("it answers")
            .status
            .disk_stalled_seconds = 6;
        assert_eq!(health(stalled), Health::Degraded);
        assert_eq!(
            health(vec![of_cluster(2, 0, &two), silent(1)]),
            Health::Unavailable
        );
        assert_eq!(health(vec![silent(1), silent(2)]), Health::Unavailable);
    }
}
