//! The candidate: it collects promises, adopts the greatest log among those of the replicas that promised, and then
//! leads.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use crate::{
    adopting::{Adopted, Adopting},
    config::Mode,
    effect::Halt,
    id::{Epoch, Lsn, ReplicaId, StoreId, Time},
    log::Entry,
    message::{Message, VoteState},
    mutation::mutated,
    shared::Common,
    takeover::{Verdict, Voter, Voters},
    transition::Transition,
};

#[derive(Debug)]
pub(crate) struct Candidate {
    epoch: Epoch,
    /// The time at which the candidacy began.
    since: Time,
    /// The time of the last progress: a disk that the candidate waits for was still writing its promise, or a part of
    /// the log to adopt arrived.
    moved_at: Time,
    /// The epoch whose leader asked this replica to lead.
    transferred_from: Option<Epoch>,
    /// The replicas that the operator had declared dead when the candidacy began.
    declared: BTreeSet<ReplicaId>,
    /// The replicas that promised, this one included once its own promise is durable.
    promises: Voters,
    /// The replicas whose promises are not durable because their disks stall, or whose stores are not confirmed, each
    /// with its store. They are not active.
    excused: BTreeMap<ReplicaId, StoreId>,
    adopting: Option<Adopting>,
    /// True if the view of the adopted log lacks this replica and no member of that view can go on from it.
    is_outside: bool,
}

impl Candidate {
    /// Proposes an epoch above all that it has seen. Proposes its last epoch again if it never led in it and saw none
    /// above it: replicas that promised it then need no further write, which counts on slow disks.
    pub(crate) fn campaign(c: &mut Common, transferred_from: Option<Epoch>) -> Candidate {
        let again = c.may_propose_again(c.promised) && transferred_from.is_none();
        if !again {
            let epoch = Candidate::new_epoch(c);
            c.promise(epoch);
            c.proposed = Some(epoch);
        }
        let mut candidate = Candidate {
            epoch: c.promised,
            since: c.now,
            moved_at: c.now,
            transferred_from,
            declared: c.declared.clone(),
            promises: Voters::new(),
            excused: BTreeMap::new(),
            adopting: None,
            is_outside: false,
        };
        candidate.note_own_promise(c);
        candidate.ask_everybody(c);
        candidate
    }

    fn new_epoch(c: &mut Common) -> Epoch {
        let drawn = mutated!(c, EpochOfAnyStore => 0, else c.draw());
        let seen = c.seen.max(c.promised);
        let near = c.declared.is_empty() || mutated!(c, RecoveryNearby);
        match near {
            true => seen.above(c.id, drawn),
            false => seen.far_above(c.id, drawn),
        }
    }

    fn ask_everybody(&self, c: &mut Common) {
        let linked: Vec<_> = c.peers.linked().collect();
        for to in linked {
            self.ask(c, to);
        }
    }

    /// Sends a Prepare to one replica. A candidate whose own disk stalls sends none, so that others may become
    /// candidates.
    fn ask(&self, c: &mut Common, to: ReplicaId) {
        if self.waits_for_own_disk(c) && c.is_excused() {
            return;
        }
        let (epoch, transferred_from) = (self.epoch, self.transferred_from);
        c.send(
            to,
            Message::Prepare {
                epoch,
                transferred_from,
            },
        );
    }

    /// Gives the other members that have not promised.
    pub(crate) fn missing(&self, c: &Common) -> BTreeSet<ReplicaId> {
        let members = c.log.config().map(|config| config.members.keys());
        let members = members.into_iter().flatten().copied();
        members
            .filter(|id| *id != c.id && !self.promises.contains_key(id))
            .collect()
    }

