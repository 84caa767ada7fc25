//! The answers to proposals: the failures, and the two ways back to a caller. A call gets one answer; an ordered
//! proposer gets many, and refuses what follows a failure.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tercet_core::id::{Lsn, ReplicaId};
use tercet_proto::log::Outcome;
use tokio::sync::{mpsc, oneshot};

/// Why a write was not answered or a read was not permitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailability {
    #[error("this replica does not lead{}", who_leads(*.0))]
    NotLeader(Option<ReplicaId>),
    #[error("a takeover is under way")]
    InTransition,
    #[error("too many calls are waiting")]
    Busy,
    #[error("too few replicas answer to commit a write")]
    NoQuorum,
    /// The write may or may not happen.
    #[error("the outcome of the write is not known")]
    OutcomeUnknown,
    #[error("the disk is full: this replica serves reads only")]
    DiskFull,
    #[error(
        "{}, and would stop at what this call writes; start the newest build there, then call again",
        have_older_builds(.0)
    )]
    OlderReplicas(Vec<ReplicaId>),
    #[error("this replica is stopping")]
    Stopping,
}

/// Describes the other leader that a replica knows.
fn who_leads(leader: Option<ReplicaId>) -> String {
    match leader {
        Some(leader) => format!("; replica {leader} does, as far as it knows"),
        None => " and knows no leader".to_owned(),
    }
}

/// Names the connected replicas that do not know a new command.
fn have_older_builds(replicas: &[ReplicaId]) -> String {
    let ids: Vec<String> = replicas.iter().map(ToString::to_string).collect();
    match &ids[..] {
        [id] => format!("replica {id} runs an older build"),
        ids => format!("replicas {} run older builds", ids.join(", ")),
    }
}

/// The result of a proposal.
pub(crate) type Answer = Result<(Lsn, Outcome), Unavailability>;

/// The destination of the answer to a proposal. A caller that went away is normal.
pub(crate) enum Reply {
    /// The one call that made the proposal.
    Call(oneshot::Sender<Answer>),
    /// An ordered proposer.
    Ordered(OrderedReply),
}

impl Reply {
    pub(crate) fn send(self, answer: Answer) {
        match self {
            Reply::Call(call) => _ = call.send(answer),
            Reply::Ordered(proposer) => proposer.send(answer),
        }
    }

    /// Makes the ordered proposer refuse the proposals after this one.
    pub(crate) fn bar(&self) {
        if let Reply::Ordered(proposer) = self {
            proposer.bar();
        }
    }

    /// Tells whether the proposal must be refused because an earlier one of its ordered proposer was.
    pub(crate) fn is_barred(&self) -> bool {
        matches!(self, Reply::Ordered(proposer) if proposer.is_barred())
    }
}

/// The answers to the proposals of an ordered proposer.
pub(crate) struct OrderedAnswers {
    barred: AtomicBool,
    sender: mpsc::UnboundedSender<(u64, Answer)>,
}

impl OrderedAnswers {
    /// Makes both ends.
    pub(crate) fn channel() -> (Arc<OrderedAnswers>, mpsc::UnboundedReceiver<(u64, Answer)>) {
        let (sender, answers) = mpsc::unbounded_channel();
        let barred = AtomicBool::new(false);
        (Arc::new(OrderedAnswers { barred, sender }), answers)
    }

    /// Refuses all proposals from here on.
    pub(crate) fn bar(&self) {
        self.barred.store(true, Ordering::Release);
    }

    /// Tells whether all proposals are refused.
    pub(crate) fn is_barred(&self) -> bool {
        self.barred.load(Ordering::Acquire)
    }
}

/// The destination of one answer. When it is dropped without an answer, the outcome is unknown.
pub(crate) struct OrderedReply {
    number: u64,
    /// `None` after the answer.
    answers: Option<Arc<OrderedAnswers>>,
}

impl OrderedReply {
    /// Makes the destination of the answer to the proposal with that number of the caller's.
    pub(crate) fn new(number: u64, answers: Arc<OrderedAnswers>) -> OrderedReply {
        let answers = Some(answers);
        OrderedReply { number, answers }
    }

    pub(crate) fn is_barred(&self) -> bool {
        self.answers
            .as_ref()
            .is_some_and(|answers| answers.is_barred())
    }

    pub(crate) fn bar(&self) {
        if let Some(answers) = &self.answers {
            answers.bar();
        }
    }

    pub(crate) fn send(mut self, answer: Answer) {
        self.answer(answer);
    }

    fn answer(&mut self, answer: Answer) {
        let Some(answers) = self.answers.take() else {
            return;
        };
        if answer.is_err() {
            answers.bar();
        }
        // A caller that went away is normal.
        let _ = answers.sender.send((self.number, answer));
    }
}

impl Drop for OrderedReply {
    fn drop(&mut self) {
        self.answer(Err(Unavailability::OutcomeUnknown));
    }
}
