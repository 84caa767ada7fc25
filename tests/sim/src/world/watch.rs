//! What must come true in time: somebody serves, and after the last fault the cluster is whole.

use tercet_core::{RoleKind, config::Mode};

use super::{Event, Phase, World};
use crate::{check::broken, machine::digest, profile::Profile};

/// Without a fault for this long, somebody must serve if anyone can. Long enough for a replica
/// to go on alone on silence alone, and for the retries before and after.
const SERVE_WITHIN: u64 = 12_000_000;
/// After the last fault the cluster is whole within this time: most of it is for a learner that
/// gets one entry at a time.
const SETTLE_WITHIN: u64 = 60_000_000;
/// And then the clients are done, and all replicas have applied everything.
const DRAIN_WITHIN: u64 = 15_000_000;
/// How long a cluster that diverged may take to find out.
const DETECT_WITHIN: u64 = 30_000_000;

impl World {
    pub(crate) fn watch(&mut self) {
        self.after(100_000, Event::Watch);
        match self.phase {
            Phase::Rough => self.watch_service(),
            Phase::Settling { since } => self.watch_settling(since),
            Phase::Draining { since } => self.watch_draining(since),
            Phase::Over => {}
        }
    }

    /// All that was broken is mended.
    pub fn settle(&mut self) {
        self.trace.line(self.now, || "## settle".to_owned());
        self.phase = Phase::Settling { since: self.now };
        // With the smallest bounds on batches a learner may never outrun the busiest clients.
        self.plan.think = self.plan.think.max(500_000);
        self.fair_weather();
        for (a, b) in self.net.pairs() {
            self.heal(a, b);
        }
        for at in 0..self.nodes.len() {
            self.nodes[at].disk.slow_until = 0;
            if let Some(run) = self.nodes[at].process.as_ref().map(|p| p.run.0) {
                self.resume(at, run);
            }
            if self.nodes[at].dark {
                self.boot(at);
            }
            let delay = self.rng.skewed(0, 2_000_000);
            self.start_after(at, delay);
        }
    }

    /// While faults strike: whenever it was calm for a while, somebody serves who can.
    fn watch_service(&mut self) {
        let calm = self.disturbed.max(self.served) + SERVE_WITHIN;
        let partitioned = self.net.is_faulty() || self.order.diverged.is_some();
        if self.now < calm || partitioned || self.profile == Some(Profile::Split) {
            return;
        }
        let count = self.nodes.len();
        let present = |node: &crate::node::Node| node.away || node.awake().is_some();
        let everyone = self.nodes.iter().all(present);
        let entitled = (0..count).find(|&at| self.is_entitled(at));
        let alone = self.mode() == Mode::Available && entitled.is_some();
        if alone || (everyone && self.disks_are_known()) {
            let states = self.describe();
            self.violated(format!(
                "service: nobody serves for {} s of calm, entitled {:?}\n{states}",
                SERVE_WITHIN / 1_000_000,
                entitled.map(|at| at + 1),
            ));
        }
    }

    /// Active, awake, not about to stop, and with everything that was acknowledged on disk.
    fn is_entitled(&self, at: usize) -> bool {
        let node = &self.nodes[at];
        let acknowledged = self.history.acknowledged_last;
        let holds = node.disk.image.entry(acknowledged).map(digest);
        node.awake().is_some_and(|process| {
            let member = node.disk.image.config();
            process.status.active
                && !process.stopping
                && member.is_some_and(|(_, config)| config.has(node.id, node.disk.store))
        }) && (acknowledged.0 == 0 || holds == self.order.digest(acknowledged))
    }

    /// Whether every disk that the newest Config on any disk names is still there.
    fn disks_are_known(&self) -> bool {
        self.nodes.iter().all(|node| {
            let config = node.disk.image.config();
            config.is_none_or(|(_, config)| {
                let mut members = config.members.iter();
                members.all(|(id, store)| self.nodes[id.0 as usize - 1].disk.store == *store)
            })
        })
    }

    fn watch_settling(&mut self, since: u64) {
        let waited = self.now - since;
        if self.nodes.iter().any(|node| node.halted.is_some()) {
            self.tally.event("divergence detected");
            return self.finish();
        }
        if let Some(lsn) = self.order.diverged_on_disk {
            if waited > DETECT_WITHIN {
                let states = self.describe();
                self.violated(format!("divergence at {lsn}: nobody noticed it\n{states}"));
            }
            return;
        }
        if self.is_whole() {
            self.trace.line(self.now, || "## whole".to_owned());
            self.clients_stop = true;
            self.phase = Phase::Draining { since: self.now };
        } else if waited > SETTLE_WITHIN {
            let states = self.describe();
            self.violated(format!("liveness: not whole in time\n{states}"));
        }
    }

