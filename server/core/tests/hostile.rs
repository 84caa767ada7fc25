//! Peers that hold the secret and lie: whole histories of one replica whose two peers say what
//! they like, with answers made to be believed, from `proptest`, which cuts a failure down to the
//! few inputs that matter. `malformed.rs` throws single odd messages at a replica, many more of
//! them.
//!
//! Replicas are trusted not to lie (the essay in `lib.rs`), so a lie may cost the cluster its
//! progress. What a lie must never do: stop this process by an invariant, take back what is
//! committed or promised, lengthen a lease, or make one step unboundedly large.

mod liar;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use liar::{CLUSTER, Seen, VoteStateKind, Words};
use proptest::{collection::vec, prelude::*, sample::select, test_runner::FileFailurePersistence};
use tercet_core::{
    Replica,
    config::{Limits, LoggedConfig, Mode, Settings, Timing},
    effect::{Effect, Write},
    epochs::EpochHistory,
    id::{Epoch, Incarnation, Lsn, ReplicaId, StoreId, Ticket, Time, WriteId},
    input::Input,
    log::{Entry, LastEntry, Payload, Recovered},
    message::{Hello, Message, VoteState},
};

const ME: ReplicaId = ReplicaId(2);
const ROSTER: [ReplicaId; 3] = [ReplicaId(1), ME, ReplicaId(3)];

/// Far above what one input needs: two peers, each with its window of batches.
const EFFECTS_MAX: usize = 256;

fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: default.cases.max(1_000),
        max_shrink_iters: 20_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource(
            "proptest-regressions",
        ))),
        ..default
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn lying_peers_break_no_invariant(
        start in start(),
        steps in vec(step(), 0..150),
    ) {
        let honest_rounds = start.honest_rounds;
        let mut life = Life::new(start);
        life.be_told_the_truth(honest_rounds);
        for step in steps {
            if !life.take(step) {
                break;
            }
        }
    }
}

#[derive(Clone, Debug)]
struct Start {
    mode: Mode,
    limits: Limits,
    log: Vec<Payload>,
    /// The number of rounds in which its peers are honest before they lie: with enough of them it leads.
    honest_rounds: usize,
}

fn start() -> impl Strategy<Value = Start> {
    let mode = select(vec![Mode::Available, Mode::Majority { min_in_sync: 2 }]);
    let window = select(vec![0, 10, 1 << 20]);
    let batch = select(vec![1, 2, 1024]);
    let log = (liar::config(), vec(liar::payload(), 0..4));
    (
        mode,
        window,
        batch,
        prop::option::weighted(0.8, log),
        0..80_usize,
    )
        .prop_map(|(mode, window, batch, log, honest_rounds)| {
            let log = log.map_or(Vec::new(), |(first, rest)| {
                [Payload::Config(first)].into_iter().chain(rest).collect()
            });
            let limits = Limits {
                window_bytes_max: window,
                batch_entries_max: batch,
                ..Limits::default()
            };
            Start {
                mode,
                limits,
                log,
                honest_rounds,
            }
        })
}

#[derive(Clone, Debug)]
enum Step {
    Tick(u64),
    LinkUp(Hello),
    LinkDown(ReplicaId),
    Refused(ReplicaId),
    Say(ReplicaId, Box<Words>),
    /// The oldest question is answered so that it may be believed.
    Answer(Box<VoteStateKind>, Payload),
    Persisted,
    LogRead,
    Propose,
    Stop,
}

fn step() -> impl Strategy<Value = Step> {
    let peer = || select(vec![ReplicaId(1), ReplicaId(3)]);
    let answer = (liar::vote_state(), liar::payload());
    prop_oneof![
        60 => Just(Step::Tick(10_000)),
        4 => select(vec![400_000_u64, 1_100_000]).prop_map(Step::Tick),
        20 => liar::hello().prop_map(Step::LinkUp),
        3 => peer().prop_map(Step::LinkDown),
        3 => peer().prop_map(Step::Refused),
        50 => (peer(), liar::words()).prop_map(|(peer, words)| Step::Say(peer, Box::new(words))),
        70 => answer.prop_map(|(vote_state, payload)| Step::Answer(Box::new(vote_state), payload)),
        30 => Just(Step::Persisted),
        5 => Just(Step::LogRead),
        10 => Just(Step::Propose),
        1 => Just(Step::Stop),
    ]
}

/// One run of a replica, and what must stay true of it.
struct Life {
    replica: Replica,
    limits: Limits,
    now: Time,
    log: Vec<Entry>,
    promised: Epoch,
    committed: Lsn,
    nonce: u64,
    writes: VecDeque<WriteId>,
    reads: VecDeque<(ReplicaId, Lsn, Lsn)>,
    questions: VecDeque<(ReplicaId, Message)>,
    /// The last entry that each peer named.
    last_entries: BTreeMap<ReplicaId, LastEntry>,
}

