//! Bytes from a network never panic: a replica in every role is fed messages that no sane peer
//! would send, from a tiny generator, together with just enough sane answers to change roles.
//!
//! Writes complete in order, some time later. What the replica's own store reads comes late or
//! for somebody else at times, but is never corrupt: checksums are the store's concern.

mod chance;

use std::{
    collections::{BTreeMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
};

use chance::{CLUSTER, Chance, Known};
use tercet_core::{
    Replica, RoleKind,
    config::{Limits, LoggedConfig, Mode, Settings, Timing},
    effect::{Effect, Write},
    epochs::EpochHistory,
    id::{Epoch, Incarnation, Lsn, ReplicaId, StoreId, Ticket, Time, WriteId},
    input::Input,
    log::{Entry, Payload, Recovered},
    message::Message,
};

const LIVES: u64 = 1000;
const STEPS: u64 = 300;
const ME: ReplicaId = ReplicaId(2);
const PEERS: [ReplicaId; 2] = [ReplicaId(1), ReplicaId(3)];

/// Each role must have had so many steps, or the test shows less than it says.
const STEPS_IN_ROLE_MIN: u64 = 2000;

#[test]
fn malformed_messages_never_panic() {
    let mut roles: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in 0..LIVES {
        let mut life = Life::new(seed);
        for step in 0..STEPS {
            let input = life.input();
            let told = format!("{input:?}");
            let before = life.replica.status();
            *roles.entry(name(before.role)).or_default() += 1;
            let done = catch_unwind(AssertUnwindSafe(|| life.step(input)));
            let Ok(running) = done else {
                panic!("life {seed}, step {step}: {before:?}\n was given {told}");
            };
            if !running {
                break;
            }
        }
    }
    for kind in [
        RoleKind::Leader,
        RoleKind::Backup,
        RoleKind::Learner,
        RoleKind::Candidate,
        RoleKind::Waiting,
    ] {
        let steps = roles.get(name(kind)).copied().unwrap_or(0);
        assert!(steps >= STEPS_IN_ROLE_MIN, "{}: {steps} steps", name(kind));
    }
}

fn name(role: RoleKind) -> &'static str {
    match role {
        RoleKind::Leader => "leader",
        RoleKind::Backup => "backup",
        RoleKind::Learner => "learner",
        RoleKind::Candidate => "candidate",
        RoleKind::Waiting => "waiting",
    }
}

/// One run of a replica.
struct Life {
    replica: Replica,
    chance: Chance,
    now: u64,
    log: Vec<Entry>,
    nonce: u64,
    writes: VecDeque<WriteId>,
    reads: VecDeque<(ReplicaId, Lsn, Lsn)>,
    answers: VecDeque<(ReplicaId, Message)>,
}

impl Life {
    fn new(seed: u64) -> Life {
        let mut chance = Chance(seed);
        let recovered = recovered(&mut chance);
        let limits = Limits {
            window_bytes_max: chance.pick(&[0, 10, 1 << 20]),
            batch_entries_max: chance.pick(&[1, 2, 1024]),
            uncommitted_entries_max: chance.pick(&[3, 1024]),
            ..Limits::default()
        };
        let settings = Settings {
            id: ME,
            store: StoreId(u128::from(ME.0)),
            incarnation: Incarnation(1),
            roster: [ReplicaId(1), ME, ReplicaId(3)].into(),
            mode: chance.pick(&[Mode::Available, Mode::Majority { min_in_sync: 2 }]),
            copied: false,
            new_cluster: Some(CLUSTER),
            timing: Timing::default(),
            limits,
            now: Time(0),
        };
        Life {
            log: recovered.tail.clone(),
            replica: Replica::new(settings, recovered),
            chance,
            now: 0,
            nonce: 1,
            writes: VecDeque::new(),
            reads: VecDeque::new(),
            answers: VecDeque::new(),
        }
    }

    fn known(&self) -> Known {
        let status = self.replica.status();
        Known {
            epoch: status.epoch,
            last: status.last,
            log: self.log.clone(),
            now: Time(self.now),
            nonce: self.nonce,
        }
    }

