//! The operator's declaration that some replicas are gone for good, and the sessions that end because of it.

use tercet_core::{id::ReplicaId, input::Input};

use super::{Driver, Ended};
use crate::handle::Declaration;

impl Driver {
    /// Passes a declaration to the core and answers whether the core noted it. The core notes it while no
    /// leader is known.
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

    /// Ends a session that the core no longer uses, and dials again.
    pub(super) fn disconnect(&mut self, peer: ReplicaId) {
        if self.links.remove(&peer).is_some() {
            tracing::info!(%peer, "session with replica ended: it was declared dead");
        }
        self.dial(peer);
    }
}
