//! The faults, with one function each; the nemesis decides on their times.

use tercet_core::{config::Mode, id::Time};

use super::{Event, Phase, World};
use crate::{
    network::{Cut, MessageFaults, direction},
    node::{Answer, Node, Numb, Work},
};

/// The time between two resets of a replica whose sessions flap, microseconds.
const FLAP_INTERVAL: u64 = 3_000_000;

/// The fault that a trap causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    Kill,
    PowerLoss,
    /// A pause of this many microseconds.
    Pause(u64),
}

/// The time in which a replica whose clock stood still gets messages from all live peers, microseconds.
const HEARD_WITHIN: u64 = 250_000;

/// The time after which a clock that stood still itself can show that another did, microseconds.
const STEADY_AFTER: u64 = 12_000_000;

impl World {
    /// Kills the process with `kill -9`. It starts again after `restart` microseconds, or not by itself.
    pub fn kill(&mut self, at: usize, restart: Option<u64>) {
        if self.nodes[at].process.is_none() {
            return;
        }
        self.statistics.fault("kill");
        self.note(|id| format!("## kill {id}"), at);
        self.crash(at);
        if let Some(delay) = restart {
            self.start_after(at, delay);
        }
    }

    /// Turns the host off without a message to its peers, and on after `boot` microseconds; the process starts some
    /// time after that.
    pub fn power_loss(&mut self, at: usize, boot: u64) {
        if self.nodes[at].process.is_none() {
            return;
        }
        self.statistics.fault("power loss");
        self.note(|id| format!("## power loss {id}"), at);
        self.nodes[at].dark = true;
        self.crash(at);
        let clock = &mut self.nodes[at].clock;
        clock.offset = clock.stood + self.rng.below(1 << 40);
        let doubted = self.now + boot + 5_000_000;
        self.clocks_doubted_until = self.clocks_doubted_until.max(doubted);
        self.after(boot, Event::Boot { at });
    }

    pub(crate) fn boot(&mut self, at: usize) {
        if self.nodes[at].process.is_some() {
            return;
        }
        self.disturbed = self.disturbed.max(self.now);
        self.nodes[at].dark = false;
        for peer in (0..self.nodes.len()).filter(|&peer| peer != at) {
            if !self.nodes[peer].dark && !self.net.link(at, peer).is_cut() {
                self.tell_ends(at, peer);
            }
        }
        let delay = self.rng.skewed(0, 3_000_000);
        self.start_after(at, delay);
    }

    /// Ends the process, with the unfinished operations of its disk.
    pub(crate) fn crash(&mut self, at: usize) {
        self.disturbed = self.disturbed.max(self.now);
        let Some(process) = self.nodes[at].process.take() else {
            return;
        };
        let accepted = process.accepted.into_values();
        let gathered = process.gathered.into_iter();
        for (caller, _) in accepted.chain(gathered) {
            self.tell(caller, Answer::Unknown);
        }
        match self.nodes[at].disk.crash(&mut self.rng) {
            Ok(true) => self.statistics.fault("torn write"),
            Ok(false) => {}
            Err(how) => self.bad_disk(at, &how),
        }
        self.observe_disk(at);
        let silent = self.nodes[at].dark;
        self.drop_sessions(at, silent);
        self.unheard_by(at);
    }

    /// Pauses the host as a hypervisor does, which also stops its clock.
    pub fn freeze(&mut self, at: usize, length: u64) {
        let awake = self.nodes[at].awake().is_some();
        self.pause(at, length);
        let Some(process) = self.nodes[at].process.as_mut().filter(|_| awake) else {
            return;
        };
        self.statistics.fault("clock stood still");
        let met = (0..).zip(&process.sessions);
        let met = met.filter(|(_, session)| session.is_some());
        process.numb = Some(Numb {
            met: met.fold(0, |met, (peer, _)| met | 1 << peer),
            since: self.now,
            lost: length,
            woken: false,
        });
    }

    /// Sets back the clock of a process that wakes from such a pause.
    fn thaw(&mut self, at: usize, run: u64) {
        let lease = 2 * self.plan.timing.lease;
        let node = &mut self.nodes[at];
        let Some(numb) = node.process.as_mut().and_then(|p| p.numb.as_mut()) else {
            return;
        };
        numb.lost = self.now - numb.since;
        node.clock.stood += node.clock.at(self.now).since(node.clock.at(numb.since));
        node.clock.stood_until = Some(self.now);
        let dangerous = numb.lost > Numb::SLEEP && self.plan.mode == Mode::Available;
        numb.woken = true;
        let (met, since) = (numb.met, numb.since);
        let time = if dangerous { HEARD_WITHIN } else { lease };
        self.after(time, Event::Unheard { at, run });
        let tells = |(peer, node): (usize, &Node)| {
            let run = node
                .awake()
                .filter(|p| p.numb.is_none() && p.since <= since);
            met >> peer & 1 == 1 && run.is_some()
        };
        if dangerous && !self.nodes.iter().enumerate().any(tells) {
            self.unheard(at, run);
        }
    }