    fn input(&mut self) -> Input {
        let peer = self.chance.pick(&PEERS);
        match self.chance.below(100) {
            0..15 => self.tick(),
            15..27 => {
                let id = self.chance.pick(&[1, 1, 1, 3, 3, 3, 2, 9]);
                let hello = self.chance.hello(ReplicaId(id));
                Input::LinkUp { hello }
            }
            27..30 => Input::LinkDown { peer },
            30..33 => Input::Refused {
                peer,
                told: self.chance.percent(50),
            },
            33 => {
                let known = self.known();
                let snapshot = self.chance.snapshot(&known);
                Input::SnapshotFetched { snapshot }
            }
            34..38 => Input::Propose {
                proposals: vec![(Ticket(1), "a".into()), (Ticket(2), "b".into())],
            },
            38 if self.chance.percent(10) => Input::Stop,
            39..54 => match self.writes.pop_front() {
                Some(write) => Input::Persisted { write },
                None => self.tick(),
            },
            54..58 => self.read(),
            58..78 => match self.answers.pop_front() {
                Some((from, message)) => Input::Received { from, message },
                None => self.tick(),
            },
            _ => {
                let known = self.known();
                let message = self.chance.message(peer, &known);
                Input::Received {
                    from: peer,
                    message,
                }
            }
        }
    }

    fn tick(&mut self) -> Input {
        self.now += match self.chance.percent(2) {
            true => 2_000_000,
            false => 10_000,
        };
        Input::Tick {
            now: Time(self.now),
        }
    }

    /// Answers a read that was asked of the store or never asked: late, and perhaps for another peer.
    fn read(&mut self) -> Input {
        let Some((peer, from, through)) = self.reads.pop_front() else {
            return self.tick();
        };
        let wanted = self.log.iter();
        let wanted = wanted.filter(|entry| entry.lsn >= from && entry.lsn <= through);
        let peer = match self.chance.percent(90) {
            true => peer,
            false => self.chance.pick(&PEERS),
        };
        Input::LogRead {
            peer,
            from,
            entries: wanted.cloned().collect(),
        }
    }

    /// Whether the replica goes on.
    fn step(&mut self, input: Input) -> bool {
        for effect in self.replica.step(input) {
            match effect {
                Effect::Persist(write) => self.persist(&write),
                Effect::Send { to, message } => self.sent(to, &message),
                Effect::ReadLog {
                    peer,
                    from,
                    through,
                } => self.reads.push_back((peer, from, through)),
                Effect::Halt(_) => return false,
                // Here the log has no entries any more of which anybody knows.
                Effect::Install { .. } => return false,
                Effect::Apply { .. }
                | Effect::Settle { .. }
                | Effect::Confirmed
                | Effect::FetchSnapshot { .. }
                | Effect::Disconnect { .. }
                | Effect::Accepted { .. }
                | Effect::Rejected { .. }
                | Effect::Abandon => {}
            }
        }
        true
    }

    fn persist(&mut self, write: &Write) {
        self.writes.push_back(write.id);
        if let Some(from) = write.truncate_from {
            self.log.retain(|entry| entry.lsn < from);
        }
        self.log.extend_from_slice(&write.entries);
    }

    fn sent(&mut self, to: ReplicaId, message: &Message) {
        if let Message::Appended { nonce, .. } | Message::AppendMismatch { nonce, .. } = message {
            self.nonce = *nonce;
        }
        let known = self.known();
        if self.answers.len() < 20
            && let Some(answer) = self.chance.answer(message, &known)
        {
            self.answers.push_back((to, answer));
        }
    }
}

/// A new store, or one with a few entries.
fn recovered(chance: &mut Chance) -> Recovered {
    let epoch = Epoch {
        number: 1,
        proposer: ReplicaId(1),
    };
    let count = chance.below(5);
    if count == 0 {
        return Recovered::empty();
    }
    let config = chance.config();
    let tail = (1..=count).map(|lsn| Entry {
        lsn: Lsn(lsn),
        epoch,
        payload: match lsn {
            1 => Payload::Config(config.clone()),
            _ => Payload::Command("old".into()),
        },
    });
    Recovered {
        promised: epoch,
        epochs: EpochHistory::from_iter([(Lsn(1), epoch)]),
        start: Lsn(1),
        last: Lsn(count),
        applied: Lsn::ZERO,
        settled: Lsn::ZERO,
        configs: vec![LoggedConfig {
            lsn: Lsn(1),
            config: config.clone(),
        }],
        tail: tail.collect(),
    }
}
