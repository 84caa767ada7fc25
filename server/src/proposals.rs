//! The queue of proposals from the services to the driver. Accounts take turns in it.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use tercet_proto::log::Command;
use tercet_types::fair::{FairQueue, Key, Pushed};
use tokio::sync::Notify;

use crate::reply::{Reply, Unavailability};

/// A command that a service proposes, and the way back for its answer.
pub(crate) struct Proposal {
    pub command: Command,
    pub reply: Reply,
}

/// Makes the queue, for at most this many proposals.
pub(crate) fn queue(waiting_max: usize) -> (Proposals, Proposed) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            waiting: FairQueue::new(waiting_max),
            driver_gone: false,
            services_gone: false,
        }),
        arrived: Notify::new(),
        gathers: AtomicBool::new(false),
        gathered: Notify::new(),
        room: Notify::new(),
        driver_left: Notify::new(),
    });
    let services = Arc::new(Services(Arc::clone(&shared)));
    (Proposals(services), Proposed(shared))
}

/// The services' end. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Proposals(Arc<Services>);

/// The driver's end.
pub(crate) struct Proposed(Arc<Shared>);

/// The clones of the services' end; dropping the last one closes the queue.
struct Services(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Wakes the driver: a proposal waits, or no more will come.
    arrived: Notify,
    /// Whether [`Proposals::gather`] wakes the driver in place of each push.
    gathers: AtomicBool,
    /// Wakes that task: a proposal waits.
    gathered: Notify,
    /// Wakes waiting callers: a proposal was taken, or the driver is gone.
    room: Notify,
    /// Wakes callers that watch for the driver's end. Apart from `room`, or each batch would wake every open
    /// stream.
    driver_left: Notify,
}

struct State {
    waiting: FairQueue<Proposal>,
    driver_gone: bool,
    services_gone: bool,
}

/// The result of a push.
enum Sent {
    Queued,
    Full(Proposal),
    DriverGone(Proposal),
}

impl Proposals {
    /// Queues a proposal. When the queue is full, the proposal that does not fit is answered as busy.
    pub(crate) fn send_now(&self, key: Key, proposal: Proposal) {
        match self.0.0.push(key, proposal) {
            Sent::Queued => {}
            Sent::Full(proposal) => proposal.reply.send(Err(Unavailability::Busy)),
            Sent::DriverGone(proposal) => proposal.reply.send(Err(Unavailability::Stopping)),
        }
    }

    /// Queues a proposal, and waits for room.
    pub(crate) async fn send(&self, key: Key, mut proposal: Proposal) {
        let shared = &self.0.0;
        loop {
            let room = shared.room.notified();
            proposal = match shared.push(key, proposal) {
                Sent::Queued => return,
                Sent::Full(proposal) => proposal,
                Sent::DriverGone(proposal) => {
                    return proposal.reply.send(Err(Unavailability::Stopping));
                }
            };
            room.await;
        }
    }

    /// Runs a task that wakes the driver on its other thread. The task's turn comes after the tasks that are
    /// about to propose, so the driver is woken once for all of them.
    pub(crate) fn gather(&self) -> impl Future<Output = ()> + use<> {
        let shared = Arc::clone(&self.0.0);
        shared.gathers.store(true, Ordering::Release);
        async move {
            loop {
                shared.gathered.notified().await;
                shared.arrived.notify_one();
            }
        }
    }

    /// Resolves when the driver is gone.
    pub(crate) fn closed(&self) -> impl Future<Output = ()> + use<> {
        let shared = Arc::clone(&self.0.0);
        async move {
            loop {
                let left = shared.driver_left.notified();
                if shared.lock().driver_gone {
                    return;
                }
                left.await;
            }
        }
    }
}

impl Proposed {
    /// Waits until a proposal waits; false when no more will come. Dropping this future loses nothing.
    pub(crate) async fn ready(&mut self) -> bool {
        loop {
            {
                let state = self.0.lock();
                if !state.waiting.is_empty() {
                    return true;
                }
                if state.services_gone {
                    return false;
                }
            }
            // A notification sent before this line is kept.
            self.0.arrived.notified().await;
        }
    }

