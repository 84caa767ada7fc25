//! The pre-vote of a replica without a leader: it asks all others whether there is a leader and for their vote
//! states, and becomes a candidate only when it could win. Nothing durable changes, so a replica that is only cut off
//! disturbs no other.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use crate::{
    id::{ReplicaId, Time},
    message::{Message, VoteState},
    shared::Common,
    takeover::{Verdict, Voter, Voters},
};

/// The number of pre-vote intervals for which a replica lets a lower-numbered one that could lead become a candidate
/// first.
const DEFERENCE_INTERVALS: u64 = 10;

/// The number of pre-vote intervals for which an answer counts, unless a newer one replaces it.
const ANSWER_INTERVALS: u64 = 10;

#[derive(Debug)]
pub(crate) struct PreVote {
    first_round: u64,
    round: u64,
    asked_at: Time,
    answers: BTreeMap<ReplicaId, Answer>,
    /// The time since which this replica could win.
    able_since: Option<Time>,
    missing: BTreeSet<ReplicaId>,
}

#[derive(Debug)]
struct Answer {
    at: Time,
    hears: Option<ReplicaId>,
    voter: Voter,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    Stand,
    Wait,
}

impl PreVote {
    pub(crate) fn new(c: &mut Common) -> PreVote {
        let mut pre_vote = PreVote {
            first_round: c.now.0,
            round: c.now.0,
            asked_at: c.now,
            answers: BTreeMap::new(),
            able_since: None,
            missing: BTreeSet::new(),
        };
        pre_vote.ask(c);
        pre_vote
    }

    pub(crate) fn missing(&self) -> BTreeSet<ReplicaId> {
        self.missing.clone()
    }

    fn ask(&mut self, c: &mut Common) {
        self.round += 1;
        self.asked_at = c.now;
        let linked: Vec<_> = c.peers.linked().collect();
        for to in linked {
            let round = self.round;
            c.send(to, Message::PreVote { round });
        }
    }

    pub(crate) fn ask_when_due(&mut self, c: &mut Common) {
        if c.now.since(self.asked_at) >= c.timing.pre_vote_interval {
            self.ask(c);
        }
        let fresh = ANSWER_INTERVALS * c.timing.pre_vote_interval;
        self.answers
            .retain(|&id, answer| c.peers.is_linked(id) && c.now.since(answer.at) <= fresh);
    }

    /// Asks one replica again, in the same round, because its answer may have changed.
    pub(crate) fn ask_again(&mut self, c: &mut Common, to: ReplicaId) {
        let settled = self
            .answers
            .get(&to)
            .is_some_and(|answer| answer.hears.is_none());
        if !settled {
            let round = self.round;
            c.send(to, Message::PreVote { round });
        }
    }

    /// Asks a replica that itself asks, because it has lost its leader too. Only if its answer named a leader, and
    /// once between two ticks.
    pub(crate) fn ask_who_asks(&mut self, c: &mut Common, from: ReplicaId) {
        let answer = self.answers.get(&from);
        if answer.is_some_and(|answer| answer.hears.is_some() && answer.at < c.now) {
            let round = self.round;
            c.send(from, Message::PreVote { round });
        }
    }

    pub(crate) fn on_answer(
        &mut self,
        c: &Common,
        from: ReplicaId,
        round: u64,
        hears: Option<ReplicaId>,
        vote_state: VoteState,
    ) {
        // Rounds follow one another quickly: an answer to an earlier round of this pre-vote is good.
        let Some(hello) = c.peers.hello(from).filter(|_| round >= self.first_round) else {
            return;
        };
        let voter = Voter {
            store: hello.store,
            vote_state,
        };
        let at = c.now;
        self.answers.insert(from, Answer { at, hears, voter });
    }

    /// Tells whether this replica should become a candidate now.
    pub(crate) fn finding(&mut self, c: &mut Common) -> Finding {
        let mut voters: Voters = self
            .answers
            .iter()
            .map(|(&id, a)| (id, a.voter.clone()))
            .collect();
        drop_standing_if_removed(c, &voters);
        // Replicas whose disks stall will not promise: they would send excuses.
        let stalled = voters.extract_if(.., |_, voter| voter.vote_state.stalled);
        let excused = stalled.map(|(id, voter)| (id, voter.store)).collect();
        let own = Voter {
            store: c.store,
            vote_state: c.vote_state(),
        };
        voters.insert(c.id, own);
        let verdict = |candidate| c.judge(candidate, &voters, &c.declared, &excused);
        let heard = self.answers.values().any(|answer| answer.hears.is_some());
        let own_verdict = verdict(c.id);
        self.missing = match &own_verdict {
            Verdict::Blocked(missing) => missing.clone(),
            Verdict::Lead { .. } | Verdict::Nominate(_) => BTreeSet::new(),
        };
        let known = c.peers.are_known(&c.timing, c.now);
        if heard || !known || !matches!(own_verdict, Verdict::Lead { .. }) {
            self.able_since = None;
            return Finding::Wait;
        }
        let able_since = *self.able_since.get_or_insert(c.now);
        let lower_able = voters.range(..c.id).any(|(&lower, voter)| {
            !voter.vote_state.leaving && matches!(verdict(lower), Verdict::Lead { .. })
        });
        let deference = DEFERENCE_INTERVALS * c.timing.pre_vote_interval;
        // A replica that has a session and has not answered yet may be able to lead, or know a leader.
        let answered = c
            .peers
            .linked()
            .filter(|&id| !c.peers.is_silent(id, false, &c.timing, c.now))
            .all(|id| self.answers.contains_key(&id));
        let waited = c.now.since(able_since) > deference;
        match waited || (!lower_able && answered) {
            true => Finding::Stand,
            false => Finding::Wait,
        }
    }
}

/// Makes this replica inactive if a later log has a newest Config without it: it was removed from the view while it
/// believed itself a member.
fn drop_standing_if_removed(c: &mut Common, voters: &Voters) {
    let removed = voters.values().any(|voter| {
        let config = voter.vote_state.config();
        voter.vote_state.last_entry > c.log.last_entry()
            && config.is_some_and(|config| !config.has(c.id, c.store))
    });
    if removed {
        c.active = false;
    }
}
