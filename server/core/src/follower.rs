//! A replica that does not lead: it follows a leader as backup or learner, waits for a candidate
//! it promised, or looks for a leader. What it says to candidates is in `ballot.rs`.

use std::collections::BTreeSet;

use crate::{
    candidate::Candidate,
    config::Mode,
    copied::Led,
    effect::{Effect, Halt},
    id::{Epoch, Incarnation, Lsn, ReplicaId, Time},
    log::{Entry, Snapshot, can_follow},
    message::{Append, Message},
    mutation::mutated,
    pre_vote::{Finding, PreVote},
    replica::Role,
    shared::Common,
};

#[derive(Debug)]
pub(crate) struct Follower {
    pub(crate) following: Option<Following>,
    /// A candidate was promised at this time: it has until `candidacy_timeout` to lead.
    promised_at: Option<(ReplicaId, Time)>,
    /// The search for a leader, while there is none.
    pre_vote: Option<PreVote>,
    /// Log entries being read for a candidate that pulls: the candidate and its epoch.
    pub(crate) pulled_by: Option<(ReplicaId, Epoch)>,
    /// A replica vetoed this one's candidacy. Only a pre-vote begins another.
    vetoed: bool,
}

#[derive(Debug)]
pub(crate) struct Following {
    pub(crate) leader: ReplicaId,
    pub(crate) epoch: Epoch,
    /// The leader's run.
    incarnation: Option<Incarnation>,
    pub(crate) heard_at: Time,
    /// This log is the leader's up to here.
    verified: Lsn,
    /// What was acknowledged last.
    acknowledged: Lsn,
    /// The leader's clock in its latest Append.
    sent_at: Time,
    /// The last snapshot that was installed while this leader is followed; zero if there was none.
    installed: Lsn,
    /// Whether the leader counts this replica as a member.
    pub(crate) member: bool,
    /// Whether the leader's newest Config is known to be committed.
    settled: bool,
    /// Whether the leader said that this replica, which was removed, is needed no more.
    pub(crate) released: bool,
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

    /// After a candidacy that another replica vetoed.
    pub(crate) fn vetoed() -> Follower {
        Follower {
            vetoed: true,
            ..Follower::started()
        }
    }

    /// After a promise to `candidate`, which now has its time to lead.
    pub(crate) fn having_promised(c: &Common, candidate: ReplicaId) -> Follower {
        Follower {
            promised_at: Some((candidate, c.now)),
            ..Follower::started()
        }
    }

    /// The leader that this replica follows, unless that one is gone.
    pub(crate) fn followed(&self, c: &Common) -> Option<&Following> {
        let following = self.following.as_ref();
        following.filter(|following| !following.is_lost(c))
    }

    /// For whom a replica waits that may not lead.
    pub(crate) fn waiting_for(&self) -> BTreeSet<ReplicaId> {
        self.pre_vote
            .as_ref()
            .map_or_else(BTreeSet::new, PreVote::missing)
    }

    /// The leader that this replica hears, as a veto for candidates.
    pub(crate) fn hears(&self, c: &Common) -> Option<ReplicaId> {
        let following = self.following.as_ref()?;
        let fresh = c.now.since(following.heard_at) <= c.veto();
        let dead = c.mode() == Mode::Available && c.peers.is_refused(following.leader);
        (fresh && !dead).then_some(following.leader)
    }

