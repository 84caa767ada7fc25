//! The budget of bytes that are held for clients: requests that are not answered, and answers that are not read.
//! The process has one, and each connection.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// Bytes held for all connections together.
const PROCESS_BYTES_MAX: usize = 128 << 20;

/// Bytes held for one connection.
const CONNECTION_BYTES_MAX: usize = 12 << 20;

/// The bytes that are held for all connections.
#[derive(Default)]
pub(super) struct Process {
    held: AtomicUsize,
    /// Notified when the budget is exhausted: the connection with most bytes is closed then.
    crowded: Notify,
}

impl Process {
    /// Resolves when the budget of the process was too small for a request or an answer.
    pub(super) async fn crowded(&self) {
        self.crowded.notified().await;
    }
}

/// The budget of one connection, beside that of the process.
pub(super) struct Budget {
    held: AtomicUsize,
    process: Arc<Process>,
}

impl Budget {
    pub(super) fn new(process: Arc<Process>) -> Budget {
        Budget {
            held: AtomicUsize::new(0),
            process,
        }
    }

    /// Gives the bytes that are held for the connection.
    pub(super) fn held_bytes(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

/// A budget is exhausted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many bytes are held for others")]
pub(crate) struct TooMuch;

/// A part of both budgets, given back when dropped.
pub(crate) struct Held {
    budget: Arc<Budget>,
    bytes: AtomicUsize,
}

impl Held {
    pub(super) fn nothing(budget: Arc<Budget>) -> Held {
        Held {
            budget,
            bytes: AtomicUsize::new(0),
        }
    }

    /// Moves so many of the bytes that are held to a part of their own; all of them where there are fewer.
    pub(crate) fn split(&self, bytes: usize) -> Held {
        let all = self.bytes.load(Ordering::Relaxed);
        let bytes = bytes.min(all);
        self.bytes.store(all - bytes, Ordering::Relaxed);
        Held {
            budget: Arc::clone(&self.budget),
            bytes: AtomicUsize::new(bytes),
        }
    }

    /// Changes the number of bytes. For one task at a time.
    ///
    /// # Errors
    /// When a budget has no room for them. Then nothing changes.
    pub(crate) fn set(&self, bytes: usize) -> Result<(), TooMuch> {
        let before = self.bytes.load(Ordering::Relaxed);
        if bytes == before {
            return Ok(());
        }
        if let Some(more @ 1..) = bytes.checked_sub(before) {
            take(&self.budget.held, more, CONNECTION_BYTES_MAX)?;
            if let Err(too_much) = take(&self.budget.process.held, more, PROCESS_BYTES_MAX) {
                self.budget.held.fetch_sub(more, Ordering::Relaxed);
                self.budget.process.crowded.notify_one();
                return Err(too_much);
            }
        } else {
            self.give_back(before - bytes);
        }
        self.bytes.store(bytes, Ordering::Relaxed);
        Ok(())
    }

    fn give_back(&self, bytes: usize) {
        self.budget.held.fetch_sub(bytes, Ordering::Relaxed);
        self.budget.process.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.give_back(self.bytes.load(Ordering::Relaxed));
    }
}

fn take(held: &AtomicUsize, bytes: usize, bytes_max: usize) -> Result<(), TooMuch> {
    let fits = |held: usize| held.checked_add(bytes).filter(|sum| *sum <= bytes_max);
    let taken = held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
    taken.map(drop).map_err(|_| TooMuch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(process: &Arc<Process>) -> Arc<Budget> {
        Arc::new(Budget::new(Arc::clone(process)))
    }

    fn held(process: &Process) -> usize {
        process.held.load(Ordering::Relaxed)
    }

    #[test]
    fn connection_has_a_share_and_gives_it_back() {
        let process = Arc::new(Process::default());
        let (greedy, other) = (connection(&process), connection(&process));
        let all = Held::nothing(Arc::clone(&greedy));
        all.set(CONNECTION_BYTES_MAX).unwrap();
        let more = Held::nothing(Arc::clone(&greedy));
        assert_eq!(more.set(1), Err(TooMuch));
        let of_other = Held::nothing(other);
        of_other.set(1_000).unwrap();
        all.set(10).unwrap();
        more.set(1).unwrap();
        assert_eq!(held(&process), 1_011);
        let part = all.split(4);
        assert_eq!(held(&process), 1_011);
        drop(all);
        assert_eq!(held(&process), 1_005);
        drop((part, more, of_other));
        assert_eq!(held(&process), 0);
    }

    #[tokio::test]
    async fn process_has_a_bound_and_says_when_it_is_reached() {
        let process = Arc::new(Process::default());
        let fill = || {
            let held = Held::nothing(connection(&process));
            held.set(CONNECTION_BYTES_MAX).map(|()| held)
        };
        let held: Vec<Held> = std::iter::from_fn(|| fill().ok()).collect();
        assert_eq!(held.len(), PROCESS_BYTES_MAX / CONNECTION_BYTES_MAX);
        process.crowded().await;
        drop(held);
        assert!(fill().is_ok());
    }
}
