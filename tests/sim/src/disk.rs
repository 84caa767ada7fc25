//! A replica's disk: its durable content ([`Image`]), its writes in progress, the result of a crash, and its faults.

use std::collections::VecDeque;

use tercet_core::{
    config::Config,
    id::{Lsn, StoreId},
};

use crate::{
    image::{Done, Image, Op, config_of},
    rng::Rng,
};

/// A disk with its queue of operations.
#[derive(Clone, Debug)]
pub struct Disk {
    pub store: StoreId,
    pub image: Image,
    /// The operations in order; the first `syncing` of them are in the fsync in progress.
    pub queue: VecDeque<Op>,
    pub syncing: usize,
    /// The LSN that is stored as settled with the next fsync that ends.
    pub settling: Lsn,
    /// The time until which an fsync takes `slowness` times as long.
    pub slow_until: u64,
    pub slowness: u64,
    /// The time until which an fsync takes `fsync_min` microseconds at least.
    pub crawls_until: u64,
    pub fsync_min: u64,
    /// The time until which no fsync ends, and none fails.
    pub stalled_until: u64,
    /// The time until which nothing can be written.
    pub full_until: u64,
    /// True if the process knows that nothing can be written; then the write is tried again and again.
    pub told_full: bool,
    /// True if the next fsync ends with an error.
    pub fails_next: bool,
    /// True if a bit flipped.
    pub rotten: bool,
    /// True if the store was copied or moved since its replica last ran, in a way that the replica sees, and is not
    /// confirmed.
    pub copied: bool,
}

impl Disk {
    /// Makes an empty disk.
    #[must_use]
    pub fn new(store: StoreId) -> Disk {
        Disk {
            store,
            image: Image::default(),
            queue: VecDeque::new(),
            syncing: 0,
            settling: Lsn::ZERO,
            slow_until: 0,
            slowness: 1,
            crawls_until: 0,
            fsync_min: 0,
            stalled_until: 0,
            full_until: 0,
            told_full: false,
            fails_next: false,
            rotten: false,
            copied: false,
        }
    }

    /// Tells whether the disk has no fault except its speed.
    #[must_use]
    pub fn is_well(&self, now: u64) -> bool {
        now >= self.full_until && !self.fails_next && !self.rotten
    }

    /// Gives the time at which an fsync that begins at `now` ends.
    pub fn fsync_end(&self, now: u64, rng: &mut Rng) -> u64 {
        let usual = rng.skewed(100, 8_000);
        let slowness = if now < self.slow_until {
            self.slowness
        } else {
            1
        };
        now + (usual * slowness).max(self.least_at(now))
    }

    /// Gives the least duration of an fsync that begins at `now`, microseconds.
    #[must_use]
    pub fn least_at(&self, now: u64) -> u64 {
        if now < self.crawls_until {
            self.fsync_min
        } else {
            0
        }
    }

    /// Ends the fsync in progress.
    ///
    /// # Errors
    /// If the core asked for something wrong.
    pub fn complete(&mut self) -> Result<Vec<Done>, String> {
        let ops: Vec<Op> = self.queue.drain(..self.syncing).collect();
        self.syncing = 0;
        let done = ops.iter().map(|op| self.image.execute(op)).collect();
        if self.settling <= self.image.machine.applied {
            self.image.settled = self.settling.max(self.image.settled);
        }
        self.look_for_rot();
        done
    }

    /// Updates `rotten`, because the corrupt entry may have been cut from the log.
    fn look_for_rot(&mut self) {
        self.rotten = self.rotten && self.image.rotten(Lsn(1), self.image.last()).is_some();
    }

    /// Keeps a random prefix of the operations in progress when the process dies, down to a part of an Apply (a Write
    /// is all or nothing). Returns true if some were kept and some lost.
    ///
    /// # Errors
    /// If the core asked for something wrong.
    pub fn crash(&mut self, rng: &mut Rng) -> Result<bool, String> {
        let mut queue = std::mem::take(&mut self.queue);
        self.syncing = 0;
        self.fails_next = false;
        self.settling = Lsn::ZERO;
        if std::mem::take(&mut self.told_full) {
            queue.clear();
        }
        let kept = rng.index(queue.len() + 1);
        for op in queue.iter().take(kept) {
            self.image.execute(op)?;
        }
        if let Some(Op::Apply(entries)) = queue.get(kept) {
            let part = entries[..rng.index(entries.len() + 1)].to_vec();
            self.image.execute(&Op::Apply(part))?;
        }
        self.look_for_rot();
        Ok(0 < kept && kept < queue.len())
    }

    /// Gives the Configs that the log has or will have, ascending.
    pub fn configs(&self) -> Vec<(Lsn, &Config)> {
        let queued = self.queue.iter().flat_map(|op| match op {
            Op::Persist(write) => write.entries.as_slice(),
            Op::Apply(_) | Op::Install(..) | Op::Trim(_) => &[],
        });
        let coming = queued.filter_map(config_of);
        self.image.configs().chain(coming).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::tests::{entry, write};

    #[test]
    fn crash_keeps_some_prefix_and_never_a_hole() {
        let mut lengths = [0; 5];
        for seed in 0..200 {
            let mut disk = Disk::new(StoreId(1));
            for i in 0..4 {
                disk.queue
                    .push_back(write(i, vec![entry(2 * i + 1, 1), entry(2 * i + 2, 1)]));
            }
            disk.crash(&mut Rng::new(seed)).unwrap();
            assert_eq!(disk.image.log.len() % 2, 0, "a write is all or nothing");
            lengths[disk.image.log.len() / 2] += 1;
        }
        assert!(lengths.iter().all(|&n| n > 0), "{lengths:?}");
    }
}
