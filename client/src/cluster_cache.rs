//! The file that remembers clusters: for each list of replicas, the replicas of the cluster that it led to. With it a
//! client finds its cluster even if all replicas of its list were replaced. The file is a hint: without it the list
//! must be good.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::replicas::Replicas;
use crate::state_file::{StateFile, StateFileError};

const FILE: &str = "clusters.json";
/// The number of lists that are remembered. Beyond it, the list that was used longest ago is forgotten.
const LISTS_MAX: usize = 16;

/// A cluster as its leader described it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedCluster {
    /// The UUID of the cluster in text form.
    pub cluster_id: String,
    /// The replicas of the cluster.
    pub replicas: Replicas,
}

/// A file that remembers clusters, for [`Options::cache`](crate::Options::cache).
#[derive(Debug, Clone)]
pub struct ClusterCache {
    file: StateFile,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Stored {
    /// The clusters, by the text of the list.
    lists: BTreeMap<String, CachedList>,
}

#[derive(Debug, Serialize, Deserialize)]
struct CachedList {
    cluster_id: String,
    /// The replicas as text: `1=HOST:PORT,2=HOST:PORT`.
    replicas: String,
    /// The time of the last use, milliseconds since the Unix epoch.
    at_ms: u64,
}

impl ClusterCache {
    /// Chooses `clusters.json` in the directory of the given file of sessions, or in the platform's directory for
    /// state.
    ///
    /// # Errors
    /// [`StateFileError::NoDirectory`] when no file is given and the platform names no directory.
    pub fn beside(sessions: Option<PathBuf>) -> Result<ClusterCache, StateFileError> {
        let file = match sessions {
            Some(path) => StateFile::at(path.parent().unwrap_or(Path::new(".")).join(FILE)),
            None => StateFile::named(FILE)?,
        };
        Ok(ClusterCache { file })
    }

    /// Returns the cluster that this list led to last.
    #[must_use]
    pub fn lookup(&self, list: &Replicas) -> Option<CachedCluster> {
        let mut stored: Stored = self.file.read().ok()?;
        let remembered = stored.lists.remove(&list.to_string())?;
        Some(CachedCluster {
            replicas: remembered.replicas.parse().ok()?,
            cluster_id: remembered.cluster_id,
        })
    }

    /// Returns the ids of all clusters in the file, UUIDs in text form.
    #[must_use]
    pub fn clusters(&self) -> BTreeSet<String> {
        let stored: Stored = self.file.read().unwrap_or_default();
        stored
            .lists
            .into_values()
            .map(|list| list.cluster_id)
            .collect()
    }

    /// Stores the cluster that this list led to, and updates its replicas for every other list that led to it.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn store(&self, list: &Replicas, known: &CachedCluster) -> Result<(), StateFileError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0));
        let remembered = |at_ms| CachedList {
            cluster_id: known.cluster_id.clone(),
            replicas: known.replicas.to_string(),
            at_ms,
        };
        self.file.change(|stored: &mut Stored| {
            for other in stored.lists.values_mut() {
                if other.cluster_id == known.cluster_id {
                    *other = remembered(other.at_ms);
                }
            }
            stored.lists.insert(list.to_string(), remembered(now));
            while stored.lists.len() > LISTS_MAX {
                let oldest = stored.lists.iter().min_by_key(|(_, list)| list.at_ms);
                let Some(oldest) = oldest.map(|(list, _)| list.clone()) else {
                    return;
                };
                stored.lists.remove(&oldest);
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Replicas {
        text.parse().unwrap()
    }

    fn known(cluster: &str, replicas: &str) -> CachedCluster {
        CachedCluster {
            cluster_id: cluster.to_owned(),
            replicas: list(replicas),
        }
    }

    fn cache() -> (tempfile::TempDir, ClusterCache) {
        let dir = tempfile::tempdir().unwrap();
        let sessions = dir.path().join("sessions.json");
        (dir, ClusterCache::beside(Some(sessions)).unwrap())
    }

    #[test]
    fn a_list_recalls_the_cluster_that_it_found() {
        let (_dir, cache) = cache();
        let old = list("1=a:1,2=b:1");
        assert_eq!(cache.lookup(&old), None);
        let first = known("x", "1=a:1,2=b:1,3=c:1");
        cache.store(&old, &first).unwrap();
        assert_eq!(cache.lookup(&old), Some(first));
        assert_eq!(cache.lookup(&list("9=z:1")), None);
    }

    #[test]
    fn replicas_stored_for_one_list_are_stored_for_the_other_lists_of_the_cluster() {
        let (_dir, cache) = cache();
        let (old, new) = (list("1=a:1"), list("4=d:1"));
        cache.store(&old, &known("x", "1=a:1,4=d:1")).unwrap();
        cache.store(&list("1=y:1"), &known("y", "1=y:1")).unwrap();
        cache.store(&new, &known("x", "4=d:1,5=e:1")).unwrap();
        assert_eq!(cache.lookup(&old), Some(known("x", "4=d:1,5=e:1")));
        assert_eq!(cache.lookup(&list("1=y:1")), Some(known("y", "1=y:1")));
    }

    #[test]
    fn old_lists_are_forgotten() {
        let (_dir, cache) = cache();
        for port in 1..=40 {
            let list = list(&format!("1=a:{port}"));
            cache.store(&list, &known("x", "1=a:1")).unwrap();
        }
        let kept = |port: &u32| cache.lookup(&list(&format!("1=a:{port}"))).is_some();
        assert_eq!((1..=40).filter(kept).count(), LISTS_MAX);
    }

    #[test]
    fn a_file_that_is_no_cache_recalls_nothing() {
        let (dir, cache) = cache();
        std::fs::write(dir.path().join(FILE), "not json").unwrap();
        assert_eq!(cache.lookup(&list("1=a:1")), None);
    }
}