impl Life {
    fn new(start: Start) -> Life {
        let epoch = Epoch {
            number: 1,
            proposer: ReplicaId(1),
        };
        let entry = |(lsn, payload): (u64, &Payload)| Entry {
            lsn: Lsn(lsn),
            epoch,
            payload: payload.clone(),
        };
        let log: Vec<Entry> = (1..).zip(&start.log).map(entry).collect();
        let configs = log.iter().filter_map(Entry::config);
        let recovered = match log.last() {
            None => Recovered::empty(),
            Some(last) => Recovered {
                promised: epoch,
                epochs: EpochHistory::from_iter([(Lsn(1), epoch)]),
                start: Lsn(1),
                last: last.lsn,
                applied: Lsn::ZERO,
                settled: Lsn::ZERO,
                configs: configs.collect(),
                tail: log.clone(),
            },
        };
        let settings = Settings {
            id: ME,
            store: StoreId(u128::from(ME.0)),
            incarnation: Incarnation(1),
            roster: ROSTER.into(),
            mode: start.mode,
            copied: false,
            new_cluster: Some(CLUSTER),
            timing: Timing::default(),
            limits: start.limits.clone(),
            now: Time(0),
        };
        Life {
            promised: recovered.promised,
            replica: Replica::new(settings, recovered),
            limits: start.limits,
            now: Time(0),
            log,
            committed: Lsn::ZERO,
            nonce: 1,
            writes: VecDeque::new(),
            reads: VecDeque::new(),
            questions: VecDeque::new(),
            last_entries: BTreeMap::new(),
        }
    }

    fn seen(&self) -> Seen {
        Seen {
            epoch: self.replica.status().epoch,
            last: self.replica.status().last,
            last_epoch: self.log.last().map_or(Epoch::NONE, |entry| entry.epoch),
            now: self.now,
            nonce: self.nonce,
        }
    }

    /// Both peers are there, hold the same log, and answer everything.
    fn be_told_the_truth(&mut self, rounds: usize) {
        if rounds == 0 {
            return;
        }
        for id in [1, 3] {
            let hello = Hello {
                id: ReplicaId(id),
                store: StoreId(u128::from(id)),
                incarnation: Incarnation(0),
                cluster: Some(CLUSTER),
                active: false,
                dead: BTreeSet::new(),
                dead_by: Epoch::NONE,
                acknowledged: Default::default(),
            };
            self.take(Step::LinkUp(hello));
        }
        let payload = Payload::Command("x".into());
        for _ in 0..rounds {
            self.take(Step::Tick(10_000));
            while !self.writes.is_empty() {
                self.take(Step::Persisted);
            }
            for (from, question) in std::mem::take(&mut self.questions) {
                let vote_state = self.honest_standing();
                if let Some(message) = self.reply(from, &question, vote_state, &payload) {
                    self.feed(Input::Received { from, message });
                }
            }
        }
    }

    fn honest_standing(&self) -> VoteState {
        let configs = self.log.iter().filter_map(Entry::config);
        VoteState {
            last_entry: LastEntry {
                epoch: self.seen().last_epoch,
                lsn: self.seen().last,
            },
            commit: Lsn::ZERO,
            trimmed: LastEntry::default(),
            configs: configs.collect(),
            active: false,
            leaving: false,
            stalled: false,
        }
    }

    /// Whether the replica goes on.
    fn take(&mut self, step: Step) -> bool {
        let Some(input) = self.input(step) else {
            return true;
        };
        self.feed(input)
    }

    fn feed(&mut self, input: Input) -> bool {
        let effects = self.replica.step(input);
        assert!(
            effects.len() <= EFFECTS_MAX,
            "{} effects of one input",
            effects.len()
        );
        let halted = effects
            .iter()
            .any(|effect| matches!(effect, Effect::Halt(_)));
        for effect in effects {
            self.check(effect);
        }
        self.check_lease();
        !halted
    }

    fn input(&mut self, step: Step) -> Option<Input> {
        Some(match step {
            Step::Tick(micros) => {
                self.now = self.now.after(micros);
                Input::Tick { now: self.now }
            }
            Step::LinkUp(hello) => Input::LinkUp { hello },
            Step::LinkDown(peer) => Input::LinkDown { peer },
            Step::Refused(peer) => Input::Refused { peer, told: true },
            Step::Say(from, words) => {
                let message = words.spell(&self.seen(), from);
                Input::Received { from, message }
            }
            Step::Answer(vote_state, payload) => {
                let (from, question) = self.questions.pop_front()?;
                let vote_state = vote_state.spell(&self.seen(), from);
                let message = self.reply(from, &question, vote_state, &payload)?;
                Input::Received { from, message }
            }
            Step::Persisted => Input::Persisted {
                write: self.writes.pop_front()?,
            },
            Step::LogRead => {
                let (peer, from, through) = self.reads.pop_front()?;
                let wanted = self
                    .log
                    .iter()
                    .filter(|e| e.lsn >= from && e.lsn <= through);
                Input::LogRead {
                    peer,
                    from,
                    entries: wanted.cloned().collect(),
                }
            }
            Step::Propose => Input::Propose {
                proposals: vec![(Ticket(1), "a".into()), (Ticket(2), "b".into())],
            },
            Step::Stop => Input::Stop,
        })
    }

