//! The search in messages: what people ask for (`query`), the text index beside the store (`text_index`), and the thread
//! that keeps the index and runs searches, one after the other.
//!
//! The thread never touches the writer's transaction. While messages come fast it indexes nothing, unless a search
//! waits. The first search on a replica makes its index; until then nothing is indexed, because that costs a replica
//! that nobody searches as much as the messages themselves.

mod query;
mod run;
mod text_index;
mod units;

use std::{
    io,
    path::{Path, PathBuf},
    sync::mpsc::RecvTimeoutError,
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tercet_core::id::StoreId;
use tercet_types::{
    fair::Key,
    fair_channel::{self, Receiver, Sender},
};
use tokio::sync::oneshot;

use self::text_index::TextIndex;
pub use self::{
    query::{SearchQuery, parse},
    run::{Hit, NotSearched, Search, SearchPage},
};
use super::{ReadError, StoreError, queries, schema};

/// Searches that may wait.
const WAITING_MAX: usize = 256;
/// Entries of the log whose messages are indexed at once: about 20 ms of work.
const PIECE: u64 = 1_000;
/// The time for which a search waits for messages to be indexed.
const CATCH_UP_MAX: Duration = Duration::from_secs(1);
/// The interval at which the thread looks for new messages.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Entries a second above which the thread leaves the machine to the writes.
const BUSY_RATE: f64 = 2_000.0;
/// The rest after a piece, in times of its duration.
const REST: u32 = 4;
/// The time for which the thread leaves an index alone that failed, as on a full disk.
const PAUSE: Duration = Duration::from_secs(60);
/// By how much the thread stands back behind the others of the process.
const NICE: i32 = 15;

type Answer = Result<Result<SearchPage, NotSearched>, ReadError>;

struct Job {
    search: Search,
    reply: oneshot::Sender<Answer>,
}

/// The channel to the thread. Cheap to clone. When the last clone is dropped the thread ends.
#[derive(Clone)]
pub struct SearchThread(Sender<Job>);

impl SearchThread {
    /// Starts the thread of the store in a data directory.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(dir: &Path, store: StoreId) -> io::Result<SearchThread> {
        let indexer = Indexer {
            dir: dir.to_owned(),
            store,
            open: None,
            paused_until: None,
        };
        let (jobs, queue) = fair_channel::channel(WAITING_MAX);
        thread::Builder::new()
            .name("search".into())
            .spawn(move || serve(indexer, &queue))?;
        Ok(SearchThread(jobs))
    }

    /// Runs a search in turn with those of other callers, on all that was committed before this call, as far as it can be
    /// indexed within a second.
    ///
    /// # Errors
    /// `Busy` when too many searches wait.
    pub async fn search(&self, key: Key, search: Search) -> Answer {
        let (reply, answer) = oneshot::channel();
        if let Some(refused) = self.0.send(key, Job { search, reply }) {
            // A caller that went away is normal.
            let _ = refused.reply.send(Err(ReadError::Busy));
        }
        answer.await.unwrap_or(Err(ReadError::Broken))
    }
}

fn serve(mut indexer: Indexer, queue: &Receiver<Job>) {
    // Without it the thread only takes a greater share of a busy machine.
    let _ = rustix::process::nice(NICE);
    let mut rest = LOOK_INTERVAL;
    let mut seen: Option<(Instant, u64)> = None;
    loop {
        match queue.recv_timeout(rest) {
            Err(RecvTimeoutError::Disconnected) => return,
            Ok(job) if job.reply.is_closed() => {}
            Ok(Job { search, reply }) => {
                let answer = indexer.answer(&search).map_err(ReadError::Store);
                let _ = reply.send(answer);
            }
            Err(RecvTimeoutError::Timeout) => rest = indexer.index_some(&mut seen),
        }
    }
}

/// The index, and the state that it follows.
struct Indexer {
    dir: PathBuf,
    store: StoreId,
    open: Option<Open>,
    /// Set while the thread leaves the index alone.
    paused_until: Option<Instant>,
}

