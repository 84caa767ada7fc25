//! Hands what the driver has to tell over to the thread that serves clients, all of one turn together:
//! each hand-over wakes that thread once, and the many whom it tells are woken there.

use tokio::sync::mpsc;

use crate::{
    auth::SessionCache,
    event::Event,
    fanout::{self, Fanout},
    handle::{Answer, Reply},
};

/// One thing to tell.
enum Report {
    /// What came of a proposal.
    Answer(Reply, Answer),
    /// What happened, before its proposer is answered.
    Events(Vec<Event>),
    /// All streams end.
    StreamsEnd(fanout::Ended),
}

/// The driver's end. Bounded by the proposals that are under way, each of which has one answer.
pub(crate) struct Reports {
    turn: Vec<Report>,
    sender: mpsc::UnboundedSender<Vec<Report>>,
}

/// The end of the services.
pub(crate) struct Reported(mpsc::UnboundedReceiver<Vec<Report>>);

/// Makes both ends.
pub(crate) fn reports() -> (Reports, Reported) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let turn = Vec::new();
    (Reports { turn, sender }, Reported(receiver))
}

impl Reports {
    /// Answers a proposal. A proposer is barred at once where its proposal failed: nothing that the driver takes
    /// after it may get ahead of it.
    pub(crate) fn answer(&mut self, reply: Reply, answer: Answer) {
        if answer.is_err() {
            reply.bar();
        }
        self.turn.push(Report::Answer(reply, answer));
    }

    /// Tells what happened.
    pub(crate) fn events(&mut self, events: Vec<Event>) {
        if !events.is_empty() {
            self.turn.push(Report::Events(events));
        }
    }

    /// Ends all streams.
    pub(crate) fn end_streams(&mut self, why: fanout::Ended) {
        self.turn.push(Report::StreamsEnd(why));
    }

    /// Hands over what there is to tell.
    pub(crate) fn flush(&mut self) {
        if !self.turn.is_empty() {
            let turn = std::mem::take(&mut self.turn);
            // Services that are gone have nobody to tell.
            let _ = self.sender.send(turn);
        }
    }
}

impl Reported {
    /// Tells everybody, until the driver is gone.
    pub(crate) async fn tell(mut self, fanout: Fanout, sessions: SessionCache) {
        while let Some(turn) = self.0.recv().await {
            for report in turn {
                match report {
                    Report::Answer(reply, answer) => reply.send(answer),
                    Report::Events(events) => {
                        sessions.forget(&events);
                        fanout.publish(&events);
                    }
                    Report::StreamsEnd(why) => fanout.close_all(why),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tercet_proto::log::Command;
    use tokio::sync::oneshot;

    use super::*;
    use crate::{fair::Key, handle::Unavailability, ordered_proposer::OrderedProposer, proposals};

    #[tokio::test]
    async fn lane_is_barred_before_its_refusal_is_told() {
        let (proposals, mut driver) = proposals::queue(8);
        let mut proposer = OrderedProposer::new(proposals, Key::REPLICA);
        for number in 0..2 {
            proposer.propose(number, Command::default()).await;
        }
        let mut taken = driver.take(2).into_iter().map(|proposal| proposal.reply);
        let (first, second) = (taken.next().unwrap(), taken.next().unwrap());
        let (mut reports, reported) = reports();
        reports.answer(first, Err(Unavailability::Busy));
        assert!(second.is_barred());
        assert_eq!(proposer.ready(), None);
        reports.flush();
        drop(reports);
        reported.tell(Fanout::new(), SessionCache::new()).await;
        assert_eq!(proposer.ready(), Some((0, Err(Unavailability::Busy))));
    }

    #[tokio::test]
    async fn answer_that_nobody_hands_over_leaves_the_fate_unknown() {
        let (mut reports, reported) = reports();
        let (reply, answer) = oneshot::channel();
        reports.answer(Reply::Call(reply), Err(Unavailability::Busy));
        reports.flush();
        drop(reported);
        assert!(answer.await.is_err());
    }
}
