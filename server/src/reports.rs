//! Reports of the driver to the thread that serves clients: answers and events of one turn together, because
//! each hand-over wakes that thread once.

use tercet_store::event::Event;
use tokio::sync::mpsc;

use crate::{
    auth::SessionCache,
    fanout::{self, Fanout},
    reply::{Answer, Reply},
};

/// One report.
enum Report {
    /// The answer to a proposal.
    Answer(Reply, Answer),
    /// Events, which are delivered before their proposer is answered.
    Events(Vec<Event>),
    /// The end of all subscriptions.
    StreamsEnd(fanout::Ended),
}

/// The driver's end. It is bounded by the proposals under way, each of which has one answer.
pub(crate) struct Reports {
    fanout: Fanout,
    turn: Vec<Report>,
    sender: mpsc::UnboundedSender<Vec<Report>>,
}

/// The services' end.
pub(crate) struct Reported(mpsc::UnboundedReceiver<Vec<Report>>);

/// Makes both ends.
pub(crate) fn reports(fanout: Fanout) -> (Reports, Reported) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let reports = Reports {
        fanout,
        turn: Vec::new(),
        sender,
    };
    (reports, Reported(receiver))
}

impl Reports {
    /// Reports an answer. After a failed proposal its ordered proposer is barred at once, so that no later
    /// proposal enters the log before it is repeated.
    pub(crate) fn answer(&mut self, reply: Reply, answer: Answer) {
        if answer.is_err() {
            reply.bar();
        }
        self.turn.push(Report::Answer(reply, answer));
    }

    /// Reports events of entries that are applied and durable. Events without an audience are left out, because
    /// they would wake the other thread for nothing.
    pub(crate) fn events(&mut self, mut events: Vec<Event>) {
        events.retain(|event| self.fanout.has_audience(event));
        if !events.is_empty() {
            self.turn.push(Report::Events(events));
        }
    }

    /// Reports the end of all subscriptions.
    pub(crate) fn end_streams(&mut self, why: fanout::Ended) {
        self.turn.push(Report::StreamsEnd(why));
    }

    /// Hands over the reports of this turn.
    pub(crate) fn flush(&mut self) {
        if !self.turn.is_empty() {
            let turn = std::mem::take(&mut self.turn);
            // Services that have ended need no reports.
            let _ = self.sender.send(turn);
        }
    }
}

impl Reported {
    /// Delivers reports until the driver is gone.
    pub(crate) async fn deliver(mut self, fanout: Fanout, sessions: SessionCache) {
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
    use tercet_proto::log::{MessagesDropped, change::What};
    use tercet_store::changes::ChangeRow;
    use tercet_types::fair::Key;
    use tokio::sync::oneshot;

    use super::*;
    use crate::{
        fanout::Subscriber, ordered_proposer::OrderedProposer, proposals, reply::Unavailability,
    };

    #[tokio::test]
    async fn ordered_proposer_is_barred_before_its_refusal_is_reported() {
        let (proposals, mut driver) = proposals::queue(8);
        let mut proposer = OrderedProposer::new(proposals, Key::REPLICA);
        for number in 0..2 {
            proposer.propose(number, Command::default()).await;
        }
        let mut taken = driver.take(2).into_iter().map(|proposal| proposal.reply);
        let (first, second) = (taken.next().unwrap(), taken.next().unwrap());
        let (mut reports, reported) = reports(Fanout::new());
        reports.answer(first, Err(Unavailability::Busy));
        assert!(second.is_barred());
        assert_eq!(proposer.ready(), None);
        reports.flush();
        drop(reports);
        reported.deliver(Fanout::new(), SessionCache::new()).await;
        assert_eq!(proposer.ready(), Some((0, Err(Unavailability::Busy))));
    }

    #[test]
    fn event_without_an_audience_is_not_handed_over() {
        let fanout = Fanout::new();
        let (mut reports, mut reported) = reports(fanout.clone());
        let what = What::MessagesDropped(MessagesDropped::default());
        let event = Event::Change {
            row: ChangeRow { lsn: 10, what }.into(),
            members: [2].into(),
        };
        reports.events(vec![event.clone()]);
        reports.flush();
        assert!(reported.0.try_recv().is_err());
        let _subscription = fanout.register(Subscriber {
            by_api_token: false,
            account_id: 2,
            username: "bob".into(),
            token_hash: [1; 32],
        });
        reports.events(vec![event]);
        reports.flush();
        assert!(reported.0.try_recv().is_ok());
    }

    #[tokio::test]
    async fn answer_that_nobody_hands_over_leaves_the_fate_unknown() {
        let (mut reports, reported) = reports(Fanout::new());
        let (reply, answer) = oneshot::channel();
        reports.answer(Reply::Call(reply), Err(Unavailability::Busy));
        reports.flush();
        drop(reported);
        assert!(answer.await.is_err());
    }
}
