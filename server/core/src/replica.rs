//! A replica: the one door `step`, what every input changes whatever the role is, and the invariants. What the
//! roles share is in `shared.rs`.

use alloc::vec::Vec;
use core::mem;

use crate::{
    config::{LoggedConfig, Mode, Settings},
    effect::Effect,
    follower::Follower,
    id::{Lsn, ReplicaId, Time},
    input::Input,
    log::Recovered,
    message::Hello,
    mutation::mutated,
    role::Role,
    shared::Common,
    status::Status,
};

/// One replica of the protocol. See the crate's essay for what it promises.
#[derive(Debug)]
pub struct Replica {
    pub(crate) common: Common,
    pub(crate) role: Role,
}

impl Replica {
    /// A replica that was just started on what its store held. Not active, follows nobody.
    #[must_use]
    pub fn new(settings: Settings, recovered: Recovered) -> Replica {
        let common = Common::new(settings, recovered);
        let role = Role::Follower(Follower::started());
        let replica = Replica { common, role };
        replica.invariants();
        replica
    }

    /// The one door: something happened, and this is to be done about it. After a `Halt` nothing
    /// more is done.
    ///
    /// # Panics
    /// When an invariant of the protocol is broken: going on could lose an acknowledged write.
    pub fn step(&mut self, input: Input) -> Vec<Effect> {
        if self.common.halted {
            return Vec::new();
        }
        self.take(input);
        if !self.common.halted {
            self.invariants();
        }
        mem::take(&mut self.common.effects)
    }

    /// What concerns every role is done here, before the role sees the input.
    ///
    /// Evidence is only noted. Whatever follows from who is dead, to shrink, to stand, to lead, is
    /// decided in the next tick, after it has shown whether this replica slept: who slept must not
    /// act on what it believed before.
    fn take(&mut self, input: Input) {
        let Replica { common: c, role } = self;
        match input {
            Input::Tick { now } => self.on_tick(now),
            Input::LinkUp { hello } => {
                let peer = hello.id;
                if c.on_hello(hello) {
                    role.on_link_up(c, peer);
                }
            }
            Input::LinkDown { peer } => {
                c.peers.link_down(peer);
                mutated!(c, LiveMemberSuspected => c.peers.presume_dead(peer));
                role.on_link_down(c, peer);
            }
            Input::Refused { peer, told } => {
                c.peers.refused(peer, told);
                mutated!(c, AnyRefusalIsDeath => c.peers.presume_dead(peer));
                mutated!(c, EvidenceBeforeTick => {
                    c.peers.presume_dead(peer);
                    role.on_tick(c);
                });
            }
            // A message without a session is of a session that ended.
            Input::Received { from, .. } if !c.peers.is_linked(from) => {}
            Input::Received { from, message } => {
                c.peers.heard(from, c.now);
                c.note_promise(from, &message);
                self.compare_clocks(from, &message);
                self.role.on_message(&mut self.common, from, message);
            }
            Input::Propose { proposals } => role.on_propose(c, proposals),
            Input::Persisted { write } => {
                c.on_persisted(write);
                role.on_persisted(c);
            }
            Input::Applied { lsn } => {
                assert!(lsn >= c.applied, "what is applied stays applied");
                c.applied = lsn;
                // The disk answers, be it to another write.
                c.disk_silent_since = c.disk_silent_since.map(|_| c.now);
            }
            Input::LogRead {
                peer,
                from,
                entries,
            } => role.on_log_read(c, peer, from, entries),
            Input::Trimmed { start } => {
                assert!(start <= c.applied.next(), "only what is applied is trimmed");
                c.log.start_at(start);
            }
            Input::SnapshotFetched { snapshot } => role.on_snapshot(c, snapshot),
            Input::Roster { roster } => {
                c.roster = roster;
                c.know_peers();
            }
            Input::DeclareDead { replicas } => role.on_declare_dead(c, replicas),
            Input::Stop => {
                c.stopping_since.get_or_insert(c.now);
            }
        }
    }

    fn on_tick(&mut self, now: Time) {
        let c = &mut self.common;
        let slept = now.since(c.now) > c.timing.tick_gap_max;
        c.now = c.now.max(now);
        c.know_peers();
        if slept {
            self.on_slept();
        }
        self.settle_suspicion();
        let Replica { common: c, role } = self;
        if c.now.since(c.pinged_at) >= c.timing.heartbeat_interval {
            c.pinged_at = c.now;
            role.on_heartbeat(c);
        }
        // The next session with a store that was declared dead begins with a hello that says so.
        for peer in c.linked_dead() {
            c.peers.link_down(peer);
            c.effects.push(Effect::Disconnect { peer });
            role.on_link_down(c, peer);
        }
        role.on_tick(c);
    }