    pub(crate) fn on_message(mut self, c: &mut Common, from: ReplicaId, message: Message) -> Role {
        match message {
            Message::Append(append) => self.on_append(c, from, append),
            Message::Ping { promised, .. } => {
                c.heard_of(promised);
                Role::Follower(self)
            }
            Message::PreVote { round } => {
                let hears = self.hears(c);
                c.answer_pre_vote(from, round, hears);
                if let Some(pre_vote) = &mut self.pre_vote {
                    pre_vote.ask_who_asks(c, from);
                }
                Role::Follower(self)
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
                Role::Follower(self)
            }
            Message::Prepare {
                epoch,
                transferred_from,
            } => {
                if let Some((_, at)) = &mut self.promised_at
                    && epoch == c.promised
                {
                    *at = c.now;
                }
                let hears = self.hears(c);
                let consented = self.following.as_ref().map(|f| f.epoch) == transferred_from;
                let veto = hears.is_some_and(|leader| leader != from) && !consented;
                match c.consider(from, epoch, veto) {
                    true => Role::Follower(Follower::having_promised(c, from)),
                    false => Role::Follower(self),
                }
            }
            Message::Resigned { epoch } => {
                let following = self.following.as_ref();
                if following.is_some_and(|f| f.leader == from && f.epoch == epoch) {
                    c.note_resignation(from);
                    self.following = None;
                }
                Role::Follower(self)
            }
            Message::SnapshotNeeded { epoch, lsn_min } => {
                let following = self.following.as_ref();
                let follows = following.is_some_and(|f| f.leader == from && f.epoch == epoch);
                if follows && epoch == c.promised && lsn_min > c.commit {
                    c.effects.push(Effect::FetchSnapshot { from, lsn_min });
                }
                Role::Follower(self)
            }
            Message::Pull { epoch, from: lsn } => self.on_pull(c, from, epoch, lsn),
            Message::LeadershipTransfer { epoch } => {
                let handed = self
                    .following
                    .as_ref()
                    .is_some_and(|f| f.leader == from && f.epoch == epoch && c.promised == epoch);
                match handed && c.active && !c.stopping() && !c.is_excused() {
                    true => Candidate::campaign(c, Some(epoch)),
                    false => Role::Follower(self),
                }
            }
            Message::Nominate { epoch } => match epoch == c.promised && c.may_stand() {
                true => Candidate::campaign(c, None),
                false => Role::Follower(self),
            },
            Message::Promised { epoch, .. } if self.may_resume(c, epoch) => {
                Candidate::campaign(c, None).on_message(c, from, message)
            }
            Message::Appended { .. }
            | Message::AppendMismatch { .. }
            | Message::Fenced { .. }
            | Message::Promised { .. }
            | Message::Promising { .. }
            | Message::Excused { .. }
            | Message::Vetoed { .. }
            | Message::Pulled { .. }
            | Message::Leave => Role::Follower(self),
        }
    }

    /// Whether a promise that comes late, after this replica gave up its candidacy, lets it go on. Not after a
    /// veto: the next candidacy would be vetoed as well, as fast as messages travel.
    fn may_resume(&self, c: &Common, epoch: Epoch) -> bool {
        let free = self.followed(c).is_none() && c.may_stand() && !c.is_excused() && !self.vetoed;
        free && c.may_propose_again(epoch)
    }

    pub(crate) fn on_append(mut self, c: &mut Common, from: ReplicaId, append: Append) -> Role {
        if append.epoch < c.promised {
            let promised = c.promised;
            c.send(from, Message::Fenced { promised });
            return Role::Follower(self);
        }
        if append.epoch.proposer != from || !well_formed(&append) {
            return Role::Follower(self);
        }
        let new = self
            .following
            .as_ref()
            .is_none_or(|f| f.epoch < append.epoch);
        if new {
            self = Follower::started();
            mutated!(c, DeclarationOutlives => {}, else c.declared.clear());
        }
        let following = self.following.get_or_insert(Following {
            leader: from,
            epoch: append.epoch,
            incarnation: c.peers.hello(from).map(|hello| hello.incarnation),
            heard_at: c.now,
            verified: c.commit,
            acknowledged: Lsn::ZERO,
            sent_at: append.sent_at,
            installed: Lsn::ZERO,
            member: false,
            settled: false,
            released: false,
        });
        following.accept(c, append);
        Role::Follower(self)
    }

