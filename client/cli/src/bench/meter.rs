//! What the replicas have used of this machine during a run, where they are processes of it.

use std::collections::BTreeMap;
use std::time::Duration;

use tercet_client::Replica;
use tokio::task::spawn_blocking;

use super::proc::{self, Memory};

#[derive(Debug, Default)]
struct Metered {
    pid: Option<u32>,
    /// What that process had used when it was last read.
    last: Duration,
    /// What this replica's processes have used since the meter began.
    used: Duration,
}

#[derive(Debug, Default)]
pub struct Meter {
    replicas: BTreeMap<u32, Metered>,
}

/// What is known of one replica.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    pub id: u32,
    /// The rest is not known without one.
    pub pid: Option<u32>,
    pub cpu: Option<Duration>,
    pub memory: Option<Memory>,
}

/// The process of a replica, if it is one of this machine.
pub async fn find(replica: &Replica) -> Option<u32> {
    let address = replica.address.clone();
    spawn_blocking(move || proc::listener(&address))
        .await
        .ok()?
}

impl Meter {
    pub async fn find(replicas: &[Replica]) -> Meter {
        let mut meter = Meter::default();
        for replica in replicas {
            let pid = find(replica).await;
            let metered = Metered {
                pid,
                ..Metered::default()
            };
            meter.replicas.insert(replica.id, metered);
        }
        meter
    }

    /// Counts from here on.
    pub fn begin(&mut self) {
        self.read();
        for metered in self.replicas.values_mut() {
            metered.used = Duration::ZERO;
        }
    }

    /// Adds what was used since the last reading.
    pub fn read(&mut self) {
        for metered in self.replicas.values_mut() {
            if let Some(now) = metered.pid.and_then(proc::cpu) {
                metered.add(now);
            }
        }
    }

    /// A replica runs as another process now, or as the same.
    pub fn runs_as(&mut self, id: u32, pid: Option<u32>) {
        let metered = self.replicas.entry(id).or_default();
        if metered.pid != pid {
            metered.pid = pid;
            metered.last = Duration::ZERO;
        }
    }

    pub fn readings(&self) -> Vec<Reading> {
        let reading = |(id, metered): (&u32, &Metered)| Reading {
            id: *id,
            pid: metered.pid,
            cpu: metered.pid.map(|_| metered.used),
            memory: metered.pid.and_then(proc::memory),
        };
        self.replicas.iter().map(reading).collect()
    }
}

impl Metered {
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
        let mut meter = Meter::default();
        meter.runs_as(1, Some(u32::MAX));
        let add = |meter: &mut Meter, now| meter.replicas.get_mut(&1).unwrap().add(seconds(now));
        add(&mut meter, 100);
        meter.begin();
        add(&mut meter, 103);
        meter.runs_as(1, Some(u32::MAX));
        add(&mut meter, 104);
        meter.runs_as(1, Some(u32::MAX - 1));
        add(&mut meter, 2);
        assert_eq!(meter.readings()[0].cpu, Some(seconds(6)));
    }

    #[test]
    fn of_a_replica_on_another_machine_nothing_is_known() {
        let mut meter = Meter::default();
        meter.runs_as(1, None);
        meter.read();
        let unknown = Reading {
            id: 1,
            pid: None,
            cpu: None,
            memory: None,
        };
        assert_eq!(meter.readings(), [unknown]);
    }
}
