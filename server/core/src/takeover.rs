//! The rules of a takeover: rules (i) and (ii) of the protocol, and the rule of mode majority, as pure functions of
//! the vote states.

use alloc::collections::{BTreeMap, BTreeSet};
use core::cmp::Reverse;

use crate::{
    config::{Config, LoggedConfig, Mode},
    id::{ReplicaId, StoreId},
    log::LastEntry,
    message::VoteState,
    mutation::{Mutant, mutated},
};

/// A replica that answered or promised: its store and its vote state.
#[derive(Clone, Debug)]
pub(crate) struct Voter {
    pub(crate) store: StoreId,
    pub(crate) vote_state: VoteState,
}

pub(crate) type Voters = BTreeMap<ReplicaId, Voter>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The candidate may lead, after it adopts the log of `adopt`.
    Lead { adopt: ReplicaId },
    /// The candidate may not lead, because it is not in the adopted log's Config, or lacks an entry that was trimmed
    /// from that log. This voter, the lowest that may lead, should.
    Nominate(ReplicaId),
    /// The candidate may not lead before these replicas have answered.
    Blocked(BTreeSet<ReplicaId>),
}

/// The facts for the question whether a replica may lead.
pub(crate) struct Takeover<'a> {
    /// The replica that would lead; it is one of the voters.
    pub(crate) candidate: ReplicaId,
    pub(crate) voters: &'a Voters,
    pub(crate) roster: &'a BTreeSet<ReplicaId>,
    /// True if this replica may make a cluster when no log has entries.
    pub(crate) bootstraps: bool,
    /// The replicas that the operator declared dead. It counts if they do not vote and all others do: then the best
    /// log of the voters is adopted, whatever the dead replicas had.
    pub(crate) declared: &'a BTreeSet<ReplicaId>,
    pub(crate) mutant: Mutant,
}

