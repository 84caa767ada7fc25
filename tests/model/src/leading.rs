//! The actions of a leader: append, send, commit, and change its view. Rules 1 and 2.

use crate::{
    actions::{Spec, when},
    log::{Id, Members, Payload, Set},
    mutation::Mutation,
    state::{Role, State},
};

impl Spec {
    /// A serving leader appends a write.
    pub(crate) fn write(&self, s: &mut State, l: Id) -> Option<()> {
        when(s.spent.writes < self.scope.writes && s.replicas[l].serves())?;
        s.spent.writes += 1;
        let leader = &mut s.replicas[l];
        leader
            .log
            .push(leader.promised, Payload::Write(s.spent.writes));
        Some(())
    }

    /// An Append arrives, is fsynced, and its acknowledgement arrives. That messages are late,
    /// lost or out of order needs no queue: a late or lost one is this action later or never.
    pub(crate) fn append(&self, s: &mut State, l: Id, f: Id, to: u8) -> Option<()> {
        self.deliver(s, l, f, to)?;
        if s.replicas[f].up {
            self.acknowledge(s, l, f, to);
        }
        Some(())
    }

    /// The leader's log up to a position is on a follower's disk. Whatever of it was there already
    /// is found to match first.
    fn deliver(&self, s: &mut State, l: Id, f: Id, to: u8) -> Option<()> {
        let leader = s.replicas[l].clone();
        let follower = &mut s.replicas[f];
        when(leader.leads() && follower.up && l != f)?;
        when(follower.promised <= leader.promised)?;
        let known = leader.log.common(&follower.log);
        when(to > leader.matched(f) && to >= known && to <= leader.log.len())?;
        when(self.scope.parts || to == leader.log.len())?;

        self.fence(s, l, f);
        if self.take(s, f, &leader.log, to) && !self.mutated(Mutation::AckBeforeFsync) {
            s.replicas[f].disk = s.replicas[f].log;
        }
        Some(())
    }

    /// The acknowledgement arrives, and the leader commits what it can. One that arrives later, or
    /// never, would only promise less to the clients, with one exception: `last_words`.
    fn acknowledge(&self, s: &mut State, l: Id, f: Id, to: u8) {
        if let Role::Leader { matched, .. } = &mut s.replicas[l].role {
            matched[f] = to;
        }
        self.tell(s, l, f);
        // `None` says that there is nothing to commit yet.
        let _ = self.commit(s, l);
    }

    /// Lets the leader's messages arrive, and the leader die before it gets the answers: it may not even have
    /// fsynced entries that others have.
    pub(crate) fn last_words(
        &self,
        s: &mut State,
        l: Id,
        f: Id,
        to: u8,
        fsynced: Option<u8>,
    ) -> Option<()> {
        self.deliver(s, l, f, to)?;
        self.crash(s, l, fsynced)
    }

    /// A message of the leader's epoch arrives: the receiver follows it from here on.
    fn fence(&self, s: &mut State, l: Id, f: Id) {
        s.speak(l, f);
        let epoch = s.replicas[l].promised;
        let follower = &mut s.replicas[f];
        if follower.promised < epoch {
            follower.repeat = 0;
        }
        follower.promised = epoch;
        follower.role = Role::Follower;
    }

    /// A follower hears how far the leader has committed, and whether the leader's newest Config
    /// has it as a member. Who has that Config and knows it to be committed is active.
    ///
    /// It hears so at once: no rule lets a replica do more for knowing less.
    fn tell(&self, s: &mut State, l: Id, f: Id) {
        let leader = s.replicas[l].clone();
        let follower = &mut s.replicas[f];
        let (Some((at, config)), Some((newest, _))) = (leader.log.config(), follower.log.config())
        else {
            return;
        };
        // No rule looks at which writes are known to be committed, only at which Configs are.
        let heard = leader.commit.min(leader.matched(f));
        let mut configs = leader.log.configs().map(|(at, _)| at);
        let committed = configs.rfind(|&at| at <= heard);
        follower.commit = follower.commit.max(committed.unwrap_or(0));
        let settled = at <= follower.commit || self.mutated(Mutation::ActiveFromAppend);
        let member = config.has(f, follower.store) && !leader.dismissed().has(f);
        if !member {
            follower.active = false;
        } else if settled && newest == at && self.available() && !follower.active {
            follower.active = true;
            follower.repeat = if self.scope.dismissals > 0 { at } else { 0 };
        }
    }

    /// The stalled disk of a dismissed member works again: it hears that it is a member.
    pub(crate) fn take_back(&self, s: &mut State, l: Id, f: Id) -> Option<()> {
        let follower = &s.replicas[f];
        let (up, epoch) = (follower.up, follower.promised);
        let leader = &mut s.replicas[l];
        when(leader.leads() && up && leader.promised == epoch && leader.dismissed().has(f))?;
        if let Role::Leader { dismissed, .. } = &mut leader.role {
            *dismissed = dismissed.without(f);
        }
        self.tell(s, l, f);
        Some(())
    }

