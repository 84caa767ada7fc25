//! Limits on guessed passwords and on registrations, counted by the network that a call comes from and by the
//! account that it names. The counts are in the memory of the leader, so a takeover starts them anew. This file
//! knows nothing of the wire and reads no clock: callers pass the time.
//!
//! A wrong password delays the next attempt at the same account from the same network, each time for longer.
//! Attempts at one account from all networks, and attempts from one network at all accounts, have limits of
//! their own. A network from which the account has logged in is exempt from the limit on the account as a
//! whole, so that strangers cannot lock its owner out.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tercet_types::fair::Origin;

use crate::log_limit::LogLimit;

/// Wrong passwords for one account from one network that cause no delay.
const WRONG_FREE: u32 = 5;
/// The delay after the first wrong password beyond those; it doubles each time.
const WRONG_DELAY_FIRST: Duration = Duration::from_secs(1);
const WRONG_DELAY_MAX: Duration = Duration::from_secs(300);
/// The time for which wrong passwords are remembered after the last one.
const WRONG_KEPT: Duration = Duration::from_secs(3_600);
/// The time whose allowance a bucket holds: three minutes' worth of attempts may come at once.
const BURST: Duration = Duration::from_secs(180);
/// Keys in one generation of a table; a table holds at most two generations, about 3 MiB each.
const GENERATION_MAX: usize = 16_384;

/// Allowed events a minute; 0 allows any number. Three times as many may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Registrations from one network: an IPv4 address or the /64 of an IPv6 address.
    pub registrations: u32,
    /// Registrations from the loopback addresses of this machine.
    pub registrations_loopback: u32,
    /// Registrations from all networks together.
    pub registrations_all: u32,
    /// Wrong passwords from one network, at all accounts. 0 switches off every limit on guessing.
    pub wrong_passwords: u32,
}

impl Default for Rates {
    fn default() -> Self {
        Rates {
            registrations: 20,
            registrations_loopback: 600,
            registrations_all: 600,
            wrong_passwords: 20,
        }
    }
}

/// A refusal because of a limit; the request was not examined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}; try again in {} s", .retry.as_secs() + 1)]
pub struct Limited {
    pub what: &'static str,
    /// The time that the caller must wait.
    pub retry: Duration,
}

/// The counts of all limits. Cheap to clone; all clones share the counts.
#[derive(Clone)]
pub(crate) struct RateLimits {
    inner: Arc<Mutex<Inner>>,
    logged: Arc<LogLimit<(&'static str, String)>>,
}

struct Inner {
    rates: Rates,
    registered: Table<Origin, Bucket>,
    registered_all: Bucket,
    wrong: Table<(String, Origin), Wrong>,
    wrong_from: Table<Origin, Bucket>,
    wrong_for: Table<String, Bucket>,
    /// Pairs of account and network from which a login succeeded.
    known: Table<(String, Origin), ()>,
}

/// One attempt at a password. It counts as wrong until `right` is called.
#[must_use]
pub(crate) struct Attempt {
    account: String,
    origin: Origin,
}

impl RateLimits {
    #[must_use]
    pub fn new(rates: Rates) -> RateLimits {
        RateLimits {
            inner: Arc::new(Mutex::new(Inner {
                rates,
                registered: Table::default(),
                registered_all: Bucket::default(),
                wrong: Table::default(),
                wrong_from: Table::default(),
                wrong_for: Table::default(),
                known: Table::default(),
            })),
            logged: Arc::default(),
        }
    }

    /// Counts a registration.
    ///
    /// # Errors
    /// `Limited` when there were too many.
    pub fn register(&self, origin: Origin) -> Result<(), Limited> {
        let counted = self.with(|inner| inner.register(origin, Instant::now()));
        self.report(counted, origin, "")
    }

    /// Counts an attempt at the password of an account, which need not exist. `account` is the name in the form
    /// in which names are compared.
    ///
    /// # Errors
    /// `Limited` when there were too many.
    pub fn attempt(&self, origin: Origin, account: &str) -> Result<Attempt, Limited> {
        let counted = self.with(|inner| inner.attempt(origin, account, Instant::now()));
        self.report(counted, origin, account)?;
        Ok(Attempt {
            account: account.to_owned(),
            origin,
        })
    }

