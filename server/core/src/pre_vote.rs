//! The search of a replica without a leader: it asks everybody whether there is one and where
//! they stand, and stands as a candidate only when it could win. Nothing durable changes, so a
//! replica that is merely cut off disturbs nobody.

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

/// A replica gives an eligible lower-numbered one this many pre-vote intervals to stand first.
const DEFERENCE_INTERVALS: u64 = 10;

/// An answer counts for this many pre-vote intervals; within them newer ones replace it.
const ANSWER_INTERVALS: u64 = 10;

#[derive(Debug)]
pub(crate) struct PreVote {
    first_round: u64,
    round: u64,
    asked_at: Time,
    answers: BTreeMap<ReplicaId, Answer>,
    /// Since when this replica could stand.
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

    /// Asks one replica again, in the same round: its answer may be another by now.
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

    /// Who asks has lost its leader too. If it still heard one when it was asked, it is asked again, once
    /// between two ticks.
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
        // Rounds follow one another quickly: an answer to an earlier one of this search is good.
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

    /// Whether this replica should stand now.
    pub(crate) fn finding(&mut self, c: &mut Common) -> Finding {
        let mut voters: Voters = self
            .answers
            .iter()
            .map(|(&id, a)| (id, a.voter.clone()))
            .collect();
        drop_standing_if_removed(c, &voters);
        // Those whose disk stalls will not promise: they would excuse themselves.
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
        // Whoever is there and has not answered yet may be eligible, or hear a leader.
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

/// A later log whose newest Config lacks this replica says that it was removed while it believed
/// itself a member.
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
