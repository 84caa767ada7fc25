//! Fair queues: waiting items are served in turn by owner, so that an owner of many items does not delay
//! others. Knows nothing of the items.
//!
//! A queue is bounded. When a full queue gets one more item, the newest item of the longest share makes room
//! for it; an item of the longest share itself is refused.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
};

/// Bits of an IPv6 address that identify a network: one customer usually has all of it.
const NETWORK_BITS_V6: u32 = 64;

/// The owner of an item. Groups take turns first, then the parts of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    group: Group,
    /// Distinguishes items of one group, for example by the account that they name.
    part: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Group {
    Account(u64),
    Origin(Origin),
    Replica,
}

impl Key {
    /// The key for work of this replica or an operator.
    pub const REPLICA: Key = Key {
        group: Group::Replica,
        part: 0,
    };

    /// Makes the key for an account whose session was checked.
    pub fn account(account_id: u64) -> Key {
        Key {
            group: Group::Account(account_id),
            part: 0,
        }
    }

    /// Makes the key for a caller without a checked session.
    pub fn origin(origin: Origin) -> Key {
        Key {
            group: Group::Origin(origin),
            part: 0,
        }
    }

    /// Makes the key for one name, so that other names from the same address do not wait for it.
    pub fn named(self, name: &str) -> Key {
        use std::hash::{DefaultHasher, Hasher as _};

        let mut hasher = DefaultHasher::new();
        name.to_ascii_lowercase().hash(&mut hasher);
        Key {
            part: hasher.finish(),
            ..self
        }
    }
}

/// The network that a call comes from: an IPv4 address, or the /64 of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin(IpAddr);

impl Origin {
    /// The origin of calls without a known address; they share it.
    pub const UNKNOWN: Origin = Origin(IpAddr::V6(Ipv6Addr::UNSPECIFIED));

    pub fn of(address: IpAddr) -> Origin {
        match address.to_canonical() {
            IpAddr::V6(v6) => {
                let network = v6.to_bits() >> NETWORK_BITS_V6 << NETWORK_BITS_V6;
                // The loopback address is the only one of its network.
                let bits = if v6.is_loopback() {
                    v6.to_bits()
                } else {
                    network
                };
                Origin(Ipv6Addr::from_bits(bits).into())
            }
            v4 => Origin(v4),
        }
    }
}

impl Origin {
    /// Tells whether the call comes from this machine.
    pub fn is_loopback(self) -> bool {
        self.0.is_loopback()
    }
}

/// Writes a network as `192.0.2.1` or `2001:db8::/64`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V6(v6) if v6.is_unspecified() => f.write_str("an unknown address"),
            IpAddr::V6(v6) if !v6.is_loopback() => write!(f, "{v6}/{NETWORK_BITS_V6}"),
            address => address.fmt(f),
        }
    }
}

/// One share of a queue: a plain queue, or a queue of shares.
trait Share: Default {
    type Item;
    /// The position of an item's share among nested shares.
    type Path: Copy;

    fn len(&self) -> usize;
    fn push(&mut self, path: Self::Path, item: Self::Item);
    /// Removes the next item in turn.
    fn pop(&mut self) -> Option<Self::Item>;
    /// Removes the newest item of the longest share.
    fn pop_newest(&mut self) -> Option<Self::Item>;
    /// Makes room for an item at `path`: removes the newest item of the longest share, unless the growing share
    /// would then be the longest.
    fn make_room(&mut self, path: Self::Path) -> Option<Self::Item>;
}

impl<T> Share for VecDeque<T> {
    type Item = T;
    type Path = ();

    fn len(&self) -> usize {
        VecDeque::len(self)
    }

    fn push(&mut self, (): (), item: T) {
        self.push_back(item);
    }

    fn pop(&mut self) -> Option<T> {
        self.pop_front()
    }

    fn pop_newest(&mut self) -> Option<T> {
        self.pop_back()
    }

    fn make_room(&mut self, (): ()) -> Option<T> {
        None
    }
}

/// Shares that take turns, one item a turn. A share without items uses no memory.
#[derive(Debug)]
struct Ring<K, S> {
    shares: HashMap<K, S>,
    /// Each share with items, once, in the order of the turns.
    turns: VecDeque<K>,
    len: usize,
}

