//! Signs of life: of this replica to the others, and of its own disk. And what follows where a disk does not
//! answer, or is slow.

use alloc::vec::Vec;

use crate::{
    latency::{Latency, TIMES_SLOWER},
    message::Message,
    shared::Common,
};

/// A member may take as long for an acknowledgement as this many of the leader's own writes, where that is more
/// than `ack_timeout`: where all disks are slow, nobody's is.
const ACK_WRITES: u64 = 3;

/// A hand-over may take as long as this many writes of the slower of both disks: the write under way, the one
/// behind it, and as much again.
const HAND_OVER_WRITES: u64 = 4;

/// Limits that follow a disk grow to this many times `ack_timeout` at most.
const LIMIT_GROWTH_MAX: u64 = 4;

impl Common {
    /// How long the disk of this replica has not answered, microseconds; 0 if nothing is on its way there.
    pub(crate) fn disk_silence(&self) -> u64 {
        self.disk_silent_since
            .map_or(0, |since| self.now.since(since))
    }

    /// Whether the disk of this replica has not answered for longer than a member may take.
    pub(crate) fn disk_stalls(&self) -> bool {
        self.disk_silence() > self.timing.ack_timeout
    }

    /// Whether nobody should wait for this replica's disk: it stalls, or the replica gave up the lead for it.
    pub(crate) fn is_excused(&self) -> bool {
        self.disk_stalls() || self.excused_until.is_some_and(|until| self.now < until)
    }

    /// This replica gives up the lead: the next takeover is not to wait for its disk. If none comes for as long as
    /// a member may take, it stands itself.
    pub(crate) fn excuse_for_a_while(&mut self) {
        self.excused_until = Some(self.now.after(self.timing.ack_timeout));
        self.disk.forget();
    }

    /// How long a member may take to acknowledge anything, microseconds.
    pub(crate) fn ack_limit(&self) -> u64 {
        let usual = self.timing.ack_timeout;
        let writes = ACK_WRITES.saturating_mul(self.disk.takes(self.now));
        writes.clamp(usual, LIMIT_GROWTH_MAX * usual)
    }

    /// An acknowledgement that takes longer is late, microseconds: not where this leader's own disk is slow too.
    pub(crate) fn late_limit(&self) -> u64 {
        let much_slower = TIMES_SLOWER.saturating_mul(self.disk.takes(self.now));
        self.timing.late_ack.max(much_slower)
    }

    /// How long this leader tries to hand over, to a replica with that disk, microseconds.
    pub(crate) fn hand_over_limit(&self, transferee: Option<Latency>) -> u64 {
        let transferee = transferee.map_or(0, |transferee| transferee.takes(self.now));
        let slower = self.disk.takes(self.now).max(transferee);
        let usual = self.timing.transfer_timeout;
        let most = usual.max(LIMIT_GROWTH_MAX * self.timing.ack_timeout);
        HAND_OVER_WRITES.saturating_mul(slower).clamp(usual, most)
    }

    /// "I am here" to everybody with whom a session stands.
    pub(crate) fn ping(&mut self) {
        let (promised, clock) = (self.promised, self.now);
        let linked: Vec<_> = self.peers.linked().collect();
        for to in linked {
            self.send(to, Message::Ping { promised, clock });
        }
    }
}