    /// Takes back an attempt whose password was right.
    pub fn right(&self, attempt: Attempt) {
        self.with(|inner| inner.right(attempt, Instant::now()));
    }

    /// Takes back an attempt whose password was not checked.
    pub fn unused(&self, attempt: &Attempt) {
        self.with(|inner| inner.unused(attempt, Instant::now()));
    }

    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn report(
        &self,
        counted: Result<(), Limited>,
        origin: Origin,
        account: &str,
    ) -> Result<(), Limited> {
        if let Err(limited) = counted
            && self.logged.allows((limited.what, origin.to_string()))
        {
            tracing::warn!(from = %origin, account, "refused for now: {}", limited.what);
        }
        counted
    }
}

impl Inner {
    fn register(&mut self, origin: Origin, now: Instant) -> Result<(), Limited> {
        let rate = match origin.is_loopback() {
            true => self.rates.registrations_loopback,
            false => self.rates.registrations,
        };
        let all = self.rates.registrations_all;
        let here = self.registered.get(origin);
        let retry = here.wait(rate, now).max(self.registered_all.wait(all, now));
        if !retry.is_zero() {
            let what = "too many accounts were registered, from this address or in all";
            return Err(Limited { what, retry });
        }
        here.take(rate, now);
        self.registered_all.take(all, now);
        Ok(())
    }

    fn attempt(&mut self, origin: Origin, account: &str, now: Instant) -> Result<(), Limited> {
        let Some(rates) = self.guess_rates(origin) else {
            return Ok(());
        };
        let pair = (account.to_owned(), origin);
        let known = self.known.has(&pair);
        let wrong = self.wrong.get(pair);
        let retry = wrong.wait(now);
        if !retry.is_zero() {
            let what = "too many wrong passwords for this account";
            return Err(Limited { what, retry });
        }
        let from = self.wrong_from.get(origin);
        let retry = from.wait(rates.from, now);
        if !retry.is_zero() {
            let what = "too many wrong passwords from this address";
            return Err(Limited { what, retry });
        }
        let for_account = self.wrong_for.get(account.to_owned());
        let retry = for_account.wait(rates.for_account, now);
        if !retry.is_zero() && !known {
            let what = "too many wrong passwords for this account, from all addresses";
            return Err(Limited { what, retry });
        }
        wrong.count(now);
        from.take(rates.from, now);
        if !known {
            for_account.take(rates.for_account, now);
        }
        Ok(())
    }

    fn right(&mut self, attempt: Attempt, now: Instant) {
        self.give_back(&attempt, now);
        let pair = (attempt.account, attempt.origin);
        self.wrong.remove(&pair);
        self.known.get(pair);
    }

    fn unused(&mut self, attempt: &Attempt, now: Instant) {
        self.give_back(attempt, now);
        let pair = (attempt.account.clone(), attempt.origin);
        self.wrong.get(pair).count_back();
    }

    fn give_back(&mut self, attempt: &Attempt, now: Instant) {
        let Some(rates) = self.guess_rates(attempt.origin) else {
            return;
        };
        self.wrong_from
            .get(attempt.origin)
            .give_back(rates.from, now);
        let known = self.known.has(&(attempt.account.clone(), attempt.origin));
        if !known {
            let account = self.wrong_for.get(attempt.account.clone());
            account.give_back(rates.for_account, now);
        }
    }

    /// Gives the limits on guessing; `None` when they are switched off.
    fn guess_rates(&self, origin: Origin) -> Option<GuessRates> {
        let each = self.rates.wrong_passwords;
        (each > 0).then_some(GuessRates {
            // Behind a proxy on this machine all calls come from a loopback address.
            from: match origin.is_loopback() {
                true => each.saturating_mul(30),
                false => each,
            },
            for_account: each.saturating_mul(2),
        })
    }
}

#[derive(Clone, Copy)]
struct GuessRates {
    from: u32,
    for_account: u32,
}

/// A token bucket, kept as the part of it that is used.
#[derive(Clone, Copy, Default)]
struct Bucket {
    used: f64,
    at: Option<Instant>,
}

impl Bucket {
    /// Gives the time until one more event is allowed at `a_minute` events a minute; 0 allows any number.
    fn wait(&mut self, a_minute: u32, now: Instant) -> Duration {
        if a_minute == 0 {
            return Duration::ZERO;
        }
        let a_second = f64::from(a_minute) / 60.0;
        if let Some(at) = self.at {
            let since = now.saturating_duration_since(at).as_secs_f64();
            self.used = (self.used - since * a_second).max(0.0);
        }
        self.at = Some(now);
        let room = a_second * BURST.as_secs_f64() - 1.0;
        Duration::from_secs_f64(((self.used - room) / a_second).max(0.0))
    }

