//! Fault injection: a leader is killed and started again, as a process of this machine or by commands.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, kill_process};
use tercet_client::Replica;
use tokio::process::Command;
use tokio::time::Instant;

use super::options::{Drill, Signal};
use super::proc::{self, Start};
use super::process_stats::find;
use crate::output::notice;
use crate::poll;

/// The time that a process may take to end.
const END_TIMEOUT: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A leader that was killed.
pub enum Victim {
    /// The process has ended; `start` describes how it was started.
    Gone { start: Box<Start> },
    /// The process is paused.
    Paused { pid: u32 },
    /// A command killed the leader.
    Commanded,
}

/// Kills the leader, and waits until its process has ended or is paused.
///
/// # Errors
/// If the leader cannot be killed or started; the text is for people.
pub async fn kill(options: &Drill, leader: &Replica) -> Result<Victim, String> {
    if let Some(command) = &options.kill_command {
        run(command, leader).await?;
        return Ok(Victim::Commanded);
    }
    let pid = find(leader).await.ok_or_else(|| not_here(leader))?;
    let start = proc::start(pid).map_err(|error| format!("look at process {pid}: {error}"))?;
    signal(pid, options.signal.number())?;
    if options.signal == Signal::Stop {
        return Ok(Victim::Paused { pid });
    }
    let deadline = Instant::now() + END_TIMEOUT;
    let ended = poll::until(deadline, LOOK_AGAIN, async || {
        if proc::is_gone(pid) { Ok(()) } else { Err(()) }
    });
    let ended = ended.await;
    ended.map_err(|()| format!("replica {} did not end", leader.id))?;
    let start = Box::new(start);
    Ok(Victim::Gone { start })
}

/// Starts a killed leader again, unless a supervisor does.
///
/// # Errors
/// If the leader cannot be killed or started; the text is for people.
pub async fn restart(options: &Drill, leader: &Replica, victim: Victim) -> Result<(), String> {
    match (victim, &options.restart_command) {
        (Victim::Paused { pid }, _) => signal(pid, rustix::process::Signal::CONT),
        (_, Some(command)) => run(command, leader).await,
        (Victim::Commanded, None) => Ok(()),
        (Victim::Gone { start }, None) => {
            if find(leader).await.is_none() {
                let pid = start_again(&start)
                    .map_err(|error| format!("start replica {} again: {error}", leader.id))?;
                notice(&format!(
                    "replica {} runs again, as process {pid}",
                    leader.id
                ));
            }
            Ok(())
        }
    }
}

pub fn not_here(replica: &Replica) -> String {
    let Replica { id, address } = replica;
    format!("no process that may be killed from here listens at {address}, where replica {id} is")
}

impl Signal {
    fn number(self) -> rustix::process::Signal {
        match self {
            Signal::Kill => rustix::process::Signal::KILL,
            Signal::Stop => rustix::process::Signal::STOP,
            Signal::Term => rustix::process::Signal::TERM,
        }
    }
}

fn signal(pid: u32, signal: rustix::process::Signal) -> Result<(), String> {
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let raw = raw.ok_or_else(|| format!("{pid} is no process"))?;
    kill_process(raw, signal).map_err(|error| format!("signal process {pid}: {error}"))
}

async fn run(command: &str, leader: &Replica) -> Result<(), String> {
    let ended = Command::new("sh")
        .args(["-c", command])
        .env("TERCET_LEADER_ID", leader.id.to_string())
        .env("TERCET_LEADER_ADDRESS", &leader.address)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .await;
    let status = ended.map_err(|error| format!("run `{command}`: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("`{command}` failed ({status})"))
    }
}

/// Starts a process again as it was started before, with the same output files. The process outlives this
/// program.
fn start_again(start: &Start) -> std::io::Result<u32> {
    let output = |file: &Option<PathBuf>| match file {
        Some(file) => Ok(OpenOptions::new().append(true).open(file)?.into()),
        None => Ok::<Stdio, std::io::Error>(Stdio::null()),
    };
    let mut command = Command::new(&start.program);
    if let [name, arguments @ ..] = &start.argv[..] {
        command.arg0(name).args(arguments);
    }
    let child = command
        .env_clear()
        .envs(start.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&start.directory)
        .stdin(Stdio::null())
        .stdout(output(&start.stdout)?)
        .stderr(output(&start.stderr)?)
        .process_group(0)
        .spawn()?;
    child
        .id()
        .ok_or_else(|| std::io::ErrorKind::NotFound.into())
}
