//! The sending of a plan: several conversations at once, each in order.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::plan::Plan;
use crate::accounts::Ready;
use crate::failure::Failure;
use crate::latency::Latencies;
use crate::pool;
use crate::progress::Progress;

/// The result of the sending.
#[derive(Debug)]
pub struct Sent {
    /// Messages, by index, that were sent in this run or were already there.
    pub started: Vec<bool>,
    /// Messages, by index, that were acknowledged in this run or were already there.
    pub acknowledged: Vec<bool>,
    /// The number of messages that were acknowledged in this run.
    pub new: u64,
    /// The longest time between two successive acknowledgements.
    pub longest_gap: Duration,
    /// The time from the first send to the last acknowledgement.
    pub took: Duration,
    pub latencies: Latencies,
    first_start: Option<Instant>,
    last_answer: Option<Instant>,
    /// The reason if the sending was given up.
    pub gave_up: Option<String>,
}

impl Sent {
    fn new(plan: &Plan, there: &HashSet<String>) -> Sent {
        let found = |id: String| there.contains(&id);
        let found: Vec<bool> = plan
            .messages
            .iter()
            .map(|message| found(message.id.to_string()))
            .collect();
        Sent {
            started: found.clone(),
            acknowledged: found,
            new: 0,
            longest_gap: Duration::ZERO,
            took: Duration::ZERO,
            latencies: Latencies::default(),
            first_start: None,
            last_answer: None,
            gave_up: None,
        }
    }

    fn start(&mut self, message: usize, now: Instant) {
        self.started[message] = true;
        self.first_start.get_or_insert(now);
    }

    fn acknowledge(&mut self, message: usize, latency: Duration, now: Instant) {
        self.acknowledged[message] = true;
        self.new += 1;
        self.latencies.record(latency);
        if let Some(last) = self.last_answer {
            self.longest_gap = self.longest_gap.max(now - last);
        }
        self.last_answer = Some(now);
        let first = self.first_start.unwrap_or(now);
        self.took = now - first;
    }

    /// Gives the time since the last acknowledgement, or since the start.
    fn silence(&self) -> Duration {
        let since = self.last_answer.or(self.first_start);
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Gives the rate of acknowledged messages in this run.
    pub fn per_second(&self) -> f64 {
        match self.took.as_secs_f64() {
            seconds if seconds > 0.0 => self.new as f64 / seconds,
            _ => 0.0,
        }
    }
}

/// The limits of the sending.
#[derive(Clone, Copy, Debug)]
pub struct Speed {
    /// The number of messages that are sent at once.
    pub in_flight: usize,
    /// The highest number of messages a second.
    pub rate: Option<u32>,
    /// The time without an acknowledgement after which the sending is given up.
    pub patience: Duration,
}

/// A rate limiter gives each message its earliest time. Lost time is not made up for.
#[derive(Debug)]
struct Pace {
    interval: Duration,
    next: Mutex<Instant>,
}

impl Pace {
    fn new(rate: u32, now: Instant) -> Pace {
        Pace {
            interval: Duration::from_secs(1) / rate.max(1),
            next: Mutex::new(now),
        }
    }

    /// Gives the time at which the next message may be sent.
    fn turn(&self, now: Instant) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = (*next).max(now);
        *next = turn + self.interval;
        turn
    }
}

struct Sending {
    plan: Arc<Plan>,
    people: Vec<Ready>,
    /// The conversations, the longest first, so that no long one is left alone at the end.
    order: Vec<usize>,
    patience: Duration,
    pace: Option<Pace>,
    sent: Mutex<Sent>,
    stopped: AtomicBool,
    progress: Progress,
}

