//! The changes of a leader's view: which members leave, which replicas join, and leadership transfers. One Config at
//! a time, except that a view may shrink again before the last shrink is committed.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec,
    vec::Vec,
};

use crate::{
    config::{Config, LoggedConfig, Mode},
    effect::Halt,
    id::{Lsn, ReplicaId, StoreId},
    leader::{Leader, LeadershipTransfer},
    log::Payload,
    message::Message,
    mutation::mutated,
    progress::Progress,
    shared::Common,
    takeover::overlaps,
};

/// The number of members that must stay where others leave for their slow disks.
const REDUNDANT_MIN: usize = 2;

type Members = BTreeMap<ReplicaId, StoreId>;

impl Leader {
    /// Looks whether a member must leave, a learner may join, or the lead should be transferred; does the first of
    /// these that applies.
    pub(crate) fn change_view(&mut self, c: &mut Common) {
        let LoggedConfig { lsn, config } = Leader::config(c).clone();
        let slow = self.slow_members(c, &config);
        self.dismiss(c, &slow);
        if let Some(members) = self.shrunk(c, &config, &slow) {
            self.keep_out(c, &config, &members, &slow);
            // Alone in the view, this replica's own write commits the entry; else the answers do.
            return self.append(c, vec![Payload::Config(Config { members, ..config })]);
        }
        self.continue_transfer(c, &config);
        let settled = lsn <= c.commit && self.installed;
        if !settled || self.transfer.is_some() {
            return;
        }
        if c.stopping() && config.members.len() == 1 {
            if c.commit == c.log.last() {
                c.halt(Halt::Left);
            }
            return;
        }
        if let Some(members) = self.grown(c, &config) {
            for (id, progress) in &mut self.progress {
                if members.contains_key(id) {
                    progress.latency.returns(c.now);
                }
            }
            self.append(c, vec![Payload::Config(Config { members, ..config })]);
        } else if let Some(transferee) = self.transferee(c, &config) {
            self.transfer = Some(LeadershipTransfer {
                transferee,
                since: c.now,
                given: false,
            });
            self.continue_transfer(c, &config);
        }
    }

    /// Tells members that they are no members: those whose disks stall or are slow, those whose stores are not
    /// confirmed, and those that were removed.
    fn dismiss(&mut self, c: &Common, slow: &BTreeSet<ReplicaId>) {
        for (&id, progress) in &mut self.progress {
            // A peer that is out of reach shows nothing of its disk.
            if c.peers.is_silent(id, false, &c.timing, c.now) {
                progress.latency.interrupted();
            }
            let stalled = progress.is_stalled(c.ack_limit(), c.now);
            let gone = stalled || slow.contains(&id) || progress.unconfirmed;
            progress.dismiss(gone || c.is_removed(id), c.now);
        }
    }

    /// Notes the members that leave the view for their disks: they return when their disks have been fast for a
    /// while.
    fn keep_out(
        &mut self,
        c: &Common,
        config: &Config,
        staying: &Members,
        slow: &BTreeSet<ReplicaId>,
    ) {
        for (id, progress) in &mut self.progress {
            let leaves = config.members.contains_key(id) && !staying.contains_key(id);
            let stalled = progress.is_stalled(c.ack_limit(), c.now);
            if leaves && (stalled || slow.contains(id)) {
                progress.latency.leaves(c.now);
            }
        }
    }

    /// Gives the members without those that failed, are leaving or were removed. Where the mode does not allow so
    /// few, a learner that has caught up is added, or the removed ones stay. `None` when no member leaves, or none of
    /// this is allowed.
    fn shrunk(&self, c: &Common, config: &Config, slow: &BTreeSet<ReplicaId>) -> Option<Members> {
        let views = [true, false].map(|without_removed| {
            let mut staying = self.staying(c, config, without_removed);
            let is_slow = |id: &ReplicaId| {
                slow.contains(id) && (self.may_drop(c, *id) || mutated!(c, SlowDroppedUntold))
            };
            let fast = staying.keys().filter(|id| !is_slow(id)).count();
            if fast >= self.redundant(c) {
                staying.retain(|id, _| !is_slow(id));
            }
            staying
        });
        let smaller = |view: &&Members| view.len() < config.members.len();
        views.iter().filter(smaller).find_map(|view| {
            let enough = self.may_change_to(c, view).then(|| view.clone());
            enough.or_else(|| self.with_learner(c, config, view))
        })
    }

