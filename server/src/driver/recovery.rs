//! The operator's word that some replicas are gone for good, and the sessions that end for it.

use tercet_core::{id::ReplicaId, input::Input};

use super::{Driver, Ended};
use crate::handle::Declaration;

impl Driver {
    /// Answers whether the core has noted it: it does while it knows no leader.
    pub(super) fn on_declaration(&mut self, declaration: Declaration) -> Result<(), Ended> {
        let Declaration { replicas, reply } = declaration;
        let ids: Vec<u32> = replicas.iter().map(|id| id.0).collect();
        tracing::warn!(replicas = ?ids, "an operator declares replicas dead");
        self.step(Input::DeclareDead {
            replicas: replicas.clone(),
        })?;
        let noted = self.deps.replica.status().declared_dead;
        // A caller that went away is normal.
        let _ = reply.send(replicas.iter().all(|id| noted.contains(id)));
        Ok(())
    }

    /// The core has no use for a session any more: it ends, and another is sought.
    pub(super) fn disconnect(&mut self, peer: ReplicaId) {
        if self.links.remove(&peer).is_some() {
            tracing::info!(%peer, "session with replica ended: it was declared dead");
        }
        self.dial(peer);
    }
}
