//! Who may take over: candidacies, promises, rules (i) and (ii), and the rule of mode majority.
//! Rules 3 and 4.

use crate::{
    actions::{Counting, Heard, Spec, when},
    log::{Epoch, Id, Log, Members, Payload, REPLICAS_MAX, Set},
    mutation::Mutation,
    scope::Mode,
    state::{Replica, Role, State, Vote},
};

type Votes = [Option<Vote>; REPLICAS_MAX];

impl Spec {
    /// A replica proposes an epoch, and promises it itself, on disk. In mode available only who
    /// hears no leader does so, or whom the leader hands over to; in mode majority anybody.
    pub(crate) fn stand(&self, s: &mut State, c: Id, heard: Heard) -> Option<()> {
        when(s.spent.ballots < self.scope.ballots)?;
        let candidate = &s.replicas[c];
        let outbid = s
            .replicas
            .iter()
            .any(|r| r.up && r.promised > candidate.promised);
        when(candidate.up && (!candidate.leads() || outbid))?;
        when(!self.available() || !self.hears_leader(s, c) || self.is_transferee(s, c))?;
        when(!self.scope.pre_vote || self.could_win(s, c))?;
        let all = s
            .replicas
            .iter()
            .filter(|r| r.up)
            .map(|r| r.promised)
            .max()?;
        let seen = match heard {
            // The answers to a pre-vote tell it all.
            Heard::Own => when(!self.scope.pre_vote).map(|()| candidate.promised)?,
            Heard::All => all,
        };
        s.spent.ballots += 1;
        let mut votes = Votes::default();
        votes[c] = Some(self.vote(candidate));
        let candidate = &mut s.replicas[c];
        candidate.promised = seen.next_of(c);
        candidate.disk = candidate.log;
        candidate.repeat = 0;
        candidate.role = Role::Candidate { votes };
        Some(())
    }

    /// By what all that are there would answer to a pre-vote.
    fn could_win(&self, s: &State, c: Id) -> bool {
        let there = |id: Id| s.replicas[id].up && !s.replicas[c].dead.has(id);
        let mut votes = Votes::default();
        for id in s.ids().filter(|&id| there(id)) {
            votes[id] = Some(self.vote(&s.replicas[id]));
        }
        self.judge(s, c, &votes).is_some()
    }

    fn hears_leader(&self, s: &State, c: Id) -> bool {
        let me = &s.replicas[c];
        let hears = |l: Id| {
            let leader = &s.replicas[l];
            leader.leads() && leader.promised >= me.promised && !me.dead.has(l)
        };
        s.ids().any(|l| l != c && hears(l))
    }

    /// Hand-over: the leader has committed everything, and a lower member, active, has it all.
    fn is_transferee(&self, s: &State, c: Id) -> bool {
        let me = &s.replicas[c];
        s.ids().any(|l| {
            let leader = &s.replicas[l];
            let member = leader.log.config().is_some_and(|(_, m)| m.has(c, me.store));
            let settled = leader.serves() && leader.commit == leader.log.len();
            c < l && member && settled && me.active && leader.matched(c) == leader.commit
        })
    }

    fn vote(&self, r: &Replica) -> Vote {
        let mut rank = r.log.rank();
        if self.mutated(Mutation::NumberBesideLog) {
            rank.epoch = r.promised;
        }
        if self.mutated(Mutation::LongestLogWins) {
            rank.epoch = Epoch::NONE;
        }
        Vote {
            rank,
            store: r.store,
            commit: if self.available() { 0 } else { r.commit },
        }
    }

    /// A replica promises a higher epoch: its promise, and its log as it stays under the promise,
    /// are on disk before the candidate hears of it.
    pub(crate) fn promise(&self, s: &mut State, c: Id, f: Id) -> Option<()> {
        let epoch = s.replicas[c].promised;
        let promiser = &s.replicas[f];
        when(s.replicas[c].up && promiser.up && promiser.promised < epoch)?;
        let vote = self.vote(promiser);
        let Role::Candidate { votes } = &mut s.replicas[c].role else {
            return None;
        };
        votes[f] = Some(vote);
        s.speak(c, f);
        let promiser = &mut s.replicas[f];
        promiser.promised = epoch;
        promiser.disk = promiser.log;
        promiser.repeat = 0;
        promiser.role = Role::Follower;
        Some(())
    }

    /// The candidate has what the rule asks for: it adopts the best log and appends a Config of
    /// those members who promised.
    pub(crate) fn lead(&self, s: &mut State, c: Id, counting: Counting) -> Option<()> {
        let (best, view) = self.may_lead(s, c, counting)?;
        let adopted = s.replicas[best].log;
        if !self.take(s, c, &adopted, adopted.len()) {
            return Some(());
        }
        let candidate = &mut s.replicas[c];
        candidate.log = adopted;
        candidate
            .log
            .push(candidate.promised, Payload::Config(view));
        candidate.role = Role::Leader {
            matched: Default::default(),
            dismissed: Set::EMPTY,
        };
        Some(())
    }

