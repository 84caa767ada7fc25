//! The stores that are gone for good with their only copies of entries, and the operator who declares dead the
//! replicas that others wait for.
//!
//! Until the declaration all rules hold. From then on two histories are possible, as after a partition; the rules of
//! profile `split` are checked, and these:
//!
//! - Only replicas that the operator declared dead are recorded as dead.
//! - A leader that continues without the dead replicas has every entry that any other member of the view had.

use std::collections::{BTreeMap, BTreeSet};

use tercet_core::{
    RoleKind,
    id::{Lsn, ReplicaId, StoreId},
    input::Input,
};

use super::{Phase, World};
use crate::{
    check::{Verdict, broken, lineage::Acknowledged},
    image::Image,
    node::Node,
    profile::Profile,
};

/// The time without a serving replica after which the operator acts, microseconds.
const WAITS_MIN: u64 = 1_000_000;
/// The time with lost members in a leader's view after which the operator acts, microseconds.
const STUCK_MIN: u64 = 10_000_000;

/// The declarations of the operator, and the writes that were lost by them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Declared {
    /// The stores that the operator declared dead: all that those replicas ever had.
    stores: BTreeSet<(ReplicaId, StoreId)>,
    /// The stores that a serving replica recorded as dead.
    called: BTreeSet<(ReplicaId, StoreId)>,
    /// The writes that were acknowledged and then given up.
    given_up: BTreeSet<(Lsn, u64)>,
}

impl World {
    /// Loses a store with all its entries, unless it is the last one with entries. An older copy that was put back
    /// does not count as one: it is set aside when another replica shows its age.
    pub(crate) fn lose_store(&mut self, at: usize) {
        let holds = |at: usize| {
            let node = &self.nodes[at];
            let has_entries = !node.disk.rotten && node.disk.image.last() > Lsn::ZERO;
            !node.away && !node.is_out() && has_entries && !self.put_back.contains(&at)
        };
        let belonging = self.belonging();
        let mut others = belonging.iter().filter(|&&other| other != at);
        if self.nodes[at].away || !others.any(|&other| holds(other)) {
            return;
        }
        self.statistics.fault("store lost");
        self.note(|id| format!("## the store of {id} is lost"), at);
        self.crash(at);
        let old = self.replace_disk(at);
        self.aside.push(old.image);
        self.nodes[at].refused = false;
        self.nodes[at].halted = None;
        let restart = self.rng.skewed(5_000, 8_000_000);
        self.start_after(at, restart);
    }

    /// Lets the operator act now and then. If all live replicas wait, the operator may declare dead some of the
    /// replicas that they wait for; after the last fault, all of them.
    pub(crate) fn declare_the_dead(&mut self) {
        if self.profile != Some(Profile::Recovery) {
            return;
        }
        let rough = self.phase == Phase::Rough;
        if !self.rng.chance(if rough { 8 } else { 30 }) {
            return;
        }
        let up = self.alive();
        let mut dead = match self.highest(|status| status.role == RoleKind::Leader) {
            Some(leader) => self.leader_waits_for(leader),
            None if self.now > self.served + WAITS_MIN => self.waited_for(),
            None => BTreeSet::new(),
        };
        if rough && self.rng.chance(200) {
            dead.retain(|_| self.rng.chance(500));
        }
        if !dead.is_empty() {
            self.declare_dead(&dead, &up);
        }
    }

    /// Gives the replicas that all live replicas wait for, without those that are there. Empty unless all wait.
    fn waited_for(&self) -> BTreeSet<ReplicaId> {
        let up = self.nodes.iter().filter(|node| node.process.is_some());
        let up: Option<Vec<_>> = up.map(Node::awake).collect();
        let up = up.unwrap_or_default();
        if !up.iter().all(|up| up.status.role == RoleKind::Waiting) {
            return BTreeSet::new();
        }
        let waited_for = up.iter().flat_map(|up| up.status.waiting_for.iter());
        let gone = |id: &&ReplicaId| !self.has_what_is_waited_for(id.0 as usize - 1);
        waited_for.filter(gone).copied().collect()
    }

    /// Gives the members of a leader's view whose stores are gone, if that has lasted: the leader would remove them
    /// if it could.
    fn leader_waits_for(&self, leader: usize) -> BTreeSet<ReplicaId> {
        let lasts = matches!(self.phase, Phase::Settling { since } if self.now > since + STUCK_MIN);
        let config = self.nodes[leader].disk.image.config().filter(|_| lasts);
        let members = config.into_iter().flat_map(|(_, config)| &config.members);
        let gone = members.filter(|(id, store)| {
            let node = &self.nodes[id.0 as usize - 1];
            node.disk.store != **store || node.is_out()
        });
        gone.map(|(id, _)| *id).collect()
    }

