//! A follower's knowledge of its leader, and its handling of the leader's Appends: which entries go into the log,
//! which are acknowledged, and whether this replica is a member and active.

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
    /// The run of the leader's process.
    pub(crate) incarnation: Option<Incarnation>,
    pub(crate) heard_at: Time,
    /// The LSN up to which this log is known to be equal to the leader's.
    verified: Lsn,
    /// The LSN of the last acknowledgement.
    acknowledged: Lsn,
    /// The leader's clock in its latest Append.
    sent_at: Time,
    /// The LSN of the last snapshot that was installed while following this leader; zero if there was none.
    installed: Lsn,
    /// True if the leader counts this replica as a member.
    pub(crate) member: bool,
    /// True if the leader's newest Config is known to be committed.
    pub(crate) settled: bool,
    /// True if the leader said that it does not need this replica, which was removed, any more.
    pub(crate) released: bool,
}

impl Following {
    /// Begins to follow the leader whose first Append this is.
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

    /// Takes the entries and facts of an Append, and answers it.
    pub(crate) fn accept(&mut self, c: &mut Common, append: Append) {
        self.heard_at = c.now;
        // Only the leader appends in its epoch, so a log that ends before this one has lost entries. Appends that are
        // older than an installed snapshot may arrive after it and prove nothing.
        let latest = c.is_latest(append.epoch, append.sent_at);
        let longer = c.log.last_entry().epoch == append.epoch && append.last >= self.installed;
        if latest && longer && (Lsn(1)..c.log.last()).contains(&append.last) {
            let (lsn, leader) = (append.last.next(), self.leader);
            return c.halt(Halt::Diverged { lsn, leader });
        }
        // An Append that a later one overtook says nothing about the present members.
        if append.sent_at >= self.sent_at || mutated!(c, DismissalUndone) {
            self.sent_at = append.sent_at;
            self.member = append.member;
            self.released = append.released;
        }
        if !self.member && c.active {
            // Older messages of the leader that are still on their way must not undo this.
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
        // Entries that were found to be equal to the leader's cannot be cut by the same leader.
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

    /// Takes a snapshot. It is of committed entries, from whichever replica it comes.
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
        // The leader's log and its snapshot belong to one history, so the sender of this snapshot is wrong.
        if !here && lsn <= self.verified {
            return;
        }
        if here {
            // All entries of the snapshot are here; only that they are committed is new.
            c.commit_through(lsn);
            self.verified = self.verified.max(lsn);
        } else {
            // Entries after it that were found to be equal to the leader's are not in this log any more.
            c.install(snapshot);
            self.verified = lsn;
            self.installed = lsn;
        }
    }

    /// Acknowledges entries that reached the disk, if the leader does not know of them.
    pub(crate) fn acknowledge_news(&mut self, c: &mut Common) {
        if self.verified.min(c.durable) > self.acknowledged {
            self.acknowledge(c);
        }
    }

    /// Tells the leader that the entry before those that it sent is not in this log.
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
        // The message claims nothing about this disk, so it need not wait until the promise is durable.
        c.send(self.leader, mismatch);
    }

    /// Makes this replica active, if the leader's newest Config is in this log, is committed and has this replica,
    /// and the leader confirmed its membership after this replica's last break.
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

    /// Acknowledges the entries that are durable here, but not before the promise of the leader's epoch is durable.
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

    /// Tells whether the leader is lost: in mode available by evidence of its death, else by silence. In mode
    /// majority evidence counts only after the end of the lease that this replica granted.
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
