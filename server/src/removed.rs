//! The note that this replica was removed from its cluster: at its next starts it contacts no other replica
//! until it is added again.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tercet_store::{StoreError, roster::Member};
use tercet_types::durable;
use tokio::time;

use crate::{config::ServerConfig, peers};

const NOTE: &str = "removed";
/// The interval between the questions of a replica that waits to be added again.
const PAUSE: Duration = Duration::from_secs(1);

fn path(data: &Path) -> PathBuf {
    data.join(NOTE)
}

/// Tells whether the replica of this data directory was removed.
pub(crate) fn is_noted(data: &Path) -> bool {
    path(data).exists()
}

/// Writes the note durably.
pub(crate) fn note(data: &Path) -> Result<(), StoreError> {
    let text = "This replica was removed from its cluster. Its data is needed no more. To take it back, add it \
                again (tercet cluster add-replica) and start it with --join.\n";
    let path = path(data);
    durable::write(&path, text.as_bytes())
        .map_err(|error| StoreError::from_io(&format!("write {}", path.display()), &error))
}

fn clear(data: &Path) -> Result<(), StoreError> {
    let path = path(data);
    durable::remove(&path)
        .and_then(|()| durable::sync_directory(data))
        .map_err(|error| StoreError::from_io(&format!("remove {}", path.display()), &error))
}

/// Waits until the cluster of `--join` lists this replica again, then removes the note. Only the addresses of
/// `--join` are asked.
///
/// # Errors
/// When the note cannot be removed.
pub(crate) async fn wait_until_added(
    config: &ServerConfig,
    own_addresses: &Member,
) -> Result<(), StoreError> {
    let mut reported = false;
    loop {
        let roster = peers::ask_roster(&config.joiner(), None).await;
        if roster.is_some_and(|roster| roster.get(config.id).is_some()) {
            return clear(&config.data);
        }
        if !reported {
            tracing::warn!(
                "waiting: replica {id} was removed, and does not belong to the cluster; add it: tercet \
                 cluster add-replica {id}={} --peer-address {}",
                own_addresses.address,
                own_addresses.peer_address,
                id = config.id,
            );
            reported = true;
        }
        time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_removal_is_noted_until_it_is_cleared() {
        let dir = tempfile::TempDir::new().expect("make a directory");
        assert!(!is_noted(dir.path()));
        note(dir.path()).expect("note");
        note(dir.path()).expect("note again");
        assert!(is_noted(dir.path()));
        clear(dir.path()).expect("clear");
        clear(dir.path()).expect("there is none");
        assert!(!is_noted(dir.path()));
        assert_eq!(fs::read_dir(dir.path()).expect("read").count(), 0);
        assert!(note(&dir.path().join("gone")).is_err());
    }
}