    /// Gives the operator's declaration to the live replicas.
    pub fn declare_dead(&mut self, dead: &BTreeSet<ReplicaId>, up: &[usize]) {
        self.statistics.fault("declared dead");
        self.trace
            .line(self.now, || format!("## declared dead: {dead:?}"));
        self.disturbed = self.disturbed.max(self.now);
        if self.serving().is_none() {
            self.declared_at = self.now;
        }
        self.note_whom_he_means(dead);
        self.order.tolerated = true;
        for &at in up {
            let replicas = dead.clone();
            self.give(at, Input::DeclareDead { replicas });
        }
    }

    /// Tells whether a replica runs with the only store that the logs of live replicas name for it.
    fn has_what_is_waited_for(&self, at: usize) -> bool {
        let node = &self.nodes[at];
        let mut replicas = self.nodes.iter().filter(|other| other.process.is_some());
        let other_store = replicas.any(|other| {
            let configs = other.disk.image.recovered().configs;
            let mut members = configs
                .iter()
                .filter_map(|logged| logged.config.members.get(&node.id));
            members.any(|store| *store != node.disk.store)
        });
        node.process.is_some() && !other_store
    }

    fn note_whom_he_means(&mut self, dead: &BTreeSet<ReplicaId>) {
        let disks = self.nodes.iter().map(|node| &node.disk.image);
        let configs = disks.chain(&self.aside).flat_map(Image::configs);
        let members = configs.flat_map(|(_, config)| &config.members);
        let members = members.map(|(&id, &store)| (id, store));
        let meant: Vec<_> = members.filter(|(id, _)| dead.contains(id)).collect();
        self.declared.stores.extend(meant);
    }

    /// Checks the new Config when a replica begins to serve in an epoch.
    pub(crate) fn check_view(&mut self, at: usize) {
        let image = &self.nodes[at].disk.image;
        let configs: Vec<_> = image.configs().map(|(_, config)| config.clone()).collect();
        let [.., before, config] = &configs[..] else {
            return;
        };
        let new: Vec<_> = config
            .dead
            .difference(&self.declared.called)
            .copied()
            .collect();
        if !new.is_empty() {
            let mut others = before.members.clone();
            others.retain(|&id, &mut store| !config.dead.contains(&(id, store)));
            self.declared.called.extend(&new);
            let verdict = self.check_recovery(at, &new, &others);
            self.require(verdict);
        }
    }

    /// Checks a replica that continues without stores that its Config newly records as dead.
    fn check_recovery(
        &mut self,
        at: usize,
        new: &[(ReplicaId, StoreId)],
        others: &BTreeMap<ReplicaId, StoreId>,
    ) -> Verdict {
        self.statistics.event("recovered");
        if let Some((id, _)) = new.iter().find(|dead| !self.declared.stores.contains(dead)) {
            return broken(format!(
                "recovery: {} calls {id} dead, which nobody said",
                at + 1
            ));
        }
        let image = &self.nodes[at].disk.image;
        let lacks = |write: &&Acknowledged| image.chain(write.lsn) != Some(write.chain);
        let lacking: Vec<_> = self.living().filter(lacks).copied().collect();
        for node in &self.nodes {
            let there = others.get(&node.id) == Some(&node.disk.store);
            let has = |write: &&Acknowledged| node.disk.image.chain(write.lsn) == Some(write.chain);
            if let Some(write) = lacking.iter().find(|write| there && has(write)) {
                return broken(format!(
                    "recovery: {} gives up what {} acknowledged at {}, and {} has it",
                    at + 1,
                    write.epoch,
                    write.lsn,
                    node.id
                ));
            }
        }
        let places = lacking.iter().map(|write| (write.lsn, write.chain));
        self.declared.given_up.extend(places);
        Ok(())
    }

    /// Gives the writes that were acknowledged, and not given up.
    fn living(&self) -> impl Iterator<Item = &Acknowledged> {
        let given_up = &self.declared.given_up;
        let all = self.lineage.acknowledged().iter();
        all.filter(|write| !given_up.contains(&(write.lsn, write.chain)))
    }
}
