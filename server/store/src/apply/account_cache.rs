//! The account cache: the writer's copy of the names and conversations that every message needs, so that
//! applying a message reads neither table. It holds only existing rows; names and conversations outside it are
//! looked up.
//!
//! A deletion, a snapshot and a failed transaction clear it.

use std::{collections::HashMap, sync::Arc};

use super::Living;

/// The limit of accounts, and of conversations; a full cache is cleared.
const ENTRIES_MAX: usize = 65_536;

#[derive(Default)]
pub(crate) struct AccountCache {
    by_id: HashMap<u64, Arc<str>>,
    /// Accounts by the key of their name.
    by_name: HashMap<String, Living>,
    /// Conversations by the lower and the higher account id.
    conversations: HashMap<(u64, u64), u64>,
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

    pub fn conversation(&self, pair: (u64, u64)) -> Option<u64> {
        self.conversations.get(&pair).copied()
    }

    pub fn learn_conversation(&mut self, pair: (u64, u64), id: u64) {
        if self.conversations.len() >= ENTRIES_MAX {
            self.conversations.clear();
        }
        self.conversations.insert(pair, id);
    }
}
