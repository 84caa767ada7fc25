//! What a follower knows of the leader that it follows, and what it makes of what the leader sends: what goes into
//! the log, what is acknowledged, and whether this replica is a member, and active.

use crate::{
    config::{LoggedConfig, Mode},
    copied::Led,
    effect::Halt,
    id::{Epoch, Incarnation, Lsn, ReplicaId, Time},
    log::Snapshot,
    message::{Append, Message},
    mutation::mutated,
    shared::Common,
};

#[derive(Debug)]
pub(crate) struct Following {
    pub(crate) leader: ReplicaId,
    pub(crate) epoch: Epoch,
    /// The leader's run.
    pub(crate) incarnation: Option<Incarnation>,
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
    pub(crate) settled: bool,
    /// Whether the leader said that this replica, which was removed, is needed no more.
    pub(crate) released: bool,
}

impl Following {
    /// The first Append of a leader came.
    pub(crate) fn begin(c: &Common, leader: ReplicaId, append: &Append) -> Following {
        Following {
            leader,
            epoch: append.epoch,
            incarnation: c.peers.hello(leader).map(|hello| hello.incarnation),
            heard_at: c.now,
            verified: c.commit,
            acknowledged: Lsn::ZERO,
            sent_at: append.sent_at,
            installed: Lsn::ZERO,
            member: false,
            settled: false,
            released: false,
        }
    }

    /// Takes what the leader sent into the log, and answers.
    pub(crate) fn accept(&mut self, c: &mut Common, append: Append) {
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

    /// Takes a snapshot. It is of committed entries, wherever it is from.
    pub(crate) fn accept_snapshot(&mut self, c: &mut Common, snapshot: Snapshot) {
        let lsn = snapshot.lsn;
        if lsn <= c.commit || !snapshot.is_sound(self.epoch) || !c.is_ours(&snapshot) {
            return;
        }
        if c.log.epoch_at(c.commit) != Some(snapshot.epochs.at(c.commit)) {
            let (lsn, leader) = (c.commit, self.leader);
            return c.halt(Halt::Diverged { lsn, leader });
        }
        let here = c.log.holds(snapshot.last_entry());
        // The leader's log and its snapshot are of one history: whoever sent this one is wrong.
        if !here && lsn <= self.verified {
            return;
        }
        if here {
            // All of it is here: that it is committed is the news.
            c.commit_through(lsn);
            self.verified = self.verified.max(lsn);
        } else {
            // What was verified past it is not in this log any more.
            c.install(snapshot);
            self.verified = lsn;
            self.installed = lsn;
        }
    }

    /// Acknowledges what reached the disk, if that is news to the leader.
    pub(crate) fn acknowledge_news(&mut self, c: &mut Common) {
        if self.verified.min(c.durable) > self.acknowledged {
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
        let Some(LoggedConfig { lsn, config }) = c.log.logged_config() else {
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
    pub(crate) fn is_lost(&self, c: &Common) -> bool {
        let silence = c.now.since(self.heard_at);
        let patience = match c.mode() {
            _ if !c.peers.is_refused(self.leader) => c.timing.silence_timeout,
            Mode::Available => return true,
            Mode::Majority { .. } => c.veto(),
        };
        silence > patience
    }

    pub(crate) fn invariants(&self, c: &Common) {
        assert!(self.epoch <= c.promised, "a followed epoch is promised");
        assert!(self.verified <= c.log.last());
        assert!(self.leader != c.id);
    }
}
