//! The roster of the cluster, and the operator who changes it under load.

use std::collections::BTreeSet;

use tercet_core::{id::ReplicaId, input::Input};

use super::{Event, World};
use crate::{
    client::OPERATOR,
    machine::{Change, Command, JOINS, LEAVES},
    node::Request,
};

impl World {
    /// Gives the roster by the state on this disk. A replica that the state does not name belongs to it if it was
    /// there from the beginning, or is the replica of this disk.
    pub(crate) fn roster_on(&self, at: usize) -> BTreeSet<ReplicaId> {
        let said = &self.nodes[at].disk.image.machine.belongs;
        let ids = (0..self.nodes.len()).filter(|&other| {
            let unsaid = other < self.plan.replicas || other == at;
            *said.get(&self.nodes[other].id).unwrap_or(&unsaid)
        });
        ids.map(|other| self.nodes[other].id).collect()
    }

    /// Gives the replicas of the cluster by the newest state; if states have diverged, by that of the serving
    /// replica.
    #[must_use]
    pub fn belonging(&self) -> Vec<usize> {
        let applied = |at: &usize| self.nodes[*at].disk.image.machine.applied;
        let serving = self.serving().filter(|_| self.order.diverged.is_some());
        let newest = serving.or_else(|| (0..self.nodes.len()).max_by_key(applied));
        let newest = newest.unwrap_or(0);
        let said = &self.nodes[newest].disk.image.machine.belongs;
        let all = 0..self.nodes.len();
        all.filter(|&at| {
            let bootstraps = at < self.plan.replicas;
            *said.get(&self.nodes[at].id).unwrap_or(&bootstraps)
        })
        .collect()
    }

    /// Adds a replica that is away: with its old disk, or with an empty one.
    pub fn add_replica(&mut self, at: usize, empty: bool) {
        if !self.nodes[at].away || !self.operator_asks(JOINS, at) {
            return;
        }
        self.statistics.fault("replica added");
        if empty {
            self.replace_disk(at);
        }
        self.nodes[at].away = false;
        self.nodes[at].bootstraps = false;
        let delay = self.rng.skewed(0, 3_000_000);
        self.start_after(at, delay);
    }

    /// Removes a replica, unless too few would be left.
    pub fn remove_replica(&mut self, at: usize) {
        let belonging = self.belonging();
        let enough = belonging.len() > self.mode().view_min();
        if belonging.contains(&at) && enough && self.operator_asks(LEAVES, at) {
            self.statistics.fault("replica removed");
        }
    }

    pub(crate) fn operator_is_busy(&self) -> bool {
        let operator = self.clients.get(&OPERATOR);
        operator.is_some_and(|operator| operator.request.is_some())
    }

    /// Gives an order to the operator, who completes one before the next. Returns false while the operator is busy.
    fn operator_asks(&mut self, key: u8, at: usize) -> bool {
        let id = self.nodes[at].id;
        let busy = self.operator_is_busy();
        let Some(operator) = self.clients.get_mut(&OPERATOR).filter(|_| !busy) else {
            return false;
        };
        operator.seq += 1;
        let change = Change {
            seq: operator.seq,
            id,
            bootstrap_replicas: self.plan.replicas as u8,
            left_min: self.plan.mode.view_min() as u8,
        };
        operator.request = Some(Request::Write(Command {
            client: OPERATOR,
            seq: operator.seq,
            key,
            value: change.value(),
        }));
        let does = if key == JOINS { "add" } else { "remove" };
        self.trace.line(self.now, || format!("## {does} {id}"));
        self.disturbed = self.disturbed.max(self.now);
        self.after(0, Event::Think { client: OPERATOR });
        true
    }

    /// Gives the roster of the applied entries to the core, if it changed.
    pub(crate) fn observe_roster(&mut self, at: usize) {
        let roster = self.roster_on(at);
        let Some(process) = self.nodes[at].process.as_mut() else {
            return;
        };
        if process.roster != roster {
            process.roster = roster.clone();
            self.give(at, Input::Roster { roster });
        }
    }

    /// Ends a replica that was removed, once its leader does not need it any more.
    pub(crate) fn go_when_released(&mut self, at: usize) {
        let node = &self.nodes[at];
        let machine = &node.disk.image.machine;
        let process = node.process.as_ref();
        let released = process.is_some_and(|process| process.status.released);
        if machine.belongs.get(&node.id) == Some(&false) && released {
            self.trace
                .line(self.now, || format!("{} was removed", at + 1));
            self.statistics.event("removed replica went");
            self.crash(at);
            self.nodes[at].away = !self.is_added_again(at);
            let delay = self.rng.skewed(20_000, 3_000_000);
            self.start_after(at, delay);
        }
    }

    /// Starts replicas that are away but in the roster. Outside the fault model the side that removed a replica may
    /// be the one that lost its history.
    pub(crate) fn call_back(&mut self) {
        for at in self.belonging() {
            if self.nodes[at].away {
                self.nodes[at].away = false;
                self.start_after(at, 1_000_000);
            }
        }
    }

    /// Tells whether a replica that ends because it was removed was added again meanwhile: then its supervisor starts
    /// it again.
    fn is_added_again(&self, at: usize) -> bool {
        let id = self.nodes[at].id;
        let asked = self.clients[&OPERATOR].request.is_some_and(|request| {
            matches!(request, Request::Write(Command { key: JOINS, value, .. })
                if Change::of(value).id == id)
        });
        asked || self.belonging().contains(&at)
    }
}
