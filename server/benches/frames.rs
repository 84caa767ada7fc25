//! The way of a message to a backup: `cargo bench -p tercet-server --features bench`.

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use prost::Message as _;
use tercet_core::{
    id::{Epoch, Lsn, ReplicaId},
    log::{Entry, Payload},
};
use tercet_proto::log::{Command, SendMessage, command::Action};
use tercet_server::bench::{decode_append, encode_append};

/// Makes an entry with a message of 100 bytes.
fn message(lsn: u64) -> Entry {
    let command = Command {
        request_id: Bytes::copy_from_slice(&u128::from(lsn).to_be_bytes()),
        stamp_ms: 1,
        version: 0,
        stamp_ahead_ms: 0,
        action: Some(Action::SendMessage(SendMessage {
            sender_id: 1,
            recipient: "user2".into(),
            body: "x".repeat(100),
            instant: false,
            reply_to: 0,
        })),
    };
    Entry {
        lsn: Lsn(lsn),
        epoch: Epoch {
            number: 1,
            proposer: ReplicaId(1),
        },
        payload: Payload::Command(command.encode_to_vec().into()),
    }
}

fn frames(criterion: &mut Criterion) {
    let entries: Vec<Entry> = (1..=64).map(message).collect();
    let bytes = Bytes::from(encode_append(&entries));
    let mut group = criterion.benchmark_group("frame of 64");
    group.throughput(Throughput::Elements(64));
    group.bench_function("encode", |bencher| bencher.iter(|| encode_append(&entries)));
    group.bench_function("decode", |bencher| {
        bencher.iter_batched(|| bytes.clone(), decode_append, BatchSize::SmallInput);
    });
}

criterion_group!(benches, frames);
criterion_main!(benches);
