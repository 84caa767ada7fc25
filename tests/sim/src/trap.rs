//! The traps: faults that happen at a moment of the protocol, such as a promise on its way to the disk, which random
//! times hardly ever meet.

use crate::world::{Blow, World};

/// The moments at which a trap can spring.
const MOMENTS: [&str; 25] = [
    "Prepare",
    "Promised",
    "Pull",
    "Pulled",
    "LeadershipTransfer",
    "Nominate",
    "PreVoteReply",
    "Vetoed",
    "Promising",
    "Excused",
    "Resigned",
    "Fenced",
    "AppendMismatch",
    "Appended",
    "Leave",
    "SnapshotNeeded",
    "fetches a snapshot",
    "installs a snapshot",
    "persists a cut",
    "persists a Config",
    "persists a promise",
    "applies a Config",
    "accepts",
    "acknowledges",
    "applies",
];

/// The replicas on which a trap acts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Victims {
    Itself,
    Peer,
    Others,
    OthersButPeer,
    Everyone,
}

/// A fault that waits for its moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trap {
    moment: &'static str,
    /// The number of such moments that it lets pass first.
    skip: u64,
    victims: Victims,
    blow: Blow,
}

impl World {
    pub(crate) fn set_trap(&mut self) {
        let victims = [
            Victims::Itself,
            Victims::Itself,
            Victims::Peer,
            Victims::Others,
            Victims::OthersButPeer,
            Victims::Everyone,
        ];
        let pause = self.rng.skewed(100_000, 9_000_000);
        let blows = [Blow::Kill, Blow::Kill, Blow::PowerLoss, Blow::Pause(pause)];
        let trap = Trap {
            moment: self.rng.pick(&MOMENTS),
            skip: self.rng.skewed(0, 8),
            victims: self.rng.pick(&victims),
            blow: self.rng.pick(&blows),
        };
        self.trace.line(self.now, || format!("## {trap:?}"));
        self.nemesis.traps.push(trap);
    }

    /// Springs the trap that waits for this moment at a replica, perhaps with a peer, unless it has to skip it.
    pub(crate) fn spring(&mut self, moment: &'static str, at: usize, peer: Option<usize>) {
        let mut waiting = self.nemesis.traps.iter_mut();
        let Some(index) = waiting.position(|trap| trap.moment == moment) else {
            return;
        };
        let trap = &mut self.nemesis.traps[index];
        if trap.skip > 0 {
            trap.skip -= 1;
            return;
        }
        let trap = self.nemesis.traps.swap_remove(index);
        self.statistics.fault("trap sprung");
        self.trace.line(self.now, || format!("## sprung: {trap:?}"));
        let all = 0..self.nodes.len();
        let victims: Vec<usize> = match trap.victims {
            Victims::Itself => vec![at],
            Victims::Peer => vec![peer.unwrap_or(at)],
            Victims::Others => all.filter(|&other| other != at).collect(),
            Victims::OthersButPeer => all.filter(|&x| x != at && Some(x) != peer).collect(),
            Victims::Everyone => all.collect(),
        };
        for victim in victims {
            self.blow(victim, trap.blow);
        }
    }
}
