//! The plan of a recovery: the logs of the replicas that answer, and the entries that may be lost.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use serde_json::{Value, json};
use tercet_client::{Error, RecoveryReport, Replica, ReplicaStore};
use tercet_proto::words::replicas;

use crate::commands::everybody::no_answer;
use crate::numbers::grouped;

/// A recovery that is not carried out yet: the replicas' answers.
pub(super) struct Plan {
    pub(super) dead: BTreeSet<u32>,
    pub(super) reports: Vec<(Replica, RecoveryReport)>,
    pub(super) silent: Vec<(Replica, Error)>,
}

impl Plan {
    /// Gives the report with the best log: the epoch of the last entry counts first, then its LSN, then the lower id.
    fn best(&self) -> &RecoveryReport {
        let reports = self.reports.iter().map(|(_, report)| report);
        let rank = |report: &&RecoveryReport| {
            let id = Reverse(report.replica_id);
            (report.last_epoch, report.last_lsn, id)
        };
        let best = reports.max_by_key(rank);
        best.expect("a plan has a report")
    }

    /// Gives the stores that the next leader must declare dead.
    pub(super) fn stores(&self) -> &[ReplicaStore] {
        &self.best().stores
    }

    /// Gives the replicas that the cluster waits for besides the dead.
    fn others(&self) -> BTreeSet<u32> {
        let waiting_for: BTreeSet<u32> = self.best().waiting_for.iter().copied().collect();
        waiting_for.difference(&self.dead).copied().collect()
    }

    pub(super) fn json(&self) -> Value {
        let best = self.best();
        let reports = self.reports.iter().map(|(replica, report)| {
            json!({
                "id": report.replica_id,
                "address": replica.address,
                "last_lsn": report.last_lsn,
                "committed_lsn": report.committed_lsn,
                "members": report.members,
                "waiting_for": report.waiting_for,
                "waiting": report.waiting,
            })
        });
        json!({
            "declare_dead": self.dead,
            "replicas": reports.collect::<Vec<_>>(),
            "silent": self.silent.iter().map(|(replica, _)| replica.id).collect::<Vec<_>>(),
            "best": best.replica_id,
            "may_be_missing_from_lsn": best.may_be_missing_from_lsn,
            "still_waits_for": self.others(),
        })
    }

    pub(super) fn text(&self) -> String {
        let best = self.best();
        let mut text = Vec::new();
        for (replica, report) in &self.reports {
            let id = report.replica_id;
            let last = grouped(report.last_lsn);
            let waiting = match report.waiting.as_str() {
                "" => "it waits for nobody",
                waiting => waiting,
            };
            text.push(format!(
                "replica {id} at {}: last LSN {last}; {waiting}",
                replica.address
            ));
        }
        let silent = self.silent.iter();
        text.extend(
            silent.map(|(replica, error)| format!("replica {}: {}", replica.id, no_answer(error))),
        );
        text.push(format!(
            "The cluster goes on from the log of replica {}: messages from LSN {} on that only {} \
             acknowledged may be missing.",
            best.replica_id,
            grouped(best.may_be_missing_from_lsn),
            replicas(&self.dead)
        ));
        let others = self.others();
        if !others.is_empty() {
            text.push(format!("It still waits for {} then.", replicas(&others)));
        }
        text.push(
            "A store that was declared dead never comes back. If its replica does, the store is set \
             aside, and what only it has is put beside it in a file that can be read."
                .to_owned(),
        );
        text.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(id: u32, last_epoch: u64, last_lsn: u64) -> (Replica, RecoveryReport) {
        let replica = Replica {
            id,
            address: format!("host:{id}"),
        };
        let report = RecoveryReport {
            replica_id: id,
            last_lsn,
            last_epoch,
            may_be_missing_from_lsn: last_lsn + 1,
            waiting_for: vec![1],
            waiting: "waiting for replica 1: it may hold newer messages".to_owned(),
            ..RecoveryReport::default()
        };
        (replica, report)
    }

    #[test]
    fn the_newer_epoch_ranks_before_the_longer_log() {
        let mut plan = Plan {
            dead: [1].into(),
            reports: vec![report(2, 7, 4_711), report(3, 6, 9_999)],
            silent: Vec::new(),
        };
        let text = plan.text();
        let missing = "messages from LSN 4,712 on that only replica 1 acknowledged may be missing";
        assert!(text.contains(missing), "{text}");
        assert!(
            text.contains("host:3: last LSN 9,999; waiting for replica 1"),
            "{text}"
        );
        assert!(!text.contains("still waits"), "{text}");
        assert_eq!(plan.json()["best"], 2);
        plan.reports.push(report(4, 7, 4_711));
        assert_eq!(plan.json()["best"], 2, "the lowest of equals");
        plan.reports[0].1.waiting_for = vec![1, 4, 5];
        let text = plan.text();
        assert!(
            text.contains("It still waits for replicas 4 and 5 then."),
            "{text}"
        );
    }
}
