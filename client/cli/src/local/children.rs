//! The processes of `tercet local`, which it starts, watches and stops.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::layout::Layout;
use crate::failure::Failure;
use crate::output::notice;

/// The time that one replica may take to end before the next one is stopped.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(3);
/// The time that all replicas may take to end before they are killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
const KILL_TIMEOUT: Duration = Duration::from_secs(2);
const LOG_LINES: usize = 12;
const LOG_BYTES_MAX: u64 = 64 * 1024;

/// Variables for the person who runs `tercet local`, or for one other replica; its replicas do not get
/// them.
const PRIVATE_VARIABLES: [&str; 8] = [
    "TERCET_PASSWORD",
    "TERCET_NEW_PASSWORD",
    "TERCET_TOKEN",
    "TERCET_PEER_SECRET",
    "TERCET_ADMIN_TOKEN",
    "TERCET_ADDRESS",
    "TERCET_PEER_ADDRESS",
    "TERCET_JOIN",
];

pub struct Children {
    layout: Layout,
    /// The processes of the replicas that run, by id.
    pids: BTreeMap<u16, u32>,
    /// The length of each log when its replica was started.
    log_starts: BTreeMap<u16, u64>,
    exits: mpsc::Receiver<(u16, io::Result<ExitStatus>)>,
    tell_exit: mpsc::Sender<(u16, io::Result<ExitStatus>)>,
}

/// A replica has ended.
pub struct Exit {
    pub id: u16,
    /// The exit status in words: `exit status: 1`.
    pub how: String,
}

impl Children {
    pub fn new(layout: Layout) -> Children {
        let (tell_exit, exits) = mpsc::channel(16);
        Children {
            layout,
            pids: BTreeMap::new(),
            log_starts: BTreeMap::new(),
            exits,
            tell_exit,
        }
    }

    /// Starts every replica. If one fails, the others still run and must be stopped.
    ///
    /// # Errors
    /// When a log cannot be opened or the program not run.
    pub fn start_all(&mut self) -> Result<(), Failure> {
        self.layout.ids().try_for_each(|id| {
            let started = self.start(id);
            started.map_err(|error| Failure::io(&format!("start replica {id}"), &error))
        })
    }

    fn start(&mut self, id: u16) -> io::Result<()> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.layout.log_file(id))?;
        self.log_starts.insert(id, log.metadata()?.len());
        let argv = self.layout.argv(id);
        let mut command = Command::new(&argv[0]);
        command
            .args(&argv[1..])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C on the terminal is for this process, which stops them in order.
            .process_group(0);
        for variable in PRIVATE_VARIABLES {
            command.env_remove(variable);
        }
        let mut child = command.spawn()?;
        let pid = child.id().ok_or(io::ErrorKind::NotFound)?;
        self.pids.insert(id, pid);
        let tell_exit = self.tell_exit.clone();
        tokio::spawn(async move {
            let status = child.wait().await;
            let _ = tell_exit.send((id, status)).await; // nobody listens at the very end
        });
        Ok(())
    }

    pub fn pid(&self, id: u16) -> Option<u32> {
        self.pids.get(&id).copied()
    }

    pub fn all_gone(&self) -> bool {
        self.pids.is_empty()
    }

    /// Waits until a replica ends. The future may be dropped and the call repeated.
    pub async fn next_exit(&mut self) -> Exit {
        match self.exits.recv().await {
            Some((id, status)) => {
                self.pids.remove(&id);
                let how = status.map_or_else(|error| error.to_string(), |s| s.to_string());
                Exit { id, how }
            }
            None => std::future::pending().await, // never: this holds a sender
        }
    }

    /// Gives the last lines that a replica wrote since it was started.
    pub fn log_tail(&self, id: u16) -> String {
        let start = self.log_starts.get(&id).copied().unwrap_or(0);
        let path = self.layout.log_file(id);
        read_tail(&path, start).unwrap_or_else(|error| format!("read its log: {error}"))
    }

    /// Stops every replica, the highest id first, so that the leader leaves last.
    pub async fn stop_all(&mut self) {
        let deadline = Instant::now() + STOP_TIMEOUT;
        for id in self.layout.ids().rev() {
            if self.signal(id, Signal::TERM) {
                let limit = deadline.min(Instant::now() + LEAVE_TIMEOUT);
                self.wait_for_exit_of(|pids| !pids.contains_key(&id), limit)
                    .await;
            }
        }
        self.wait_for_exit_of(BTreeMap::is_empty, deadline).await;
        for id in self.layout.ids() {
            if self.signal(id, Signal::KILL) {
                notice(&format!("replica {id} did not stop in time and was killed"));
            }
        }
        let limit = Instant::now() + KILL_TIMEOUT;
        self.wait_for_exit_of(BTreeMap::is_empty, limit).await;
    }

    async fn wait_for_exit_of(
        &mut self,
        done: impl Fn(&BTreeMap<u16, u32>) -> bool,
        limit: Instant,
    ) {
        while !done(&self.pids) {
            if timeout_at(limit, self.next_exit()).await.is_err() {
                return;
            }
        }
    }

    /// Signals a replica; false if it has ended already.
    fn signal(&self, id: u16, signal: Signal) -> bool {
        let pid = self.pids.get(&id).and_then(|pid| i32::try_from(*pid).ok());
        let pid = pid.and_then(Pid::from_raw);
        pid.is_some_and(|pid| kill_process(pid, signal).is_ok())
    }
}

fn read_tail(path: &Path, start: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let end = file.metadata()?.len();
    file.seek(SeekFrom::Start(
        start.max(end.saturating_sub(LOG_BYTES_MAX)),
    ))?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.len().saturating_sub(LOG_LINES);
    Ok(lines[last..].join("\n"))
}
