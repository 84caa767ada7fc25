//! The operations of clients, and the service of a replica's process: the part of the production driver that
//! proposes, acknowledges and permits reads.

use tercet_core::{
    effect::Rejection,
    id::{Epoch, Lsn, Ticket},
    input::Input,
};

use super::{Event, World};
use crate::{
    check::lineage::{Acknowledged, Lineage},
    client::OPERATOR,
    machine::Command,
    node::{Answer, Caller, Read, Request, Work},
};

impl World {
    /// Begins an operation of a client, or tries one again.
    pub(crate) fn think(&mut self, client: u32) {
        let count = self.nodes.len();
        let reads = self.plan.reads;
        let Some(state) = self.clients.get_mut(&client) else {
            return;
        };
        if state.request.is_none() {
            if self.clients_stop || client == OPERATOR {
                return;
            }
            let key = self.rng.below(4) as u8;
            state.request = Some(if self.rng.chance(reads) {
                if self.rng.chance(300) {
                    state.target = self.rng.index(count);
                }
                Request::Read { key }
            } else {
                state.seq += 1;
                Request::Write(Command {
                    client,
                    seq: state.seq,
                    key,
                    value: u64::from(client) << 32 | u64::from(state.seq),
                })
            });
        }
        let Some(request) = state.request else {
            return;
        };
        self.client_history.ask(client, request, self.now);
        state.attempt += 1;
        state.deadline = Some(self.now + state.patience);
        let caller = Caller {
            client,
            attempt: state.attempt,
        };
        let to = state.target % count;
        let delay = self.rng.skewed(50, 3_000);
        self.after(
            delay,
            Event::Call {
                to,
                caller,
                request,
            },
        );
        self.watch_deadline(client);
    }

    /// Schedules a check of the deadline, unless one is scheduled: later requests have later deadlines.
    fn watch_deadline(&mut self, client: u32) {
        let Some(state) = self.clients.get_mut(&client) else {
            return;
        };
        if let Some(deadline) = state.deadline
            && !std::mem::replace(&mut state.watched, true)
        {
            self.at(deadline, Event::Timeout { client });
        }
    }

    /// Ends the wait of a client, if its deadline is now.
    pub(crate) fn timeout(&mut self, client: u32) {
        let now = self.now;
        let Some(state) = self.clients.get_mut(&client) else {
            return;
        };
        state.watched = false;
        if state.deadline != Some(now) {
            return self.watch_deadline(client);
        }
        let attempt = state.attempt;
        self.answered(Caller { client, attempt }, Answer::Unknown);
    }

    /// Handles the answer to a client, or the end of its wait.
    pub(crate) fn answered(&mut self, caller: Caller, answer: Answer) {
        let count = self.nodes.len();
        let think = self.plan.think;
        let Some(state) = self.clients.get_mut(&caller.client) else {
            return;
        };
        if state.attempt != caller.attempt || state.request.is_none() {
            return;
        }
        // Later answers to this try are ignored.
        state.attempt += 1;
        state.deadline = None;
        state.failures += 1;
        let longest = 10_000 << state.failures.min(4);
        let delay = match answer {
            Answer::Done(read) => {
                self.client_history.done(caller.client, read, self.now);
                state.request = None;
                state.failures = 0;
                self.rng.skewed(0, think)
            }
            Answer::Elsewhere(hint) => {
                state.target = match hint {
                    Some(leader) if self.rng.chance(900) => leader.0 as usize - 1,
                    _ => self.rng.index(count),
                };
                self.rng.between(1_000, longest)
            }
            Answer::Unknown => {
                self.statistics.event("outcome unknown");
                state.target = self.rng.index(count);
                if matches!(state.request, Some(Request::Read { .. })) {
                    state.request = None;
                    self.client_history.forget(caller.client);
                }
                self.rng.between(1_000, longest)
            }
        };
        let client = caller.client;
        self.after(delay, Event::Think { client });
    }

