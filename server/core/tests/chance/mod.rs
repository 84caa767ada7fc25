//! Messages from a tiny generator: mostly near what a replica expects, often wrong in one field,
//! now and then absurd.

use std::collections::BTreeSet;

use tercet_core::{
    config::{Config, LoggedConfig, Mode},
    epochs::EpochHistory,
    id::{ClusterId, Epoch, Lsn, ReplicaId, StoreId, Time},
    log::{Entry, LastEntry, Payload, Snapshot},
    message::{Acknowledged, Append, Hello, Message, VoteState},
};

pub const CLUSTER: ClusterId = ClusterId(7);

/// SplitMix64: small, and the same everywhere.
pub struct Chance(pub u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        let index = usize::try_from(self.below(from.len() as u64)).expect("a small index");
        from[index].clone()
    }
}

/// The generator's knowledge of the replica under test, with which its inputs are nearly right.
pub struct Known {
    pub epoch: Epoch,
    pub last: Lsn,
    pub log: Vec<Entry>,
    pub now: Time,
    pub nonce: u64,
}

impl Known {
    fn epoch_at(&self, lsn: Lsn) -> Epoch {
        let found = self.log.iter().find(|entry| entry.lsn == lsn);
        found.map_or(Epoch::NONE, |entry| entry.epoch)
    }
}

impl Chance {
    fn number(&mut self, near: u64) -> u64 {
        match self.below(20) {
            0 => u64::MAX,
            1 => 0,
            2 => u64::MAX - 1,
            3..6 => self.below(8),
            6..9 => near.saturating_sub(self.below(3)),
            9..12 => near.saturating_add(self.below(3)),
            _ => near,
        }
    }

    fn lsn(&mut self, near: Lsn) -> Lsn {
        Lsn(self.number(near.0))
    }

    fn id(&mut self) -> ReplicaId {
        ReplicaId(self.pick(&[0, 1, 1, 2, 2, 3, 3, 9]))
    }

    fn epoch(&mut self, near: Epoch, by: ReplicaId) -> Epoch {
        match self.below(10) {
            0 => Epoch::NONE,
            1 => Epoch {
                number: u64::MAX,
                proposer: by,
            },
            2 => Epoch {
                number: self.number(near.number),
                proposer: self.id(),
            },
            3..6 if near.is_plausible() => near.above(by, u64::from(by.0)),
            _ => near,
        }
    }

    pub fn config(&mut self) -> Config {
        let mut members = vec![1, 2, 3];
        members.retain(|_| self.percent(85));
        let store = |id: u32| (ReplicaId(id), StoreId(u128::from(id)));
        Config {
            cluster: CLUSTER,
            mode: self.pick(&[
                Mode::Available,
                Mode::Available,
                Mode::Majority { min_in_sync: 2 },
                Mode::Majority { min_in_sync: 0 },
            ]),
            members: members.into_iter().map(store).collect(),
            dead: self.dead(),
        }
    }

    fn entries(&mut self, from: Lsn, epoch: Epoch, by: ReplicaId) -> Vec<Entry> {
        let count = self.below(4);
        let entries = (0..count).map(|n| {
            let right = Lsn(from.0.wrapping_add(n));
            let wrong = self.percent(5);
            let epoch = match self.percent(10) {
                true => self.epoch(epoch, by),
                false => epoch,
            };
            let payload = match right <= Lsn(1) || self.percent(30) {
                true => Payload::Config(self.config()),
                false => Payload::Command("x".into()),
            };
            Entry {
                lsn: if wrong { self.lsn(right) } else { right },
                epoch,
                payload,
            }
        });
        entries.collect()
    }

    pub fn hello(&mut self, id: ReplicaId) -> Hello {
        let store = match self.percent(90) {
            true => u128::from(id.0),
            false => 1000,
        };
        Hello {
            id,
            store: StoreId(store),
            incarnation: tercet_core::id::Incarnation(self.below(3)),
            cluster: self.pick(&[Some(CLUSTER), Some(CLUSTER), Some(CLUSTER), None]),
            active: self.percent(50),
            dead: self.dead(),
            dead_by: Epoch::NONE,
            acknowledged: Acknowledged::default(),
        }
    }

    /// Now and then a store, rarely that of the replica that is told.
    fn dead(&mut self) -> BTreeSet<(ReplicaId, StoreId)> {
        let id = self.pick(&[2, 3, 4, 5]);
        let told = self.percent(5);
        told.then_some((ReplicaId(id), StoreId(u128::from(id))))
            .into_iter()
            .collect()
    }

    fn vote_state(&mut self, known: &Known) -> VoteState {
        let configs = known.log.iter().filter_map(Entry::config);
        let mut configs: Vec<_> = configs.collect();
        if self.percent(10) {
            let lsn = self.lsn(known.last);
            let config = self.config();
            configs.push(LoggedConfig { lsn, config });
        }
        if self.percent(5) {
            configs.clear();
        }
        let last_entry = LastEntry {
            epoch: known.epoch_at(known.last),
            lsn: known.last,
        };
        let odd = LastEntry {
            epoch: self.epoch(last_entry.epoch, ReplicaId(1)),
            lsn: self.lsn(known.last),
        };
        VoteState {
            last_entry: if self.percent(70) { last_entry } else { odd },
            commit: self.lsn(known.last),
            trimmed: if self.percent(10) {
                last_entry
            } else {
                LastEntry::default()
            },
            configs,
            active: self.percent(50),
            leaving: self.percent(10),
            stalled: self.percent(10),
        }
    }