    /// Gives the members that answer and want to stay; without those that were removed, or with them.
    fn staying(&self, c: &Common, config: &Config, without_removed: bool) -> Members {
        let gone = |&(&id, &store): &(&ReplicaId, &StoreId)| {
            let knows = self.knows_its_dismissal(c, id) || mutated!(c, RemovedUntold);
            let removed = without_removed && c.is_removed(id) && knows;
            let unconfirmed = self.is_unconfirmed(id) && self.knows_its_dismissal(c, id);
            id != c.id && (c.is_gone(id, store) || c.peers.is_leaving(id) || removed || unconfirmed)
        };
        let silent = |id: ReplicaId, alone: bool| {
            id != c.id
                && (c.peers.is_silent(id, alone, &c.timing, c.now) || self.is_stalled(c, id, alone))
        };
        let there = config.members.iter().filter(|member| !gone(member));
        let there: Members = there.map(|(&id, &store)| (id, store)).collect();
        let mut heard = there.clone();
        heard.retain(|&id, _| !silent(id, false));
        if heard.len() == 1 {
            // To serve alone, the leader waits for a longer silence.
            heard = there;
            heard.retain(|&id, _| !silent(id, true));
        }
        heard
    }

    /// Gives the members and one learner that has caught up. A learner with the id of a member and another store
    /// replaces that member.
    fn grown(&self, c: &Common, config: &Config) -> Option<Members> {
        self.with_learner(c, config, &config.members)
    }

    /// Gives these members and the first learner with which the mode allows them.
    fn with_learner(&self, c: &Common, config: &Config, members: &Members) -> Option<Members> {
        let mut views = self.caught_up_learners(c, config).map(|(id, store)| {
            let mut view = members.clone();
            view.insert(id, store);
            view
        });
        views.find(|view| self.may_change_to(c, view))
    }

    /// Tells whether the view may have these members: it keeps the mode's minimum, and overlaps every Config that may
    /// still be in force, so that every takeover finds it.
    fn may_change_to(&self, c: &Common, members: &Members) -> bool {
        mutated!(c, ViewOfAnySize => return true);
        mutated!(c, ViewThatNobodyMeets => if c.mode() == Mode::Available { return true });
        members.len() >= c.mode().view_min()
            && c.log
                .configs()
                .iter()
                .all(|logged| overlaps(&logged.config, members))
    }

    /// Tells whether a member sends messages but acknowledges nothing new, because its disk does not keep up.
    fn is_stalled(&self, c: &Common, id: ReplicaId, alone: bool) -> bool {
        let limit = match alone {
            true => c.timing.lone_timeout.map(|lone| lone.max(c.ack_limit())),
            false => Some(c.ack_limit()),
        };
        let (Some(progress), Some(limit)) = (self.progress.get(&id), limit) else {
            return false;
        };
        self.may_drop(c, id) && progress.is_stalled(limit, c.now)
    }

    /// Tells whether the view may continue without a member that lives.
    fn may_drop(&self, c: &Common, id: ReplicaId) -> bool {
        self.knows_its_dismissal(c, id) || mutated!(c, DroppedUntold)
    }

    /// Gives the members whose disks make all writes wait, while those of the others are much faster. Empty if too
    /// few members would be left: a slow disk still holds acknowledged entries.
    fn slow_members(&self, c: &Common, config: &Config) -> BTreeSet<ReplicaId> {
        let (limit, span) = (c.late_limit(), c.timing.ack_timeout);
        let slow = config.members.keys().filter_map(|&id| {
            let progress = self.progress.get(&id)?;
            Some((id, progress.latency.slow(limit, span, c.now)?))
        });
        let slow: BTreeMap<ReplicaId, u64> = slow.collect();
        let Some(&least) = slow.values().min() else {
            return BTreeSet::new();
        };
        let mut fast = config.members.clone();
        fast.retain(|id, _| !slow.contains_key(id));
        let much_faster = fast.keys().all(|id| match self.progress.get(id) {
            Some(progress) => progress.latency.is_faster_than(least, c.now),
            None => *id == c.id && c.disk.is_faster_than(least, c.now),
        });
        let enough = fast.len() >= self.redundant(c) && self.may_change_to(c, &fast);
        match much_faster && enough {
            true => slow.into_keys().collect(),
            false => BTreeSet::new(),
        }
    }

    /// Gives the number of members that must stay where others leave for their slow disks.
    fn redundant(&self, c: &Common) -> usize {
        c.mode().view_min().max(REDUNDANT_MIN)
    }

    /// Tells whether this leader's own disk makes all writes wait, while those of enough others are much faster.
    pub(crate) fn slows_others(&self, c: &Common) -> bool {
        let (limit, span) = (c.timing.late_ack, c.timing.ack_timeout);
        c.disk.slow(limit, span, c.now).is_some_and(|least| {
            let faster = |progress: &Progress| progress.latency.is_faster_than(least, c.now);
            let able = self.able_members(c, faster);
            able >= self.redundant(c) && self.may_go_on(c, able)
        })
    }

    /// Tells whether other members, whose disks answer sooner, could lead without this replica. The last member does
    /// not resign: that would leave no leader.
    pub(crate) fn is_replaceable(&self, c: &Common) -> bool {
        // Where all disks are slow, another leader would wait just as long.
        let faster = |progress: &Progress| progress.latency.takes(c.now) < c.disk_silence();
        self.may_go_on(c, self.able_members(c, faster))
    }