    /// Delivers a request to a replica.
    pub(crate) fn call(&mut self, to: usize, caller: Caller, request: Request) {
        if let Request::Write(command) = request {
            self.history.invoke(command);
        }
        let node = &self.nodes[to];
        match node.process.as_ref().map(|process| process.run.0) {
            Some(run) => self.deliver(to, run, Work::Request { caller, request }),
            None if node.dark => {}
            None => self.tell(caller, Answer::Elsewhere(None)),
        }
    }

    pub(crate) fn requested(&mut self, at: usize, caller: Caller, request: Request) {
        let now = self.now;
        let may_read = self.nodes[at].may_read(now);
        let node = &mut self.nodes[at];
        let image = &node.disk.image;
        let Some(process) = node.process.as_mut() else {
            return;
        };
        match request {
            Request::Write(command) => {
                process.gathered.push((caller, command));
                if process.gathered.len() == 1 {
                    let run = process.run.0;
                    let delay = self.rng.skewed(0, 1_500);
                    let work = Work::Flush;
                    self.after(delay, Event::Deliver { at, run, work });
                }
            }
            Request::Read { key } if may_read => {
                let status = &process.status;
                let read = Read {
                    caller,
                    key,
                    floor: self.history.begin_read(),
                    own_floor: self.lineage.floor(status.epoch, |lsn| image.chain(lsn)),
                    target: process.inherited.unwrap_or(status.commit).max(process.told),
                    epoch: status.epoch,
                    seen: (Lsn::ZERO, None),
                };
                process.reads.push(read);
                self.wake_reads(at);
            }
            Request::Read { .. } => {
                let hint = process.status.leader;
                self.tell(caller, Answer::Elsewhere(hint));
            }
        }
    }

    /// Proposes all gathered writes at once.
    pub(crate) fn flush(&mut self, at: usize) {
        let Some(process) = self.nodes[at].process.as_mut() else {
            return;
        };
        let gathered = std::mem::take(&mut process.gathered);
        if process.read_only {
            self.statistics.event("rejected: disk full");
            let here = Some(self.nodes[at].id);
            for (caller, _) in gathered {
                self.tell(caller, Answer::Elsewhere(here));
            }
            return;
        }
        let mut proposals = Vec::new();
        for (caller, command) in gathered {
            process.tickets += 1;
            let ticket = Ticket(process.tickets);
            process.proposed.insert(ticket, (caller, command));
            proposals.push((ticket, command.encode()));
        }
        self.give(at, Input::Propose { proposals });
    }

    pub(crate) fn accepted(&mut self, at: usize, ticket: Ticket, lsn: Lsn) {
        let id = self.nodes[at].id;
        let Some(process) = self.nodes[at].process.as_mut() else {
            return;
        };
        let last = process.accepted.last_key_value().map(|(lsn, _)| *lsn);
        let Some(proposal) = process.proposed.remove(&ticket) else {
            return self.violated(format!("core: replica {id} accepts what it was not given"));
        };
        process.accepted.insert(lsn, proposal);
        if last.is_some_and(|last| last >= lsn) {
            self.violated(format!("core: replica {id} accepts {lsn} after {last:?}"));
        }
        self.spring("accepts", at, None);
    }

    pub(crate) fn rejected(&mut self, at: usize, ticket: Ticket, rejection: Rejection) {
        let Some(process) = self.nodes[at].process.as_mut() else {
            return;
        };
        let Some((caller, _)) = process.proposed.remove(&ticket) else {
            let id = self.nodes[at].id;
            return self.violated(format!("core: replica {id} rejects what it was not given"));
        };
        let (kind, hint) = match rejection {
            Rejection::NotLeader(leader) => ("rejected: not leader", leader),
            Rejection::InTransition => ("rejected: in transition", Some(self.nodes[at].id)),
            Rejection::Busy => ("rejected: busy", Some(self.nodes[at].id)),
            Rejection::NoQuorum => ("rejected: no quorum", None),
        };
        self.statistics.event(kind);
        self.tell(caller, Answer::Elsewhere(hint));
    }