    fn on_pull(mut self, c: &mut Common, from: ReplicaId, epoch: Epoch, lsn: Lsn) -> Role {
        let there = c.log.start()..=c.log.last();
        if epoch != c.promised || epoch.proposer != from || !there.contains(&lsn) {
            return Role::Follower(self);
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
        Role::Follower(self)
    }

    pub(crate) fn on_log_read(
        mut self,
        c: &mut Common,
        peer: ReplicaId,
        from: Lsn,
        entries: Vec<Entry>,
    ) -> Role {
        if let Some((candidate, epoch)) = self.pulled_by.take()
            && candidate == peer
            && epoch == c.promised
        {
            c.send(
                peer,
                Message::Pulled {
                    epoch,
                    from,
                    entries,
                },
            );
        }
        Role::Follower(self)
    }

    /// A snapshot came. It is of committed entries, wherever it is from.
    pub(crate) fn on_snapshot(mut self, c: &mut Common, snapshot: Snapshot) -> Role {
        let Some(following) = self.following.as_mut().filter(|f| f.epoch == c.promised) else {
            return Role::Follower(self);
        };
        let lsn = snapshot.lsn;
        if lsn <= c.commit || !snapshot.is_sound(following.epoch) || !c.is_ours(&snapshot) {
            return Role::Follower(self);
        }
        if c.log.epoch_at(c.commit) != Some(snapshot.epoch_at(c.commit)) {
            let (lsn, leader) = (c.commit, following.leader);
            c.halt(Halt::Diverged { lsn, leader });
            return Role::Follower(self);
        }
        let here = c.log.holds(snapshot.last_entry());
        // The leader's log and its snapshot are of one history: whoever sent this one is wrong.
        if !here && lsn <= following.verified {
            return Role::Follower(self);
        }
        match here {
            // All of it is here: that it is committed is the news.
            true => {
                c.commit_through(lsn);
                following.verified = following.verified.max(lsn);
            }
            // What was verified past it is not in this log any more.
            false => {
                c.install(snapshot);
                following.verified = lsn;
                following.installed = lsn;
            }
        }
        Role::Follower(self)
    }

    pub(crate) fn on_persisted(mut self, c: &mut Common) -> Role {
        match &mut self.following {
            Some(following) => {
                let matched = following.verified.min(c.durable);
                if matched > following.acknowledged {
                    following.acknowledge(c);
                }
            }
            None => c.reply_promised(),
        }
        Role::Follower(self)
    }

    pub(crate) fn on_heartbeat(self, c: &mut Common) -> Role {
        c.ping();
        if let Some(since) = c.stopping_since {
            match &self.following {
                Some(following) if following.member && !following.is_lost(c) => {
                    c.send(following.leader, Message::Leave)
                }
                Some(following) if following.settled && !following.member => c.halt(Halt::Left),
                Some(following) if !following.is_lost(c) => {}
                // Nobody leads who could take this replica out of its view.
                _ if c.now.since(since) > c.timing.candidacy_timeout => c.halt(Halt::Left),
                _ => {}
            }
        }
        Role::Follower(self)
    }

    pub(crate) fn on_slept(&mut self, c: &Common) {
        if let Some(following) = &mut self.following {
            following.heard_at = c.now;
        }
        self.pre_vote = None;
    }

    pub(crate) fn on_link_up(mut self, c: &mut Common, peer: ReplicaId) -> Role {
        // A session with the leader's next run says that its last run is over. One with the same
        // run changes nothing: the lease that was granted to it stands.
        let run = c.peers.hello(peer).map(|hello| hello.incarnation);
        let leader = self.following.as_ref();
        if leader.is_some_and(|leader| leader.leader == peer && leader.incarnation != run) {
            self.following = None;
        }
        if let Some(pre_vote) = &mut self.pre_vote {
            pre_vote.ask_again(c, peer);
        }
        Role::Follower(self)
    }

    /// Looks whether there still is a leader, or a candidate to wait for; if not, holds a pre-vote.
    pub(crate) fn on_tick(mut self, c: &mut Common) -> Role {
        let lost = match &self.following {
            Some(following) => following.is_lost(c),
            None => true,
        };
        let patient = self.promised_at.is_some_and(|(candidate, at)| {
            c.now.since(at) < c.timing.candidacy_timeout && !c.peers.is_refused(candidate)
        });
        // One whose disk stalls could not promise itself anything, and one that gave up the lead lets others stand.
        if !lost || patient || c.is_excused() || !c.may_stand() {
            self.pre_vote = None;
            return Role::Follower(self);
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
            Finding::Stand => Candidate::campaign(c, None),
            Finding::Wait => Role::Follower(self),
        }
    }

    pub(crate) fn invariants(&self, c: &Common) {
        if let Some(following) = &self.following {
            assert!(
                following.epoch <= c.promised,
                "a followed epoch is promised"
            );
            assert!(following.verified <= c.log.last());
            assert!(following.leader != c.id);
        }
    }
}

impl Following {
    /// Takes what the leader sent into the log, and answers.
    fn accept(&mut self, c: &mut Common, append: Append) {
        self.heard_at = c.now;
        // Only the leader appends in its epoch: it has lost what it had. What came in a snapshot may have
        // overtaken Appends that are older than it.
        let latest = c.is_latest(append.epoch, append.sent_at);
        let longer = c.log.last_entry().epoch == append.epoch && append.last >= self.installed;
        if latest && longer && (Lsn(1)..c.log.last()).contains(&append.last) {
            let (lsn, leader) = (append.last.next(), self.leader);
            return c.halt(Halt::Diverged { lsn, leader });
        }
        // An Append that was overtaken says nothing of who is a member now.
        if append.sent_at >= self.sent_at || mutated!(c, DismissalUndone) {
            self.sent_at = append.sent_at;
            self.member = append.member;
            self.released = append.released;
        }
        if !self.member && c.active {
            // What the leader said before, and is still on its way, must not undo this.
            mutated!(c, DismissalUndone => c.active = false, else c.deactivate());
        }
        if c.log.epoch_at(append.prev_lsn) != Some(append.prev_epoch) {
            return self.refuse(c, append.prev_lsn);
        }
        let end = Lsn(append.prev_lsn.0 + append.entries.len() as u64);
        let (cut, fresh) = c.log.news(append.entries);
        if let Some(lsn) = cut
            && lsn <= c.commit
        {
            let leader = self.leader;
            return c.halt(Halt::Diverged { lsn, leader });
        }
        // What was found to be the leader's cannot be cut by the same leader.
        if cut.is_some_and(|lsn| lsn <= self.verified) {
            return;
        }
        let wrote = !fresh.is_empty() || self.epoch > c.promised;
        c.change_log(self.epoch, cut, fresh);
        self.verified = self.verified.max(end);
        c.commit_through(append.commit.min(self.verified));
        if append.commit <= self.verified && append.config_lsn <= append.commit {
            c.settle(append.commit);
        }
        self.settled = append.commit >= append.config_lsn;
        c.confirm(&Led {
            epoch: self.epoch,
            commit: append.commit,
            config_lsn: append.config_lsn,
            nonce: append.nonce,
            verified: self.verified,
        });
        self.activate(c, append.config_lsn, append.nonce);
        if !wrote || mutated!(c, AcknowledgedBeforeFsync) {
            self.acknowledge(c);
        }
    }

