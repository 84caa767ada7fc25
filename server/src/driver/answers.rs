//! What callers of the driver are told of their proposals.

use tercet_core::id::Lsn;
use tercet_proto::log::Outcome;

use super::Driver;
use crate::handle::Unserved;

impl Driver {
    /// Messages are applied, and durable on every member of the view. Whoever waits is told, if nobody can
    /// take over without them ([`uncut_from`](tercet_core::Replica::uncut_from)); else once the state is
    /// durable too.
    pub(super) fn acknowledge(&mut self, outcomes: Vec<(Lsn, Outcome)>) {
        let waiting = self.accepted.front().map(|&(lsn, _)| lsn);
        if !may_tell(self.parts.replica.uncut_from(), waiting) {
            return;
        }
        for (lsn, outcome) in outcomes {
            self.parts.lease.tell(lsn);
            self.answer(lsn, outcome);
        }
    }

    /// Tells whoever proposed the entry at `lsn` what came of it.
    pub(super) fn answer(&mut self, lsn: Lsn, outcome: Outcome) {
        while let Some((accepted, reply)) = self.accepted.pop_front_if(|(at, _)| *at <= lsn) {
            if accepted == lsn {
                return reply.send(Ok((lsn, outcome)));
            }
            reply.send(Err(Unserved::OutcomeUnknown));
        }
    }

    /// Nothing that waits here will be answered: what is in the log has an unknown fate, the rest
    /// was not done.
    pub(super) fn abandon(&mut self, why: &Unserved) {
        for (_, reply) in self.accepted.drain(..) {
            reply.send(Err(Unserved::OutcomeUnknown));
        }
        for (_, reply) in self.proposed.drain() {
            reply.send(Err(why.clone()));
        }
    }
}

/// Whether everything that waits, from this LSN on, is past where nothing committed can be cut.
fn may_tell(uncut_from: Option<Lsn>, waiting: Option<Lsn>) -> bool {
    uncut_from.is_some_and(|uncut| waiting.is_some_and(|first| first >= uncut))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_view_of_some_committed_is_told_late_and_so_is_what_is_behind_it() {
        assert!(may_tell(Some(Lsn(5)), Some(Lsn(6))));
        assert!(!may_tell(Some(Lsn(5)), Some(Lsn(4))), "of the view before");
        assert!(!may_tell(None, Some(Lsn(6))));
    }
}
