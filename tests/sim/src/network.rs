//! The links between replicas as data: their sessions, cuts and delays. The work at their ends is in `world::links`.

use tercet_core::message::{Hello, Message};

use crate::rng::Rng;

/// An item that travels in a session.
#[derive(Clone, Debug)]
pub enum Item {
    /// The first item of each side; a side that gets one with `dial` answers with its own.
    Hello {
        hello: Box<Hello>,
        dial: bool,
    },
    Message(Box<Message>),
    /// The end of the session, as TCP reports it.
    End,
}

/// The fate of messages in one direction of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// They arrive.
    None,
    /// They vanish, and so the session cannot be used after the cut.
    Vanish,
    /// They arrive after the cut, like packets that are sent again.
    Hold,
}

/// The link between two replicas. Direction 0 is from the lower to the higher one, 1 back.
#[derive(Clone, Debug)]
pub struct Link {
    /// The number of the newest session; the first has 1.
    pub session: u64,
    /// True if the newest session exists or is being made.
    pub stands: bool,
    /// The runs of the processes at both ends: of the lower replica, of the higher.
    pub runs: [u64; 2],
    /// The newest session from which nothing arrives any more, nor from earlier ones.
    pub void: u64,
    /// The arrival time of the last message in each direction: no message overtakes another.
    pub arrival: [u64; 2],
    pub cut: [Cut; 2],
    /// The session and item of each message that a cut holds.
    pub held: [Vec<(u64, Item)>; 2],
    /// True if an item of the session vanished.
    pub lossy: bool,
    /// True if a firewall refuses connections although the other side lives.
    pub forged: bool,
    /// The time until which connections are refused by another process than the peer's: each side has an address of
    /// the other that is wrong or old.
    pub misled_until: u64,
    /// True if the peer's address refuses the next connection, though the peer lives.
    pub refuses_once: bool,
    /// The session whose end the lower side, or the higher side, does not know yet.
    pub owed: [Option<u64>; 2],
    /// True if an attempt to connect is scheduled.
    pub dialing: bool,
    /// The number of attempts since the last session.
    pub dials: u32,
    /// The time before which there is no reset.
    pub calm_until: u64,
}

impl Link {
    #[must_use]
    pub fn new() -> Link {
        Link {
            session: 0,
            stands: false,
            runs: [0; 2],
            void: 0,
            arrival: [0; 2],
            cut: [Cut::None; 2],
            held: [Vec::new(), Vec::new()],
            lossy: false,
            forged: false,
            misled_until: 0,
            refuses_once: false,
            owed: [None; 2],
            dialing: false,
            dials: 0,
            calm_until: 0,
        }
    }

    /// Tells whether either direction is cut.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.cut.iter().any(|cut| *cut != Cut::None)
    }
}

impl Default for Link {
    fn default() -> Link {
        Link::new()
    }
}

/// The treatment of single messages by the network.
#[derive(Clone, Copy, Debug)]
pub struct MessageFaults {
    /// The shortest and the longest latency, microseconds; most are near the shortest.
    pub latency: (u64, u64),
    /// The number of messages in a thousand that are lost; below, those that are doubled, and delayed past others.
    pub lost: u64,
    pub doubled: u64,
    pub overtaken: u64,
}

impl MessageFaults {
    /// The faults of sessions as the core expects them: none.
    pub const FAIR: MessageFaults = MessageFaults {
        latency: (80, 2_000),
        lost: 0,
        doubled: 0,
        overtaken: 0,
    };
}

/// The network: all links.
#[derive(Clone, Debug)]
pub struct Network {
    count: usize,
    links: Vec<Link>,
    pub message_faults: MessageFaults,
}

impl Network {
    /// Makes the links between `count` replicas, without sessions.
    #[must_use]
    pub fn new(count: usize) -> Network {
        Network {
            count,
            links: vec![Link::new(); count * count],
            message_faults: MessageFaults::FAIR,
        }
    }

    /// Gives the link between two replicas, in either order.
    pub fn link(&mut self, a: usize, b: usize) -> &mut Link {
        &mut self.links[a.min(b) * self.count + a.max(b)]
    }

    /// Gives all pairs, the lower one first.
    #[must_use]
    pub fn pairs(&self) -> Vec<(usize, usize)> {
        let all = 0..self.count;
        all.flat_map(|a| (a + 1..self.count).map(move |b| (a, b)))
            .collect()
    }

    /// Tells whether any link is cut or refuses falsely.
    #[must_use]
    pub fn is_faulty(&self) -> bool {
        self.links.iter().any(|link| link.is_cut() || link.forged)
    }

    /// Gives the time at which an item that leaves now arrives, in order.
    pub fn arrival(&mut self, now: u64, from: usize, to: usize, rng: &mut Rng) -> u64 {
        let (low, high) = self.message_faults.latency;
        let latency = rng.skewed(low, high);
        let last = &mut self.link(from, to).arrival[direction(from, to)];
        *last = (now + latency).max(*last + 1);
        *last
    }
}

/// Gives the direction of their link in which `from` sends.
#[must_use]
pub fn direction(from: usize, to: usize) -> usize {
    usize::from(from > to)
}

/// Gives the kind of a message, for counting.
#[must_use]
pub fn kind(message: &Message) -> &'static str {
    match message {
        Message::Ping { .. } => "Ping",
        Message::Append(_) => "Append",
        Message::Appended { .. } => "Appended",
        Message::AppendMismatch { .. } => "AppendMismatch",
        Message::SnapshotNeeded { .. } => "SnapshotNeeded",
        Message::Fenced { .. } => "Fenced",
        Message::PreVote { .. } => "PreVote",
        Message::PreVoteReply { .. } => "PreVoteReply",
        Message::Prepare { .. } => "Prepare",
        Message::Promised { .. } => "Promised",
        Message::Vetoed { .. } => "Vetoed",
        Message::Pull { .. } => "Pull",
        Message::Pulled { .. } => "Pulled",
        Message::LeadershipTransfer { .. } => "LeadershipTransfer",
        Message::Nominate { .. } => "Nominate",
        Message::Promising { .. } => "Promising",
        Message::Excused { .. } => "Excused",
        Message::Resigned { .. } => "Resigned",
        Message::Leave => "Leave",
    }
}
