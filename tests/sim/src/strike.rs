//! Kinds of strike, by the names under which they can be left out of a run.

use std::{fmt, str::FromStr};

use crate::profile::Profile;

macro_rules! strikes {
    ($($kind:ident $name:literal),* $(,)?) => {
        /// Kinds of strike.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Strike {
            $($kind),*
        }

        impl Strike {
            pub const ALL: &[Strike] = &[$(Strike::$kind),*];
        }

        impl fmt::Display for Strike {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Strike::$kind => $name),*
                })
            }
        }
    };
}

strikes! {
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
    Weather "weather",
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

impl FromStr for Strike {
    type Err = String;

    fn from_str(text: &str) -> Result<Strike, String> {
        let mut found = Strike::ALL.iter().filter(|kind| kind.to_string() == text);
        found.next().copied().ok_or_else(|| {
            let names = Strike::ALL.iter().map(ToString::to_string);
            let names = names.collect::<Vec<_>>().join(", ");
            format!("no kind of fault {text}; there are {names}")
        })
    }
}

const EVERYWHERE: [Strike; 27] = [
    Strike::Kill,
    Strike::Kill,
    Strike::KillAll,
    Strike::KillAllButOne,
    Strike::PowerLoss,
    Strike::Start,
    Strike::PauseShort,
    Strike::PauseLong,
    Strike::PauseMany,
    Strike::PauseFrozen,
    Strike::PauseFrozen,
    Strike::ClockJump,
    Strike::Reset,
    Strike::FalseRefusal,
    Strike::DiskSlow,
    Strike::DiskCrawl,
    Strike::DiskStall,
    Strike::DiskHang,
    Strike::DiskFull,
    Strike::FsyncError,
    Strike::MoveStore,
    Strike::Stop,
    Strike::Trap,
    Strike::Trap,
    Strike::Weather,
    Strike::Add,
    Strike::Remove,
];

const SPARED_STORES: [Strike; 3] = [Strike::Wipe, Strike::RotWhileDown, Strike::RotUnderRead];

const PARTITIONS: [Strike; 6] = [
    Strike::Isolate,
    Strike::Isolate,
    Strike::Halves,
    Strike::CutOneWay,
    Strike::CutOneWay,
    Strike::CutLink,
];

/// What may strike a run of the profile; twice, what strikes more often.
#[must_use]
pub fn strikes_of(profile: Profile) -> Vec<Strike> {
    match profile {
        Profile::Available => [&EVERYWHERE[..], &SPARED_STORES].concat(),
        Profile::Split => {
            let rot = [Strike::RotAnywhere];
            [&EVERYWHERE[..], &PARTITIONS, &PARTITIONS, &rot].concat()
        }
        Profile::Recovery => {
            let stores = [Strike::LoseStore, Strike::PutBack];
            [&EVERYWHERE[..], &stores, &stores, &stores].concat()
        }
        Profile::Majority => {
            // A read of the log for another replica seldom comes while a store that may be lost is there.
            let rot = [Strike::RotUnderRead, Strike::RotUnderRead];
            let more = [&[Strike::ForgedRefusal, Strike::Spike], &rot[..]].concat();
            [&EVERYWHERE[..], &SPARED_STORES, &PARTITIONS, &more].concat()
        }
    }
}
