//! Epochs, members, and the log: values without a rule of the protocol in them.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

/// A replica: 0, 1 or 2, printed as 1, 2, 3.
pub type Id = usize;

pub const REPLICAS_MAX: usize = 3;
const ENTRIES_MAX: usize = 20;

/// One leader's term, unique to its proposer: ordered by number, then by proposer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Epoch(u8);

impl Epoch {
    pub const NONE: Epoch = Epoch(0);

    /// The first epoch of this proposer above `self`'s number.
    #[must_use]
    pub fn next_of(self, proposer: Id) -> Epoch {
        let proposer = u8::try_from(proposer).expect("an id is small");
        Epoch((self.0 >> 2) * 4 + 4 + proposer)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("none"),
            e => write!(f, "{}.{}", e >> 2, (e & 3) + 1),
        }
    }
}

/// A set of replicas.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Set(u8);

impl Set {
    pub const EMPTY: Set = Set(0);

    pub fn all(replicas: u8) -> Set {
        Set((1 << replicas) - 1)
    }

    pub fn has(self, id: Id) -> bool {
        self.0 & (1 << id) != 0
    }

    #[must_use]
    pub fn with(self, id: Id) -> Set {
        Set(self.0 | (1 << id))
    }

    #[must_use]
    pub fn without(self, id: Id) -> Set {
        Set(self.0 & !(1 << id))
    }

    pub fn count(self) -> u32 {
        self.0.count_ones()
    }

    pub fn ids(self) -> impl Iterator<Item = Id> {
        (0..REPLICAS_MAX).filter(move |&id| self.has(id))
    }

    /// Every subset with at least one element.
    pub fn subsets(self) -> impl Iterator<Item = Set> {
        (1..=self.0).filter(move |s| s & !self.0 == 0).map(Set)
    }
}

impl FromIterator<Id> for Set {
    fn from_iter<T: IntoIterator<Item = Id>>(ids: T) -> Set {
        ids.into_iter().fold(Set::EMPTY, Set::with)
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<String> = self.ids().map(|id| (id + 1).to_string()).collect();
        write!(f, "{{{}}}", ids.join(","))
    }
}

/// The members of a view, each with the store (0, 1 …: how often its disk was replaced) it had
/// when it became one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Members {
    pub ids: Set,
    /// Two bits for each replica.
    stores: u8,
}

impl Members {
    pub fn store(self, id: Id) -> u8 {
        (self.stores >> (2 * id)) & 3
    }

    pub fn has(self, id: Id, store: u8) -> bool {
        self.ids.has(id) && self.store(id) == store
    }

    #[must_use]
    pub fn with(self, id: Id, store: u8) -> Members {
        let others = self.stores & !(3 << (2 * id));
        Members {
            ids: self.ids.with(id),
            stores: others | (store << (2 * id)),
        }
    }

    #[must_use]
    pub fn without(self, id: Id) -> Members {
        Members {
            ids: self.ids.without(id),
            stores: self.stores & !(3 << (2 * id)),
        }
    }

    /// Those members, with their stores, for whom `keep` holds.
    #[must_use]
    pub fn only(self, keep: impl Fn(Id) -> bool) -> Members {
        let gone = self.ids.ids().filter(|&id| !keep(id));
        gone.fold(self, Members::without)
    }

    /// Gives the number of members, with the same stores, that the two have in common.
    pub fn shared(self, other: Members) -> u32 {
        let both = |id: &Id| other.has(*id, self.store(*id));
        u32::try_from(self.ids.ids().filter(both).count()).expect("a few")
    }
}

impl fmt::Display for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prime = |id: Id| "'".repeat(usize::from(self.store(id)));
        let ids = self.ids.ids().map(|id| format!("{}{}", id + 1, prime(id)));
        write!(f, "{{{}}}", ids.collect::<Vec<_>>().join(","))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Payload {
    Config(Members),
    /// A client's write, numbered.
    Write(u8),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Entry {
    pub epoch: Epoch,
    pub payload: Payload,
}

/// A log. Positions count from 1; 0 is "before the first".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Log {
    len: u8,
    entries: [Entry; ENTRIES_MAX],
}

/// Where a log ends: logs are ranked by the epoch of the last entry, then by length.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Rank {
    pub epoch: Epoch,
    pub len: u8,
}

impl Log {
    pub const EMPTY: Log = Log {
        len: 0,
        entries: [Log::NOTHING; ENTRIES_MAX],
    };
    const NOTHING: Entry = Entry {
        epoch: Epoch::NONE,
        payload: Payload::Write(0),
    };

    pub(crate) fn len(&self) -> u8 {
        self.len
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries[..usize::from(self.len)]
    }

    pub fn push(&mut self, epoch: Epoch, payload: Payload) {
        let entry = Entry { epoch, payload };
        let place = self.entries.get_mut(usize::from(self.len));
        *place.expect("a scope's logs fit: raise ENTRIES_MAX") = entry;
        self.len += 1;
    }

    /// The log up to and with `position`.
    #[must_use]
    pub fn prefix(&self, position: u8) -> Log {
        let mut prefix = *self;
        prefix.len = position.min(self.len);
        prefix.entries[usize::from(prefix.len)..].fill(Log::NOTHING);
        prefix
    }

    pub fn rank(&self) -> Rank {
        Rank {
            epoch: self.epoch_at(self.len),
            len: self.len,
        }
    }

    /// The epoch of the entry at `position`; none at 0.
    pub fn epoch_at(&self, position: u8) -> Epoch {
        let entry = position
            .checked_sub(1)
            .map(|i| self.entries[usize::from(i)]);
        entry.map_or(Epoch::NONE, |entry| entry.epoch)
    }

    /// Up to where the two are the same.
    pub fn common(&self, other: &Log) -> u8 {
        let pairs = self.entries().iter().zip(other.entries());
        u8::try_from(pairs.take_while(|(a, b)| a == b).count()).expect("logs are short")
    }

    pub fn starts_with(&self, other: &Log) -> bool {
        self.common(other) == other.len
    }

    /// All Configs with their positions, oldest first.
    pub fn configs(&self) -> impl DoubleEndedIterator<Item = (u8, Members)> + '_ {
        let entries = (1..=self.len).zip(self.entries());
        entries.filter_map(|(position, entry)| match entry.payload {
            Payload::Config(members) => Some((position, members)),
            Payload::Write(_) => None,
        })
    }

    /// The newest Config.
    pub fn config(&self) -> Option<(u8, Members)> {
        self.configs().next_back()
    }
}

impl Hash for Log {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.entries().hash(state);
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.entries().iter().map(|entry| match entry.payload {
            Payload::Config(members) => format!("{members}@{}", entry.epoch),
            Payload::Write(number) => format!("w{number}@{}", entry.epoch),
        });
        write!(f, "[{}]", entries.collect::<Vec<_>>().join(" "))
    }
}
