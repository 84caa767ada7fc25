//! When the writer has the WAL checkpointed: by the WAL checkpointer beside it, by itself, or waiting for readers so that
//! the WAL can start over.

use std::time::Duration;

use rusqlite::wal::CheckpointMode;

use super::{
    super::{StoreError, schema::BUSY_TIMEOUT},
    Writer,
};

/// Pages of the WAL from which a checkpoint is worthwhile (8 MB): the more at once, the longer writes wait for
/// the disk meanwhile.
const WAL_PAGES_MOVED: i32 = 2_000;
/// Pages left by the checkpointer up to which the writer checkpoints them itself.
const WAL_PAGES_LEFT: i32 = 500;
/// Pages of the WAL from which the writer waits for readers, so that the WAL can start over.
pub(super) const WAL_PAGES_MAX: i32 = 64_000;
/// Further pages after which it waits for readers again, if they did not end.
const WAL_PAGES_MORE: i32 = 8_000;
/// The longest wait for readers: short reads end by then, and a long read is not worth a longer wait.
const RESTART_TIMEOUT: Duration = Duration::from_millis(50);

/// The state of the WAL since it last started over.
pub(super) struct WalState {
    pages: i32,
    /// Pages from which the next checkpoint is due.
    next_at: i32,
    /// Pages that were checkpointed at the last look.
    moved: i32,
}

impl Default for WalState {
    fn default() -> Self {
        WalState {
            pages: 0,
            next_at: WAL_PAGES_MOVED,
            moved: -1,
        }
    }
}

impl Writer {
    /// Has the WAL checkpointed while the writer continues. Called between batches, as often as needed: it does
    /// nothing while the WAL is short.
    pub fn checkpoint_wal(&mut self) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Stopped);
        }
        if self.checkpointer.is_busy() {
            return Ok(());
        }
        match self.checkpointer.failure() {
            None | Some(StoreError::Full) => {}
            Some(error) => {
                self.failed = true;
                return Err(error);
            }
        }
        let (pages, moved) = match self.wal_size() {
            Err(error) if error.is_busy() => return Ok(()),
            size => size?,
        };
        if pages < self.wal.pages {
            self.wal = WalState::default(); // it has started over
        }
        self.wal.pages = pages;
        if pages < self.wal.next_at || moved == pages {
            return Ok(());
        }
        if pages >= self.wal_pages_max {
            return self.checkpoint();
        }
        let advanced = moved > self.wal.moved;
        self.wal.moved = moved;
        if pages - moved > WAL_PAGES_LEFT && advanced {
            self.checkpointer.wake();
            return Ok(());
        }
        // A short rest is left, or a reader prevents its checkpoint: not again for a while.
        self.wal.next_at = pages.saturating_add(WAL_PAGES_MOVED);
        self.wal.moved = WalState::default().moved;
        match self.pass_wal(CheckpointMode::PASSIVE) {
            // Another program checkpoints, such as an operator's tool.
            Err(error) if error.is_busy() => Ok(()),
            rest => {
                self.failed = !matches!(rest, Ok(()) | Err(StoreError::Full));
                rest
            }
        }
    }

    fn pass_wal(&self, mode: CheckpointMode) -> Result<(), StoreError> {
        self.connection.wal_checkpoint_v2(Some("main"), mode)?;
        Ok(())
    }

    /// Gives the frames in the WAL, and the number of them that are in the database file too.
    pub(crate) fn wal_size(&self) -> Result<(i32, i32), StoreError> {
        let connection = &self.connection;
        Ok(connection.wal_checkpoint_v2(Some("main"), CheckpointMode::NOOP)?)
    }

    /// Checkpoints at once, while the caller waits.
    pub fn checkpoint(&mut self) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Stopped);
        }
        let moved = self.move_wal();
        self.failed = !matches!(moved, Ok(()) | Err(StoreError::Full));
        moved
    }

    fn move_wal(&mut self) -> Result<(), StoreError> {
        let (pages, moved) = self.wal_size()?;
        let restarts = pages >= self.wal_pages_max;
        let mode = if restarts {
            CheckpointMode::RESTART
        } else if pages - moved >= WAL_PAGES_MOVED {
            CheckpointMode::PASSIVE
        } else {
            return Ok(());
        };
        self.connection.busy_timeout(RESTART_TIMEOUT)?;
        let moved = self.connection.wal_checkpoint_v2(Some("main"), mode);
        self.connection.busy_timeout(BUSY_TIMEOUT)?;
        match moved.map_err(StoreError::from) {
            Ok(_) => {
                if restarts {
                    self.wal_pages_max = WAL_PAGES_MAX;
                }
                Ok(())
            }
            // A long read, such as a snapshot: not again at once.
            Err(error) if error.is_busy() => {
                self.wal_pages_max = pages.saturating_add(WAL_PAGES_MORE);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}
