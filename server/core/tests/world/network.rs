//! Who can talk to whom: sessions, cuts, and what each replica learns of the others' processes.

use std::collections::{BTreeMap, BTreeSet};

use tercet_core::{
    id::{Incarnation, ReplicaId},
    input::Input,
    message::Message,
};

use super::{Event, World};

type Pair = (ReplicaId, ReplicaId);

#[derive(Default)]
pub struct Network {
    /// `(who, peer)`: the peer's run with which `who` has a session.
    sessions: BTreeMap<Pair, Incarnation>,
    /// `(from, to)`: what is sent that way vanishes, and no session is made.
    cuts: BTreeSet<Pair>,
    /// Sessions that were cut: when the cut heals they turn out to be broken.
    broken: BTreeSet<Pair>,
    /// `(who, peer)`: a connection was refused since the peer's last run.
    refused: BTreeSet<Pair>,
    /// `(from, to)`: messages that would be told are lost: so many are not, then so many are.
    lose: BTreeMap<Pair, (u64, u64)>,
    /// The last line written about the lost messages of each pair.
    lost: BTreeMap<Pair, String>,
    /// The latest message that arrived, and one that a slow way keeps a copy of.
    latest: BTreeMap<Pair, Message>,
    kept: BTreeMap<Pair, Message>,
}

impl Network {
    /// A process ended: what it knew of sessions is gone.
    pub fn forget(&mut self, id: ReplicaId) {
        self.sessions.retain(|&(who, _), _| who != id);
        self.refused.retain(|&(who, _)| who != id);
    }

    /// Who is sought anew is found to be gone anew.
    pub fn refuse_again(&mut self) {
        self.refused.clear();
    }

    /// One side ends a session; the other finds it broken.
    pub fn disconnect(&mut self, id: ReplicaId, peer: ReplicaId) {
        self.sessions.remove(&(id, peer));
        self.broken.insert((peer, id));
    }

    pub fn cut(&mut self, from: ReplicaId, to: ReplicaId) {
        self.cuts.insert((from, to));
        self.broken.extend([(from, to), (to, from)]);
    }

    pub fn heal(&mut self) {
        self.cuts.clear();
        self.lose.clear();
        self.lost.clear();
    }

    /// Messages from one to the other get lost: `count` of them, after `spare` that do not.
    pub fn lose(&mut self, from: ReplicaId, to: ReplicaId, spare: u64, count: u64) {
        self.lose.insert((from, to), (spare, count));
    }

    /// A slow way keeps a copy of the latest message.
    pub fn keep(&mut self, from: ReplicaId, to: ReplicaId) {
        let message = self.latest[&(from, to)].clone();
        self.kept.insert((from, to), message);
    }

    fn is_lost(&mut self, from: ReplicaId, to: ReplicaId) -> bool {
        match self.lose.get_mut(&(from, to)) {
            None | Some((_, 0)) => false,
            Some((0, count)) => {
                *count -= 1;
                true
            }
            Some((spare, _)) => {
                *spare -= 1;
                false
            }
        }
    }

    fn is_open(&self, a: ReplicaId, b: ReplicaId) -> bool {
        !self.cuts.contains(&(a, b)) && !self.cuts.contains(&(b, a))
    }
}

impl World {
    pub(super) fn send(&mut self, from: ReplicaId, to: ReplicaId, message: Message) {
        let run = self.network.sessions.get(&(from, to)).copied();
        let there = self.nodes.get(&to).map(|node| node.incarnation);
        if run.is_some() && run == there {
            self.events.push_back(Event::Message { from, to, message });
        }
    }

    /// The message that was kept arrives, overtaken by all since.
    pub(super) fn arrive_late(&mut self, from: ReplicaId, to: ReplicaId) {
        let message = self.network.kept.remove(&(from, to));
        let message = message.expect("a message is kept");
        self.step(to, Input::Received { from, message });
    }

