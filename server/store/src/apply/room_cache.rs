//! The writer's copy of rooms that commands use: their settings, members and last seq, so that a message to a room
//! reads no table, and its event knows its audience. Part of the account cache, and cleared with it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crate::rooms::{Role, Settings};

/// The limit of members in all cached rooms together; a full cache is cleared.
const MEMBERS_MAX: usize = 262_144;

/// A room with its members.
pub(crate) struct CachedRoom {
    pub id: u64,
    pub name: Arc<str>,
    pub settings: Settings,
    /// The seq of the first message that was not removed by its age.
    pub first_seq: u64,
    /// The seq of the last message.
    pub last_seq: u64,
    roles: BTreeMap<u64, Role>,
    /// The members as an audience, while they are the same.
    audience: Option<Arc<[u64]>>,
}

impl CachedRoom {
    pub fn new(
        id: u64,
        name: Arc<str>,
        settings: Settings,
        (first_seq, last_seq): (u64, u64),
        roles: BTreeMap<u64, Role>,
    ) -> CachedRoom {
        CachedRoom {
            id,
            name,
            settings,
            first_seq,
            last_seq,
            roles,
            audience: None,
        }
    }

    pub fn role(&self, account_id: u64) -> Option<Role> {
        self.roles.get(&account_id).copied()
    }

    pub fn member_count(&self) -> usize {
        self.roles.len()
    }

    /// Notes the role of a member, old or new.
    pub fn set_role(&mut self, account_id: u64, role: Role) {
        self.roles.insert(account_id, role);
        self.audience = None;
    }

    pub fn remove(&mut self, account_id: u64) {
        self.roles.remove(&account_id);
        self.audience = None;
    }

    /// Tells whether a member is the only owner.
    pub fn is_only_owner(&self, account_id: u64) -> bool {
        let mut owners = self.roles.iter().filter(|(_, role)| **role == Role::Owner);
        owners.all(|(id, _)| *id == account_id)
    }

    /// Gives the ids of all members, ascending.
    pub fn audience(&mut self) -> Arc<[u64]> {
        let members = || self.roles.keys().copied().collect();
        self.audience.get_or_insert_with(members).clone()
    }
}

#[derive(Default)]
pub(crate) struct RoomCache {
    by_id: HashMap<u64, CachedRoom>,
    /// The ids of open rooms by the key of their name.
    by_name: HashMap<String, u64>,
    members: usize,
}

impl RoomCache {
    pub fn id_of(&self, key: &str) -> Option<u64> {
        self.by_name.get(key).copied()
    }

    pub fn get(&mut self, id: u64) -> Option<&mut CachedRoom> {
        self.by_id.get_mut(&id)
    }

    pub fn learn(&mut self, key: &str, room: CachedRoom) {
        // Members who come later are counted when the cache is full, at the latest.
        self.members += room.member_count() + 1;
        if self.members > MEMBERS_MAX {
            *self = RoomCache::default();
            self.members = room.member_count() + 1;
        }
        self.by_name.insert(key.to_owned(), room.id);
        self.by_id.insert(room.id, room);
    }

    /// Counts one more member of a cached room.
    pub fn count_member(&mut self) {
        self.members += 1;
    }

    /// Notes another name of a cached room.
    pub fn rename(&mut self, id: u64, key: &str, name: &str) {
        self.by_name.retain(|_, named| *named != id);
        if let Some(room) = self.by_id.get_mut(&id) {
            room.name = Arc::from(name);
            self.by_name.insert(key.to_owned(), id);
        }
    }

    pub fn forget(&mut self, id: u64) {
        self.by_id.remove(&id);
        self.by_name.retain(|_, named| *named != id);
    }
}
