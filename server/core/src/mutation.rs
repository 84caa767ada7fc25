//! The mutations: known ways to break the protocol, each with a switch. Each of them loses acknowledged writes or
//! gives stale answers in some run. The simulator must catch it (`tests/sim/tests/gate.rs`), or it would not catch
//! the same mistake made by accident.
//!
//! This file names them and knows nothing of the protocol. Most are carried out by one line at the place that they
//! break, the others in `broken.rs`.
//!
//! Only the simulator turns the feature `mutations` on. Without it only a macro remains that gives `false`.

/// Tells whether `at`, which has a field `mutant`, is broken in this way: `mutated!(at, Name)`. `mutated!(at, Name =>
/// code)` runs the code if so; with `, else code` it runs the second code if not.
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

/// The state of a mutation: none in this build.
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
                /// The list of all mutations.
                pub const ALL: &[Mutation] = &[$(Mutation::$name,)*];

                /// Gives the name of the mutation on a command line.
                #[must_use]
                pub fn name(self) -> &'static str {
                    match self {
                        $(Mutation::$name => $word,)*
                    }
                }
            }
        };
    }

    // The mutations up to `DivergenceHidden` are the rows of the design's table, in its order. The others undo
    // safeguards of the core beyond the design; most were once found by simulation.
    mutations! {
        /// The leader shrinks or grows its view in a new epoch that no replica promised. A dead leader's view that
        /// was never committed then ranks above the committed one.
        EpochWithoutPromises = "epoch-without-promises",
        /// The logs are ranked by a number beside the log, which is raised at every start. A stale replica that
        /// restarted then ranks above the real log.
        NumberBesideTheLog = "number-beside-the-log",
        /// The longest log is adopted, whatever its epoch. Entries that were never committed can make a log longer.
        LongestLogWins = "longest-log-wins",
        /// A new leader continues from its own log, although another log may have more entries.
        OwnLogIsEnough = "own-log-is-enough",
        /// Mode available: a majority of the last Config may restart without the rest, although a missing member may
        /// have served alone.
        RestartByMajority = "restart-by-majority",
        /// A member calls itself active at its start, although the others may have continued without it.
        ActiveSurvivesRestart = "active-survives-restart",
        /// A replica is active as soon as the Config is in its log, although it may never be committed, and the
        /// others may continue without the replica.
        ActiveWhenAppended = "active-when-appended",
        /// Entries count as durable before the fsync; a crash removes them.
        AcknowledgedBeforeFsync = "acknowledged-before-fsync",
        /// A replaced disk has the identity of the old one: the replica votes as a member that has every entry, and
        /// has none. The shell makes the identity, so this mutation is carried out there.
        WipedDiskKeepsItsName = "wiped-disk-keeps-its-name",
        /// The end of a session counts as a death, and in mode available a replica that is treated as dead serves
        /// alone: two leaders.
        LiveMemberSuspected = "live-member-suspected",
        /// One refused connection counts as a death, from whatever address: two leaders.
        AnyRefusalIsDeath = "any-refusal-is-death",
        /// After a partition in mode available a replica does not report that its log differs.
        DivergenceHidden = "divergence-hidden",
        /// A leader that slept shrinks its view at once, although it may have been replaced.
        SleeperShrinks = "sleeper-shrinks",
        /// Evidence of death, even one refusal, has its effect before the tick that shows that this replica slept.
        EvidenceBeforeTick = "evidence-before-tick",
        /// A live member is removed from the view and does not know it: it may lead by rule (i).
        DroppedUntold = "dropped-untold",
        /// A live member is removed from the view for its slow disk and does not know it.
        SlowDroppedUntold = "slow-dropped-untold",
        /// A live member that is removed from the roster is removed from the view and does not know it.
        RemovedUntold = "removed-untold",
        /// Mode majority: a removed replica stops for good while members of the view may still forget that the view
        /// without it is committed. After an outage they wait for it.
        ReleasedEarly = "released-early",
        /// An epoch does not show its candidacy. On a new store, or on an older state of its own, a replica leads in
        /// an old epoch again, and two different entries have the same epoch and LSN.
        EpochOfAnyStore = "epoch-of-any-store",
        /// An Append that was overtaken by a later one, without the membership, makes its receiver a member again.
        DismissalUndone = "dismissal-undone",
        /// Mode available: a view shrinks past all members of a Config that may still be in force. They may start
        /// again by that Config.
        ViewThatNobodyMeets = "view-that-nobody-meets",
        /// A leader allows others to be active before the tick that shows that it slept. Another leader may already
        /// commit without them.
        SleeperVouches = "sleeper-vouches",
        /// An Append from before this replica slept makes it active, although it may have left the view since.
        ActiveWithoutRoundTrip = "active-without-round-trip",
        /// Mode majority: a takeover needs only a majority of the newest Config in the adopted log. Few replicas may
        /// know that Config, and a majority of an older one may not.
        NewestConfigOnly = "newest-config-only",
        /// Mode majority: a view may shrink below its minimum, by silence or by the roster, so that a takeover need
        /// not find it.
        ViewOfAnySize = "view-of-any-size",
        /// Mode majority: a takeover succeeds without a majority, beside the old view.
        MinorityTakesOver = "minority-takes-over",
        /// Replicas do not veto candidates: a leader is replaced while its lease holds.
        NoVeto = "no-veto",
        /// Mode majority: a replica that restarted forgets that it may have granted a lease.
        LeaseForgotten = "lease-forgotten",
        /// A replica vetoes only for the time of a lease, counted from its own last tick. The leader may read a
        /// little longer.
        NoLeaseMargin = "no-lease-margin",
        /// A lease that held at the last tick holds until the next, however long this replica sleeps in between.
        LeaseOutlivesSleep = "lease-outlives-sleep",
        /// A replica whose clock stood still does not compare it with the clocks of the others.
        LostTimeIgnored = "lost-time-ignored",
        /// A leader that told its transferee to take over still serves reads. It may never get the news of the
        /// takeover.
        LeaseOutlivesHandOver = "lease-outlives-hand-over",
        /// A promise is sent before it is fsynced. A crash removes it, and the old leader continues.
        PromisedBeforeFsync = "promised-before-fsync",
        /// Mode available: one side of a partition reports outcomes before its state is durable. After a crash of
        /// that side nothing shows that the entries were committed.
        ToldOnOneSide = "told-on-one-side",
        /// A store that is an older state of itself does not notice it: it leads, votes and follows with what it has.
        OldStoreWelcome = "old-store-welcome",
        /// A store that was copied votes and leads as if it were the newest.
        CopyVotes = "copy-votes",
        /// Mode majority: any leader confirms a store that was copied, although that leader may have been replaced
        /// with a promise that the copy has forgotten.
        ConfirmedByOne = "confirmed-by-one",
        /// Once any replica is declared dead, a takeover waits for no other member either, although one may have more
        /// entries.
        RecoveryWithoutAll = "recovery-without-all",
        /// A recovery uses the next epoch. Replicas that were declared dead may have led in later epochs, and take
        /// over again with their own logs.
        RecoveryNearby = "recovery-nearby",
        /// A declaration of death counts in every later outage.
        DeclarationOutlives = "declaration-outlives",
        /// A replica whose disk stalls tells the others not to wait for it, and stays active: it leads by rule (i),
        /// without the entries that they committed.
        StalledStaysActive = "stalled-stays-active",
        /// No Config names the stores that were declared dead. A replica that returns with one follows as a learner,
        /// and entries that only it has are removed without a report.
        DeadWelcome = "dead-welcome",
    }

    impl fmt::Display for Mutation {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.name())
        }
    }

    /// The state of a mutation in a replica.
    #[derive(Clone, Copy, Debug, Default)]
    pub(crate) struct Mutant {
        pub(crate) mutation: Option<Mutation>,
        /// The number of [`Mutation::NumberBesideTheLog`].
        pub(crate) number: u64,
    }
}
