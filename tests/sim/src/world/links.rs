//! The sessions between replicas: their beginning, their messages and their end.

use tercet_core::input::Input;

use super::{Event, World};
use crate::{
    network::{Cut, Item, direction},
    node::Work,
};

impl World {
    /// Sends an item in the session that this side has with a peer, if it has one.
    pub(crate) fn send(&mut self, from: usize, to: usize, item: Item) {
        let process = self.nodes[from].process.as_ref();
        let Some(session) = process.and_then(|process| process.sessions[to]) else {
            return;
        };
        self.transmit(from, to, session, item);
    }

    fn transmit(&mut self, from: usize, to: usize, session: u64, item: Item) {
        let way = direction(from, to);
        let message_faults = self.net.message_faults;
        let link = self.net.link(from, to);
        if !link.stands || link.session != session {
            return;
        }
        match link.cut[way] {
            Cut::None => {}
            Cut::Vanish => {
                link.lossy = true;
                return;
            }
            Cut::Hold => {
                link.held[way].push((session, item));
                return;
            }
        }
        if matches!(item, Item::Message(_)) {
            if self.rng.chance(message_faults.lost) {
                self.statistics.fault("message lost");
                return;
            }
            if self.rng.chance(message_faults.doubled) {
                self.statistics.fault("message doubled");
                self.arrive_late(from, to, session, item.clone());
            }
            if self.rng.chance(message_faults.overtaken) {
                self.statistics.fault("message overtaken");
                return self.arrive_late(from, to, session, item);
            }
        }
        self.arrive_in_order(from, to, session, item);
    }

    fn arrive_in_order(&mut self, from: usize, to: usize, session: u64, item: Item) {
        let time = self.net.arrival(self.now, from, to, &mut self.rng);
        let event = Event::Arrive {
            from,
            to,
            session,
            item,
        };
        self.at(time, event);
    }

    fn arrive_late(&mut self, from: usize, to: usize, session: u64, item: Item) {
        let delay = self.rng.skewed(100, 60_000);
        let event = Event::Arrive {
            from,
            to,
            session,
            item,
        };
        self.after(delay, event);
    }

    pub(crate) fn arrive(&mut self, from: usize, to: usize, session: u64, item: Item) {
        let Some(run) = self.nodes[to].process.as_ref().map(|p| p.run.0) else {
            return;
        };
        let link = self.net.link(from, to);
        if session <= link.void && !matches!(item, Item::End) {
            return;
        }
        if let Item::Hello { .. } = item
            && (link.session != session || link.runs[direction(to, from)] != run)
        {
            return;
        }
        let work = Work::Link {
            peer: from,
            session,
            item,
        };
        self.deliver(to, run, work);
    }

    /// Handles an item that a process reads from its end of a link.
    pub(crate) fn on_item(&mut self, at: usize, peer: usize, session: u64, item: Item) {
        // A reset connection also loses the items that its receiver had not read yet.
        if session <= self.net.link(at, peer).void && !matches!(item, Item::End) {
            return;
        }
        let Some(process) = self.nodes[at].process.as_mut() else {
            return;
        };
        let from = tercet_core::id::ReplicaId(peer as u32 + 1);
        let stands = process.sessions[peer];
        match item {
            Item::Hello { hello, dial } => {
                if stands.is_some_and(|known| known >= session) {
                    return;
                }
                if !process.replica.admits(&hello) {
                    // A side that dialled gets a hello all the same.
                    if dial {
                        let hello = Box::new(process.replica.hello());
                        self.transmit(at, peer, session, Item::Hello { hello, dial: false });
                    }
                    return self.hang_up(at, peer, !dial);
                }
                process.sessions[peer] = Some(session);
                if dial {
                    let hello = Box::new(process.replica.hello());
                    self.transmit(at, peer, session, Item::Hello { hello, dial: false });
                }
                self.statistics.event("link up");
                self.give(at, Input::LinkUp { hello: *hello });
            }
            Item::Message(message) => {
                if stands == Some(session) {
                    let message = *message;
                    if let Some(clock) = message.clock() {
                        self.hears_clock(at, peer, clock);
                    }
                    self.give(at, Input::Received { from, message });
                }
            }
            Item::End => {
                if stands == Some(session) {
                    process.sessions[peer] = None;
                    self.give(at, Input::LinkDown { peer: from });
                    self.redial(at, peer);
                }
            }
        }
    }

    /// Reports a refused connection to the core, unless there is a session by now.
    pub(crate) fn refused(&mut self, at: usize, peer: usize, told: bool) {
        let process = self.nodes[at].process.as_ref();
        if process.is_some_and(|process| process.sessions[peer].is_none()) {
            let peer = tercet_core::id::ReplicaId(peer as u32 + 1);
            self.give(at, Input::Refused { peer, told });
        }
    }

    /// Schedules an attempt to make a session, if none is scheduled.
    pub(crate) fn redial(&mut self, a: usize, b: usize) {
        let link = self.net.link(a, b);
        if !link.dialing {
            link.dialing = true;
            // The delay grows each time, as in the production dialler.
            let usual = 2_000 << link.dials.min(5);
            link.dials += 1;
            let delay = self.rng.between(usual / 2, usual * 3 / 2);
            self.after(delay, Event::Dial { a, b });
        }
    }

