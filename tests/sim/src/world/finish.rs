//! The last checks of a run, when all activity has ended.

use tercet_core::id::Lsn;

use super::{Phase, World};
use crate::check::{Verdict, broken};

impl World {
    pub(crate) fn finish(&mut self) {
        let whole = self.is_whole();
        let inside = !self.order.tolerated;
        let one_order = inside || self.order.diverged.is_none() && self.aside.is_empty();
        self.phase = Phase::Over;
        for at in 0..self.nodes.len() {
            let verdict = self.check_seals(at);
            self.require(verdict);
        }
        for at in self.belonging() {
            if one_order && whole {
                let verdict = self.check_final(at);
                self.require(verdict);
            }
        }
        if inside {
            let verdict = self.client_history.finish();
            self.require(verdict);
        }
        let verdict = self.check_losses();
        self.require(verdict);
        if whole {
            let verdict = self.check_equal();
            self.require(verdict);
        }
        self.statistics.runs = 1;
        self.statistics.simulated = self.now;
        self.statistics.writes_acknowledged = self.history.acknowledged;
        self.statistics.reads_answered = self.history.reads;
        self.statistics.entries_committed = self.order.last().0;
    }

    /// Checks that the log of a replica is the common one, and has each acknowledged write once.
    fn check_final(&mut self, at: usize) -> Verdict {
        let node = &self.nodes[at];
        let (id, image) = (node.id, &node.disk.image);
        let mut rows = image.log.iter();
        if !rows.all(|row| Some(row.digest) == self.order.digest(row.entry.lsn)) {
            return broken(format!("order: the log of {id} is not the common one"));
        }
        self.history.finish(&image.machine.writes)?;
        let (applied, state) = (image.machine.applied, image.machine.hash);
        self.order.state(id, applied, state)
    }

    /// Checks that a disk on which a bit flipped would be refused at the next start.
    fn check_seals(&self, at: usize) -> Verdict {
        let node = &self.nodes[at];
        let image = &node.disk.image;
        let found = image.rotten(Lsn(1), image.last()).is_some();
        match node.disk.rotten && !found {
            true => broken(format!("rot: the store of {} is taken for good", node.id)),
            false => Ok(()),
        }
    }

    /// Checks that every acknowledged write is on a disk, or on one that was set aside because its replica refused to
    /// continue with it. If all logs are equal, it is then in all of them, or its loss was reported.
    fn check_losses(&self) -> Verdict {
        let disks = self.nodes.iter().map(|node| &node.disk.image);
        let images: Vec<_> = disks.chain(&self.aside).collect();
        let kept = |lsn: Lsn, chain| images.iter().any(|image| image.chain(lsn) == Some(chain));
        match self.lineage.lost(kept) {
            None => Ok(()),
            Some(write) => broken(format!(
                "lineage: what {} acknowledged at {} is nowhere, and nobody said so",
                write.epoch, write.lsn
            )),
        }
    }

    /// Checks that all logs and all states are equal.
    fn check_equal(&self) -> Verdict {
        let summary = |at: usize| {
            let image = &self.nodes[at].disk.image;
            let machine = &image.machine;
            let (last, applied) = (image.last(), machine.applied);
            (last, image.chain(last), applied, machine.hash)
        };
        let belonging = self.belonging();
        let first = belonging[0];
        for at in belonging {
            if summary(at) != summary(first) {
                return broken(format!(
                    "end: replicas {} and {} are not equal: {:?} and {:?}",
                    first + 1,
                    at + 1,
                    summary(first),
                    summary(at)
                ));
            }
        }
        Ok(())
    }
}