    /// Ends a process that had time to hear its peers, each of which sends every 50 ms, and heard none that could
    /// show it that its clock stood still. It would continue as if nothing had happened, which is outside the model.
    pub(crate) fn unheard(&mut self, at: usize, run: u64) {
        let numb = self.nodes[at].process.as_ref().and_then(|p| p.numb);
        let Some(numb) = numb.filter(|numb| numb.woken && self.is_run(at, run)) else {
            return;
        };
        if numb.lost > Numb::SLEEP && self.mode() == Mode::Available {
            self.statistics.event("woke unheard");
            let delay = self.rng.skewed(5_000, 3_000_000);
            return self.kill(at, Some(delay));
        }
        // All its old leases are over.
        self.nodes[at].process.as_mut().expect("it runs").numb = None;
    }

    /// Ends the processes whose clocks stood still, when the last one died whose clock could show it to them.
    fn unheard_by(&mut self, at: usize) {
        let knows = |node: &Node| node.process.as_ref().is_some_and(|p| p.numb.is_none());
        if self.mode() != Mode::Available || self.nodes.iter().any(knows) {
            return;
        }
        for other in (0..self.nodes.len()).filter(|&other| other != at) {
            let numb = self.nodes[other].process.as_ref().and_then(|p| p.numb);
            if numb.is_some_and(|numb| numb.lost > Numb::SLEEP) {
                self.statistics.event("woke unheard");
                let delay = self.rng.skewed(5_000, 12_000_000);
                self.kill(other, Some(delay));
            }
        }
    }

    /// Notes that a process read a message with a clock, which may show that its own clock stood still.
    pub(crate) fn hears_clock(&mut self, at: usize, peer: usize, clock: Time) {
        let Some(numb) = self.nodes[at].process.as_ref().and_then(|p| p.numb) else {
            return;
        };
        let sender = &self.nodes[peer];
        let delay = sender.clock.at(self.now).since(clock);
        let stood = sender.clock.stood_until;
        let steady = stood.is_none_or(|until| self.now > until + STEADY_AFTER)
            && sender
                .process
                .as_ref()
                .is_some_and(|p| !p.paused || p.numb.is_none());
        // A clock that was not known before, or began anew since, shows nothing.
        let known = numb.met >> peer & 1 == 1
            && sender
                .process
                .as_ref()
                .is_some_and(|p| p.since <= numb.since);
        if steady && known && numb.woken && numb.is_shown(delay) {
            self.statistics.event("heard that its clock stood still");
            self.nodes[at].process.as_mut().expect("it reads").numb = None;
        }
    }

    /// Pauses the process with SIGSTOP, until SIGCONT after `length` microseconds.
    pub fn pause(&mut self, at: usize, length: u64) {
        let Some(process) = self.nodes[at].process.as_mut() else {
            return;
        };
        if process.paused {
            return;
        }
        process.paused = true;
        let run = process.run.0;
        let short = length < self.plan.timing.tick_gap_max;
        self.statistics
            .fault(if short { "pause short" } else { "pause long" });
        self.note(|id| format!("## pause {id} for {length}"), at);
        self.disturbed = self.disturbed.max(self.now);
        self.after(length, Event::Resume { at, run });
    }

    /// Continues a paused process: it gets the waiting work, with a tick at a random place in it, or only with the
    /// next tick some time after it.
    pub(crate) fn resume(&mut self, at: usize, run: u64) {
        if !self.is_run(at, run) {
            return;
        }
        let Some(process) = self.nodes[at].process.as_mut() else {
            return;
        };
        if !process.paused {
            return;
        }
        process.paused = false;
        process.drowsy = true;
        self.thaw(at, run);
        let Some(process) = self.nodes[at].process.as_mut() else {
            return;
        };
        let inbox = std::mem::take(&mut process.inbox);
        let ticking = process.next_tick.is_some();
        self.slept_until = self.now;
        let late = self.rng.chance(250);
        self.note(|id| format!("## resume {id}, {} waiting", inbox.len()), at);
        self.disturbed = self.disturbed.max(self.now);
        let place = match self.rng.below(3) {
            0 => 0,
            1 => inbox.len(),
            _ => self.rng.index(inbox.len() + 1),
        };
        for (i, work) in inbox.into_iter().enumerate() {
            if i == place && !late && self.is_run(at, run) && self.nodes[at].awake().is_some() {
                self.tick(at);
            }
            self.deliver(at, run, work);
        }
        if self.is_run(at, run) && self.nodes[at].awake().is_some() {
            if !late {
                self.tick(at);
            }
            self.kick_disk(at);
        }
        if !ticking {
            let delay = self.rng.below(10_000);
            self.tick_after(at, delay);
        }
    }

