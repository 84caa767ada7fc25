//! The watch over progress: in time a replica must serve, and after the last fault the cluster must be whole.

use tercet_core::{
    RoleKind,
    config::{LoggedConfig, Mode},
    id::{Lsn, ReplicaId},
};

use super::{Event, Phase, World};
use crate::{
    node::{Node, Process},
    profile::Profile,
};

/// The time without a fault after which a replica must serve if one can, microseconds. Long enough for a replica to
/// serve alone after the silence of the others, and for the retries before and after.
const SERVE_WITHIN: u64 = 12_000_000;
/// The number of further fsyncs of the slowest disk in that time: for the write in progress, the promise and the
/// first view, each on two disks, one after the other.
const SERVE_WITHIN_FSYNCS: u64 = 6;
/// The time after the last fault in which the cluster becomes whole, microseconds.
const SETTLE_WITHIN: u64 = 40_000_000;
/// The further time for each entry, microseconds: a learner with an empty disk may get one at a time.
const CATCH_UP_ENTRY: u64 = 10_000;
/// The time of waiting after which a cluster waits for ever, microseconds.
const STUCK_AFTER: u64 = 20_000_000;
/// The time after that in which the clients finish, and all replicas apply everything, even one that the operator
/// added last, microseconds.
const DRAIN_WITHIN: u64 = 15_000_000;
/// The longest time for which a replica is kept out of the view for a slow disk that is fast again, microseconds.
const KEPT_OUT_MAX: u64 = 360_000_000;
/// The time in which a cluster that diverged must detect it after the end of the partition, microseconds.
const DETECT_WITHIN: u64 = 30_000_000;

impl World {
    pub(crate) fn watch(&mut self) {
        self.after(100_000, Event::Watch);
        (0..self.nodes.len()).for_each(|at| self.observe(at));
        (0..self.nodes.len()).for_each(|at| self.trim(at));
        if self.profile.is_some() {
            self.operate();
            self.call_back();
            self.declare_the_dead();
        }
        match self.phase {
            Phase::Rough => self.watch_service(),
            Phase::Settling { since } => self.watch_settling(since),
            Phase::Draining { since } => self.watch_draining(since),
            Phase::Over => {}
        }
    }