    /// Commits what every member of the newest Config has on disk: past that Config, and in the
    /// leader's own epoch. The leader itself has fsynced it by now, if it had not before.
    pub(crate) fn commit(&self, s: &mut State, l: Id) -> Option<()> {
        let leader = &s.replicas[l];
        when(leader.leads())?;
        let (config_at, config) = leader.log.config()?;
        let held = config.ids.ids().map(|m| match m == l {
            true => leader.log.len(),
            false if config.has(m, s.replicas[m].store) => leader.matched(m),
            false => 0,
        });
        let held = held.min()?;
        let own = leader.log.epoch_at(held) == leader.promised;
        let counts = own && held >= config_at || self.mutated(Mutation::CommitOfOldEpoch);
        when(counts && held > leader.commit)?;

        let (epoch, committed) = (leader.promised, leader.log.prefix(held));
        let leader = &mut s.replicas[l];
        if leader.disk.common(&committed) < held {
            leader.disk = committed;
        }
        leader.commit = held;
        // A leader whom every member of its view has answered is active.
        leader.active = self.available();
        match committed.starts_with(&s.committed) {
            true => s.committed = committed,
            false => s.lost |= !s.committed.starts_with(&committed),
        }
        for f in s.ids().filter(|&f| f != l) {
            if s.replicas[f].up && s.replicas[f].promised == epoch {
                self.tell(s, l, f);
            }
        }
        Some(())
    }

    /// Puts members out of the view: those that the leader believes dead, whose disk was replaced,
    /// or who know that they were dismissed; in mode majority anybody.
    pub(crate) fn shrink(&self, s: &mut State, l: Id, out: Set) -> Option<()> {
        let (_, config) = s.replicas[l].log.config()?;
        when(s.replicas[l].leads() && out.ids().all(|m| config.ids.has(m)))?;
        for m in out.ids() {
            self.may_drop(s, l, m)?;
        }
        self.change_view(s, l, config.only(|m| !out.has(m)))
    }

    /// As `shrink`, where so few members may not go on alone: a learner takes the place.
    pub(crate) fn replace(&self, s: &mut State, l: Id, out: Id, learner: Id) -> Option<()> {
        let (_, config) = s.replicas[l].log.config()?;
        when(
            s.replicas[l].leads() && config.ids.has(out) && config.ids.count() <= self.view_min(),
        )?;
        self.is_caught_up(s, l, learner, config)?;
        self.may_drop(s, l, out)?;
        let store = s.replicas[learner].store;
        self.change_view(s, l, config.without(out).with(learner, store))
    }

    fn may_drop(&self, s: &mut State, l: Id, m: Id) -> Option<()> {
        let leader = &s.replicas[l];
        if self.available() {
            let knows = leader.dismissed().has(m);
            return when(leader.dead.has(m) || knows || self.is_replaced(s, l, m));
        }
        if s.replicas[m].up {
            when(s.spent.suspicions < self.scope.suspicions)?;
            s.spent.suspicions += 1;
        }
        Some(())
    }

    /// Takes a learner in, once the newest Config is committed.
    pub(crate) fn grow(&self, s: &mut State, l: Id, f: Id) -> Option<()> {
        let leader = &s.replicas[l];
        let (at, config) = leader.log.config()?;
        when(leader.serves() && at <= leader.commit)?;
        self.is_caught_up(s, l, f, config)?;
        self.change_view(s, l, config.with(f, s.replicas[f].store))
    }

    fn is_caught_up(&self, s: &State, l: Id, f: Id, config: Members) -> Option<()> {
        let (leader, learner) = (&s.replicas[l], &s.replicas[f]);
        let stranger = !config.has(f, learner.store);
        let there = learner.up && !leader.dead.has(f) && !leader.dismissed().has(f);
        when(stranger && there && leader.matched(f) > 0)
    }

    /// Appends a Config. It must overlap every Config that may still be in force.
    fn change_view(&self, s: &mut State, l: Id, members: Members) -> Option<()> {
        let leader = &mut s.replicas[l];
        when(members.ids.count() >= self.view_min())?;
        when(
            self.in_force(&leader.log, leader.commit)
                .all(|old| self.overlaps(old, members)),
        )?;
        if self.mutated(Mutation::EpochWithoutPromises) {
            leader.promised = leader.promised.next_of(l);
        }
        leader.log.push(leader.promised, Payload::Config(members));
        Some(())
    }

    /// A session with a disk that is not the member's: the member is gone for good.
    pub(crate) fn is_replaced(&self, s: &State, r: Id, m: Id) -> bool {
        let config = s.replicas[r].log.config();
        let other = &s.replicas[m];
        let stranger = config.is_some_and(|(_, config)| !config.has(m, other.store));
        other.up && stranger && !s.replicas[r].dead.has(m)
    }

    /// A member that lives and whose disk stalls is told that it is none. Only when it has
    /// answered that it is not active any more may the leader go on without it.
    pub(crate) fn dismiss(&self, s: &mut State, l: Id, f: Id) -> Option<()> {
        when(s.spent.dismissals < self.scope.dismissals && self.available())?;
        let follower = s.replicas[f].clone();
        let leader = &mut s.replicas[l];
        let member = leader.log.config()?.1.has(f, follower.store);
        when(leader.leads() && member && l != f)?;
        when(follower.up && follower.promised == leader.promised)?;
        if let Role::Leader { dismissed, .. } = &mut leader.role {
            *dismissed = dismissed.with(f);
        }
        s.spent.dismissals += 1;
        s.speak(l, f);
        s.replicas[f].active = false;
        if !self.mutated(Mutation::DismissalKeepsNonce) {
            s.replicas[f].repeat = 0;
        }
        Some(())
    }

    /// The Append that made a replica active arrives again: it counts as long as the replica's
    /// nonce and newest Config are the same.
    pub(crate) fn repeat(&self, s: &mut State, f: Id) -> Option<()> {
        let follower = &mut s.replicas[f];
        when(follower.up && follower.repeat > 0)?;
        when(follower.log.config()?.0 == follower.repeat)?;
        follower.active = true;
        Some(())
    }
}
