//! Random choices that follow from a seed, and request ids that do not: an id that was used before
//! would get the first answer again.

use std::cell::{Cell, RefCell};
use std::time::{SystemTime, UNIX_EPOCH};

use uuid::{Builder, Uuid};

/// A generator of pseudo-random numbers that several tasks of one thread share.
pub struct Random(RefCell<fastrand::Rng>);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(RefCell::new(fastrand::Rng::with_seed(seed)))
    }

    /// Gives a number below `count`, which must not be 0.
    pub fn below(&self, count: usize) -> usize {
        self.0.borrow_mut().usize(..count)
    }

    /// Gives two different numbers below `count`, which must be at least 2.
    pub fn two_below(&self, count: usize) -> (usize, usize) {
        let first = self.below(count);
        (first, self.other_than(first, count))
    }

    /// Gives a number below `count` other than `number`; `count` must be at least 2.
    pub fn other_than(&self, number: usize, count: usize) -> usize {
        let other = self.below(count - 1);
        if other < number { other } else { other + 1 }
    }
}

/// Request ids of one run: UUIDs of version 7 that carry the number of the request.
pub struct Ids {
    run: u32,
    next: Cell<u32>,
}

impl Default for Ids {
    fn default() -> Ids {
        Ids {
            run: fastrand::u32(..1 << 30), // a UUID has room for 30 bits
            next: Cell::new(0),
        }
    }
}

impl Ids {
    /// Gives the next id, and the number in it.
    pub fn next(&self) -> (Uuid, u32) {
        let number = self.next.get();
        self.next.set(number.wrapping_add(1));
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let ms = now.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0));
        let mut rest = [0; 10];
        rest[2..6].copy_from_slice(&self.run.to_be_bytes());
        rest[6..].copy_from_slice(&number.to_be_bytes());
        (
            Builder::from_unix_timestamp_millis(ms, &rest).into_uuid(),
            number,
        )
    }

    /// Gives the number in a message's id, if the id is of this run.
    pub fn number(&self, message_id: &str) -> Option<u32> {
        let bytes = Uuid::parse_str(message_id).ok()?.into_bytes();
        let [.., r0, r1, r2, r3, n0, n1, n2, n3] = bytes;
        // The two highest bits are the UUID's variant.
        let run = u32::from_be_bytes([r0 & 0x3f, r1, r2, r3]);
        (run == self.run).then(|| u32::from_be_bytes([n0, n1, n2, n3]))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_choices() {
        let throw = |seed| {
            let random = Random::new(seed);
            (0..20).map(|_| random.below(1_000)).collect::<Vec<_>>()
        };
        assert_eq!(throw(7), throw(7));
        assert_ne!(throw(7), throw(8));
    }

    #[test]
    fn two_are_never_the_same_and_every_pair_comes() {
        let random = Random::new(1);
        let pairs: BTreeSet<_> = (0..500).map(|_| random.two_below(4)).collect();
        assert_eq!(pairs.len(), 12);
        assert!(pairs.iter().all(|(a, b)| a != b && *a < 4 && *b < 4));
    }

    #[test]
    fn an_id_carries_its_number_and_only_within_its_run() {
        let ids = Ids::default();
        for expected in 0..1_000 {
            let (id, number) = ids.next();
            assert_eq!(number, expected);
            assert_eq!(id.get_version_num(), 7);
            assert_eq!(ids.number(&id.to_string()), Some(expected));
        }
        let other = Ids {
            run: ids.run ^ 1,
            next: Cell::new(0),
        };
        assert_eq!(ids.number(&other.next().0.to_string()), None);
        assert_eq!(ids.number("not an id"), None);
    }
}