impl<K, S> Default for Ring<K, S> {
    fn default() -> Self {
        Ring {
            shares: HashMap::new(),
            turns: VecDeque::new(),
            len: 0,
        }
    }
}

impl<K: Copy + Eq + Hash, S: Share> Ring<K, S> {
    fn longest(&self) -> Option<(K, usize)> {
        let lengths = self.shares.iter().map(|(&key, share)| (key, share.len()));
        lengths.max_by_key(|&(_, len)| len)
    }

    fn forget_if_empty(&mut self, key: K) {
        if self.shares.get(&key).is_some_and(|share| share.len() == 0) {
            self.shares.remove(&key);
            self.turns.retain(|turn| *turn != key);
        }
    }
}

impl<K: Copy + Eq + Hash, S: Share> Share for Ring<K, S> {
    type Item = S::Item;
    type Path = (K, S::Path);

    fn len(&self) -> usize {
        self.len
    }

    fn push(&mut self, (key, path): Self::Path, item: S::Item) {
        let share = self.shares.entry(key).or_default();
        if share.len() == 0 {
            self.turns.push_back(key);
        }
        share.push(path, item);
        self.len += 1;
    }

    fn pop(&mut self) -> Option<S::Item> {
        let key = self.turns.pop_front()?;
        let share = self.shares.get_mut(&key)?;
        let item = share.pop()?;
        self.len -= 1;
        if share.len() > 0 {
            self.turns.push_back(key);
        } else {
            self.shares.remove(&key);
        }
        Some(item)
    }

    fn pop_newest(&mut self) -> Option<S::Item> {
        let (key, _) = self.longest()?;
        let item = self.shares.get_mut(&key)?.pop_newest()?;
        self.len -= 1;
        self.forget_if_empty(key);
        Some(item)
    }

    fn make_room(&mut self, (key, path): Self::Path) -> Option<S::Item> {
        let own = self.shares.get(&key).map_or(0, Share::len);
        let (longest, len) = self.longest()?;
        if len > own + 1 && longest != key {
            return self.pop_newest();
        }
        let item = self.shares.get_mut(&key)?.make_room(path)?;
        self.len -= 1;
        self.forget_if_empty(key);
        Some(item)
    }
}

/// A bounded queue whose groups, and the parts within a group, take turns.
#[derive(Debug)]
pub struct FairQueue<T> {
    ring: Ring<Group, Ring<u64, VecDeque<T>>>,
    waiting_max: usize,
}

/// The result of a push.
#[derive(Debug, PartialEq, Eq)]
pub enum Pushed<T> {
    /// The item waits.
    Queued,
    /// The item waits, and this item of a longer share was removed.
    Displaced(T),
    /// The queue is full, and no share is longer than the item's own.
    Full(T),
}

impl<T> FairQueue<T> {
    pub fn new(waiting_max: usize) -> FairQueue<T> {
        FairQueue {
            ring: Ring::default(),
            waiting_max,
        }
    }

