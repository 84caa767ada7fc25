//! The reader threads: they run queries for callers that must not block, each on its own connection. They know
//! nothing of single queries.
//!
//! All waiting reads run in one transaction. Each transaction costs the locks of the WAL and, if the writer has
//! committed since the last one, SQLite's whole cache; under load many reads share this cost.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use tercet_types::fair::{FairQueue, Key, Pushed};
use tokio::sync::oneshot;

use super::{super::StoreError, Query, Readers};

/// Reads in one transaction, so the number that a long read can delay.
const TOGETHER_MAX: usize = 16;
/// Reads that may wait.
pub(crate) const WAITING_MAX: usize = 8_192;

type Job = Box<dyn FnOnce(Result<&Readers, Busy>) + Send>;

/// The queue to the reader threads. Cheap to clone. When the last clone is dropped the threads end, after the
/// waiting reads.
#[derive(Clone)]
pub struct ReadThreads {
    door: Arc<Door>,
}

/// Too many reads are waiting.
#[derive(Debug)]
pub(crate) struct Busy;

/// Why a read gave no rows.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("too many reads are waiting")]
    Busy,
    #[error("the read of the store broke off")]
    Broken,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The callers' end of the queue; the threads hold only the queue, or they would never end.
struct Door {
    queue: Arc<Queue>,
}

struct Queue {
    state: Mutex<State>,
    /// Signals that a read waits, or that no more will come.
    changed: Condvar,
}

struct State {
    waiting: FairQueue<Job>,
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
    /// The number of threads: two, so that a long read does not delay the short ones. They share the cores with
    /// the writer, the connections and the core, so more threads would only take turns.
    pub(crate) const COUNT: usize = 2;

    /// Runs a query on one of the threads, in turn with other callers. It sees everything that was committed
    /// before this call.
    ///
    /// # Errors
    /// `Busy` when the queue is full and this read is the newest of the caller with the most waiting reads.
    pub async fn read<Q: Query>(&self, key: Key, query: Q) -> Result<Q::Rows, ReadError> {
        let (reply, rows) = oneshot::channel();
        self.run(key, move |readers| {
            // A caller that went away is normal.
            if !reply.is_closed() {
                let rows = match readers {
                    Ok(readers) => readers.read(&query).map_err(ReadError::Store),
                    Err(Busy) => Err(ReadError::Busy),
                };
                let _ = reply.send(rows);
            }
        });
        rows.await.unwrap_or(Err(ReadError::Broken))
    }

    /// Queues a job; when the queue is full, the one that does not fit runs at once with [`Busy`].
    pub(crate) fn run(&self, key: Key, job: impl FnOnce(Result<&Readers, Busy>) + Send + 'static) {
        let queue = &self.door.queue;
        let mut state = queue.lock();
        let pushed = state.waiting.push(key, Box::new(job) as Job);
        if state.idle_threads > 0 {
            queue.changed.notify_one();
        }
        drop(state);
        match pushed {
            Pushed::Queued => {}
            Pushed::Displaced(job) | Pushed::Full(job) => job(Err(Busy)),
        }
    }
}

#[cfg(test)]
impl ReadThreads {
    pub(crate) fn waiting(&self) -> usize {
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
    fn take(&self) -> Vec<Job> {
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
        // The transaction begins after all of these reads were requested. Without it each read runs alone and
        // reports the store's error itself.
        let together = reads.len() > 1 && readers.begin().is_ok();
        for read in reads {
            // A caller of a panicked read sees the end of its channel.
            if catch_unwind(AssertUnwindSafe(|| read(Ok(readers)))).is_err() {
                tracing::error!("a read panicked");
            }
        }
        if together {
            // Later reads would otherwise see the old state for ever.
            readers.end().expect("end a transaction that only read");
        }
    }
}