    /// The entry before the sent ones is not here.
    fn refuse(&mut self, c: &mut Common, prev_lsn: Lsn) {
        if prev_lsn <= c.commit {
            let leader = self.leader;
            return c.halt(Halt::Diverged {
                lsn: prev_lsn,
                leader,
            });
        }
        if self.epoch > c.promised {
            c.promise(self.epoch);
        }
        let mismatch = Message::AppendMismatch {
            epoch: self.epoch,
            retry_from: self.verified.max(c.commit).next(),
            sent_at: self.sent_at,
            nonce: c.nonce,
        };
        // It claims nothing about this disk, so it need not wait for the promise to be durable.
        c.send(self.leader, mismatch);
    }

    /// Active from here on, if the leader's newest Config is in this log, committed, has this
    /// replica, and the leader said so after it heard from this replica since its last break.
    fn activate(&self, c: &mut Common, config_lsn: Lsn, nonce: u64) {
        let Some((lsn, config)) = c.log.config() else {
            return;
        };
        let settled = *lsn == config_lsn
            && config_lsn <= self.verified
            && (config_lsn <= c.commit || mutated!(c, ActiveWhenAppended));
        let answered = nonce == c.nonce || mutated!(c, ActiveWithoutRoundTrip);
        let confirmed = !c.is_unconfirmed();
        if self.member && settled && config.has(c.id, c.store) && answered && confirmed {
            c.active = true;
        }
    }

    /// Says what is durable here. Not before the promise of the leader's epoch is.
    fn acknowledge(&mut self, c: &mut Common) {
        if c.promised_durable < self.epoch {
            return;
        }
        self.acknowledged = self.verified.min(c.durable);
        let appended = Message::Appended {
            epoch: self.epoch,
            matched: self.acknowledged,
            applied: c.applied,
            sent_at: self.sent_at,
            nonce: c.nonce,
            active: c.active,
            unconfirmed: c.is_unconfirmed(),
            clock: c.now,
        };
        c.send(self.leader, appended);
    }

    /// Whether the leader is gone: by evidence in mode available, else by silence. In mode
    /// majority evidence counts only once the lease that this replica granted is over.
    fn is_lost(&self, c: &Common) -> bool {
        let silence = c.now.since(self.heard_at);
        let patience = match c.mode() {
            _ if !c.peers.is_refused(self.leader) => c.timing.silence_timeout,
            Mode::Available => return true,
            Mode::Majority { .. } => c.veto(),
        };
        silence > patience
    }
}

/// Whether an Append is one that a leader could send: anything else is ignored.
fn well_formed(append: &Append) -> bool {
    let Append {
        epoch,
        prev_lsn,
        prev_epoch,
        ..
    } = *append;
    let ordered = can_follow(prev_lsn, prev_epoch, &append.entries, epoch);
    let plausible = append.epoch.is_plausible() && append.prev_lsn.0 < 1 << 62;
    plausible && ordered && append.prev_epoch <= append.epoch && append.epoch > Epoch::NONE
}

impl Common {
    /// Asks the store for entries that are not in memory any more: all of them are durable.
    pub(crate) fn read_log(&mut self, peer: ReplicaId, from: Lsn) {
        let most = Lsn(from.0 + self.limits.batch_entries_max as u64 - 1);
        let through = most.min(self.log.window_start().prev());
        self.effects.push(Effect::ReadLog {
            peer,
            from,
            through,
        });
    }
}
