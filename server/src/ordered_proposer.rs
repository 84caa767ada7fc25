//! An ordered proposer: proposals of one caller that enter the log in the order they were made, several at
//! once.
//!
//! Once a proposal is refused, or its outcome is unknown, the later ones are refused too. A caller that makes
//! them again in order then finds no later proposal in the log before an earlier one.

use std::sync::Arc;

use tercet_proto::log::Command;
use tercet_types::fair::Key;
use tokio::sync::mpsc;

use crate::{
    proposals::{Proposal, Proposals},
    reply::{Answer, OrderedAnswers, OrderedReply, Reply},
};

/// The caller's end: proposes commands and receives answers. The caller bounds it: each answer that was not
/// taken is one proposal.
pub(crate) struct OrderedProposer {
    proposals: Proposals,
    key: Key,
    shared: Arc<OrderedAnswers>,
    answers: mpsc::UnboundedReceiver<(u64, Answer)>,
}

impl OrderedProposer {
    /// Makes a proposer whose proposals take turns with others by `key`.
    pub(crate) fn new(proposals: Proposals, key: Key) -> OrderedProposer {
        let (shared, answers) = OrderedAnswers::channel();
        OrderedProposer {
            proposals,
            key,
            shared,
            answers,
        }
    }

    /// Proposes a command under a number of the caller's, and waits while the queue is full. The result comes
    /// as an answer.
    pub(crate) async fn propose(&self, number: u64, command: Command) {
        let reply = Reply::Ordered(OrderedReply::new(number, Arc::clone(&self.shared)));
        let proposal = Proposal { command, reply };
        self.proposals.send(self.key, proposal).await;
    }

    /// Waits for the next answer, and gives the number of its proposal.
    pub(crate) async fn answer(&mut self) -> (u64, Answer) {
        let answer = self.answers.recv().await;
        answer.expect("the proposer has a sender of its own")
    }

    /// Takes an answer that has arrived, if any.
    pub(crate) fn ready(&mut self) -> Option<(u64, Answer)> {
        self.answers.try_recv().ok()
    }

    /// Refuses all proposals from here on.
    pub(crate) fn bar(&self) {
        self.shared.bar();
    }

    /// Tells whether all proposals are refused; the caller then makes a new proposer.
    pub(crate) fn is_barred(&self) -> bool {
        self.shared.is_barred()
    }

    /// Resolves when this replica stops.
    pub(crate) fn closed(&self) -> impl Future<Output = ()> + use<> {
        self.proposals.closed()
    }
}

#[cfg(test)]
mod tests {
    use tercet_core::id::Lsn;

    use super::*;
    use crate::{proposals, reply::Unavailability};

    const KEY: Key = Key::REPLICA;

    fn done(lsn: u64) -> Answer {
        Ok((Lsn(lsn), Default::default()))
    }

    #[tokio::test]
    async fn proposals_keep_their_numbers_and_their_order() {
        let (proposals, mut driver) = proposals::queue(8);
        let mut proposer = OrderedProposer::new(proposals, KEY);
        for number in [7, 8] {
            proposer.propose(number, Command::default()).await;
        }
        for (proposal, lsn) in driver.take(8).into_iter().zip([1, 2]) {
            proposal.reply.send(done(lsn));
        }
        assert_eq!(proposer.answer().await, (7, done(1)));
        assert_eq!(proposer.ready(), Some((8, done(2))));
        assert_eq!(proposer.ready(), None);
        assert!(!proposer.is_barred());
    }

    #[tokio::test]
    async fn what_comes_after_one_that_was_refused_is_barred() {
        let (proposals, mut driver) = proposals::queue(8);
        let mut proposer = OrderedProposer::new(proposals, KEY);
        for number in 0..3 {
            proposer.propose(number, Command::default()).await;
        }
        let mut taken = driver.take(2).into_iter().map(|proposal| proposal.reply);
        let (first, second) = (taken.next().unwrap(), taken.next().unwrap());
        assert!(!second.is_barred());
        first.send(Err(Unavailability::Busy));
        assert!(second.is_barred() && proposer.is_barred());
        assert_eq!(proposer.answer().await, (0, Err(Unavailability::Busy)));
    }

    #[tokio::test]
    async fn proposal_that_nobody_answers_has_an_unknown_fate() {
        let (proposals, mut driver) = proposals::queue(8);
        let mut proposer = OrderedProposer::new(proposals, KEY);
        proposer.propose(1, Command::default()).await;
        drop(driver.take(1));
        drop(driver);
        assert_eq!(
            proposer.answer().await,
            (1, Err(Unavailability::OutcomeUnknown))
        );
        proposer.closed().await;
        proposer.propose(2, Command::default()).await;
        assert_eq!(proposer.answer().await, (2, Err(Unavailability::Stopping)));
    }
}
