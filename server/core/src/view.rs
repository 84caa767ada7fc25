//! How a leader changes its view: who leaves, who joins, who leads next. One Config at a time,
//! except that a view may shrink again before the last shrink is committed.

use std::collections::BTreeMap;

use crate::{
    config::{Config, Mode},
    effect::Halt,
    id::{Lsn, ReplicaId, StoreId, Time},
    leader::Leader,
    log::Payload,
    message::Message,
    mutation::mutated,
    progress::Progress,
    replica::Role,
    shared::Common,
    takeover::overlaps,
};

/// The leader is handing the lead to another member: it takes no new writes, and once everything
/// is committed it gives up its lease and tells the heir.
#[derive(Debug)]
pub(crate) struct HandOver {
    heir: ReplicaId,
    since: Time,
    given: bool,
}

impl HandOver {
    /// The heir was told: this leader serves no more.
    pub(crate) fn is_given(&self) -> bool {
        self.given
    }

    pub(crate) fn is_given_to(&self, id: ReplicaId) -> bool {
        self.given && self.heir == id
    }
}

type Members = BTreeMap<ReplicaId, StoreId>;

impl Leader {
    /// Looks whether a member must go, a learner may join, or the lead should pass on; does the
    /// first of these that applies.
    pub(crate) fn change_view(mut self, c: &mut Common) -> Role {
        let (config_lsn, config) = c.log.config().expect("a leader has a Config").clone();
        for (&id, progress) in &mut self.progress {
            let stalled = progress.is_stalled(c.timing.ack_timeout, c.now);
            let gone = stalled || progress.unconfirmed || c.is_removed(id);
            progress.dismiss(gone, c.now);
        }
        if let Some(members) = self.shrunk(c, &config) {
            self.append(c, vec![Payload::Config(Config { members, ..config })]);
            // Alone, the entry is committed by this replica's own write; else by the answers.
            return Role::Leader(self);
        }
        self.continue_hand_over(c, &config);
        let settled = config_lsn <= c.commit && self.installed;
        if !settled || self.hand_over.is_some() {
            return Role::Leader(self);
        }
        if c.stopping() && config.members.len() == 1 {
            if c.commit == c.log.last() {
                c.halt(Halt::Left);
            }
            return Role::Leader(self);
        }
        if let Some(members) = self.grown(c, &config) {
            self.append(c, vec![Payload::Config(Config { members, ..config })]);
        } else if let Some(heir) = self.heir(c, &config) {
            self.hand_over = Some(HandOver {
                heir,
                since: c.now,
                given: false,
            });
            self.continue_hand_over(c, &config);
        }
        Role::Leader(self)
    }

    /// The members without those who failed, are leaving or were removed; where the mode does not
    /// allow so few, with a learner that has caught up in their stead, or with those who were
    /// removed. `None` when nobody goes, or nothing of this is allowed.
    fn shrunk(&self, c: &Common, config: &Config) -> Option<Members> {
        let views = [true, false].map(|without_removed| self.staying(c, config, without_removed));
        let smaller = |view: &&Members| view.len() < config.members.len();
        views.iter().filter(smaller).find_map(|view| {
            let enough = self.may_change_to(c, view).then(|| view.clone());
            enough.or_else(|| self.with_learner(c, config, view))
        })
    }