    pub(crate) fn on_message(
        &mut self,
        c: &mut Common,
        from: ReplicaId,
        message: Message,
    ) -> Option<Transition> {
        match message {
            Message::Append(append) if append.epoch > self.epoch => {
                let leader = from;
                return Some(Transition::Follow { leader, append });
            }
            Message::Append(_) => {
                let promised = c.promised;
                c.send(from, Message::Fenced { promised });
            }
            Message::Ping { promised, .. } | Message::PreVoteReply { promised, .. } => {
                c.heard_of(promised);
            }
            Message::PreVote { round } => c.answer_pre_vote(from, round, None),
            Message::Prepare { epoch, .. } => {
                let promised = c.consider(from, epoch, false);
                return promised.then_some(Transition::Await(from));
            }
            Message::Promised { epoch, vote_state } if epoch == self.epoch => {
                self.on_promised(c, from, vote_state);
            }
            Message::Promising { epoch } if epoch == self.epoch => self.moved_at = c.now,
            Message::Excused { epoch } if epoch == self.epoch => {
                if let Some(hello) = c.peers.hello(from) {
                    self.excused.insert(from, hello.store);
                }
            }
            Message::Fenced { promised } => {
                c.heard_of(promised);
                return (promised > self.epoch).then_some(Transition::Search);
            }
            Message::Vetoed { epoch } if epoch == self.epoch => {
                return Some(Transition::SearchAfterVeto);
            }
            Message::Pulled {
                epoch,
                from: lsn,
                entries,
            } if epoch == self.epoch => return self.on_pulled(c, from, lsn, entries),
            Message::Promised { .. }
            | Message::Promising { .. }
            | Message::Excused { .. }
            | Message::Resigned { .. }
            | Message::Vetoed { .. }
            | Message::Pulled { .. }
            | Message::Appended { .. }
            | Message::AppendMismatch { .. }
            | Message::SnapshotNeeded { .. }
            | Message::Pull { .. }
            | Message::LeadershipTransfer { .. }
            | Message::Nominate { .. }
            | Message::Leave => {}
        }
        None
    }

    pub(crate) fn on_promised(&mut self, c: &mut Common, from: ReplicaId, vote_state: VoteState) {
        if !self.is_sound(&vote_state) {
            return;
        }
        if vote_state.leaving {
            c.peers.leaving(from);
        }
        // Once a log is being adopted the promises that allowed it are final: a replica
        // that promises later joins as a learner.
        if let (Some(hello), None) = (c.peers.hello(from), &self.adopting) {
            let store = hello.store;
            self.promises.insert(from, Voter { store, vote_state });
        }
    }

    pub(crate) fn on_persisted(&mut self, c: &Common) {
        if self.adopting.is_none() {
            self.note_own_promise(c);
        }
    }

    /// Counts this replica's own promise once it is durable.
    fn note_own_promise(&mut self, c: &Common) {
        if c.promised_durable == self.epoch {
            let voter = Voter {
                store: c.store,
                vote_state: c.vote_state(),
            };
            self.promises.insert(c.id, voter);
        }
    }

    /// Tells whether a vote state is possible for a replica that never promised a later epoch.
    fn is_sound(&self, vote_state: &VoteState) -> bool {
        let VoteState {
            last_entry,
            trimmed,
            configs,
            ..
        } = vote_state;
        let within = trimmed.lsn <= last_entry.lsn
            && configs
                .iter()
                .all(|logged| logged.lsn <= last_entry.lsn && !logged.config.members.is_empty());
        last_entry.epoch < self.epoch
            && (last_entry.lsn == Lsn::ZERO) == configs.is_empty()
            && within
    }

    /// Tells whether this replica's own promise is not on its disk yet. A new candidacy would have to wait for the
    /// same disk.
    fn waits_for_own_disk(&self, c: &Common) -> bool {
        c.promised_durable < self.epoch
    }

    /// Gives up after `candidacy_timeout` without progress; else looks whether it may lead.
    pub(crate) fn on_tick(&mut self, c: &mut Common) -> Option<Transition> {
        if self.waits_for_own_disk(c) && !c.stopping() {
            self.moved_at = c.now;
        }
        match c.now.since(self.moved_at) > c.timing.candidacy_timeout {
            true => Some(Transition::Search),
            false => self.try_to_lead(c),
        }
    }

    pub(crate) fn on_heartbeat(&self, c: &mut Common) {
        c.ping();
        // To a replica that has promised, this shows that the candidacy goes on.
        self.ask_everybody(c);
        if let Some(adopting) = &self.adopting {
            adopting.pull(c);
        }
    }

    pub(crate) fn on_link_up(&self, c: &mut Common, peer: ReplicaId) {
        self.ask(c, peer);
    }

    pub(crate) fn on_link_down(&mut self, peer: ReplicaId) -> Option<Transition> {
        match &self.adopting {
            Some(adopting) => adopting.is_from(peer).then_some(Transition::Search),
            None => {
                self.promises.remove(&peer);
                None
            }
        }
    }

