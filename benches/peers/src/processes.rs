//! The servers' processes. A server and all its children work in the server's own directory, so
//! what runs there is known for ours, whoever started it and whatever its id is.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

const END_LIMIT: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The processes whose working directory is this one, or below it.
pub fn below(dir: &Path) -> Result<Vec<Pid>> {
    let dir = dir.canonicalize().context("find the servers' directory")?;
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let id = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let Some(pid) = id.and_then(Pid::from_raw) else {
            continue;
        };
        // It may have ended since, or be another user's.
        if fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(&dir)) {
            found.push(pid);
        }
    }
    Ok(found)
}

/// Processor time that the processes there, and their children that have ended, have used so far.
pub fn cpu_below(dir: &Path) -> Result<Duration> {
    let mut all = Duration::ZERO;
    for pid in below(dir)? {
        match cpu(&pid.as_raw_nonzero().to_string()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            known => all += known.with_context(|| format!("read the times of {pid:?}"))?,
        }
    }
    Ok(all)
}

pub fn own_cpu() -> Result<Duration> {
    cpu("self").context("read the times of this process")
}

/// SIGKILL for all there; returns at once. PostgreSQL gets SIGQUIT, with which it ends at once too:
/// by SIGKILL it leaves shared memory behind that belongs to no directory.
pub fn kill_below(dir: &Path) -> Result<()> {
    for pid in below(dir)? {
        let signal = match name(pid).as_deref() {
            Some("postgres") => Signal::QUIT,
            _ => Signal::KILL,
        };
        match kill_process(pid, signal) {
            Err(rustix::io::Errno::SRCH) => {}
            killed => killed.with_context(|| format!("kill {pid:?}"))?,
        }
    }
    Ok(())
}

/// # Errors
/// When one is still there after half a minute.
pub async fn await_none_below(dir: &Path) -> Result<()> {
    let deadline = Instant::now() + END_LIMIT;
    loop {
        let left = below(dir)?;
        if left.is_empty() {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{left:?} did not end");
        sleep(LOOK_AGAIN).await;
    }
}

/// Nothing if the process has ended.
fn name(pid: Pid) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero())).ok()?;
    Some(name.trim_end().to_owned())
}

fn cpu(process: &str) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let ticks = ticks(&stat).ok_or(io::ErrorKind::InvalidData)?;
    let seconds = ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
    Ok(Duration::from_secs_f64(seconds))
}

/// utime, stime, cutime and cstime (proc_pid_stat(5)) in one.
fn ticks(stat: &str) -> Option<u64> {
    // The second field, the name, may hold spaces and parentheses.
    let (_, rest) = stat.rsplit_once(')')?;
    let times = rest.split_ascii_whitespace().skip(11).take(4);
    times.map(|time| time.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 9 9 9 9 100 20 3 4 20 0 1 0 5 6 7";
        assert_eq!(ticks(stat), Some(127));
        assert_eq!(ticks("7 (a) S 1"), Some(0));
        assert_eq!(ticks("nothing"), None);
    }

    #[test]
    fn a_process_is_found_by_where_it_works() {
        let here = std::env::current_dir().unwrap();
        let own = rustix::process::getpid();
        assert!(below(&here).unwrap().contains(&own));
        assert!(!below(Path::new("/proc")).unwrap().contains(&own));
    }
}
