//! The account cache: the writer's copy of the names, conversations and rooms that every message needs, and of which accounts
//! block others, so that applying a message reads none of these tables. Names and conversations outside it are looked
//! up; it holds only existing ones.
//!
//! A deletion, a snapshot and a failed transaction clear it.

use std::{collections::HashMap, sync::Arc};

use super::{Living, room_cache::RoomCache};
use crate::seqs::Numbered;

/// The limit of accounts, and of conversations; a full cache is cleared.
const ENTRIES_MAX: usize = 65_536;

#[derive(Default)]
pub(crate) struct AccountCache {
    by_id: HashMap<u64, Arc<str>>,
    /// Accounts by the key of their name.
    by_name: HashMap<String, Living>,
    /// The last message of conversations, by the lower and the higher account id.
    conversations: HashMap<(u64, u64), Numbered>,
    /// The highest seq of each conversation among the messages that were not indexed when this was read; `None` until
    /// it is needed. Messages since then are in `conversations`.
    pub not_indexed: Option<HashMap<u64, u64>>,
    /// Whether an account blocks any other, by the id of the account.
    blockers: HashMap<u64, bool>,
    pub rooms: RoomCache,
}

impl AccountCache {
    pub fn clear(&mut self) {
        *self = AccountCache::default();
    }

    pub fn account(&self, id: u64) -> Option<Living> {
        let username = self.by_id.get(&id)?.clone();
        Some(Living { id, username })
    }

    pub fn account_named(&self, key: &str) -> Option<Living> {
        self.by_name.get(key).cloned()
    }

    pub fn learn_account(&mut self, key: &str, account: &Living) {
        if self.by_id.len() >= ENTRIES_MAX {
            self.by_id.clear();
            self.by_name.clear();
        }
        self.by_id.insert(account.id, account.username.clone());
        self.by_name.insert(key.to_owned(), account.clone());
    }

    /// Tells whether an account blocks any other; `None` when that must be looked up.
    pub fn has_blocks(&self, id: u64) -> Option<bool> {
        self.blockers.get(&id).copied()
    }

    pub fn learn_blocks(&mut self, id: u64, has_any: bool) {
        if self.blockers.len() >= ENTRIES_MAX {
            self.blockers.clear();
        }
        self.blockers.insert(id, has_any);
    }

    pub fn forget_blocks(&mut self, id: u64) {
        self.blockers.remove(&id);
    }

    /// Gives the last message of a conversation.
    pub fn conversation(&mut self, pair: (u64, u64)) -> Option<&mut Numbered> {
        self.conversations.get_mut(&pair)
    }

    pub fn learn_conversation(&mut self, pair: (u64, u64), last: Numbered) {
        if self.conversations.len() >= ENTRIES_MAX {
            self.conversations.clear();
            self.not_indexed = None;
        }
        self.conversations.insert(pair, last);
    }
}
