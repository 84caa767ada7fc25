//! The state that all roles share, and the changes of the log, the promise and the commit position.

use alloc::{
    collections::{BTreeSet, VecDeque},
    vec::Vec,
};

use crate::{
    clocks::Suspicion,
    config::{Config, Limits, LoggedConfig, Mode, Settings, Timing},
    copied::Unconfirmed,
    effect::{Effect, Halt, Rejection, Write},
    id::{ClusterId, Epoch, Incarnation, Lsn, ReplicaId, StoreId, Time, WriteId},
    latency::Latency,
    log::{Entry, Log, Recovered, Snapshot},
    message::{Message, VoteState},
    mutation::{Mutant, mutated},
    peer::Peers,
    resignations::Resignations,
};

/// The state that all roles share. Roles change it through these methods and collect effects in it.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) id: ReplicaId,
    pub(crate) store: StoreId,
    pub(crate) incarnation: Incarnation,
    pub(crate) roster: BTreeSet<ReplicaId>,
    mode: Mode,
    new_cluster: Option<ClusterId>,
    pub(crate) timing: Timing,
    pub(crate) limits: Limits,
    pub(crate) started_at: Time,
    pub(crate) now: Time,
    /// The highest epoch promised. It counts at once against older ones, for newer ones once durable.
    pub(crate) promised: Epoch,
    pub(crate) promised_durable: Epoch,
    /// The epoch that this run proposed last, until it leads in it. Not kept over a restart: another run may have
    /// sent entries of it that are not on its disk.
    pub(crate) proposed: Option<Epoch>,
    /// The highest epoch that this replica has seen in a message.
    pub(crate) seen: Epoch,
    pub(crate) log: Log,
    /// The LSN up to which the log is on this disk.
    pub(crate) durable: Lsn,
    pub(crate) commit: Lsn,
    /// The LSN up to which the entries are applied, durably.
    pub(crate) applied: Lsn,
    /// The LSN up to which all members of the newest Config up to it have the log on disk.
    pub(crate) settled: Lsn,
    /// The writes in progress, in order.
    writes: VecDeque<Pending>,
    next_write: WriteId,
    /// The time since which the disk has not answered, while a write is in progress.
    pub(crate) disk_silent_since: Option<Time>,
    /// The latency of this disk.
    pub(crate) disk: Latency,
    /// The time until which this replica excuses itself, because it gave up the lead for its disk.
    pub(crate) excused_until: Option<Time>,
    /// The leaders that recently gave up the lead for their disks.
    pub(crate) resigned: Resignations,
    /// The count of the numbers that this run has drawn.
    draws: u64,
    /// The newest leader's epoch, and the greatest stamp in an Append of it.
    latest: (Epoch, Time),
    /// True if this replica has been up without a break since a leader told it that a Config with it was committed.
    pub(crate) active: bool,
    /// The facts for the confirmation of the store, if it was copied and is not confirmed.
    pub(crate) unconfirmed: Option<Unconfirmed>,
    /// The number that an Append must bring back before this replica becomes active.
    pub(crate) nonce: u64,
    pub(crate) peers: Peers,
    /// The time for which this replica's clock stood still since its start, microseconds, as the peers' clocks
    /// showed.
    pub(crate) lost_time: u64,
    /// A sign that the clock may have stood still, until a third replica decides it.
    pub(crate) suspicion: Option<Suspicion>,
    pub(crate) pinged_at: Time,
    /// The time since which this replica is stopping.
    pub(crate) stopping_since: Option<Time>,
    /// The replicas that the operator declared dead, while no leader is known.
    pub(crate) declared: BTreeSet<ReplicaId>,
    /// True if a Halt was given: then the state of a role that did not finish does not matter.
    pub(crate) halted: bool,
    pub(crate) effects: Vec<Effect>,
    pub(crate) mutant: Mutant,
}

#[derive(Debug)]
struct Pending {
    id: WriteId,
    last: Lsn,
    promised: Option<Epoch>,
}

impl Common {
    pub(crate) fn new(settings: Settings, recovered: Recovered) -> Common {
        Common {
            id: settings.id,
            store: settings.store,
            incarnation: settings.incarnation,
            peers: Peers::new(&settings.roster, settings.id, settings.now),
            roster: settings.roster,
            mode: settings.mode,
            new_cluster: settings.new_cluster,
            timing: settings.timing,
            limits: settings.limits,
            started_at: settings.now,
            now: settings.now,
            promised: recovered.promised,
            promised_durable: recovered.promised,
            proposed: None,
            seen: recovered.promised,
            log: Log::recover(&recovered),
            durable: recovered.last,
            commit: recovered.applied,
            applied: recovered.applied,
            settled: recovered.settled,
            writes: VecDeque::new(),
            next_write: WriteId(1),
            disk_silent_since: None,
            disk: Latency::default(),
            excused_until: None,
            resigned: Resignations::default(),
            draws: 0,
            latest: (Epoch::NONE, Time(0)),
            active: false,
            unconfirmed: settings.copied.then(Unconfirmed::default),
            nonce: settings.incarnation.0,
            lost_time: 0,
            suspicion: None,
            pinged_at: settings.now,
            stopping_since: None,
            declared: BTreeSet::new(),
            halted: false,
            effects: Vec::new(),
            mutant: Mutant::default(),
        }
    }

