//! The follower: a replica that follows a leader as backup or learner, waits for a candidate that it promised, or
//! looks for a leader. Its answers to candidates are in `ballot.rs`.

use alloc::{collections::BTreeSet, vec::Vec};

use crate::{
    config::Mode,
    effect::{Effect, Halt},
    following::Following,
    id::{Epoch, Lsn, ReplicaId, Time},
    log::{Entry, Snapshot},
    message::{Append, Message},
    mutation::mutated,
    pre_vote::{Finding, PreVote},
    shared::Common,
    transition::Transition,
};

#[derive(Debug)]
pub(crate) struct Follower {
    pub(crate) following: Option<Following>,
    /// The candidate that was promised and the time of its last sign: it has `candidacy_timeout` from then to lead.
    promised_at: Option<(ReplicaId, Time)>,
    /// The pre-vote by which this replica looks for a leader, while it knows none.
    pre_vote: Option<PreVote>,
    /// The candidate, with its epoch, for which entries are being read from the log.
    pub(crate) pulled_by: Option<(ReplicaId, Epoch)>,
    /// True if a replica vetoed the last candidacy of this one. Then only a new pre-vote may begin another.
    vetoed: bool,
}

impl Follower {
    pub(crate) fn started() -> Follower {
        Follower {
            following: None,
            promised_at: None,
            pre_vote: None,
            pulled_by: None,
            vetoed: false,
        }
    }

    /// Makes the follower after a candidacy that another replica vetoed.
    pub(crate) fn vetoed() -> Follower {
        Follower {
            vetoed: true,
            ..Follower::started()
        }
    }

    /// Makes the follower after a promise to `candidate`, which now has its time to lead.
    pub(crate) fn having_promised(c: &Common, candidate: ReplicaId) -> Follower {
        Follower {
            promised_at: Some((candidate, c.now)),
            ..Follower::started()
        }
    }

    /// Gives the leader that this replica follows, unless that leader is lost.
    pub(crate) fn followed(&self, c: &Common) -> Option<&Following> {
        let following = self.following.as_ref();
        following.filter(|following| !following.is_lost(c))
    }

    /// Gives the replicas whose answers this replica needs before it may lead.
    pub(crate) fn waiting_for(&self) -> BTreeSet<ReplicaId> {
        self.pre_vote
            .as_ref()
            .map_or_else(BTreeSet::new, PreVote::missing)
    }

    /// Gives the leader that this replica follows and heard lately, as a veto for candidates.
    pub(crate) fn hears(&self, c: &Common) -> Option<ReplicaId> {
        let following = self.following.as_ref()?;
        let fresh = c.now.since(following.heard_at) <= c.veto();
        let dead = c.mode() == Mode::Available && c.peers.is_refused(following.leader);
        (fresh && !dead).then_some(following.leader)
    }

    pub(crate) fn on_message(
        &mut self,
        c: &mut Common,
        from: ReplicaId,
        message: Message,
    ) -> Option<Transition> {
        match message {
            Message::Append(append) => self.on_append(c, from, append),
            Message::Ping { promised, .. } => c.heard_of(promised),
            Message::PreVote { round } => {
                let hears = self.hears(c);
                c.answer_pre_vote(from, round, hears);
                if let Some(pre_vote) = &mut self.pre_vote {
                    pre_vote.ask_who_asks(c, from);
                }
            }
            Message::PreVoteReply {
                round,
                promised,
                hears,
                vote_state,
            } => {
                c.heard_of(promised);
                if let Some(pre_vote) = &mut self.pre_vote {
                    pre_vote.on_answer(c, from, round, hears, vote_state);
                }
            }
            Message::Prepare {
                epoch,
                transferred_from,
            } => return self.on_prepare(c, from, epoch, transferred_from),
            Message::Resigned { epoch } => {
                if self.follows(from, epoch) {
                    if let Some(hello) = c.peers.hello(from) {
                        c.resigned.note(from, hello.store, c.now);
                    }
                    self.following = None;
                }
            }
            Message::SnapshotNeeded { epoch, lsn_min } => {
                if self.follows(from, epoch) && epoch == c.promised && lsn_min > c.commit {
                    c.effects.push(Effect::FetchSnapshot { from, lsn_min });
                }
            }
            Message::Pull { epoch, from: lsn } => self.on_pull(c, from, epoch, lsn),
            Message::LeadershipTransfer { epoch } => {
                let handed = self.follows(from, epoch) && c.promised == epoch;
                if handed && c.active && !c.stopping() && !c.is_excused() {
                    return Some(Transition::Stand {
                        transferred_from: Some(epoch),
                    });
                }
            }
            Message::Nominate { epoch } => {
                if epoch == c.promised && c.may_stand() {
                    return Some(Transition::Stand {
                        transferred_from: None,
                    });
                }
            }
            Message::Promised { epoch, vote_state } => {
                if self.may_resume(c, epoch) {
                    return Some(Transition::StandAgain {
                        voter: from,
                        vote_state,
                    });
                }
            }
            Message::Appended { .. }
            | Message::AppendMismatch { .. }
            | Message::Fenced { .. }
            | Message::Promising { .. }
            | Message::Excused { .. }
            | Message::Vetoed { .. }
            | Message::Pulled { .. }
            | Message::Leave => {}
        }
        None
    }

    /// Tells whether this replica follows `leader` in that epoch.
    fn follows(&self, leader: ReplicaId, epoch: Epoch) -> bool {
        let following = self.following.as_ref();
        following.is_some_and(|f| f.leader == leader && f.epoch == epoch)
    }

