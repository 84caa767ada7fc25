//! The threads that read for callers who must not block, each on a connection of its own. Knows
//! nothing of what is read.
//!
//! What waits is taken together and read in one transaction. Each transaction costs the locks of
//! the WAL and, when the writer has committed since the last one, everything that SQLite had
//! cached of the file; under load many reads share that.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use super::Readers;
use crate::fair::{FairQueue, Key, Pushed};

/// Reads in one transaction: what is behind a long one waits for it.
const TOGETHER_MAX: usize = 16;
/// Reads that may wait.
pub(in crate::store) const WAITING_MAX: usize = 8_192;

type Read = Box<dyn FnOnce(Result<&Readers, Busy>) + Send>;

/// Cheap to clone. When the last clone is dropped the threads end; what waits then is still read.
#[derive(Clone)]
pub struct ReadThreads {
    door: Arc<Door>,
}

/// Too many reads are waiting.
#[derive(Debug)]
pub struct Busy;

/// What callers hold; the threads hold the queue alone, or they would never end.
struct Door {
    queue: Arc<Queue>,
}

struct Queue {
    state: Mutex<State>,
    /// Something waits, or nothing will any more.
    changed: Condvar,
}

struct State {
    waiting: FairQueue<Read>,
    idle_threads: usize,
    closed: bool,
}

impl Readers {
    /// Starts the threads, once: they take their connections from this pool for good.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start_threads(&self) -> io::Result<ReadThreads> {
        let door = Arc::new(Door {
            queue: Arc::new(Queue {
                state: Mutex::new(State {
                    waiting: FairQueue::new(WAITING_MAX),
                    idle_threads: 0,
                    closed: false,
                }),
                changed: Condvar::new(),
            }),
        });
        for _ in 0..ReadThreads::COUNT {
            let (readers, queue) = (self.split_off(), Arc::clone(&door.queue));
            thread::Builder::new()
                .name("reader".into())
                .spawn(move || serve(&readers, &queue))?;
        }
        Ok(ReadThreads { door })
    }
}

impl ReadThreads {
    /// Two, so that a long read does not hold up the short ones. They share the cores with the
    /// writer, the connections and the core: more of them would only take turns.
    pub(in crate::store) const COUNT: usize = 2;

    /// Has `read` run on one of the threads, in turn with others' reads: it sees everything that was
    /// committed before this call. With too many waiting, it is run at once with [`Busy`], or another is
    /// of whoever has most waiting.
    pub(crate) fn run(&self, key: Key, read: impl FnOnce(Result<&Readers, Busy>) + Send + 'static) {
        let queue = &self.door.queue;
        let mut state = queue.lock();
        let pushed = state.waiting.push(key, Box::new(read) as Read);
        if state.idle_threads > 0 {
            queue.changed.notify_one();
        }
        drop(state);
        match pushed {
            Pushed::Queued => {}
            Pushed::Displaced(read) | Pushed::Full(read) => read(Err(Busy)),
        }
    }
}

#[cfg(test)]
impl ReadThreads {
    pub(in crate::store) fn waiting(&self) -> usize {
        self.door.queue.lock().waiting.len()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.changed.notify_all();
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for reads; none when there will be no more.
    fn take(&self) -> Vec<Read> {
        let mut state = self.lock();
        while state.waiting.is_empty() && !state.closed {
            state.idle_threads += 1;
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.idle_threads -= 1;
        }
        let in_turn = std::iter::from_fn(|| state.waiting.pop());
        in_turn.take(TOGETHER_MAX).collect()
    }
}

fn serve(readers: &Readers, queue: &Queue) {
    loop {
        let reads = queue.take();
        if reads.is_empty() {
            return;
        }
        // Begun after all of them were asked for. Without it each reads alone, and says itself
        // what is wrong with the store.
        let together = reads.len() > 1 && readers.begin().is_ok();
        for read in reads {
            // Whoever waits for it is told by the end of its channel.
            if catch_unwind(AssertUnwindSafe(|| read(Ok(readers)))).is_err() {
                tracing::error!("a read panicked");
            }
        }
        if together {
            // What came after would be shown the old state for ever.
            readers.end().expect("end a transaction that only read");
        }
    }
}
