//! The replicas that a client knows, from one search for the leader to the next: its list, the replicas of the
//! cluster as the leader named them, hints, and the last answer of each.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tercet_proto::v1::IsMasterResponse;

use super::{Error, Tried, request_id};
use crate::cluster_cache::{CachedCluster, ClusterCache};
use crate::replicas::{Replica, Replicas};

/// The addresses from hints that are asked besides the others.
const HINTS_MAX: usize = 16;

/// A replica to ask whether it leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Candidate {
    /// 0 when only the address is known.
    pub(super) id: u32,
    pub(super) address: String,
    /// The cluster that the replica must be of; `None` for a replica of the list, which may be of any.
    pub(super) cluster: Option<String>,
}

/// The replicas that a client and its clones know.
pub(super) struct Roster {
    /// The list that the client was given.
    list: Replicas,
    cache: Option<ClusterCache>,
    /// The function that gets the report of the first search that takes long.
    waiting: Option<fn(&Error)>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// The replicas of the cluster, as a leader named them.
    known: Option<CachedCluster>,
    /// Whether a leader of this run named them, rather than one of an earlier run.
    fresh: bool,
    hints: Vec<Candidate>,
    /// The cluster of the token: no replica of another may be the leader.
    bound_to: Option<String>,
    has_reported: bool,
    /// The last answer of each address.
    tried: BTreeMap<String, Tried>,
}

impl Roster {
    pub(super) fn new(list: Replicas, cache: Option<ClusterCache>) -> Roster {
        let known = cache.as_ref().and_then(|cache| cache.lookup(&list));
        Roster {
            list,
            cache,
            waiting: None,
            inner: Mutex::new(Inner {
                known,
                ..Inner::default()
            }),
        }
    }

    /// Sets the function that gets the report of the first search that takes long.
    pub(super) fn reporting_to(mut self, waiting: Option<fn(&Error)>) -> Roster {
        self.waiting = waiting;
        self
    }

    /// Tells whether a long search is still to be reported.
    pub(super) fn has_to_report(&self) -> bool {
        self.waiting.is_some() && !self.inner().has_reported
    }

    /// Reports a long search, with the answers so far.
    pub(super) fn report_search(&self) {
        self.inner().has_reported = true;
        if let Some(waiting) = self.waiting {
            waiting(&self.no_leader());
        }
    }

    /// Restricts later leaders to this cluster.
    pub(super) fn bind(&self, cluster: &str) {
        self.inner().bound_to = Some(cluster.to_owned());
    }

    pub(super) fn is_bound_to_other_than(&self, cluster: &str) -> bool {
        let inner = self.inner();
        inner
            .bound_to
            .as_ref()
            .is_some_and(|bound| bound != cluster)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn list(&self) -> &Replicas {
        &self.list
    }

    /// Returns the replicas of the cluster, if a leader ever named them.
    pub(super) fn known(&self) -> Option<Replicas> {
        let inner = self.inner();
        inner.known.as_ref().map(|known| known.replicas.clone())
    }

    /// Takes the replicas of the cluster, and its time, from an answer of the leader.
    pub(super) fn update(&self, answer: &IsMasterResponse) {
        request_id::update_time(answer.time_ms);
        let replicas = answer.replicas.iter().map(|replica| Replica {
            id: replica.replica_id,
            address: replica.address.clone(),
        });
        let Ok(replicas) = Replicas::from_parts(replicas.collect()) else {
            return;
        };
        if answer.cluster_id.is_empty() {
            return;
        }
        let known = CachedCluster {
            cluster_id: answer.cluster_id.clone(),
            replicas,
        };
        let mut inner = self.inner();
        inner.fresh = true;
        inner.hints.clear();
        if inner.known.as_ref() == Some(&known) {
            return;
        }
        inner.known = Some(known.clone());
        drop(inner);
        if let Some(cache) = &self.cache {
            // The cache is only a hint for the next run.
            let _ = cache.store(&self.list, &known);
        }
    }

    /// Forgets the replicas of an earlier run, if they were of another cluster than this one of a replica of the
    /// list.
    pub(super) fn forget_other_than(&self, cluster: &str) {
        let mut inner = self.inner();
        let other = |known: &CachedCluster| !cluster.is_empty() && known.cluster_id != cluster;
        if !inner.fresh && inner.known.as_ref().is_some_and(other) {
            inner.known = None;
        }
    }

    /// Adds an address that a replica named. Returns whether it is new.
    pub(super) fn add_hint(&self, hint: &Candidate) -> bool {
        if self
            .list
            .iter()
            .any(|listed| listed.address == hint.address)
        {
            return false;
        }
        let mut inner = self.inner();
        let same = |known: &Candidate| known.address == hint.address;
        if inner.hints.iter().any(same) || inner.hints.len() >= HINTS_MAX {
            return false;
        }
        inner.hints.push(hint.clone());
        true
    }

    /// Adds the next leader that a former leader named.
    pub(super) fn add_leader_hint(&self, id: u32, address: String) {
        let inner = self.inner();
        let known = inner.known.as_ref().filter(|_| inner.fresh);
        let cluster = known.map(|known| known.cluster_id.clone());
        drop(inner);
        self.add_hint(&Candidate {
            id,
            address,
            cluster,
        });
    }

    /// Returns the replicas to ask first: those of the list, those that the leader of this run named, and the hints.
    pub(super) fn candidates(&self) -> Vec<Candidate> {
        let inner = self.inner();
        let named = inner.known.as_ref().filter(|_| inner.fresh);
        let mut all: Vec<Candidate> = self.list.iter().map(listed).collect();
        all.extend(named.into_iter().flat_map(of_cluster));
        all.extend(inner.hints.iter().cloned());
        first_of_each_address(all)
    }

    /// Returns the replicas to ask when none of [`Roster::candidates`] leads: those of the cluster in an earlier run.
    pub(super) fn remembered(&self) -> Vec<Candidate> {
        let inner = self.inner();
        let known = inner.known.as_ref().filter(|_| !inner.fresh);
        let mut all: Vec<Candidate> = known.into_iter().flat_map(of_cluster).collect();
        all.retain(|one| self.list.iter().all(|listed| listed.address != one.address));
        all
    }

    /// Notes the last answer of a replica. `names` is the leader that it names; 0 for none.
    pub(super) fn note(&self, replica: u32, address: &str, what: String, names: u32) {
        let tried = Tried {
            replica,
            address: address.to_owned(),
            what,
            names,
        };
        self.inner().tried.insert(address.to_owned(), tried);
    }

    /// Makes the error that lists the last answer of every replica.
    pub(super) fn no_leader(&self) -> Error {
        let mut candidates = self.candidates();
        candidates.extend(self.remembered());
        let inner = self.inner();
        let tried = candidates.into_iter().map(|candidate| {
            let tried = inner.tried.get(&candidate.address).cloned();
            tried.unwrap_or_else(|| Tried {
                replica: candidate.id,
                what: "not asked yet".to_owned(),
                address: candidate.address,
                names: 0,
            })
        });
        Error::NoLeader {
            tried: tried.collect(),
        }
    }
}

/// Makes a candidate of a replica of the list.
fn listed(replica: &Replica) -> Candidate {
    Candidate {
        id: replica.id,
        address: replica.address.clone(),
        cluster: None,
    }
}

/// Makes candidates of the replicas of a cluster.
fn of_cluster(known: &CachedCluster) -> impl Iterator<Item = Candidate> {
    known.replicas.iter().map(|replica| Candidate {
        cluster: Some(known.cluster_id.clone()),
        ..listed(replica)
    })
}

fn first_of_each_address(all: Vec<Candidate>) -> Vec<Candidate> {
    let mut firsts: Vec<Candidate> = Vec::with_capacity(all.len());
    for one in all {
        if firsts.iter().all(|first| first.address != one.address) {
            firsts.push(one);
        }
    }
    firsts
}

#[cfg(test)]
mod tests {
    use super::*;
    use tercet_proto::v1::ReplicaAddress;

