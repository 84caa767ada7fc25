//! One run of a load: its clock, its end, and the workers that keep operations under way.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tercet_client::Error;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use super::measurements::{Kind, Measurements};
use super::options::Common;
use super::rate_limiter::RateLimiter;
use crate::failure::Failure;

/// A run is shared by its workers, all on one thread, so nothing here is locked.
pub struct Run {
    /// The end of the warm-up.
    begin: Instant,
    end: Instant,
    stopped: Cell<bool>,
    stop: Notify,
    /// True if every operation has ended.
    finished: Cell<bool>,
    measurements: RefCell<Measurements>,
    /// The number of acknowledged messages, also in the warm-up.
    stored: Cell<u64>,
    /// The number of operations that were due and not started, because the load could not keep its rate.
    behind: Cell<u64>,
}

impl Run {
    /// Starts the clock.
    pub fn start(common: &Common) -> Rc<Run> {
        let begin = Instant::now() + common.warm_up;
        let end = begin + common.duration;
        Rc::new(Run {
            begin,
            end,
            stopped: Cell::new(false),
            stop: Notify::new(),
            finished: Cell::new(false),
            measurements: RefCell::new(Measurements::new(begin, end)),
            stored: Cell::new(0),
            behind: Cell::new(0),
        })
    }

    pub fn begin(&self) -> Instant {
        self.begin
    }

    pub fn is_over(&self) -> bool {
        self.stopped.get() || Instant::now() >= self.end
    }

    /// Starts no more operations; those under way continue.
    pub fn stop(&self) {
        self.stopped.set(true);
        self.measurements.borrow_mut().end_at(Instant::now());
        self.stop.notify_waiters();
    }

    /// Waits for a time of the run; false if the run is over before.
    pub async fn reaches(&self, time: Instant) -> bool {
        let stopped = self.stop.notified();
        if self.is_over() {
            return false;
        }
        tokio::select! {
            () = sleep_until(time.min(self.end).into()) => time < self.end,
            () = stopped => false,
        }
    }

    /// Gives the rest of the measured time.
    pub fn left(&self) -> Duration {
        if self.stopped.get() {
            Duration::ZERO
        } else {
            self.end.saturating_duration_since(Instant::now())
        }
    }

    /// Counts an operation that has ended; `due` is the time at which it started, or should have.
    pub fn count<T>(&self, kind: Kind, due: Instant, result: &Result<T, Error>) {
        let mut measurements = self.measurements.borrow_mut();
        match result {
            Ok(_) => measurements.succeed(kind, due, Instant::now()),
            Err(error) => measurements.fail(kind, error.reason()),
        }
    }

    /// Counts an operation that succeeded at this time.
    pub fn count_at(&self, kind: Kind, due: Instant, at: Instant) {
        self.measurements.borrow_mut().succeed(kind, due, at);
    }

    /// Counts operations that succeeded with one answer.
    pub fn count_many(&self, kind: Kind, due: Instant, count: u64) {
        let mut measurements = self.measurements.borrow_mut();
        measurements.succeed_many(kind, due, Instant::now(), count);
    }

    /// Counts a failed operation by a reason that is no error of the client.
    pub fn count_failed(&self, kind: Kind, reason: &str) {
        self.measurements.borrow_mut().fail(kind, reason);
    }

    pub fn count_stored(&self, messages: u64) {
        self.stored.set(self.stored.get() + messages);
    }

    pub fn stored(&self) -> u64 {
        self.stored.get()
    }

    pub fn behind(&self) -> u64 {
        self.behind.get()
    }

    pub fn measurements(&self) -> std::cell::Ref<'_, Measurements> {
        self.measurements.borrow()
    }

    /// Starts a new measurement of the longest gap.
    pub fn mark_gap(&self) {
        self.measurements.borrow_mut().mark();
    }

    /// True if an operation was answered since this time, or every operation has ended.
    pub fn answered_since(&self, time: Instant) -> bool {
        let last = self.measurements.borrow().last_answer();
        self.finished.get() || last.is_some_and(|last| last >= time)
    }

    /// Notes that every operation has ended.
    pub fn finish(&self) {
        self.finished.set(true);
    }

    /// Runs operations on this many workers, until the run is over and the last one has ended. With a rate
    /// limiter, an operation starts when it is due.
    pub async fn keep_busy<F, Fut>(
        self: &Rc<Run>,
        workers: u32,
        limiter: Option<RateLimiter>,
        operation: F,
    ) -> Result<(), Failure>
    where
        F: Fn(Instant) -> Fut + Clone + 'static,
        Fut: Future<Output = ()>,
    {
        let limiter = limiter.map(Rc::new);
        let mut busy = JoinSet::new();
        for _ in 0..workers {
            let (run, limiter, operation) = (self.clone(), limiter.clone(), operation.clone());
            busy.spawn_local(async move {
                while let Some(due) = run.next(limiter.as_deref()).await {
                    operation(due).await;
                }
            });
        }
        if let Some(limiter) = &limiter {
            self.reaches(self.end).await;
            limiter.stop();
            self.behind.set(self.behind.get() + limiter.behind());
        }
        while let Some(ended) = busy.join_next().await {
            ended.map_err(|error| Failure::failed("WORKER", error.to_string(), ""))?;
        }
        Ok(())
    }

    /// Waits until the next operation is due; `None` if the run is over.
    async fn next(&self, limiter: Option<&RateLimiter>) -> Option<Instant> {
        let due = match limiter {
            Some(limiter) => limiter.next().await?,
            None => Instant::now(),
        };
        (!self.is_over()).then_some(due)
    }
}
