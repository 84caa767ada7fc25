//! Known ways to break the protocol, one switch each. Every one of them loses acknowledged writes,
//! or gives stale answers, somewhere; the simulator must catch it (`tests/sim/tests/gate.rs`), or
//! it would not catch the same mistake made by accident.
//!
//! This file names them and knows nothing of the protocol. Most are carried out by one line at the place that they
//! break, the others in `broken.rs`.
//!
//! Only the simulator turns the feature `mutations` on. Without it nothing here is left but a macro
//! that says `false`.

/// `mutated!(at, Name)`: whether `at`, something with a `mutant`, is broken in this way.
/// `mutated!(at, Name => code)`: runs the code if so; with `, else code`, that code otherwise.
#[cfg(feature = "mutations")]
macro_rules! mutated {
    ($at:expr, $name:ident) => {
        $at.mutant.mutation == Some($crate::mutation::Mutation::$name)
    };
    ($at:expr, $name:ident => $code:expr) => {
        if mutated!($at, $name) {
            $code;
        }
    };
    ($at:expr, $name:ident => $code:expr, else $sound:expr) => {
        if mutated!($at, $name) { $code } else { $sound }
    };
}

#[cfg(not(feature = "mutations"))]
macro_rules! mutated {
    ($at:expr, $name:ident) => {{
        let $crate::mutation::Mutant {} = $at.mutant;
        false
    }};
    ($at:expr, $name:ident => $code:expr) => {};
    ($at:expr, $name:ident => $code:expr, else $sound:expr) => {
        $sound
    };
}

pub(crate) use mutated;

/// How a replica is broken: not at all in this build.
#[cfg(not(feature = "mutations"))]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mutant {}

#[cfg(feature = "mutations")]
pub(crate) use armed::Mutant;
#[cfg(feature = "mutations")]
pub use armed::Mutation;

#[cfg(feature = "mutations")]
mod armed {
    use core::fmt;

    macro_rules! mutations {
        ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
            /// A way to break the protocol.
            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
            pub enum Mutation {
                $($(#[$doc])* $name,)*
            }

            impl Mutation {
                /// All of them.
                pub const ALL: &[Mutation] = &[$(Mutation::$name,)*];

                /// Its name on a command line.
                #[must_use]
                pub fn name(self) -> &'static str {
                    match self {
                        $(Mutation::$name => $word,)*
                    }
                }
            }
        };
    }

