//! A full disk: a replica with other members in its view leaves the view; a lone replica serves reads, and
//! writes again when there is room.

use super::{Driver, Ended};
use crate::reply::Unavailability;

impl Driver {
    pub(super) fn on_disk_full(&mut self, full: bool) -> Result<(), Ended> {
        self.disk_full = full;
        match full {
            true if self.is_alone() => tracing::error!(
                "the disk is full: this last replica serves reads only; free space on its disk"
            ),
            true => {}
            false => {
                tracing::info!("there is space on the disk again: this replica accepts writes")
            }
        }
        self.tick_disk()
    }

    /// Leaves the view at a tick when another replica has come back to a last replica whose disk is full.
    /// Writes until then use the space of the reserve.
    pub(super) fn tick_disk(&mut self) -> Result<(), Ended> {
        if !self.disk_full || self.stopping || self.is_alone() {
            return Ok(());
        }
        tracing::error!(
            "the disk is full: this replica leaves the view, and the others continue; free space on its disk"
        );
        self.stop()
    }

    /// Ends the replica when nothing can be written at all, so that no caller waits for it.
    pub(super) fn on_stuck(&mut self) -> Result<(), Ended> {
        if !self.is_alone() {
            return Err(Ended::DiskFull);
        }
        self.abandon(&Unavailability::OutcomeUnknown);
        Ok(())
    }

    /// Tells whether the newest view is this replica alone.
    fn is_alone(&self) -> bool {
        let config = self.deps.replica.status().config;
        config.is_some_and(|logged| logged.config.members.len() == 1)
    }
}
