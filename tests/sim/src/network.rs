//! The links between replicas as data: which session stands, what is cut, when a message arrives.
//! What happens at the ends is for `world::links`.

use tercet_core::message::{Hello, Message};

use crate::rng::Rng;

/// What travels on a session.
#[derive(Clone, Debug)]
pub enum Item {
    /// The first word; whoever gets a `dial`ing one answers with its own.
    Hello {
        hello: Box<Hello>,
        dial: bool,
    },
    Message(Box<Message>),
    /// The end of the session, as TCP tells it.
    End,
}

/// What becomes of messages in one direction of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// They arrive.
    None,
    /// They vanish, and so the session cannot be used after the cut.
    Vanish,
    /// They arrive after the cut, like packets that are sent again.
    Hold,
}

/// The link between two replicas. Directions: 0 from the lower to the higher one, 1 back.
#[derive(Clone, Debug)]
pub struct Link {
    /// Number of the newest session; the first has 1.
    pub session: u64,
    /// Whether the newest session stands, or is being made.
    pub stands: bool,
    /// Between which processes it is: of the lower replica, of the higher.
    pub runs: [u64; 2],
    /// Of sessions up to this one nothing arrives any more.
    pub void: u64,
    /// When the last message of each direction arrives: nothing overtakes.
    pub arrival: [u64; 2],
    pub cut: [Cut; 2],
    /// Held by a cut: session and item.
    pub held: [Vec<(u64, Item)>; 2],
    /// Something of the session vanished.
    pub lossy: bool,
    /// A connection is refused although the other side lives: a firewall says so.
    pub forged: bool,
    /// Until this time whoever dials is refused by another process than the peer's: each has an address of
    /// the other that is not the other's, or never was.
    pub misled_until: u64,
    /// The next connection is refused by the peer's address, though the peer lives.
    pub refuses_once: bool,
    /// The end of this session, untold yet to the lower side, to the higher side.
    pub owed: [Option<u64>; 2],
    /// An attempt to connect is scheduled.
    pub dialing: bool,
    /// Attempts since the last session.
    pub dials: u32,
    /// No reset before this time.
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

    /// Whether either direction is cut.
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

/// How the network treats single messages.
#[derive(Clone, Copy, Debug)]
pub struct MessageFaults {
    /// Shortest and longest latency, microseconds; most are near the shortest.
    pub latency: (u64, u64),
    /// Messages out of a thousand that are lost, doubled, delayed past others.
    pub lost: u64,
    pub doubled: u64,
    pub overtaken: u64,
}

impl MessageFaults {
    /// Sessions as the core was promised them.
    pub const FAIR: MessageFaults = MessageFaults {
        latency: (80, 2_000),
        lost: 0,
        doubled: 0,
        overtaken: 0,
    };
}

/// All links.
#[derive(Clone, Debug)]
pub struct Network {
    count: usize,
    links: Vec<Link>,
    pub message_faults: MessageFaults,
}

impl Network {
    /// Links between `count` replicas, none of which has a session.
    #[must_use]
    pub fn new(count: usize) -> Network {
        Network {
            count,
            links: vec![Link::new(); count * count],
            message_faults: MessageFaults::FAIR,
        }
    }

    /// The link between two replicas, in whichever order.
    pub fn link(&mut self, a: usize, b: usize) -> &mut Link {
        &mut self.links[a.min(b) * self.count + a.max(b)]
    }

    /// All pairs, lower one first.
    #[must_use]
    pub fn pairs(&self) -> Vec<(usize, usize)> {
        let all = 0..self.count;
        all.flat_map(|a| (a + 1..self.count).map(move |b| (a, b)))
            .collect()
    }

    /// Whether any link is cut or refuses falsely.
    #[must_use]
    pub fn is_faulty(&self) -> bool {
        self.links.iter().any(|link| link.is_cut() || link.forged)
    }

    /// When an item that leaves now arrives in order.
    pub fn arrival(&mut self, now: u64, from: usize, to: usize, rng: &mut Rng) -> u64 {
        let (low, high) = self.message_faults.latency;
        let latency = rng.skewed(low, high);
        let last = &mut self.link(from, to).arrival[direction(from, to)];
        *last = (now + latency).max(*last + 1);
        *last
    }
}

/// Which direction of their link `from` sends in.
#[must_use]
pub fn direction(from: usize, to: usize) -> usize {
    usize::from(from > to)
}

/// A message's kind, for counting.
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
