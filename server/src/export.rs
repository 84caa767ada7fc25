//! The export of the entries that only one store has, as a readable file: for a replica whose peers continued
//! without it, and for one that continued without its peers.

use std::{fmt, path::Path, time::Duration};

use tercet_core::id::{Lsn, ReplicaId, StoreId};
use tercet_store::{Lineage, Readers, StoreError};
use tokio::{task, time};

use crate::{
    peers::{self, LinkContext},
    unseen::{self, Written},
};

/// The number of times that the other replica is asked, with pauses, where the two logs diverge.
const ROUNDS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(250);

/// The result of an export and its place.
#[derive(Debug)]
pub(crate) struct Exported {
    /// The last entry that both logs have.
    common: Lsn,
    /// `None` when this store has no further entries.
    written: Option<Written>,
}

impl fmt::Display for Exported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.written {
            None => write!(f, "it has nothing that they do not have"),
            Some(written) => write!(
                f,
                "what they do not have, {} entries from LSN {} on, {} of them messages, can be read in {}",
                written.entries,
                self.common.next(),
                written.messages,
                written.path.display()
            ),
        }
    }
}

/// Asks `peer` for the lineage of its log, several times.
///
/// # Errors
/// The reason why there is no answer.
pub(crate) async fn ask(context: &LinkContext, peer: ReplicaId) -> Result<Lineage, String> {
    let mut round = 1;
    loop {
        match peers::ask_lineage(context, peer).await {
            Err(_) if round < ROUNDS => round += 1,
            answer => return answer,
        }
        time::sleep(PAUSE).await;
    }
}

/// Writes the entries that this store has, and `theirs`, another log, lacks, to `unseen-STORE.jsonl` in the
/// data directory. The name holds the store's id, so that a repeated export replaces the file. Takes long for a
/// long log.
///
/// # Errors
/// When the store cannot be read or the file cannot be written.
pub(crate) fn write(
    readers: &Readers,
    theirs: &Lineage,
    (data, store): (&Path, StoreId),
) -> Result<Exported, StoreError> {
    let common = readers.lineage()?.common(theirs);
    let name = format!("unseen-{:08x}.jsonl", (store.0 >> 96) as u32);
    let written = unseen::write(readers, common, &data.join(name))?;
    Ok(Exported { common, written })
}

/// Exports for a replica that stops and keeps its store: asks `peer` for its log, and writes the entries that
/// only this store has.
///
/// # Errors
/// The reason why nothing was written, in words.
pub(crate) async fn export(
    context: &LinkContext,
    peer: ReplicaId,
    (data, store): (&Path, StoreId),
    readers: Readers,
) -> Result<Exported, String> {
    let theirs = ask(context, peer).await;
    let theirs = theirs.map_err(|why| format!("replica {peer} did not say what it has: {why}"))?;
    let data = data.to_owned();
    let work = move || write(&readers, &theirs, (&data, store));
    let done = task::spawn_blocking(work).await;
    let done = done.map_err(|error| error.to_string())?;
    done.map_err(|error| error.to_string())
}
