//! Finds the leader: asks `IsMaster` of every replica at once until one says yes.
//!
//! Each replica is asked in a loop of its own, so that one that hangs (a paused process
//! accepts connections and never answers) delays nobody.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tercet_proto::v1::cluster_service_client::ClusterServiceClient;
use tercet_proto::v1::{IsMasterRequest, IsMasterResponse};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::error::describe;
use super::links::{Link, Links};
use super::{Error, Tried};
use crate::replicas::Replicas;

const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);
const PAUSE_MIN: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(50);
/// Addresses told by replicas that are asked besides the list.
const TOLD_MAX: usize = 16;

/// The replica that leads, as it said itself.
pub(super) struct Leader {
    pub(super) id: u32,
    pub(super) address: String,
    pub(super) epoch: u64,
    pub(super) link: Arc<Link>,
}

/// What is known of the replicas from one search to the next.
pub(super) struct Roster {
    replicas: Replicas,
    /// Addresses that replicas told, with the id (0 when unknown).
    told: Mutex<BTreeMap<String, u32>>,
    /// The last thing that each address did.
    tried: Mutex<BTreeMap<String, Tried>>,
}

impl Roster {
    pub(super) fn new(replicas: Replicas) -> Roster {
        Roster {
            replicas,
            told: Mutex::default(),
            tried: Mutex::default(),
        }
    }

    pub(super) fn replicas(&self) -> &Replicas {
        &self.replicas
    }

    /// Remembers an address that a replica told. True when it is new.
    pub(super) fn hear(&self, id: u32, address: &str) -> bool {
        if self.replicas.iter().any(|known| known.address == address) {
            return false;
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.contains_key(address) || told.len() >= TOLD_MAX {
            return false;
        }
        told.insert(address.to_owned(), id);
        true
    }

    /// Everyone to ask: the list first, then who was told of.
    fn candidates(&self) -> Vec<(u32, String)> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let listed = self.replicas.iter();
        listed
            .map(|replica| (replica.id, replica.address.clone()))
            .chain(told.iter().map(|(address, id)| (*id, address.clone())))
            .collect()
    }

    fn note(&self, replica: u32, address: &str, what: String) {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        tried.insert(
            address.to_owned(),
            Tried {
                replica,
                address: address.to_owned(),
                what,
            },
        );
    }

    /// The error that lists what every replica did.
    pub(super) fn no_leader(&self) -> Error {
        let tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let tried = self
            .candidates()
            .into_iter()
            .map(|(replica, address)| {
                tried.get(&address).cloned().unwrap_or_else(|| Tried {
                    replica,
                    what: "not asked yet".to_owned(),
                    address,
                })
            })
            .collect();
        Error::NoLeader { tried }
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
    let (told, mut hints) = mpsc::channel::<(u32, String)>(TOLD_MAX);
    let question = |id, address| Question {
        roster: roster.clone(),
        links: links.clone(),
        told: told.clone(),
        id,
        address,
    };
    let mut questions = JoinSet::new();
    for (id, address) in roster.candidates() {
        questions.spawn(question(id, address).ask_until_yes());
    }
    loop {
        let event = async {
            tokio::select! {
                found = questions.join_next() => Ok(found),
                hint = hints.recv() => Err(hint),
            }
        };
        match timeout_at(deadline, event).await {
            Ok(Ok(Some(Ok(Some(leader))))) => return Ok(leader),
            Ok(Ok(None)) | Err(_) => return Err(roster.no_leader()),
            Ok(Ok(_)) => {} // one address cannot be asked; the others go on
            Ok(Err(hint)) => {
                let (id, address) = hint.unwrap_or_default();
                questions.spawn(question(id, address).ask_until_yes());
            }
        }
    }
}

struct Question {
    roster: Arc<Roster>,
    links: Arc<Links>,
    told: mpsc::Sender<(u32, String)>,
    id: u32,
    address: String,
}

impl Question {
    /// The leader once this replica says that it is; `None` when it cannot be asked at all.
    async fn ask_until_yes(self) -> Option<Leader> {
        let link = match self.links.to(&self.address) {
            Ok(link) => link,
            Err(error) => {
                self.roster.note(self.id, &self.address, error.to_string());
                return None;
            }
        };
        let started = Instant::now();
        loop {
            if let Some(answer) = self.ask(&link).await {
                if answer.is_master {
                    return Some(Leader {
                        id: answer.replica_id,
                        address: self.address,
                        epoch: answer.view.map_or(0, |view| view.epoch),
                        link,
                    });
                }
                self.follow(&answer);
            }
            sleep(pause(started.elapsed())).await;
        }
    }

    async fn ask(&self, link: &Link) -> Option<IsMasterResponse> {
        let mut client = ClusterServiceClient::new(link.first_channel());
        let answer = timeout(ANSWER_TIMEOUT, client.is_master(IsMasterRequest {})).await;
        let what = match answer {
            Ok(Ok(answer)) => {
                let answer = answer.into_inner();
                let what = match answer.leader_id {
                    0 => "does not lead and knows no leader".to_owned(),
                    id if id == answer.replica_id => "leads, but may not serve yet".to_owned(),
                    id => format!("does not lead; it says that replica {id} does"),
                };
                self.roster.note(self.id, &self.address, what);
                return Some(answer);
            }
            Ok(Err(status)) => describe(&status),
            Err(_) => format!("no answer within {} ms", ANSWER_TIMEOUT.as_millis()),
        };
        self.roster.note(self.id, &self.address, what);
        None
    }

    /// Has the address that this replica told asked too.
    fn follow(&self, answer: &IsMasterResponse) {
        let address = &answer.leader_address;
        if !address.is_empty() && self.roster.hear(answer.leader_id, address) {
            // A full queue means that others were told; this one stays in the roster.
            let _ = self.told.try_send((answer.leader_id, address.clone()));
        }
    }
}

/// How long to wait before asking again: about a sixteenth of the time spent so far, so that
/// waiting adds little to a takeover of any length, within 2 and 50 ms, with jitter.
pub(super) fn pause(spent: Duration) -> Duration {
    let base = (spent / 16).clamp(PAUSE_MIN, PAUSE_MAX);
    let random = RandomState::new().build_hasher().finish();
    // Between three quarters and all of it.
    base - base / 4 * u32::try_from(random % 1024).unwrap_or(0) / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_from_two_to_fifty_milliseconds() {
        let at = |ms| pause(Duration::from_millis(ms));
        assert!(at(0) <= PAUSE_MIN && at(0) >= PAUSE_MIN * 3 / 4);
        assert!(at(160) <= Duration::from_millis(10));
        assert!(at(10_000) <= PAUSE_MAX && at(10_000) >= PAUSE_MAX * 3 / 4);
    }
}
