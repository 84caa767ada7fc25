//! The commits and the messages of replicas, with their checks.

use tercet_core::{
    RoleKind,
    id::{Lsn, ReplicaId},
    log::{Entry, Payload},
};

use super::World;
use crate::{
    image::Op,
    machine::{Command, digest},
    trace::Brief,
};

/// The most changes of view in a second that a cluster can need.
const VIEWS_MAX: usize = 25;
/// The most messages in a second that a replica can need, without entries and their acknowledgements.
const SAID_MAX: u64 = 2_000;

impl World {
    /// Checks entries that the core of a replica calls committed, and queues them for its disk.
    pub(crate) fn apply(&mut self, at: usize, entries: Vec<Entry>) {
        let id = self.nodes[at].id;
        self.trace
            .line(self.now, || format!("{id} apply {}", Brief(&entries)));
        for entry in &entries {
            let news = match self.order.committed(id, entry.lsn, digest(entry)) {
                Ok(news) => news,
                Err(violation) => return self.require(Err(violation)),
            };
            if news && is_config(entry) {
                self.views.push_back(self.now);
            }
            if let Payload::Command(bytes) = &entry.payload
                && news
                && self.order.diverged.is_none()
            {
                let Some(command) = Command::decode(bytes) else {
                    return self.violated(format!("entry {} is garbled", entry.lsn));
                };
                let verdict = self.history.committed(entry.lsn, command);
                self.require(verdict);
            }
        }
        if let Some(last) = entries.last() {
            self.everywhere(at, last.lsn);
        }
        while self
            .views
            .front()
            .is_some_and(|&then| then + 1_000_000 < self.now)
        {
            self.views.pop_front();
        }
        if self.views.len() > VIEWS_MAX {
            let states = self.describe();
            return self.violated(format!(
                "flapping: {} views within a second\n{states}",
                self.views.len()
            ));
        }
        let config = entries.iter().any(is_config);
        self.nodes[at].disk.queue.push_back(Op::Apply(entries));
        self.kick_disk(at);
        self.spring(
            if config {
                "applies a Config"
            } else {
                "applies"
            },
            at,
            None,
        );
    }

    /// Counts the messages of a replica that are no entries, requests for them, or answers to either, and limits
    /// them.
    pub(crate) fn watch_talk(&mut self, at: usize, kind: &'static str) {
        let second = self.now / 1_000_000;
        let answers = ["Appended", "AppendMismatch", "Fenced", "Pulled"];
        if ["Append", "Pull", "SnapshotNeeded"].contains(&kind) || answers.contains(&kind) {
            return;
        }
        let said = &mut self.said[at];
        if said.0 != second {
            *said = (second, 0);
        }
        said.1 += 1;
        if said.1 > SAID_MAX {
            self.violated(format!(
                "storm: {SAID_MAX} messages of replica {} in a second, the last a {kind}",
                at + 1
            ));
        }
    }

    /// Checks an LSN that a leader calls committed: it must be durable on every member of the Config in force there,
    /// which is the newest one up to it, or of a later Config.
    fn everywhere(&mut self, at: usize, lsn: Lsn) {
        let node = &self.nodes[at];
        let leads = node.process.as_ref();
        if !leads.is_some_and(|process| process.status.role == RoleKind::Leader) {
            return;
        }
        let Some(digest_here) = self.order.digest(lsn) else {
            return;
        };
        let configs = node.disk.configs();
        let first = configs.partition_point(|(at, _)| *at <= lsn).max(1) - 1;
        let holds = |member: &ReplicaId, store| {
            let at = member.0 as usize - 1;
            let disk = &self.nodes[at].disk;
            // A replaced disk says nothing of the old one.
            let gone = disk.store != store || self.put_back.contains(&at);
            gone || disk.image.digest(lsn) == Some(digest_here)
        };
        let mut governing = configs.iter().skip(first);
        let held = governing.any(|(_, config)| config.members.iter().all(|(m, s)| holds(m, *s)));
        if !held && self.order.diverged.is_none() {
            let id = node.id;
            self.violated(format!(
                "commit: leader {id} commits {lsn}, and some member does not have it on disk"
            ));
        }
    }
}

pub(crate) fn is_config(entry: &Entry) -> bool {
    matches!(entry.payload, Payload::Config(_))
}

#[cfg(test)]
mod tests {
    use tercet_core::{config::Mode, id::Lsn};

    use super::*;
    use crate::{profile::Plan, trace::Detail, trace::Trace};

    fn whole(replicas: usize) -> World {
        let plan = Plan::quiet(replicas, Mode::Available);
        let mut world = World::new(1, None, plan, Trace::new(Detail::Outline));
        world.run_until(5_000_000);
        assert!(world.is_whole());
        world
    }

    /// Lets the leader commit its view once more.
    fn commit(world: &mut World) {
        let (_, config) = world.nodes[0].disk.image.config().expect("a cluster");
        let status = &world.nodes[0].process.as_ref().expect("a process").status;
        let entry = Entry {
            lsn: Lsn(world.order.last().0 + 1),
            epoch: status.epoch,
            payload: Payload::Config(config.clone()),
        };
        world.apply(0, vec![entry]);
    }

    fn alarm(world: &World) -> Option<&str> {
        world.violation.as_ref().map(|violation| &*violation.0)
    }

    #[test]
    fn replica_that_talks_without_end_is_noticed() {
        let mut world = whole(1);
        world.run_until(6_000_000);
        world.said[0] = (6, 0);
        for _ in 0..SAID_MAX {
            world.watch_talk(0, "Ping");
            world.watch_talk(0, "Append");
        }
        assert_eq!(alarm(&world), None);
        world.watch_talk(0, "Ping");
        assert!(alarm(&world).unwrap().starts_with("storm: "));
    }

    #[test]
    fn views_that_change_all_the_time_are_noticed() {
        let mut world = whole(1);
        let process = world.nodes[0].process.as_mut();
        process.expect("a process").status.role = RoleKind::Waiting;
        for change in 0..=VIEWS_MAX {
            assert_eq!(alarm(&world), None, "after {change} changes");
            commit(&mut world);
        }
        assert!(alarm(&world).unwrap().starts_with("flapping: "));
    }

    #[test]
    fn commit_that_a_member_lacks_is_noticed() {
        let mut world = whole(2);
        commit(&mut world);
        assert!(alarm(&world).unwrap().starts_with("commit: "));
    }
}