    /// Gives an answer of the kind that the replica waits for, with content of the liar.
    fn reply(
        &mut self,
        from: ReplicaId,
        question: &Message,
        vote_state: VoteState,
        payload: &Payload,
    ) -> Option<Message> {
        Some(match question {
            Message::PreVote { round } => Message::PreVoteReply {
                round: *round,
                promised: Epoch::NONE,
                hears: None,
                vote_state,
            },
            Message::Prepare { epoch, .. } => {
                self.last_entries.insert(from, vote_state.last_entry);
                Message::Promised {
                    epoch: *epoch,
                    vote_state,
                }
            }
            // A log that ends as was said, with one payload all along.
            Message::Pull { epoch, from: first } => {
                let last_entry = *self.last_entries.get(&from)?;
                let entries = (first.0..=last_entry.lsn.0).take(4).map(|lsn| Entry {
                    lsn: Lsn(lsn),
                    epoch: last_entry.epoch,
                    payload: payload.clone(),
                });
                Message::Pulled {
                    epoch: *epoch,
                    from: *first,
                    entries: entries.collect(),
                }
            }
            Message::Append(append) => Message::Appended {
                epoch: append.epoch,
                matched: Lsn(append.prev_lsn.0 + append.entries.len() as u64),
                applied: append.commit,
                sent_at: append.sent_at,
                nonce: append.nonce,
                active: true,
                unconfirmed: false,
                clock: Time(0),
            },
            _ => return None,
        })
    }

    fn check(&mut self, effect: Effect) {
        match effect {
            Effect::Persist(write) => self.persist(write),
            Effect::Apply { entries } => {
                for entry in entries {
                    assert_eq!(entry.lsn, self.committed.next(), "applied in order, once");
                    let held = self.log.iter().find(|held| held.lsn == entry.lsn);
                    assert_eq!(held, Some(&entry), "what is applied is what was persisted");
                    self.committed = entry.lsn;
                }
            }
            Effect::Confirmed => panic!("a store that was not copied is confirmed"),
            Effect::Settle { lsn } => {
                assert!(lsn <= self.committed, "only what is committed is settled")
            }
            Effect::Send { to, message } => self.sent(to, message),
            Effect::ReadLog {
                peer,
                from,
                through,
            } => {
                assert!(Lsn::ZERO < from && from <= through && through <= self.seen().last);
                self.reads.push_back((peer, from, through));
            }
            Effect::Install { .. } => panic!("no snapshot was given"),
            Effect::FetchSnapshot { .. }
            | Effect::Disconnect { .. }
            | Effect::Accepted { .. }
            | Effect::Rejected { .. }
            | Effect::Abandon
            | Effect::Halt(_) => {}
        }
    }

    fn persist(&mut self, write: Write) {
        if let Some(promised) = write.promised {
            assert!(promised > self.promised, "promises only rise");
            self.promised = promised;
        }
        if let Some(from) = write.truncate_from {
            assert!(from > self.committed, "what is committed is never cut");
            self.log.retain(|entry| entry.lsn < from);
        }
        for entry in write.entries {
            let last = self.log.last().map_or(Lsn::ZERO, |last| last.lsn);
            assert_eq!(entry.lsn, last.next(), "the log has no gap");
            assert!(
                i64::try_from(entry.epoch.number).is_ok(),
                "a store can hold the epoch"
            );
            self.log.push(entry);
        }
        self.writes.push_back(write.id);
    }

    fn sent(&mut self, to: ReplicaId, message: Message) {
        match &message {
            Message::Appended { nonce, .. } | Message::AppendMismatch { nonce, .. } => {
                self.nonce = *nonce;
            }
            Message::Append(append) => {
                assert!(append.entries.len() <= self.limits.batch_entries_max);
            }
            _ => {}
        }
        if self.questions.len() < 8 {
            self.questions.push_back((to, message));
        }
    }

    /// A lease runs from a stamp that this replica gave, so it ends within a lease from now.
    fn check_lease(&self) {
        let (Some(until), Some(LoggedConfig { config, .. })) =
            (self.replica.lease_until(), self.replica.status().config)
        else {
            return;
        };
        let alone = config.members.len() == 1;
        let most = self.now.after(Timing::default().lease);
        assert!(
            alone || until <= most,
            "a lease until {until:?}, and it is {:?}",
            self.now
        );
    }
}