    /// Ends all faults.
    pub fn settle(&mut self) {
        self.trace.line(self.now, || "## settle".to_owned());
        self.phase = Phase::Settling { since: self.now };
        // With the smallest bounds on batches a learner might never catch up with the busiest clients.
        self.plan.think = self.plan.think.max(500_000);
        self.fair_weather();
        for (a, b) in self.net.pairs() {
            self.heal(a, b);
        }
        for at in 0..self.nodes.len() {
            let disk = &mut self.nodes[at].disk;
            disk.slow_until = 0;
            disk.stalled_until = 0;
            disk.crawls_until = 0;
            disk.full_until = 0;
            disk.fails_next = false;
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

    /// Checks, while faults happen, that after a calm time a replica serves if one can.
    fn watch_service(&mut self) {
        // A takeover that began on a slow disk may need as long as on one, even if the disk is fast by now.
        let begun = self.now.saturating_sub(SERVE_WITHIN);
        let fsyncs = self.nodes.iter().map(|node| node.disk.least_at(begun));
        let slowest = fsyncs.max().unwrap_or(0);
        let within = SERVE_WITHIN + SERVE_WITHIN_FSYNCS * slowest;
        let calm = self.disturbed.max(self.served) + within;
        let partitioned = self.net.is_faulty() || self.order.diverged.is_some();
        if self.now < calm || partitioned || self.profile == Some(Profile::Split) {
            return;
        }
        let count = self.nodes.len();
        let present = |node: &crate::node::Node| node.away || node.awake().is_some();
        let hangs = |at: usize| {
            let until = self.nodes[at].disk.stalled_until;
            until > 0 && self.now < until + SERVE_WITHIN
        };
        let everyone = self.nodes.iter().all(present) && !(0..count).any(hangs);
        let entitled = (0..count).find(|&at| self.is_entitled(at) && !hangs(at));
        let alone = self.mode() == Mode::Available && entitled.is_some();
        // Stores that older Configs in force name may be lost.
        let known = self.disks_are_known() && self.profile != Some(Profile::Recovery);
        if alone || (everyone && known) {
            let states = self.describe();
            self.violated(format!(
                "service: nobody serves for {} s of calm, entitled {:?}\n{states}",
                within / 1_000_000,
                entitled.map(|at| at + 1),
            ));
        }
    }

    /// Tells whether a replica is active, awake, not about to stop, and has every acknowledged write on disk.
    fn is_entitled(&self, at: usize) -> bool {
        let node = &self.nodes[at];
        let acknowledged = self.history.acknowledged_last;
        let holds = node.disk.image.digest(acknowledged);
        node.awake().is_some_and(|process| {
            let member = node.disk.image.config();
            process.status.active
                && !process.stopping
                && member.is_some_and(|(_, config)| config.has(node.id, node.disk.store))
        }) && (acknowledged.0 == 0 || holds == self.order.digest(acknowledged))
    }

    fn watch_settling(&mut self, since: u64) {
        let waits = |node: &Node| {
            let leader = node.process.as_ref();
            leader.is_some_and(|process| !process.status.left_out.is_empty())
        };
        if self.nodes.iter().any(waits) {
            self.kept_out_at = self.now;
            self.statistics.event("kept out when all is mended");
        }
        // The replica returns by itself, after six minutes at the latest. The operator takes time, too.
        let operated_at = self.set_aside_at.max(self.declared_at);
        let begin = since.max(operated_at).max(self.kept_out_at);
        let waited = self.now - begin.min(since + KEPT_OUT_MAX);
        if waited > DETECT_WITHIN
            && let Some(lsn) = self.hidden_divergence()
        {
            let states = self.describe();
            return self.violated(format!("divergence at {lsn}: nobody noticed it\n{states}"));
        }
        if self.is_whole() {
            self.trace.line(self.now, || "## whole".to_owned());
            self.clients_stop = true;
            self.phase = Phase::Draining { since: self.now };
        } else if waited > STUCK_AFTER
            && self.profile != Some(Profile::Recovery)
            && self.is_stuck_with_a_reason()
        {
            self.statistics.event("waits for a lost store");
            self.finish();
        } else if waited > self.with_catch_up(SETTLE_WITHIN) {
            let states = self.describe();
            let why = match self.is_orphaned() {
                true => "orphaned: a replica that was removed, and went, is waited for",
                false => "liveness: not whole in time",
            };
            self.violated(format!("{why}\n{states}"));
        }
    }

    /// Gives a limit with the time added that a learner with an empty disk may take.
    fn with_catch_up(&self, limit: u64) -> u64 {
        limit + self.order.last().0 * CATCH_UP_ENTRY
    }

    /// Tells whether a replica waits for one that its leader released.
    fn is_orphaned(&self) -> bool {
        let gone = |id: &ReplicaId| self.nodes[id.0 as usize - 1].away;
        let mut up = self.nodes.iter().filter_map(Node::awake);
        up.any(|process| process.status.waiting_for.iter().any(gone))
    }

    /// Gives an LSN up to which two replicas, up for long enough to notice, applied different entries while a replica
    /// serves.
    fn hidden_divergence(&self) -> Option<Lsn> {
        self.serving()?;
        let mut alive = self.alive();
        alive.retain(|&at| {
            let process = self.nodes[at].process.as_ref();
            process.is_some_and(|process| process.since + DETECT_WITHIN < self.now)
        });
        let image = |at: usize| &self.nodes[at].disk.image;
        let mut pairs = alive
            .iter()
            .flat_map(|a| alive.iter().map(move |b| (*a, *b)));
        pairs.find_map(|(a, b)| {
            let lsn = image(a).machine.applied.min(image(b).machine.applied);
            (image(a).chain(lsn) != image(b).chain(lsn)).then_some(lsn)
        })
    }

    /// Tells whether, outside the fault model, no progress is possible for a good reason: stores are lost that may
    /// have more entries, and every live replica reports the replicas that it waits for. The operator has to declare
    /// them dead.
    fn is_stuck_with_a_reason(&self) -> bool {
        let down = self.nodes.iter();
        let down = down.filter(|node| node.process.is_none() && !node.away);
        let waiting = |process: &Process| !process.status.waiting_for.is_empty();
        let mut up = self.nodes.iter().filter_map(Node::awake);
        let out = self.nodes.iter().any(Node::is_out);
        let lost = !self.aside.is_empty() || out || !self.disks_are_known();
        self.order.tolerated && lost && up.all(waiting) && down.clone().all(Node::is_out)
    }

    /// Tells whether the lowest-numbered replica serves, and all others are active members in its epoch.
    pub fn is_whole(&self) -> bool {
        let belonging = self.belonging();
        let lowest = belonging[0];
        if self.serving() != Some(lowest) {
            return false;
        }
        let Some(leader) = self.nodes[lowest].process.as_ref().map(|p| &p.status) else {
            return false;
        };
        let Some(LoggedConfig { lsn, config }) = &leader.config else {
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
        if self.nodes.iter().any(Node::is_out) {
            self.phase = Phase::Settling { since: self.now };
            return;
        }
        let idle = self.clients.values().all(|client| client.request.is_none());
        let belonging = self.belonging();
        let applied = self.nodes[belonging[0]].disk.image.machine.applied;
        let last = match self.order.tolerated {
            true => applied,
            false => self.order.last(),
        };
        let equal = belonging.iter().all(|&at| {
            let image = &self.nodes[at].disk.image;
            image.machine.applied == last && image.last() == last
        });
        if idle && equal && self.is_whole() {
            self.finish();
        } else if self.now - since > self.with_catch_up(DRAIN_WITHIN) {
            let states = self.describe();
            self.violated(format!(
                "liveness: not done in time, clients idle {idle}, applied all {equal}\n{states}"
            ));
        }
    }

    /// Gives the status of all replicas in a few lines.
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
                    let config = status.config.as_ref().map(|LoggedConfig { lsn, config }| {
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
