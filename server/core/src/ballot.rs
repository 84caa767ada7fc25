//! The answers of a replica to candidates, and its judgement whether a candidate may lead: the same in every role.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::{
    config::{Mode, Timing},
    id::{Epoch, ReplicaId, StoreId},
    log::LastEntry,
    message::Message,
    mutation::mutated,
    shared::Common,
    takeover::{Takeover, Verdict, Voters},
};

impl Common {
    /// Gives the time, in microseconds, for which a replica that heard a leader, or may have heard one before it
    /// started, vetoes other candidates. The lease that it granted is over by then, on every clock.
    pub(crate) fn veto(&self) -> u64 {
        let Timing {
            lease,
            lease_margin,
            ..
        } = self.timing;
        mutated!(self, NoLeaseMargin => lease, else lease + lease_margin)
    }

    /// Tells whether, in mode majority, this replica started so recently that it may have granted a lease that it
    /// forgot.
    fn may_owe_a_lease(&self) -> bool {
        matches!(self.mode(), Mode::Majority { .. })
            && self.log.config().is_some()
            && self.now.since(self.started_at) <= self.veto()
            && !mutated!(self, LeaseForgotten)
    }

    /// Sends the vote state of this replica, and the leader that it follows, to the replica that asked.
    pub(crate) fn answer_pre_vote(&mut self, to: ReplicaId, round: u64, hears: Option<ReplicaId>) {
        if self.may_owe_a_lease() {
            return;
        }
        let hears = hears.filter(|_| !mutated!(self, NoVeto));
        let pre_vote_reply = Message::PreVoteReply {
            round,
            promised: self.promised,
            hears,
            vote_state: self.vote_state(),
        };
        self.send(to, pre_vote_reply);
    }

    /// Tells whether this run of the replica proposed `epoch`, has not led in it, and knows of no later epoch.
    pub(crate) fn may_propose_again(&self, epoch: Epoch) -> bool {
        let newest = epoch == self.promised && epoch >= self.seen;
        self.proposed == Some(epoch) && newest && self.declared.is_empty()
    }

    /// Answers a Prepare. Returns true when this call promised the epoch: the caller then becomes a follower that
    /// waits for the candidate. The answer is sent when the promise is durable.
    pub(crate) fn consider(&mut self, from: ReplicaId, epoch: Epoch, veto: bool) -> bool {
        if epoch.proposer != from || !epoch.is_plausible() {
            return false;
        }
        self.heard_of(epoch);
        if epoch < self.promised {
            let promised = self.promised;
            self.send(from, Message::Fenced { promised });
            return false;
        }
        if epoch == self.promised {
            self.reply_promised();
            self.excuse();
            self.ask_for_patience();
            return false;
        }
        let veto = veto && !mutated!(self, NoVeto);
        if veto || self.may_owe_a_lease() {
            self.send(from, Message::Vetoed { epoch });
            return false;
        }
        self.promise(epoch);
        mutated!(self, PromisedBeforeFsync => self.reply_promised());
        self.excuse();
        true
    }

    /// Sends Promised to the proposer of the promised epoch, once the promise, and with it the log before it, is
    /// durable.
    pub(crate) fn reply_promised(&mut self) {
        let epoch = self.promised;
        let durable = self.promised_durable >= epoch || mutated!(self, PromisedBeforeFsync);
        let void = epoch.proposer == self.id || epoch == Epoch::NONE;
        if !durable || void || self.is_unconfirmed() {
            return;
        }
        let vote_state = self.vote_state();
        self.send(epoch.proposer, Message::Promised { epoch, vote_state });
    }

    /// Tells the proposer of the promised epoch that the promise is being written to this replica's slow disk. The
    /// candidate then waits; if it gave up, its next candidacy would take as long.
    fn ask_for_patience(&mut self) {
        let epoch = self.promised;
        let on_its_way = self.promised_durable < epoch && !self.is_excused();
        if on_its_way && epoch.proposer != self.id && !self.is_unconfirmed() {
            self.send(epoch.proposer, Message::Promising { epoch });
        }
    }

    /// Tells the proposer of the promised epoch not to wait for this replica, because its disk stalls or is slow, or
    /// its store is not confirmed. The proposer then treats this replica as dead: it refuses older epochs while it
    /// runs, and is not active, now or after a crash.
    fn excuse(&mut self) {
        let epoch = self.promised;
        let stalls = self.promised_durable < epoch && self.is_excused();
        if !(stalls || self.is_unconfirmed()) || epoch.proposer == self.id {
            return;
        }
        mutated!(self, StalledStaysActive => {}, else self.deactivate());
        self.send(epoch.proposer, Message::Excused { epoch });
    }

    /// Collects the facts for the question whether `candidate` may lead with these votes.
    pub(crate) fn takeover<'a>(
        &'a self,
        candidate: ReplicaId,
        voters: &'a Voters,
        declared: &'a BTreeSet<ReplicaId>,
    ) -> Takeover<'a> {
        Takeover {
            candidate,
            voters,
            roster: &self.roster,
            bootstraps: self.bootstraps(),
            declared,
            mutant: self.mutant,
        }
    }

    /// Tells whether `candidate` may lead with these votes. A store is not waited for if it is dead or `excused`: the
    /// promise of an excused replica is not durable, and the replica is not active.
    pub(crate) fn judge(
        &self,
        candidate: ReplicaId,
        voters: &Voters,
        declared: &BTreeSet<ReplicaId>,
        excused: &BTreeMap<ReplicaId, StoreId>,
    ) -> Verdict {
        let takeover = self.takeover(candidate, voters, declared);
        let is_out =
            |id, store, alone| self.is_dead(id, store, alone) || excused.get(&id) == Some(&store);
        takeover.judge(is_out, |id, entry| self.holds(id, voters, entry))
    }

    /// Tells whether the log of `id`, which is this replica or a voter, reaches the entry, so that `id` can adopt the
    /// entries after it. For a voter only the length of its log is known.
    fn holds(&self, id: ReplicaId, voters: &Voters, entry: LastEntry) -> bool {
        match id == self.id {
            true => entry.lsn <= self.commit || self.log.holds(entry),
            false => voters[&id].vote_state.last_entry.lsn >= entry.lsn,
        }
    }
}
