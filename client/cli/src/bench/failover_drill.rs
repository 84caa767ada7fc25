//! The failover drill kills the leader again and again while a load runs, and measures how long nothing was
//! answered.
//!
//! A round waits until the cluster is healthy and the lowest replica leads, kills it, waits until another
//! replica leads and has answered, starts the killed one again after a quarter of the interval, and waits
//! until the cluster is healthy.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tercet_client::{Client, Replica};
use tokio::time::sleep_until;

use super::fault_injection::{self, kill, restart};
use super::options;
use super::process_stats::{ProcessStats, find};
use super::run::Run;
use crate::cluster_health::{HealthyCluster, healthy_cluster};
use crate::failure::Failure;
use crate::latency::ms;
use crate::output::notice;
use crate::poll;

/// The time that each step of a round may take.
const PATIENCE: Duration = Duration::from_secs(120);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A round: one leader was killed.
#[derive(Debug, Clone, PartialEq)]
pub struct Round {
    /// The time of the kill, since the end of the warm-up.
    pub at: Duration,
    pub leader: u32,
    pub successor: u32,
    /// The longest time between two answers, from the kill until the successor had answered.
    pub gap: Duration,
    /// The longest time between two answers, from the restart until every replica was in the view again and the
    /// lowest led; `None` if the load had ended before.
    pub return_gap: Option<Duration>,
}

/// The result of a drill.
#[derive(Debug, Default)]
pub struct Rounds {
    pub rounds: Vec<Round>,
    /// The reason if the drill ended early.
    pub error: Option<String>,
}

pub struct Drill {
    options: options::Drill,
    every: Duration,
    client: Client,
    stats: Rc<RefCell<ProcessStats>>,
}

impl Drill {
    /// Prepares the drill, if the options ask for one.
    ///
    /// # Errors
    /// When there are no others to take over, or the replicas cannot be killed from here.
    pub async fn prepare(
        options: &options::Drill,
        client: &Client,
        stats: &Rc<RefCell<ProcessStats>>,
    ) -> Result<Option<Drill>, Failure> {
        let Some(every) = options.kill_leader_every else {
            return Ok(None);
        };
        let drill = Drill {
            options: options.clone(),
            every,
            client: client.clone(),
            stats: stats.clone(),
        };
        let cluster = drill.wait_until_healthy().await.map_err(|why| {
            let advice = "`tercet cluster status` says how each replica stands.";
            Failure::failed("NOT_IN_STEP", why, advice)
        })?;
        if cluster.replicas.len() < 2 {
            let message = "a cluster of one has nobody who could take over";
            return Err(Failure::failed("TOO_FEW_REPLICAS", message, ""));
        }
        if options.kill_command.is_none() {
            for replica in &cluster.replicas {
                if find(replica).await.is_none() {
                    let advice = "Say how with --kill-command and --restart-command.";
                    let message = fault_injection::not_here(replica);
                    return Err(Failure::failed("NOT_LOCAL", message, advice));
                }
            }
        }
        Ok(Some(drill))
    }

    /// Kills leaders until the run is over; the cluster is healthy afterwards.
    pub async fn drill(&self, run: &Run) -> Rounds {
        let mut all = Rounds::default();
        let mut next = run.begin() + self.every / 2;
        // What is left at the last kill, half of the interval, is never quite that.
        while run.reaches(next).await && run.left() >= self.every / 4 {
            match self.round(run).await {
                Ok(round) => {
                    notice(&round.text(self.options.signal.done()));
                    all.rounds.push(round);
                }
                Err(error) => {
                    all.error = Some(error);
                    run.stop();
                    return all;
                }
            }
            let kills = u32::try_from(all.rounds.len()).unwrap_or(u32::MAX);
            if self.options.kills.is_some_and(|enough| kills >= enough) {
                run.stop();
            }
            next = Instant::now().max(next + self.every);
        }
        all
    }

    async fn round(&self, run: &Run) -> Result<Round, String> {
        let before = self.wait_until_healthy().await?;
        let leader = before.replicas.iter().find(|one| one.id == before.leader);
        let leader = leader.ok_or("the leader is no replica of the cluster")?;
        self.stats.borrow_mut().read();
        run.mark_gap();
        let killed_at = Instant::now();
        let victim = kill(&self.options, leader).await?;
        let successor = self.successor(run, leader).await;
        let gap = run.measurements().gap_since_mark();
        sleep_until((killed_at + self.every / 4).into()).await;
        run.mark_gap();
        // Before anything else is said: it must not stay dead, or paused.
        restart(&self.options, leader, victim).await?;
        let successor = successor?;
        let after = self.wait_until_healthy().await?;
        let return_gap = run.measurements().gap_since_mark();
        let is_measured = !run.is_over();
        for replica in &after.replicas {
            let pid = find(replica).await;
            self.stats.borrow_mut().runs_as(replica.id, pid);
        }
        Ok(Round {
            at: killed_at.saturating_duration_since(run.begin()),
            leader: leader.id,
            successor,
            gap,
            return_gap: is_measured.then_some(return_gap),
        })
    }

