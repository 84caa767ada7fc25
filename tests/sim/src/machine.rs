//! The replicated state of the simulation: registers, and the last write of each client. It takes the place of the
//! state tables, with the same rule for retries: a retry changes nothing and gets the first answer.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use tercet_core::{
    id::{Lsn, ReplicaId},
    log::{Entry, Payload},
};

use crate::rng::fold;

/// The register by which the operator adds the replica of the written id to the cluster.
pub const JOINS: u8 = 200;
/// The register by which the operator removes a replica.
pub const LEAVES: u8 = 201;

/// A client's write of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// The client that writes.
    pub client: u32,
    /// The number of the write among those of the client, from 1 on; a retry has the same.
    pub seq: u32,
    /// The register.
    pub key: u8,
    /// The value, which is different for each write.
    pub value: u64,
}

impl Command {
    /// Gives the bytes of the command for the log.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(17);
        bytes.put_u32(self.client);
        bytes.put_u32(self.seq);
        bytes.put_u8(self.key);
        bytes.put_u64(self.value);
        bytes.freeze()
    }

    /// Reads a command of the log; `None` if [`Command::encode`] never wrote these bytes.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Command> {
        let bytes: &[u8; 17] = bytes.try_into().ok()?;
        Some(Command {
            client: u32::from_be_bytes(bytes[0..4].try_into().ok()?),
            seq: u32::from_be_bytes(bytes[4..8].try_into().ok()?),
            key: bytes[8],
            value: u64::from_be_bytes(bytes[9..17].try_into().ok()?),
        })
    }
}

/// A change that the operator asks for, as the value of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The number that makes the value unique.
    pub seq: u32,
    pub id: ReplicaId,
    /// The cluster began with the replicas from 1 to this one.
    pub bootstrap_replicas: u8,
    /// The least number of replicas: a removal that would leave fewer changes nothing.
    pub left_min: u8,
}

impl Change {
    #[must_use]
    pub fn value(self) -> u64 {
        let [bootstrap_replicas, left_min] =
            [self.bootstrap_replicas, self.left_min].map(u64::from);
        u64::from(self.seq) << 32 | bootstrap_replicas << 24 | left_min << 16 | u64::from(self.id.0)
    }

    #[must_use]
    pub fn of(value: u64) -> Change {
        Change {
            seq: (value >> 32) as u32,
            id: ReplicaId(u32::from(value as u16)),
            bootstrap_replicas: (value >> 24) as u8,
            left_min: (value >> 16) as u8,
        }
    }
}

/// Gives a hash of everything in an entry.
#[must_use]
pub fn digest(entry: &Entry) -> u64 {
    let mut hash = fold(entry.lsn.0, entry.epoch.number);
    hash = fold(hash, u64::from(entry.epoch.proposer.0));
    match &entry.payload {
        Payload::Config(config) => {
            for word in [config.cluster.0, config.cluster.0 >> 64] {
                hash = fold(hash, word as u64);
            }
            for (id, store) in &config.members {
                hash = fold(hash, u64::from(id.0));
                hash = fold(hash, store.0 as u64);
            }
            for (id, store) in &config.dead {
                hash = fold(hash, u64::from(id.0) << 32);
                hash = fold(hash, store.0 as u64);
            }
        }
        Payload::Command(bytes) => {
            for chunk in bytes.chunks(8) {
                let mut word = [0; 8];
                word[..chunk.len()].copy_from_slice(chunk);
                hash = fold(hash, u64::from_le_bytes(word));
            }
            hash = fold(hash, bytes.len() as u64);
        }
    }
    hash
}

/// The state after all entries up to `applied`.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// The position of the state.
    pub applied: Lsn,
    /// The registers.
    pub registers: BTreeMap<u8, u64>,
    /// The last write of each client that took effect, with its LSN.
    pub answered: BTreeMap<u32, (u32, Lsn)>,
    /// The writes that took effect, in order: LSN, client, sequence number.
    pub writes: Vec<(Lsn, u32, u32)>,
    /// The replicas that were added (true), and those that were removed since (false).
    pub belongs: BTreeMap<ReplicaId, bool>,
    /// The number of entries that were retries, and changed nothing.
    pub retries: u64,
    /// The hash of all changes of the state.
    pub hash: u64,
}