    fn says(cluster: &str, replicas: &str) -> IsMasterResponse {
        let replicas: Replicas = replicas.parse().unwrap();
        let replica = |replica: &Replica| ReplicaAddress {
            replica_id: replica.id,
            address: replica.address.clone(),
        };
        IsMasterResponse {
            is_master: true,
            cluster_id: cluster.to_owned(),
            replicas: replicas.iter().map(replica).collect(),
            ..IsMasterResponse::default()
        }
    }

    fn addresses(candidates: &[Candidate]) -> Vec<&str> {
        candidates.iter().map(|one| one.address.as_str()).collect()
    }

    fn cache(dir: &tempfile::TempDir) -> ClusterCache {
        ClusterCache::beside(Some(dir.path().join("sessions.json"))).unwrap()
    }

    #[test]
    fn what_a_leader_says_takes_the_place_of_what_was_known() {
        let roster = Roster::new("1=a:1,2=b:1".parse().unwrap(), None);
        let hint = Candidate {
            id: 9,
            address: "z:1".to_owned(),
            cluster: None,
        };
        assert!(roster.add_hint(&hint));
        assert!(!roster.add_hint(&hint), "it is known already");
        assert_eq!(addresses(&roster.candidates()), ["a:1", "b:1", "z:1"]);
        roster.update(&says("x", "1=a:1,3=c:1"));
        assert_eq!(addresses(&roster.candidates()), ["a:1", "b:1", "c:1"]);
        roster.update(&says("x", "3=c:1,4=d:1"));
        let candidates = roster.candidates();
        assert_eq!(addresses(&candidates), ["a:1", "b:1", "c:1", "d:1"]);
        assert_eq!(candidates[3].cluster.as_deref(), Some("x"));
        assert_eq!(candidates[0].cluster, None);
    }

    #[test]
    fn a_later_run_remembers_who_is_not_in_the_list() {
        let dir = tempfile::tempdir().unwrap();
        let list: Replicas = "1=a:1,2=b:1".parse().unwrap();
        let first = Roster::new(list.clone(), Some(cache(&dir)));
        first.update(&says("x", "2=b:1,4=d:1"));
        let later = Roster::new(list, Some(cache(&dir)));
        assert_eq!(addresses(&later.candidates()), ["a:1", "b:1"]);
        assert_eq!(addresses(&later.remembered()), ["d:1"]);
        later.forget_other_than("x");
        assert_eq!(addresses(&later.remembered()), ["d:1"]);
        later.forget_other_than("another");
        assert_eq!(later.remembered(), []);
    }
}
