//! The messages of a lying peer: each field near what the replica expects, or at an
//! edge of its type, or anything. Generated without the replica, made definite when said.

use std::collections::BTreeSet;

use proptest::{collection::vec, option, prelude::*, sample::select};
use tercet_core::{
    config::{Config, LoggedConfig, Mode},
    id::{ClusterId, Epoch, Incarnation, Lsn, ReplicaId, StoreId, Time},
    log::{Entry, LastEntry, Payload},
    message::{Acknowledged, Append, Hello, Message, VoteState},
};

pub const CLUSTER: ClusterId = ClusterId(7);

/// The facts that a liar has seen of the replica under test.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub epoch: Epoch,
    pub last: Lsn,
    pub last_epoch: Epoch,
    pub now: Time,
    pub nonce: u64,
}

#[derive(Clone, Debug)]
pub enum Number {
    Near(i64),
    Exactly(u64),
}

impl Number {
    pub fn near(&self, expected: u64) -> u64 {
        match self {
            Number::Near(offset) => expected.saturating_add_signed(*offset),
            Number::Exactly(number) => *number,
        }
    }
}

pub fn number() -> impl Strategy<Value = Number> {
    let edges = [
        0,
        1,
        (1 << 62) - 1,
        1 << 62,
        1 << 63,
        u64::MAX - 1,
        u64::MAX,
    ];
    prop_oneof![
        6 => Just(Number::Near(0)),
        3 => (-3_i64..=3).prop_map(Number::Near),
        1 => select(edges.to_vec()).prop_map(Number::Exactly),
        1 => any::<u64>().prop_map(Number::Exactly),
    ]
}

/// An epoch near the expected one: its number, and a proposer other than the speaker.
#[derive(Clone, Debug)]
pub struct EpochWord(Number, Option<u32>);

impl EpochWord {
    fn near(&self, expected: Epoch, speaker: ReplicaId) -> Epoch {
        match self {
            EpochWord(Number::Near(0), None) => expected,
            EpochWord(number, proposer) => Epoch {
                number: number.near(expected.number),
                proposer: proposer.map_or(speaker, ReplicaId),
            },
        }
    }
}

fn epoch() -> impl Strategy<Value = EpochWord> {
    (number(), option::weighted(0.1, 0..5_u32)).prop_map(|(number, by)| EpochWord(number, by))
}

pub fn config() -> impl Strategy<Value = Config> {
    let member = prop_oneof![19 => Just(None), 1 => Just(Some(1_000_u128))];
    let members = vec((prop::bool::weighted(0.85), member), 2..5);
    let mode = prop_oneof![
        3 => Just(Mode::Available),
        1 => select(&[0, 2, 3, u32::MAX][..]).prop_map(|min_in_sync| Mode::Majority { min_in_sync }),
    ];
    let cluster = prop_oneof![9 => Just(CLUSTER), 1 => Just(ClusterId(8))];
    (members, mode, cluster).prop_map(|(members, mode, cluster)| {
        // The wire lets no Config without members through.
        let all_absent = members.iter().all(|(there, _)| !there);
        let members = (1..)
            .zip(members)
            .filter(|(_, (there, _))| *there || all_absent);
        let members = members.map(|(id, (_, store))| {
            let store = store.unwrap_or(u128::from(id));
            (ReplicaId(id), StoreId(store))
        });
        Config {
            cluster,
            mode,
            members: members.collect(),
            dead: BTreeSet::new(),
        }
    })
}

pub fn payload() -> impl Strategy<Value = Payload> {
    prop_oneof![
        2 => config().prop_map(Payload::Config),
        3 => (0..64_usize).prop_map(|length| Payload::Command(vec![b'x'; length].into())),
    ]
}

pub type EntryWord = (Number, EpochWord, Payload);

fn entries() -> impl Strategy<Value = Vec<EntryWord>> {
    let right = || Just(Number::Near(0));
    let place = prop_oneof![19 => right(), 1 => number()];
    let own = Just(EpochWord(Number::Near(0), None));
    let term = prop_oneof![9 => own, 1 => epoch()];
    vec((place, term, payload()), 0..5)
}

fn spell(words: Vec<EntryWord>, from: u64, epoch: Epoch, speaker: ReplicaId) -> Vec<Entry> {
    let places = (0..).map(|n: u64| from.wrapping_add(n));
    let entries = words.into_iter().zip(places);
    let entries = entries.map(|((lsn, term, payload), place)| Entry {
        lsn: Lsn(lsn.near(place)),
        epoch: term.near(epoch, speaker),
        payload,
    });
    entries.collect()
}

#[derive(Clone, Debug)]
pub struct VoteStateKind {
    last_entry: (EpochWord, Number),
    commit: Number,
    configs: Vec<(Number, Config)>,
    active: bool,
    leaving: bool,
}

pub fn vote_state() -> impl Strategy<Value = VoteStateKind> {
    let last_entry = (epoch(), number());
    let configs = prop_oneof![1 => 0..1_usize, 9 => 1..3_usize];
    let configs = configs.prop_flat_map(|count| vec((number(), config()), count));
    (
        last_entry,
        number(),
        configs,
        any::<bool>(),
        prop::bool::weighted(0.1),
    )
        .prop_map(
            |(last_entry, commit, configs, active, leaving)| VoteStateKind {
                last_entry,
                commit,
                configs,
                active,
                leaving,
            },
        )
}