    pub(crate) fn abandon(&mut self, at: usize) {
        self.statistics.event("abandon");
        let Some(process) = self.nodes[at].process.as_mut() else {
            return;
        };
        let waiting = std::mem::take(&mut process.accepted);
        for (caller, _) in waiting.into_values() {
            self.tell(caller, Answer::Unknown);
        }
    }

    /// Answers the client that waits for an entry which is applied here.
    pub(crate) fn acknowledge(&mut self, at: usize, lsn: Lsn, effect: Option<Lsn>) {
        let Some(process) = self.nodes[at].process.as_mut() else {
            return;
        };
        let Some((caller, command)) = process.accepted.remove(&lsn) else {
            return;
        };
        process.told = process.told.max(lsn);
        let Some(effect) = effect else {
            // A late try of a write whose client has already begun its next.
            return self.tell(caller, Answer::Done(None));
        };
        let epoch = process.status.epoch;
        if effect != lsn {
            self.statistics.event("retry got the first answer");
        }
        let chain = self.nodes[at].disk.image.chain(effect);
        self.lineage.acknowledge(Acknowledged {
            lsn: effect,
            chain: chain.unwrap_or_default(),
            epoch,
        });
        if self.order.diverged.is_none() {
            self.acknowledged_at = self.now;
            let verdict = self.history.acknowledge(command, effect);
            self.require(verdict);
            self.require_no_older_lease(at, epoch);
        }
        self.tell(caller, Answer::Done(None));
        self.spring("acknowledges", at, None);
    }

    /// Checks that no other replica may still read in an older epoch, because a leader that serves in `epoch` may
    /// acknowledge writes from now on.
    pub(crate) fn require_no_older_lease(&mut self, at: usize, epoch: Epoch) {
        if self.order.tolerated || self.order.diverged.is_some() {
            return;
        }
        let readers: Vec<_> = (0..self.nodes.len())
            .filter(|&other| other != at && self.nodes[other].may_read(self.now))
            .filter_map(|other| {
                let node = &self.nodes[other];
                let process = node.process.as_ref()?;
                Some((node.id, process.status.epoch))
            })
            .collect();
        let verdict = self.leaders.acknowledges(epoch, &readers);
        self.require(verdict);
    }

    /// Prepares the answers of the reads whose target is applied by now.
    pub(crate) fn wake_reads(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let Some(process) = node.process.as_mut() else {
            return;
        };
        let machine = &node.disk.image.machine;
        let (ready, waiting) = std::mem::take(&mut process.reads)
            .into_iter()
            .partition(|read: &Read| read.target <= machine.applied);
        process.reads = waiting;
        let run = process.run.0;
        let applied = machine.applied;
        let ready: Vec<Read> = ready;
        for mut read in ready {
            let registers = &self.nodes[at].disk.image.machine.registers;
            read.seen = (applied, registers.get(&read.key).copied());
            let delay = self.rng.skewed(0, 3_000);
            let work = Work::Confirm(Box::new(read));
            self.after(delay, Event::Deliver { at, run, work });
        }
    }

    /// Answers a read if the lease held until now.
    pub(crate) fn confirm(&mut self, at: usize, read: &Read) {
        let node = &self.nodes[at];
        let epoch = node.process.as_ref().map(|p| p.status.epoch);
        if !node.may_read(self.now) || epoch != Some(read.epoch) {
            return self.tell(read.caller, Answer::Unknown);
        }
        let (position, value) = read.seen;
        let verdict = Lineage::end_read(read.own_floor, position);
        self.require(verdict);
        // Outside its fault model, mode available does not promise fresh reads.
        if self.order.tolerated {
            self.history.reads += 1;
        } else {
            let verdict = self.history.end_read(read.floor, position, read.key, value);
            self.require(verdict);
        }
        self.tell(read.caller, Answer::Done(read.seen.1));
    }
}