    pub(crate) fn dial(&mut self, a: usize, b: usize) {
        let link = self.net.link(a, b);
        link.dialing = false;
        if link.stands {
            return;
        }
        let (cut, forged) = (link.is_cut(), link.forged);
        let once = std::mem::take(&mut link.refuses_once);
        let misled = once || self.now < link.misled_until;
        if self.nodes[a].process.is_none() && self.nodes[b].process.is_none() {
            return;
        }
        let knows = |at: usize, peer: usize| {
            let process = self.nodes[at].awake();
            let id = self.nodes[peer].id;
            process.is_some_and(|p| p.sessions[peer].is_none() && p.replica.knows(id))
        };
        let able = [(a, b), (b, a)].into_iter();
        let able: Vec<_> = able.filter(|&(at, peer)| knows(at, peer)).collect();
        if able.is_empty() || cut {
            return self.redial(a, b);
        }
        let (dialer, other) = self.rng.pick(&able);
        let run = self.nodes[dialer].process.as_ref().map_or(0, |p| p.run.0);
        if forged || misled || self.nodes[other].process.is_none() {
            if forged || misled || !self.nodes[other].dark {
                self.statistics.event("refused");
                let delay = self.rng.skewed(50, 2_000);
                let told = once || !misled;
                let work = Work::Refused { peer: other, told };
                let at = dialer;
                self.after(delay, Event::Deliver { at, run, work });
            }
            return self.redial(a, b);
        }
        let run_of = |at: usize| self.nodes[at].process.as_ref().map_or(0, |p| p.run.0);
        let runs = [run_of(a.min(b)), run_of(a.max(b))];
        let link = self.net.link(a, b);
        link.runs = runs;
        link.session += 1;
        link.stands = true;
        link.dials = 0;
        link.lossy = false;
        link.held = [Vec::new(), Vec::new()];
        let session = link.session;
        if let Some(process) = self.nodes[dialer].process.as_ref() {
            let hello = Box::new(process.replica.hello());
            self.transmit(dialer, other, session, Item::Hello { hello, dial: true });
        }
    }

    /// Ends the present session. With `abort`, its items on the way are lost.
    pub fn hang_up(&mut self, a: usize, b: usize, abort: bool) {
        let link = self.net.link(a, b);
        if !link.stands {
            return;
        }
        let session = link.session;
        link.stands = false;
        link.held = [Vec::new(), Vec::new()];
        if abort {
            link.void = session;
        }
        for (from, to) in [(a, b), (b, a)] {
            self.end_at(from, to, session, abort);
        }
        self.redial(a, b);
    }

    /// Ends a session that the core does not need any more; the core gets no report of it.
    pub(crate) fn disconnect(&mut self, at: usize, peer: usize) {
        if let Some(process) = self.nodes[at].process.as_mut() {
            process.sessions[peer] = None;
        }
        self.hang_up(at, peer, false);
    }

    /// Reports to `to` that its session with `from` ended; a cut delays the report.
    fn end_at(&mut self, from: usize, to: usize, session: u64, abort: bool) {
        let link = self.net.link(from, to);
        if link.cut[direction(from, to)] != Cut::None {
            link.owed[usize::from(to > from)] = Some(session);
        } else if abort {
            let delay = self.rng.skewed(50, 10_000);
            let item = Item::End;
            let event = Event::Arrive {
                from,
                to,
                session,
                item,
            };
            self.after(delay, event);
        } else {
            self.arrive_in_order(from, to, session, Item::End);
        }
    }

    /// Ends the sessions of a process that died. With `silent`, for a host without power, the peers get no report.
    pub(crate) fn drop_sessions(&mut self, at: usize, silent: bool) {
        for peer in (0..self.nodes.len()).filter(|&peer| peer != at) {
            let abort = self.rng.chance(400);
            let link = self.net.link(at, peer);
            if !link.stands {
                continue;
            }
            let session = link.session;
            link.stands = false;
            link.held = [Vec::new(), Vec::new()];
            if silent {
                link.owed[usize::from(peer > at)] = Some(session);
                continue;
            }
            if abort {
                link.void = session;
            }
            self.end_at(at, peer, session, abort);
            self.redial(at, peer);
        }
    }

    /// Reports the ends that could not be reported before, because the host was down or the link was cut.
    pub(crate) fn tell_ends(&mut self, a: usize, b: usize) {
        let (low, high) = (a.min(b), a.max(b));
        for (side, from, to) in [(0, high, low), (1, low, high)] {
            if let Some(session) = self.net.link(a, b).owed[side].take() {
                self.end_at(from, to, session, true);
            }
        }
        self.redial(a, b);
    }

    /// Ends the cut of a link.
    pub(crate) fn heal(&mut self, a: usize, b: usize) {
        let link = self.net.link(a, b);
        link.forged = false;
        if link.is_cut() {
            self.disturbed = self.disturbed.max(self.now);
            self.trace
                .line(self.now, || format!("link {}-{} healed", a + 1, b + 1));
        }
        let link = self.net.link(a, b);
        link.cut = [Cut::None; 2];
        let held = std::mem::take(&mut link.held);
        if link.lossy || self.rng.chance(300) {
            self.hang_up(a, b, true);
        } else {
            let (low, high) = (a.min(b), a.max(b));
            for (items, (from, to)) in held.into_iter().zip([(low, high), (high, low)]) {
                for (session, item) in items {
                    self.arrive_in_order(from, to, session, item);
                }
            }
        }
        let dark = self.nodes[a].dark || self.nodes[b].dark;
        if !dark {
            self.tell_ends(a, b);
        }
    }

    /// Ends the session for one side of a cut link, which has waited long enough.
    pub(crate) fn give_up(&mut self, side: usize, peer: usize, session: u64) {
        let link = self.net.link(side, peer);
        if !link.is_cut() || link.session != session {
            return;
        }
        link.stands = false;
        link.owed[usize::from(peer > side)] = Some(session);
        let Some(run) = self.nodes[side].process.as_ref().map(|p| p.run.0) else {
            return;
        };
        let item = Item::End;
        let work = Work::Link {
            peer,
            session,
            item,
        };
        self.deliver(side, run, work);
    }
}
