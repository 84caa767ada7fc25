//! The cost of a message for a replica's store: `cargo bench -p tercet-store`. On the disk of the temporary directory, every
//! transaction fsynced.

use std::path::Path;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use prost::Message as _;
use tercet_core::{
    effect::Write,
    id::{Epoch, Lsn, ReplicaId, StoreId, WriteId},
    log::{Entry, Payload},
};
use tercet_proto::log::{Command, CreateAccount, SendMessage, command::Action};
use tercet_store::{OpenOptions, WriteOp, Writer};

/// Accounts: their conversations are half as many as their square.
const ACCOUNTS: [u64; 2] = [4, 64];
const EPOCH: Epoch = Epoch {
    number: 1,
    proposer: ReplicaId(1),
};

/// A store with accounts that send to each other in turn.
struct Store {
    writer: Writer,
    accounts: u64,
    last: u64,
}

impl Store {
    /// Makes a store in an empty directory.
    fn new(dir: &Path, accounts: u64) -> Store {
        let opened = tercet_store::open(&OpenOptions {
            accept_missing_wal: false,
            dir: dir.to_owned(),
            replica: ReplicaId(1),
            new_store: StoreId(1),
        });
        let mut store = Store {
            writer: opened.expect("open a new store").writer,
            accounts,
            last: 0,
        };
        let create = |id| {
            Action::CreateAccount(CreateAccount {
                username: format!("user{id}"),
                password_hash: "none".into(),
            })
        };
        let entries: Vec<Entry> = (1..=accounts).map(|id| store.entry(create(id))).collect();
        store.append(entries.clone());
        store.apply(entries);
        store
    }

    /// Makes the next `count` entries of the log: messages of 100 bytes.
    fn messages(&mut self, count: u64) -> Vec<Entry> {
        let one = |store: &mut Store| {
            let n = store.last;
            store.entry(Action::SendMessage(SendMessage {
                sender_id: n % store.accounts + 1,
                recipient: format!("user{}", (n / store.accounts) % store.accounts + 1),
                body: "x".repeat(100),
                instant: false,
                reply_to: 0,
            }))
        };
        (0..count).map(|_| one(self)).collect()
    }

    fn entry(&mut self, action: Action) -> Entry {
        self.last += 1;
        let command = Command {
            request_id: Bytes::copy_from_slice(&u128::from(self.last).to_be_bytes()),
            stamp_ms: 1,
            version: 0,
            stamp_ahead_ms: 0,
            action: Some(action),
        };
        Entry {
            lsn: Lsn(self.last),
            epoch: EPOCH,
            payload: Payload::Command(command.encode_to_vec().into()),
        }
    }

    /// Appends entries to the log, in one transaction, fsynced.
    fn append(&mut self, entries: Vec<Entry>) {
        self.execute(WriteOp::Persist(Write {
            id: WriteId(0),
            promised: None,
            truncate_from: None,
            entries,
        }));
    }

    /// Applies entries of the log as a leader does, in one transaction, fsynced.
    fn apply(&mut self, entries: Vec<Entry>) {
        self.execute(WriteOp::Apply(entries));
    }

    fn execute(&mut self, op: WriteOp) {
        self.writer.execute(&[op]).expect("write to the store");
        self.writer.checkpoint_wal().expect("move the WAL");
    }
}

fn append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append");
    for batch in [1, 64] {
        group.throughput(Throughput::Elements(batch));
        group.bench_function(batch.to_string(), |bencher| {
            let dir = tempfile::tempdir().expect("a directory");
            let mut store = Store::new(dir.path(), ACCOUNTS[0]);
            bencher.iter(|| {
                let entries = store.messages(batch);
                store.append(entries);
            });
        });
    }
}

fn apply(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append and apply");
    group.sample_size(20);
    for accounts in ACCOUNTS {
        for batch in [1, 64, 512] {
            group.throughput(Throughput::Elements(batch));
            group.bench_function(format!("{batch}, {accounts} accounts"), |bencher| {
                let dir = tempfile::tempdir().expect("a directory");
                let mut store = Store::new(dir.path(), accounts);
                bencher.iter(|| {
                    let entries = store.messages(batch);
                    store.append(entries.clone());
                    store.apply(entries);
                });
            });
        }
    }
}

criterion_group!(benches, append, apply);
criterion_main!(benches);
