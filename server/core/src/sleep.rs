//! The detection of sleep and its consequences: a gap between two ticks, or a clock that stood still beside those of
//! the peers (`clocks.rs`).

use crate::{
    clocks::{CONTRADICTED_WITHIN, Lost, Suspicion},
    id::ReplicaId,
    message::Message,
    mutation::mutated,
    replica::Replica,
};

impl Replica {
    /// Drops this replica's knowledge of the others, which may have continued without it.
    pub(crate) fn on_slept(&mut self) {
        let c = &mut self.common;
        c.suspicion = None;
        c.deactivate();
        c.peers.slept(c.now);
        // The time for which the disk was silent meanwhile is not known.
        c.disk_silent_since = c.disk_silent_since.map(|_| c.now);
        c.disk.forget();
        self.role.on_slept(c);
    }

    /// Compares the clock in a message with this replica's own. If its own clock stood still for long, the replica
    /// slept, whatever its ticks say; a short time costs a leader its lease, until it is granted again.
    pub(crate) fn compare_clocks(&mut self, from: ReplicaId, message: &Message) {
        let c = &mut self.common;
        mutated!(c, LostTimeIgnored => return);
        let theirs = message.clock();
        let lost = theirs.map(|theirs| c.peers.compare_clocks(from, theirs, c.now));
        match lost {
            None | Some(Lost::Unknown) => return,
            Some(Lost::Nothing) => {
                // A third replica, whose clock was known, shows no lost time.
                if c.suspicion.is_some_and(|suspicion| suspicion.of != from) {
                    c.suspicion = None;
                }
                return;
            }
            Some(Lost::Little) => {}
            Some(Lost::Suspected(lost)) if c.peers.has_witness(from) => {
                let (of, at) = (from, c.now);
                c.suspicion = Some(Suspicion { of, at, lost });
            }
            Some(Lost::Suspected(micros) | Lost::Slept(micros)) => self.lost(micros),
        }
        self.role.doubt_lease(&self.common);
    }

    /// Counts the lost time of a clock that stood still for `micros` as sleep.
    fn lost(&mut self, micros: u64) {
        let c = &mut self.common;
        c.lost_time = c.lost_time.saturating_add(micros);
        c.peers.forget_absent_clocks();
        self.on_slept();
    }

    /// Decides on a suspicion: it counts as sleep if the third replica that could contradict it did not do so, or is
    /// gone.
    pub(crate) fn settle_suspicion(&mut self) {
        let c = &self.common;
        if let Some(Suspicion { of, at, lost }) = c.suspicion {
            let waits = c.now.since(at) <= CONTRADICTED_WITHIN && c.peers.has_witness(of);
            if !waits {
                self.lost(lost);
                self.role.doubt_lease(&self.common);
            }
        }
    }
}
