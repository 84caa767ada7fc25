//! The state of a request, or of a stream, that is sent again until it succeeds: its deadline, the attempts that
//! failed, and the pause before the next attempt.
//!
//! Calls, batches, outboxes and subscriptions use it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::backoff::backoff;
use super::search::Leader;
use super::verdict::Verdict;
use super::{Error, Shared};

/// The attempts since the start, or since the last success.
pub(super) struct RetryState {
    deadline: Instant,
    failures: Option<Failures>,
}

struct Failures {
    first_at: Instant,
    attempts: u32,
    /// Requests that failed and were not sent again yet.
    uncounted: u64,
    /// Whether a replica may have carried out an attempt.
    maybe_done: bool,
    /// The replica of the last attempt.
    replica: u32,
    epoch: u64,
    /// The delay that this replica asked for.
    after: Option<Duration>,
    /// The failure of the last attempt, in words.
    what: String,
}

impl RetryState {
    pub(super) fn new(deadline: Instant) -> RetryState {
        RetryState {
            deadline,
            failures: None,
        }
    }

    /// Replaces the deadline. A stream has one for each time that it waits.
    pub(super) fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// Finds the leader for the next attempt, and pauses as the failures so far demand.
    ///
    /// # Errors
    /// `NoLeader` at the deadline.
    pub(super) async fn leader(&mut self, shared: &Arc<Shared>) -> Result<Arc<Leader>, Error> {
        let leader = shared.leader(self.deadline).await?;
        if let Some(failures) = &mut self.failures {
            shared.count_retries(std::mem::take(&mut failures.uncounted));
            let pause = failures.pause_before(leader.id, leader.epoch);
            sleep_until(self.deadline.min(Instant::now() + pause)).await;
        }
        Ok(leader)
    }

    /// Returns how long the next attempt may take; `None` after the deadline.
    pub(super) fn attempt_limit(&self, shared: &Shared) -> Option<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        (!left.is_zero()).then(|| left.min(shared.options.attempt_timeout))
    }

    /// Notes that `leader` failed `requests` requests, and stops using this leader.
    ///
    /// # Errors
    /// The refusal, if the verdict is one: another attempt is useless.
    pub(super) fn failed(
        &mut self,
        shared: &Shared,
        leader: &Arc<Leader>,
        verdict: Verdict,
        requests: usize,
    ) -> Result<(), Error> {
        let maybe_done = matches!(verdict, Verdict::Again { .. });
        self.note(shared, leader, verdict, requests)?;
        if let Some(failures) = &mut self.failures {
            failures.maybe_done |= maybe_done;
        }
        Ok(())
    }

    /// As [`RetryState::failed`], for requests each of which remembers whether it may have been carried out.
    pub(super) fn note(
        &mut self,
        shared: &Shared,
        leader: &Arc<Leader>,
        verdict: Verdict,
        requests: usize,
    ) -> Result<(), Error> {
        let (after, what) = match verdict {
            Verdict::Refused(error) => return Err(error),
            Verdict::NotLeader { hint } => {
                if let Some((id, address)) = hint {
                    shared.roster.add_leader_hint(id, address);
                }
                let what = format!("replica {} does not lead any more", leader.id);
                (None, what)
            }
            Verdict::Again { after, what } => (after, what),
        };
        let failures = self.failures.get_or_insert_with(|| Failures {
            first_at: Instant::now(),
            attempts: 0,
            uncounted: 0,
            maybe_done: false,
            replica: 0,
            epoch: 0,
            after: None,
            what: String::new(),
        });
        failures.attempts += 1;
        failures.uncounted += requests as u64;
        failures.replica = leader.id;
        failures.epoch = leader.epoch;
        failures.after = after;
        failures.what = what;
        shared.forget(leader);
        Ok(())
    }

    /// Forgets the failures.
    pub(super) fn succeeded(&mut self) {
        self.failures = None;
    }

    /// Returns the failure of the last attempt in words, if it failed.
    pub(super) fn last_failure(&self) -> Option<&str> {
        self.failures
            .as_ref()
            .map(|failures| failures.what.as_str())
    }

    /// Returns the last failure in words if a replica may have carried out an attempt.
    pub(super) fn doubt(&self) -> Option<&str> {
        let failures = self.failures.as_ref()?;
        failures.maybe_done.then_some(failures.what.as_str())
    }

    /// Makes the error of a request that ends with `last` after these attempts. `write` is the id of a write.
    pub(super) fn give_up(&self, write: Option<Uuid>, last: Error) -> Error {
        if let (Some(request_id), Some(what)) = (write, self.doubt()) {
            let last = format!("{what}; {last}");
            return Error::OutcomeUnknown { request_id, last };
        }
        match (write, self.last_failure()) {
            (None, Some(what)) if !matches!(last, Error::Refused { .. }) => Error::Unanswered {
                last: format!("{what}; {last}"),
            },
            _ => last,
        }
    }
}

impl Failures {
    /// Returns the pause before an attempt at this leader. There is none after the first failure when another replica
    /// leads: the search for it took a while.
    fn pause_before(&self, replica: u32, epoch: u64) -> Duration {
        let same = self.replica == replica && self.epoch == epoch;
        if !same && self.attempts == 1 {
            return Duration::ZERO;
        }
        let own = backoff(self.first_at.elapsed());
        let asked = self.after.filter(|_| same).unwrap_or_default();
        own.max(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed_once_at_replica_1(after: Option<Duration>) -> Failures {
        Failures {
            first_at: Instant::now(),
            attempts: 1,
            uncounted: 1,
            maybe_done: true,
            replica: 1,
            epoch: 5,
            after,
            what: "no answer".to_owned(),
        }
    }

    #[test]
    fn another_leader_is_called_at_once_after_the_first_failure_only() {
        let mut failures = failed_once_at_replica_1(None);
        assert_eq!(failures.pause_before(2, 6), Duration::ZERO);
        assert!(failures.pause_before(1, 5) > Duration::ZERO);
        failures.attempts = 2;
        assert!(failures.pause_before(2, 6) > Duration::ZERO);
    }

    #[test]
    fn the_delay_that_a_leader_asked_for_holds_for_this_leader_only() {
        let second = Duration::from_secs(1);
        let failures = failed_once_at_replica_1(Some(second));
        assert_eq!(failures.pause_before(1, 5), second);
        assert!(failures.pause_before(1, 6) < second);
    }

    fn state(failures: Option<Failures>) -> RetryState {
        RetryState {
            deadline: Instant::now(),
            failures,
        }
    }

    #[test]
    fn a_write_that_may_have_been_carried_out_has_an_unknown_outcome() {
        let refusal = || Error::Protocol("no".to_owned());
        let id = Some(Uuid::nil());
        let doubtful = state(Some(failed_once_at_replica_1(None)));
        let Error::OutcomeUnknown { last, .. } = doubtful.give_up(id, refusal()) else {
            panic!("it may have been carried out")
        };
        assert_eq!(last, "no answer; no");
        let error = doubtful.give_up(None, refusal());
        assert!(matches!(error, Error::Unanswered { .. }), "{error}");
        let error = state(None).give_up(id, refusal());
        assert!(matches!(error, Error::Protocol(_)), "{error}");
    }
}