    /// Gives the number of other members that answer and for which `fits` is true.
    fn able_members(&self, c: &Common, fits: impl Fn(&Progress) -> bool) -> usize {
        let config = &Leader::config(c).config;
        let able = config.members.iter().filter(|&(&id, &store)| {
            let answers = self.progress.get(&id).is_some_and(|progress| {
                progress.active && !progress.is_stalled(c.ack_limit(), c.now) && fits(progress)
            });
            let there = !c.is_dead(id, store, false) && !c.peers.is_leaving(id);
            id != c.id && answers && there
        });
        able.count()
    }

    /// Tells whether this number of other members may lead without this replica.
    fn may_go_on(&self, c: &Common, able: usize) -> bool {
        let config = &Leader::config(c).config;
        match config.mode {
            Mode::Available => able > 0,
            Mode::Majority { .. } => {
                2 * able > config.members.len() && able >= config.mode.view_min()
            }
        }
    }

    /// Tells whether a member knows that it leaves the view. In mode available a live member must know it before the
    /// view continues without it: by rule (i) it could lead.
    fn knows_its_dismissal(&self, c: &Common, id: ReplicaId) -> bool {
        let progress = self.progress.get(&id);
        c.mode() != Mode::Available || progress.is_some_and(Progress::knows_its_dismissal)
    }

    /// Gives the replicas with a session that are not members with their present store, have nearly all of the log,
    /// and want to stay.
    fn caught_up_learners(
        &self,
        c: &Common,
        config: &Config,
    ) -> impl Iterator<Item = (ReplicaId, StoreId)> {
        let progress = self.progress.iter().filter(|_| !c.stopping());
        progress.filter_map(|(&id, progress)| {
            let store = c.peers.hello(id)?.store;
            let close = progress.matched.0 + c.limits.learner_lag_max >= c.log.last().0;
            let known = progress.matched > Lsn::ZERO;
            let answers = self.has_echoed(progress)
                && !c.peers.is_silent(id, false, &c.timing, c.now)
                && !progress.is_stalled(c.ack_limit(), c.now)
                && !self.is_kept_out(c, progress);
            let staying = !c.peers.is_leaving(id) && !c.is_removed(id) && !progress.unconfirmed;
            let wanted = !config.has(id, store) && staying && answers;
            (wanted && known && close).then_some((id, store))
        })
    }

    /// Gives the replicas that are kept out of the view for a slow disk, each with the latency of its
    /// acknowledgements, microseconds.
    pub(crate) fn left_out(&self, c: &Common) -> Vec<(ReplicaId, u64)> {
        let config = &Leader::config(c).config;
        let others = self.progress.iter().chain(&self.parted);
        let out = others.filter(|&(&id, progress)| {
            progress.latency.is_out() && !config.has(id, progress.store)
        });
        out.map(|(&id, progress)| (id, progress.latency.takes(c.now)))
            .collect()
    }

    /// Tells whether a learner's disk is too slow, or was until lately.
    fn is_kept_out(&self, c: &Common, progress: &Progress) -> bool {
        let (limit, span) = (c.late_limit(), c.timing.ack_timeout);
        progress.latency.is_kept_out(limit, span, c.now)
    }

    /// Gives the replica that should lead instead: the lowest active member, if it is lower than this replica, or if
    /// this replica is stopping or was removed.
    fn transferee(&self, c: &Common, config: &Config) -> Option<ReplicaId> {
        if c.now < self.transfer_after {
            return None;
        }
        let others = config.members.keys().copied().filter(|&id| id != c.id);
        let mut able = others.filter(|&id| {
            let active = self
                .progress
                .get(&id)
                .is_some_and(|progress| progress.active);
            active && !c.peers.is_leaving(id) && !c.is_removed(id)
        });
        let goes = c.stopping() || c.is_removed(c.id);
        able.next().filter(|&id| id < c.id || goes)
    }

    /// Gives the lead to the transferee once it has everything, and takes it back when that fails.
    fn continue_transfer(&mut self, c: &mut Common, config: &Config) {
        let Some(transfer) = &mut self.transfer else {
            return;
        };
        let transferee = transfer.transferee;
        let transferees = self.progress.get(&transferee);
        let limit = c.hand_over_limit(transferees.map(|progress| progress.latency));
        let late = c.now.since(transfer.since) > limit;
        let lost = c.peers.is_leaving(transferee)
            || !self.progress.contains_key(&transferee)
            || !config.members.contains_key(&transferee);
        if late || lost {
            if late {
                self.transfer_after = c.now.after(2 * limit);
            }
            return self.resume_leading(c);
        }
        let matched = self.progress[&transferee].matched;
        if !transfer.given && c.commit == c.log.last() && matched == c.log.last() {
            transfer.given = true;
            let epoch = self.epoch;
            c.send(transferee, Message::LeadershipTransfer { epoch });
        }
    }
}
