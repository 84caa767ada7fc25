//! The leader: appends, counts acknowledgements, commits. Its messages to the followers are in `sending.rs`, the
//! changes of its view in `view.rs`, its lease in `lease.rs`.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec,
    vec::Vec,
};

use bytes::Bytes;

use crate::{
    config::{Config, LoggedConfig, Mode},
    effect::{Effect, Rejection},
    id::{Epoch, Lsn, ReplicaId, StoreId, Ticket, Time},
    log::{Entry, Payload},
    message::Message,
    mutation::mutated,
    progress::Progress,
    shared::Common,
    transition::Transition,
};

#[derive(Debug)]
pub(crate) struct Leader {
    pub(crate) epoch: Epoch,
    /// The progress of the other replicas that have a session.
    pub(crate) progress: BTreeMap<ReplicaId, Progress>,
    /// The progress of replicas of the roster whose session ended, as of its end.
    pub(crate) parted: BTreeMap<ReplicaId, Progress>,
    /// True if a Config of this epoch is committed: then the leader serves.
    pub(crate) installed: bool,
    /// Echoes of earlier stamps do not count for the lease, because the leader slept or took the lead back after a
    /// leadership transfer.
    pub(crate) lease_from: Time,
    /// True if the leader slept, and not every member has answered since: it may have been replaced, so it does not
    /// change its view.
    pub(crate) slept: bool,
    pub(crate) transfer: Option<LeadershipTransfer>,
    /// The earliest time for another leadership transfer.
    pub(crate) transfer_after: Time,
}

/// A leadership transfer in progress: the leader takes no new writes, and once everything is committed it gives up
/// its lease and tells the transferee.
#[derive(Debug)]
pub(crate) struct LeadershipTransfer {
    pub(crate) transferee: ReplicaId,
    pub(crate) since: Time,
    pub(crate) given: bool,
}

impl LeadershipTransfer {
    /// Tells whether the transferee got the message: from then on this leader does not serve.
    pub(crate) fn is_given(&self) -> bool {
        self.given
    }

    pub(crate) fn is_given_to(&self, id: ReplicaId) -> bool {
        self.given && self.transferee == id
    }
}

impl Leader {
    /// Makes the leader of an epoch whose promises allow it to lead, and appends the Config of its view.
    pub(crate) fn install(c: &mut Common, epoch: Epoch, config: Config) -> Leader {
        let next = c.log.last().next();
        let progress = c.peers.linked().map(|id| {
            let hello = c.peers.hello(id).expect("a session stands");
            let mut progress = Progress::new(next, hello.store, hello.incarnation);
            c.resigned.recall(id, &mut progress, c.now);
            (id, progress)
        });
        let mut leader = Leader {
            epoch,
            progress: progress.collect(),
            parted: BTreeMap::new(),
            installed: false,
            lease_from: c.now,
            slept: false,
            transfer: None,
            transfer_after: c.now,
        };
        c.proposed = None;
        leader.append(c, vec![Payload::Config(config)]);
        leader
    }

    /// Gives the newest Config, committed or not.
    pub(crate) fn config(c: &Common) -> &LoggedConfig {
        c.log.logged_config().expect("a leader has a Config")
    }

    /// Appends payloads to the log and sends them to all replicas with a session.
    pub(crate) fn append(&mut self, c: &mut Common, payloads: Vec<Payload>) {
        mutated!(c, EpochWithoutPromises => self.bump_epoch(c, &payloads));
        let first = c.log.last().next();
        let entries = payloads.into_iter().zip(first.0..);
        let entries = entries.map(|(payload, lsn)| Entry {
            lsn: Lsn(lsn),
            epoch: self.epoch,
            payload,
        });
        c.change_log(self.epoch, None, entries.collect());
        let peers: Vec<_> = self.progress.keys().copied().collect();
        for id in peers {
            let progress = self.progress.get_mut(&id).expect("its key was just read");
            progress.fell_behind(c.now);
            self.replicate(c, id);
        }
        for progress in self.parted.values_mut() {
            progress.fell_behind(c.now);
        }
    }

    pub(crate) fn on_propose(&mut self, c: &mut Common, proposals: Vec<(Ticket, Bytes)>) {
        let uncommitted = c.log.last().0 - c.commit.0;
        let busy = uncommitted + proposals.len() as u64 > c.limits.uncommitted_entries_max as u64
            || c.log.bytes_past(c.commit) > c.limits.uncommitted_bytes_max;
        let rejection = if !self.installed || self.transfer.is_some() || c.stopping() {
            Some(Rejection::InTransition)
        } else if self.lacks_quorum(c) {
            Some(Rejection::NoQuorum)
        } else {
            busy.then_some(Rejection::Busy)
        };
        if let Some(rejection) = rejection {
            return c.reject(proposals.into_iter().map(|(ticket, _)| ticket), rejection);
        }
        let first = c.log.last().next().0;
        let tickets = proposals.iter().zip(first..);
        let accepted = tickets.map(|(&(ticket, _), lsn)| Effect::Accepted {
            ticket,
            lsn: Lsn(lsn),
        });
        c.effects.extend(accepted);
        let payloads = proposals
            .into_iter()
            .map(|(_, bytes)| Payload::Command(bytes));
        self.append(c, payloads.collect());
    }