    /// Gives the newest Config that is known to be committed.
    pub(crate) fn committed_config(&self) -> Option<&LoggedConfig> {
        let configs = self.log.configs().iter();
        configs
            .take_while(|logged| logged.lsn <= self.commit)
            .last()
    }

    /// Notes that all members of the newest Config up to `lsn` are known to have the log up to there on disk.
    pub(crate) fn settle(&mut self, lsn: Lsn) {
        if lsn > self.settled {
            assert!(lsn <= self.commit, "only what is committed is settled");
            self.settled = lsn;
            self.effects.push(Effect::Settle { lsn });
        }
    }

    /// Tells whether an Append was sent after all others of its epoch that arrived, according to its stamp.
    pub(crate) fn is_latest(&mut self, epoch: Epoch, sent_at: Time) -> bool {
        let latest = (epoch, sent_at) > self.latest;
        self.latest = self.latest.max((epoch, sent_at));
        latest
    }

    /// Gives a number that no other candidacy draws, of this run or of another.
    pub(crate) fn draw(&mut self) -> u64 {
        self.draws += 1;
        self.incarnation.draw(self.draws)
    }

    /// Updates the known peers: those of the roster, and the members of Configs that may not be in it.
    pub(crate) fn know_peers(&mut self) {
        let configs = self.log.configs().iter();
        let members = configs.flat_map(|logged| logged.config.members.keys());
        let known = self.roster.iter().chain(members).copied().collect();
        self.peers.know(&known, self.id, self.now);
    }

    pub(crate) fn on_persisted(&mut self, write: WriteId) {
        self.disk.finished(write.0, self.timing.late_ack, self.now);
        while let Some(pending) = self.writes.pop_front_if(|pending| pending.id <= write) {
            self.durable = self.durable.max(pending.last);
            if let Some(promised) = pending.promised {
                self.promised_durable = promised;
            }
            self.disk_silent_since = (!self.writes.is_empty()).then_some(self.now);
        }
    }

    /// Tells whether a snapshot is of this replica's cluster; any is, if the replica belongs to none.
    pub(crate) fn is_ours(&self, snapshot: &Snapshot) -> bool {
        let theirs = snapshot.config.config.cluster;
        self.cluster().is_none_or(|ours| ours == theirs)
    }

    pub(crate) fn cluster(&self) -> Option<ClusterId> {
        self.log.config().map(|config| config.cluster)
    }

    pub(crate) fn vote_state(&self) -> VoteState {
        VoteState {
            last_entry: self.log.last_entry(),
            commit: self.commit,
            trimmed: mutated!(self, NumberBesideTheLog => self.numbered(self.log.trimmed()),
                else self.log.trimmed()),
            configs: self.log.configs().to_vec(),
            active: self.active,
            leaving: self.stopping(),
            stalled: self.is_excused() || self.is_unconfirmed(),
        }
    }

    pub(crate) fn mode(&self) -> Mode {
        self.log.config().map_or(self.mode, |config| config.mode)
    }

    /// Tells whether this replica may make a cluster.
    pub(crate) fn bootstraps(&self) -> bool {
        self.new_cluster.is_some()
    }

    /// Gives the Config of a cluster that this replica makes, with the stores of the replicas that promised.
    pub(crate) fn new_config(&self, stores: impl Iterator<Item = (ReplicaId, StoreId)>) -> Config {
        Config {
            cluster: self
                .new_cluster
                .expect("only a bootstrapping replica makes a cluster"),
            mode: self.mode,
            members: stores.collect(),
            dead: BTreeSet::new(),
        }
    }

    /// Notes an epoch: the next one that this replica proposes is above it.
    pub(crate) fn heard_of(&mut self, epoch: Epoch) {
        if epoch.is_plausible() {
            self.seen = self.seen.max(epoch);
        }
    }

    /// Tells whether the operator has removed this replica from the cluster.
    pub(crate) fn is_removed(&self, id: ReplicaId) -> bool {
        !self.roster.contains(&id)
    }

