//! Proposals of the driver's callers: how many are under way at once, and how each is answered.

use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use tercet_core::{
    id::{Lsn, Ticket},
    input::Input,
};
use tercet_proto::log::{Command, Outcome};
use tercet_store::command::{self, NeedsNewer};
use tokio::time::Instant;

use super::{Driver, Ended, TURN_MAX};
use crate::{clock, proposals::Proposal, reply::Unavailability};

/// Proposals under way while more wait in turn. Several times what one fsync carries under full load, so that
/// the log never runs dry; about 100 ms of work before a new proposal.
const PIPELINE_MAX: usize = 2_048;

/// The time without an answer after which the log counts as stuck. Further proposals then go to the core, which
/// refuses them with the reason.
const PIPELINE_STUCK: Duration = Duration::from_millis(100);

impl Driver {
    /// Gives the number of proposals that the next turn may take.
    pub(super) fn takes(&self) -> usize {
        let under_way = self.accepted.len() + self.proposed.len();
        if under_way >= PIPELINE_MAX && self.answered_at.elapsed() < PIPELINE_STUCK {
            return 0;
        }
        PIPELINE_MAX.saturating_sub(under_way).clamp(1, TURN_MAX)
    }

    pub(super) fn on_proposals(&mut self, proposals: Vec<Proposal>) -> Result<(), Ended> {
        if self.accepted.is_empty() {
            self.answered_at = Instant::now();
        }
        let version = self.command_version();
        let stamp = self.stamp();
        let mut batch = Vec::with_capacity(proposals.len());
        for proposal in proposals {
            if self.disk_full {
                let reports = &mut self.deps.reports;
                reports.answer(proposal.reply, Err(Unavailability::DiskFull));
                continue;
            }
            if proposal.reply.is_barred() {
                let why = self.deps.status.borrow().unavailable();
                self.deps.reports.answer(proposal.reply, Err(why));
                continue;
            }
            let encoded = match encode(proposal.command, version, stamp) {
                Ok(encoded) => encoded,
                Err(newer) => {
                    let why = Unavailability::OlderReplicas(self.older_replicas(newer));
                    self.deps.reports.answer(proposal.reply, Err(why));
                    continue;
                }
            };
            let ticket = Ticket(self.next_ticket);
            self.next_ticket += 1;
            batch.push((ticket, encoded));
            self.proposed.insert(ticket, proposal.reply);
        }
        match batch.is_empty() {
            true => Ok(()),
            false => self.step(Input::Propose { proposals: batch }),
        }
    }

    /// Gives the stamp of commands made now.
    pub(super) fn stamp(&mut self) -> Stamp {
        let time_ms = self.deps.cluster_clock.now_ms();
        let stamp_ms = self.stamps.next(time_ms, clock::now());
        Stamp {
            stamp_ms,
            ahead_ms: stamp_ms.saturating_sub(time_ms).max(0),
        }
    }

    /// Answers proposals of messages that are applied and durable on every member of the view. If no replica
    /// can take over without them ([`may_tell_early`](tercet_core::Replica::may_tell_early)), the answers go
    /// out now; otherwise after the state is durable.
    pub(super) fn acknowledge(&mut self, outcomes: Vec<(Lsn, Outcome)>) {
        let replica = &self.deps.replica;
        let waiting = self.accepted.front();
        if !waiting.is_some_and(|&(first, _)| replica.may_tell_early(first)) {
            return;
        }
        for (lsn, outcome) in outcomes {
            self.deps.lease.acknowledge(lsn);
            self.answer(lsn, outcome);
        }
    }

    /// Answers the proposal whose entry is at `lsn`.
    pub(super) fn answer(&mut self, lsn: Lsn, outcome: Outcome) {
        self.answered_at = Instant::now();
        while let Some((accepted, reply)) = self.accepted.pop_front_if(|(at, _)| *at <= lsn) {
            if accepted == lsn {
                return self.deps.reports.answer(reply, Ok((lsn, outcome)));
            }
            let unknown = Err(Unavailability::OutcomeUnknown);
            self.deps.reports.answer(reply, unknown);
        }
    }

    /// Answers all waiting proposals with a failure: those in the log have an unknown outcome, the others were
    /// not done.
    pub(super) fn abandon(&mut self, why: &Unavailability) {
        for (_, reply) in self.accepted.drain(..) {
            let unknown = Err(Unavailability::OutcomeUnknown);
            self.deps.reports.answer(reply, unknown);
        }
        for (_, reply) in self.proposed.drain() {
            self.deps.reports.answer(reply, Err(why.clone()));
        }
    }
}

/// The stamp of commands, milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    stamp_ms: i64,
    /// The time by which the stamp is ahead of cluster time.
    ahead_ms: i64,
}

/// Encodes a command as it goes into the log. All commands come through here, in the turn of the driver that
/// looks up the version and hands them to the core, so that no session can begin or end in between.
///
/// # Errors
/// When the command needs a newer version: it is not proposed.
pub(super) fn encode(
    mut command: Command,
    version: u32,
    stamp: Stamp,
) -> Result<Bytes, NeedsNewer> {
    command::set_version(&mut command, version)?;
    command.stamp_ms = stamp.stamp_ms;
    command.stamp_ahead_ms = stamp.ahead_ms;
    Ok(command.encode_to_vec().into())
}

#[cfg(test)]
mod tests {
    use tercet_proto::log::{CorrectSessions, command::Action};

    use super::*;

    #[test]
    fn what_goes_into_the_log_has_the_version_it_needs_or_is_not_made() {
        let stamp = Stamp {
            stamp_ms: 7,
            ahead_ms: 0,
        };
        let correct = || Action::CorrectSessions(CorrectSessions::default());
        let correct = || command::proposal(Bytes::new(), correct());
        assert_eq!(
            encode(correct(), 0, stamp),
            Err(NeedsNewer { needed: 1 }),
            "a replica of version 0 is connected"
        );
        let encoded = encode(correct(), 1, stamp).unwrap();
        let logged = Command::decode(encoded).unwrap();
        assert_eq!((logged.version, logged.stamp_ms), (1, 7));
    }
}