impl Takeover<'_> {
    /// Tells whether the candidate may lead.
    ///
    /// `is_out(id, store, alone)` tells whether the takeover need not wait for that replica with that store; `alone`
    /// says that the candidate would then be the only member.
    /// `holds(id, entry)` tells whether that voter has that entry, the last one that was trimmed from the log to
    /// adopt.
    pub(crate) fn judge(
        &self,
        is_out: impl Fn(ReplicaId, StoreId, bool) -> bool,
        holds: impl Fn(ReplicaId, LastEntry) -> bool,
    ) -> Verdict {
        let adopt = self.best();
        let adopted = &self.voters[&adopt].vote_state;
        let Some(config) = adopted.config() else {
            // No voter has entries. A cluster is made once all have answered: a missing replica may have a log.
            let others = self.roster.iter().filter(|&&id| id != self.candidate);
            let missing = others.filter(|id| !self.bootstraps || !self.voters.contains_key(id));
            let missing: BTreeSet<_> = missing.copied().collect();
            return match self.bootstraps && missing.is_empty() {
                true => Verdict::Lead { adopt },
                false => Verdict::Blocked(missing),
            };
        };
        let missing = self.missing_members(adopted);
        let undeclared: BTreeSet<_> = missing.difference(self.declared).copied().collect();
        let all = undeclared.is_empty()
            || (mutated!(self, RecoveryWithoutAll) && undeclared.len() < missing.len());
        let allowed = all
            || match config.mode {
                Mode::Available => self.may_lead_available(config, is_out),
                Mode::Majority { .. } => self.may_lead_majority(adopted),
            };
        let able = |&id: &ReplicaId| id == adopt || holds(id, adopted.trimmed);
        let mut transferees: BTreeSet<_> = self.voting_members(config).into_keys().collect();
        transferees.retain(able);
        if transferees.is_empty() && all {
            // No member of the view is left that could continue: any replica that has its log may, once all others
            // have been asked for their logs.
            let others = self.roster.iter().filter(|id| !self.declared.contains(id));
            let absent = others.filter(|id| !self.voters.contains_key(id));
            let absent: BTreeSet<_> = absent.copied().collect();
            if !absent.is_empty() {
                return Verdict::Blocked(absent);
            }
            transferees = self.voters.keys().copied().filter(able).collect();
        }
        match transferees.first() {
            Some(_) if allowed && transferees.contains(&self.candidate) => Verdict::Lead { adopt },
            Some(&lowest) if allowed => Verdict::Nominate(lowest),
            _ => Verdict::Blocked(undeclared),
        }
    }

    /// Gives the voter with the greatest log, by (epoch of the last entry, length). Among equal ones the candidate,
    /// which then need not fetch a log, or the least trimmed.
    fn best(&self) -> ReplicaId {
        mutated!(self, NumberBesideTheLog =>
            return self.greatest_by(|vote_state| vote_state.trimmed.epoch.number));
        mutated!(self, LongestLogWins =>
            return self.greatest_by(|vote_state| vote_state.last_entry.lsn.0));
        let rank = |id: ReplicaId| {
            let VoteState {
                last_entry,
                trimmed,
                ..
            } = self.voters[&id].vote_state;
            (last_entry, id == self.candidate, Reverse(trimmed.lsn))
        };
        let ids = self.voters.keys().copied();
        ids.max_by_key(|&id| rank(id)).expect("a candidate votes")
    }

    /// Gives the members that do not vote: those of the adopted Config in mode available, of all Configs in force in
    /// mode majority.
    fn missing_members(&self, adopted: &VoteState) -> BTreeSet<ReplicaId> {
        let concerned = match adopted.config().map(|config| config.mode) {
            Some(Mode::Available) => &adopted.configs[adopted.configs.len() - 1..],
            _ => self.in_force(adopted),
        };
        let members = concerned.iter().flat_map(|logged| &logged.config.members);
        let missing = members.filter(|&(&id, &store)| !self.votes(id, store));
        missing.map(|(&id, _)| id).collect()
    }

    /// Applies rules (i) and (ii). Rule (i) asks for the members of the candidate's own newest Config besides those
    /// of the adopted one: that can only forbid more.
    fn may_lead_available(
        &self,
        adopted: &Config,
        is_out: impl Fn(ReplicaId, StoreId, bool) -> bool,
    ) -> bool {
        let candidate = &self.voters[&self.candidate].vote_state;
        let voting = self.voting_members(adopted);
        let alone = voting.len() <= 1;
        let own = candidate.config().map(|config| &config.members);
        let mut concerned = adopted.members.iter().chain(own.into_iter().flatten());
        let settled = |(&id, &store): (&ReplicaId, &StoreId)| {
            self.votes(id, store) || is_out(id, store, alone)
        };
        mutated!(self, RestartByMajority =>
            if 2 * voting.len() > adopted.members.len() { return true });
        (candidate.active && concerned.all(settled)) || voting.len() == adopted.members.len()
    }

    /// Gives the Configs in the adopted log that may be in force: the last one that is known to be committed, and all
    /// later ones.
    fn in_force<'a>(&self, adopted: &'a VoteState) -> &'a [LoggedConfig] {
        let voters = self.voters.values();
        let commit = voters.map(|voter| voter.vote_state.commit).max();
        let configs = &adopted.configs;
        let superseded = configs
            .partition_point(|logged| Some(logged.lsn) <= commit)
            .saturating_sub(1);
        mutated!(self, NewestConfigOnly => &configs[configs.len().saturating_sub(1)..],
            else &configs[superseded..])
    }

    /// Tells whether a majority of the adopted log's Config has promised, and, because few replicas may know a Config
    /// that is not committed, a majority of each Config that may be in force. The resulting view must overlap every
    /// majority of each of them.
    fn may_lead_majority(&self, adopted: &VoteState) -> bool {
        let in_force = self.in_force(adopted);
        let Some(LoggedConfig { config: newest, .. }) = in_force.last() else {
            return false;
        };
        let view = self.voting_members(newest);
        mutated!(self, MinorityTakesOver => return true);
        view.len() >= newest.mode.view_min()
            && in_force.iter().all(|LoggedConfig { config, .. }| {
                2 * self.voting_members(config).len() > config.members.len()
                    && overlaps(config, &view)
            })
    }

    fn votes(&self, id: ReplicaId, store: StoreId) -> bool {
        let voter = self.voters.get(&id);
        voter.is_some_and(|voter| voter.store == store)
    }

    /// Gives the members of `config` that are voters with the stores that made them members.
    fn voting_members(&self, config: &Config) -> BTreeMap<ReplicaId, StoreId> {
        let members = config.members.iter();
        let voting = members.filter(|&(&id, &store)| self.votes(id, store));
        voting.map(|(&id, &store)| (id, store)).collect()
    }

    /// Gives the first Config of a new leader with this `store`: the members of the adopted Config that promised,
    /// without those that are about to stop if the mode allows that. The leader alone if it `is_outside`: it is not
    /// one of them, and none of them can lead. Replicas that were declared dead and did not promise are recorded as
    /// dead, with every store that they have in a Config of a voter's log.
    pub(crate) fn first_view(
        &self,
        store: StoreId,
        is_outside: bool,
        adopted: &[LoggedConfig],
    ) -> Config {
        let candidate = self.candidate;
        let newest = &adopted.last().expect("the log is not empty").config;
        let mut present = self.voting_members(newest);
        if is_outside && !present.contains_key(&candidate) {
            present = BTreeMap::from([(candidate, store)]);
        }
        let mut staying = present.clone();
        staying.retain(|id, _| *id == candidate || !self.voters[id].vote_state.leaving);
        let enough = staying.len() >= newest.mode.view_min()
            && adopted
                .iter()
                .all(|logged| overlaps(&logged.config, &staying));
        let configs = self.voters.values();
        let configs = configs.flat_map(|voter| &voter.vote_state.configs);
        let named = configs.flat_map(|logged| &logged.config.members);
        let named = named.map(|(&id, &store)| (id, store));
        let is_dead = |id, store| self.declared.contains(&id) && !self.votes(id, store);
        let dead = named.filter(|&(id, store)| is_dead(id, store));
        let dead = dead.filter(|_| !mutated!(self, DeadWelcome));
        Config {
            members: if enough { staying } else { present },
            dead: newest.dead.iter().copied().chain(dead).collect(),
            ..newest.clone()
        }
    }
}

/// Tells whether every takeover from `old` involves a member of `new` with its store, and so finds `new`. In mode
/// available a takeover after an outage needs all members of `old`, in mode majority any majority of them.
pub(crate) fn overlaps(old: &Config, new: &BTreeMap<ReplicaId, StoreId>) -> bool {
    let quorum = match old.mode {
        Mode::Available => old.members.len(),
        Mode::Majority { .. } => old.members.len() / 2 + 1,
    };
    let shared = new
        .iter()
        .filter(|&(&id, &store)| old.has(id, store))
        .count();
    shared + quorum > old.members.len()
}
