//! What replicas commit and say, under the eyes of the checkers.

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

/// A view cannot need to change more often in a second.
const VIEWS_MAX: usize = 25;
/// A replica cannot need to say more in a second, entries and their acknowledgements apart.
const SAID_MAX: u64 = 2_000;

impl World {
    /// The core says that these are committed.
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

    /// What carries no entries, and is no answer to what does, is said only now and then.
    pub(crate) fn watch_talk(&mut self, at: usize, kind: &'static str) {
        let second = self.now / 1_000_000;
        let answers = ["Appended", "AppendMismatch", "Fenced", "Pulled"];
        if ["Append", "Pull"].contains(&kind) || answers.contains(&kind) {
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

    /// What a leader holds for committed must be durable on every member of some Config that
    /// governs it: the newest one up to there, or a later one.
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
            let disk = &self.nodes[member.0 as usize - 1].disk;
            disk.store != store || disk.image.digest(lsn) == Some(digest_here)
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