struct Open {
    state: Connection,
    index: TextIndex,
}

impl Open {
    fn applied(&self) -> Result<u64, StoreError> {
        queries::applied_lsn(&self.state)
    }

    /// Indexes the messages of the next entries, and erases what they removed.
    fn index_piece(&mut self, applied: u64) -> Result<(), StoreError> {
        let after = self.index.through;
        let through = applied.min(after.saturating_add(PIECE));
        for (conversation_id, last) in run::removed_between(&self.state, after, through)? {
            if !self.index.erase(conversation_id, last)? {
                // The next piece goes on.
                return Ok(());
            }
        }
        let texts = run::texts_between(&self.state, after, through)?;
        self.index.add(&texts, through)
    }
}

impl Indexer {
    fn open(&mut self) -> Result<&mut Open, StoreError> {
        if self.open.is_some() && !text_index::exists(&self.dir) {
            // Somebody deleted the file.
            self.open = None;
        }
        if self.open.is_none() {
            let state = schema::open_reader(&self.dir)?;
            let applied = queries::applied_lsn(&state)?;
            let index = TextIndex::open(&self.dir, self.store, applied)?;
            self.open = Some(Open { state, index });
        }
        Ok(self.open.as_mut().expect("it was opened"))
    }

    /// Indexes what was applied, within a bounded time, and runs a search.
    fn answer(&mut self, search: &Search) -> Result<Result<SearchPage, NotSearched>, StoreError> {
        let started = Instant::now();
        let open = self.open()?;
        let target = open.applied()?;
        let mut failure = None;
        while open.index.through < target && started.elapsed() < CATCH_UP_MAX {
            if let Err(error) = open.index_piece(target) {
                failure = Some(error);
                break;
            }
        }
        let answer = run::run(search, &open.state, &open.index, target);
        if let Some(error) = failure {
            self.failed(&error);
        } else if let Err(error) = &answer {
            self.failed(error);
        }
        answer
    }

    /// Indexes a piece if there is one and the machine has time; gives the time to rest. `seen` is what was applied at
    /// the last look.
    fn index_some(&mut self, seen: &mut Option<(Instant, u64)>) -> Duration {
        if self
            .paused_until
            .is_some_and(|until| Instant::now() < until)
        {
            return LOOK_INTERVAL;
        }
        self.paused_until = None;
        if !text_index::exists(&self.dir) {
            self.open = None;
            return LOOK_INTERVAL;
        }
        let started = Instant::now();
        match self.try_index_some(seen) {
            Ok(true) => REST * started.elapsed(),
            Ok(false) => LOOK_INTERVAL,
            Err(error) => {
                self.failed(&error);
                LOOK_INTERVAL
            }
        }
    }

    /// Tells whether there is more to index now.
    fn try_index_some(&mut self, seen: &mut Option<(Instant, u64)>) -> Result<bool, StoreError> {
        let open = self.open()?;
        let applied = open.applied()?;
        let now = Instant::now();
        let is_busy = seen.replace((now, applied)).is_some_and(|(at, before)| {
            let came = applied.saturating_sub(before) as f64;
            came > BUSY_RATE * now.duration_since(at).as_secs_f64()
        });
        if is_busy || open.index.through >= applied {
            return Ok(false);
        }
        open.index_piece(applied)?;
        Ok(open.index.through < applied)
    }

    /// Notes that the index cannot be used, and opens it again later; a damaged one is built again.
    fn failed(&mut self, error: &StoreError) {
        tracing::warn!(%error, "the text index failed; searches may lack messages for a while");
        self.open = None;
        self.paused_until = Some(Instant::now() + PAUSE);
        if matches!(error, StoreError::Corrupt(_))
            && let Err(error) = text_index::remove(&self.dir)
        {
            tracing::warn!(%error, "the damaged text index stays");
        }
    }
}