    fn on_prepare(
        &mut self,
        c: &mut Common,
        from: ReplicaId,
        epoch: Epoch,
        transferred_from: Option<Epoch>,
    ) -> Option<Transition> {
        if let Some((_, at)) = &mut self.promised_at
            && epoch == c.promised
        {
            *at = c.now;
        }
        let hears = self.hears(c);
        let consented = self.following.as_ref().map(|f| f.epoch) == transferred_from;
        let veto = hears.is_some_and(|leader| leader != from) && !consented;
        c.consider(from, epoch, veto)
            .then_some(Transition::Await(from))
    }

    /// Tells whether a promise that arrives after this replica gave up its candidacy lets it continue. Not after a
    /// veto: the next candidacy would be vetoed as well, as fast as messages travel.
    fn may_resume(&self, c: &Common, epoch: Epoch) -> bool {
        let free = self.followed(c).is_none() && c.may_stand() && !c.is_excused() && !self.vetoed;
        free && c.may_propose_again(epoch)
    }

    pub(crate) fn on_append(&mut self, c: &mut Common, from: ReplicaId, append: Append) {
        if append.epoch < c.promised {
            let promised = c.promised;
            return c.send(from, Message::Fenced { promised });
        }
        if append.epoch.proposer != from || !append.is_well_formed() {
            return;
        }
        let new = self
            .following
            .as_ref()
            .is_none_or(|f| f.epoch < append.epoch);
        if new {
            *self = Follower::started();
            mutated!(c, DeclarationOutlives => {}, else c.declared.clear());
        }
        let following = self
            .following
            .get_or_insert_with(|| Following::begin(c, from, &append));
        following.accept(c, append);
    }

    fn on_pull(&mut self, c: &mut Common, from: ReplicaId, epoch: Epoch, lsn: Lsn) {
        let there = c.log.start()..=c.log.last();
        if epoch != c.promised || epoch.proposer != from || !there.contains(&lsn) {
            return;
        }
        match c.log.batch(lsn, &c.limits) {
            Some(entries) => {
                let pulled = Message::Pulled {
                    epoch,
                    from: lsn,
                    entries,
                };
                c.send(from, pulled);
            }
            None => {
                self.pulled_by = Some((from, epoch));
                c.read_log(from, lsn);
            }
        }
    }

    pub(crate) fn on_log_read(
        &mut self,
        c: &mut Common,
        peer: ReplicaId,
        from: Lsn,
        entries: Vec<Entry>,
    ) {
        if let Some((candidate, epoch)) = self.pulled_by.take()
            && candidate == peer
            && epoch == c.promised
        {
            let pulled = Message::Pulled {
                epoch,
                from,
                entries,
            };
            c.send(peer, pulled);
        }
    }

    /// Takes a snapshot that was fetched. It is of committed entries, from whichever replica it comes.
    pub(crate) fn on_snapshot(&mut self, c: &mut Common, snapshot: Snapshot) {
        if let Some(following) = self.following.as_mut().filter(|f| f.epoch == c.promised) {
            following.accept_snapshot(c, snapshot);
        }
    }

    pub(crate) fn on_persisted(&mut self, c: &mut Common) {
        match &mut self.following {
            Some(following) => following.acknowledge_news(c),
            None => c.reply_promised(),
        }
    }

    pub(crate) fn on_heartbeat(&self, c: &mut Common) {
        c.ping();
        if let Some(since) = c.stopping_since {
            match &self.following {
                Some(following) if following.member && !following.is_lost(c) => {
                    c.send(following.leader, Message::Leave)
                }
                Some(following) if following.settled && !following.member => c.halt(Halt::Left),
                Some(following) if !following.is_lost(c) => {}
                // No leader could remove this replica from its view.
                _ if c.now.since(since) > c.timing.candidacy_timeout => c.halt(Halt::Left),
                _ => {}
            }
        }
    }

    pub(crate) fn on_slept(&mut self, c: &Common) {
        if let Some(following) = &mut self.following {
            following.heard_at = c.now;
        }
        self.pre_vote = None;
    }

    pub(crate) fn on_link_up(&mut self, c: &mut Common, peer: ReplicaId) {
        // A session with the leader's next run shows that its last run is over. A session with the same run changes
        // nothing: the lease that was granted to it still holds.
        let run = c.peers.hello(peer).map(|hello| hello.incarnation);
        let leader = self.following.as_ref();
        if leader.is_some_and(|leader| leader.leader == peer && leader.incarnation != run) {
            self.following = None;
        }
        if let Some(pre_vote) = &mut self.pre_vote {
            pre_vote.ask_again(c, peer);
        }
    }

    /// Looks whether there is a leader, or a candidate to wait for; if not, holds a pre-vote.
    pub(crate) fn on_tick(&mut self, c: &mut Common) -> Option<Transition> {
        let lost = match &self.following {
            Some(following) => following.is_lost(c),
            None => true,
        };
        let patient = self.promised_at.is_some_and(|(candidate, at)| {
            c.now.since(at) < c.timing.candidacy_timeout && !c.peers.is_refused(candidate)
        });
        // A replica whose disk stalls could not make its own promise durable; one that resigned lets others become
        // candidates.
        if !lost || patient || c.is_excused() || !c.may_stand() {
            self.pre_vote = None;
            return None;
        }
        if let Some(following) = &self.following
            && c.mode() == Mode::Available
            && c.peers.is_refused(following.leader)
        {
            self.following = None;
        }
        let pre_vote = self.pre_vote.get_or_insert_with(|| PreVote::new(c));
        pre_vote.ask_when_due(c);
        match pre_vote.finding(c) {
            Finding::Stand => Some(Transition::Stand {
                transferred_from: None,
            }),
            Finding::Wait => None,
        }
    }

    pub(crate) fn invariants(&self, c: &Common) {
        if let Some(following) = &self.following {
            following.invariants(c);
        }
    }
}