    /// Leads, adopts a log, nominates another replica, or waits, as the promises allow.
    fn try_to_lead(&mut self, c: &mut Common) -> Option<Transition> {
        if self.adopting.is_some() || !self.promises.contains_key(&c.id) || self.hurries(c) {
            return None;
        }
        // The state of this replica may have changed since it promised: it may have slept.
        let own = self.promises.get_mut(&c.id).expect("it was just seen");
        own.vote_state = c.vote_state();
        match c.judge(c.id, &self.promises, &self.declared, &self.excused) {
            Verdict::Blocked(_) => None,
            Verdict::Nominate(other) => {
                let epoch = self.epoch;
                c.send(other, Message::Nominate { epoch });
                Some(Transition::Await(other))
            }
            Verdict::Lead { adopt } => {
                let adopted = &self.promises[&adopt].vote_state;
                let target = adopted.last_entry;
                let config = adopted.config();
                self.is_outside = config.is_some_and(|config| !config.has(c.id, c.store));
                mutated!(c, NumberBesideTheLog => c.cut_to(self.epoch, target));
                mutated!(c, OwnLogIsEnough => return self.lead(c));
                // Committed entries are the same in all logs, so only the entries after them may differ. The last
                // committed entry is fetched as well, to check this.
                let trimmed = self.promises[&adopt].vote_state.trimmed;
                let next = c.commit.max(trimmed.lsn.next());
                if adopt == c.id || c.log.last_entry() == target {
                    return self.lead(c);
                }
                if target.lsn < c.commit {
                    // The greatest log lacks an entry that is committed here: it belongs to another history.
                    let (lsn, leader) = (target.lsn.next(), adopt);
                    c.halt(Halt::Diverged { lsn, leader });
                    return Some(Transition::Search);
                }
                let adopting = Adopting::begin(c, self.epoch, adopt, target, next);
                self.adopting = Some(adopting);
                None
            }
        }
    }

    /// Tells whether the candidate waits for more promises than it needs. In mode majority it gives members with a
    /// session one heartbeat interval, so that they are in the first view. Where replicas were declared dead, it
    /// waits for every replica with a session, member or not, to find the best log of all.
    fn hurries(&self, c: &Common) -> bool {
        if !self.declared.is_empty() {
            let heard = |&id: &ReplicaId| !c.peers.is_silent(id, false, &c.timing, c.now);
            let mut there = c.peers.linked().filter(heard);
            return !there.all(|id| self.promises.contains_key(&id));
        }
        let Some(config) = c.log.config() else {
            return false;
        };
        let waits = matches!(config.mode, Mode::Majority { .. })
            && c.now.since(self.since) < c.timing.heartbeat_interval;
        let mut linked = config.members.keys().filter(|&&id| c.peers.is_linked(id));
        waits && !linked.all(|id| self.promises.contains_key(id))
    }

    fn on_pulled(
        &mut self,
        c: &mut Common,
        from: ReplicaId,
        lsn: Lsn,
        entries: Vec<Entry>,
    ) -> Option<Transition> {
        match self.adopting.as_mut()?.take(c, from, lsn, entries) {
            Adopted::Nothing => None,
            Adopted::Part => {
                self.moved_at = c.now;
                None
            }
            Adopted::Everything => self.lead(c),
            Adopted::Failure => Some(Transition::Search),
        }
    }

    /// Leads with the Config of the first view. Gives up if that Config lacks this replica.
    fn lead(&self, c: &mut Common) -> Option<Transition> {
        assert_eq!(c.promised, self.epoch);
        assert!(self.promises.contains_key(&c.id));
        let config = match c.log.configs() {
            [] => c.new_config(self.promises.iter().map(|(&id, voter)| (id, voter.store))),
            adopted => c.takeover(c.id, &self.promises, &self.declared).first_view(
                c.store,
                self.is_outside,
                adopted,
            ),
        };
        mutated!(c, DeclarationOutlives => {}, else c.declared.clear());
        // The Config in the promises had this replica, but the log itself came from the donor.
        match config.has(c.id, c.store) {
            true => Some(Transition::Lead {
                epoch: self.epoch,
                config,
            }),
            false => Some(Transition::Search),
        }
    }

    pub(crate) fn invariants(&self, c: &Common) {
        assert_eq!(self.epoch, c.promised, "a candidate promised its own epoch");
        assert_eq!(self.epoch.proposer, c.id);
        assert!(!c.is_unconfirmed(), "a store that may be old leads nobody");
    }
}
