//! The open connections of clients: their limits, in all and for each address, and the choice of those that are
//! closed.

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::io::Errno;
use tercet_types::fair::Origin;

use super::{held::Process, shared::Shared};
use crate::log_limit::LogLimit;

/// Limits on open connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(super) all: usize,
    /// The limit for one address, or one /64 of IPv6.
    pub(super) address: usize,
    /// The limit for this machine, where `tercet local` and proxies are.
    pub(super) loopback: usize,
}

impl Limits {
    /// The shares of addresses where `all` connections may be open, unless the operator set one for all
    /// addresses: a quarter of all, and three quarters for this machine.
    pub(crate) fn new(all: usize, address: Option<usize>) -> Limits {
        Limits {
            all,
            address: address.unwrap_or(all.div_ceil(4)),
            loopback: address.unwrap_or(all - all / 4),
        }
    }
}

/// The causes of log lines about connections, each logged once a period.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Complaint {
    Refused,
    MadeRoom,
    Accept,
    Crowded,
}

/// The connections that are open.
pub(super) struct Registry {
    limits: Limits,
    pub(super) process: Arc<Process>,
    open: Mutex<Open>,
    complaints: LogLimit<Complaint>,
}

#[derive(Default)]
struct Open {
    next: u64,
    connections: HashMap<u64, Arc<Shared>>,
    by_origin: HashMap<Origin, usize>,
}

impl Open {
    fn remove(&mut self, shared: &Shared) {
        if self.connections.remove(&shared.id).is_none() {
            return;
        }
        if let Some(count) = self.by_origin.get_mut(&shared.origin) {
            *count -= 1;
            if *count == 0 {
                self.by_origin.remove(&shared.origin);
            }
        }
    }

    /// Closes the connection that is worth least: first one without a session, of these one without calls, of
    /// these one that asked for nothing, of these the one whose last call is longest ago. False when all have
    /// a session and calls under way.
    fn evict(&mut self, from: Option<Origin>) -> bool {
        let of_origin = |shared: &&Arc<Shared>| from.is_none_or(|origin| shared.origin == origin);
        let candidates = self.connections.values().filter(of_origin);
        let candidates = candidates.filter_map(|shared| Some((shared.worth()?, shared)));
        let least = candidates.min_by_key(|(worth, _)| *worth);
        let Some(shared) = least.map(|(_, shared)| Arc::clone(shared)) else {
            return false;
        };
        self.remove(&shared);
        shared.close();
        true
    }
}

impl Registry {
    pub(super) fn new(limits: Limits) -> Registry {
        Registry {
            limits,
            process: Arc::default(),
            open: Mutex::default(),
            complaints: LogLimit::default(),
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the number of open connections.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.open().connections.len()
    }

    pub(super) fn remove(&self, shared: &Shared) {
        self.open().remove(shared);
    }

    /// Makes room for a connection from that address, at the cost of another if there are too many.
    ///
    /// # Errors
    /// Which bound refuses it: all others have a session and calls under way.
    pub(super) fn admit(&self, address: IpAddr) -> Result<Arc<Shared>, &'static str> {
        let origin = Origin::of(address);
        let limit = match origin.is_loopback() {
            true => self.limits.loopback,
            false => self.limits.address,
        };
        let mut open = self.open();
        let of_origin = open.by_origin.get(&origin).copied().unwrap_or(0);
        let mut made_room = false;
        if of_origin >= limit {
            if !open.evict(Some(origin)) {
                return Err(
                    "one address has as many connections as it may, all with calls under way",
                );
            }
            made_room = true;
        }
        if open.connections.len() >= self.limits.all {
            if !open.evict(None) {
                return Err(
                    "there are as many connections as there may be, all with calls under way",
                );
            }
            made_room = true;
        }
        let id = open.next;
        open.next += 1;
        let shared = Arc::new(Shared::new(id, origin, Arc::clone(&self.process)));
        open.connections.insert(id, Arc::clone(&shared));
        *open.by_origin.entry(origin).or_default() += 1;
        drop(open);
        if made_room && self.complaints.allows(Complaint::MadeRoom) {
            tracing::warn!(
                "connections of clients are closed to make room for new ones, those without a session first (the last one came from {origin}). See --connections-max and --connections-per-address-max"
            );
        }
        Ok(shared)
    }

    pub(super) fn refuse(&self, why: &str, from: IpAddr) {
        if self.complaints.allows(Complaint::Refused) {
            tracing::warn!(
                "connections of clients are refused: {why} (the last one came from {from}). See --connections-max and --connections-per-address-max"
            );
        }
    }

