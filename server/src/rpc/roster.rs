//! The configured replicas and their addresses, as told to clients.

use std::{collections::BTreeMap, sync::Arc};

use tercet_core::id::ReplicaId;

/// One configured replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// For clients, `HOST:PORT`.
    pub address: String,
    /// For replicas, `HOST:PORT`.
    pub peer_address: String,
}

/// Every configured replica, by id. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Roster(Arc<BTreeMap<ReplicaId, Member>>);

impl Roster {
    pub fn new(members: impl IntoIterator<Item = (ReplicaId, Member)>) -> Self {
        Roster(Arc::new(members.into_iter().collect()))
    }

    #[must_use]
    pub fn get(&self, id: ReplicaId) -> Option<&Member> {
        self.0.get(&id)
    }

    /// Ascending by id.
    pub fn iter(&self) -> impl Iterator<Item = (ReplicaId, &Member)> {
        self.0.iter().map(|(id, member)| (*id, member))
    }
}