    fn take(&mut self, a_minute: u32, now: Instant) {
        let _ = self.wait(a_minute, now);
        self.used += 1.0;
    }

    fn give_back(&mut self, a_minute: u32, now: Instant) {
        let _ = self.wait(a_minute, now);
        self.used = (self.used - 1.0).max(0.0);
    }
}

/// The wrong passwords of one pair of account and network.
#[derive(Clone, Copy, Default)]
struct Wrong {
    count: u32,
    last: Option<Instant>,
}

impl Wrong {
    fn wait(&mut self, now: Instant) -> Duration {
        let Some(last) = self.last else {
            return Duration::ZERO;
        };
        let since = now.saturating_duration_since(last);
        if since >= WRONG_KEPT {
            *self = Wrong::default();
        }
        match self.count.checked_sub(WRONG_FREE) {
            None => Duration::ZERO,
            Some(more) => {
                let factor = 1_u32.checked_shl(more).unwrap_or(u32::MAX);
                let delay = WRONG_DELAY_FIRST.saturating_mul(factor);
                delay.min(WRONG_DELAY_MAX).saturating_sub(since)
            }
        }
    }

    fn count(&mut self, now: Instant) {
        self.count = self.count.saturating_add(1);
        self.last = Some(now);
    }

    fn count_back(&mut self) {
        self.count = self.count.saturating_sub(1);
    }
}

/// A map of bounded size. When it is full, the keys that were unused for longest are dropped.
struct Table<K, V> {
    newer: HashMap<K, V>,
    older: HashMap<K, V>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Table {
            newer: HashMap::new(),
            older: HashMap::new(),
        }
    }
}

impl<K: Hash + Eq, V: Default> Table<K, V> {
    fn get(&mut self, key: K) -> &mut V {
        if self.newer.len() >= GENERATION_MAX && !self.newer.contains_key(&key) {
            self.older = std::mem::take(&mut self.newer);
        }
        let older = &mut self.older;
        self.newer
            .entry(key)
            .or_insert_with_key(|key| older.remove(key).unwrap_or_default())
    }

    fn has(&self, key: &K) -> bool {
        self.newer.contains_key(key) || self.older.contains_key(key)
    }

