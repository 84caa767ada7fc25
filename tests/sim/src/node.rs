//! A replica of the simulation: its machine (clock and disk, which outlive the process), and its
//! process (the core, and what the production driver keeps beside it).

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

/// A clock of its own: not set to the others' time, and a little fast or slow.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    pub offset: u64,
    /// Millionths by which it is fast.
    pub drift: i64,
    /// For how long it stood still in all.
    pub stood: u64,
    /// Until when it last did.
    pub stood_until: Option<u64>,
}

impl Clock {
    /// What it shows at real time `now`.
    #[must_use]
    pub fn at(&self, now: u64) -> Time {
        let gained = now as i128 * i128::from(self.drift) / 1_000_000;
        Time(self.offset + (now as i128 + gained) as u64 - self.stood)
    }
}

/// What a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    Write(Command),
    Read { key: u8 },
}

/// Who waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    pub client: u32,
    /// Which of its tries.
    pub attempt: u64,
}

/// What a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It happened; of a read, what was read.
    Done(Option<u64>),
    /// Not here, perhaps there.
    Elsewhere(Option<ReplicaId>),
    /// It may have happened or not.
    Unknown,
}

/// Something that reached a process.
#[derive(Clone, Debug)]
pub enum Work {
    Link {
        peer: usize,
        session: u64,
        item: Item,
    },
    Refused {
        peer: usize,
        /// At the address that the peer told.
        told: bool,
    },
    DiskDone(Vec<Done>),
    /// Nothing can be written; or, false, that is over.
    DiskFull(bool),
    /// An entry that was read for another replica is not as it was written.
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
    /// Propose what was gathered.
    Flush,
    /// A read has its data and is about to be answered.
    Confirm(Box<Read>),
    Stop,
}

/// A read under way.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    pub caller: Caller,
    pub key: u8,
    /// From the checker, at the beginning.
    pub floor: Lsn,
    /// The same of the log that it is answered from.
    pub own_floor: Lsn,
    /// What has to be applied first.
    pub target: Lsn,
    /// In which epoch it was allowed.
    pub epoch: Epoch,
    /// Where it was answered, and what.
    pub seen: (Lsn, Option<u64>),
}

/// A process whose clock stood still during a pause, and which cannot know that yet. What it answers in the
/// meantime, and what it does if nobody who knows better is left, is beyond what any protocol can mend that
/// reads under a lease and goes on alone; it is out of the model.
#[derive(Clone, Copy, Debug)]
pub struct Numb {
    /// With whom it had sessions when the pause began, a bit for each.
    pub met: u64,
    /// When it was paused.
    pub since: u64,
    /// For how long the clock stood still, microseconds.
    pub lost: u64,
    pub woken: bool,
}

impl Numb {
    /// So much lost time must be seen by the core; with less nobody was taken for dead.
    pub const SLEEP: u64 = 300_000;

    /// Whether a message that took so long shows the core that its clock stood still.
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

/// One run of a replica.
pub struct Process {
    pub replica: Replica,
    /// As of the last step.
    pub status: Status,
    pub run: Incarnation,
    /// When it started.
    pub since: u64,
    pub paused: bool,
    /// It woke from a pause, and no tick has shown it that it slept.
    pub drowsy: bool,
    /// Its clock stood still, and nothing that it read since shows that.
    pub numb: Option<Numb>,
    /// What arrived while it was paused.
    pub inbox: VecDeque<Work>,
    /// For each peer the session that stands, as this side sees it.
    pub sessions: Vec<Option<u64>>,
    /// Writes to be proposed together.
    pub gathered: Vec<(Caller, Command)>,
    pub tickets: u64,
    /// Proposed in this step, and so to be answered in it.
    pub proposed: BTreeMap<Ticket, (Caller, Command)>,
    /// In the log of this leadership, by position.
    pub accepted: BTreeMap<Lsn, (Caller, Command)>,
    /// While a lease is there: what was committed when it began. An earlier leader may have acknowledged
    /// up to there.
    pub inherited: Option<Lsn>,
    /// The last write that was acknowledged, which may not be applied durably yet.
    pub told: Lsn,
    /// Reads that wait for entries to be applied.
    pub reads: Vec<Read>,
    /// When the next tick is due; `None` while it is paused and none is scheduled.
    pub next_tick: Option<u64>,
    /// Ticks are hurried until then: a session ended.
    pub hurries_until: u64,
    pub stopping: bool,
    /// As the core was told last.
    pub roster: BTreeSet<ReplicaId>,
    /// From whom a snapshot is on its way.
    pub fetches_from: Option<usize>,
    /// The snapshot that the core is asked about.
    pub fetched: Option<Box<Prefix>>,
    /// The last of its view, on a full disk: it only reads.
    pub read_only: bool,
}

/// One replica.
pub struct Node {
    pub id: ReplicaId,
    pub clock: Clock,
    pub disk: Disk,
    pub process: Option<Process>,
    /// The host has no power: nobody refuses a connection.
    pub dark: bool,
    /// Why it stopped for good.
    pub halted: Option<Halt>,
    /// It has the disk with which the operator had the cluster made: on no other may it make one.
    pub bootstraps: bool,
    /// It is no part of the cluster: not added yet, or removed, and it knows.
    pub away: bool,
    /// Its store was found rotten at the start: nothing starts on it.
    pub refused: bool,
    /// A start is scheduled.
    pub starting: bool,
}

impl Node {
    /// The process, if it runs and is not paused.
    #[must_use]
    pub fn awake(&self) -> Option<&Process> {
        self.process.as_ref().filter(|process| !process.paused)
    }

    /// Whether nothing starts on its store until the operator sets it aside.
    #[must_use]
    pub fn is_out(&self) -> bool {
        self.refused || self.halted.is_some()
    }

    /// Whether a read may be answered now.
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
