//! What becomes of a store that was declared dead: what only it has is written down for people, it is
//! set aside, and the replica begins anew on an empty one. Nothing is deleted.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use tercet_core::id::{ReplicaId, StoreId};
use tokio::task;

use crate::{
    export::{self, Exported},
    peers::LinkContext,
    roster::Roster,
    store::{self, Lineage, Readers, StoreError},
};

/// A store that is out of the way. The next run in this process begins an empty one.
#[derive(Debug)]
pub struct SetAside {
    /// Who said that it was declared dead.
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
        write!(
            f,
            "replica {} says that this replica was declared dead with `tercet cluster recover`, and that \
             the others went on without it: its store was set aside in {}; {}; this replica begins anew, and \
             the others fill it",
            self.peer,
            self.kept.display(),
            self.exported,
        )
    }
}

/// Why it is still where it was. The next start tries it again.
#[derive(Debug, thiserror::Error)]
pub enum NotSetAside {
    #[error(
        "this replica was declared dead with `tercet cluster recover`, and where its log and that of replica {peer} part was not answered ({why}): nothing was changed, and the next start asks again"
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
    (peer, theirs): (ReplicaId, Lineage),
    (data, store): (&Path, StoreId),
    readers: Readers,
    roster: Roster,
) -> Result<SetAside, NotSetAside> {
    let data = data.to_owned();
    let work = move || {
        let exported = export::write(&readers, &theirs, (&data, store))?;
        drop(readers);
        let kept = store::set_aside(&data, "declared-dead")?;
        Ok(SetAside {
            peer,
            kept,
            exported,
            roster,
        })
    };
    let done = task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(StoreError::Io(error.to_string()).into()))
}