    fn remove(&mut self, key: &K) {
        self.newer.remove(key);
        self.older.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn origin(last: u8) -> Origin {
        Origin::of([192, 0, 2, last].into())
    }

    fn loopback() -> Origin {
        Origin::of([127, 0, 0, 1].into())
    }

    fn inner(rates: Rates) -> (Inner, Instant) {
        let limits = RateLimits::new(rates);
        let inner = Arc::into_inner(limits.inner).unwrap().into_inner().unwrap();
        (inner, Instant::now())
    }

    fn attempt(account: &str, origin: Origin) -> Attempt {
        Attempt {
            account: account.into(),
            origin,
        }
    }

    /// Counts the registrations that are allowed at once.
    fn burst(inner: &mut Inner, origin: Origin, now: Instant) -> usize {
        (0..10_000)
            .take_while(|_| inner.register(origin, now).is_ok())
            .count()
    }

    #[test]
    fn registrations_are_limited_by_network_and_in_all() {
        let (mut inner, now) = inner(Rates::default());
        assert_eq!(burst(&mut inner, origin(1), now), 60);
        let limited = inner.register(origin(1), now).unwrap_err();
        assert!(
            limited.retry > SECOND && limited.retry <= 3 * SECOND,
            "{limited:?}"
        );
        // The limit of another network is its own, up to the limit of all together.
        assert_eq!(burst(&mut inner, origin(2), now), 60);
        let others = (3..=255).map(|last| burst(&mut inner, origin(last), now));
        assert_eq!(others.sum::<usize>(), 1_800 - 120);
        assert_eq!(burst(&mut inner, origin(1), now + 2 * limited.retry), 2);
    }

    #[test]
    fn loopback_has_room_for_a_replay_and_a_limit_of_its_own() {
        let (mut inner, now) = inner(Rates::default());
        assert_eq!(burst(&mut inner, loopback(), now), 1_800);
        let none = Rates {
            registrations_loopback: 0,
            registrations_all: 0,
            ..Rates::default()
        };
        let (mut inner, now) = self::inner(none);
        assert_eq!(burst(&mut inner, loopback(), now), 10_000);
    }

    #[test]
    fn wrong_passwords_delay_the_next_attempt_for_longer_each_time() {
        let (mut inner, mut now) = inner(Rates::default());
        for _ in 0..WRONG_FREE {
            inner.attempt(origin(1), "ann", now).unwrap();
        }
        let mut waits = Vec::new();
        for _ in 0..10 {
            let limited = inner.attempt(origin(1), "ann", now).unwrap_err();
            waits.push(limited.retry.as_secs());
            now += limited.retry;
            inner.attempt(origin(1), "ann", now).unwrap();
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        // The delay is of one account and one network.
        inner.attempt(origin(1), "bob", now).unwrap();
        inner.attempt(origin(2), "ann", now).unwrap();
        // The right password ends the delay.
        now += WRONG_DELAY_MAX;
        inner.attempt(origin(1), "ann", now).unwrap();
        inner.right(attempt("ann", origin(1)), now);
        for _ in 0..WRONG_FREE {
            inner.attempt(origin(1), "ann", now).unwrap();
        }
    }

    #[test]
    fn right_passwords_cost_nothing() {
        let (mut inner, now) = inner(Rates::default());
        for count in 0..1_000 {
            inner.attempt(origin(1), "ann", now).unwrap();
            match count % 2 {
                0 => inner.right(attempt("ann", origin(1)), now),
                _ => inner.unused(&attempt("ann", origin(1)), now),
            }
        }
    }

    #[test]
    fn one_network_cannot_try_one_password_on_all_accounts() {
        let (mut inner, now) = inner(Rates::default());
        let mut tried = |origin, now| {
            let names = (0..10_000).map(|number| format!("name{number}"));
            names
                .take_while(|name| inner.attempt(origin, name, now).is_ok())
                .count()
        };
        assert_eq!(tried(origin(1), now), 60);
        assert_eq!(tried(origin(1), now + 60 * SECOND), 20);
        assert_eq!(tried(loopback(), now), 1_800);
    }

    #[test]
    fn an_owner_is_not_locked_out_by_guesses_from_everywhere() {
        let (mut inner, now) = inner(Rates::default());
        let home = origin(1);
        inner.attempt(home, "ann", now).unwrap();
        inner.right(attempt("ann", home), now);
        let strangers = (2..=255).map(origin);
        let tried = strangers.filter(|&from| inner.attempt(from, "ann", now).is_ok());
        assert_eq!(tried.count(), 120);
        assert!(inner.attempt(origin(2), "ann", now).is_err());
        inner.attempt(home, "ann", now).unwrap();
    }

    #[test]
    fn without_a_limit_on_guessing_every_attempt_is_taken() {
        let none = Rates {
            wrong_passwords: 0,
            ..Rates::default()
        };
        let (mut inner, now) = inner(none);
        for _ in 0..1_000 {
            inner.attempt(origin(1), "ann", now).unwrap();
        }
    }

    #[test]
    fn tables_are_bounded_and_keep_what_is_used() {
        let mut table = Table::<u64, u64>::default();
        *table.get(u64::MAX) = 7;
        for key in 0..5 * GENERATION_MAX as u64 {
            table.get(key);
            if key % 1_000 == 0 {
                assert_eq!(*table.get(u64::MAX), 7);
            }
        }
        assert!(table.newer.len() + table.older.len() <= 2 * GENERATION_MAX);
    }
}