    /// Ends a session although both sides live.
    pub fn reset(&mut self, a: usize, b: usize) {
        let link = self.net.link(a, b);
        if !link.stands || link.is_cut() || self.now < link.calm_until {
            return;
        }
        link.calm_until = self.now + 1_500_000;
        self.statistics.fault("reset");
        self.trace
            .line(self.now, || format!("## reset {}-{}", a + 1, b + 1));
        let abort = self.rng.chance(600);
        self.hang_up(a, b, abort);
    }

    pub fn slow_disk(&mut self, at: usize, length: u64, slowness: u64) {
        self.statistics.fault("disk slow");
        self.note(|id| format!("## disk of {id} slow x{slowness}"), at);
        self.disturbed = self.disturbed.max(self.now + length);
        let disk = &mut self.nodes[at].disk;
        disk.slow_until = self.now + length;
        disk.slowness = slowness;
    }

    /// Makes every fsync take at least `fsync` microseconds for a while. The replica must still serve, and a takeover
    /// must succeed.
    pub fn crawl_disk(&mut self, at: usize, length: u64, fsync: u64) {
        self.statistics.fault("disk crawls");
        self.note(
            |id| format!("## disk of {id} takes {fsync} for an fsync"),
            at,
        );
        self.disturbed = self.disturbed.max(self.now);
        let disk = &mut self.nodes[at].disk;
        disk.crawls_until = self.now + length;
        disk.fsync_min = fsync;
    }

    /// Makes the disk fast again.
    pub fn mend_disk(&mut self, at: usize) {
        self.nodes[at].disk.crawls_until = 0;
    }

    pub fn stall_disk(&mut self, at: usize, length: u64) {
        self.statistics.fault("disk stall");
        self.note(|id| format!("## disk of {id} stalls for {length}"), at);
        self.disturbed = self.disturbed.max(self.now + length);
        self.nodes[at].disk.stalled_until = self.now + length;
    }

    /// Stalls a disk for longer than the others may wait: they must continue meanwhile. If it `flaps`, the sessions
    /// of the replica are also reset every three seconds.
    pub fn hang_disk(&mut self, at: usize, length: u64, flaps: bool) {
        self.statistics.fault("disk hang");
        self.note(
            |id| format!("## disk of {id} hangs for {length}, flaps {flaps}"),
            at,
        );
        self.disturbed = self.disturbed.max(self.now);
        let until = self.now + length;
        self.nodes[at].disk.stalled_until = until;
        if flaps {
            self.after(FLAP_INTERVAL, Event::Flap { at, until });
        }
    }

    pub(crate) fn flap(&mut self, at: usize, until: u64) {
        if self.now >= until || self.phase != Phase::Rough {
            return;
        }
        for peer in (0..self.nodes.len()).filter(|&peer| peer != at) {
            self.hang_up(at, peer, true);
        }
        self.after(FLAP_INTERVAL, Event::Flap { at, until });
    }

    /// Lets no write succeed for `length` microseconds.
    pub fn fill_disk(&mut self, at: usize, length: u64) {
        self.note(|id| format!("## disk of {id} full for {length}"), at);
        self.disturbed = self.disturbed.max(self.now + length);
        self.nodes[at].disk.full_until = self.now + length;
    }

    /// Sets the clock ahead, though the process was not paused.
    pub fn jump_clock(&mut self, at: usize, jump: u64) {
        let small = jump <= self.plan.timing.tick_gap_max;
        self.statistics.fault(if small {
            "clock jump small"
        } else {
            "clock jump large"
        });
        self.note(|id| format!("## clock of {id} jumps by {jump}"), at);
        self.disturbed = self.disturbed.max(self.now);
        self.nodes[at].clock.offset += jump;
        self.clocks_doubted_until = self.clocks_doubted_until.max(self.now + 5_000_000);
        self.slept_until = self.now;
    }