    /// The members that are there and want to stay; without those who were removed, or with them.
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
            // To go on alone, silence must have lasted longer.
            heard = there;
            heard.retain(|&id, _| !silent(id, true));
        }
        heard
    }

    /// The members and one learner that has caught up. A learner with the id of a member, on
    /// another store, takes its place.
    fn grown(&self, c: &Common, config: &Config) -> Option<Members> {
        self.with_learner(c, config, &config.members)
    }

    /// These members and the first learner with whom the mode allows them.
    fn with_learner(&self, c: &Common, config: &Config, members: &Members) -> Option<Members> {
        let mut views = self.caught_up_learners(c, config).map(|(id, store)| {
            let mut view = members.clone();
            view.insert(id, store);
            view
        });
        views.find(|view| self.may_change_to(c, view))
    }

    /// A view keeps the mode's minimum, and overlaps every Config that may still be in force, so that
    /// whoever takes over learns of it.
    fn may_change_to(&self, c: &Common, members: &Members) -> bool {
        mutated!(c, ViewOfAnySize => return true);
        mutated!(c, ViewThatNobodyMeets => if c.mode() == Mode::Available { return true });
        members.len() >= c.mode().view_min()
            && c.log
                .configs()
                .iter()
                .all(|(_, config)| overlaps(config, members))
    }

    /// Heard, but acknowledging nothing new: its disk does not keep up.
    fn is_stalled(&self, c: &Common, id: ReplicaId, alone: bool) -> bool {
        let limit = match alone {
            true => c
                .timing
                .lone_timeout
                .map(|lone| lone.max(c.timing.ack_timeout)),
            false => Some(c.timing.ack_timeout),
        };
        let (Some(progress), Some(limit)) = (self.progress.get(&id), limit) else {
            return false;
        };
        let knows = self.knows_its_dismissal(c, id) || mutated!(c, DroppedUntold);
        knows && progress.is_stalled(limit, c.now)
    }

    /// Whether other members could lead without this replica. A last one that stepped down would only be
    /// missing.
    pub(crate) fn is_replaceable(&self, c: &Common) -> bool {
        let (_, config) = c.log.config().expect("a leader has a Config");
        let able = config.members.iter().filter(|&(&id, &store)| {
            let answers = self.progress.get(&id).is_some_and(|progress| {
                progress.active && !progress.is_stalled(c.timing.ack_timeout, c.now)
            });
            let there = !c.is_dead(id, store, false) && !c.peers.is_leaving(id);
            id != c.id && answers && there
        });
        match config.mode {
            Mode::Available => able.count() > 0,
            Mode::Majority { .. } => {
                let able = able.count();
                2 * able > config.members.len() && able >= config.mode.view_min()
            }
        }
    }

    /// In mode available a member that lives must know that it is one no more before the view goes
    /// on without it: by rule (i) it could lead.
    fn knows_its_dismissal(&self, c: &Common, id: ReplicaId) -> bool {
        let progress = self.progress.get(&id);
        c.mode() != Mode::Available || progress.is_some_and(Progress::knows_its_dismissal)
    }

    /// Replicas with a session that are no members with their present store, have nearly all of the
    /// log, and want to stay.
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
                && !progress.is_stalled(c.timing.ack_timeout, c.now);
            let staying = !c.peers.is_leaving(id) && !c.is_removed(id) && !progress.unconfirmed;
            let wanted = !config.has(id, store) && staying && answers;
            (wanted && known && close).then_some((id, store))
        })
    }

    /// Who should lead instead: the lowest active member, if it is lower than this replica or
    /// this replica is to stop or was removed.
    fn heir(&self, c: &Common, config: &Config) -> Option<ReplicaId> {
        if c.now < self.hand_over_after {
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

    /// Gives the lead to the heir once it has everything, and takes it back when that fails.
    fn continue_hand_over(&mut self, c: &mut Common, config: &Config) {
        let Some(hand_over) = &mut self.hand_over else {
            return;
        };
        let heir = hand_over.heir;
        let late = c.now.since(hand_over.since) > c.timing.hand_over_timeout;
        let lost = c.peers.is_leaving(heir)
            || !self.progress.contains_key(&heir)
            || !config.members.contains_key(&heir);
        if late || lost {
            if late {
                self.hand_over_after = c.now.after(2 * c.timing.hand_over_timeout);
            }
            return self.lead_on(c);
        }
        let matched = self.progress[&heir].matched;
        if !hand_over.given && c.commit == c.log.last() && matched == c.log.last() {
            hand_over.given = true;
            let epoch = self.epoch;
            c.send(heir, Message::HandOver { epoch });
        }
    }
}