    /// Handles the operator's declaration that replicas are dead. A leader whose view cannot commit because of them
    /// steps down, so that a takeover without them can begin.
    pub(crate) fn on_declare_dead(
        &self,
        c: &mut Common,
        replicas: BTreeSet<ReplicaId>,
    ) -> Option<Transition> {
        let LoggedConfig { lsn, config } = Leader::config(c);
        let absent = |(&id, &store): (&ReplicaId, &StoreId)| {
            let hello = c.peers.hello(id);
            replicas.contains(&id) && hello.is_none_or(|hello| hello.store != store)
        };
        let waits = c.commit < *lsn || self.lacks_quorum(c);
        if !waits || !config.members.iter().any(absent) {
            return None;
        }
        c.declared.extend(replicas);
        Some(Transition::Search)
    }

    /// Tells whether, in mode majority, too few members answer to commit anything new.
    fn lacks_quorum(&self, c: &Common) -> bool {
        let config = &Leader::config(c).config;
        let there = |&(&id, &store): &(&ReplicaId, &_)| {
            id == c.id || !c.is_dead(id, store, false) && !self.is_unconfirmed(id)
        };
        matches!(config.mode, Mode::Majority { .. })
            && config.members.iter().filter(there).count() < config.mode.view_min()
    }

    pub(crate) fn on_message(
        &mut self,
        c: &mut Common,
        from: ReplicaId,
        message: Message,
    ) -> Option<Transition> {
        match message {
            Message::Appended {
                epoch,
                matched,
                applied,
                sent_at,
                nonce,
                active,
                unconfirmed,
                ..
            } if epoch == self.epoch => {
                if let Some(progress) = self.progress.get_mut(&from) {
                    let matched = matched.min(c.log.last());
                    progress.acknowledged(matched, c.log.last(), c.late_limit(), c.now);
                    progress.applied = progress.applied.max(applied.min(c.commit));
                    progress.active = active;
                    progress.unconfirmed = unconfirmed;
                    progress.nonce = nonce;
                    progress.echo(sent_at, c.now);
                }
                self.replicate(c, from);
                self.advance(c);
            }
            Message::AppendMismatch {
                epoch,
                retry_from,
                sent_at,
                nonce,
            } if epoch == self.epoch => {
                if let Some(progress) = self.progress.get_mut(&from) {
                    progress.nonce = nonce;
                    progress.echo(sent_at, c.now);
                    if retry_from > Lsn::ZERO && progress.mismatched(retry_from, c.now) {
                        self.send_append(c, from, Vec::new());
                    }
                }
            }
            Message::Fenced { promised } | Message::Ping { promised, .. } => {
                c.heard_of(promised);
                let replaced = promised > self.epoch && promised.is_plausible();
                return replaced.then_some(Transition::Search);
            }
            Message::PreVote { round } => c.answer_pre_vote(from, round, Some(c.id)),
            Message::Prepare {
                epoch,
                transferred_from,
            } => {
                let transferee = self.transfer.as_ref().is_some_and(|h| h.is_given_to(from));
                let consents = transferee && transferred_from == Some(self.epoch);
                let leads = self.lease_until(c).is_some_and(|until| c.now < until);
                let promised = c.consider(from, epoch, leads && !consents);
                return promised.then_some(Transition::Await(from));
            }
            Message::Leave => c.peers.leaving(from),
            Message::Append(append) if append.epoch > self.epoch => {
                let leader = from;
                return Some(Transition::Follow { leader, append });
            }
            Message::Append(_) => {
                let promised = c.promised;
                c.send(from, Message::Fenced { promised });
            }
            Message::PreVoteReply { .. }
            | Message::Appended { .. }
            | Message::AppendMismatch { .. }
            | Message::SnapshotNeeded { .. }
            | Message::Promised { .. }
            | Message::Promising { .. }
            | Message::Excused { .. }
            | Message::Resigned { .. }
            | Message::Vetoed { .. }
            | Message::Pull { .. }
            | Message::Pulled { .. }
            | Message::LeadershipTransfer { .. }
            | Message::Nominate { .. } => {}
        }
        None
    }

