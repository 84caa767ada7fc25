//! The cost of the core itself: a batch appended and committed, on a leader and on a backup, and a whole
//! takeover. No disk and no network: `cargo bench -p tercet-core`.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    hint::black_box,
};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tercet_core::{
    Replica,
    config::{Limits, Mode, Settings, Timing},
    effect::Effect,
    id::{ClusterId, Incarnation, ReplicaId, StoreId, Ticket, Time},
    input::Input,
    log::Recovered,
    message::Message,
};

const BATCH: u64 = 64;
const TICK: u64 = 1_000;

/// Replicas whose disks and links take no time.
struct Cluster {
    replicas: BTreeMap<ReplicaId, Replica>,
    inputs: VecDeque<(ReplicaId, Input)>,
    now: u64,
    tickets: u64,
}

impl Cluster {
    /// Three that serve, led by 1.
    fn serving() -> Cluster {
        let roster: BTreeSet<_> = (1..=3).map(ReplicaId).collect();
        let replica = |&id: &ReplicaId| {
            let settings = Settings {
                id,
                store: StoreId(u128::from(id.0)),
                incarnation: Incarnation(u64::from(id.0)),
                roster: roster.clone(),
                mode: Mode::Available,
                copied: false,
                new_cluster: Some(ClusterId(1)),
                timing: Timing::default(),
                limits: Limits::default(),
                now: Time(0),
            };
            (id, Replica::new(settings, Recovered::empty()))
        };
        let mut cluster = Cluster {
            replicas: roster.iter().map(replica).collect(),
            inputs: VecDeque::new(),
            now: 0,
            tickets: 0,
        };
        for &id in &roster {
            for &peer in roster.iter().filter(|&&peer| peer != id) {
                let hello = cluster.replicas[&peer].hello();
                cluster.inputs.push_back((id, Input::LinkUp { hello }));
            }
        }
        cluster.settle();
        cluster.tick_until(|cluster| cluster.serves(ReplicaId(1)));
        // Backups are active only after a round trip more.
        (0..100).for_each(|_| cluster.tick());
        cluster
    }

    fn serves(&self, id: ReplicaId) -> bool {
        let replica = self.replicas.get(&id);
        replica.is_some_and(|replica| replica.status().serving)
    }

    fn step(&mut self, id: ReplicaId, input: Input) {
        let Some(replica) = self.replicas.get_mut(&id) else {
            return;
        };
        for effect in replica.step(input) {
            let (to, input) = match effect {
                Effect::Persist(write) => (id, Input::Persisted { write: write.id }),
                Effect::Apply { entries } => {
                    let lsn = entries.last().expect("never empty").lsn;
                    (id, Input::Applied { lsn })
                }
                Effect::Send { to, message } => (to, Input::Received { from: id, message }),
                _ => continue,
            };
            self.inputs.push_back((to, input));
        }
    }

    fn settle(&mut self) {
        while let Some((id, input)) = self.inputs.pop_front() {
            self.step(id, input);
        }
    }

    fn tick(&mut self) {
        self.now += TICK;
        let now = Time(self.now);
        let ids: Vec<_> = self.replicas.keys().copied().collect();
        ids.into_iter()
            .for_each(|id| self.inputs.push_back((id, Input::Tick { now })));
        self.settle();
    }

    fn tick_until(&mut self, holds: impl Fn(&Cluster) -> bool) {
        for _ in 0..10_000 {
            if holds(self) {
                return;
            }
            self.tick();
        }
        panic!("it never held");
    }

    /// A batch of writes, to the end: on all three, committed and applied.
    fn write(&mut self, count: u64) {
        let tickets = self.tickets..self.tickets + count;
        self.tickets += count;
        let command = vec![7; 160];
        let proposals = tickets.map(|ticket| (Ticket(ticket), command.clone().into()));
        let proposals = proposals.collect();
        self.step(ReplicaId(1), Input::Propose { proposals });
        self.settle();
    }

    /// 1 is gone, and both others know.
    fn kill_leader(&mut self) {
        let peer = ReplicaId(1);
        self.replicas.remove(&peer);
        for id in [2, 3].map(ReplicaId) {
            self.inputs.push_back((id, Input::LinkDown { peer }));
            let refused = || (id, Input::Refused { peer, told: true });
            self.inputs.extend([refused(), refused()]);
        }
        self.settle();
    }
}

fn writes(c: &mut Criterion) {
    let mut group = c.benchmark_group("write on three replicas");
    for count in [1, BATCH] {
        group.throughput(Throughput::Elements(count));
        let mut cluster = Cluster::serving();
        group.bench_function(format!("batch of {count}"), |b| {
            b.iter(|| cluster.write(count));
        });
    }
    group.finish();
}

/// An Append of a batch, taken by a backup: into the log, durable, acknowledged.
fn append(c: &mut Criterion) {
    let mut cluster = Cluster::serving();
    let mut group = c.benchmark_group("append on a backup");
    group.throughput(Throughput::Elements(BATCH));
    group.bench_function(format!("batch of {BATCH}"), |b| {
        b.iter_batched(
            || next_append(&mut cluster),
            |(mut backup, append)| {
                let effects = backup.step(append);
                black_box((backup, effects))
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// A fresh backup that follows, and the leader's next Append to it.
fn next_append(cluster: &mut Cluster) -> (Replica, Input) {
    *cluster = Cluster::serving();
    let proposals = (0..BATCH).map(|n| (Ticket(n), vec![7; 160].into()));
    let proposals = proposals.collect();
    cluster.step(ReplicaId(1), Input::Propose { proposals });
    let append = cluster.inputs.drain(..).find_map(|(to, input)| {
        let append = matches!(
            &input,
            Input::Received {
                message: Message::Append(append),
                ..
            } if !append.entries.is_empty()
        );
        (to == ReplicaId(3) && append).then_some(input)
    });
    let backup = cluster.replicas.remove(&ReplicaId(3));
    (
        backup.expect("3 is there"),
        append.expect("the leader sends at once"),
    )
}

/// From the evidence that the leader is dead to the first write that its successor would take, in steps of
/// the core alone.
fn takeover(c: &mut Criterion) {
    c.bench_function("takeover", |b| {
        b.iter_batched(
            Cluster::serving,
            |mut cluster| {
                cluster.kill_leader();
                cluster.tick_until(|cluster| cluster.serves(ReplicaId(2)));
                cluster
            },
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, writes, append, takeover);
criterion_main!(benches);