    /// Says that no connection could be accepted; with no descriptor left, closes a connection without a session.
    pub(super) fn failed(&self, error: &io::Error) {
        if is_out_of_descriptors(error) {
            self.open().evict(None);
        }
        if self.complaints.allows(Complaint::Accept) {
            tracing::error!(
                "accept connections of clients: {error}. Those without a session are closed; raise the limit of open files (`ulimit -n`, LimitNOFILE of the service)"
            );
        }
    }

    /// Closes overdue connections.
    pub(super) fn sweep(&self) {
        let connections: Vec<_> = self.open().connections.values().cloned().collect();
        for shared in connections {
            if let Some(why) = shared.overdue() {
                tracing::debug!(origin = %shared.origin, "a connection is closed: {why}");
                shared.close();
            }
        }
    }

    /// Closes the connection for which most bytes are held.
    pub(super) fn relieve(&self) {
        let mut open = self.open();
        let connections = open.connections.values();
        let held = connections.filter_map(|shared| Some((shared.held_bytes()?, shared)));
        let Some((bytes, shared)) = held.max_by_key(|(bytes, _)| *bytes) else {
            return;
        };
        let shared = Arc::clone(shared);
        open.remove(&shared);
        drop(open);
        shared.close();
        if self.complaints.allows(Complaint::Crowded) {
            tracing::warn!(
                "clients have this replica hold too much: requests that they do not finish, or answers that they do not read. The connection with most of it is closed ({bytes} bytes, from {})",
                shared.origin
            );
        }
    }
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    let out = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    let code = error.raw_os_error();
    out.iter().any(|errno| Some(errno.raw_os_error()) == code)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;
    use crate::net::shared::{CallGuard, Remote};

    const LIMITS: Limits = Limits {
        all: 6,
        address: 2,
        loopback: 4,
    };

    fn v4(last: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, last).into()
    }

    fn is_open(registry: &Registry, shared: &Shared) -> bool {
        registry.open().connections.contains_key(&shared.id)
    }

    /// With a session and a call under way.
    fn busy(shared: &Arc<Shared>) -> CallGuard {
        Remote::of(shared).is_proven();
        Remote::of(shared).call()
    }

    #[test]
    fn one_address_gets_its_share_and_the_oldest_without_a_session_makes_room() {
        let registry = Registry::new(LIMITS);
        let proven = registry.admit(v4(1)).unwrap();
        Remote::of(&proven).is_proven();
        let mut last = registry.admit(v4(1)).unwrap();
        for _ in 0..10 {
            let next = registry.admit(v4(1)).unwrap();
            assert!(!is_open(&registry, &last));
            last = next;
        }
        assert_eq!(registry.count(), 2);
        assert!(is_open(&registry, &proven));
        for last in 0..8_u16 {
            let of_one_network = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last);
            registry.admit(of_one_network.into()).unwrap();
        }
        assert_eq!(registry.count(), 4);
    }

    #[test]
    fn connection_is_refused_only_where_all_have_a_session_and_calls() {
        let registry = Registry::new(LIMITS);
        let address = IpAddr::from(Ipv4Addr::LOCALHOST);
        let connections: Vec<_> = (0..LIMITS.loopback)
            .map(|_| registry.admit(address).unwrap())
            .collect();
        let mut calls: Vec<_> = connections.iter().map(busy).collect();
        assert!(registry.admit(address).is_err());
        registry.admit(v4(1)).unwrap();
        // Its last call has ended.
        drop(calls.remove(1));
        registry.admit(address).unwrap();
        assert!(!is_open(&registry, &connections[1]));
        registry.remove(&connections[0]);
        registry.admit(address).unwrap();
    }

    #[test]
    fn of_connections_without_calls_the_one_idle_longest_makes_room() {
        let registry = Registry::new(LIMITS);
        let first = registry.admit(v4(1)).unwrap();
        let second = registry.admit(v4(1)).unwrap();
        drop(busy(&second));
        let (first_worth, second_worth) = (|| first.worth().unwrap(), second.worth().unwrap());
        // A later millisecond is a later one.
        while first_worth() <= second_worth {
            drop(busy(&first));
        }
        registry.admit(v4(1)).unwrap();
        assert!(is_open(&registry, &first));
        assert!(!is_open(&registry, &second));
    }

    #[test]
    fn connections_of_many_addresses_keep_none_with_calls_out() {
        let registry = Registry::new(LIMITS);
        let proven = registry.admit(v4(1)).unwrap();
        let _call = busy(&proven);
        for last in 2..20 {
            registry.admit(v4(last)).unwrap();
        }
        assert_eq!(registry.count(), LIMITS.all);
        assert!(is_open(&registry, &proven));
    }
}
