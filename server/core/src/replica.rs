//! The replica: its one entry point `step`, the effects of each input that do not depend on the role, and the
//! invariants. The state that all roles share is in `shared.rs`.

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

/// A replica of the protocol. The documentation of the crate has its guarantees.
#[derive(Debug)]
pub struct Replica {
    pub(crate) common: Common,
    pub(crate) role: Role,
}

impl Replica {
    /// Makes a replica that was just started with the content of its store. It is not active and follows no leader.
    #[must_use]
    pub fn new(settings: Settings, recovered: Recovered) -> Replica {
        let common = Common::new(settings, recovered);
        let role = Role::Follower(Follower::started());
        let replica = Replica { common, role };
        replica.invariants();
        replica
    }

    /// Takes one input and gives the effects of it. After a `Halt` it gives no more effects.
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

    /// Carries out what an input changes in every role, before the role gets the input.
    ///
    /// Evidence is only noted. Its consequences (shrink, become a candidate, lead) are decided in the next tick,
    /// after the tick has shown whether this replica slept: a replica that slept must not act on old facts.
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
            // A message without a session belongs to a session that ended.
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
                // The disk answers, though to another write.
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
        // The next session with a store that was declared dead begins with a hello that reports it.
        for peer in c.linked_dead() {
            c.peers.link_down(peer);
            c.effects.push(Effect::Disconnect { peer });
            role.on_link_down(c, peer);
        }
        role.on_tick(c);
    }

    /// Gives a summary of this replica.
    #[must_use]
    pub fn status(&self) -> Status {
        Status::of(&self.common, &self.role)
    }

    /// Gives the time, on this replica's own clock, until which it may answer reads as the leader. `None` if it may
    /// not.
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

    /// Gives the LSN up to which this replica knows the log to be committed.
    #[must_use]
    pub fn commit(&self) -> Lsn {
        self.common.commit
    }

    /// Tells whether outcomes of entries may be reported before the state is durable, while `waiting` is the first
    /// entry whose outcome is not reported yet: once committed, none of these entries can ever be cut from a log. In
    /// mode available that holds for entries after the newest Config, if that Config has the whole roster as members.
    /// Then an entry is on every disk, and no takeover succeeds without it, even in a partition; a replica that is
    /// missing may be serving apart. In mode majority it always holds.
    ///
    /// Any other outcome waits for the durable state: after a crash only that state shows that the entry was
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

    /// Gives the last entry that may be trimmed: it is applied here, and, on a leader, every replica with a session
    /// has it. A replica that lacks trimmed entries gets a snapshot.
    #[must_use]
    pub fn trim_max(&self) -> Lsn {
        let applied = self.common.applied;
        match &self.role {
            Role::Leader(leader) => leader.needed().map_or(applied, |lsn| lsn.min(applied)),
            Role::Follower(_) | Role::Candidate(_) => applied,
        }
    }

    /// Tells whether this replica dials that peer: it is in the roster, or in a Config that may be in force.
    #[must_use]
    pub fn knows(&self, peer: ReplicaId) -> bool {
        self.common.peers.knows(peer)
    }

    /// Tells whether a session with the replica that sent this hello is of use. Besides the known peers, any replica
    /// of the same cluster is admitted: one of the two may have missed that the other was added or removed, and
    /// learns it from the log.
    #[must_use]
    pub fn admits(&self, hello: &Hello) -> bool {
        self.common.admits(hello)
    }

    /// Tells whether a session is refused because another process with that replica's id is there: a member of the
    /// view with another store, or another run with the same store, such as a copy of it.
    #[must_use]
    pub fn is_taken(&self, hello: &Hello) -> bool {
        self.common.is_taken(hello)
    }

    /// Gives the first message for a new session.
    #[must_use]
    pub fn hello(&self) -> Hello {
        self.common.hello()
    }

    /// Checks the invariants, after every step and in every build.
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
