//! Access for `benches/`, with the feature `bench`, to the code paths that the server uses most.

use std::path::Path;

use bytes::Bytes;
use prost::Message as _;
use tercet_core::{
    effect::Write,
    id::{Epoch, Lsn, ReplicaId, StoreId, Time, WriteId},
    log::{Entry, Payload},
    message::{Append, Message},
};
use tercet_proto::{
    log::{Command, CreateAccount, SendMessage, command::Action},
    peer::Frame,
};

use crate::{
    peers,
    store::{self, OpenOptions, WriteOp, Writer},
};

const EPOCH: Epoch = Epoch {
    number: 1,
    proposer: ReplicaId(1),
};

/// A store with accounts that send to each other in turn.
pub struct Store {
    writer: Writer,
    accounts: u64,
    last: u64,
}

impl Store {
    /// Makes a store in an empty directory.
    ///
    /// # Panics
    /// When the store cannot be made or written, here and below.
    #[must_use]
    pub fn new(dir: &Path, accounts: u64) -> Store {
        let opened = store::open(&OpenOptions {
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
    pub fn messages(&mut self, count: u64) -> Vec<Entry> {
        let one = |store: &mut Store| {
            let n = store.last;
            store.entry(Action::SendMessage(SendMessage {
                sender_id: n % store.accounts + 1,
                recipient: format!("user{}", (n / store.accounts) % store.accounts + 1),
                body: "x".repeat(100),
                instant: false,
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
    pub fn append(&mut self, entries: Vec<Entry>) {
        self.execute(WriteOp::Persist(Write {
            id: WriteId(0),
            promised: None,
            truncate_from: None,
            entries,
        }));
    }

    /// Applies entries of the log as a leader does, in one transaction, fsynced.
    pub fn apply(&mut self, entries: Vec<Entry>) {
        self.execute(WriteOp::Apply(entries));
    }

    fn execute(&mut self, op: WriteOp) {
        self.writer.execute(&[op]).expect("write to the store");
        self.writer.checkpoint_wal().expect("move the WAL");
    }
}

/// Encodes an Append with these entries after entry 1.
#[must_use]
pub fn encode_append(entries: &[Entry]) -> Vec<u8> {
    let append = Message::Append(Append {
        epoch: EPOCH,
        prev_lsn: entries[0].lsn.prev(),
        prev_epoch: EPOCH,
        entries: entries.to_vec(),
        commit: Lsn::ZERO,
        last: Lsn::ZERO,
        config_lsn: Lsn(1),
        member: true,
        released: false,
        sent_at: Time(1),
        nonce: 1,
    });
    peers::to_frame(&append).encode_to_vec()
}

/// Decodes those bytes as a backup does.
///
/// # Panics
/// When the bytes are not a message.
#[must_use]
pub fn decode_append(bytes: Bytes) -> Message {
    let frame = Frame::decode(bytes).expect("bytes of a frame");
    peers::from_frame(frame).expect("a message")
}
