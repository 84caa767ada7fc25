//! The queue of proposals between the services and the driver. Accounts take turns in it.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;

use crate::{
    fair::{FairQueue, Key, Pushed},
    handle::{Proposal, Unavailability},
};

/// Makes the queue, for this many proposals at most.
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

/// The end that proposes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Proposals(Arc<Services>);

/// The driver's end.
pub(crate) struct Proposed(Arc<Shared>);

/// All clones of the end that proposes: dropped with the last of them.
struct Services(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Something waits, or nothing will any more.
    arrived: Notify,
    /// Whether [`Proposals::gather`] says that something waits.
    gathers: AtomicBool,
    /// Something waits, for it to say.
    gathered: Notify,
    /// Something was taken out, or the driver is gone.
    room: Notify,
    /// The driver is gone. Apart from `room`, or every open stream would be woken for each batch.
    driver_left: Notify,
}

struct State {
    waiting: FairQueue<Proposal>,
    driver_gone: bool,
    services_gone: bool,
}

/// What came of a proposal that was to wait.
enum Sent {
    Queued,
    Full(Proposal),
    DriverGone(Proposal),
}

impl Proposals {
    /// Queues a proposal. Whoever is behind one that cannot wait is told so by its reply.
    pub(crate) fn send_now(&self, key: Key, proposal: Proposal) {
        match self.0.0.push(key, proposal) {
            Sent::Queued => {}
            Sent::Full(proposal) => proposal.reply.send(Err(Unavailability::Busy)),
            Sent::DriverGone(proposal) => proposal.reply.send(Err(Unavailability::Stopping)),
        }
    }

    /// The same, but waits for room.
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

    /// Wakes the driver from here on, for a driver on another thread: a task like any other, it has its turn
    /// behind those that are about to propose too, so that the driver is woken once for all of them.
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
    /// Waits until something waits; false when nothing will any more. Loses nothing when dropped.
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
            // A notification from before this line is kept for it.
            self.0.arrived.notified().await;
        }
    }

    /// What waits, this much at most, in turn.
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
    use tercet_proto::log::Command;
    use tokio::sync::oneshot;

    use super::*;
    use crate::handle::{Answer, Reply};

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
