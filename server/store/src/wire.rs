//! The wire form (`tercet.peer.v1`) of the core's entries, Configs and epochs, which the log on disk uses too.
//! Malformed bytes from a network or a disk give an error here, never a panic.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use tercet_core::{
    config::{Config, Mode},
    id::{ClusterId, Epoch, Lsn, ReplicaId, StoreId},
    log::{Entry, Payload},
};
use tercet_proto::peer as wire;

/// The limit of stores declared dead. Their number only grows, by a few with each recovery.
const DEAD_MAX: usize = 65_536;
/// The limit of members of a view.
const MEMBERS_MAX: usize = 64;

/// A well-formed protobuf message that has no meaning for the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed message: {0}")]
pub struct Malformed(pub &'static str);

/// Encodes an epoch. Number 0 on the wire is [`Epoch::NONE`].
#[must_use]
pub fn epoch_to_wire(epoch: Epoch) -> wire::Epoch {
    wire::Epoch {
        number: epoch.number,
        proposer: epoch.proposer.0,
    }
}

/// Decodes an epoch. An absent epoch, and one with number 0, is [`Epoch::NONE`].
#[must_use]
pub fn epoch_from_wire(epoch: Option<wire::Epoch>) -> Epoch {
    match epoch {
        Some(wire::Epoch { number, proposer }) if number > 0 => Epoch {
            number,
            proposer: ReplicaId(proposer),
        },
        _ => Epoch::NONE,
    }
}

/// Encodes an identity as sixteen bytes, most significant first.
pub fn id_from_wire(bytes: &[u8], what: &'static str) -> Result<u128, Malformed> {
    let bytes: [u8; 16] = bytes.try_into().map_err(|_| Malformed(what))?;
    Ok(u128::from_be_bytes(bytes))
}

pub fn id_to_wire(id: u128) -> Bytes {
    Bytes::copy_from_slice(&id.to_be_bytes())
}

fn member_to_wire(id: ReplicaId, store: StoreId) -> wire::Member {
    wire::Member {
        replica_id: id.0,
        store_id: id_to_wire(store.0),
    }
}

fn member_from_wire(member: &wire::Member) -> Result<(ReplicaId, StoreId), Malformed> {
    if member.replica_id == 0 {
        return Err(Malformed("Member.replica_id is 0"));
    }
    let store = id_from_wire(&member.store_id, "Member.store_id is not 16 bytes")?;
    Ok((ReplicaId(member.replica_id), StoreId(store)))
}

pub fn dead_to_wire(dead: &BTreeSet<(ReplicaId, StoreId)>) -> Vec<wire::Member> {
    let dead = dead.iter().map(|&(id, store)| member_to_wire(id, store));
    dead.collect()
}

/// Decodes the stores that were declared dead.
///
/// # Errors
/// When they are too many, or one is malformed or repeated.
pub fn dead_from_wire(dead: &[wire::Member]) -> Result<BTreeSet<(ReplicaId, StoreId)>, Malformed> {
    if dead.len() > DEAD_MAX {
        return Err(Malformed("more stores are dead than there can be"));
    }
    let read: BTreeSet<_> = dead
        .iter()
        .map(member_from_wire)
        .collect::<Result<_, _>>()?;
    match read.len() == dead.len() {
        true => Ok(read),
        false => Err(Malformed("a dead store is named twice")),
    }
}

/// Encodes the members that committed an entry.
pub fn members_to_wire(members: &BTreeMap<ReplicaId, StoreId>) -> Vec<wire::Member> {
    let members = members
        .iter()
        .map(|(&id, &store)| member_to_wire(id, store));
    members.collect()
}

/// Decodes the members that committed an entry.
///
/// # Errors
/// When they are too many, or one is malformed or repeated.
pub fn members_from_wire(
    members: &[wire::Member],
) -> Result<BTreeMap<ReplicaId, StoreId>, Malformed> {
    if members.len() > MEMBERS_MAX {
        return Err(Malformed("more members than there can be"));
    }
    let read: BTreeMap<_, _> = members
        .iter()
        .map(member_from_wire)
        .collect::<Result<_, _>>()?;
    match read.len() == members.len() {
        true => Ok(read),
        false => Err(Malformed("a member is named twice")),
    }
}

/// Encodes a Config. The same Config gives the same bytes: members and dead stores are in order of their ids.
#[must_use]
pub fn config_to_wire(config: &Config) -> wire::Config {
    wire::Config {
        cluster_id: id_to_wire(config.cluster.0),
        min_in_sync: match config.mode {
            Mode::Available => 0,
            Mode::Majority { min_in_sync } => min_in_sync.max(2),
        },
        members: config
            .members
            .iter()
            .map(|(&id, &store)| member_to_wire(id, store))
            .collect(),
        dead: dead_to_wire(&config.dead),
    }
}

/// Decodes a Config.
///
/// # Errors
/// When an identity is not 16 bytes, `min_in_sync` is 1, there is no member, a member or a dead store is
/// repeated or numbered 0, or there are too many dead stores.
pub fn config_from_wire(config: wire::Config) -> Result<Config, Malformed> {
    let mode = match config.min_in_sync {
        0 => Mode::Available,
        1 => return Err(Malformed("Config.min_in_sync is 1")),
        min_in_sync => Mode::Majority { min_in_sync },
    };
    let mut members = BTreeMap::new();
    for member in &config.members {
        let (id, store) = member_from_wire(member)?;
        if members.insert(id, store).is_some() {
            return Err(Malformed("Config.members names a replica twice"));
        }
    }
    if members.is_empty() {
        return Err(Malformed("Config.members is empty"));
    }
    Ok(Config {
        cluster: ClusterId(id_from_wire(
            &config.cluster_id,
            "Config.cluster_id is not 16 bytes",
        )?),
        mode,
        members,
        dead: dead_from_wire(&config.dead)?,
    })
}

/// Encodes an entry. The bytes of a command are shared, not copied.
#[must_use]
pub fn entry_to_wire(entry: &Entry) -> wire::Entry {
    wire::Entry {
        lsn: entry.lsn.0,
        epoch: Some(epoch_to_wire(entry.epoch)),
        payload: Some(match &entry.payload {
            Payload::Command(bytes) => wire::entry::Payload::Command(bytes.clone()),
            Payload::Config(config) => wire::entry::Payload::Config(config_to_wire(config)),
        }),
    }
}

/// Decodes an entry.
///
/// # Errors
/// When the LSN or the epoch is 0 or absent, there is no payload, or its Config is malformed.
pub fn entry_from_wire(entry: wire::Entry) -> Result<Entry, Malformed> {
    let epoch = epoch_from_wire(entry.epoch);
    if epoch == Epoch::NONE {
        return Err(Malformed("Entry.epoch is absent"));
    }
    // SQLite's integers, and so the store's LSNs, end at 2^63 - 1.
    if entry.lsn == 0 || i64::try_from(entry.lsn).is_err() {
        return Err(Malformed("Entry.lsn is out of range"));
    }
    let payload = match entry.payload {
        Some(wire::entry::Payload::Command(bytes)) => Payload::Command(bytes),
        Some(wire::entry::Payload::Config(config)) => Payload::Config(config_from_wire(config)?),
        None => return Err(Malformed("Entry.payload is absent")),
    };
    Ok(Entry {
        lsn: Lsn(entry.lsn),
        epoch,
        payload,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(mode: Mode) -> Config {
        Config {
            cluster: ClusterId(7),
            mode,
            members: [
                (ReplicaId(1), StoreId(u128::MAX)),
                (ReplicaId(3), StoreId(2)),
            ]
            .into(),
            dead: [(ReplicaId(2), StoreId(5)), (ReplicaId(2), StoreId(6))].into(),
        }
    }

    #[test]
    fn nobody_is_dead_in_a_config_of_an_earlier_version() {
        use prost::Message as _;
        // The form before Config.dead existed: cluster 7, mode available, replica 1 on store 2.
        let mut written = [vec![10, 16], id_to_wire(7).to_vec()].concat();
        written.extend([26, 20, 8, 1, 18, 16]);
        written.extend(id_to_wire(2));
        let read = wire::Config::decode(&written[..]).expect("a Config");
        let expected = Config {
            members: [(ReplicaId(1), StoreId(2))].into(),
            dead: BTreeSet::new(),
            ..config(Mode::Available)
        };
        assert_eq!(config_from_wire(read), Ok(expected.clone()));
        assert_eq!(config_to_wire(&expected).encode_to_vec(), written);
    }

    #[test]
    fn more_dead_stores_than_there_can_be_are_refused() {
        let dead = |count: u32| {
            let dead = (0..u128::from(count)).map(|store| (ReplicaId(1), StoreId(store)));
            dead_to_wire(&dead.collect())
        };
        assert_eq!(
            dead_from_wire(&dead(65_536)).map(|dead| dead.len()),
            Ok(65_536)
        );
        dead_from_wire(&dead(65_537)).expect_err("too many");
    }

    #[test]
    fn entries_survive_the_wire() {
        let epoch = Epoch {
            number: 9,
            proposer: ReplicaId(2),
        };
        for payload in [
            Payload::Config(config(Mode::Available)),
            Payload::Config(config(Mode::Majority { min_in_sync: 2 })),
            Payload::Command(Bytes::from_static(b"anything")),
            Payload::Command(Bytes::new()),
        ] {
            let entry = Entry {
                lsn: Lsn(4),
                epoch,
                payload,
            };
            assert_eq!(entry_from_wire(entry_to_wire(&entry)), Ok(entry));
        }
        assert_eq!(epoch_from_wire(Some(epoch_to_wire(epoch))), epoch);
        assert_eq!(epoch_from_wire(None), Epoch::NONE);
    }

    #[test]
    fn malformed_configs_and_entries_are_refused() {
        let good = config_to_wire(&config(Mode::Available));
        let broken = |break_it: fn(&mut wire::Config)| {
            let mut config = good.clone();
            break_it(&mut config);
            config_from_wire(config).expect_err("malformed")
        };
        broken(|c| c.cluster_id = Bytes::new());
        broken(|c| c.min_in_sync = 1);
        broken(|c| c.members.clear());
        broken(|c| c.members[0].replica_id = 0);
        broken(|c| c.members[0].replica_id = 3);
        broken(|c| c.members[1].store_id = Bytes::from_static(b"short"));
        broken(|c| c.dead[0].replica_id = 0);
        broken(|c| c.dead[0].store_id = Bytes::new());
        broken(|c| c.dead[1] = c.dead[0].clone());

        let good = wire::Entry {
            lsn: 1,
            epoch: Some(wire::Epoch {
                number: 1,
                proposer: 1,
            }),
            payload: Some(wire::entry::Payload::Command(Bytes::new())),
        };
        assert!(entry_from_wire(good.clone()).is_ok());
        let broken = |break_it: fn(&mut wire::Entry)| {
            let mut entry = good.clone();
            break_it(&mut entry);
            entry_from_wire(entry).expect_err("malformed")
        };
        broken(|e| e.lsn = 0);
        broken(|e| e.lsn = u64::MAX);
        broken(|e| e.epoch = None);
        broken(|e| e.payload = None);
    }
}
