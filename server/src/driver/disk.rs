//! What the driver does on a full disk: with others in the view the replica gets out of their way; alone
//! it goes on reading, and writes again when there is room.

use super::{Driver, Ended};
use crate::handle::Unavailability;

impl Driver {
    pub(super) fn on_disk_full(&mut self, full: bool) -> Result<(), Ended> {
        self.disk_full = full;
        match full {
            true if self.is_alone() => tracing::error!(
                "the disk is full: this last replica only reads until there is room"
            ),
            true => {}
            false => tracing::info!("there is room on the disk again: this replica writes"),
        }
        self.tend_disk()
    }

    /// With every tick: others may come back to a last replica whose disk is full. What is written
    /// until it has left goes where the reserve was.
    pub(super) fn tend_disk(&mut self) -> Result<(), Ended> {
        if !self.disk_full || self.stopping || self.is_alone() {
            return Ok(());
        }
        tracing::error!("the disk is full: this replica leaves the view, and the others go on");
        self.stop()
    }

    /// Nothing can be written at all: whoever waits for it must not wait.
    pub(super) fn on_stuck(&mut self) -> Result<(), Ended> {
        if !self.is_alone() {
            return Err(Ended::DiskFull);
        }
        self.abandon(&Unavailability::OutcomeUnknown);
        Ok(())
    }

    /// Whether the newest view is this replica alone.
    fn is_alone(&self) -> bool {
        let config = self.deps.replica.status().config;
        config.is_some_and(|(_, config)| config.members.len() == 1)
    }
}
