//! What becomes of a store that was declared dead, or went back in time: what only it has is written down
//! for people, the store is set aside, and the replica begins anew on an empty one. Nothing is deleted.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use tercet_core::id::{Lsn, ReplicaId, StoreId};
use tokio::task;

use crate::{
    export::{self, Exported},
    peers::LinkContext,
    roster::Roster,
    store::{self, Lineage, Readers, StoreError},
};

/// Why a store must not go on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Why {
    DeclaredDead,
    /// It lacks this entry, which it acknowledged.
    WentBack(Lsn),
}

impl Why {
    /// The name of the folder that the store goes to, without the time.
    fn folder(self) -> &'static str {
        match self {
            Why::DeclaredDead => "declared-dead",
            Why::WentBack(_) => "went-back",
        }
    }
}

/// A store that is out of the way. The next run in this process begins an empty one.
#[derive(Debug)]
pub struct SetAside {
    why: Why,
    /// The replica that said so.
    peer: ReplicaId,
    /// Where it is now.
    kept: PathBuf,
    /// What only it has.
    exported: Exported,
    /// Who belongs to the cluster, as that store knew it.
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

/// Why it is still where it was. The next start tries it again.
#[derive(Debug, thiserror::Error)]
pub enum NotSetAside {
    #[error(
        "the others went on without this store, and where its log and that of replica {peer} part was not answered ({why}): nothing was changed, and the next start asks again"
    )]
    Unanswered { peer: ReplicaId, why: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Asks `peer`, which has gone on without this store, what its log is made of.
pub(crate) async fn ask(context: &LinkContext, peer: ReplicaId) -> Result<Lineage, NotSetAside> {
    let answer = export::ask(context, peer).await;
    answer.map_err(|why| NotSetAside::Unanswered { peer, why })
}

/// Writes down what this store has and `theirs`, the log of `peer`, has not; then sets the store aside.
/// Nobody writes to it any more.
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
