//! The progress of a replica that joins, until it is a member.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};
use tercet_client::{Client, Error, Replica};
use tokio::time::{Instant, sleep};

use super::{Member, VIEW_TIMEOUT, members_of};
use crate::failure::Failure;
use crate::output::print;

const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);
/// The rate is the mean of this many intervals.
const RATE_INTERVALS: usize = 8;

/// Shows each change of the progress, until the replica is a member.
pub(super) async fn watch(client: &Client, id: u32, json: bool) -> Result<(), Failure> {
    let mut rate = Rate::default();
    let mut shown = None;
    loop {
        let view = match client.leader_view(VIEW_TIMEOUT).await {
            Ok(view) => view,
            Err(error @ Error::NoLeader { .. }) => return Err(error.into()),
            Err(_) => {
                // The leader has gone; the next call looks for the next one.
                sleep(PROGRESS_INTERVAL).await;
                continue;
            }
        };
        let members = members_of(&view);
        let Some(member) = members.iter().find(|member| member.id == id) else {
            let message = format!("replica {id} was removed meanwhile");
            return Err(Failure::failed("UNKNOWN_REPLICA", message, ""));
        };
        let snapshot = snapshot_of(client, member).await;
        let progress = rate.progress(member, snapshot, Instant::now());
        if shown.as_ref() != Some(&progress) {
            print(json, &progress.json(id), &progress.text(id))?;
        }
        if progress.member {
            return Ok(());
        }
        shown = Some(progress);
        sleep(PROGRESS_INTERVAL).await;
    }
}

/// The part of a snapshot that has arrived.
#[derive(Clone, Copy, Debug, PartialEq)]
struct SnapshotProgress {
    received_bytes: u64,
    total_bytes: u64,
}

/// Asks a joining replica for its snapshot, which no other replica knows of.
async fn snapshot_of(client: &Client, member: &Member) -> Option<SnapshotProgress> {
    if member.member || !member.connected {
        return None;
    }
    let replica = Replica {
        id: member.id,
        address: member.address.clone(),
    };
    let status = client.replica_view(&replica, VIEW_TIMEOUT).await.ok()?;
    let status = status.status;
    (status.snapshot_total_bytes > 0).then_some(SnapshotProgress {
        received_bytes: status.snapshot_received_bytes,
        total_bytes: status.snapshot_total_bytes,
    })
}

/// The progress of a joining replica.
#[derive(Clone, Debug, PartialEq)]
struct Progress {
    member: bool,
    connected: bool,
    behind: Option<u64>,
    snapshot: Option<SnapshotProgress>,
    /// Bytes of the snapshot a second, or entries; `None` while that is not known.
    per_second: Option<f64>,
}

impl Progress {
    fn seconds_left(&self) -> Option<f64> {
        let rate = self.per_second.filter(|rate| *rate >= 1.0)?;
        Some(left(self.snapshot, self.behind)? as f64 / rate)
    }

    fn json(&self, id: u32) -> Value {
        json!({
            "id": id,
            "member": self.member,
            "connected": self.connected,
            "behind": self.behind,
            "snapshot_received_bytes": self.snapshot.map(|snapshot| snapshot.received_bytes),
            "snapshot_total_bytes": self.snapshot.map(|snapshot| snapshot.total_bytes),
            "per_second": self.per_second.map(f64::round),
            "seconds_left": self.seconds_left().map(f64::round),
        })
    }

    fn text(&self, id: u32) -> String {
        let left = self.seconds_left().map_or_else(String::new, |seconds| {
            format!(", about {seconds:.0} s left")
        });
        match (self.member, self.connected, self.snapshot, self.behind) {
            (true, ..) => format!("replica {id} is a member"),
            (_, false, ..) => format!("replica {id} is not connected yet"),
            (_, _, Some(snapshot), _) => format!(
                "replica {id} has {:.1} of {:.1} MB of a snapshot{left}",
                snapshot.received_bytes as f64 / 1e6,
                snapshot.total_bytes as f64 / 1e6
            ),
            (_, _, None, None) => format!("replica {id} is connected"),
            (_, _, None, Some(behind)) => {
                let rate = self.per_second.map_or_else(String::new, |rate| {
                    format!(", {rate:.0} entries a second nearer")
                });
                format!("replica {id} is {behind} entries behind{rate}{left}")
            }
        }
    }
}

/// Gives the bytes of the snapshot that are missing; without a snapshot, the entries.
fn left(snapshot: Option<SnapshotProgress>, behind: Option<u64>) -> Option<u64> {
    let bytes = snapshot.map(|all| all.total_bytes.saturating_sub(all.received_bytes));
    bytes.or(behind)
}

/// The rate of the last intervals.
#[derive(Default)]
struct Rate {
    of_snapshot: bool,
    seen: VecDeque<(Instant, u64)>,
}

impl Rate {
    fn progress(
        &mut self,
        member: &Member,
        snapshot: Option<SnapshotProgress>,
        now: Instant,
    ) -> Progress {
        let behind = member.behind.filter(|_| member.connected);
        let left = left(snapshot, behind);
        if self.of_snapshot != snapshot.is_some() {
            self.of_snapshot = !self.of_snapshot;
            self.seen.clear();
        }
        match left {
            Some(left) => self.seen.push_back((now, left)),
            None => self.seen.clear(),
        }
        if self.seen.len() > RATE_INTERVALS {
            self.seen.pop_front();
        }
        let first = self.seen.front().filter(|(at, _)| *at < now);
        let per_second = first
            .zip(left)
            .map(|((at, before), left)| (*before as f64 - left as f64) / (now - *at).as_secs_f64());
        Progress {
            member: member.member,
            connected: member.connected,
            behind,
            snapshot,
            per_second,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::member;
    use super::*;

    #[test]
    fn the_rate_is_of_what_was_seen_lately_and_says_how_long_it_takes() {
        let mut rate = Rate::default();
        let start = Instant::now();
        let first = rate.progress(&member(Some(1_000)), None, start);
        assert_eq!(first.per_second, None);
        let second = start + Duration::from_secs(1);
        let later = rate.progress(&member(Some(500)), None, second);
        assert_eq!(later.per_second, Some(500.0));
        assert_eq!(later.seconds_left(), Some(1.0));
        assert!(
            later.text(4).contains("500 entries behind"),
            "{}",
            later.text(4)
        );
    }

    #[test]
    fn a_snapshot_that_comes_is_told_in_bytes_and_has_a_rate_of_its_own() {
        let mut rate = Rate::default();
        let start = Instant::now();
        rate.progress(&member(Some(9)), None, start);
        let mut with = |received_bytes, seconds| {
            let snapshot = SnapshotProgress {
                received_bytes,
                total_bytes: 50_000_000,
            };
            let now = start + Duration::from_secs(seconds);
            rate.progress(&member(None), Some(snapshot), now)
        };
        let first = with(10_000_000, 1);
        assert_eq!(first.per_second, None);
        let later = with(30_000_000, 2);
        let told = "replica 4 has 30.0 of 50.0 MB of a snapshot, about 1 s left";
        assert_eq!(later.text(4), told);
    }

    #[test]
    fn a_replica_that_falls_back_has_no_time_left() {
        let mut rate = Rate::default();
        let start = Instant::now();
        rate.progress(&member(Some(500)), None, start);
        let second = start + Duration::from_secs(1);
        let later = rate.progress(&member(Some(900)), None, second);
        assert_eq!(later.seconds_left(), None);
        assert_eq!(later.json(4)["seconds_left"], Value::Null);
    }
}