    /// Commits the entries that every member of the newest Config has on disk, counted only past that Config entry.
    pub(crate) fn advance(&mut self, c: &mut Common) {
        let LoggedConfig { lsn, config } = Leader::config(c);
        let held = self.all_have(c, config, c.durable, |progress| progress.matched);
        let counts = held >= *lsn && c.log.epoch_at(held) == Some(self.epoch);
        let settles = c.commit < *lsn;
        if counts {
            c.commit_through(held);
            c.settle(held);
            if settles {
                self.installed = true;
                self.heartbeat(c);
            }
        }
        self.renew_activity(c);
    }

    /// Gives the LSN that all members have reached, with the stores that made them members: `own` for this replica,
    /// `theirs` for the others.
    fn all_have(
        &self,
        c: &Common,
        config: &Config,
        own: Lsn,
        theirs: impl Fn(&Progress) -> Lsn,
    ) -> Lsn {
        let each = config.members.iter().map(|(&id, &store)| {
            let progress = self.progress.get(&id);
            let counts = |p: &&Progress| !c.peers.is_replaced(id, store) && !p.unconfirmed;
            match progress.filter(counts) {
                _ if id == c.id => own,
                Some(progress) => theirs(progress),
                None => Lsn::ZERO,
            }
        });
        each.min().expect("a leader's Config has members")
    }

    /// Tells whether that replica's store was copied and is not confirmed: its acknowledgements do not count.
    pub(crate) fn is_unconfirmed(&self, id: ReplicaId) -> bool {
        self.progress
            .get(&id)
            .is_some_and(|progress| progress.unconfirmed)
    }

    /// Tells whether the newest Config is firm: every member has applied it, durably. Then it is known to be
    /// committed even after an outage of all of them, and a takeover needs no other replica.
    pub(crate) fn is_firm(&self, c: &Common) -> bool {
        let LoggedConfig { lsn, config } = Leader::config(c);
        let applied = self.all_have(c, config, c.applied, |progress| progress.applied);
        applied >= *lsn
    }

    /// Renews the lease's effect, resigns, or changes the view. This is the only place where the view changes, and
    /// where others are allowed to be active: a tick first shows whether this leader slept.
    pub(crate) fn on_tick(&mut self, c: &mut Common) -> Option<Transition> {
        self.renew_activity(c);
        if c.disk_stalls() && self.is_replaceable(c) || self.slows_others(c) {
            self.resign(c);
            return Some(Transition::Search);
        }
        if !self.slept {
            self.vouch(c);
            self.change_view(c);
            return None;
        }
        mutated!(c, SleeperShrinks => {
            self.change_view(c);
            return None;
        });
        let replaced = c.now.since(self.lease_from) > c.timing.silence_timeout;
        replaced.then_some(Transition::Search)
    }

    pub(crate) fn on_link_up(&mut self, c: &mut Common, peer: ReplicaId) {
        let hello = c.peers.hello(peer).expect("a session stands");
        let mut progress = Progress::new(c.log.last().next(), hello.store, hello.incarnation);
        let before = self.progress.remove(&peer);
        match before.or(self.parted.remove(&peer)) {
            Some(before) => progress.goes_on(&before, c.timing.silence_timeout, c.now),
            None => c.resigned.recall(peer, &mut progress, c.now),
        }
        self.progress.insert(peer, progress);
        self.send_append(c, peer, Vec::new());
        self.advance(c);
    }

    pub(crate) fn on_link_down(&mut self, c: &mut Common, peer: ReplicaId) {
        if let Some(mut progress) = self.progress.remove(&peer)
            && !c.is_removed(peer)
        {
            progress.ended(c.now);
            self.parted.insert(peer, progress);
        }
        self.advance(c);
    }

    /// Gives up the lead because this leader's own disk stalls, or slows all writes: members that can continue need
    /// not wait for it. By rule (i) it must not be active any more when they do.
    fn resign(&self, c: &mut Common) {
        c.excuse_for_a_while();
        mutated!(c, StalledStaysActive => {}, else c.deactivate());
        let epoch = self.epoch;
        let linked: Vec<_> = c.peers.linked().collect();
        for to in linked {
            c.send(to, Message::Resigned { epoch });
        }
    }

    pub(crate) fn invariants(&self, c: &Common) {
        assert_eq!(
            self.epoch, c.promised,
            "a leader leads in the epoch it promised"
        );
        assert_eq!(self.epoch.proposer, c.id);
        assert!(!c.is_unconfirmed(), "a store that may be old leads nobody");
        assert!(
            c.commit <= c.durable,
            "a leader commits what it has on disk"
        );
        let config = &Leader::config(c).config;
        assert!(
            config.has(c.id, c.store),
            "a leader is a member of its view"
        );
        let ahead = self.progress.values().any(|p| p.next > c.log.last().next());
        assert!(!ahead, "nothing is sent that is not in the log");
    }
}