    /// Waits until another replica leads and has answered; gives its id.
    async fn successor(&self, run: &Run, killed: &Replica) -> Result<u32, String> {
        let client = self.client.with_deadline(ANSWER_TIMEOUT);
        let deadline = Instant::now() + PATIENCE;
        let mut found = None;
        let successor = poll::until(deadline.into(), LOOK_AGAIN, async || {
            if let Ok(view) = client.leader_view(ANSWER_TIMEOUT).await
                && view.is_master
                && view.status.replica_id != killed.id
            {
                found.get_or_insert((view.status.replica_id, Instant::now()));
            }
            if let Some((id, since)) = found
                && run.answered_since(since)
            {
                return Ok(id);
            }
            Err(match found {
                Some((id, _)) => format!("replica {id} leads and has answered nothing"),
                None => format!("nobody has followed replica {}", killed.id),
            })
        });
        successor.await
    }

    /// Waits until every replica is in the view and the lowest one leads.
    async fn wait_until_healthy(&self) -> Result<HealthyCluster, String> {
        let deadline = Instant::now() + PATIENCE;
        let healthy = poll::until(deadline.into(), LOOK_AGAIN, async || {
            let cluster = healthy_cluster(&self.client).await?;
            if cluster.replicas.iter().any(|one| one.id < cluster.leader) {
                return Err(format!("replica {} still leads", cluster.leader));
            }
            Ok(cluster)
        });
        healthy.await
    }
}

impl Round {
    /// Describes the round; `done` names the way the leader was killed.
    pub fn text(&self, done: &str) -> String {
        let returned = match self.return_gap {
            Some(gap) => format!("{:.0} ms at its return", ms(gap)),
            None => "the load ended before its return".to_owned(),
        };
        format!(
            "at {:.1} s replica {} was {done}, {} followed: gap {:.0} ms; {returned}",
            self.at.as_secs_f64(),
            self.leader,
            self.successor,
            ms(self.gap),
        )
    }
}

impl Rounds {
    /// Gives the gap in the middle, or the mean of the two in the middle.
    pub fn median_gap(&self) -> Option<Duration> {
        let mut gaps: Vec<Duration> = self.rounds.iter().map(|round| round.gap).collect();
        gaps.sort_unstable();
        let high = *gaps.get(gaps.len() / 2)?;
        let low = gaps[(gaps.len() - 1) / 2];
        Some((low + high) / 2)
    }

    pub fn worst_gap(&self) -> Option<Duration> {
        self.rounds.iter().map(|round| round.gap).max()
    }

    pub fn json(&self) -> Value {
        let rounds = self.rounds.iter().map(|round| {
            json!({
                "at_seconds": ms(round.at) / 1e3,
                "leader": round.leader,
                "successor": round.successor,
                "gap_ms": ms(round.gap),
                "return_gap_ms": round.return_gap.map(ms),
            })
        });
        json!({
            "kills": rounds.collect::<Vec<_>>(),
            "median_gap_ms": self.median_gap().map(ms),
            "worst_gap_ms": self.worst_gap().map(ms),
            "error": self.error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(gaps_ms: &[u64]) -> Rounds {
        let round = |gap: &u64| Round {
            at: Duration::ZERO,
            leader: 1,
            successor: 2,
            gap: Duration::from_millis(*gap),
            return_gap: None,
        };
        Rounds {
            rounds: gaps_ms.iter().map(round).collect(),
            error: None,
        }
    }

    #[test]
    fn the_median_is_the_middle_and_the_worst_the_longest() {
        assert_eq!(rounds(&[]).median_gap(), None);
        let odd = rounds(&[900, 100, 200]);
        assert_eq!(odd.median_gap(), Some(Duration::from_millis(200)));
        assert_eq!(odd.worst_gap(), Some(Duration::from_millis(900)));
        let even = rounds(&[300, 100]);
        assert_eq!(even.median_gap(), Some(Duration::from_millis(200)));
        assert_eq!(even.json()["worst_gap_ms"], 300.0);
    }
}
