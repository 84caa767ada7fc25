//! The ids: a type for every number with a meaning, so that the compiler keeps them apart.

use core::fmt;

/// The fixed number of a replica, from 1 on. The lower of two replicas has precedence as leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(pub u32);

/// The position of an entry in the log. The first entry has 1; 0 is the position before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl Lsn {
    /// The position before the first entry.
    pub const ZERO: Lsn = Lsn(0);

    /// Gives the position after this one.
    #[must_use]
    pub fn next(self) -> Lsn {
        Lsn(self.0.saturating_add(1))
    }

    /// Gives the position before this one; the one before `ZERO` is `ZERO`.
    #[must_use]
    pub fn prev(self) -> Lsn {
        Lsn(self.0.saturating_sub(1))
    }
}

/// The number of one leader. It is unique, because the proposer is part of it, and so are bits that are drawn anew
/// for each candidacy: a replica whose disk was replaced, or has an older state of its store, does not know in which
/// terms it led before. Ordered by number first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch {
    /// The term, which grows with every takeover, and below it 24 bits of the candidacy; 0 only in [`Epoch::NONE`].
    pub number: u64,
    /// The replica that proposed the epoch, the only one that may lead in it.
    pub proposer: ReplicaId,
}

/// The bits of an epoch's number that are drawn for each candidacy.
const CANDIDACY_BITS: u32 = 24;

/// A number of takeovers that replicas that were declared dead cannot have exceeded unheard.
const UNHEARD_TERMS_MAX: u64 = 1 << 20;

impl Epoch {
    /// The epoch below every epoch that a replica can propose.
    pub const NONE: Epoch = Epoch {
        number: 0,
        proposer: ReplicaId(0),
    };

    /// Tells whether a cluster could have reached this epoch: a greater number is a sign of corrupt bytes.
    #[must_use]
    pub fn is_plausible(self) -> bool {
        self.number < 1 << 62
    }

    /// Gives an epoch of `proposer` in the next term. The lowest 24 bits of `drawn` name the candidacy.
    #[must_use]
    pub fn above(self, proposer: ReplicaId, drawn: u64) -> Epoch {
        self.above_by(1, proposer, drawn)
    }

    /// Gives an epoch of `proposer` so many terms later that it is above all takeovers that this replica did not hear
    /// of.
    #[must_use]
    pub fn far_above(self, proposer: ReplicaId, drawn: u64) -> Epoch {
        self.above_by(UNHEARD_TERMS_MAX, proposer, drawn)
    }

    fn above_by(self, terms: u64, proposer: ReplicaId, drawn: u64) -> Epoch {
        let bits = drawn & ((1 << CANDIDACY_BITS) - 1);
        Epoch {
            number: (self.term() + terms) << CANDIDACY_BITS | bits,
            proposer,
        }
    }

    /// Gives the number of takeovers so far, roughly, to show to people.
    #[must_use]
    pub fn term(self) -> u64 {
        self.number >> CANDIDACY_BITS
    }
}

/// The identity of a store: made with the store, gone when the disk is wiped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreId(pub u128);

/// The identity of a cluster: made with its first Config, and part of every Config after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u128);

/// The run of a replica's process: a random number, new at every start. Only equality means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

/// A time in microseconds on the replica's own clock, which counts suspend and never runs backwards. Compared with
/// another replica's time only to see whether one of the two clocks stood still (`clocks.rs`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

impl Time {
    /// Gives the time that is `micros` later.
    #[must_use]
    pub fn after(self, micros: u64) -> Time {
        Time(self.0.saturating_add(micros))
    }

    /// Gives the microseconds from `earlier` to this time; 0 when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Time) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The id of a proposal for the shell, which chooses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// The id of a durable write; ids ascend in the order of the writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(pub u64);

impl Incarnation {
    /// Gives the number of the `count`th draw of this run: evenly spread, and different for each run (the finalizer
    /// of SplitMix64, Steele et al. 2014).
    #[must_use]
    pub(crate) fn draw(self, count: u64) -> u64 {
        let mut drawn = self.0 ^ count.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        drawn = (drawn ^ drawn >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        drawn = (drawn ^ drawn >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        drawn ^ drawn >> 31
    }
}

impl Default for Epoch {
    fn default() -> Self {
        Epoch::NONE
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.term(), self.proposer)
    }
}
