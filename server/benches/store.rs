//! What a message costs a replica's store, and its way to a backup: `cargo bench -p tercet-server --features
//! bench`. On the disk of the temporary directory, every transaction fsynced.

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tercet_server::bench::{Store, decode_append, encode_append};

/// Accounts: their conversations are half as many as their square.
const ACCOUNTS: [u64; 2] = [4, 64];

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

fn frames(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory");
    let entries = Store::new(dir.path(), 4).messages(64);
    let bytes = Bytes::from(encode_append(&entries));
    let mut group = criterion.benchmark_group("frame of 64");
    group.throughput(Throughput::Elements(64));
    group.bench_function("encode", |bencher| bencher.iter(|| encode_append(&entries)));
    group.bench_function("decode", |bencher| {
        bencher.iter_batched(|| bytes.clone(), decode_append, BatchSize::SmallInput);
    });
}

criterion_group!(benches, append, apply, frames);
criterion_main!(benches);
