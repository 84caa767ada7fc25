//! The processor time and memory of replicas that are processes of this machine.

use std::collections::BTreeMap;
use std::time::Duration;

use tercet_client::Replica;
use tokio::task::spawn_blocking;

use super::proc::{self, Memory};

#[derive(Debug, Default)]
struct ReplicaProcess {
    pid: Option<u32>,
    /// The processor time of the process at the last reading.
    last: Duration,
    /// The processor time of all processes of this replica since the counting began.
    used: Duration,
}

#[derive(Debug, Default)]
pub struct ProcessStats {
    replicas: BTreeMap<u32, ReplicaProcess>,
}

/// The processor time and memory of one replica.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    pub id: u32,
    /// The process; without one the other fields are `None`.
    pub pid: Option<u32>,
    pub cpu: Option<Duration>,
    pub memory: Option<Memory>,
}

/// Finds the process of a replica, if it is one of this machine.
pub async fn find(replica: &Replica) -> Option<u32> {
    let address = replica.address.clone();
    spawn_blocking(move || proc::listener(&address))
        .await
        .ok()?
}

impl ProcessStats {
    pub async fn find(replicas: &[Replica]) -> ProcessStats {
        let mut stats = ProcessStats::default();
        for replica in replicas {
            let pid = find(replica).await;
            let process = ReplicaProcess {
                pid,
                ..ReplicaProcess::default()
            };
            stats.replicas.insert(replica.id, process);
        }
        stats
    }

    /// Starts the count at zero.
    pub fn begin(&mut self) {
        self.read();
        for process in self.replicas.values_mut() {
            process.used = Duration::ZERO;
        }
    }

    /// Adds the processor time since the last reading.
    pub fn read(&mut self) {
        for process in self.replicas.values_mut() {
            if let Some(now) = process.pid.and_then(proc::cpu) {
                process.add(now);
            }
        }
    }

    /// Notes the process of a replica, which may be the same as before.
    pub fn runs_as(&mut self, id: u32, pid: Option<u32>) {
        let process = self.replicas.entry(id).or_default();
        if process.pid != pid {
            process.pid = pid;
            process.last = Duration::ZERO;
        }
    }

    pub fn readings(&self) -> Vec<Reading> {
        let reading = |(id, process): (&u32, &ReplicaProcess)| Reading {
            id: *id,
            pid: process.pid,
            cpu: process.pid.map(|_| process.used),
            memory: process.pid.and_then(proc::memory),
        };
        self.replicas.iter().map(reading).collect()
    }
}

impl ReplicaProcess {
    fn add(&mut self, now: Duration) {
        self.used += now.saturating_sub(self.last);
        self.last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_had_used_is_not_lost() {
        let seconds = Duration::from_secs;
        let mut stats = ProcessStats::default();
        stats.runs_as(1, Some(u32::MAX));
        let add =
            |stats: &mut ProcessStats, now| stats.replicas.get_mut(&1).unwrap().add(seconds(now));
        add(&mut stats, 100);
        stats.begin();
        add(&mut stats, 103);
        stats.runs_as(1, Some(u32::MAX));
        add(&mut stats, 104);
        stats.runs_as(1, Some(u32::MAX - 1));
        add(&mut stats, 2);
        assert_eq!(stats.readings()[0].cpu, Some(seconds(6)));
    }

    #[test]
    fn of_a_replica_on_another_machine_nothing_is_known() {
        let mut stats = ProcessStats::default();
        stats.runs_as(1, None);
        stats.read();
        let unknown = Reading {
            id: 1,
            pid: None,
            cpu: None,
            memory: None,
        };
        assert_eq!(stats.readings(), [unknown]);
    }
}
