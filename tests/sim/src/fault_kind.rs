//! The kinds of fault, with the names under which they can be left out of a run.

use std::{fmt, str::FromStr};

use crate::profile::Profile;

macro_rules! fault_kinds {
    ($($kind:ident $name:literal),* $(,)?) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum FaultKind {
            $($kind),*
        }

        impl FaultKind {
            pub const ALL: &[FaultKind] = &[$(FaultKind::$kind),*];
        }

        impl fmt::Display for FaultKind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(FaultKind::$kind => $name),*
                })
            }
        }
    };
}

fault_kinds! {
    Kill "kill",
    KillAll "kill-all",
    KillAllButOne "kill-all-but-one",
    PowerLoss "power-loss",
    Start "start",
    PauseShort "pause-short",
    PauseLong "pause-long",
    PauseMany "pause-many",
    PauseFrozen "pause-frozen",
    ClockJump "clock-jump",
    Reset "reset",
    FalseRefusal "false-refusal",
    DiskSlow "disk-slow",
    DiskCrawl "disk-crawl",
    DiskStall "disk-stall",
    DiskHang "disk-hang",
    DiskFull "disk-full",
    FsyncError "fsync-error",
    Wipe "wipe",
    RotWhileDown "rot-while-down",
    RotUnderRead "rot-under-read",
    RotAnywhere "rot-anywhere",
    LoseStore "lose-store",
    PutBack "put-back",
    MoveStore "move-store",
    Stop "stop",
    Trap "trap",
    MessageFaults "message-faults",
    Add "add",
    Remove "remove",
    Isolate "isolate",
    Halves "halves",
    CutOneWay "cut-one-way",
    CutLink "cut-link",
    ForgedRefusal "forged-refusal",
    Spike "spike",
    Rest "rest",
}

impl FromStr for FaultKind {
    type Err = String;

    fn from_str(text: &str) -> Result<FaultKind, String> {
        let mut found = FaultKind::ALL
            .iter()
            .filter(|kind| kind.to_string() == text);
        found.next().copied().ok_or_else(|| {
            let names = FaultKind::ALL.iter().map(ToString::to_string);
            let names = names.collect::<Vec<_>>().join(", ");
            format!("no kind of fault {text}; there are {names}")
        })
    }
}

const EVERYWHERE: [FaultKind; 27] = [
    FaultKind::Kill,
    FaultKind::Kill,
    FaultKind::KillAll,
    FaultKind::KillAllButOne,
    FaultKind::PowerLoss,
    FaultKind::Start,
    FaultKind::PauseShort,
    FaultKind::PauseLong,
    FaultKind::PauseMany,
    FaultKind::PauseFrozen,
    FaultKind::PauseFrozen,
    FaultKind::ClockJump,
    FaultKind::Reset,
    FaultKind::FalseRefusal,
    FaultKind::DiskSlow,
    FaultKind::DiskCrawl,
    FaultKind::DiskStall,
    FaultKind::DiskHang,
    FaultKind::DiskFull,
    FaultKind::FsyncError,
    FaultKind::MoveStore,
    FaultKind::Stop,
    FaultKind::Trap,
    FaultKind::Trap,
    FaultKind::MessageFaults,
    FaultKind::Add,
    FaultKind::Remove,
];

const SPARED_STORES: [FaultKind; 3] = [
    FaultKind::Wipe,
    FaultKind::RotWhileDown,
    FaultKind::RotUnderRead,
];

const PARTITIONS: [FaultKind; 6] = [
    FaultKind::Isolate,
    FaultKind::Isolate,
    FaultKind::Halves,
    FaultKind::CutOneWay,
    FaultKind::CutOneWay,
    FaultKind::CutLink,
];

/// Gives the kinds of fault in a run of the profile; more frequent ones appear twice.
#[must_use]
pub fn fault_kinds_of(profile: Profile) -> Vec<FaultKind> {
    match profile {
        Profile::Available => [&EVERYWHERE[..], &SPARED_STORES].concat(),
        Profile::Split => {
            let rot = [FaultKind::RotAnywhere];
            [&EVERYWHERE[..], &PARTITIONS, &PARTITIONS, &rot].concat()
        }
        Profile::Recovery => {
            let stores = [FaultKind::LoseStore, FaultKind::PutBack];
            [&EVERYWHERE[..], &stores, &stores, &stores].concat()
        }
        Profile::Majority => {
            // A store that may be lost is seldom there while the log is read for another replica.
            let rot = [FaultKind::RotUnderRead, FaultKind::RotUnderRead];
            let more = [&[FaultKind::ForgedRefusal, FaultKind::Spike], &rot[..]].concat();
            [&EVERYWHERE[..], &SPARED_STORES, &PARTITIONS, &more].concat()
        }
    }
}