impl VoteStateKind {
    pub fn spell(self, seen: &Seen, speaker: ReplicaId) -> VoteState {
        let lsn = Lsn(self.last_entry.1.near(seen.last.0));
        let configs = self.configs.into_iter();
        VoteState {
            last_entry: LastEntry {
                epoch: self.last_entry.0.near(seen.last_epoch, speaker),
                lsn,
            },
            commit: Lsn(self.commit.near(seen.last.0)),
            trimmed: LastEntry {
                epoch: Epoch::NONE,
                lsn: Lsn(self.commit.near(lsn.0)),
            },
            configs: configs
                .map(|(at, config)| LoggedConfig {
                    lsn: Lsn(at.near(lsn.0)),
                    config,
                })
                .collect(),
            active: self.active,
            leaving: self.leaving,
            stalled: false,
        }
    }
}

/// All that messages are made of; each kind takes what it has.
#[derive(Clone, Debug)]
pub struct Words {
    kind: u8,
    epoch: EpochWord,
    other_epoch: Option<EpochWord>,
    lsn: Number,
    other_lsn: Number,
    time: Number,
    nonce: Number,
    flag: bool,
    entries: Vec<EntryWord>,
    vote_state: VoteStateKind,
}

pub fn words() -> impl Strategy<Value = Words> {
    let scalars = (0..20_u8, epoch(), option::of(epoch()), number(), number());
    let rest = (number(), number(), any::<bool>(), entries(), vote_state());
    (scalars, rest).prop_map(
        |((kind, epoch, other_epoch, lsn, other_lsn), (time, nonce, flag, entries, vote_state))| {
            Words {
                kind,
                epoch,
                other_epoch,
                lsn,
                other_lsn,
                time,
                nonce,
                flag,
                entries,
                vote_state,
            }
        },
    )
}

impl Words {
    /// The message, said by `speaker` to a replica of which it has seen this much.
    pub fn spell(self, seen: &Seen, speaker: ReplicaId) -> Message {
        let epoch = self.epoch.near(seen.epoch, speaker);
        let other_epoch = self.other_epoch.map(|word| word.near(seen.epoch, speaker));
        let lsn = Lsn(self.lsn.near(seen.last.0));
        let sent_at = Time(self.time.near(seen.now.0));
        let nonce = self.nonce.near(seen.nonce);
        let active = self.flag;
        let vote_state = self.vote_state.spell(seen, speaker);
        match self.kind {
            0 => Message::Ping {
                promised: epoch,
                clock: sent_at,
            },
            1 | 2 => Message::Appended {
                epoch,
                matched: lsn,
                applied: lsn,
                sent_at,
                nonce,
                active,
                unconfirmed: self.flag && nonce % 2 == 1,
                clock: Time(0),
            },
            3 => Message::AppendMismatch {
                epoch,
                retry_from: lsn,
                sent_at,
                nonce,
            },
            4 => Message::Fenced { promised: epoch },
            5 => Message::PreVote { round: nonce },
            6 => Message::PreVoteReply {
                round: sent_at.0,
                promised: epoch,
                hears: active.then_some(speaker),
                vote_state,
            },
            7 => Message::Prepare {
                epoch,
                transferred_from: other_epoch,
            },
            8 => Message::Promised { epoch, vote_state },
            9 => Message::Vetoed { epoch },
            10 => Message::Pull { epoch, from: lsn },
            11 => Message::Pulled {
                epoch,
                from: lsn,
                entries: spell(self.entries, lsn.0, seen.last_epoch, speaker),
            },
            12 => Message::LeadershipTransfer { epoch },
            13 => Message::Nominate { epoch },
            14 => Message::Leave,
            16 => Message::Excused { epoch },
            18 => Message::Promising { epoch },
            17 => Message::Resigned { epoch },
            15 => Message::SnapshotNeeded {
                epoch,
                lsn_min: lsn,
            },
            _ => Message::Append(Append {
                epoch,
                prev_lsn: lsn,
                prev_epoch: match (other_epoch, lsn) {
                    (Some(other), _) => other,
                    (None, Lsn::ZERO) => Epoch::NONE,
                    (None, _) => seen.last_epoch,
                },
                entries: spell(self.entries, lsn.0.wrapping_add(1), epoch, speaker),
                commit: Lsn(self.other_lsn.near(lsn.0)),
                last: Lsn(self.other_lsn.near(lsn.0)),
                config_lsn: Lsn(self.other_lsn.near(lsn.0)),
                member: active,
                released: !active,
                sent_at,
                nonce,
            }),
        }
    }
}

pub fn hello() -> impl Strategy<Value = Hello> {
    let id = prop_oneof![8 => select(&[1, 3][..]), 1 => 0..5_u32];
    let store = prop_oneof![6 => Just(None), 1 => Just(Some(1_000_u128))];
    let cluster = prop_oneof![
        12 => Just(Some(CLUSTER)),
        3 => Just(None),
        1 => Just(Some(ClusterId(8))),
    ];
    (id, store, 0..3_u64, cluster, any::<bool>()).prop_map(|(id, store, run, cluster, active)| {
        Hello {
            id: ReplicaId(id),
            store: StoreId(store.unwrap_or(u128::from(id))),
            incarnation: Incarnation(run),
            cluster,
            active,
            dead: BTreeSet::new(),
            dead_by: Epoch::NONE,
            acknowledged: Acknowledged::default(),
        }
    })
}
