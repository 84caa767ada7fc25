//! Setting a store aside that was declared dead or went back in time: the entries that only it has are
//! exported, the store is renamed, and the replica starts again with an empty one. Nothing is deleted.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use tercet_core::id::{Lsn, ReplicaId, StoreId};
use tercet_store::{self as store, Lineage, Readers, StoreError, roster::Roster};
use tokio::task;

use crate::{
    export::{self, Exported},
    peers::LinkContext,
};

/// Why a store must not be used.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Why {
    DeclaredDead,
    /// The store lacks this entry, which it acknowledged.
    WentBack(Lsn),
}

impl Why {
    /// Gives the name of the folder for the store, without the time.
    fn folder(self) -> &'static str {
        match self {
            Why::DeclaredDead => "declared-dead",
            Why::WentBack(_) => "went-back",
        }
    }
}

/// A store that was set aside. The next run in this process begins with an empty store.
#[derive(Debug)]
pub struct SetAside {
    why: Why,
    /// The replica that reported it.
    peer: ReplicaId,
    /// The new place of the store.
    kept: PathBuf,
    /// The export of the entries that only it has.
    exported: Exported,
    /// The roster of that store.
    pub roster: Roster,
}

impl fmt::Display for SetAside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peer = self.peer;
        match self.why {
            Why::DeclaredDead => write!(
                f,
                "replica {peer} says that this replica was declared dead with `tercet cluster recover`, and \
                 that the others went on without it: its store"
            )?,
            Why::WentBack(lsn) => write!(
                f,
                "this store is an older state of itself, such as a copy that was put back: it acknowledged \
                 the entry at LSN {lsn}, which replica {peer} has, and lacks it. The store of replica {peer} \
                 is the newer one. This store"
            )?,
        }
        write!(
            f,
            " was set aside in {}; {}; this replica begins anew, and the others fill it",
            self.kept.display(),
            self.exported,
        )?;
        if let Why::WentBack(_) = self.why {
            write!(
                f,
                ". If they wait for what the lost state of this store may have held: `tercet cluster recover`"
            )?;
        }
        Ok(())
    }
}

/// Why the store is still in its place. The next start tries again.
#[derive(Debug, thiserror::Error)]
pub enum NotSetAside {
    #[error(
        "the other replicas continued without this store, and replica {peer} did not answer where the two logs differ ({why}): nothing was changed. Start this replica again to retry"
    )]
    Unanswered { peer: ReplicaId, why: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Asks `peer`, which continued without this store, for the lineage of its log.
pub(crate) async fn ask(context: &LinkContext, peer: ReplicaId) -> Result<Lineage, NotSetAside> {
    let answer = export::ask(context, peer).await;
    answer.map_err(|why| NotSetAside::Unanswered { peer, why })
}

/// Exports the entries that this store has and `theirs`, the log of `peer`, lacks; then sets the store aside.
/// The store writer has ended before.
pub(crate) async fn set_aside(
    (why, peer, theirs): (Why, ReplicaId, Lineage),
    (data, store): (&Path, StoreId),
    readers: Readers,
    roster: Roster,
) -> Result<SetAside, NotSetAside> {
    let data = data.to_owned();
    let work = move || {
        let exported = export::write(&readers, &theirs, (&data, store))?;
        drop(readers);
        let kept = store::set_aside(&data, why.folder())?;
        Ok(SetAside {
            why,
            peer,
            kept,
            exported,
            roster,
        })
    };
    let done = task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(StoreError::Io(error.to_string()).into()))
}