    /// What this replica is, knows and waits for.
    #[must_use]
    pub fn status(&self) -> Status {
        Status::of(&self.common, &self.role)
    }

    /// Until when, on this replica's own clock, it may answer reads as the leader. `None` if it
    /// may not.
    #[must_use]
    pub fn lease_until(&self) -> Option<Time> {
        match &self.role {
            Role::Leader(leader) => {
                mutated!(self.common, LeaseOutlivesSleep =>
                    return leader.lease_at_last_tick(&self.common));
                leader.lease_until(&self.common)
            }
            Role::Follower(_) | Role::Candidate(_) => None,
        }
    }

    /// Everything up to here is committed, as far as this replica knows.
    #[must_use]
    pub fn commit(&self) -> Lsn {
        self.common.commit
    }

    /// Whether what came of entries may be told before that is durable, while `waiting` is the first of which
    /// somebody still waits to be told: none of them, once it is committed, can ever be cut from a log. In
    /// mode available that is so past the newest Config, if that has the whole roster. Then an entry is on
    /// every disk, and nobody takes over without it, even where the network parted the replicas; whoever is
    /// missing may be going on apart. In mode majority it is so anyway.
    ///
    /// Any other outcome waits for the durable state: after a crash only that shows that the entry was
    /// committed.
    #[must_use]
    pub fn may_tell_early(&self, waiting: Lsn) -> bool {
        let c = &self.common;
        let Some(LoggedConfig { lsn, config }) = c.log.logged_config() else {
            return false;
        };
        match config.mode {
            _ if mutated!(c, ToldOnOneSide) => true,
            Mode::Majority { .. } => true,
            Mode::Available => {
                waiting >= *lsn && c.roster.iter().all(|id| config.members.contains_key(id))
            }
        }
    }

    /// The last entry that may be trimmed: it is applied here, and everybody who follows this leader,
    /// if it is one, has it. Whoever is behind what is trimmed all the same gets a snapshot.
    #[must_use]
    pub fn trim_max(&self) -> Lsn {
        let applied = self.common.applied;
        match &self.role {
            Role::Leader(leader) => leader.needed().map_or(applied, |lsn| lsn.min(applied)),
            Role::Follower(_) | Role::Candidate(_) => applied,
        }
    }

    /// Whether this replica seeks sessions with that one: it is in the roster, or in a Config that
    /// may be in force.
    #[must_use]
    pub fn knows(&self, peer: ReplicaId) -> bool {
        self.common.peers.knows(peer)
    }

    /// Whether a session with that replica is of use. Besides those whom this replica knows, any of
    /// its own cluster is welcome: one of the two may have missed that the other was added or
    /// removed, and learns it from the log.
    #[must_use]
    pub fn admits(&self, hello: &Hello) -> bool {
        self.common.admits(hello)
    }

    /// Whether a session is refused because another process with that replica's id is there: a member of
    /// the view on another store, or another run on the same store, a copy of it.
    #[must_use]
    pub fn is_taken(&self, hello: &Hello) -> bool {
        self.common.is_taken(hello)
    }

    /// What to say first on a new session.
    #[must_use]
    pub fn hello(&self) -> Hello {
        self.common.hello()
    }

    /// What must hold after every step, in every build.
    fn invariants(&self) {
        let c = &self.common;
        c.log.check();
        assert!(c.commit <= c.log.last(), "what is committed is in the log");
        assert!(c.durable <= c.log.last(), "what is durable is in the log");
        assert!(c.applied <= c.commit, "what is applied is committed");
        assert!(c.settled <= c.commit, "what is settled is committed");
        assert!(c.promised_durable <= c.promised);
        assert!(
            c.log.last_entry().epoch <= c.promised,
            "entries come only from epochs that were promised"
        );
        assert!(
            c.log.window_start() <= c.commit.next(),
            "what is not committed is in memory"
        );
        assert!(
            !c.active || c.log.config().is_some(),
            "an active replica knows a Config"
        );
        self.role.invariants(c);
    }
}