    /// A message arrives, unless its way is cut or its session is over.
    pub(super) fn deliver(&mut self, from: ReplicaId, to: ReplicaId, message: Message) {
        if self.network.cuts.contains(&(from, to)) {
            return;
        }
        let node = &self.nodes[&to];
        let Some(status) = node.replica.as_ref().map(|replica| replica.status()) else {
            return;
        };
        if node.paused {
            self.node(to).inbox.push_back((from, message));
            return;
        }
        if !self.network.sessions.contains_key(&(to, from)) {
            return;
        }
        if let Some(line) = self.teller.message(from, to, &message, &status) {
            if self.network.is_lost(from, to) {
                self.teller.forget(from, to);
                if self.network.lost.get(&(from, to)) != Some(&line) {
                    self.teller.line(format!("{line} (lost)"));
                    self.network.lost.insert((from, to), line);
                }
                return;
            }
            self.teller.line(line);
        }
        self.network.latest.insert((from, to), message.clone());
        self.step(to, Input::Received { from, message });
    }

    /// Everybody who is awake sees which sessions have ended, whose process is gone, and with whom
    /// a new session can be made. Whether anything was learnt.
    pub(super) fn connect(&mut self) -> bool {
        let awake = self.awake();
        let mut learnt = Vec::new();
        for &id in &awake {
            let peers: Vec<_> = self.nodes.keys().copied().filter(|&p| p != id).collect();
            for peer in peers {
                self.look(id, peer, &mut learnt);
            }
        }
        let news = !learnt.is_empty();
        self.events.extend(learnt);
        news
    }

    fn look(&mut self, id: ReplicaId, peer: ReplicaId, learnt: &mut Vec<Event>) {
        if !self.network.is_open(id, peer) {
            return;
        }
        let other = &self.nodes[&peer];
        let run = other.replica.is_some().then_some(other.incarnation);
        let session = self.network.sessions.get(&(id, peer)).copied();
        let broken = self.network.broken.remove(&(id, peer));
        if session.is_some() && (session != run || broken) {
            self.network.sessions.remove(&(id, peer));
            learnt.push(Event::Input(id, Input::LinkDown { peer }));
            return;
        }
        if session.is_some() {
            return;
        }
        if run.is_none() {
            if self.network.refused.insert((id, peer)) {
                let refused = || Event::Input(id, Input::Refused { peer, told: true });
                learnt.extend([refused(), refused()]);
            }
            return;
        }
        let free = !self.network.sessions.contains_key(&(peer, id));
        if !free || other.paused || !self.admits(id, peer) {
            return;
        }
        if self.admits(peer, id) {
            self.link(id, peer, learnt);
            self.link(peer, id, learnt);
        } else if self.tells_its_death(peer, id) {
            let hello = self.nodes[&peer].replica.as_ref().expect("it runs").hello();
            learnt.push(Event::Input(id, Input::LinkUp { hello }));
        }
    }

    /// Who is refused gets the other's hello all the same.
    fn tells_its_death(&self, peer: ReplicaId, to: ReplicaId) -> bool {
        let hello = self.nodes[&peer]
            .replica
            .as_ref()
            .map(|other| other.hello());
        hello.is_some_and(|hello| hello.dead.contains(&(to, self.nodes[&to].disk.store)))
    }

    fn admits(&self, id: ReplicaId, peer: ReplicaId) -> bool {
        let [one, other] = [id, peer].map(|id| self.nodes[&id].replica.as_ref());
        one.zip(other)
            .is_some_and(|(one, other)| one.admits(&other.hello()))
    }

    /// A session between two runs: each gets the other's hello.
    fn link(&mut self, id: ReplicaId, peer: ReplicaId, learnt: &mut Vec<Event>) {
        let other = &self.nodes[&peer];
        let hello = other.replica.as_ref().expect("it runs").hello();
        self.network.broken.remove(&(id, peer));
        self.network.refused.remove(&(id, peer));
        self.network.sessions.insert((id, peer), other.incarnation);
        self.teller.forget(peer, id);
        learnt.push(Event::Input(id, Input::LinkUp { hello }));
    }

    /// A paused replica goes on: it sees that it slept, and then what lay in its queues.
    pub(super) fn wake(&mut self, id: ReplicaId) {
        let now = self.clock(id);
        self.node(id).paused = false;
        self.step(id, Input::Tick { now });
        while let Some((from, message)) = self.node(id).inbox.pop_front() {
            self.deliver(from, id, message);
        }
    }
}
