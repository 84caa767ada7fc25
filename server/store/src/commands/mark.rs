//! Checkpoint: marks an LSN at which all replicas hash their state. Proposed by a leader.

use tercet_proto::log::{Checkpoint, Checkpointed, outcome};

use super::{About, Applier, Applying, Command, Fingerprint, StoreError, What, fingerprint};

impl Command for Checkpoint {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        state.effects.checkpoint = true;
        let lsn = state.lsn;
        Ok(outcome::Result::Checkpointed(Checkpointed { lsn }))
    }

    fn fingerprint(&self) -> Fingerprint {
        fingerprint("checkpoint", [])
    }

    fn describe(&self, _: &mut About<'_>) -> Result<What, StoreError> {
        Ok(What::Other("checkpoint"))
    }
}