    /// The best log comes in parts, each fsynced; the candidate gives up before the last.
    pub(crate) fn adopt_part(&self, s: &mut State, c: Id, to: u8) -> Option<()> {
        when(self.scope.parts)?;
        let (best, _) = self.may_lead(s, c, Counting::All)?;
        let adopted = s.replicas[best].log;
        when(best != c && to < adopted.len())?;
        if self.take(s, c, &adopted, to) {
            let candidate = &mut s.replicas[c];
            candidate.disk = candidate.log;
            candidate.role = Role::Follower;
        }
        Some(())
    }

    /// Whose log a candidate adopts, and its first view; `None` if it may not lead.
    fn may_lead(&self, s: &State, c: Id, counting: Counting) -> Option<(Id, Members)> {
        let candidate = &s.replicas[c];
        let Role::Candidate { votes } = &candidate.role else {
            return None;
        };
        when(candidate.up)?;
        let mut votes = *votes;
        if counting == Counting::Linked {
            when(candidate.dead != Set::EMPTY)?;
            candidate.dead.ids().for_each(|id| votes[id] = None);
        }
        let (best, view) = self.judge(s, c, &votes)?;
        let donor = &s.replicas[best];
        when(best == c || donor.up && donor.promised == candidate.promised)?;
        Some((best, view))
    }

    /// With these promises: the best log, and the first view if the candidate may lead.
    fn judge(&self, s: &State, c: Id, votes: &Votes) -> Option<(Id, Members)> {
        let best = self.best(votes, c);
        let adopted = &s.replicas[best].log;
        let (_, config) = adopted.config()?;
        let allowed = match self.available() {
            true => self.may_lead_available(s, c, votes, config),
            false => self.may_lead_majority(adopted, votes),
        };
        let view = voting(config, votes);
        when(allowed && view.has(c, s.replicas[c].store))?;
        Some((best, view))
    }

    /// The greatest log; among equals the candidate's own.
    fn best(&self, votes: &Votes, c: Id) -> Id {
        if self.mutated(Mutation::NoLogCollection) {
            return c;
        }
        let voters = votes.iter().enumerate();
        let ranked = voters.filter_map(|(id, vote)| Some((vote.as_ref()?.rank, id == c, id)));
        ranked.max().map_or(c, |(_, _, id)| id)
    }

    /// Rule (i): active, and every member of the adopted Config and of its own has promised or is
    /// dead. Rule (ii): every member of the adopted Config has promised.
    fn may_lead_available(&self, s: &State, c: Id, votes: &Votes, adopted: Members) -> bool {
        let candidate = &s.replicas[c];
        let voting_members = voting(adopted, votes);
        let settled = |config: Members| {
            config.ids.ids().all(|m| {
                voting(config, votes).ids.has(m)
                    || candidate.dead.has(m)
                    || s.replicas[m].up && !config.has(m, s.replicas[m].store)
            })
        };
        let own = candidate.log.config().is_none_or(|(_, own)| settled(own));
        let first = candidate.active && settled(adopted) && own;
        let second = voting_members == adopted;
        let majority = 2 * voting_members.ids.count() > adopted.ids.count();
        first || second || majority && self.mutated(Mutation::RestartByMajority)
    }

    /// A majority of every Config that may be in force, and a view that overlaps every majority of
    /// each of them.
    fn may_lead_majority(&self, adopted: &Log, votes: &Votes) -> bool {
        let commit = votes
            .iter()
            .flatten()
            .map(|vote| vote.commit)
            .max()
            .unwrap_or(0);
        let Some((_, newest)) = adopted.config() else {
            return false;
        };
        let view = voting(newest, votes);
        view.ids.count() >= self.view_min()
            && self.in_force(adopted, commit).all(|old| {
                2 * voting(old, votes).ids.count() > old.ids.count() && self.overlaps(old, view)
            })
    }

    /// The newest Config known to be committed and every later one.
    pub(crate) fn in_force<'a>(
        &self,
        log: &'a Log,
        commit: u8,
    ) -> impl Iterator<Item = Members> + use<'a> {
        let superseded = log.configs().filter(|&(at, _)| at <= commit).count();
        log.configs()
            .skip(superseded.saturating_sub(1))
            .map(|(_, config)| config)
    }

    /// Whether whoever may start again from `old` meets a member of `new`, store and all: in mode
    /// available all of `old` are needed for that, in mode majority any majority of them.
    pub(crate) fn overlaps(&self, old: Members, new: Members) -> bool {
        let quorum = match self.scope.mode {
            Mode::Available => old.ids.count(),
            Mode::Majority => old.ids.count() / 2 + 1,
        };
        let unasked = [Mutation::MajorityAlone, Mutation::ShrinkPastAConfig];
        old.shared(new) + quorum > old.ids.count() || unasked.iter().any(|&m| self.mutated(m))
    }
}

/// The members that promised, with the store that made them members.
fn voting(config: Members, votes: &Votes) -> Members {
    config.only(|m| votes[m].is_some_and(|vote| vote.store == config.store(m)))
}
