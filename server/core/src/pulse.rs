//! Signs of life: of this replica to the others, and of its own disk.

use crate::{message::Message, shared::Common};

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

    /// "I am here" to everybody with whom a session stands.
    pub(crate) fn ping(&mut self) {
        let (promised, clock) = (self.promised, self.now);
        let linked: Vec<_> = self.peers.linked().collect();
        for to in linked {
            self.send(to, Message::Ping { promised, clock });
        }
    }
}
