//! A replica of the simulation: its machine (clock and disk, which outlive the process), and its process (the core,
//! and the data of the production driver).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tercet_core::{
    Replica, Status,
    effect::Halt,
    id::{Epoch, Incarnation, Lsn, ReplicaId, Ticket, Time},
    log::Entry,
};

use crate::{
    disk::Disk,
    image::{Done, Prefix},
    machine::Command,
    network::Item,
};

/// A clock of a replica: not set to the others' time, and a little fast or slow.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    pub offset: u64,
    /// The drift in millionths; positive if the clock is fast.
    pub drift: i64,
    /// The time for which it stood still, in total, microseconds.
    pub stood: u64,
    /// The end of the last time in which it stood still.
    pub stood_until: Option<u64>,
}

impl Clock {
    /// Gives the time on this clock at the real time `now`.
    #[must_use]
    pub fn at(&self, now: u64) -> Time {
        let gained = now as i128 * i128::from(self.drift) / 1_000_000;
        Time(self.offset + (now as i128 + gained) as u64 - self.stood)
    }
}

/// An operation that a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    Write(Command),
    Read { key: u8 },
}

/// The client that waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    pub client: u32,
    /// The number of its try.
    pub attempt: u64,
}

/// An answer to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The operation is done; for a read with its value.
    Done(Option<u64>),
    /// This replica does not serve; the other one may.
    Elsewhere(Option<ReplicaId>),
    /// The outcome is unknown.
    Unknown,
}

/// A piece of work for a process.
#[derive(Clone, Debug)]
pub enum Work {
    Link {
        peer: usize,
        session: u64,
        item: Item,
    },
    Refused {
        peer: usize,
        /// True if the refusal came from the address that the peer gave.
        told: bool,
    },
    DiskDone(Vec<Done>),
    /// Nothing can be written; or, with false, it can again.
    DiskFull(bool),
    /// An entry that was read for another replica is corrupt.
    BadRead,
    LogRead {
        peer: ReplicaId,
        from: Lsn,
        entries: Vec<Entry>,
    },
    /// A snapshot was fetched.
    Snapshot(Box<Prefix>),
    Request {
        caller: Caller,
        request: Request,
    },
    /// Propose the gathered writes.
    Flush,
    /// Answer a read that has its data.
    Confirm(Box<Read>),
    Stop,
}

/// A read in progress.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    pub caller: Caller,
    pub key: u8,
    /// The floor of the checker `history` at the beginning.
    pub floor: Lsn,
    /// The floor of the checker `lineage` for the log of this replica.
    pub own_floor: Lsn,
    /// The LSN that has to be applied first.
    pub target: Lsn,
    /// The epoch in which the read was allowed.
    pub epoch: Epoch,
    /// The LSN and the value of the answer.
    pub seen: (Lsn, Option<u64>),
}

/// The lost time of a process whose clock stood still during a pause, and which cannot know that yet. Its answers in
/// the meantime, and its actions if no replica is left that knows better, are outside the model: no protocol with
/// reads under a lease and with a lone survivor can prevent the harm.
#[derive(Clone, Copy, Debug)]
pub struct Numb {
    /// The peers with which it had sessions when the pause began, a bit for each.
    pub met: u64,
    /// The time at which it was paused.
    pub since: u64,
    /// The time for which the clock stood still, microseconds.
    pub lost: u64,
    pub woken: bool,
}

impl Numb {
    /// The core must notice lost time above this, microseconds; below it no replica is treated as dead.
    pub const SLEEP: u64 = 300_000;

    /// Tells whether a message with this delay shows the core that its clock stood still.
    #[must_use]
    pub fn is_shown(self, delay: u64) -> bool {
        let least = if self.lost > Numb::SLEEP {
            260_000
        } else {
            90_000
        };
        self.lost > delay + least
    }
}

/// A run of a replica.
pub struct Process {
    pub replica: Replica,
    /// The status after the last step.
    pub status: Status,
    pub run: Incarnation,
    /// The time at which it started.
    pub since: u64,
    pub paused: bool,
    /// True if it woke from a pause, and no tick has shown it yet that it slept.
    pub drowsy: bool,
    /// The lost time of its clock, if it stood still and no message that it read since shows that.
    pub numb: Option<Numb>,
    /// The work that arrived while it was paused.
    pub inbox: VecDeque<Work>,
    /// The present session with each peer, as this side sees it.
    pub sessions: Vec<Option<u64>>,
    /// The writes that will be proposed together.
    pub gathered: Vec<(Caller, Command)>,
    pub tickets: u64,
    /// The proposals of this step, which must be answered in it.
    pub proposed: BTreeMap<Ticket, (Caller, Command)>,
    /// The accepted proposals of this leadership, by LSN.
    pub accepted: BTreeMap<Lsn, (Caller, Command)>,
    /// The commit position when the present lease began. An earlier leader may have acknowledged up to it.
    pub inherited: Option<Lsn>,
    /// The LSN of the last write that was acknowledged, which may not be applied durably yet.
    pub told: Lsn,
    /// The reads that wait for entries to be applied.
    pub reads: Vec<Read>,
    /// The time of the next tick; `None` while it is paused and none is scheduled.
    pub next_tick: Option<u64>,
    /// The time until which ticks are more frequent, because a session ended.
    pub hurries_until: u64,
    pub stopping: bool,
    /// The roster that the core got last.
    pub roster: BTreeSet<ReplicaId>,
    /// The peer from which a snapshot is on its way.
    pub fetches_from: Option<usize>,
    /// The snapshot that is being offered to the core.
    pub fetched: Option<Box<Prefix>>,
    /// True if it only reads, as the last of its view on a full disk.
    pub read_only: bool,
}

/// A replica of the simulation.
pub struct Node {
    pub id: ReplicaId,
    pub clock: Clock,
    pub disk: Disk,
    pub process: Option<Process>,
    /// True if the host has no power: then connections are not refused but silent.
    pub dark: bool,
    /// The reason why it stopped for good.
    pub halted: Option<Halt>,
    /// True if it has the disk with which the operator made the cluster: with no other may it make one.
    pub bootstraps: bool,
    /// True if it is not part of the cluster, because it was not added yet, or was removed and knows it.
    pub away: bool,
    /// True if its store was found corrupt at the start: no process starts on it.
    pub refused: bool,
    /// True if a start is scheduled.
    pub starting: bool,
}

impl Node {
    /// Gives the process, if it runs and is not paused.
    #[must_use]
    pub fn awake(&self) -> Option<&Process> {
        self.process.as_ref().filter(|process| !process.paused)
    }

    /// Tells whether no process starts on its store until the operator sets it aside.
    #[must_use]
    pub fn is_out(&self) -> bool {
        self.refused || self.halted.is_some()
    }

    /// Tells whether a read may be answered now.
    #[must_use]
    pub fn may_read(&self, now: u64) -> bool {
        self.process.as_ref().is_some_and(|process| {
            let lease = process.replica.lease_until();
            process.status.serving
                && process.numb.is_none()
                && lease.is_some_and(|until| self.clock.at(now) < until)
        })
    }
}
