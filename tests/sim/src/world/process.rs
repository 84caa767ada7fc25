//! The processes of replicas: their start, their work, and the effects of their core.

use std::{
    collections::{BTreeMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
};

use tercet_core::{
    config::{HURRY, Settings, TICK_INTERVAL, TICK_INTERVAL_HURRIED},
    effect::{Effect, Halt},
    id::{Incarnation, Lsn},
    input::Input,
};

use super::{Event, Phase, World, commits::is_config};
use crate::{
    image::Op,
    machine::digest,
    mutation,
    network::{Item, kind},
    node::{Answer, Process, Work},
    trace::{Brief, brief, brief_input},
};

impl World {
    /// Schedules the start of a process, if none runs and none is scheduled.
    pub fn start_after(&mut self, at: usize, delay: u64) {
        let node = &mut self.nodes[at];
        let able = node.halted.is_none() && !node.refused && !node.away;
        if node.process.is_none() && able && !node.starting {
            node.starting = true;
            self.after(delay, Event::Start { at });
        }
    }

    /// Starts a process with the present content of the disk.
    pub(crate) fn start(&mut self, at: usize) {
        self.nodes[at].starting = false;
        if self.nodes[at].process.is_some() || self.nodes[at].halted.is_some() {
            return;
        }
        self.disturbed = self.disturbed.max(self.now);
        if self.refuses_store(at) {
            return;
        }
        self.runs += 1;
        let new_cluster = self.draw_cluster().filter(|_| self.nodes[at].bootstraps);
        let count = self.nodes.len();
        let roster = self.roster_on(at);
        let node = &mut self.nodes[at];
        node.dark = false;
        let settings = Settings {
            id: node.id,
            store: node.disk.store,
            incarnation: Incarnation(self.runs),
            roster: roster.clone(),
            mode: self.plan.mode,
            copied: node.disk.copied,
            new_cluster,
            timing: self.plan.timing.clone(),
            limits: self.plan.limits.clone(),
            now: node.clock.at(self.now),
        };
        let recovered = node.disk.image.recovered();
        let (id, run) = (node.id, self.runs);
        self.trace.line(self.now, || {
            format!(
                "{id} starts, run {run}, promised {}, applied {}, tail {}",
                recovered.promised,
                recovered.applied,
                Brief(&recovered.tail)
            )
        });
        let replica = mutation::replica(settings, recovered, self.plan.mutation);
        node.process = Some(Process {
            status: replica.status(),
            replica,
            run: Incarnation(run),
            paused: false,
            since: self.now,
            drowsy: false,
            numb: None,
            inbox: VecDeque::new(),
            sessions: vec![None; count],
            gathered: Vec::new(),
            tickets: 0,
            proposed: BTreeMap::new(),
            accepted: BTreeMap::new(),
            inherited: None,
            told: Lsn::ZERO,
            reads: Vec::new(),
            next_tick: None,
            hurries_until: 0,
            stopping: false,
            roster,
            fetches_from: None,
            fetched: None,
            read_only: false,
        });
        let delay = self.rng.below(TICK_INTERVAL);
        self.tick_after(at, delay);
        for peer in (0..count).filter(|&peer| peer != at) {
            self.redial(at, peer);
        }
    }

    /// Schedules the next tick after `delay`, in place of one that was scheduled for later.
    pub(crate) fn tick_after(&mut self, at: usize, delay: u64) {
        let time = self.now + delay;
        if let Some(process) = self.nodes[at].process.as_mut() {
            let run = process.run.0;
            process.next_tick = Some(time);
            self.at(time, Event::Tick { at, run });
        }
    }

    pub(crate) fn on_tick(&mut self, at: usize, run: u64) {
        let now = self.now;
        let Some(process) = self.nodes[at].process.as_mut() else {
            return;
        };
        if process.run.0 != run || process.next_tick != Some(now) {
            return;
        }
        if process.paused {
            process.next_tick = None;
            return;
        }
        let delay = self.rng.between(TICK_INTERVAL - 500, TICK_INTERVAL + 500);
        self.tick_after(at, delay);
        self.tick(at);
    }

    /// Makes ticks more frequent while the lead changes, or may be about to, as the production driver does.
    fn hurry(&mut self, at: usize) {
        let now = self.now;
        let node = &self.nodes[at];
        let Some(process) = node.process.as_ref() else {
            return;
        };
        let hurries = process.stopping
            || now < process.hurries_until
            || process.status.passes_the_lead(node.id);
        let late = process
            .next_tick
            .is_some_and(|next| next > now + TICK_INTERVAL_HURRIED);
        if hurries && late {
            self.tick_after(at, TICK_INTERVAL_HURRIED);
        }
    }

    pub(crate) fn tick(&mut self, at: usize) {
        let now = self.nodes[at].clock.at(self.now);
        if let Some(process) = self.nodes[at].process.as_mut() {
            process.drowsy = false;
        }
        self.give(at, Input::Tick { now });
        self.go_when_released(at);
    }

    /// Gives work to a process: it is done now, or waits in the inbox of a paused process.
    pub(crate) fn deliver(&mut self, at: usize, run: u64, work: Work) {
        if !self.is_run(at, run) {
            return;
        }
        let Some(process) = self.nodes[at].process.as_mut() else {
            return;
        };
        if process.paused {
            process.inbox.push_back(work);
        } else {
            self.handle(at, work);
        }
    }

    pub(crate) fn handle(&mut self, at: usize, work: Work) {
        match work {
            Work::Link {
                peer,
                session,
                item,
            } => self.on_item(at, peer, session, item),
            Work::Refused { peer, told } => self.refused(at, peer, told),
            Work::DiskDone(done) => self.disk_told(at, done),
            Work::DiskFull(full) => self.told_full(at, full),
            Work::BadRead => self.fail(at),
            Work::LogRead {
                peer,
                from,
                entries,
            } => self.give(
                at,
                Input::LogRead {
                    peer,
                    from,
                    entries,
                },
            ),
            Work::Snapshot(prefix) => self.offer_snapshot(at, prefix),
            Work::Request { caller, request } => self.requested(at, caller, request),
            Work::Flush => self.flush(at),
            Work::Confirm(read) => self.confirm(at, &read),
            Work::Stop => self.give(at, Input::Stop),
        }
    }

    /// Gives an input to the core, and carries out the effects.
    pub(crate) fn give(&mut self, at: usize, input: Input) {
        let now = self.now;
        let node = &mut self.nodes[at];
        let Some(process) = node.process.as_mut() else {
            return;
        };
        let (id, run) = (node.id, process.run);
        if matches!(input, Input::LinkDown { .. }) {
            process.hurries_until = now + HURRY;
        }
        if !matches!(input, Input::Tick { .. }) {
            let line = || format!("{id} {}", brief_input(&input));
            self.trace.line(now, line);
        }
        let step = catch_unwind(AssertUnwindSafe(|| process.replica.step(input)));
        let effects = match step {
            Ok(effects) => effects,
            Err(panic) => {
                let words = panic.downcast_ref::<String>().map(String::as_str);
                let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
                let words = words.unwrap_or("?").to_owned();
                self.violated(format!("core: replica {id} panicked: {words}"));
                return;
            }
        };
        let leased = process.replica.lease_until().is_some();
        let commit = process.replica.commit();
        process.inherited = leased.then(|| process.inherited.unwrap_or(commit));
        // Without effects, nothing has changed that must be checked before the next call of `watch`.
        if !effects.is_empty() {
            self.observe(at);
        }
        for effect in effects {
            self.perform(at, effect);
            if !self.is_run(at, run.0) || self.violation.is_some() {
                return;
            }
        }
        self.hurry(at);
        let process = self.nodes[at].process.as_ref();
        if process.is_some_and(|process| !process.proposed.is_empty()) {
            self.violated(format!("core: replica {id} left a proposal unanswered"));
        }
    }

    /// Checks the status of a replica after a step.
    pub(crate) fn observe(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let Some(process) = node.process.as_mut() else {
            return;
        };
        let status = process.replica.status();
        let before = std::mem::replace(&mut process.status, status);
        let status = &process.status;
        for number in [status.epoch.number, status.last.0, status.commit.0] {
            self.trace.number(number);
        }
        let (id, run) = (node.id, process.run);
        if (before.role, before.serving, before.active)
            != (status.role, status.serving, status.active)
        {
            self.trace.line(self.now, || {
                format!(
                    "{id} = {:?}{}{} epoch {} last {} commit {}",
                    status.role,
                    if status.serving { " serving" } else { "" },
                    if status.active { " active" } else { "" },
                    status.epoch,
                    status.last,
                    status.commit
                )
            });
        }
        if status.serving {
            self.served = self.now;
            let epoch = status.epoch;
            match self.leaders.serves(epoch, id, run) {
                Ok(true) => {
                    self.statistics.event("view served");
                    self.require_no_older_lease(at, epoch);
                    self.check_view(at);
                }
                Ok(false) => {}
                Err(violation) => self.require(Err(violation)),
            }
        }
    }

    fn perform(&mut self, at: usize, effect: Effect) {
        let id = self.nodes[at].id;
        match effect {
            Effect::Persist(write) => {
                self.trace.line(self.now, || {
                    format!(
                        "{id} persist {} promised {:?} cut {:?} {}",
                        write.id.0,
                        write.promised,
                        write.truncate_from,
                        Brief(&write.entries)
                    )
                });
                for entry in &write.entries {
                    let place = (entry.lsn, entry.epoch);
                    let verdict = self.lineage.persists(id, place, digest(entry));
                    self.require(verdict);
                }
                let config = write.entries.iter().any(is_config);
                let trap = match (config, write.promised, write.truncate_from) {
                    (_, _, Some(_)) => "persists a cut",
                    (true, _, _) => "persists a Config",
                    (_, Some(_), _) => "persists a promise",
                    _ => "persists",
                };
                if write.truncate_from.is_some() {
                    self.statistics.event("log cut");
                }
                self.nodes[at].disk.queue.push_back(Op::Persist(write));
                self.kick_disk(at);
                self.spring(trap, at, None);
            }
            Effect::Apply { entries } => self.apply(at, entries),
            Effect::Confirmed => {
                self.statistics.event("store confirmed");
                self.nodes[at].disk.copied = false;
            }
            Effect::Settle { lsn } => self.nodes[at].disk.settling = lsn,
            Effect::Send { to, message } => {
                let trap = kind(&message);
                let to = to.0 as usize - 1;
                self.trace.number(trap.len() as u64);
                self.trace.line(self.now, || {
                    format!("{id} -> {} {}", to + 1, brief(&message))
                });
                self.statistics.event(trap);
                self.watch_talk(at, trap);
                self.send(at, to, Item::Message(Box::new(message)));
                self.spring(trap, at, Some(to));
            }
            Effect::ReadLog {
                peer,
                from,
                through,
            } => self.read_log(at, peer, from, through),
            Effect::FetchSnapshot { from, lsn_min } => self.fetch_snapshot(at, from, lsn_min),
            Effect::Install { write, snapshot } => self.install(at, write, &snapshot),
            Effect::Disconnect { peer } => self.disconnect(at, peer.0 as usize - 1),
            Effect::Accepted { ticket, lsn } => self.accepted(at, ticket, lsn),
            Effect::Rejected { ticket, rejection } => self.rejected(at, ticket, rejection),
            Effect::Abandon => self.abandon(at),
            Effect::Halt(halt) => self.halt(at, halt),
        }
    }

    fn halt(&mut self, at: usize, halt: Halt) {
        let id = self.nodes[at].id;
        self.trace
            .line(self.now, || format!("{id} halts: {halt:?}"));
        let asked = self.nodes[at].process.as_ref().is_some_and(|p| p.stopping);
        match &halt {
            Halt::Left if asked => self.statistics.event("left"),
            Halt::Left => self.violated(format!("halt: replica {id} left unasked")),
            Halt::Diverged { .. }
            | Halt::WentBack { .. }
            | Halt::DeclaredDead { .. }
            | Halt::ForeignCluster { .. } => {
                self.statistics.event(match halt {
                    Halt::WentBack { .. } => "told that it went back",
                    Halt::DeclaredDead { .. } => "told that it was declared dead",
                    _ => "halt",
                });
                let past = matches!(halt, Halt::WentBack { .. }) && self.put_back.contains(&at);
                if !self.order.tolerated && !past {
                    self.violated(format!("halt: replica {id}: {halt:?}"));
                }
                self.nodes[at].halted = Some(halt);
            }
        }
        self.crash(at);
        let again = self.profile.is_some() && self.rng.chance(800);
        if self.phase != Phase::Rough || again {
            let delay = self.rng.skewed(20_000, 8_000_000);
            self.start_after(at, delay);
        }
    }

    pub(crate) fn tell(&mut self, caller: crate::node::Caller, answer: Answer) {
        let delay = self.rng.skewed(50, 3_000);
        self.after(delay, Event::Answer { caller, answer });
    }
}
