//! Programs beside state: the threads that run them, and the order of those that change one key. A program never runs on
//! the driver's thread or on those of the clients. What a program makes of a value is proposed by `rpc/state.rs`; nothing
//! here knows the log.

mod json;
mod sandbox;

use std::{
    collections::HashMap,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use tercet_types::{
    fair::Key,
    fair_channel::{self, Receiver, Sender},
};
use tokio::sync::{OwnedMutexGuard, oneshot};

use self::sandbox::Sandbox;
pub use self::sandbox::{ProgramError, Run};

/// The number of programs that run at once.
const THREADS: usize = 2;
/// Programs that may wait for a thread.
const WAITING_MAX: usize = 256;
/// Submissions that may wait for their turn at one key.
const WAITING_FOR_KEY_MAX: usize = 2_000;
/// By how much the threads stand back behind the others of the process.
const NICE: i32 = 10;
/// Nested values of a program are compared and dropped recursively; the limits of the sandbox bound the depth.
const STACK_BYTES: usize = 32 << 20;

/// A program with all that it sees.
#[derive(Clone, Debug)]
pub struct Program {
    pub text: String,
    pub arguments: Vec<String>,
    /// The name of the account that submits it.
    pub caller: String,
    /// The value of the key; `None` when it does not exist.
    pub value: Option<String>,
}

/// Why a program was not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRun {
    #[error("too many programs are waiting")]
    Busy,
    #[error("the thread of the programs failed")]
    Broken,
}

type Answer = Result<Result<Run, ProgramError>, NotRun>;

struct Job {
    program: Program,
    reply: oneshot::Sender<Answer>,
}

/// The channel to the threads. Cheap to clone. When the last clone is dropped the threads end.
#[derive(Clone)]
pub struct Programs {
    jobs: Sender<Job>,
    keys: Arc<Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>>,
}

impl Programs {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start() -> io::Result<Programs> {
        let (jobs, queue) = fair_channel::channel(WAITING_MAX);
        for number in 1..=THREADS {
            let queue = queue.clone();
            thread::Builder::new()
                .name(format!("programs-{number}"))
                .stack_size(STACK_BYTES)
                .spawn(move || serve(&queue))?;
        }
        Ok(Programs {
            jobs,
            keys: Arc::default(),
        })
    }

    /// Runs a program in turn with those of other accounts.
    ///
    /// # Errors
    /// `Busy` when too many wait.
    pub async fn run(&self, key: Key, program: Program) -> Answer {
        let (reply, answer) = oneshot::channel();
        if let Some(refused) = self.jobs.send(key, Job { program, reply }) {
            // A caller that went away is normal.
            let _ = refused.reply.send(Err(NotRun::Busy));
        }
        answer.await.unwrap_or(Err(NotRun::Broken))
    }

    /// Waits for the turn at a key of state, which lasts until the guard is dropped. Turns spare conflicts; that nothing is
    /// lost follows from compare-and-set alone.
    ///
    /// # Errors
    /// `Busy` when too many wait for the key.
    pub async fn turn(&self, key: String) -> Result<Turn, NotRun> {
        let lock = {
            let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
            let lock = keys.entry(key.clone()).or_default();
            if Arc::strong_count(lock) > WAITING_FOR_KEY_MAX {
                return Err(NotRun::Busy);
            }
            Arc::clone(lock)
        };
        // From here on a caller that goes away leaves no lock behind.
        let mut turn = Turn {
            programs: self.clone(),
            key,
            held: None,
        };
        turn.held = Some(lock.lock_owned().await);
        Ok(turn)
    }
}

/// A turn at a key, or the wait for it.
pub struct Turn {
    programs: Programs,
    key: String,
    held: Option<OwnedMutexGuard<()>>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let keys = &self.programs.keys;
        let mut keys = keys.lock().unwrap_or_else(PoisonError::into_inner);
        self.held = None;
        // Locks are cloned under the lock of the map, so nobody waits when only the map has it.
        if keys
            .get(&self.key)
            .is_some_and(|lock| Arc::strong_count(lock) == 1)
        {
            keys.remove(&self.key);
        }
    }
}

fn serve(queue: &Receiver<Job>) {
    // Without it the thread only takes a greater share of a busy machine.
    let _ = rustix::process::nice(NICE);
    let mut sandbox = Sandbox::new();
    while let Some(Job { program, reply }) = queue.recv() {
        if reply.is_closed() {
            continue;
        }
        let run = catch_unwind(AssertUnwindSafe(|| sandbox.run(&program)));
        let answer = run.map_err(|_| {
            tracing::error!(program = %program.text, "run a program: it panicked");
            sandbox = Sandbox::new();
            NotRun::Broken
        });
        let _ = reply.send(answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn programs_run_in_turn_and_a_key_is_forgotten_after_its_last_turn() {
        let programs = Programs::start().unwrap();
        let program = Program {
            text: "value = (value ?? 0) + 1".into(),
            arguments: Vec::new(),
            caller: "ann".into(),
            value: None,
        };
        let run = programs
            .run(Key::account(1), program)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(run.value.as_deref(), Some("1"));

        let first = programs.turn("k".into()).await.unwrap();
        let waiting = programs.turn("k".into());
        let other = programs.turn("l".into()).await.unwrap();
        // One that goes away before its turn leaves nothing behind.
        drop(waiting);
        drop((first, other));
        let again = programs.turn("k".into()).await.unwrap();
        assert_eq!(programs.keys.lock().unwrap().len(), 1);
        drop(again);
        assert!(programs.keys.lock().unwrap().is_empty());
    }
}
