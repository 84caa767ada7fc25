//! Copied data directories: a replica whose directory was copied or moved reports it, and its core does not
//! vote until the other replicas have confirmed that the store is not an older state, or the operator has
//! accepted it.

use std::path::{Path, PathBuf};

use tercet_core::id::StoreId;
use tercet_store::place;
use tokio::task;

/// Why such a replica waits, and what the operator can do where no other replica can lead.
pub(crate) const WAITS: &str = "the data directory of this replica was copied or moved since it last ran, and may be \
    an older copy: this replica votes for nobody until a leader has confirmed that it lacks nothing. If nobody can \
    lead without it, and this is the newest copy, start it once with --accept-copied-store. If there is a newer one, \
    start this replica on that, or on an empty directory";

/// The place of the store of this run on the disk.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    data: PathBuf,
    store: StoreId,
}

impl Place {
    pub(crate) fn new(data: &Path, store: StoreId) -> Place {
        let data = data.to_owned();
        Place { data, store }
    }

    /// Tells, at the start, whether the other replicas must confirm the store. `expects_note` is as in
    /// [`place::is_copied`]; `accepted` is the operator's `--accept-copied-store`; `alone` means that the
    /// cluster has no other replica. A place that cannot be read is logged, and the store counts as one without
    /// a note.
    pub(crate) fn must_be_confirmed(
        &self,
        expects_note: bool,
        (accepted, alone): (bool, bool),
    ) -> bool {
        let data = self.data.display();
        let copied = match place::is_copied(&self.data, self.store, expects_note) {
            Ok(copied) => copied,
            Err(error) => {
                self.cannot_note(&error);
                return false;
            }
        };
        if copied {
            match (accepted, alone) {
                (true, _) => tracing::warn!(
                    "data directory {data} was copied or moved since this replica last ran, and is taken for the \
                     newest, as --accept-copied-store says. What was acknowledged since an older copy was made is \
                     lost"
                ),
                (false, true) => tracing::warn!(
                    "data directory {data} was copied or moved since this replica last ran. No other replica \
                     belongs to the cluster, so nobody can know whether it is the newest. If it is an older copy, it \
                     lacks what was acknowledged since: stop this replica, and start it on the newest"
                ),
                (false, false) => tracing::warn!("data directory {data}: {WAITS}"),
            }
        }
        let confirmed = !copied || accepted || alone;
        if confirmed {
            self.note();
        }
        !confirmed
    }

    /// Writes the note about the store's place, so that the next start does not take the store for a copy.
    fn note(&self) {
        if let Err(error) = place::note(&self.data, self.store) {
            self.cannot_note(&error);
        }
    }

    /// Called when the other replicas have confirmed the store.
    pub(crate) fn confirmed(&self) {
        tracing::info!(
            "the other replicas confirm that data directory {} lacks nothing: this replica votes again",
            self.data.display()
        );
        let place = self.clone();
        task::spawn_blocking(move || place.note());
    }

    fn cannot_note(&self, error: &std::io::Error) {
        tracing::warn!(
            "cannot note which file the store in {} is: {error}. A copy of it may go unnoticed, and the next start \
             may take this one for a copy",
            self.data.display()
        );
    }
}
