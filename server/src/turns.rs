//! Turns: a bounded number of callers that work at once; the others wait in a fair queue.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tercet_types::fair::{FairQueue, Key};
use tokio::sync::oneshot;

/// A bounded number of concurrent turns, given out fairly. Cheap to clone; all clones share the turns.
#[derive(Clone)]
pub(crate) struct Turns(Arc<Mutex<TurnsState>>);

struct TurnsState {
    waiting: FairQueue<oneshot::Sender<Turn>>,
    free: usize,
}

/// A turn; dropping it ends the turn.
pub(crate) struct Turn(Option<Turns>);

impl Turns {
    pub(crate) fn new(at_once: usize, waiting_max: usize) -> Turns {
        Turns(Arc::new(Mutex::new(TurnsState {
            waiting: FairQueue::new(waiting_max),
            free: at_once,
        })))
    }

    /// Waits for a turn; `None` when too many callers wait.
    pub(crate) async fn take(&self, key: Key) -> Option<Turn> {
        let (give, turn) = oneshot::channel();
        let pushed = self.lock().waiting.push(key, give);
        drop(pushed);
        self.give_free();
        turn.await.ok()
    }

    /// Gives free turns to waiting callers. A caller that went away is skipped.
    fn give_free(&self) {
        loop {
            let next = {
                let mut state = self.lock();
                if state.free == 0 {
                    return;
                }
                let Some(next) = state.waiting.pop() else {
                    return;
                };
                state.free -= 1;
                next
            };
            if let Err(mut unwanted) = next.send(Turn(Some(self.clone()))) {
                unwanted.0 = None;
                self.lock().free += 1;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, TurnsState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.0.take() {
            turns.lock().free += 1;
            turns.give_free();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn turns_are_given_in_turn_and_a_caller_that_went_away_gets_none() {
        let turns = Turns::new(1, 8);
        let held = turns.take(Key::REPLICA).await.unwrap();
        let take = |account| {
            let turns = turns.clone();
            tokio::spawn(async move { turns.take(Key::account(account)).await.map(drop) })
        };
        let gone = take(1);
        let flood: Vec<_> = (0..4).map(|_| take(1)).collect();
        let other = take(2);
        while turns.waiting() < 6 {
            tokio::task::yield_now().await;
        }
        gone.abort();
        assert!(gone.await.is_err());
        drop(held);
        assert_eq!(other.await.unwrap(), Some(()));
        for caller in flood {
            assert_eq!(caller.await.unwrap(), Some(()));
        }
        assert_eq!(turns.lock().free, 1);
    }
}
