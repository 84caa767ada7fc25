//! The signs of life: of this replica to the others, and of its own disk; and the limits that grow where a disk is
//! slow.

use alloc::vec::Vec;

use crate::{
    latency::{Latency, TIMES_SLOWER},
    message::Message,
    shared::Common,
};

/// The number of the leader's own writes that a member may take for an acknowledgement, where that is more than
/// `ack_timeout`: where all disks are slow, no member leaves the view for it.
const ACK_WRITES: u64 = 3;

/// The number of writes of the slower of both disks that a leadership transfer may take: the write in progress, the
/// one behind it, and as much again.
const HAND_OVER_WRITES: u64 = 4;

/// The greatest limit that grows with a disk, as a multiple of `ack_timeout`.
const LIMIT_GROWTH_MAX: u64 = 4;

impl Common {
    /// Gives the time for which this replica's disk has not answered, microseconds; 0 if no write is in progress.
    pub(crate) fn disk_silence(&self) -> u64 {
        self.disk_silent_since
            .map_or(0, |since| self.now.since(since))
    }

    /// Tells whether this replica's disk has not answered for longer than a member may take.
    pub(crate) fn disk_stalls(&self) -> bool {
        self.disk_silence() > self.timing.ack_timeout
    }

    /// Tells whether no replica should wait for this replica's disk: it stalls, or the replica resigned because of
    /// it.
    pub(crate) fn is_excused(&self) -> bool {
        self.disk_stalls() || self.excused_until.is_some_and(|until| self.now < until)
    }

    /// Excuses this replica from the next takeover, because it gives up the lead for its disk. If no takeover
    /// succeeds in the time that a member may take, it becomes a candidate itself.
    pub(crate) fn excuse_for_a_while(&mut self) {
        self.excused_until = Some(self.now.after(self.timing.ack_timeout));
        self.disk.forget();
    }

    /// Gives the time that a member may take to acknowledge anything, microseconds.
    pub(crate) fn ack_limit(&self) -> u64 {
        let usual = self.timing.ack_timeout;
        let writes = ACK_WRITES.saturating_mul(self.disk.takes(self.now));
        writes.clamp(usual, LIMIT_GROWTH_MAX * usual)
    }

    /// Gives the time after which an acknowledgement is late, microseconds; longer where this leader's own disk is
    /// slow too.
    pub(crate) fn late_limit(&self) -> u64 {
        let much_slower = TIMES_SLOWER.saturating_mul(self.disk.takes(self.now));
        self.timing.late_ack.max(much_slower)
    }

    /// Gives the time after which this leader gives up a leadership transfer to a replica with that disk,
    /// microseconds.
    pub(crate) fn hand_over_limit(&self, transferee: Option<Latency>) -> u64 {
        let transferee = transferee.map_or(0, |transferee| transferee.takes(self.now));
        let slower = self.disk.takes(self.now).max(transferee);
        let usual = self.timing.transfer_timeout;
        let most = usual.max(LIMIT_GROWTH_MAX * self.timing.ack_timeout);
        HAND_OVER_WRITES.saturating_mul(slower).clamp(usual, most)
    }

    /// Sends a Ping to all replicas with a session.
    pub(crate) fn ping(&mut self) {
        let (promised, clock) = (self.promised, self.now);
        let linked: Vec<_> = self.peers.linked().collect();
        for to in linked {
            self.send(to, Message::Ping { promised, clock });
        }
    }
}
