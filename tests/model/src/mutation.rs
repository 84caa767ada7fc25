//! The mistakes that the protocol avoids: each is the specification with one rule changed, and
//! for each the checker must find how something committed is lost. A Config that is lost is as bad
//! as a write: a write committed after it would be lost with it.

use std::fmt;

use crate::scope::{Mode, Scope};

/// One rule changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// A leader that shrinks or grows its view takes a new epoch, and asks nobody for a promise.
    EpochWithoutPromises,
    /// Logs are ranked by a number kept beside the log, the epoch last promised, not by the epoch
    /// of the last entry.
    NumberBesideLog,
    /// The longest log is adopted, whatever its epoch.
    LongestLogWins,
    /// A candidate leads with its own log and does not collect those of others.
    NoLogCollection,
    /// Mode available: after a restart a majority of the last Config is enough.
    RestartByMajority,
    /// A restarted replica is as active as it was.
    ActiveSurvivesRestart,
    /// A replica is active once it has a Config with itself in it, committed or not.
    ActiveFromAppend,
    /// An append is acknowledged before it is fsynced.
    AckBeforeFsync,
    /// A replaced disk counts as the one it replaces.
    WipedUnderOldId,
    /// Mode available: a live replica is taken for dead. This is the partition, outside the fault
    /// model; what is lost must be noticed.
    LiveSuspected,
    /// A dismissed member may be made active again by an Append that was sent before.
    DismissalKeepsNonce,
    /// Entries of earlier epochs count as committed as soon as all members have them.
    CommitOfOldEpoch,
    /// Mode majority: a view may be of one.
    MajorityAlone,
    /// Mode available: a view may leave out all members of a Config that may still be in force.
    ShrinkPastAConfig,
}

impl Mutation {
    pub const ALL: [Mutation; 14] = [
        Mutation::EpochWithoutPromises,
        Mutation::NumberBesideLog,
        Mutation::LongestLogWins,
        Mutation::NoLogCollection,
        Mutation::RestartByMajority,
        Mutation::ActiveSurvivesRestart,
        Mutation::ActiveFromAppend,
        Mutation::AckBeforeFsync,
        Mutation::WipedUnderOldId,
        Mutation::LiveSuspected,
        Mutation::DismissalKeepsNonce,
        Mutation::CommitOfOldEpoch,
        Mutation::MajorityAlone,
        Mutation::ShrinkPastAConfig,
    ];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Mutation::EpochWithoutPromises => "epoch-without-promises",
            Mutation::NumberBesideLog => "number-beside-log",
            Mutation::LongestLogWins => "longest-log-wins",
            Mutation::NoLogCollection => "no-log-collection",
            Mutation::RestartByMajority => "restart-by-majority",
            Mutation::ActiveSurvivesRestart => "active-survives-restart",
            Mutation::ActiveFromAppend => "active-from-append",
            Mutation::AckBeforeFsync => "ack-before-fsync",
            Mutation::WipedUnderOldId => "wiped-under-old-id",
            Mutation::LiveSuspected => "live-suspected",
            Mutation::DismissalKeepsNonce => "dismissal-keeps-nonce",
            Mutation::CommitOfOldEpoch => "commit-of-old-epoch",
            Mutation::MajorityAlone => "majority-alone",
            Mutation::ShrinkPastAConfig => "shrink-past-a-config",
        }
    }

    /// A mode and small bounds that refute it.
    #[must_use]
    pub fn scope(self) -> Scope {
        let small = |mode, replicas, crashes, ballots| Scope {
            replicas,
            writes: 0,
            crashes,
            ballots,
            suspicions: 0,
            ..Scope::standard(mode)
        };
        let two = |crashes, ballots| small(Mode::Available, 2, crashes, ballots);
        let three = |crashes, ballots| small(Mode::Available, 3, crashes, ballots);
        let parted = |ballots| small(Mode::Majority, 3, 0, ballots);
        match self {
            Mutation::EpochWithoutPromises => three(3, 2),
            Mutation::NumberBesideLog => two(2, 2),
            Mutation::LongestLogWins => Scope {
                writes: 1,
                ..two(3, 2)
            },
            Mutation::NoLogCollection => two(3, 1),
            Mutation::RestartByMajority => three(2, 2),
            Mutation::ActiveSurvivesRestart => two(2, 1),
            Mutation::ActiveFromAppend => three(3, 2),
            Mutation::AckBeforeFsync => Scope {
                writes: 1,
                ..three(3, 1)
            },
            Mutation::WipedUnderOldId => Scope {
                wipes: 1,
                ..two(2, 1)
            },
            Mutation::LiveSuspected => Scope {
                suspicions: 1,
                ..two(1, 1)
            },
            Mutation::DismissalKeepsNonce => Scope {
                dismissals: 1,
                ..two(2, 1)
            },
            Mutation::CommitOfOldEpoch => Scope {
                writes: 1,
                parts: true,
                ..parted(3)
            },
            Mutation::MajorityAlone => Scope {
                suspicions: 3,
                ..parted(1)
            },
            Mutation::ShrinkPastAConfig => two(4, 3),
        }
    }
}

impl fmt::Display for Mutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
