//! Who may take over: rules (i) and (ii) of the protocol, and the rule of mode majority, as
//! pure functions over what the replicas said of themselves.

use alloc::collections::{BTreeMap, BTreeSet};
use core::cmp::Reverse;

use crate::{
    config::{Config, LoggedConfig, Mode},
    id::{ReplicaId, StoreId},
    log::LastEntry,
    message::VoteState,
    mutation::{Mutant, mutated},
};

/// A replica that answered or promised: its store, and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Voter {
    pub(crate) store: StoreId,
    pub(crate) vote_state: VoteState,
}

pub(crate) type Voters = BTreeMap<ReplicaId, Voter>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// May lead, after adopting the log of `adopt`.
    Lead { adopt: ReplicaId },
    /// May not lead, not being in the adopted log's Config, or too far behind what that log still has;
    /// this voter, the lowest, may.
    Nominate(ReplicaId),
    /// May not lead before these have answered.
    Blocked(BTreeSet<ReplicaId>),
}

/// What is known where it is asked whether a replica may lead.
pub(crate) struct Takeover<'a> {
    /// Who would lead; among the voters.
    pub(crate) candidate: ReplicaId,
    pub(crate) voters: &'a Voters,
    pub(crate) roster: &'a BTreeSet<ReplicaId>,
    /// Whether a cluster may be made where nobody holds a log.
    pub(crate) bootstraps: bool,
    /// Whom the operator declared dead. That counts where they do not vote, and all others do: the best log of
    /// those is adopted, whatever the dead had.
    pub(crate) declared: &'a BTreeSet<ReplicaId>,
    pub(crate) mutant: Mutant,
}

impl Takeover<'_> {
    /// Whether the candidate may lead.
    ///
    /// `is_out(id, store, alone)`: whether that replica with that store need not be waited for, where `alone`
    /// says that the candidate would then be the only member.
    /// `holds(id, entry)`: whether that voter has that entry, the last that the log to adopt has no more.
    pub(crate) fn judge(
        &self,
        is_out: impl Fn(ReplicaId, StoreId, bool) -> bool,
        holds: impl Fn(ReplicaId, LastEntry) -> bool,
    ) -> Verdict {
        let adopt = self.best();
        let adopted = &self.voters[&adopt].vote_state;
        let Some(config) = adopted.config() else {
            // No replica that answered holds anything. A cluster is made once all have answered:
            // whoever is missing may hold a log.
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
            // Nobody is left of the view who could go on: whoever has its log will do, once all others
            // have been asked for it.
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

    /// The greatest log among the voters, by (epoch of the last entry, length); among equals that of
    /// the candidate, so that one with the best log needs no other's, or the least trimmed.
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

    /// The members that do not vote, of the Config that the mode's rule is about, or of all of them.
    fn missing_members(&self, adopted: &VoteState) -> BTreeSet<ReplicaId> {
        let concerned = match adopted.config().map(|config| config.mode) {
            Some(Mode::Available) => &adopted.configs[adopted.configs.len() - 1..],
            _ => self.in_force(adopted),
        };
        let members = concerned.iter().flat_map(|logged| &logged.config.members);
        let missing = members.filter(|&(&id, &store)| !self.votes(id, store));
        missing.map(|(&id, _)| id).collect()
    }

    /// Rules (i) and (ii). Rule (i) looks at the candidate's own newest Config besides the adopted
    /// one: that asks more of it, never less.
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

    /// The Configs in the adopted log that may be in force: the last that is known to be committed, and
    /// all later ones.
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

    /// Promises from a majority of the adopted log's Config; and, because a Config that is not
    /// committed may be known to few, from a majority of each Config that may be in force. The view that
    /// this gives must overlap every majority of each of them.
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

    /// The members of `config` that are among the voters, with the store that made them members.
    fn voting_members(&self, config: &Config) -> BTreeMap<ReplicaId, StoreId> {
        let members = config.members.iter();
        let voting = members.filter(|&(&id, &store)| self.votes(id, store));
        voting.map(|(&id, &store)| (id, store)).collect()
    }

    /// The first Config of a new leader, on `store`: those of the adopted Config that promised, without
    /// those who are about to stop where the mode allows that. The leader alone if it `is_outside`: it is not
    /// of them, and none of them is left who could lead. Whoever was declared dead and did not promise is so
    /// from here on, with every store that a log of the voters has as a member's.
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

/// Whether whoever may take over from `old` meets a member of `new`, store and all, and so learns of
/// it. In mode available an outage ends when all of `old` are there, in mode majority with any
/// majority of them.
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
