//! The roster: the replicas of the cluster and their addresses, from the state once it has a roster, and from
//! the command line before. The state has it as rows of `replicas`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rusqlite::{Connection, params};
use tercet_core::id::ReplicaId;

use super::StoreError;

/// The addresses of one replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// For clients, `HOST:PORT`.
    pub address: String,
    /// For replicas, `HOST:PORT`.
    pub peer_address: String,
}

/// All replicas of the cluster, by id. Immutable; cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster(Arc<Lists>);

#[derive(Debug, Default, PartialEq, Eq)]
struct Lists {
    members: BTreeMap<ReplicaId, Member>,
    /// The last addresses of replicas that were removed.
    removed: BTreeMap<ReplicaId, Member>,
    is_from_state: bool,
}

impl Roster {
    /// Makes the roster of the command line, while the state has none.
    pub fn configured(members: impl IntoIterator<Item = (ReplicaId, Member)>) -> Self {
        Roster(Arc::new(Lists {
            members: members.into_iter().collect(),
            ..Lists::default()
        }))
    }

    /// Makes the roster of the state.
    pub fn from_state(
        members: BTreeMap<ReplicaId, Member>,
        removed: BTreeMap<ReplicaId, Member>,
    ) -> Self {
        Roster(Arc::new(Lists {
            members,
            removed,
            is_from_state: true,
        }))
    }

    /// Tells whether the roster comes from the state.
    #[must_use]
    pub fn is_from_state(&self) -> bool {
        self.0.is_from_state
    }

    #[must_use]
    pub fn get(&self, id: ReplicaId) -> Option<&Member> {
        self.0.members.get(&id)
    }

    /// Lists the replicas, ascending by id.
    pub fn iter(&self) -> impl Iterator<Item = (ReplicaId, &Member)> {
        self.0.members.iter().map(|(id, member)| (*id, member))
    }

    /// Tells whether the replica was removed from the cluster.
    #[must_use]
    pub fn was_removed(&self, id: ReplicaId) -> bool {
        self.0.removed.contains_key(&id)
    }

    /// Lists the replicas, and the removed ones with their last addresses.
    pub fn everybody(&self) -> impl Iterator<Item = (ReplicaId, &Member)> {
        let removed = self.0.removed.iter().map(|(id, member)| (*id, member));
        self.iter().chain(removed)
    }

    /// Gives the roster for the core of replica `own_id`, which takes part because its operator started it, unless
    /// it was removed.
    pub fn ids(&self, own_id: ReplicaId) -> BTreeSet<ReplicaId> {
        let mut ids: BTreeSet<_> = self.0.members.keys().copied().collect();
        if !self.was_removed(own_id) {
            ids.insert(own_id);
        }
        ids
    }

    /// Gives another replica than `id` that has one of these addresses.
    pub fn owner(&self, id: ReplicaId, wanted: &Member) -> Option<ReplicaId> {
        let wanted = [&wanted.address, &wanted.peer_address];
        let mut others = self.iter().filter(|(other, _)| *other != id);
        let owner = others.find(|(_, member)| {
            let has =
                |address: &&String| **address == member.address || **address == member.peer_address;
            wanted.iter().any(has)
        });
        owner.map(|(other, _)| other)
    }
}

/// Reads the roster; `None` while the state has none.
pub(super) fn read(connection: &Connection) -> Result<Option<Roster>, StoreError> {
    let (mut members, mut removed) = (BTreeMap::new(), BTreeMap::new());
    let mut select = connection.prepare_cached(
        "SELECT id, address, peer_address, removed_at_lsn IS NOT NULL FROM replicas",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let member = Member {
            address: row.get(1)?,
            peer_address: row.get(2)?,
        };
        let list = match row.get(3)? {
            true => &mut removed,
            false => &mut members,
        };
        list.insert(ReplicaId(row.get(0)?), member);
    }
    let founded = !members.is_empty();
    Ok(founded.then(|| Roster::from_state(members, removed)))
}

/// Adds a replica to the roster, or changes its addresses.
pub(super) fn set(connection: &Connection, id: ReplicaId, at: &Member) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO replicas (id, address, peer_address) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![id.0, at.address, at.peer_address])?;
    Ok(())
}

/// Removes a replica from the roster.
pub(super) fn remove(connection: &Connection, id: ReplicaId, lsn: u64) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE replicas SET removed_at_lsn = ?2 WHERE id = ?1")?
        .execute(params![id.0, lsn])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> Member {
        Member {
            address: format!("host:{port}"),
            peer_address: format!("host:{}", port + 1_000),
        }
    }

    #[test]
    fn a_replica_counts_itself_in_until_it_was_removed() {
        let members = [(ReplicaId(1), at(1)), (ReplicaId(2), at(2))];
        let own_id = ReplicaId(4);
        let before = Roster::from_state(members.clone().into(), BTreeMap::new());
        assert_eq!(before.ids(own_id), [1, 2, 4].map(ReplicaId).into());
        let after = Roster::from_state(members.into(), [(own_id, at(4))].into());
        assert_eq!(after.ids(own_id), [1, 2].map(ReplicaId).into());
    }

    #[test]
    fn an_address_is_taken_by_another_replica_for_either_use() {
        let roster = Roster::configured([(ReplicaId(1), at(1))]);
        assert_eq!(roster.owner(ReplicaId(1), &at(1)), None);
        assert_eq!(roster.owner(ReplicaId(2), &at(1)), Some(ReplicaId(1)));
        let crossed = Member {
            address: at(1).peer_address,
            peer_address: "host:9".into(),
        };
        assert_eq!(roster.owner(ReplicaId(2), &crossed), Some(ReplicaId(1)));
        assert_eq!(roster.owner(ReplicaId(2), &at(3)), None);
    }
}
