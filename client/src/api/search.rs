//! The search for the leader: it asks every replica `IsMaster` at once, until one says yes.
//!
//! Each replica is asked in a task of its own, so that a replica that hangs (a paused process accepts connections and
//! never answers) does not delay the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prost::Message as _;
use tercet_proto::method::Method as _;
use tercet_proto::v1::{IsMasterRequest, IsMasterResponse};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tonic::{Request, Status};

use super::Error;
use super::backoff::backoff;
use super::call::send;
use super::links::{Link, Links};
use super::roster::{Candidate, Roster};
use super::verdict::describe;

const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);
/// The time for which the search asks the replicas of the list and of this run alone, before it also asks those of an earlier
/// run.
const REMEMBERED_AFTER: Duration = Duration::from_millis(500);
/// The time that a search takes before it is reported to [`Options::waiting`](super::Options::waiting).
const REPORT_AFTER: Duration = Duration::from_millis(1_500);
/// The hints that wait until the search takes them.
const HINTS_MAX: usize = 16;

/// A replica that said that it leads.
pub(super) struct Leader {
    pub(super) id: u32,
    pub(super) address: String,
    pub(super) epoch: u64,
    /// UUID in text form.
    pub(super) cluster_id: String,
    pub(super) link: Arc<Link>,
    without_streams: AtomicBool,
}

impl Leader {
    /// Notes that the leader is of an earlier version, without streams of messages.
    pub(super) fn has_no_streams(&self) {
        self.without_streams.store(true, Ordering::Relaxed);
    }

    pub(super) fn may_have_streams(&self) -> bool {
        !self.without_streams.load(Ordering::Relaxed)
    }
}

/// Finds the leader.
///
/// # Errors
/// `NoLeader`, with the last answer of each replica, at the deadline.
pub(super) async fn search(
    roster: &Arc<Roster>,
    links: &Arc<Links>,
    deadline: Instant,
) -> Result<Leader, Error> {
    let (hints, mut hinted) = mpsc::channel::<Candidate>(HINTS_MAX);
    let question = |candidate| Question {
        roster: roster.clone(),
        links: links.clone(),
        hints: hints.clone(),
        candidate,
    };
    let mut questions = JoinSet::new();
    for candidate in roster.candidates() {
        questions.spawn(question(candidate).ask_until_yes());
    }
    let remembered_at = Instant::now() + REMEMBERED_AFTER;
    let mut remembered = false;
    let report_at = Instant::now() + REPORT_AFTER;
    loop {
        tokio::select! {
            found = questions.join_next() => match found {
                Some(Ok(Some(leader))) => return Ok(leader),
                Some(_) => {} // an address that cannot be asked
                None if remembered => return Err(roster.no_leader()),
                None => sleep_until(remembered_at.min(deadline)).await,
            },
            Some(hint) = hinted.recv() => {
                questions.spawn(question(hint).ask_until_yes());
            }
            () = sleep_until(remembered_at), if !remembered => {
                remembered = true;
                for candidate in roster.remembered() {
                    questions.spawn(question(candidate).ask_until_yes());
                }
            }
            () = sleep_until(report_at), if roster.has_to_report() => roster.report_search(),
            () = sleep_until(deadline) => return Err(roster.no_leader()),
        }
    }
}

/// Asks the leader in use for the replicas of the cluster.
pub(super) async fn refresh(roster: &Roster, leader: &Leader) {
    let answer = is_master(&leader.link).await;
    if let Ok(Ok(answer)) = answer
        && answer.is_master
    {
        roster.update(&answer);
    }
}

async fn is_master(link: &Link) -> Result<Result<IsMasterResponse, Status>, Elapsed> {
    let request = Request::new(IsMasterRequest {}.encode_to_vec().into());
    let answer = send(link.first_channel(), IsMasterRequest::PATH, request);
    let answer = timeout(ANSWER_TIMEOUT, answer).await?;
    Ok(answer.and_then(|answer| {
        IsMasterResponse::decode(answer).map_err(|error| Status::internal(error.to_string()))
    }))
}

/// The question to one replica whether it leads.
struct Question {
    roster: Arc<Roster>,
    links: Arc<Links>,
    /// Takes the replicas that this one names.
    hints: mpsc::Sender<Candidate>,
    candidate: Candidate,
}

impl Question {
    /// Asks until the replica says that it leads. Returns `None` if the replica cannot be asked at all.
    async fn ask_until_yes(self) -> Option<Leader> {
        let link = match self.links.to(&self.candidate.address) {
            Ok(link) => link,
            Err(error) => {
                self.note(error.to_string(), 0);
                return None;
            }
        };
        let started = Instant::now();
        loop {
            if let Some(answer) = self.ask(&link).await {
                if answer.is_master {
                    self.roster.update(&answer);
                    return Some(Leader {
                        id: answer.replica_id,
                        address: self.candidate.address,
                        epoch: answer.view.map_or(0, |view| view.epoch),
                        cluster_id: answer.cluster_id,
                        link,
                        without_streams: AtomicBool::new(false),
                    });
                }
                self.follow(&answer);
            }
            sleep(backoff(started.elapsed())).await;
        }
    }

    fn note(&self, what: String, names: u32) {
        let Candidate { id, address, .. } = &self.candidate;
        self.roster.note(*id, address, what, names);
    }

    /// Asks once. Returns the answer if the replica is of the right cluster, and notes it.
    async fn ask(&self, link: &Link) -> Option<IsMasterResponse> {
        let what = match is_master(link).await {
            Ok(Ok(answer)) => match &self.candidate.cluster {
                Some(cluster) if *cluster != answer.cluster_id => {
                    "is of another cluster".to_owned()
                }
                _ if self.roster.is_bound_to_other_than(&answer.cluster_id) => {
                    "is of another cluster than the session".to_owned()
                }
                _ => {
                    if self.candidate.cluster.is_none() {
                        self.roster.forget_other_than(&answer.cluster_id);
                    }
                    let (what, names) = match answer.leader_id {
                        0 => ("does not lead and knows no leader".to_owned(), 0),
                        id if id == answer.replica_id => {
                            ("leads, but may not serve yet".to_owned(), 0)
                        }
                        id => (format!("does not lead; it says that replica {id} does"), id),
                    };
                    self.note(what, names);
                    return Some(answer);
                }
            },
            Ok(Err(status)) => describe(&status),
            Err(_) => format!("no answer within {} ms", ANSWER_TIMEOUT.as_millis()),
        };
        self.note(what, 0);
        None
    }

    /// Adds the leader that the answer names to the search.
    fn follow(&self, answer: &IsMasterResponse) {
        let hint = Candidate {
            id: answer.leader_id,
            address: answer.leader_address.clone(),
            cluster: Some(answer.cluster_id.clone()).filter(|cluster| !cluster.is_empty()),
        };
        if !hint.address.is_empty() && self.roster.add_hint(&hint) {
            // The roster keeps a hint that finds the queue full.
            let _ = self.hints.try_send(hint);
        }
    }
}
