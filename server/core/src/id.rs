//! A type for every number with a meaning, so that no two can be taken for one another.

use core::fmt;

/// A replica's fixed number, from 1 on. Their order is the order of precedence to lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(pub u32);

/// Position of an entry in the log. The first entry has 1; 0 stands before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl Lsn {
    /// Before the first entry.
    pub const ZERO: Lsn = Lsn(0);

    /// The position after this one.
    #[must_use]
    pub fn next(self) -> Lsn {
        Lsn(self.0.saturating_add(1))
    }

    /// The position before this one; the one before `ZERO` is `ZERO`.
    #[must_use]
    pub fn prev(self) -> Lsn {
        Lsn(self.0.saturating_sub(1))
    }
}

/// One leader's term. Unique: the proposer is part of it, and so are bits that are drawn anew for each
/// candidacy. A replica whose disk was replaced, or holds an older state of its store, does not know in
/// which terms it led before. Ordered by number first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch {
    /// The term, which grows with every takeover, and below it 24 bits of the candidacy; 0 only in
    /// [`Epoch::NONE`].
    pub number: u64,
    /// Who proposed the epoch, and alone may lead in it.
    pub proposer: ReplicaId,
}

/// Bits of an epoch's number that are drawn for each candidacy.
const CANDIDACY_BITS: u32 = 24;

/// More takeovers than there can have been among replicas that were declared dead.
const UNHEARD_TERMS_MAX: u64 = 1 << 20;

impl Epoch {
    /// Below every epoch that a replica can propose.
    pub const NONE: Epoch = Epoch {
        number: 0,
        proposer: ReplicaId(0),
    };

    /// Whether a cluster could have come so far: a number beyond says that its bytes are wrong.
    #[must_use]
    pub fn is_plausible(self) -> bool {
        self.number < 1 << 62
    }

    /// An epoch of `proposer` in the next term. `drawn` names the candidacy: its lowest 24 bits count.
    #[must_use]
    pub fn above(self, proposer: ReplicaId, drawn: u64) -> Epoch {
        self.above_by(1, proposer, drawn)
    }

    /// The same, so many terms later that no takeover that this replica did not hear of is above it.
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

    /// For people: how many takeovers there were, about.
    #[must_use]
    pub fn term(self) -> u64 {
        self.number >> CANDIDACY_BITS
    }
}

/// Identity of a store: made when the store is made, gone when the disk is wiped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreId(pub u128);

/// Identity of a cluster: made with its first Config, carried by every Config after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u128);

/// One run of a replica's process: a random number, new at every start. Only equality means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

/// Microseconds on the replica's own clock, which counts suspend and never runs backwards. Compared with
/// another replica's only to see whether one of the two stood still (`clocks.rs`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

impl Time {
    /// This instant and `micros` more.
    #[must_use]
    pub fn after(self, micros: u64) -> Time {
        Time(self.0.saturating_add(micros))
    }

    /// Microseconds from `earlier` until this instant; 0 when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Time) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Names a proposal towards whoever made it; chosen by the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Names one durable write; ascending in the order of the writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(pub u64);

impl Incarnation {
    /// A number for the `count`th draw of this run: evenly spread, and another for each run (the finalizer of
    /// SplitMix64, Steele et al. 2014).
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