    pub fn snapshot(&mut self, known: &Known) -> Snapshot {
        let lsn = self.lsn(known.last);
        let epoch = self.epoch(known.epoch, ReplicaId(1));
        Snapshot {
            lsn,
            epochs: match self.percent(80) {
                true => EpochHistory::from_iter([(Lsn(1), epoch)]),
                false => EpochHistory::from_iter([(self.lsn(lsn), epoch), (lsn, known.epoch)]),
            },
            config: LoggedConfig {
                lsn: self.lsn(lsn),
                config: self.config(),
            },
        }
    }

    fn append(&mut self, from: ReplicaId, known: &Known) -> Append {
        let epoch = self.epoch(known.epoch, from);
        let prev_lsn = self.lsn(known.last);
        let prev_epoch = match self.percent(90) {
            true => known.epoch_at(prev_lsn),
            false => self.epoch(epoch, from),
        };
        Append {
            epoch,
            prev_lsn,
            prev_epoch,
            entries: self.entries(Lsn(prev_lsn.0.wrapping_add(1)), epoch, from),
            commit: self.lsn(prev_lsn),
            last: Lsn::ZERO,
            config_lsn: self.lsn(Lsn(1)),
            member: self.percent(80),
            released: self.percent(5),
            sent_at: Time(self.number(known.now.0)),
            nonce: self.number(known.nonce),
        }
    }

    /// Any message, from a peer to the replica that is known so far.
    pub fn message(&mut self, from: ReplicaId, known: &Known) -> Message {
        let epoch = self.epoch(known.epoch, from);
        let lsn = self.lsn(known.last);
        let nonce = self.number(1);
        let sent_at = Time(self.number(known.now.0));
        let vote_state = self.vote_state(known);
        match self.below(26) {
            0 => Message::Ping {
                promised: epoch,
                clock: sent_at,
            },
            1 => Message::Appended {
                epoch,
                matched: lsn,
                applied: lsn,
                sent_at,
                nonce,
                active: self.percent(50),
                unconfirmed: self.percent(10),
                clock: sent_at,
            },
            2 => Message::AppendMismatch {
                epoch,
                retry_from: lsn,
                sent_at,
                nonce,
            },
            3 => Message::Fenced { promised: epoch },
            4 => Message::PreVote { round: nonce },
            5 | 6 => Message::PreVoteReply {
                round: self.number(known.now.0),
                promised: epoch,
                hears: self.percent(20).then(|| self.id()),
                vote_state,
            },
            7 => Message::Prepare {
                epoch,
                transferred_from: self.percent(30).then_some(known.epoch),
            },
            8..11 => Message::Promised { epoch, vote_state },
            11 => Message::Vetoed { epoch },
            12 => Message::Pull { epoch, from: lsn },
            13..16 => Message::Pulled {
                epoch,
                from: lsn,
                entries: self.entries(lsn, epoch, from),
            },
            16 => Message::LeadershipTransfer { epoch },
            17 => Message::Nominate { epoch },
            18 => Message::Leave,
            20 => Message::Excused { epoch },
            22 => Message::Promising { epoch },
            21 => Message::Resigned { epoch },
            19 => Message::SnapshotNeeded {
                epoch,
                lsn_min: lsn,
            },
            _ => Message::Append(self.append(from, known)),
        }
    }

    /// The answer that a sane peer with the same log would give; `None` if it would be silent.
    pub fn answer(&mut self, message: &Message, known: &Known) -> Option<Message> {
        let mut vote_state = self.vote_state(known);
        if self.percent(60) {
            vote_state.last_entry.lsn = vote_state.last_entry.lsn.min(known.last);
        }
        Some(match message {
            Message::PreVote { round } => Message::PreVoteReply {
                round: *round,
                promised: Epoch::NONE,
                hears: None,
                vote_state,
            },
            Message::Prepare { epoch, .. } => Message::Promised {
                epoch: *epoch,
                vote_state,
            },
            Message::Pull { epoch, from } => {
                let last_entry = known.epoch_at(from.prev());
                Message::Pulled {
                    epoch: *epoch,
                    from: *from,
                    entries: self.entries(*from, last_entry.max(*epoch), epoch.proposer),
                }
            }
            Message::Append(append) => Message::Appended {
                epoch: append.epoch,
                matched: Lsn(append.prev_lsn.0 + append.entries.len() as u64),
                applied: append.commit,
                sent_at: append.sent_at,
                nonce: append.nonce,
                active: self.percent(80),
                unconfirmed: self.percent(10),
                clock: Time(0),
            },
            _ => return None,
        })
    }
}
