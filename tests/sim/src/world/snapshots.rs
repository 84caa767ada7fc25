//! The snapshots and trimmed logs: the work of the shell around the core.

use tercet_core::{
    id::{Lsn, ReplicaId, WriteId},
    input::Input,
    log::Snapshot,
};

use super::{Event, World};
use crate::{
    image::{Done, Op, Prefix},
    node::Work,
};

impl World {
    /// Asks a peer for a snapshot, unless one is on its way from it.
    pub(crate) fn fetch_snapshot(&mut self, at: usize, from: ReplicaId, lsn_min: Lsn) {
        let from = from.0 as usize - 1;
        let Some(process) = self.nodes[at].process.as_mut() else {
            return;
        };
        if process.fetches_from.replace(from) == Some(from) {
            return;
        }
        let run = process.run.0;
        let delay = self.rng.skewed(100, 20_000);
        self.after(
            delay,
            Event::SnapshotAsked {
                at,
                run,
                from,
                lsn_min,
            },
        );
        self.spring("fetches a snapshot", at, Some(from));
    }

    /// Takes a snapshot at the peer, if its state is new enough, and sends it.
    pub(crate) fn snapshot_asked(&mut self, at: usize, run: u64, from: usize, lsn_min: Lsn) {
        if !self.still_fetches(at, run, from) {
            return;
        }
        let prefix = self.nodes[from].disk.image.prefix();
        let prefix = prefix.filter(|prefix| prefix.snapshot.lsn >= lsn_min);
        let Some(prefix) = prefix.filter(|_| self.is_reached(at, from)) else {
            return self.stop_fetching(at);
        };
        let delay = self.rng.skewed(1_000, 2_000_000);
        self.after(
            delay,
            Event::SnapshotSent {
                at,
                run,
                from,
                prefix: Box::new(prefix),
            },
        );
    }

    /// Delivers the snapshot, unless the link was cut.
    pub(crate) fn snapshot_sent(&mut self, at: usize, run: u64, from: usize, prefix: Box<Prefix>) {
        if self.still_fetches(at, run, from) {
            let whole = self.is_reached(at, from);
            self.stop_fetching(at);
            if whole {
                self.deliver(at, run, Work::Snapshot(prefix));
            }
        }
    }

    fn still_fetches(&self, at: usize, run: u64, from: usize) -> bool {
        let process = self.nodes[at].process.as_ref();
        self.is_run(at, run) && process.is_some_and(|p| p.fetches_from == Some(from))
    }

    fn stop_fetching(&mut self, at: usize) {
        if let Some(process) = self.nodes[at].process.as_mut() {
            process.fetches_from = None;
        }
    }

    fn is_reached(&mut self, at: usize, from: usize) -> bool {
        let process = self.nodes[at].process.as_ref();
        let stands = process.is_some_and(|process| process.sessions[from].is_some());
        stands && self.nodes[from].awake().is_some() && !self.net.link(at, from).is_cut()
    }

    /// Offers a fetched snapshot to the core.
    pub(crate) fn offer_snapshot(&mut self, at: usize, prefix: Box<Prefix>) {
        let snapshot = prefix.snapshot.clone();
        if let Some(process) = self.nodes[at].process.as_mut() {
            process.fetched = Some(prefix);
        }
        self.give(at, Input::SnapshotFetched { snapshot });
        if let Some(process) = self.nodes[at].process.as_mut() {
            process.fetched = None;
        }
    }

    pub(crate) fn install(&mut self, at: usize, write: WriteId, snapshot: &Snapshot) {
        let process = self.nodes[at].process.as_mut();
        let fetched = process.and_then(|process| process.fetched.take());
        let Some(prefix) = fetched.filter(|prefix| prefix.snapshot == *snapshot) else {
            return self.violated(format!(
                "core: replica {} installs what is not there",
                at + 1
            ));
        };
        self.trace
            .line(self.now, || format!("{} install {}", at + 1, snapshot.lsn));
        for row in &prefix.rows {
            let (lsn, _) = row.place;
            let known = self.order.digest(lsn);
            if !self.order.tolerated && known != Some(row.digest) {
                let how = format!("order: a snapshot has something else at {lsn}");
                return self.violated(how);
            }
        }
        self.nodes[at]
            .disk
            .queue
            .push_back(Op::Install(write, prefix));
        self.kick_disk(at);
        self.spring("installs a snapshot", at, None);
    }

    /// Trims the log except for its last entries; mostly not those that a follower still lacks. A store that finds a
    /// corrupt entry in the trimmed part has failed.
    pub(crate) fn trim(&mut self, at: usize) {
        let Some(keep) = self.plan.keep else {
            return;
        };
        let ruthless = self.rng.chance(100);
        let node = &mut self.nodes[at];
        let Some(process) = node.awake() else {
            return;
        };
        let applied = node.disk.image.machine.applied;
        let most = match ruthless {
            true => applied,
            false => process.replica.trim_max().min(applied),
        };
        let through = Lsn(most.0.min(applied.0.saturating_sub(keep)));
        let queued = |op: &Op| matches!(op, Op::Trim(_) | Op::Install(..));
        let trimmed = node.disk.image.trimmed;
        if through <= trimmed || node.disk.queue.iter().any(queued) {
            return;
        }
        if node.disk.image.rotten(trimmed.next(), through).is_some() {
            self.statistics.fault("rot read");
            return self.fail(at);
        }
        node.disk.queue.push_back(Op::Trim(through));
        self.kick_disk(at);
    }

    /// Reports to the process that a snapshot replaced its state, or that its log is shorter.
    pub(crate) fn log_begins_anew(&mut self, at: usize, done: Done) {
        match done {
            Done::Installed(write, lsn) => {
                self.statistics.fault("snapshot installed");
                self.observe_roster(at);
                self.give(at, Input::Applied { lsn });
                self.give(at, Input::Persisted { write });
            }
            Done::Trimmed(through) => {
                self.statistics.fault("log trimmed");
                let start = through.next();
                self.give(at, Input::Trimmed { start });
            }
            Done::Persisted(_) | Done::Applied(_) => {}
        }
    }
}