/// Sends every message of the plan that is not `there` yet.
///
/// # Errors
/// If a message is refused. Without a leader the sending is given up, as the result says.
pub async fn send(
    plan: Arc<Plan>,
    people: Vec<Ready>,
    there: &HashSet<String>,
    speed: Speed,
) -> Result<Sent, Failure> {
    let sent = Sent::new(&plan, there);
    let left = |conversation: &Vec<usize>| {
        let waiting = conversation
            .iter()
            .filter(|index| !sent.acknowledged[**index]);
        waiting.count()
    };
    let lengths: Vec<usize> = plan.conversations.iter().map(left).collect();
    let mut order: Vec<usize> = (0..lengths.len()).filter(|at| lengths[*at] > 0).collect();
    order.sort_by_key(|at| std::cmp::Reverse(lengths[*at]));
    let total: usize = lengths.iter().sum();
    let count = order.len();
    let sending = Arc::new(Sending {
        progress: Progress::start("messages", total as u64),
        sent: Mutex::new(sent),
        stopped: AtomicBool::new(false),
        plan,
        people,
        order,
        patience: speed.patience,
        pace: speed.rate.map(|rate| Pace::new(rate, Instant::now())),
    });
    let work = {
        let sending = sending.clone();
        move |at: usize| {
            let sending = sending.clone();
            async move { sending.conversation(sending.order[at]).await }
        }
    };
    pool::for_each(speed.in_flight, count, work).await?;
    sending.progress.finish();
    let empty = Sent::new(&Plan::default(), there);
    let sent = std::mem::replace(&mut *sending.sent(), empty);
    Ok(sent)
}

impl Sending {
    fn sent(&self) -> MutexGuard<'_, Sent> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn conversation(&self, conversation: usize) -> Result<(), Failure> {
        for &message in &self.plan.conversations[conversation] {
            if self.sent().acknowledged[message] {
                continue;
            }
            if self.stopped.load(Ordering::Relaxed) || !self.message(message).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Sends one message until it is acknowledged; false if the sending was given up.
    async fn message(&self, index: usize) -> Result<bool, Failure> {
        let message = &self.plan.messages[index];
        let sender = &self.people[message.from];
        let Some(client) = &sender.client else {
            let text = "a sender is not logged in";
            return Err(Failure::failed("REPLAY", text, ""));
        };
        let recipient = self.plan.recipient(message);
        if let Some(pace) = &self.pace {
            tokio::time::sleep_until(pace.turn(Instant::now()).into()).await;
        }
        let start = Instant::now();
        self.sent().start(index, start);
        loop {
            let sent = client.send_message_as(message.id, recipient, &message.body);
            match sent.await {
                Ok(_) => {
                    let now = Instant::now();
                    self.sent().acknowledge(index, now - start, now);
                    self.progress.step();
                    return Ok(true);
                }
                Err(error) if error.may_pass() => {
                    if self.sent().silence() < self.patience {
                        continue; // others get through; so will this
                    }
                    self.stopped.store(true, Ordering::Relaxed);
                    let mut sent = self.sent();
                    sent.gave_up.get_or_insert_with(|| error.to_string());
                    return Ok(false);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(messages: usize) -> Sent {
        let mut sent = Sent::new(&Plan::default(), &HashSet::new());
        sent.started = vec![false; messages];
        sent.acknowledged = vec![false; messages];
        sent
    }

    #[test]
    fn the_longest_gap_is_between_acknowledgements_only() {
        let mut sent = sent(3);
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        sent.start(0, begin);
        sent.acknowledge(0, Duration::from_millis(500), at(500));
        sent.acknowledge(1, Duration::from_millis(1), at(530));
        sent.acknowledge(2, Duration::from_millis(1), at(540));
        assert_eq!(sent.longest_gap, Duration::from_millis(30));
        assert_eq!(sent.took, Duration::from_millis(540));
        assert!((sent.per_second() - 3.0 / 0.54).abs() < 1e-9);
        assert!((sent.latencies.within_ms(0.99) - 500.0).abs() < 1.0);
    }

    #[test]
    fn at_a_rate_messages_keep_their_distance_and_lost_time_is_not_made_up_for() {
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let pace = Pace::new(50, begin);
        let turns: Vec<Instant> = (0..3).map(|_| pace.turn(begin)).collect();
        assert_eq!(turns, [at(0), at(20), at(40)]);
        assert_eq!(pace.turn(at(500)), at(500));
        assert_eq!(pace.turn(at(500)), at(520));
    }

    #[test]
    fn without_a_message_every_figure_is_zero() {
        let sent = sent(0);
        assert_eq!(sent.per_second(), 0.0);
        assert_eq!(sent.latencies.within_ms(0.5), 0.0);
    }
}
