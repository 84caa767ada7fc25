//! The faults of the model: crashes, starts, replaced disks, and who is believed dead.

use crate::{
    actions::{Spec, when},
    log::{Epoch, Id, Log, Set},
    mutation::Mutation,
    state::{Role, State},
};

impl Spec {
    /// A process dies, and it shows how much had been fsynced: nothing since `disk`, or the log up
    /// to a position. What a log cuts goes in the transaction that brings what follows.
    pub(crate) fn crash(&self, s: &mut State, r: Id, fsynced: Option<u8>) -> Option<()> {
        when(s.replicas[r].up && s.spent.crashes < self.scope.crashes)?;
        s.spent.crashes += 1;
        if let Some(to) = fsynced {
            let replica = &mut s.replicas[r];
            when(to > replica.disk.common(&replica.log) && to <= replica.log.len())?;
            replica.disk = replica.log.prefix(to);
        }
        self.die(s, r);
        Some(())
    }

    /// A replica's log becomes like another up to a position. If that would cut what it knows to
    /// be committed, the replica has diverged: it stops, for good, and the result is false.
    pub(crate) fn take(&self, s: &mut State, r: Id, other: &Log, position: u8) -> bool {
        let sound = s.replicas[r].take(other, position);
        if !sound {
            self.die(s, r);
            s.replicas[r].diverged = true;
        }
        sound
    }

    /// In mode available the others have the evidence at once.
    pub(crate) fn die(&self, s: &mut State, r: Id) {
        let replica = &mut s.replicas[r];
        replica.up = false;
        replica.role = Role::Follower;
        replica.log = replica.disk;
        replica.commit = replica.commit.min(replica.disk.len());
        replica.active &= self.mutated(Mutation::ActiveSurvivesRestart);
        replica.dead = Set::EMPTY;
        replica.repeat = 0;
        if self.available() {
            for other in s.replicas.iter_mut().filter(|other| other.up) {
                other.dead = other.dead.with(r);
            }
        }
    }

    /// A process starts on its disk: not active, following nobody. What it acknowledged before is
    /// still on that disk, and may still be counted.
    pub(crate) fn restart(&self, s: &mut State, r: Id) -> Option<()> {
        when(!s.replicas[r].up && !s.replicas[r].diverged)?;
        let down = s.ids().filter(|&id| id != r && !s.replicas[id].up);
        let down = down.collect::<Set>();
        let replica = &mut s.replicas[r];
        replica.up = true;
        replica.dead = if self.available() { down } else { Set::EMPTY };
        if !self.scope.late_sessions {
            s.ids()
                .for_each(|other| s.replicas[other].dead = s.replicas[other].dead.without(r));
        }
        Some(())
    }

    /// The disk is replaced by an empty one, with a store identity of its own.
    pub(crate) fn restart_wiped(&self, s: &mut State, r: Id) -> Option<()> {
        when(s.spent.wipes < self.scope.wipes)?;
        self.restart(s, r)?;
        s.spent.wipes += 1;
        let replica = &mut s.replicas[r];
        replica.log = Log::EMPTY;
        replica.disk = Log::EMPTY;
        replica.promised = Epoch::NONE;
        replica.commit = 0;
        replica.active = false;
        if !self.mutated(Mutation::WipedUnderOldId) {
            replica.store += 1;
        }
        for leader in &mut s.replicas {
            if let Role::Leader { matched, dismissed } = &mut leader.role {
                matched[r] = 0;
                *dismissed = dismissed.without(r);
            }
        }
        Some(())
    }

    /// A session begins: the evidence of death is void.
    pub(crate) fn meet(&self, s: &mut State, a: Id, b: Id) -> Option<()> {
        when(s.replicas[a].up && s.replicas[b].up && s.replicas[a].dead.has(b))?;
        s.speak(a, b);
        Some(())
    }

    /// Outside the fault model of mode available: the link to a live replica is cut.
    pub(crate) fn suspect(&self, s: &mut State, a: Id, b: Id) -> Option<()> {
        when(self.mutated(Mutation::LiveSuspected))?;
        when(s.spent.suspicions < self.scope.suspicions)?;
        when(s.replicas[a].up && s.replicas[b].up && !s.replicas[a].dead.has(b))?;
        s.spent.suspicions += 1;
        s.replicas[a].dead = s.replicas[a].dead.with(b);
        Some(())
    }
}