    pub(crate) fn stopping(&self) -> bool {
        self.stopping_since.is_some()
    }

    pub(crate) fn deactivate(&mut self) {
        self.active = false;
        self.nonce = self.nonce.wrapping_add(1);
    }

    /// Tells whether a replica with that store is dead in the sense of rule (i).
    pub(crate) fn is_dead(&self, id: ReplicaId, store: StoreId, alone: bool) -> bool {
        self.is_gone(id, store) || self.peers.is_silent(id, alone, &self.timing, self.now)
    }

    /// Tells whether a replica with that store is dead by evidence, without a time of silence.
    pub(crate) fn is_gone(&self, id: ReplicaId, store: StoreId) -> bool {
        self.peers.is_refused(id) || self.peers.is_replaced(id, store)
    }

    pub(crate) fn send(&mut self, to: ReplicaId, message: Message) {
        self.effects.push(Effect::Send { to, message });
    }

    pub(crate) fn halt(&mut self, halt: Halt) {
        mutated!(self, DivergenceHidden => if matches!(halt, Halt::Diverged { .. }) { return });
        self.halted = true;
        self.effects.push(Effect::Halt(halt));
    }

    pub(crate) fn reject(
        &mut self,
        tickets: impl Iterator<Item = crate::id::Ticket>,
        rejection: Rejection,
    ) {
        let rejected = tickets.map(|ticket| Effect::Rejected { ticket, rejection });
        self.effects.extend(rejected);
    }

    /// Promises an epoch. It counts at once against older ones, and is durable when `promised_durable` says so.
    pub(crate) fn promise(&mut self, epoch: Epoch) {
        self.raise_promise(epoch);
        self.write(Some(epoch), None, Vec::new());
    }

    fn raise_promise(&mut self, epoch: Epoch) {
        assert!(epoch > self.promised, "promises only rise");
        self.promised = epoch;
        self.seen = self.seen.max(epoch);
    }

    /// Changes the end of the log: cuts from `truncate_from`, appends, and raises the promise if the leader's epoch
    /// is new to this replica. All in one durable write.
    pub(crate) fn change_log(
        &mut self,
        epoch: Epoch,
        truncate_from: Option<Lsn>,
        entries: Vec<Entry>,
    ) {
        mutated!(self, NumberBesideTheLog => self.renumber(epoch));
        let promised = (epoch > self.promised).then_some(epoch);
        if let Some(epoch) = promised {
            self.raise_promise(epoch);
        }
        if let Some(from) = truncate_from {
            assert!(from > self.commit, "what is committed is never cut");
            self.log.truncate(from);
            self.durable = self.durable.min(from.prev());
            for pending in &mut self.writes {
                pending.last = pending.last.min(from.prev());
            }
        }
        for entry in &entries {
            self.log.append(entry.clone());
        }
        if promised.is_some() || truncate_from.is_some() || !entries.is_empty() {
            self.write(promised, truncate_from, entries);
        }
    }

    /// Replaces the log by a snapshot of committed entries that the log lacks.
    pub(crate) fn install(&mut self, snapshot: Snapshot) {
        assert!(snapshot.lsn > self.commit, "a snapshot is news");
        self.durable = self.durable.min(self.commit);
        for pending in &mut self.writes {
            pending.last = pending.last.min(self.commit);
        }
        self.log = Log::after(&snapshot);
        self.commit = snapshot.lsn;
        let write = self.next_write();
        self.writes.push_back(Pending {
            id: write,
            last: snapshot.lsn,
            promised: None,
        });
        self.effects.push(Effect::Install { write, snapshot });
    }

    fn next_write(&mut self) -> WriteId {
        let id = self.next_write;
        self.next_write = WriteId(id.0 + 1);
        self.disk_silent_since.get_or_insert(self.now);
        self.disk.started(id.0, self.now);
        id
    }

    fn write(&mut self, promised: Option<Epoch>, truncate_from: Option<Lsn>, entries: Vec<Entry>) {
        mutated!(self, AcknowledgedBeforeFsync => self.durable = self.log.last());
        let id = self.next_write();
        self.writes.push_back(Pending {
            id,
            last: self.log.last(),
            promised,
        });
        self.effects.push(Effect::Persist(Write {
            id,
            promised,
            truncate_from,
            entries,
        }));
    }

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

    /// Moves the commit position forward, and gives the entries to the shell to be applied.
    pub(crate) fn commit_through(&mut self, lsn: Lsn) {
        if lsn <= self.commit {
            return;
        }
        let entries = self.log.range(self.commit.next(), lsn);
        self.commit = lsn;
        self.effects.push(Effect::Apply { entries });
        self.log
            .trim(lsn, self.durable, self.limits.window_bytes_max);
    }
}
