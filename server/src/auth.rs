//! Sessions of callers: looks up bearer tokens and caches the results. Knows nothing of the wire.
//!
//! A token itself is never kept: the store and the cache hold its SHA-256.

pub mod admin;
pub mod limits;
pub mod password;
pub mod token;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tercet_store as store;
use tercet_store::event::{Audience, Event};

/// Sessions in one generation of the cache; the cache holds at most two generations.
const GENERATION_SESSIONS_MAX: usize = 32_768;

/// A session that was valid when the store was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub account_id: u64,
    /// The account's name as it was registered.
    pub username: Arc<str>,
    pub token_hash: [u8; 32],
    /// Milliseconds since the Unix epoch; refused from then on.
    pub expires_at_ms: i64,
    /// The scopes of an API token; `None` for a login session, which may do everything.
    pub scopes: Option<store::Scopes>,
}

impl Session {
    /// Makes a session from the row that the store has for a token's hash.
    #[must_use]
    pub fn new(token_hash: [u8; 32], stored: store::Session) -> Self {
        Session {
            account_id: stored.account_id,
            username: stored.username.into(),
            token_hash,
            expires_at_ms: stored.expires_at_ms,
            scopes: stored.scopes,
        }
    }
}

/// The result of looking for a token in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Session(Session),
    /// The cache has no such session. The caller reads the store and passes this revision to `insert`.
    Absent(Revision),
}

/// A count of the revocations that had been applied when a look-up began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revision(u64);

/// A cache of sessions, so that a call costs no read of the store. It is filled on the leader only: events
/// remove ended sessions, and a change of leader clears it. `CorrectSessions` clears it too.
///
/// A look-up that began before a revocation was applied may end after it; [`SessionCache::insert`]
/// takes its result only if nothing was revoked in between.
///
/// Cheap to clone; all clones are the same cache.
#[derive(Clone, Default)]
pub struct SessionCache {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    revision: u64,
    /// Sessions used since `older` was filled. When this map is full it replaces `older`, whose sessions are
    /// dropped.
    newer: HashMap<[u8; 32], Session>,
    older: HashMap<[u8; 32], Session>,
}

impl SessionCache {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Finds the session of a token, expired or not.
    #[must_use]
    pub fn get(&self, token_hash: &[u8; 32]) -> Found {
        let mut inner = self.lock();
        if let Some(session) = inner.newer.get(token_hash) {
            return Found::Session(session.clone());
        }
        match inner.older.remove(token_hash) {
            Some(session) => {
                inner.put(session.clone());
                Found::Session(session)
            }
            None => Found::Absent(Revision(inner.revision)),
        }
    }

    /// Keeps a session that the store had, unless a session was revoked since `begun`.
    pub fn insert(&self, begun: Revision, session: Session) {
        let mut inner = self.lock();
        if inner.revision == begun.0 {
            inner.put(session);
        }
    }

    /// Forgets the sessions that these events end. The leader calls it after the entries were applied and
    /// before their proposers are answered, so that a token is refused once its revocation is acknowledged.
    pub fn forget(&self, events: &[Event]) {
        for event in events {
            if event.ends().is_none() {
                continue;
            }
            let mut inner = self.lock();
            inner.revision += 1;
            match event.audience() {
                Audience::Session(token_hash) => {
                    inner.newer.remove(&token_hash);
                    inner.older.remove(&token_hash);
                }
                audience => {
                    let stays = |one: &Session| !audience.includes(one.account_id, &one.token_hash);
                    inner.newer.retain(|_, one| stays(one));
                    inner.older.retain(|_, one| stays(one));
                }
            }
        }
    }

    /// Forgets all sessions. Called when this replica wins or loses the lead, because revocations may have been
    /// missed.
    pub fn clear(&self) {
        let mut inner = self.lock();
        inner.revision += 1;
        inner.newer.clear();
        inner.older.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn put(&mut self, session: Session) {
        if self.newer.len() >= GENERATION_SESSIONS_MAX {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(session.token_hash, session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(token: u8, account_id: u64) -> Session {
        Session {
            account_id,
            username: "ann".into(),
            token_hash: [token; 32],
            expires_at_ms: 1,
            scopes: None,
        }
    }

    fn look_up(cache: &SessionCache, token: u8) -> Revision {
        match cache.get(&[token; 32]) {
            Found::Absent(revision) => revision,
            Found::Session(session) => panic!("{session:?} is cached"),
        }
    }

    fn cached(cache: &SessionCache, token: u8) -> bool {
        matches!(cache.get(&[token; 32]), Found::Session(_))
    }

    fn ended(token: u8) -> Event {
        Event::SessionEnded {
            lsn: 1,
            token_hash: [token; 32],
        }
    }

    #[test]
    fn session_is_found_until_it_is_revoked() {
        let cache = SessionCache::new();
        cache.insert(look_up(&cache, 1), session(1, 7));
        cache.insert(look_up(&cache, 2), session(2, 7));
        assert!(cached(&cache, 1) && cached(&cache, 2));
        cache.forget(&[ended(1)]);
        assert!(!cached(&cache, 1) && cached(&cache, 2));
    }

    #[test]
    fn deleted_account_takes_all_its_sessions_along() {
        let cache = SessionCache::new();
        cache.insert(look_up(&cache, 1), session(1, 7));
        cache.insert(look_up(&cache, 2), session(2, 7));
        cache.insert(look_up(&cache, 3), session(3, 8));
        cache.forget(&[Event::AccountDeleted {
            lsn: 1,
            account_id: 7,
        }]);
        assert!(!cached(&cache, 1) && !cached(&cache, 2) && cached(&cache, 3));
    }

    #[test]
    fn ending_the_other_sessions_keeps_one_of_the_account() {
        let cache = SessionCache::new();
        for (token, account_id) in [(1, 7), (2, 7), (3, 8)] {
            cache.insert(look_up(&cache, token), session(token, account_id));
        }
        let begun = look_up(&cache, 4);
        cache.forget(&[Event::OtherSessionsEnded {
            lsn: 1,
            account_id: 7,
            kept: [1; 32],
        }]);
        cache.insert(begun, session(4, 7));
        assert!(cached(&cache, 1) && !cached(&cache, 2) && cached(&cache, 3));
        assert!(!cached(&cache, 4));
    }

    #[test]
    fn look_up_that_began_before_a_revocation_is_not_kept() {
        let cache = SessionCache::new();
        let begun = look_up(&cache, 1);
        cache.forget(&[ended(1)]);
        cache.insert(begun, session(1, 7));
        assert!(!cached(&cache, 1));
    }

    #[test]
    fn look_up_that_began_before_the_lead_changed_is_not_kept() {
        let cache = SessionCache::new();
        cache.insert(look_up(&cache, 2), session(2, 7));
        let begun = look_up(&cache, 1);
        cache.clear();
        cache.insert(begun, session(1, 7));
        assert!(!cached(&cache, 1) && !cached(&cache, 2));
    }

    #[test]
    fn cache_is_bounded_and_keeps_what_is_used() {
        let cache = SessionCache::new();
        cache.insert(look_up(&cache, 1), session(1, 7));
        for number in 0..3 * GENERATION_SESSIONS_MAX as u64 {
            let mut other = session(2, 8);
            other.token_hash[..8].copy_from_slice(&number.to_be_bytes());
            cache.insert(Revision(0), other);
            if number % 1000 == 0 {
                assert!(cached(&cache, 1));
            }
        }
        let inner = cache.lock();
        assert!(inner.newer.len() + inner.older.len() <= 2 * GENERATION_SESSIONS_MAX);
    }
}