    /// Takes at most this many waiting proposals, in turn.
    pub(crate) fn take(&mut self, count_max: usize) -> Vec<Proposal> {
        let mut state = self.0.lock();
        let count = state.waiting.len().min(count_max);
        let taken = std::iter::from_fn(|| state.waiting.pop());
        let taken = taken.take(count).collect();
        drop(state);
        self.0.room.notify_waiters();
        taken
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, key: Key, proposal: Proposal) -> Sent {
        let mut state = self.lock();
        if state.driver_gone {
            return Sent::DriverGone(proposal);
        }
        let was_empty = state.waiting.is_empty();
        let pushed = state.waiting.push(key, proposal);
        drop(state);
        match pushed {
            Pushed::Queued => {}
            Pushed::Displaced(other) => other.reply.send(Err(Unavailability::Busy)),
            Pushed::Full(proposal) => return Sent::Full(proposal),
        }
        if was_empty && self.gathers.load(Ordering::Acquire) {
            self.gathered.notify_one();
        } else if was_empty {
            self.arrived.notify_one();
        }
        Sent::Queued
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.0.lock().services_gone = true;
        self.0.arrived.notify_one();
    }
}

impl Drop for Proposed {
    fn drop(&mut self) {
        let left = {
            let mut state = self.0.lock();
            state.driver_gone = true;
            std::iter::from_fn(|| state.waiting.pop()).collect::<Vec<_>>()
        };
        for proposal in left {
            proposal.reply.send(Err(Unavailability::Stopping));
        }
        self.0.room.notify_waiters();
        self.0.driver_left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::reply::Answer;

    fn proposal() -> (Proposal, oneshot::Receiver<Answer>) {
        let (reply, answer) = oneshot::channel();
        let proposal = Proposal {
            command: Command::default(),
            reply: Reply::Call(reply),
        };
        (proposal, answer)
    }

    #[tokio::test]
    async fn one_who_floods_a_full_queue_is_told_that_it_is_busy_and_others_are_not() {
        let (services, mut driver) = queue(3);
        let mut flood = Vec::new();
        for _ in 0..4 {
            let (proposal, answer) = proposal();
            services.send_now(Key::account(1), proposal);
            flood.push(answer);
        }
        assert_eq!(flood.remove(3).await, Ok(Err(Unavailability::Busy)));
        let (other, mut answer) = proposal();
        services.send_now(Key::account(2), other);
        assert_eq!(flood.remove(2).await, Ok(Err(Unavailability::Busy)));
        assert!(driver.ready().await);
        assert_eq!(driver.take(2).len(), 2, "one of each");
        assert!(
            answer
                .try_recv()
                .is_err_and(|e| e == oneshot::error::TryRecvError::Closed)
        );
    }

    #[tokio::test]
    async fn who_waits_for_room_gets_it_and_hears_of_the_end() {
        let (services, mut driver) = queue(1);
        services.send_now(Key::account(1), proposal().0);
        let waits = |account| {
            let services = services.clone();
            let (proposal, answer) = proposal();
            let key = Key::account(account);
            (
                tokio::spawn(async move { services.send(key, proposal).await }),
                answer,
            )
        };
        let (sent, _answer) = waits(2);
        tokio::task::yield_now().await;
        assert!(!sent.is_finished());
        assert_eq!(driver.take(8).len(), 1);
        sent.await.unwrap();
        let (sent, answer) = waits(3);
        tokio::task::yield_now().await;
        let closed = services.closed();
        drop(driver);
        sent.await.unwrap();
        closed.await;
        assert_eq!(answer.await, Ok(Err(Unavailability::Stopping)));
    }

    #[tokio::test]
    async fn the_driver_hears_when_no_service_is_left() {
        let (services, mut driver) = queue(1);
        let other = services.clone();
        services.send_now(Key::REPLICA, proposal().0);
        drop((services, other));
        assert!(driver.ready().await, "what waits is taken first");
        assert_eq!(driver.take(8).len(), 1);
        assert!(!driver.ready().await);
    }
}
