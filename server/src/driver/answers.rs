//! What callers of the driver are told of their proposals.

use tercet_core::id::Lsn;
use tercet_proto::log::Outcome;

use super::Driver;
use crate::handle::Unserved;

impl Driver {
    /// Messages are applied, and durable on every member of the view. Whoever waits is told, if nobody can
    /// take over without them ([`may_tell_early`](tercet_core::Replica::may_tell_early)); else once the
    /// state is durable too.
    pub(super) fn acknowledge(&mut self, outcomes: Vec<(Lsn, Outcome)>) {
        let replica = &self.parts.replica;
        let waiting = self.accepted.front();
        if !waiting.is_some_and(|&(first, _)| replica.may_tell_early(first)) {
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