    // Up to `DivergenceHidden` these are the rows of the design's table, in its order. The others
    // undo what the core asks for beyond the design; most were once found by simulation.
    mutations! {
        /// The leader shrinks or grows its view in a new epoch that nobody promised: a dead
        /// leader's view that was never installed outranks the committed one.
        EpochWithoutPromises = "epoch-without-promises",
        /// A number beside the log, raised at every start, ranks the logs: a stale replica that
        /// restarted beats the real log.
        NumberBesideTheLog = "number-beside-the-log",
        /// The longest log wins, whatever its epoch: what was never committed can be longer.
        LongestLogWins = "longest-log-wins",
        /// A new leader goes on from its own log: another's may hold more.
        OwnLogIsEnough = "own-log-is-enough",
        /// Mode available: a majority of the last Config may restart. The one that is missing may
        /// have served alone.
        RestartByMajority = "restart-by-majority",
        /// Whoever was a member calls itself active at its start: the others may have gone on.
        ActiveSurvivesRestart = "active-survives-restart",
        /// Active as soon as the Config is in the log: it may never be committed, and the others
        /// go on without.
        ActiveWhenAppended = "active-when-appended",
        /// What is not fsynced counts as durable: a crash takes it back.
        AcknowledgedBeforeFsync = "acknowledged-before-fsync",
        /// A replaced disk has the identity of the old one: the replica votes as a member that
        /// holds everything, and holds nothing. The shell makes the identity, so this one is
        /// broken there.
        WipedDiskKeepsItsName = "wiped-disk-keeps-its-name",
        /// The end of a session counts as a death, and a suspect goes on alone in mode available:
        /// two leaders.
        LiveMemberSuspected = "live-member-suspected",
        /// One refused connection counts as a death, whoever refuses and wherever: two leaders.
        AnyRefusalIsDeath = "any-refusal-is-death",
        /// After a partition in mode available a replica does not say that its log differs.
        DivergenceHidden = "divergence-hidden",
        /// A leader that slept shrinks its view at once: it may have been replaced.
        SleeperShrinks = "sleeper-shrinks",
        /// Evidence of death, the first refusal already, is acted on before the tick that shows that this replica slept.
        EvidenceBeforeTick = "evidence-before-tick",
        /// A live member leaves the view and is not told: it leads by rule (i).
        DroppedUntold = "dropped-untold",
        /// A live member leaves the view for its slow disk and is not told.
        SlowDroppedUntold = "slow-dropped-untold",
        /// A live member that is removed from the roster leaves the view and is not told.
        RemovedUntold = "removed-untold",
        /// Mode majority: a replica that was removed goes for good while those in the view may forget
        /// that the view without it is committed: after an outage they ask for it.
        ReleasedEarly = "released-early",
        /// An epoch does not say of which candidacy it is: on a new store, or an older state of its own, a
        /// replica leads in an old epoch again, and two entries pass for one.
        EpochOfAnyStore = "epoch-of-any-store",
        /// An Append that was overtaken by a dismissal makes its receiver a member again.
        DismissalUndone = "dismissal-undone",
        /// Mode available: a view shrinks past all members of a Config that may still be in force:
        /// they may start again by that one.
        ViewThatNobodyMeets = "view-that-nobody-meets",
        /// A leader lets others be active before the tick that shows that it slept: another may
        /// lead by now, and commit without them.
        SleeperVouches = "sleeper-vouches",
        /// An Append from before this replica slept makes it active: it may have been dropped since.
        ActiveWithoutRoundTrip = "active-without-round-trip",
        /// Mode majority: only the newest Config in the adopted log is asked. It may be known to
        /// few, and a majority of an older one never heard of it.
        NewestConfigOnly = "newest-config-only",
        /// Mode majority: a view may shrink below its minimum, by suspicion or by the roster, and
        /// whoever takes over need not learn of it.
        ViewOfAnySize = "view-of-any-size",
        /// Mode majority: a takeover without a majority, beside the old view.
        MinorityTakesOver = "minority-takes-over",
        /// Nobody who hears a leader says so: a leader is replaced while its lease holds.
        NoVeto = "no-veto",
        /// Mode majority: a replica that restarted forgets that it granted a lease.
        LeaseForgotten = "lease-forgotten",
        /// A replica vetoes for a lease and no longer, counted from its own last tick: the leader may read a
        /// little longer.
        NoLeaseMargin = "no-lease-margin",
        /// A lease that held at the last tick holds until the next, however long this replica
        /// sleeps in between.
        LeaseOutlivesSleep = "lease-outlives-sleep",
        /// A replica whose clock stood still does not notice it by the clocks of the others.
        LostTimeIgnored = "lost-time-ignored",
        /// A leader that told its transferee to take over reads on, and may never hear that it did.
        LeaseOutlivesHandOver = "lease-outlives-hand-over",
        /// A promise is answered before it is fsynced: a crash takes it back, and the old leader
        /// goes on.
        PromisedBeforeFsync = "promised-before-fsync",
        /// Mode available: a side of a parted network tells outcomes before its state is durable. After
        /// a crash of that side nothing shows that they were committed.
        ToldOnOneSide = "told-on-one-side",
        /// A store that went back in time is not told so: it leads, votes and follows with what it has.
        OldStoreWelcome = "old-store-welcome",
        /// A store that was copied votes, stands and leads as if it were the newest.
        CopyVotes = "copy-votes",
        /// Mode majority: a store that was copied is confirmed by any leader, who may have been replaced with
        /// a promise that the copy has forgotten.
        ConfirmedByOne = "confirmed-by-one",
        /// Once anybody is declared dead, no other member has to answer either: it may hold more.
        RecoveryWithoutAll = "recovery-without-all",
        /// A cluster is recovered in the next epoch: those who were declared dead may have led in later
        /// ones, and take over again with what they have.
        RecoveryNearby = "recovery-nearby",
        /// What was declared once counts in every outage after it.
        DeclarationOutlives = "declaration-outlives",
        /// A replica whose disk stalls tells the others not to wait for it, and stays active: it leads by
        /// rule (i), without what they committed.
        StalledStaysActive = "stalled-stays-active",
        /// Nobody remembers who was declared dead: one who returns follows as a learner, and what only
        /// he has is cut without a word.
        DeadWelcome = "dead-welcome",
    }

    impl fmt::Display for Mutation {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.name())
        }
    }

    /// How a replica is broken.
    #[derive(Clone, Copy, Debug, Default)]
    pub(crate) struct Mutant {
        pub(crate) mutation: Option<Mutation>,
        /// Of [`Mutation::NumberBesideTheLog`].
        pub(crate) number: u64,
    }
}
