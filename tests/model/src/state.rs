//! The state of the model: the replicas, each with its disk, and the acknowledged writes.

use std::fmt;

use crate::{
    log::{Epoch, Id, Log, Members, Payload, REPLICAS_MAX, Rank, Set},
    scope::{Mode, Scope},
};

/// One replica. Its promise, and what is in `disk`, survive a crash; so does `commit`, which
/// stands for the position up to which the state tables were brought.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Replica {
    pub up: bool,
    /// It found that what it knew to be committed is not in the leader's log, and stopped.
    pub diverged: bool,
    /// The number of times that its disk was replaced.
    pub store: u8,
    /// The highest epoch promised. A promise is on disk before anybody hears of it.
    pub promised: Epoch,
    /// The log in memory. It differs from `disk` only in a leader: what another replica has not
    /// fsynced is seen by nobody, so it may as well not have been delivered.
    pub log: Log,
    pub disk: Log,
    /// Everything up to here is committed, as far as this replica knows.
    pub commit: u8,
    /// "Up without a break since I learnt that a Config with me in it was committed."
    pub active: bool,
    /// Mode available: whom this replica takes for dead. Set by a crash, cleared when they speak.
    pub dead: Set,
    /// The position of the Config in the Append that made this replica active, if that Append may
    /// arrive again; else 0.
    pub repeat: u8,
    pub role: Role,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    Follower,
    /// Of the epoch it promised itself, with the promises it holds.
    Candidate {
        votes: [Option<Vote>; REPLICAS_MAX],
    },
    /// Of the epoch it promised itself.
    Leader {
        /// The length of the leader's log that each other replica has acknowledged as on its disk.
        matched: [u8; REPLICAS_MAX],
        /// Live members that were told that they are none, and have answered that they know.
        dismissed: Set,
    },
}

/// The vote state that a replica sends with its promise.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Vote {
    pub rank: Rank,
    pub store: u8,
    pub commit: u8,
}

/// The numbers of events that the scope bounds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Spent {
    pub writes: u8,
    pub crashes: u8,
    pub wipes: u8,
    pub ballots: u8,
    pub suspicions: u8,
    pub dismissals: u8,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State {
    pub replicas: Vec<Replica>,
    pub spent: Spent,
    /// Everything that any leader ever committed: an observer's knowledge, no replica's.
    pub committed: Log,
    /// A leader committed something else at a position that was committed already.
    pub lost: bool,
}

impl State {
    /// A new cluster just founded: replica 1 leads, everybody has and knows the first Config.
    #[must_use]
    pub fn founded(scope: &Scope) -> State {
        let members = Set::all(scope.replicas).ids();
        let members = members.fold(Members::default(), |m, id| m.with(id, 0));
        let epoch = Epoch::NONE.next_of(0);
        let mut log = Log::EMPTY;
        log.push(epoch, Payload::Config(members));
        let replica = |id: Id| Replica {
            up: true,
            diverged: false,
            store: 0,
            promised: epoch,
            log,
            disk: log,
            commit: 1,
            active: scope.mode == Mode::Available,
            dead: Set::EMPTY,
            repeat: 0,
            role: match id {
                0 => Role::Leader {
                    matched: [1; REPLICAS_MAX],
                    dismissed: Set::EMPTY,
                },
                _ => Role::Follower,
            },
        };
        State {
            replicas: (0..usize::from(scope.replicas)).map(replica).collect(),
            spent: Spent::default(),
            committed: log,
            lost: false,
        }
    }

    pub fn ids(&self) -> std::ops::Range<Id> {
        0..self.replicas.len()
    }

    /// Two replicas exchange a message: neither takes the other for dead any more.
    pub fn speak(&mut self, a: Id, b: Id) {
        let (left, right) = (self.replicas[a].dead, self.replicas[b].dead);
        self.replicas[a].dead = left.without(b);
        self.replicas[b].dead = right.without(a);
    }
}

impl Replica {
    pub fn leads(&self) -> bool {
        self.up && matches!(self.role, Role::Leader { .. })
    }

    /// A leader serves once an entry of its own epoch, its first Config or a later one, is
    /// committed.
    pub fn serves(&self) -> bool {
        self.leads() && self.log.epoch_at(self.commit) == self.promised
    }

    /// Gives the possible contents of the disk after a crash: the durable part, or the log up to a position.
    pub fn fsynced(&self) -> impl Iterator<Item = Option<u8>> {
        let more = self.disk.common(&self.log) + 1..=self.log.len();
        std::iter::once(None).chain(more.map(Some))
    }

    /// Gives the length of the log that another replica acknowledged to this leader.
    pub fn matched(&self, id: Id) -> u8 {
        match &self.role {
            Role::Leader { matched, .. } => matched[id],
            Role::Follower | Role::Candidate { .. } => 0,
        }
    }

    /// Whom this leader dismissed.
    pub fn dismissed(&self) -> Set {
        match self.role {
            Role::Leader { dismissed, .. } => dismissed,
            Role::Follower | Role::Candidate { .. } => Set::EMPTY,
        }
    }

    /// Makes this log like `other` up to `position`; false if that would cut what this replica
    /// knows to be committed.
    #[must_use]
    pub fn take(&mut self, other: &Log, position: u8) -> bool {
        let wanted = other.prefix(position);
        if self.log.starts_with(&wanted) {
            return true;
        }
        let sound = self.log.common(&wanted) >= self.commit;
        if sound {
            self.log = wanted;
        }
        sound
    }
}

impl fmt::Display for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = match (&self.role, self.up) {
            _ if self.diverged => "diverged",
            (_, false) => "down",
            (Role::Follower, true) => "follower",
            (Role::Candidate { .. }, true) => "candidate",
            (Role::Leader { .. }, true) => "leader",
        };
        let active = if self.active { " active" } else { "" };
        write!(f, "{role:<9} promised {} ", self.promised)?;
        write!(f, "log {} commit {}{active}", self.log, self.commit)?;
        if self.disk != self.log {
            write!(f, " on disk {}", self.disk)?;
        }
        if self.dead != Set::EMPTY {
            write!(f, " believes dead {}", self.dead)?;
        }
        Ok(())
    }
}
