//! The options of the failover drill of `tercet bench`.

use std::time::Duration;

use clap::ValueEnum;

use super::values::{some_time, whole};

/// Killing leaders meanwhile.
#[derive(Debug, Clone, clap::Args)]
pub struct Drill {
    /// Kill the leader every this many seconds, the first time after half of that, start it again after a
    /// quarter of that, and measure the gap: the longest time between two answers around the kill. On this
    /// machine the process that listens at the leader's address is killed, and started again as it was.
    /// Each kill waits until all replicas are in the view and the lowest leads
    #[arg(long, value_name = "SECONDS", value_parser = some_time)]
    pub kill_leader_every: Option<Duration>,
    /// Stop after this many kills, if that is before the end of --duration
    #[arg(long, value_name = "N", requires = "kill_leader_every", value_parser = whole(1..=100_000))]
    pub kills: Option<u32>,
    /// The signal: SIGKILL, SIGSTOP (then SIGCONT), or SIGTERM, which is a graceful stop
    #[arg(
        long,
        value_enum,
        default_value = "kill",
        requires = "kill_leader_every"
    )]
    pub signal: Signal,
    /// A command that kills the leader in place of a signal; `sh -c` runs it with TERCET_LEADER_ID and
    /// TERCET_LEADER_ADDRESS
    #[arg(
        long,
        value_name = "CMD",
        requires = "kill_leader_every",
        conflicts_with = "signal"
    )]
    pub kill_command: Option<String>,
    /// A command that starts the leader again, run in the same way. Without it, after a --kill-command, a
    /// supervisor must start it
    #[arg(long, value_name = "CMD", requires = "kill_leader_every")]
    pub restart_command: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Signal {
    Kill,
    Stop,
    Term,
}

impl Signal {
    /// Gives the participle for a report: a process was killed, paused or stopped.
    pub fn done(self) -> &'static str {
        match self {
            Signal::Kill => "killed",
            Signal::Stop => "paused",
            Signal::Term => "stopped",
        }
    }
}