    pub fn len(&self) -> usize {
        self.ring.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn push(&mut self, key: Key, item: T) -> Pushed<T> {
        let path = (key.group, (key.part, ()));
        if self.len() < self.waiting_max {
            self.ring.push(path, item);
            return Pushed::Queued;
        }
        match self.ring.make_room(path) {
            Some(displaced) => {
                self.ring.push(path, item);
                Pushed::Displaced(displaced)
            }
            None => Pushed::Full(item),
        }
    }

    /// Removes the next item in turn. Items of one key come in the order in which they were pushed.
    pub fn pop(&mut self) -> Option<T> {
        self.ring.pop()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn drain<T>(queue: &mut FairQueue<T>) -> Vec<T> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn accounts_take_turns_whatever_each_has_waiting() {
        let mut queue = FairQueue::new(100);
        for number in 0..5 {
            queue.push(Key::account(1), (1, number));
        }
        queue.push(Key::account(2), (2, 0));
        queue.push(Key::account(2), (2, 1));
        queue.push(Key::REPLICA, (3, 0));
        let turns = [
            (1, 0),
            (2, 0),
            (3, 0),
            (1, 1),
            (2, 1),
            (1, 2),
            (1, 3),
            (1, 4),
        ];
        assert_eq!(drain(&mut queue), turns);
    }

    #[test]
    fn names_at_one_address_take_turns_and_addresses_before_them() {
        let here = Key::origin(Origin::of([192, 0, 2, 1].into()));
        let there = Key::origin(Origin::of([192, 0, 2, 2].into()));
        let mut queue = FairQueue::new(100);
        for number in 0..4 {
            queue.push(here.named("ann"), ("ann", number));
        }
        queue.push(here.named("bob"), ("bob", 0));
        queue.push(there.named("ann"), ("there", 0));
        queue.push(there.named("ANN"), ("there", 1));
        let turns = [
            ("ann", 0),
            ("there", 0),
            ("bob", 0),
            ("there", 1),
            ("ann", 1),
        ];
        assert_eq!(drain(&mut queue)[..5], turns);
    }

    #[test]
    fn a_full_queue_takes_from_the_longest_share_and_refuses_it() {
        let mut queue = FairQueue::new(4);
        for number in 0..4 {
            assert_eq!(queue.push(Key::account(1), number), Pushed::Queued);
        }
        assert_eq!(queue.push(Key::account(1), 9), Pushed::Full(9));
        assert_eq!(queue.push(Key::account(2), 10), Pushed::Displaced(3));
        assert_eq!(queue.push(Key::account(2), 11), Pushed::Displaced(2));
        assert_eq!(queue.push(Key::account(2), 12), Pushed::Full(12));
        assert_eq!(drain(&mut queue), [0, 10, 1, 11]);
    }

    #[test]
    fn a_name_makes_room_for_another_name_of_the_same_address() {
        let origin = Key::origin(Origin::UNKNOWN);
        let mut queue = FairQueue::new(2);
        queue.push(origin.named("ann"), 1);
        queue.push(origin.named("ann"), 2);
        assert_eq!(queue.push(origin.named("bob"), 3), Pushed::Displaced(2));
        assert_eq!(drain(&mut queue), [1, 3]);
    }

    #[test]
    fn an_ipv6_network_is_one_origin_and_a_mapped_address_is_its_ipv4_one() {
        let of = |text: &str| Origin::of(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("::1"), Origin::UNKNOWN);
    }

    proptest! {
        #[test]
        fn what_is_pushed_is_popped_once_refused_or_displaced(
            waiting_max in 1_usize..12,
            steps in vec((0_u64..4, 0_u8..3, any::<bool>()), 0..200),
        ) {
            let mut queue = FairQueue::new(waiting_max);
            let mut out = Vec::new();
            let mut popped: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
            let total = steps.len();
            for (number, (account, part, pops)) in steps.into_iter().enumerate() {
                let key = Key::account(account).named(&part.to_string());
                match queue.push(key, (account * 3 + u64::from(part), number)) {
                    Pushed::Queued => {}
                    Pushed::Displaced((_, other)) => out.push(other),
                    Pushed::Full((_, own)) => {
                        prop_assert_eq!(own, number);
                        out.push(own);
                    }
                }
                prop_assert!(queue.len() <= waiting_max);
                if pops && let Some((key, number)) = queue.pop() {
                    popped.entry(key).or_default().push(number);
                }
            }
            for (key, number) in drain(&mut queue) {
                popped.entry(key).or_default().push(number);
            }
            prop_assert!(queue.ring.shares.is_empty() && queue.ring.turns.is_empty());
            for numbers in popped.values() {
                prop_assert!(numbers.is_sorted(), "the order of one key is kept");
            }
            out.extend(popped.into_values().flatten());
            out.sort_unstable();
            prop_assert_eq!(out, (0..total).collect::<Vec<_>>());
        }

        #[test]
        fn nobody_waits_for_more_than_one_turn_of_every_other(
            lengths in vec(1_usize..30, 1..8),
        ) {
            let mut queue = FairQueue::new(1_000);
            for (account, length) in (0..).zip(&lengths) {
                for number in 0..*length {
                    queue.push(Key::account(account), (account, number));
                }
            }
            for (at, (_, number)) in drain(&mut queue).into_iter().enumerate() {
                prop_assert!(at < (number + 1) * lengths.len());
            }
        }
    }
}
