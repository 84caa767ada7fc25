//! The summary of a cluster for people: who leads, a table of the replicas, and remarks.

use tercet_client::Role;

use super::clocks;
use super::summary::{ReplicaSummary, Summary, role_name};
use crate::spans;
use crate::table::table;

const HEAD: [&str; 9] = [
    "id",
    "address",
    "role",
    "member",
    "last",
    "committed",
    "applied",
    "log",
    "clock",
];

impl Summary {
    /// Gives the lines that `cluster status` prints.
    pub(super) fn text(&self) -> String {
        let mode = self.mode.as_deref().unwrap_or("unknown");
        let mut lines = vec![format!(
            "{}, epoch {}, mode {mode}",
            self.leading(),
            self.epoch
        )];
        lines.extend(table(HEAD, self.replicas.iter().map(ReplicaSummary::row)));
        for replica in &self.replicas {
            let remarks = replica.remarks().into_iter();
            let remarks = remarks.chain(clocks::remark(self, replica));
            lines.extend(remarks.map(|remark| format!("replica {}: {remark}", replica.id)));
        }
        lines.extend(clocks::stamps_ahead(self));
        if let Some(ms @ 1..) = self.retention_ms {
            lines.push(format!("messages are kept for {}", spans::text(ms)));
        }
        lines.join("\n")
    }

    /// Says which replica leads.
    fn leading(&self) -> String {
        let find = |wanted: &dyn Fn(&ReplicaSummary) -> bool| {
            let mut replicas = self.replicas.iter();
            replicas.find(|replica| wanted(replica))
        };
        match (self.leader, self.known_leader) {
            (Some(id), _) => format!("replica {id} leads"),
            (None, Some(id))
                if find(&|replica| replica.id == id && replica.reachable).is_some() =>
            {
                format!("replica {id} is named as the leader, and does not serve now")
            }
            (None, Some(id)) => {
                format!("replica {id} leads, as the others say, and is out of reach from here")
            }
            // A leader that does not serve is cut off from the others, or amid a takeover.
            (None, None) => match find(&|replica| replica.role == Some(Role::Leader)) {
                Some(own) => format!(
                    "nobody serves: replica {} leads by its own account, and hears too few of the others \
                     or is taking over",
                    own.id
                ),
                None if self.mode.is_none() => {
                    "no replica answers, so it is not known who leads".to_owned()
                }
                None => "no replica that answers knows a leader".to_owned(),
            },
        }
    }
}

impl ReplicaSummary {
    fn row(&self) -> [String; HEAD.len()] {
        let lsn = |lsn: Option<u64>| lsn.map_or_else(none, |lsn| lsn.to_string());
        let role = match self.role {
            Some(Role::Leader) if self.serves == Some(false) => "leader, not serving",
            Some(role) => role_name(role),
            None => "unreachable",
        };
        let member = match self.member {
            Some(true) => "yes",
            Some(false) => "no",
            None => "-",
        };
        [
            self.id.to_string(),
            self.address.clone(),
            role.to_owned(),
            member.to_owned(),
            lsn(self.last_lsn),
            lsn(self.committed_lsn),
            lsn(self.applied_lsn),
            self.log_bytes.map_or_else(none, megabytes),
            self.clock_offset_ms.map_or_else(none, clocks::cell),
        ]
    }

    /// Gives what the table does not show of this replica.
    fn remarks(&self) -> Vec<String> {
        let snapshot = self.snapshot.as_ref().map(|snapshot| {
            let [received, total] = [snapshot.received_bytes, snapshot.total_bytes].map(megabytes);
            format!("gets a snapshot, {received} of {total}")
        });
        let stalled = self
            .disk_stalled_seconds
            .map(|seconds| format!("its disk has not answered for {seconds} s"));
        let slow = self.slow_disk_ms.map(|ms| {
            format!(
                "its disk is slow, a write took {}.{} s: it is kept out of the view until the disk is fast",
                ms / 1_000,
                ms % 1_000 / 100
            )
        });
        let full = self.disk_full.then(|| "its disk is full".to_owned());
        let waiting = self.waiting.clone();
        let remarks = [snapshot, waiting, self.error.clone(), stalled, slow, full];
        remarks.into_iter().flatten().collect()
    }
}

fn none() -> String {
    "-".to_owned()
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use tercet_client::{Error, Replica, ReplicaView};

    use super::super::test_answers::{of_cluster, silent, view};
    use super::*;

    /// Takes its lease from a replica.
    fn cut_off(
        (replica, view): (Replica, Result<ReplicaView, Error>),
    ) -> (Replica, Result<ReplicaView, Error>) {
        let view = view.map(|view| ReplicaView {
            is_master: false,
            ..view
        });
        (replica, view)
    }

    #[test]
    fn a_leader_out_of_reach_is_told_from_none() {
        let told = |answers: Vec<_>| Summary::of(&answers).leading();
        let two = [1, 2];
        for (answers, text) in [
            (
                vec![of_cluster(1, 1, &two), of_cluster(2, 1, &two)],
                "replica 1 leads",
            ),
            (
                vec![silent(1), of_cluster(2, 1, &two)],
                "replica 1 leads, as the others say, and is out of reach from here",
            ),
            (
                vec![view(1, false, 3), of_cluster(2, 1, &two)],
                "replica 1 is named as the leader, and does not serve now",
            ),
            (
                vec![silent(1), of_cluster(2, 0, &two)],
                "no replica that answers knows a leader",
            ),
            (
                vec![cut_off(of_cluster(1, 1, &two)), silent(2)],
                "nobody serves: replica 1 leads by its own account, and hears too few of the others or \
                 is taking over",
            ),
            (
                vec![silent(1), silent(2)],
                "no replica answers, so it is not known who leads",
            ),
        ] {
            assert_eq!(told(answers), text);
        }
    }

    #[test]
    fn a_table_is_followed_by_remarks() {
        let mut answers = vec![of_cluster(1, 1, &[1, 2]), silent(2)];
        let status = &mut answers[0].1.as_mut().expect("it answers").status;
        status.snapshot_received_bytes = 1_000_000;
        status.snapshot_total_bytes = 2_000_000;
        status.disk_full = true;
        status.replicas[0].clock_offset_ms = Some(-3);
        status.replicas[0].slow_disk_ms = 1_520;
        assert_eq!(
            Summary::of(&answers).text().lines().collect::<Vec<_>>(),
            [
                "replica 1 leads, epoch 3, mode available",
                "id  address  role         member  last  committed  applied  log     clock",
                "1   host:1   leader       yes     5     0          0        0.0 MB  -3 ms",
                "2   host:2   unreachable  yes     -     -          -        -       -",
                "replica 1: gets a snapshot, 1.0 MB of 2.0 MB",
                "replica 1: its disk is slow, a write took 1.5 s: it is kept out of the view until the disk is fast",
                "replica 1: its disk is full",
                "replica 2: no answer in time (gone)",
            ]
        );
    }
}
