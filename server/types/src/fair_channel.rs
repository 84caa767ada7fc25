//! A channel from callers to threads, whose items are received in turn by owner, see [`FairQueue`]. Knows nothing of the
//! items.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc::RecvTimeoutError},
    time::{Duration, Instant},
};

use crate::fair::{FairQueue, Key, Pushed};

/// The callers' end. Cheap to clone. When the last clone is dropped, nothing more is received.
pub struct Sender<T>(Arc<Door<T>>);

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        Sender(Arc::clone(&self.0))
    }
}

/// The threads' end.
pub struct Receiver<T>(Arc<Queue<T>>);

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Receiver<T> {
        Receiver(Arc::clone(&self.0))
    }
}

/// Closes the queue when it is dropped. Receivers hold only the queue, or the threads would never end.
struct Door<T>(Arc<Queue<T>>);

impl<T> Drop for Door<T> {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

struct Queue<T> {
    state: Mutex<State<T>>,
    /// Signals that an item waits, or that no more will come.
    changed: Condvar,
}

struct State<T> {
    waiting: FairQueue<T>,
    closed: bool,
}

impl<T> Queue<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a channel in which so many items may wait.
pub fn channel<T>(waiting_max: usize) -> (Sender<T>, Receiver<T>) {
    let queue = Arc::new(Queue {
        state: Mutex::new(State {
            waiting: FairQueue::new(waiting_max),
            closed: false,
        }),
        changed: Condvar::new(),
    });
    (Sender(Arc::new(Door(Arc::clone(&queue)))), Receiver(queue))
}

impl<T> Sender<T> {
    /// Queues an item. Gives back the one that does not fit when the queue is full: this one, or one of a longer share.
    #[must_use]
    pub fn send(&self, key: Key, item: T) -> Option<T> {
        let Sender(door) = self;
        let pushed = door.0.lock().waiting.push(key, item);
        door.0.changed.notify_one();
        match pushed {
            Pushed::Queued => None,
            Pushed::Displaced(item) | Pushed::Full(item) => Some(item),
        }
    }
}

impl<T> Receiver<T> {
    /// Waits for an item; `None` when all senders are gone, whatever waits.
    pub fn recv(&self) -> Option<T> {
        let mut state = self.0.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(item) = state.waiting.pop() {
                return Some(item);
            }
            let waited = self.0.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for an item as [`Receiver::recv`], at most for `limit`.
    ///
    /// # Errors
    /// `Timeout` when none came in time; `Disconnected` when all senders are gone.
    pub fn recv_timeout(&self, limit: Duration) -> Result<T, RecvTimeoutError> {
        let until = Instant::now() + limit;
        let mut state = self.0.lock();
        loop {
            if state.closed {
                return Err(RecvTimeoutError::Disconnected);
            }
            if let Some(item) = state.waiting.pop() {
                return Ok(item);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(RecvTimeoutError::Timeout);
            }
            let waited = self.0.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_in_turn_and_the_last_sender_ends_it() {
        let (sender, receiver) = channel(3);
        for item in ["a1", "a2"] {
            assert_eq!(sender.send(Key::account(1), item), None);
        }
        assert_eq!(sender.send(Key::account(2), "b1"), None);
        assert_eq!(sender.send(Key::account(1), "a3"), Some("a3"), "full");
        assert_eq!(sender.send(Key::account(2), "b2"), Some("b2"));
        assert_eq!(receiver.recv(), Some("a1"));
        assert_eq!(receiver.recv_timeout(Duration::ZERO), Ok("b1"));
        assert_eq!(receiver.clone().recv(), Some("a2"));
        let timeout = receiver.recv_timeout(Duration::ZERO);
        assert_eq!(timeout, Err(RecvTimeoutError::Timeout));
        let other = sender.clone();
        drop(sender);
        assert_eq!(other.send(Key::account(1), "a4"), None);
        drop(other);
        assert_eq!(receiver.recv(), None);
        let ended = receiver.recv_timeout(Duration::from_secs(60));
        assert_eq!(ended, Err(RecvTimeoutError::Disconnected));
    }
}
