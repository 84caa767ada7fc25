//! The scope of the checker: the mode, the number of replicas, and how often each kind of thing may
//! happen. The state counts the events that are bounded here.

/// The rule by which a replica may take over, and the smallest view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The last replica alive serves alone. Who is suspected is dead.
    Available,
    /// A view has two members or more, a takeover needs a majority. Anybody may be suspected.
    Majority,
}

/// Bounds on one exhaustive search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    pub mode: Mode,
    /// 2 or 3.
    pub replicas: u8,
    /// Client writes.
    pub writes: u8,
    /// Crashes; every crashed replica may start again.
    pub crashes: u8,
    /// The number of starts that may be on an empty disk.
    pub wipes: u8,
    /// Candidacies.
    pub ballots: u8,
    /// Mode majority: how often a live member is put out of the view. Mode available: how often a
    /// live replica is taken for dead, which only the mutation of that name allows.
    pub suspicions: u8,
    /// Mode available: how often a live member with a stalled disk is told that it is none.
    pub dismissals: u8,
    /// Whether only those stand who could win, by what a pre-vote would tell them.
    pub pre_vote: bool,
    /// Mode available: whether a replica that started again may go on being taken for dead, until
    /// it has a session with whoever has the evidence.
    pub late_sessions: bool,
    /// Whether a log that is caught up or adopted may arrive in parts.
    pub parts: bool,
}

impl Scope {
    /// Gives the scope that the command line checks by default.
    #[must_use]
    pub fn standard(mode: Mode) -> Scope {
        match mode {
            Mode::Available => Scope {
                mode,
                replicas: 3,
                writes: 2,
                crashes: 3,
                wipes: 0,
                ballots: 3,
                suspicions: 0,
                dismissals: 0,
                pre_vote: true,
                late_sessions: false,
                parts: false,
            },
            Mode::Majority => Scope {
                mode,
                replicas: 3,
                writes: 2,
                crashes: 2,
                wipes: 0,
                ballots: 2,
                suspicions: 1,
                dismissals: 0,
                pre_vote: true,
                late_sessions: false,
                parts: false,
            },
        }
    }
}
