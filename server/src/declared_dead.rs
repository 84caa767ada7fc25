//! What becomes of a store that was declared dead: what only it has is written down for people, it is
//! set aside, and the replica begins anew on an empty one. Nothing is deleted.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use tercet_core::id::{Lsn, ReplicaId, StoreId};
use tokio::{task, time};

use crate::{
    peers::{self, LinkContext},
    roster::Roster,
    store::{self, Lineage, Readers, StoreError},
    unseen::{self, Written},
};

/// The replica that said it is asked so often, with pauses, where the two logs part.
const ROUNDS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(250);

/// A store that is out of the way. The next run in this process begins an empty one.
#[derive(Debug)]
pub struct SetAside {
    /// Who said that it was declared dead.
    peer: ReplicaId,
    /// Where it is now.
    kept: PathBuf,
    /// The last entry that the others have too.
    common: Lsn,
    /// What only it has; `None`: nothing.
    unseen: Option<Written>,
    /// Who belongs to the cluster, as that store knew it.
    pub roster: Roster,
}

impl fmt::Display for SetAside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "replica {} says that this replica was declared dead with `tercet cluster recover`, and that \
             the others went on without it: its store was set aside in {}, ",
            self.peer,
            self.kept.display()
        )?;
        match &self.unseen {
            None => write!(f, "and has nothing that they do not have")?,
            Some(written) => write!(
                f,
                "and what they do not have, {} entries from LSN {} on, {} of them messages, can be read in {}",
                written.entries,
                self.common.next(),
                written.messages,
                written.path.display()
            )?,
        }
        write!(f, "; this replica begins anew, and the others fill it")
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
    let mut round = 1;
    loop {
        match peers::ask_lineage(context, peer).await {
            Ok(lineage) => return Ok(lineage),
            Err(why) if round == ROUNDS => return Err(NotSetAside::Unanswered { peer, why }),
            Err(_) => round += 1,
        }
        time::sleep(PAUSE).await;
    }
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
        let common = readers.lineage()?.common(&theirs);
        // The name of the store: written again after a crash it is the same file.
        let name = format!("unseen-{:08x}.jsonl", (store.0 >> 96) as u32);
        let unseen = unseen::write(&readers, common, &data.join(name))?;
        drop(readers);
        let kept = store::set_aside(&data, "declared-dead")?;
        Ok(SetAside {
            peer,
            kept,
            common,
            unseen,
            roster,
        })
    };
    let done = task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(StoreError::Io(error.to_string()).into()))
}