impl Machine {
    /// Applies the entry after `applied`. For a command it gives the LSN at which the write took effect: its own, or,
    /// for a retry, that of the first try.
    ///
    /// # Errors
    /// If the entry is out of order or corrupt.
    pub fn apply(&mut self, entry: &Entry) -> Result<Option<Lsn>, String> {
        if entry.lsn != self.applied.next() {
            return Err(format!("applies {} after {}", entry.lsn, self.applied));
        }
        self.applied = entry.lsn;
        let Payload::Command(bytes) = &entry.payload else {
            self.hash = fold(self.hash, digest(entry));
            return Ok(None);
        };
        let Some(command) = Command::decode(bytes) else {
            return Err(format!("entry {} holds what nobody wrote", entry.lsn));
        };
        if let Some(&(seq, lsn)) = self.answered.get(&command.client)
            && command.seq <= seq
        {
            self.retries += 1;
            self.hash = fold(self.hash, 1);
            return Ok((command.seq == seq).then_some(lsn));
        }
        self.answered
            .insert(command.client, (command.seq, entry.lsn));
        self.registers.insert(command.key, command.value);
        let change = Change::of(command.value);
        match command.key {
            JOINS => drop(self.belongs.insert(change.id, true)),
            LEAVES if self.may_leave(change) => drop(self.belongs.insert(change.id, false)),
            _ => {}
        }
        self.writes.push((entry.lsn, command.client, command.seq));
        self.hash = fold(self.hash, fold(u64::from(command.key), command.value));
        Ok(Some(entry.lsn))
    }

    /// Tells whether enough replicas remain without that one.
    fn may_leave(&self, change: Change) -> bool {
        let bootstrap_replicas = (1..=u32::from(change.bootstrap_replicas)).map(ReplicaId);
        let bootstrap_replicas =
            bootstrap_replicas.filter(|id| *self.belongs.get(id).unwrap_or(&true));
        let added = self
            .belongs
            .iter()
            .filter(|(id, belongs)| **belongs && id.0 > u32::from(change.bootstrap_replicas));
        let left = bootstrap_replicas.chain(added.map(|(&id, _)| id));
        left.filter(|&id| id != change.id).count() >= usize::from(change.left_min)
    }
}

#[cfg(test)]
mod tests {
    use tercet_core::id::Epoch;

    use super::*;

    fn entry(lsn: u64, client: u32, seq: u32) -> Entry {
        let command = Command {
            client,
            seq,
            key: 1,
            value: u64::from(seq),
        };
        assert_eq!(Command::decode(&command.encode()), Some(command));
        Entry {
            lsn: Lsn(lsn),
            epoch: Epoch::NONE.above(ReplicaId(1), 1),
            payload: Payload::Command(command.encode()),
        }
    }

    #[test]
    fn removal_that_leaves_too_few_changes_nothing() {
        let mut machine = Machine::default();
        let asks = |lsn, key, id| {
            let change = Change {
                seq: lsn as u32,
                id: ReplicaId(id),
                bootstrap_replicas: 2,
                left_min: 1,
            };
            assert_eq!(Change::of(change.value()), change);
            let command = Command {
                client: 9,
                seq: lsn as u32,
                key,
                value: change.value(),
            };
            let payload = Payload::Command(command.encode());
            Entry {
                payload,
                ..entry(lsn, 9, lsn as u32)
            }
        };
        for (lsn, key, id) in [
            (1, LEAVES, 1),
            (2, LEAVES, 2),
            (3, JOINS, 3),
            (4, LEAVES, 2),
        ] {
            machine.apply(&asks(lsn, key, id)).unwrap();
            assert_eq!(
                machine.belongs.get(&ReplicaId(2)),
                (lsn == 4).then_some(&false)
            );
        }
    }

    #[test]
    fn retry_changes_nothing_and_gets_the_first_answer() {
        let mut machine = Machine::default();
        assert_eq!(machine.apply(&entry(1, 7, 1)), Ok(Some(Lsn(1))));
        assert_eq!(machine.apply(&entry(2, 7, 1)), Ok(Some(Lsn(1))));
        assert_eq!(machine.writes, vec![(Lsn(1), 7, 1)]);
        assert_eq!(machine.apply(&entry(3, 7, 2)), Ok(Some(Lsn(3))));
        assert_eq!(machine.apply(&entry(4, 7, 1)), Ok(None));
        assert!(machine.apply(&entry(6, 7, 3)).is_err());
    }
}
