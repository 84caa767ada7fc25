//! Finds the leader: asks `IsMaster` of every replica at once until one says yes.
//!
//! Each replica is asked in a loop of its own, so that one that hangs (a paused process
//! accepts connections and never answers) delays nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tercet_proto::v1::cluster_service_client::ClusterServiceClient;
use tercet_proto::v1::{IsMasterRequest, IsMasterResponse};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tonic::{Response, Status};

use super::Error;
use super::error::describe;
use super::links::{Link, Links};
use super::retry::backoff;
use super::roster::{Candidate, Roster};

const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);
/// How long the list, and who was named in this run, have before those remembered from an earlier
/// one are asked too.
const REMEMBERED_AFTER: Duration = Duration::from_millis(500);
/// How long a search goes on before it is said that there is one.
const TOLD_AFTER: Duration = Duration::from_millis(1_500);
/// Hints waiting to be followed.
const HINTS_MAX: usize = 16;

/// The replica that leads, as it said itself.
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
    /// It said so: it is of an earlier version.
    pub(super) fn has_no_streams(&self) {
        self.without_streams.store(true, Ordering::Relaxed);
    }

    pub(super) fn may_have_streams(&self) -> bool {
        !self.without_streams.load(Ordering::Relaxed)
    }
}

/// The leader, found before the deadline.
///
/// # Errors
/// `NoLeader` with what each replica did.
pub(super) async fn search(
    roster: &Arc<Roster>,
    links: &Arc<Links>,
    deadline: Instant,
) -> Result<Leader, Error> {
    let (told, mut hints) = mpsc::channel::<Candidate>(HINTS_MAX);
    let question = |candidate| Question {
        roster: roster.clone(),
        links: links.clone(),
        told: told.clone(),
        candidate,
    };
    let mut questions = JoinSet::new();
    for candidate in roster.candidates() {
        questions.spawn(question(candidate).ask_until_yes());
    }
    let remembered_at = Instant::now() + REMEMBERED_AFTER;
    let mut remembered = false;
    let told_at = Instant::now() + TOLD_AFTER;
    loop {
        tokio::select! {
            found = questions.join_next() => match found {
                Some(Ok(Some(leader))) => return Ok(leader),
                Some(_) => {} // one address cannot be asked; the others go on
                None if remembered => return Err(roster.no_leader()),
                None => sleep_until(remembered_at.min(deadline)).await,
            },
            Some(hint) = hints.recv() => {
                questions.spawn(question(hint).ask_until_yes());
            }
            () = sleep_until(remembered_at), if !remembered => {
                remembered = true;
                for candidate in roster.remembered() {
                    questions.spawn(question(candidate).ask_until_yes());
                }
            }
            () = sleep_until(told_at), if roster.is_to_tell() => roster.tell(),
            () = sleep_until(deadline) => return Err(roster.no_leader()),
        }
    }
}

/// Asks the leader in use who belongs to the cluster now.
pub(super) async fn learn(roster: &Roster, leader: &Leader) {
    let answer = is_master(&leader.link).await;
    if let Ok(Ok(answer)) = answer
        && answer.is_master
    {
        roster.learn(&answer);
    }
}

async fn is_master(link: &Link) -> Result<Result<IsMasterResponse, Status>, Elapsed> {
    let mut client = ClusterServiceClient::new(link.first_channel());
    let answer = timeout(ANSWER_TIMEOUT, client.is_master(IsMasterRequest {})).await?;
    Ok(answer.map(Response::into_inner))
}

struct Question {
    roster: Arc<Roster>,
    links: Arc<Links>,
    told: mpsc::Sender<Candidate>,
    candidate: Candidate,
}

impl Question {
    /// The leader once this replica says that it is; `None` when it cannot be asked at all.
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
                    self.roster.learn(&answer);
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
                        self.roster.is_of(&answer.cluster_id);
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

    /// Has the address that this replica told asked too.
    fn follow(&self, answer: &IsMasterResponse) {
        let hint = Candidate {
            id: answer.leader_id,
            address: answer.leader_address.clone(),
            cluster: Some(answer.cluster_id.clone()).filter(|cluster| !cluster.is_empty()),
        };
        if !hint.address.is_empty() && self.roster.hear(&hint) {
            // A full queue means that others were told; this one stays in the roster.
            let _ = self.told.try_send(hint);
        }
    }
}