    /// The lowest-numbered replica serves, and everyone is a member and up to date.
    pub fn is_whole(&self) -> bool {
        let belonging = self.belonging();
        let lowest = belonging[0];
        if self.serving() != Some(lowest) {
            return false;
        }
        let Some(leader) = self.nodes[lowest].process.as_ref().map(|p| &p.status) else {
            return false;
        };
        let Some((lsn, config)) = &leader.config else {
            return false;
        };
        *lsn <= leader.commit
            && config.members.len() == belonging.len()
            && belonging.iter().all(|&at| {
                let node = &self.nodes[at];
                config.has(node.id, node.disk.store)
                    && node.awake().is_some_and(|process| {
                        let status = &process.status;
                        let role = [RoleKind::Leader, RoleKind::Backup][usize::from(at != lowest)];
                        status.role == role && status.active && status.epoch == leader.epoch
                    })
            })
    }

    fn watch_draining(&mut self, since: u64) {
        let idle = self.clients.values().all(|client| client.request.is_none());
        let belonging = self.belonging();
        let applied = self.nodes[belonging[0]].disk.image.machine.applied;
        let diverged = self.order.diverged.is_some();
        let last = if diverged { applied } else { self.order.last() };
        let equal = belonging.iter().all(|&at| {
            let image = &self.nodes[at].disk.image;
            image.machine.applied == last && image.last() == last
        });
        if idle && equal && self.is_whole() {
            self.finish();
        } else if self.now - since > DRAIN_WITHIN {
            let states = self.describe();
            self.violated(format!(
                "liveness: not done in time, clients idle {idle}, applied all {equal}\n{states}"
            ));
        }
    }

    /// The last checks.
    fn finish(&mut self) {
        self.phase = Phase::Over;
        if self.order.diverged.is_none() {
            for at in self.belonging() {
                self.check_final(at);
            }
        }
        // Under partitions mode available promises no fresh reads.
        if !self.order.tolerated {
            let verdict = self.seen.finish();
            self.require(verdict);
        }
        self.tally.runs = 1;
        self.tally.simulated = self.now;
        self.tally.writes_acknowledged = self.history.acknowledged;
        self.tally.reads_answered = self.history.reads;
        self.tally.entries_committed = self.order.last().0;
    }

    fn check_final(&mut self, at: usize) {
        let node = &self.nodes[at];
        let image = &node.disk.image;
        let committed = |entry| Some(digest(entry)) == self.order.digest(entry.lsn);
        let verdict = if image.log.iter().all(committed) {
            self.history.finish(&image.machine.writes)
        } else {
            broken(format!(
                "order: the log of {} is not the common one",
                node.id
            ))
        };
        let state = (node.id, image.machine.applied, image.machine.hash);
        self.require(verdict);
        let verdict = self.order.state(state.0, state.1, state.2);
        self.require(verdict);
    }

    /// All replicas in a few lines.
    #[must_use]
    pub fn describe(&self) -> String {
        let lines = self.nodes.iter().map(|node| {
            let image = &node.disk.image;
            let disk = format!(
                "disk last {} applied {} promised {}",
                image.last(),
                image.machine.applied,
                image.promised
            );
            match &node.process {
                None => format!("  {} down, halted {:?}, {disk}", node.id, node.halted),
                Some(process) => {
                    let status = &process.status;
                    let config = status.config.as_ref().map(|(lsn, config)| {
                        let members: Vec<_> = config.members.keys().map(|id| id.0).collect();
                        (lsn.0, members)
                    });
                    format!(
                        "  {} {:?}{}{} epoch {} leader {:?} config {config:?} last {} commit {} \
                         waits for {:?}, {disk}",
                        node.id,
                        status.role,
                        if status.serving { " serving" } else { "" },
                        if status.active { " active" } else { "" },
                        status.epoch,
                        status.leader.map(|id| id.0),
                        status.last,
                        status.commit,
                        status.waiting_for.iter().map(|id| id.0).collect::<Vec<_>>(),
                    )
                }
            }
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}