    /// Asks a replica to leave, and kills it after `patience` microseconds.
    pub fn stop(&mut self, at: usize, patience: u64) {
        let Some(process) = self.nodes[at].process.as_mut() else {
            return;
        };
        if process.stopping || process.paused {
            return;
        }
        process.stopping = true;
        let run = process.run.0;
        self.statistics.fault("graceful stop");
        self.note(|id| format!("## stop {id}"), at);
        self.disturbed = self.disturbed.max(self.now);
        let work = Work::Stop;
        self.after(0, Event::Deliver { at, run, work });
        self.after(patience, Event::KillStuck { at, run });
    }

    pub(crate) fn kill_stuck(&mut self, at: usize, run: u64) {
        if self.is_run(at, run) {
            let delay = self.rng.skewed(20_000, 5_000_000);
            self.kill(at, Some(delay));
        }
    }

    /// Cuts one direction of a link: its messages vanish, or are held, until the link is healed.
    pub fn cut(&mut self, from: usize, to: usize, how: Cut) {
        self.disturbed = self.disturbed.max(self.now);
        let link = self.net.link(from, to);
        link.cut[direction(from, to)] = how;
        let (session, stands) = (link.session, link.stands);
        self.trace.line(self.now, || {
            format!("## cut {}->{} {how:?}", from + 1, to + 1)
        });
        for (side, peer) in [(from, to), (to, from)] {
            if stands && self.rng.chance(400) {
                let delay = self.rng.between(500_000, 6_000_000);
                self.after(
                    delay,
                    Event::GiveUp {
                        side,
                        peer,
                        session,
                    },
                );
            }
        }
    }

    /// Ends the session and refuses new ones, for both sides, as a firewall may.
    pub fn forge_refusal(&mut self, a: usize, b: usize, length: u64) {
        self.statistics.fault("forged refusal");
        self.trace.line(self.now, || {
            format!("## forged refusal {}-{}", a + 1, b + 1)
        });
        self.disturbed = self.disturbed.max(self.now);
        self.net.link(a, b).forged = true;
        self.hang_up(a, b, true);
        self.after(length, Event::Heal { a, b });
    }

    /// Ends the session, if there is one, and lets another process than the peer refuse connections for `length`
    /// microseconds, as if one of the two had moved or had a wrong address. With `once` a single connection is
    /// refused, by the peer's own address. Two of those without a session in between are evidence of death and
    /// outside the fault model, so nothing happens unless both replicas have a session with each other.
    pub fn mislead(&mut self, a: usize, b: usize, length: u64, once: bool) {
        let link = self.net.link(a, b);
        let session = link.stands.then_some(link.session);
        let has_session = |at: usize, peer: usize| {
            let process = self.nodes[at].process.as_ref();
            process.is_some_and(|process| session.is_some() && process.sessions[peer] == session)
        };
        if once && !(has_session(a, b) && has_session(b, a)) {
            return;
        }
        self.statistics.fault("false refusal");
        self.trace.line(self.now, || {
            format!("## false refusal {}-{} once {once}", a + 1, b + 1)
        });
        self.disturbed = self.disturbed.max(self.now);
        let link = self.net.link(a, b);
        link.refuses_once = once;
        if !once {
            link.misled_until = self.now + length;
        }
        self.hang_up(a, b, false);
    }

    pub(crate) fn message_faults(&mut self, message_faults: MessageFaults, length: u64) {
        self.trace
            .line(self.now, || format!("## {message_faults:?}"));
        self.disturbed = self.disturbed.max(self.now + length);
        self.net.message_faults = message_faults;
        self.after(length, Event::MessageFaults);
    }

    pub(crate) fn fair_weather(&mut self) {
        self.disturbed = self.disturbed.max(self.now);
        self.net.message_faults = MessageFaults::FAIR;
    }

    pub(crate) fn blow(&mut self, at: usize, blow: Blow) {
        match blow {
            Blow::Kill => {
                let restart = self.draw_restart();
                self.kill(at, restart);
            }
            Blow::PowerLoss => {
                let boot = self.rng.skewed(1_000_000, 9_000_000);
                self.power_loss(at, boot);
            }
            Blow::Pause(length) => self.pause(at, length),
        }
    }

    /// Draws the time until a killed process starts again, microseconds; `None`: not by itself.
    pub(crate) fn draw_restart(&mut self) -> Option<u64> {
        let delay = self.rng.skewed(5_000, 12_000_000);
        self.rng.chance(850).then_some(delay)
    }

    pub(crate) fn note(&mut self, words: impl FnOnce(u32) -> String, at: usize) {
        self.trace.number(at as u64);
        self.trace.line(self.now, || words(at as u32 + 1));
    }
}
